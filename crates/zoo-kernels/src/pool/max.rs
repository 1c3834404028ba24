//! Max pools. The forward pass keeps no indices: the backward pass finds each window's first pixel that equals
//! the maximum, all windows of a row at a time.

#![expect(unsafe_code, reason = "tasks write to disjoint planes of one slice")]

use super::check_all;
use super::spec::{Pool2d, Window, windows};
use crate::conv::inside;
use crate::element::Element;
use crate::error::{Result, Shape};
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::{Shared, planes_each, ranges};
use crate::scratch;
use crate::simd::Lanes;

/// `out` = the largest value of each window, or NaN if there is one in it.
///
/// # Errors
/// As [`Pool2d::output_shape`], or a slice isn't as long as its shape.
pub fn max_forward<T: Element>(pool: &Pool2d, shape: Shape, input: &[T], out: &mut [T]) -> Result<()> {
    let op = "max_pool2d";
    let output = pool.output_shape(shape)?;
    check_all(op, shape, &[("input", input.len())])?;
    check_all(op, output, &[("out", out.len())])?;
    let rows = windows(pool, 0, shape[2], output[2]);
    let (isa, out) = (Isa::current(), Shared::new(out));
    let pixels = shape[2] * shape[3];
    ranges(shape[0] * shape[1], planes_each(pixels), 4 * pixels, |planes| {
        dispatch(isa, Forward { pool, shape, output, rows: &rows, planes, input, out });
    });
    Ok(())
}

/// The gradient of the input: a window's goes to its first largest value.
///
/// `out` is the forward pass's result.
///
/// # Errors
/// As [`max_forward`].
pub fn max_backward<T: Element>(
    pool: &Pool2d,
    shape: Shape,
    input: &[T],
    out: &[T],
    grad_out: &[T],
    grad_input: &mut [T],
) -> Result<()> {
    let op = "max_pool2d backward";
    let output = pool.output_shape(shape)?;
    check_all(op, shape, &[("input", input.len()), ("grad_input", grad_input.len())])?;
    check_all(op, output, &[("out", out.len()), ("grad_out", grad_out.len())])?;
    let rows = windows(pool, 0, shape[2], output[2]);
    let (isa, grad_input) = (Isa::current(), Shared::new(grad_input));
    let pixels = shape[2] * shape[3];
    ranges(shape[0] * shape[1], planes_each(pixels), 8 * pixels, |planes| {
        dispatch(
            isa,
            Backward { pool, shape, output, rows: &rows, planes, input, out, grad_out, grad_input },
        );
    });
    Ok(())
}

/// For tap `kx`: which windows have it inside the row, and where the first of them finds it.
#[inline(always)]
fn tap(pool: &Pool2d, kx: usize, width: usize, windows: usize) -> (std::ops::Range<usize>, usize) {
    let (left, step) = (pool.padding.left, pool.stride[1]);
    let offset = kx * pool.dilation[1];
    let (low, high) = inside(offset as isize - left as isize, step, width, windows);
    if low >= high { (0..0, 0) } else { (low..high, low * step + offset - left) }
}

/// The taps that some window has inside the row: of a kernel much wider than the row, most are in none.
fn taps(pool: &Pool2d, width: usize, windows: usize) -> std::ops::Range<usize> {
    let (left, dilation) = (pool.padding.left, pool.dilation[1]);
    let last_start = (windows - 1) * pool.stride[1];
    left.saturating_sub(last_start) / dilation..(left + width).div_ceil(dilation).min(pool.kernel_size[1])
}

/// The larger, or NaN if either is: a comparison with NaN is false.
#[inline(always)]
fn larger<T: Element>(a: T, b: T) -> T {
    if b > a || b.is_nan() { b } else { a }
}

struct Forward<'a, T> {
    pool: &'a Pool2d,
    shape: Shape,
    output: Shape,
    rows: &'a [Window],
    planes: std::ops::Range<usize>,
    input: &'a [T],
    out: Shared<T>,
}

impl<T: Element> Kernel<T> for Forward<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let ([_, _, h, w], [_, _, oh, ow]) = (self.shape, self.output);
        let mut column = scratch::take::<T>(w);
        for plane in self.planes {
            let input = &self.input[plane * h * w..(plane + 1) * h * w];
            // SAFETY: the plane is this task's.
            let out = unsafe { self.out.slice(plane * oh * ow, oh * ow) };
            for (out, window) in out.chunks_exact_mut(ow).zip(self.rows) {
                // Down the rows of the windows, then along what that leaves.
                column.fill(T::NEG_INFINITY);
                for y in window.inside.clone().step_by(self.pool.dilation[0]) {
                    for (most, &x) in column.iter_mut().zip(&input[y * w..(y + 1) * w]) {
                        *most = larger(*most, x);
                    }
                }
                out.fill(T::NEG_INFINITY);
                for kx in taps(self.pool, w, ow) {
                    let (windows, first) = tap(self.pool, kx, w, ow);
                    let values = column[first.min(w)..].iter().step_by(self.pool.stride[1]);
                    for (out, &x) in out[windows].iter_mut().zip(values) {
                        *out = larger(*out, x);
                    }
                }
            }
        }
    }
}

struct Backward<'a, T> {
    pool: &'a Pool2d,
    shape: Shape,
    output: Shape,
    rows: &'a [Window],
    planes: std::ops::Range<usize>,
    input: &'a [T],
    out: &'a [T],
    grad_out: &'a [T],
    grad_input: Shared<T>,
}

impl<T: Element> Kernel<T> for Backward<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let ([_, _, h, w], [_, _, oh, ow]) = (self.shape, self.output);
        // What of each window's gradient hasn't found its pixel yet.
        let mut left = scratch::take::<T>(ow);
        for plane in self.planes {
            let input = &self.input[plane * h * w..(plane + 1) * h * w];
            let most = &self.out[plane * oh * ow..(plane + 1) * oh * ow];
            let grads = &self.grad_out[plane * oh * ow..(plane + 1) * oh * ow];
            // SAFETY: the plane is this task's.
            let grad_input = unsafe { self.grad_input.slice(plane * h * w, h * w) };
            grad_input.fill(T::ZERO);
            let windows = self.rows.iter().zip(most.chunks_exact(ow)).zip(grads.chunks_exact(ow));
            for ((window, most), grads) in windows {
                left.copy_from_slice(grads);
                for y in window.inside.clone().step_by(self.pool.dilation[0]) {
                    let (input, to) = (&input[y * w..(y + 1) * w], &mut grad_input[y * w..(y + 1) * w]);
                    for kx in taps(self.pool, w, ow) {
                        let (windows, first) = tap(self.pool, kx, w, ow);
                        let step = self.pool.stride[1];
                        let pixels = input[first.min(w)..].iter().zip(&mut to[first.min(w)..]).step_by(step);
                        let pairs = most[windows.clone()].iter().zip(&mut left[windows]);
                        for ((&most, left), (&x, to)) in pairs.zip(pixels) {
                            let found = x == most || (x.is_nan() && most.is_nan());
                            *to += if found { *left } else { T::ZERO };
                            *left = if found { T::ZERO } else { *left };
                        }
                    }
                }
            }
        }
    }
}
