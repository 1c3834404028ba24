//! A vector as an array: what the compiler vectorises for whatever it compiles for.

#![expect(unsafe_code, reason = "loads and stores through pointers")]

use std::ops::Range;

use super::Lanes;
use crate::element::Element;
use crate::gemm::micro::tile;

/// On 64-bit Arm a fused multiply-add is part of the baseline; on plain x86-64 it would be a call.
pub(crate) const BASELINE_FUSES: bool = cfg!(target_arch = "aarch64");

/// `N` numbers; `FUSED` where a multiply-add is one instruction.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Array<T, const N: usize, const FUSED: bool = BASELINE_FUSES>([T; N]);

macro_rules! lanes {
    ($t:ty) => {
        impl<const N: usize, const FUSED: bool> Lanes for Array<$t, N, FUSED> {
            type Elem = $t;
            type Mask = [usize; 2];
            const N: usize = N;
            tile!(#[inline(always)] 1, 6; 1, 2);

            // One by one behind the last whole tile: the compiler takes long to vectorise each size of a tile.
            #[inline(always)]
            fn rows(rest: usize) -> usize {
                if rest >= Self::ROWS { Self::ROWS } else { 1 }
            }

            #[inline(always)]
            fn splat(value: $t) -> Self {
                Self([value; N])
            }
            #[inline(always)]
            unsafe fn load(from: *const $t) -> Self {
                // SAFETY: the caller's promise; an array of numbers is read without alignment.
                Self(unsafe { from.cast::<[$t; N]>().read_unaligned() })
            }
            #[inline(always)]
            unsafe fn load_part(from: *const $t, count: usize) -> Self {
                let mut lanes = [<$t as Element>::ZERO; N];
                for (i, lane) in lanes.iter_mut().enumerate().take(count) {
                    // SAFETY: `i < count`, and the caller promises `count` numbers.
                    *lane = unsafe { *from.add(i) };
                }
                Self(lanes)
            }
            #[inline(always)]
            fn mask(lanes: Range<usize>) -> [usize; 2] {
                [lanes.start, lanes.end]
            }
            #[inline(always)]
            unsafe fn load_lanes(from: *const $t, [start, end]: [usize; 2]) -> Self {
                let mut lanes = [<$t as Element>::ZERO; N];
                for (i, lane) in lanes.iter_mut().enumerate() {
                    if i >= start && i < end {
                        // SAFETY: the caller promises these lanes.
                        *lane = unsafe { *from.wrapping_add(i) };
                    }
                }
                Self(lanes)
            }
            #[inline(always)]
            unsafe fn load_even(from: *const $t, count: usize) -> Self {
                let mut lanes = [<$t as Element>::ZERO; N];
                for (i, lane) in lanes.iter_mut().enumerate().take(count) {
                    // SAFETY: `2 * i <= 2 * count - 2`, and the caller promises `2 * count - 1` numbers.
                    *lane = unsafe { *from.add(2 * i) };
                }
                Self(lanes)
            }
            #[inline(always)]
            unsafe fn load_pairs(from: *const $t) -> Self {
                // SAFETY: the caller promises twice as many numbers as these.
                unsafe { Self::load_even(from, N) }
            }
            #[inline(always)]
            unsafe fn load_pairs_lanes(from: *const $t, lanes: [[usize; 2]; 2]) -> Self {
                // SAFETY: the caller's promise.
                let both = unsafe {
                    [Self::load_lanes(from, lanes[0]), Self::load_lanes(from.wrapping_add(N), lanes[1])]
                };
                Self(std::array::from_fn(|i| both[2 * i / N].0[2 * i % N]))
            }
            #[inline(always)]
            fn zip(self, odd: Self) -> [Self; 2] {
                let both = [self.0, odd.0];
                std::array::from_fn(|half| Self(std::array::from_fn(|i| both[i % 2][(half * N + i) / 2])))
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut $t) {
                // SAFETY: the caller's promise; an array of numbers is written without alignment.
                unsafe { to.cast::<[$t; N]>().write_unaligned(self.0) };
            }
            #[inline(always)]
            unsafe fn store_part(self, to: *mut $t, count: usize) {
                for (i, &lane) in self.0.iter().enumerate().take(count) {
                    // SAFETY: `i < count`, and the caller promises room for `count` numbers.
                    unsafe { *to.add(i) = lane };
                }
            }
            #[inline(always)]
            fn fma(mut self, a: Self, b: Self) -> Self {
                for i in 0..N {
                    self.0[i] =
                        if FUSED { a.0[i].mul_add(b.0[i], self.0[i]) } else { a.0[i] * b.0[i] + self.0[i] };
                }
                self
            }
            #[inline(always)]
            fn add(mut self, other: Self) -> Self {
                for i in 0..N {
                    self.0[i] += other.0[i];
                }
                self
            }
            #[inline(always)]
            fn mul(mut self, other: Self) -> Self {
                for i in 0..N {
                    self.0[i] *= other.0[i];
                }
                self
            }
            #[inline(always)]
            fn at_least(mut self, low: Self) -> Self {
                for i in 0..N {
                    self.0[i] = if self.0[i] < low.0[i] { low.0[i] } else { self.0[i] };
                }
                self
            }
            #[inline(always)]
            fn larger(mut self, other: Self) -> Self {
                for i in 0..N {
                    self.0[i] = if self.0[i] >= other.0[i] || self.0[i].is_nan() { self.0[i] } else { other.0[i] };
                }
                self
            }
            #[inline(always)]
            fn at_most(mut self, high: Self) -> Self {
                for i in 0..N {
                    self.0[i] = if self.0[i] > high.0[i] { high.0[i] } else { self.0[i] };
                }
                self
            }
            #[inline(always)]
            fn split_equal(self, other: Self, values: Self) -> (Self, Self) {
                let (mut same, mut different) = ([<$t as Element>::ZERO; N], values.0);
                for i in 0..N {
                    if (self.0[i] == other.0[i]) | (self.0[i].is_nan() & other.0[i].is_nan()) {
                        (same[i], different[i]) = (values.0[i], <$t as Element>::ZERO);
                    }
                }
                (Self(same), Self(different))
            }
            #[inline(always)]
            fn sum(self) -> $t {
                let mut lanes = self.0;
                let mut half = N / 2;
                while half > 0 {
                    for i in 0..half {
                        lanes[i] += lanes[i + half];
                    }
                    half /= 2;
                }
                lanes[0]
            }
            #[inline(always)]
            unsafe fn transpose(from: *const $t, from_row: usize, to: *mut $t, to_row: usize) {
                for i in 0..N {
                    for j in 0..N {
                        // SAFETY: rows and columns are below `N`, as the caller promises.
                        unsafe { *to.add(j * to_row + i) = *from.add(i * from_row + j) };
                    }
                }
            }
        }
    };
}

lanes!(f32);
lanes!(f64);
