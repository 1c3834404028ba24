//! Max pools. The forward pass keeps no indices: the backward pass finds each window's first pixel that equals
//! the maximum, all windows of a row at a time.

#![expect(unsafe_code, reason = "tasks write to disjoint planes of one slice")]

use std::ops::Range;

use super::check_all;
use super::spec::{Pool2d, Window, windows};
use crate::conv::inside;
use crate::element::{Checked, Element};
use crate::error::{Result, Shape};
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::{Shared, planes_each, ranges};
use crate::scratch;
use crate::simd::{Lanes, copy};

/// `out` = the largest value of each window, or NaN if there is one in it.
///
/// # Errors
/// As [`Pool2d::output_shape`], or a slice isn't as long as its shape.
pub fn max_forward<T: Element>(pool: &Pool2d, shape: Shape, input: &[T], out: &mut [T]) -> Result<()> {
    let op = "max_pool2d";
    let output = pool.output_shape(shape)?;
    check_all(op, shape, &[("input", input.len())])?;
    check_all(op, output, &[("out", out.len())])?;
    T::max_pool(Checked, pool, shape, output, input, out);
    Ok(())
}

pub(super) fn run_forward<T: Element>(
    pool: &Pool2d,
    shape: Shape,
    output: Shape,
    input: &[T],
    out: &mut [T],
) {
    let rows = windows(pool, 0, shape[2], output[2]);
    let (isa, out) = (Isa::current(), Shared::new(out));
    let pixels = shape[2] * shape[3];
    ranges(shape[0] * shape[1], planes_each(pixels), 4 * pixels, |planes| {
        dispatch(isa, Forward { pool, shape, output, rows: &rows, planes, input, out });
    });
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
    T::max_pool_backward(Checked, pool, shape, output, input, out, grad_out, grad_input);
    Ok(())
}

pub(super) fn run_backward<T: Element>(
    pool: &Pool2d,
    shape: Shape,
    output: Shape,
    input: &[T],
    out: &[T],
    grad_out: &[T],
    grad_input: &mut [T],
) {
    let rows = windows(pool, 0, shape[2], output[2]);
    let (isa, grad_input) = (Isa::current(), Shared::new(grad_input));
    let pixels = shape[2] * shape[3];
    ranges(shape[0] * shape[1], planes_each(pixels), 8 * pixels, |planes| {
        dispatch(
            isa,
            Backward { pool, shape, output, rows: &rows, planes, input, out, grad_out, grad_input },
        );
    });
}

/// For tap `kx`: which windows have it inside the row, in which phase of the stride, and where in that phase
/// the first of them finds it. (A phase holds every `stride`-th number: there, windows are neighbours.)
#[inline(always)]
fn tap(pool: &Pool2d, kx: usize, width: usize, windows: usize) -> (Range<usize>, usize, usize) {
    let (left, step) = (pool.padding.left, pool.stride[1]);
    let offset = kx * pool.dilation[1];
    let (low, high) = inside(offset as isize - left as isize, step, width, windows);
    if low >= high {
        return (0..0, 0, 0);
    }
    let first = low * step + offset - left;
    (low..high, first % step, first / step)
}

/// How rows are split by the phases of the stride: a stride wider than the row leaves one number in each.
#[derive(Clone, Copy)]
struct Phases {
    width: usize,
    step: usize,
    /// Numbers that a phase has room for.
    len: usize,
}

impl Phases {
    fn new(pool: &Pool2d, width: usize) -> Self {
        Self { width, step: pool.stride[1], len: width.div_ceil(pool.stride[1]) }
    }

    /// Phases that have any number, times the room of each.
    fn room(&self) -> usize {
        self.step.min(self.width) * self.len
    }

    /// Splits a row.
    #[inline(always)]
    fn split<S: Lanes>(&self, row: &[S::Elem], phases: &mut [S::Elem]) {
        for (phase, to) in phases.chunks_exact_mut(self.len).enumerate() {
            let count = (self.width - phase).div_ceil(self.step);
            // SAFETY: `phase < width`, `count` numbers `step` apart end within the row, and `count <= len`.
            unsafe { copy::<S>(row.as_ptr().add(phase), self.step, to.as_mut_ptr(), count) };
        }
    }

    /// Puts a row together again.
    #[inline(always)]
    fn join<T: Element>(&self, phases: &[T], row: &mut [T]) {
        if self.step == 1 {
            row.copy_from_slice(phases);
        } else if self.step == 2 && self.width > 1 {
            let (even, odd) = phases.split_at(self.len);
            let (pairs, rest) = row.as_chunks_mut::<2>();
            for (pair, (&even, &odd)) in pairs.iter_mut().zip(even.iter().zip(odd)) {
                *pair = [even, odd];
            }
            if let (Some(last), Some(&value)) = (rest.first_mut(), even.last()) {
                *last = value;
            }
        } else {
            for (x, to) in row.iter_mut().enumerate() {
                *to = phases[x % self.step * self.len + x / self.step];
            }
        }
    }
}

/// The taps that some window has inside the row: of a kernel much wider than the row, most are in none.
fn taps(pool: &Pool2d, width: usize, windows: usize) -> Range<usize> {
    let (left, dilation) = (pool.padding.left, pool.dilation[1]);
    let last_start = (windows - 1) * pool.stride[1];
    left.saturating_sub(last_start) / dilation..(left + width).div_ceil(dilation).min(pool.kernel_size[1])
}

