//! Average pools: down the rows of a window by whole rows of the input, then along that one row.

#![expect(unsafe_code, reason = "tasks write to disjoint planes of one slice")]

use super::spec::{Pool2d, Window, adaptive_windows, windows};
use crate::element::{Checked, Element};
use crate::error::{KernelError, Result, Shape, check_len, check_nonzero};
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::{Shared, planes_each, ranges};
use crate::scratch;
use crate::simd::Lanes;

/// `out` = the mean of each window.
///
/// # Errors
/// As [`Pool2d::output_shape`], a slice isn't as long as its shape, or the pool has a dilation.
pub fn average_forward<T: Element>(pool: &Pool2d, shape: Shape, input: &[T], out: &mut [T]) -> Result<()> {
    let op = "avg_pool2d";
    let sides = sides(op, pool, shape, ("input", input.len()), ("out", out.len()))?;
    T::average_pool(Checked, shape, &sides, input, out);
    Ok(())
}

/// The gradient of the input: every pixel's share of the windows it is in.
///
/// # Errors
/// As [`average_forward`].
pub fn average_backward<T: Element>(
    pool: &Pool2d,
    shape: Shape,
    grad_out: &[T],
    grad_input: &mut [T],
) -> Result<()> {
    let op = "avg_pool2d backward";
    let sides = sides(op, pool, shape, ("grad_input", grad_input.len()), ("grad_out", grad_out.len()))?;
    T::average_pool_backward(Checked, shape, &sides, grad_out, grad_input);
    Ok(())
}

/// `out`, of height and width `size`, = the means of windows that divide the input as evenly as can be.
///
/// # Errors
/// A side is zero, or a slice isn't as long as its shape.
pub fn adaptive_average_forward<T: Element>(
    size: [usize; 2],
    shape: Shape,
    input: &[T],
    out: &mut [T],
) -> Result<()> {
    let op = "adaptive_avg_pool2d";
    let sides = adaptive_sides(op, size, shape, ("input", input.len()), ("out", out.len()))?;
    T::average_pool(Checked, shape, &sides, input, out);
    Ok(())
}

/// The gradient of [`adaptive_average_forward`]'s input.
///
/// # Errors
/// As there.
pub fn adaptive_average_backward<T: Element>(
    size: [usize; 2],
    shape: Shape,
    grad_out: &[T],
    grad_input: &mut [T],
) -> Result<()> {
    let op = "adaptive_avg_pool2d backward";
    let sides =
        adaptive_sides(op, size, shape, ("grad_input", grad_input.len()), ("grad_out", grad_out.len()))?;
    T::average_pool_backward(Checked, shape, &sides, grad_out, grad_input);
    Ok(())
}

/// The windows down and across.
pub(super) type Sides = [Vec<Window>; 2];
/// What a slice is, and its length.
type Slice = (&'static str, usize);

fn sides(op: &'static str, pool: &Pool2d, shape: Shape, input: Slice, out: Slice) -> Result<Sides> {
    let output = pool.output_shape(shape)?;
    check_len(op, input.0, input.1, &shape)?;
    check_len(op, out.0, out.1, &output)?;
    if pool.dilation != [1, 1] {
        let value = format!("{:?}", pool.dilation);
        return Err(KernelError::Value { op, what: "dilation", value, must: "[1, 1] for an average" });
    }
    Ok([0, 1].map(|i| windows(pool, i, shape[2 + i], output[2 + i])))
}

fn adaptive_sides(
    op: &'static str,
    size: [usize; 2],
    shape: Shape,
    input: Slice,
    out: Slice,
) -> Result<Sides> {
    check_nonzero(op, "a side of the input", &shape)?;
    check_nonzero(op, "output size", &size)?;
    check_len(op, input.0, input.1, &shape)?;
    check_len(op, out.0, out.1, &[shape[0], shape[1], size[0], size[1]])?;
    Ok([0, 1].map(|i| adaptive_windows(shape[2 + i], size[i])))
}

pub(super) fn forward<T: Element>(shape: Shape, sides: &Sides, input: &[T], out: &mut [T]) {
    let (isa, out) = (Isa::current(), Shared::new(out));
    let pixels = shape[2] * shape[3];
    ranges(shape[0] * shape[1], planes_each(pixels), pixels, |planes| {
        dispatch(isa, Forward { size: [shape[2], shape[3]], sides, planes, input, out });
    });
}

struct Forward<'a, T> {
    size: [usize; 2],
    sides: &'a Sides,
    planes: std::ops::Range<usize>,
    input: &'a [T],
    out: Shared<T>,
}

impl<T: Element> Kernel<T> for Forward<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let ([h, w], [down, across]) = (self.size, self.sides);
        let mut row = scratch::take::<T>(w);
        for plane in self.planes {
            let input = &self.input[plane * h * w..(plane + 1) * h * w];
            // SAFETY: the plane is this task's.
            let out = unsafe { self.out.slice(plane * down.len() * across.len(), down.len() * across.len()) };
            for (out, window) in out.chunks_exact_mut(across.len()).zip(down) {
                row.fill(T::ZERO);
                for line in input.chunks_exact(w).take(window.inside.end).skip(window.inside.start) {
                    for (sum, &x) in row.iter_mut().zip(line) {
                        *sum += x;
                    }
                }
                for (out, columns) in out.iter_mut().zip(across) {
                    let mut sum = T::ZERO;
                    for &x in &row[columns.inside.clone()] {
                        sum += x;
                    }
                    *out = sum / T::from_f64((window.count * columns.count) as f64);
                }
            }
        }
    }
}

pub(super) fn backward<T: Element>(shape: Shape, sides: &Sides, grad_out: &[T], grad_input: &mut [T]) {
    let (isa, grad_input) = (Isa::current(), Shared::new(grad_input));
    let pixels = shape[2] * shape[3];
    ranges(shape[0] * shape[1], planes_each(pixels), pixels, |planes| {
        dispatch(isa, Backward { size: [shape[2], shape[3]], sides, planes, grad_out, grad_input });
    });
}

struct Backward<'a, T> {
    size: [usize; 2],
    sides: &'a Sides,
    planes: std::ops::Range<usize>,
    grad_out: &'a [T],
    grad_input: Shared<T>,
}

impl<T: Element> Kernel<T> for Backward<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let ([h, w], [down, across]) = (self.size, self.sides);
        let outputs = down.len() * across.len();
        let mut row = scratch::take::<T>(w);
        for plane in self.planes {
            let grads = &self.grad_out[plane * outputs..(plane + 1) * outputs];
            // SAFETY: the plane is this task's.
            let grad_input = unsafe { self.grad_input.slice(plane * h * w, h * w) };
            grad_input.fill(T::ZERO);
            for (grads, window) in grads.chunks_exact(across.len()).zip(down) {
                row.fill(T::ZERO);
                for (&grad, columns) in grads.iter().zip(across) {
                    let share = grad / T::from_f64((window.count * columns.count) as f64);
                    for sum in &mut row[columns.inside.clone()] {
                        *sum += share;
                    }
                }
                let lines = grad_input.chunks_exact_mut(w);
                for line in lines.take(window.inside.end).skip(window.inside.start) {
                    for (to, &share) in line.iter_mut().zip(row.iter()) {
                        *to += share;
                    }
                }
            }
        }
    }
}
