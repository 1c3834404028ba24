//! Activations, alone and with an addition before them.

#![expect(unsafe_code, reason = "tasks write to disjoint parts of one slice")]

use crate::element::{Checked, Element, compiled};
use crate::error::{Result, check_equal};
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::{CHUNK, Shared, ranges};
use crate::simd::Lanes;

/// An element-wise function whose derivative follows from its result, so that the backward pass needs that
/// alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Activation {
    /// The value itself.
    #[default]
    Identity,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
}

impl Activation {
    /// The function's value. NaN stays NaN.
    #[inline(always)]
    pub fn apply<T: Element>(self, x: T) -> T {
        let six = T::from_f64(6.0);
        match self {
            Self::Identity => x,
            Self::Relu => floor_zero(x),
            Self::Relu6 => {
                let x = floor_zero(x);
                if x > six { six } else { x }
            }
            Self::Sigmoid => T::ONE / (T::ONE + (-x).exp()),
            Self::Tanh => x.tanh(),
        }
    }

    /// The gradient of the argument, from the function's value `y` and the value's gradient.
    #[inline(always)]
    pub fn derive<T: Element>(self, y: T, grad: T) -> T {
        match self {
            Self::Identity => grad,
            Self::Relu => {
                if y <= T::ZERO {
                    T::ZERO
                } else {
                    grad
                }
            }
            Self::Relu6 => {
                if y <= T::ZERO || y >= T::from_f64(6.0) {
                    T::ZERO
                } else {
                    grad
                }
            }
            Self::Sigmoid => grad * y * (T::ONE - y),
            Self::Tanh => grad * (T::ONE - y * y),
        }
    }
}

#[inline(always)]
fn floor_zero<T: Element>(x: T) -> T {
    if x < T::ZERO { T::ZERO } else { x }
}

/// Runs `$body` with `$act` a constant, so that its loop is compiled for that activation alone.
macro_rules! each_activation {
    ($activation:expr, $act:ident => $body:expr) => {
        match $activation {
            $crate::activation::Activation::Identity => {
                let $act = $crate::activation::Activation::Identity;
                $body
            }
            $crate::activation::Activation::Relu => {
                let $act = $crate::activation::Activation::Relu;
                $body
            }
            $crate::activation::Activation::Relu6 => {
                let $act = $crate::activation::Activation::Relu6;
                $body
            }
            $crate::activation::Activation::Sigmoid => {
                let $act = $crate::activation::Activation::Sigmoid;
                $body
            }
            $crate::activation::Activation::Tanh => {
                let $act = $crate::activation::Activation::Tanh;
                $body
            }
        }
    };
}
pub(crate) use each_activation;

compiled! {
    activate = map: (
        activation: Activation, step: Step, left: &[Self], right: Option<&[Self]>, out: &mut [Self],
    );
    activate_in_place = in_place: (activation: Activation, values: &mut [Self]);
}

/// `out = activation(input)`.
///
/// # Errors
/// The slices differ in length.
pub fn forward<T: Element>(activation: Activation, input: &[T], out: &mut [T]) -> Result<()> {
    check_equal("activation", ("input's length", input.len()), ("out's length", out.len()))?;
    T::activate(Checked, activation, Step::Forward, input, None, out);
    Ok(())
}

/// `values = activation(values)`.
fn in_place<T: Element>(activation: Activation, values: &mut [T]) {
    let (isa, len, values) = (Isa::current(), values.len(), Shared::new(values));
    ranges(len, CHUNK, 8, |range| {
        // SAFETY: ranges are disjoint and end at the slice's length.
        let values = unsafe { values.slice(range.start, range.len()) };
        dispatch(isa, InPlace { activation, values });
    });
}

struct InPlace<'a, T> {
    activation: Activation,
    values: &'a mut [T],
}

impl<T: Element> Kernel<T> for InPlace<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        each_activation!(self.activation, act => for value in self.values { *value = act.apply(*value) });
    }
}

/// `grad_input`, from the forward pass's *result* and its gradient. It is also the gradient of both addends
/// of [`add_forward`].
///
/// # Errors
/// The slices differ in length.
pub fn backward<T: Element>(
    activation: Activation,
    out: &[T],
    grad_out: &[T],
    grad_input: &mut [T],
) -> Result<()> {
    let op = "activation backward";
    check_equal(op, ("out's length", out.len()), ("grad_out's length", grad_out.len()))?;
    check_equal(op, ("out's length", out.len()), ("grad_input's length", grad_input.len()))?;
    T::activate(Checked, activation, Step::Backward, out, Some(grad_out), grad_input);
    Ok(())
}

/// `out = activation(left + right)`; its gradient is [`backward`]'s, for both.
///
/// # Errors
/// The slices differ in length.
pub fn add_forward<T: Element>(activation: Activation, left: &[T], right: &[T], out: &mut [T]) -> Result<()> {
    let op = "add and activation";
    check_equal(op, ("left's length", left.len()), ("right's length", right.len()))?;
    check_equal(op, ("left's length", left.len()), ("out's length", out.len()))?;
    T::activate(Checked, activation, Step::Add, left, Some(right), out);
    Ok(())
}

/// What is done with an activation.
#[derive(Clone, Copy)]
pub enum Step {
    /// It alone.
    Forward,
    /// Its derivative, from its result.
    Backward,
    /// It, of a sum.
    Add,
}

fn map<T: Element>(activation: Activation, step: Step, left: &[T], right: Option<&[T]>, out: &mut [T]) {
    let (isa, len, out) = (Isa::current(), out.len(), Shared::new(out));
    let right = right.unwrap_or(left);
    ranges(len, CHUNK, 1, |range| {
        // SAFETY: ranges are disjoint and end at the slice's length.
        let out = unsafe { out.slice(range.start, range.len()) };
        dispatch(isa, Map { activation, step, left: &left[range.clone()], right: &right[range], out });
    });
}

struct Map<'a, T> {
    activation: Activation,
    step: Step,
    left: &'a [T],
    right: &'a [T],
    out: &'a mut [T],
}

impl<T: Element> Kernel<T> for Map<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let pairs = self.out.iter_mut().zip(self.left.iter().zip(self.right));
        each_activation!(self.activation, act => match self.step {
            Step::Forward => for (out, (&x, _)) in pairs { *out = act.apply(x) },
            Step::Backward => for (out, (&y, &grad)) in pairs { *out = act.derive(y, grad) },
            Step::Add => for (out, (&a, &b)) in pairs { *out = act.apply(a + b) },
        });
    }
}
