//! Probabilities from logits.

#![expect(unsafe_code, reason = "tasks write to disjoint parts of one slice")]

use std::ops::Range;

use crate::element::Element;
use crate::error::{Result, check_len, check_nonzero};
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::{Shared, planes_each, ranges};
use crate::scratch;
use crate::simd::Lanes;

/// Numbers side by side that are taken together, where the classes aren't neighbours.
const PIXELS: usize = 256;

/// `out` = `e^x / Σ e^x` over the middle axis of a tensor of the shape `(outer, classes, inner)`: with an `inner` of 1
/// over the last axis, with the number of pixels over the channels of each.
///
/// The largest is subtracted first, so that nothing overflows. A NaN makes all of its classes NaN.
///
/// # Errors
/// A side is zero, or a slice isn't as long as the shape.
pub fn forward<T: Element>(shape: [usize; 3], input: &[T], out: &mut [T]) -> Result<()> {
    let op = "softmax";
    check_nonzero(op, "a side of the input", &shape)?;
    check_len(op, "input", input.len(), &shape)?;
    check_len(op, "out", out.len(), &shape)?;
    let (isa, out) = (Isa::current(), Shared::new(out));
    let each = shape[1] * shape[2];
    ranges(shape[0], planes_each(each), 16 * each, |outer| {
        dispatch(isa, Forward { shape, outer, input, out });
    });
    Ok(())
}

/// `grad_input`, from the forward pass's *result* and its gradient.
///
/// # Errors
/// As [`forward`].
pub fn backward<T: Element>(
    shape: [usize; 3],
    out: &[T],
    grad_out: &[T],
    grad_input: &mut [T],
) -> Result<()> {
    let op = "softmax backward";
    check_nonzero(op, "a side of the input", &shape)?;
    check_len(op, "out", out.len(), &shape)?;
    check_len(op, "grad_out", grad_out.len(), &shape)?;
    check_len(op, "grad_input", grad_input.len(), &shape)?;
    let (isa, grad_input) = (Isa::current(), Shared::new(grad_input));
    let each = shape[1] * shape[2];
    ranges(shape[0], planes_each(each), 4 * each, |outer| {
        dispatch(isa, Backward { shape, outer, out, grad_out, grad_input });
    });
    Ok(())
}

/// The larger, or NaN if either is.
#[inline(always)]
fn larger<T: Element>(a: T, b: T) -> T {
    if b > a || b.is_nan() { b } else { a }
}

struct Forward<'a, T> {
    shape: [usize; 3],
    outer: Range<usize>,
    input: &'a [T],
    out: Shared<T>,
}

impl<T: Element> Kernel<T> for Forward<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let [_, classes, inner] = self.shape;
        let mut most = scratch::take::<T>(PIXELS);
        let mut sums = scratch::take::<T>(PIXELS);
        for outer in self.outer {
            let at = outer * classes * inner;
            let input = &self.input[at..at + classes * inner];
            // SAFETY: this part of the output is this task's.
            let out = unsafe { self.out.slice(at, classes * inner) };
            if inner == 1 {
                let most = input.iter().fold(T::NEG_INFINITY, |most, &x| larger(most, x));
                let mut sum = T::ZERO;
                for (out, &x) in out.iter_mut().zip(input) {
                    *out = (x - most).exp();
                }
                for &x in out.iter() {
                    sum += x;
                }
                for out in out {
                    *out = *out / sum;
                }
                continue;
            }
            for first in (0..inner).step_by(PIXELS) {
                let count = PIXELS.min(inner - first);
                let (most, sums) = (&mut most[..count], &mut sums[..count]);
                most.fill(T::NEG_INFINITY);
                sums.fill(T::ZERO);
                for class in input.chunks_exact(inner) {
                    for (most, &x) in most.iter_mut().zip(&class[first..]) {
                        *most = larger(*most, x);
                    }
                }
                for (out, class) in out.chunks_exact_mut(inner).zip(input.chunks_exact(inner)) {
                    let values = out[first..].iter_mut().zip(&class[first..]);
                    for ((sum, &most), (out, &x)) in sums.iter_mut().zip(most.iter()).zip(values) {
                        *out = (x - most).exp();
                        *sum += *out;
                    }
                }
                for out in out.chunks_exact_mut(inner) {
                    for (out, &sum) in out[first..].iter_mut().zip(sums.iter()) {
                        *out = *out / sum;
                    }
                }
            }
        }
    }
}

struct Backward<'a, T> {
    shape: [usize; 3],
    outer: Range<usize>,
    out: &'a [T],
    grad_out: &'a [T],
    grad_input: Shared<T>,
}

impl<T: Element> Kernel<T> for Backward<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let [_, classes, inner] = self.shape;
        let mut dots = scratch::take::<T>(PIXELS);
        for outer in self.outer {
            let at = outer * classes * inner;
            let (out, grad) = (&self.out[at..at + classes * inner], &self.grad_out[at..at + classes * inner]);
            // SAFETY: this part of the gradient is this task's.
            let to = unsafe { self.grad_input.slice(at, classes * inner) };
            for first in (0..inner).step_by(PIXELS) {
                let dots = &mut dots[..PIXELS.min(inner - first)];
                dots.fill(T::ZERO);
                for (out, grad) in out.chunks_exact(inner).zip(grad.chunks_exact(inner)) {
                    let values = out[first..].iter().zip(&grad[first..]);
                    for (dot, (&y, &g)) in dots.iter_mut().zip(values) {
                        *dot += y * g;
                    }
                }
                let classes = out.chunks_exact(inner).zip(grad.chunks_exact(inner));
                for (to, (out, grad)) in to.chunks_exact_mut(inner).zip(classes) {
                    let values = out[first..].iter().zip(&grad[first..]);
                    for ((to, &dot), (&y, &g)) in to[first..].iter_mut().zip(dots.iter()).zip(values) {
                        *to = y * (g - dot);
                    }
                }
            }
        }
    }
}
