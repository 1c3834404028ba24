//! Every channel of every picture times a number of its own: squeeze-and-excitation's last step.

#![expect(unsafe_code, reason = "tasks write to disjoint planes of one slice")]

use crate::element::Element;
use crate::error::{Result, Shape, check_len, check_nonzero};
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::{Shared, planes_each, ranges};
use crate::reduce::{Terms, sum_pairs};
use crate::simd::Lanes;

/// `out[n][c] = input[n][c] * scale[n][c]` for whole planes.
///
/// # Errors
/// A slice isn't as long as its shape, or a side is zero.
pub fn forward<T: Element>(shape: Shape, input: &[T], scale: &[T], out: &mut [T]) -> Result<()> {
    let op = "channel_scale";
    let pixels = check(op, shape, &[("input", input.len()), ("out", out.len())], &[("scale", scale.len())])?;
    let (isa, out) = (Isa::current(), Shared::new(out));
    ranges(scale.len(), planes_each(pixels), pixels, |planes| {
        dispatch(isa, Forward { planes, pixels, input, scale, out });
    });
    Ok(())
}

/// The gradients of input and scale.
///
/// # Errors
/// As [`forward`].
pub fn backward<T: Element>(
    shape: Shape,
    input: &[T],
    scale: &[T],
    grad_out: &[T],
    grad_input: &mut [T],
    grad_scale: &mut [T],
) -> Result<()> {
    let op = "channel_scale backward";
    let whole = [("input", input.len()), ("grad_out", grad_out.len()), ("grad_input", grad_input.len())];
    let pixels = check(op, shape, &whole, &[("scale", scale.len()), ("grad_scale", grad_scale.len())])?;
    let isa = Isa::current();
    let (to_input, to_scale) = (Shared::new(grad_input), Shared::new(grad_scale));
    ranges(scale.len(), planes_each(pixels), 2 * pixels, |planes| {
        dispatch(isa, Forward { planes: planes.clone(), pixels, input: grad_out, scale, out: to_input });
        dispatch(isa, Sums { planes, pixels, input, grad_out, to_scale });
    });
    Ok(())
}

/// Checks the slices of whole tensors and those of one number for each plane; gives the pixels of a plane.
fn check(
    op: &'static str,
    shape: Shape,
    whole: &[(&'static str, usize)],
    scales: &[(&'static str, usize)],
) -> Result<usize> {
    check_nonzero(op, "a side of the input", &shape)?;
    for &(what, len) in whole {
        check_len(op, what, len, &shape)?;
    }
    for &(what, len) in scales {
        check_len(op, what, len, &shape[..2])?;
    }
    Ok(shape[2] * shape[3])
}

struct Forward<'a, T> {
    planes: std::ops::Range<usize>,
    pixels: usize,
    input: &'a [T],
    scale: &'a [T],
    out: Shared<T>,
}

impl<T: Element> Kernel<T> for Forward<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        for plane in self.planes {
            let (start, scale) = (plane * self.pixels, self.scale[plane]);
            // SAFETY: the plane is this task's.
            let out = unsafe { self.out.slice(start, self.pixels) };
            for (out, &x) in out.iter_mut().zip(&self.input[start..start + self.pixels]) {
                *out = x * scale;
            }
        }
    }
}

struct Sums<'a, T> {
    planes: std::ops::Range<usize>,
    pixels: usize,
    input: &'a [T],
    grad_out: &'a [T],
    to_scale: Shared<T>,
}

impl<T: Element> Kernel<T> for Sums<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        for plane in self.planes {
            let pixels = plane * self.pixels..(plane + 1) * self.pixels;
            let (input, grad) = (&self.input[pixels.clone()], &self.grad_out[pixels]);
            let (sum, _) = sum_pairs(input, grad, grad, Products);
            // SAFETY: the plane's number is this task's.
            unsafe { self.to_scale.slice(plane, 1)[0] = T::from_f64(sum) };
        }
    }
}

/// The product of two numbers, and nothing.
#[derive(Clone, Copy)]
struct Products;

impl<T: Element> Terms<T> for Products {
    #[inline(always)]
    fn of(self, x: T, grad: T, _: T) -> (T, T) {
        (x * grad, T::ZERO)
    }
}
