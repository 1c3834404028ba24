//! The two number types: f32, with vector paths of its own, and f64, for checks of gradients.

#![expect(unsafe_code, reason = "a function of raw blocks, compiled once for each type")]

use std::cell::RefCell;
use std::fmt::{Debug, Display};
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};
use std::sync::Mutex;
use std::thread::LocalKey;

use crate::gemm::micro::{self, Block};
use crate::isa::Isa;
use crate::math;
use crate::simd::Lanes;
use crate::simd::portable::Array;
#[cfg(target_arch = "x86_64")]
use crate::simd::{avx2::F32x8, avx512::F32x16};
use crate::{activation, conv, gemm, norm, pool, reduce, upsample};

/// Buffers that a thread has used before and will use again.
pub(crate) type Pool<T> = RefCell<Vec<Vec<T>>>;

/// Declares `Compiled`, functions of a module that are compiled in this crate, once for each of the two types.
///
/// A generic function is compiled in every crate that calls it, for every instruction set, and again for that crate's
/// tests. So where all is checked a kernel goes on through its type: `T::norm_forward(Checked, ...)` is there already.
/// `zoo-layers` alone was compiled for two minutes, and its tests for as long.
macro_rules! compiled {
    ($(#[$attribute:meta])* $($name:ident = $function:path: ($($argument:ident: $type:ty),* $(,)?);)*) => {
        #[doc(hidden)]
        $(#[$attribute])*
        pub trait Compiled: Sized {
            $($crate::element::compiled!(declare $name: ($($argument: $type),*));)*
        }
        impl Compiled for f32 {
            $($crate::element::compiled!(define $name = $function: ($($argument: $type),*));)*
        }
        impl Compiled for f64 {
            $($crate::element::compiled!(define $name = $function: ($($argument: $type),*));)*
        }
    };
    (declare $name:ident: ($($argument:ident: $type:ty),*)) => {
        fn $name(_: $crate::element::Checked, $($argument: $type),*);
    };
    (define $name:ident = $function:path: ($($argument:ident: $type:ty),*)) => {
        fn $name(_: $crate::element::Checked, $($argument: $type),*) {
            $function($($argument),*);
        }
    };
}
pub(crate) use compiled;

/// Says that slices are as long as shapes say. Kernels rely on it, and other crates, which see the functions of
/// `Compiled` through [`Element`], can't name it.
#[derive(Debug, Clone, Copy)]
pub struct Checked;

mod sealed {
    /// Keeps [`super::Element`] to the two types that the kernels are tested with.
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// A number that kernels compute with: `f32` or `f64`.
pub trait Element:
    sealed::Sealed
    + activation::Compiled
    + conv::Compiled
    + gemm::Compiled
    + norm::Compiled
    + pool::Compiled
    + reduce::Compiled
    + upsample::Compiled
    + Copy
    + Send
    + Sync
    + Debug
    + Display
    + Default
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + 'static
{
    /// Zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
    /// Negative infinity.
    const NEG_INFINITY: Self;

    #[doc(hidden)]
    type Portable: Lanes<Elem = Self>;
    #[doc(hidden)]
    type Avx2: Lanes<Elem = Self>;
    #[doc(hidden)]
    type Avx512: Lanes<Elem = Self>;

    /// The nearest value of this type.
    fn from_f64(value: f64) -> Self;
    /// The value in f64.
    fn to_f64(self) -> f64;
    /// e to the power of the value.
    fn exp(self) -> Self;
    /// The natural logarithm.
    fn ln(self) -> Self;
    /// The hyperbolic tangent.
    fn tanh(self) -> Self;
    /// The square root.
    fn sqrt(self) -> Self;
    /// The value to the power of `exponent`.
    fn powf(self, exponent: Self) -> Self;
    /// Whether it is no number.
    fn is_nan(self) -> bool;
    /// Computes a block of a product.
    ///
    /// # Safety
    /// Every element that the block's fields name can be read, and those of `c` written.
    #[doc(hidden)]
    unsafe fn multiply(isa: Isa, block: &Block<'_, Self>);
    #[doc(hidden)]
    fn pool() -> &'static LocalKey<Pool<Self>>;
    #[doc(hidden)]
    fn shared() -> &'static Mutex<Vec<Vec<Self>>>;
}

macro_rules! element {
    ($t:ty, $portable:ty, $avx2:ty, $avx512:ty, $exp:path, $tanh:path) => {
        impl Element for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const NEG_INFINITY: Self = <$t>::NEG_INFINITY;
            type Portable = $portable;
            type Avx2 = $avx2;
            type Avx512 = $avx512;
            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                value as $t
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn exp(self) -> Self {
                $exp(self)
            }
            #[inline(always)]
            fn ln(self) -> Self {
                <$t>::ln(self)
            }
            #[inline(always)]
            fn tanh(self) -> Self {
                $tanh(self)
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                <$t>::sqrt(self)
            }
            #[inline(always)]
            fn powf(self, exponent: Self) -> Self {
                <$t>::powf(self, exponent)
            }
            #[inline(always)]
            fn is_nan(self) -> bool {
                <$t>::is_nan(self)
            }
            unsafe fn multiply(isa: Isa, block: &Block<'_, Self>) {
                // SAFETY: the caller's promise.
                unsafe { micro::multiply(isa, block) };
            }
            fn pool() -> &'static LocalKey<Pool<Self>> {
                thread_local! {
                    static POOL: Pool<$t> = const { RefCell::new(Vec::new()) };
                }
                &POOL
            }
            fn shared() -> &'static Mutex<Vec<Vec<Self>>> {
                static SHARED: Mutex<Vec<Vec<$t>>> = Mutex::new(Vec::new());
                &SHARED
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
element!(f32, Array<f32, 4>, F32x8, F32x16, math::exp, math::tanh);
#[cfg(not(target_arch = "x86_64"))]
element!(f32, Array<f32, 4>, Array<f32, 4>, Array<f32, 4>, math::exp, math::tanh);
element!(f64, Array<f64, 2>, Array<f64, 4, true>, Array<f64, 8, true>, f64::exp, f64::tanh);