/// The larger, or NaN if either is: a comparison with NaN is false.
#[inline(always)]
fn larger<T: Element>(a: T, b: T) -> T {
    if b > a || b.is_nan() { b } else { a }
}

/// The same of each number and its neighbour in `from`, which are as many.
#[inline(always)]
fn take_larger<S: Lanes>(most: &mut [S::Elem], from: &[S::Elem]) {
    let (mut whole, mut others) = (most.chunks_exact_mut(S::N), from.chunks_exact(S::N));
    for (most, from) in whole.by_ref().zip(others.by_ref()) {
        // SAFETY: both are a vector long.
        unsafe { S::load(most.as_ptr()).larger(S::load(from.as_ptr())).store(most.as_mut_ptr()) };
    }
    for (most, &from) in whole.into_remainder().iter_mut().zip(others.remainder()) {
        *most = larger(*most, from);
    }
}

struct Forward<'a, T> {
    pool: &'a Pool2d,
    shape: Shape,
    output: Shape,
    rows: &'a [Window],
    planes: Range<usize>,
    input: &'a [T],
    out: Shared<T>,
}

impl<T: Element> Kernel<T> for Forward<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let ([_, _, h, w], [_, _, oh, ow]) = (self.shape, self.output);
        let split = Phases::new(self.pool, w);
        let mut column = scratch::take::<T>(w);
        let mut phases = scratch::take::<T>(split.room());
        for plane in self.planes {
            let input = &self.input[plane * h * w..(plane + 1) * h * w];
            // SAFETY: the plane is this task's.
            let out = unsafe { self.out.slice(plane * oh * ow, oh * ow) };
            for (out, window) in out.chunks_exact_mut(ow).zip(self.rows) {
                // Down the rows of the windows, then along what that leaves.
                column.fill(T::NEG_INFINITY);
                for y in window.inside.clone().step_by(self.pool.dilation[0]) {
                    take_larger::<S>(&mut column, &input[y * w..(y + 1) * w]);
                }
                split.split::<S>(&column, &mut phases);
                out.fill(T::NEG_INFINITY);
                for kx in taps(self.pool, w, ow) {
                    let (windows, phase, first) = tap(self.pool, kx, w, ow);
                    let values = &phases[phase * split.len + first..][..windows.len()];
                    take_larger::<S>(&mut out[windows], values);
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
    planes: Range<usize>,
    input: &'a [T],
    out: &'a [T],
    grad_out: &'a [T],
    grad_input: Shared<T>,
}

impl<T: Element> Kernel<T> for Backward<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let ([_, _, h, w], [_, _, oh, ow]) = (self.shape, self.output);
        let split = Phases::new(self.pool, w);
        // What of each window's gradient hasn't found its pixel yet.
        let mut left = scratch::take::<T>(ow);
        let mut values = scratch::take::<T>(h * split.room());
        let mut sums = scratch::take::<T>(h * split.room());
        for plane in self.planes {
            let input = &self.input[plane * h * w..(plane + 1) * h * w];
            let most = &self.out[plane * oh * ow..(plane + 1) * oh * ow];
            let grads = &self.grad_out[plane * oh * ow..(plane + 1) * oh * ow];
            for (row, phases) in input.chunks_exact(w).zip(values.chunks_exact_mut(split.room())) {
                split.split::<S>(row, phases);
            }
            sums.fill(T::ZERO);
            let windows = self.rows.iter().zip(most.chunks_exact(ow)).zip(grads.chunks_exact(ow));
            for ((window, most), grads) in windows {
                left.copy_from_slice(grads);
                for y in window.inside.clone().step_by(self.pool.dilation[0]) {
                    for kx in taps(self.pool, w, ow) {
                        let (windows, phase, first) = tap(self.pool, kx, w, ow);
                        let at = y * split.room() + phase * split.len + first;
                        let pixels = (&values[at..at + windows.len()], &mut sums[at..at + windows.len()]);
                        give::<S>(&most[windows.clone()], &mut left[windows], pixels);
                    }
                }
            }
            // SAFETY: the plane is this task's.
            let grad_input = unsafe { self.grad_input.slice(plane * h * w, h * w) };
            for (row, phases) in grad_input.chunks_exact_mut(w).zip(sums.chunks_exact(split.room())) {
                split.join(phases, row);
            }
        }
    }
}

/// Gives what is left of each window's gradient to its pixel of one tap, if that is the maximum.
#[inline(always)]
fn give<S: Lanes>(most: &[S::Elem], left: &mut [S::Elem], (values, sums): (&[S::Elem], &mut [S::Elem])) {
    let count = most.len().min(left.len()).min(values.len()).min(sums.len());
    let mut at = 0;
    while at < count {
        let part = S::N.min(count - at);
        // SAFETY: `part` numbers from `at` on are in all four slices.
        unsafe {
            let (left, sum) = (left.as_mut_ptr().add(at), sums.as_mut_ptr().add(at));
            let value = S::load_part(values.as_ptr().add(at), part);
            let most = S::load_part(most.as_ptr().add(at), part);
            let (given, kept) = value.split_equal(most, S::load_part(left, part));
            S::load_part(sum, part).add(given).store_part(sum, part);
            kept.store_part(left, part);
        }
        at += part;
    }
}
