//! The gradients of weight and bias.
//!
//! The weight's gradient is the product `unfolded picture x turned gradient`: its rows are (channel, tap), its
//! columns output channels, and its sums run over all pixels of all pictures. The unfolded picture is packed a
//! few rows and a few hundred pixels at a time; of the output's gradient, the channels of each pixel are laid
//! side by side.
//!
//! Where the result is small and the sums are long, the pixels are split among tasks and their sums added up
//! in order; where it is large, its rows are. Which and how finely follows from the shapes alone.

#![expect(unsafe_code, reason = "tiles read and write through pointers; the bounds are the view's")]

use rayon::prelude::*;

use super::depthwise;
use super::forward::view;
use super::pairs;
use super::runs::{Runs, View};
use super::spec::Conv2d;
use crate::element::Element;
use crate::error::{Result, Shape, check_len};
use crate::gemm::micro::{self, Init, Rows, Tile, VECTORS};
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::{Shared, tasks};
use crate::scratch;
use crate::simd::{Lanes, transpose, zero};

/// Pixels that are packed at once.
const DEPTH: usize = 256;
/// Tasks worth having.
const TASKS: usize = 8;
/// A result up to this many numbers may be held several times, once for each part of the pixels.
const SMALL_RESULT: usize = 1 << 17;
/// Rows of the result that a task takes at least, so that turning the gradient is small beside the product.
const MIN_ROWS: usize = 128;

/// `grad_weight` = the sum over all pixels of `grad_out * input`, and `grad_bias` that of `grad_out` alone.
///
/// `shape` is the input's; `grad_out` has [`Conv2d::output_shape`], `grad_weight` [`Conv2d::weight_shape`].
///
/// # Errors
/// As [`super::forward`].
pub fn grad_weight<T: Element>(
    spec: &Conv2d,
    shape: Shape,
    input: &[T],
    grad_out: &[T],
    grad_weight: &mut [T],
    grad_bias: Option<&mut [T]>,
) -> Result<()> {
    let op = "conv2d grad_weight";
    let output = spec.output_shape(shape)?;
    check_len(op, "input", input.len(), &shape)?;
    check_len(op, "grad_out", grad_out.len(), &output)?;
    check_len(op, "grad_weight", grad_weight.len(), &spec.weight_shape())?;
    if let Some(grad_bias) = grad_bias {
        check_len(op, "grad_bias", grad_bias.len(), &[spec.out_channels])?;
        crate::reduce::channel_sums(output, grad_out, grad_bias);
    }
    correlate_weights(spec, shape, output, input, grad_out, grad_weight);
    Ok(())
}

/// The weight's gradient with everything checked.
pub(super) fn correlate_weights<T: Element>(
    spec: &Conv2d,
    shape: Shape,
    output: Shape,
    input: &[T],
    grad_out: &[T],
    grad_weight: &mut [T],
) {
    if depthwise::suits(spec, shape, output) {
        return depthwise::grad_weight(spec, shape, output, input, grad_out, grad_weight);
    }
    if pairs::suits(spec, shape, output) {
        return pairs::grad_weight(spec, shape, output, input, grad_out, grad_weight);
    }
    let spec = &spec.bounded(shape, output);
    let isa = Isa::current();
    let [n, c, h, w] = shape;
    let [_, o, oh, ow] = output;
    let view = view(spec, shape, [oh, ow]);
    let (channels, outs) = (c / spec.groups, o / spec.groups);
    let rows = channels * view.taps.len();
    let stride = outs.next_multiple_of(isa.lanes::<T>());
    let pixels = n * oh * ow;
    let wanted = TASKS.div_ceil(spec.groups);
    let splits =
        if rows * stride <= SMALL_RESULT { wanted.min(pixels.div_ceil(4 * DEPTH)).max(1) } else { 1 };
    let span = pixels.div_ceil(splits).next_multiple_of(DEPTH);
    let splits = pixels.div_ceil(span);
    let parts = if splits > 1 { 1 } else { wanted.min(rows.div_ceil(MIN_ROWS)).max(1) };
    let part_rows = rows.div_ceil(parts);
    let parts = rows.div_ceil(part_rows);

    // Sums of each split: `(split, group, row, stride)`.
    let result = spec.groups * rows * stride;
    let mut sums = scratch::take::<T>(splits * result);
    let all = Product {
        isa,
        view: &view,
        pixels,
        span,
        channels,
        outs,
        stride,
        rows,
        groups: spec.groups,
        source_channel: h * w,
        out_channels: o,
        out_pixels: oh * ow,
        input,
        grad_out,
    };
    let shared = Shared::new(&mut sums);
    let work = pixels * spec.groups * rows * outs / 8;
    tasks(splits * spec.groups * parts, work, |task| {
        let (part, rest) = (task % parts, task / parts);
        let (group, split) = (rest % spec.groups, rest / spec.groups);
        let first_row = part * part_rows;
        let rows = part_rows.min(all.rows - first_row);
        dispatch(isa, Part { all: &all, sums: shared, group, split, first_row, rows });
    });
    if splits > 1 {
        let (first, others) = sums.split_at_mut(result);
        first.par_chunks_mut(1 << 12).enumerate().for_each(|(chunk, first)| {
            for other in others.chunks_exact(result) {
                for (sum, &more) in first.iter_mut().zip(&other[chunk << 12..]) {
                    *sum += more;
                }
            }
        });
    }
    let turned = Shared::new(grad_weight);
    tasks(o.div_ceil(32), o * rows, |task| {
        dispatch(
            isa,
            Turn {
                sums: &sums,
                to: turned,
                rows,
                stride,
                outs,
                first: task * 32,
                end: (task * 32 + 32).min(o),
            },
        );
    });
}

/// Sizes and operands of the product.
struct Product<'a, T> {
    isa: Isa,
    view: &'a View,
    pixels: usize,
    span: usize,
    channels: usize,
    outs: usize,
    stride: usize,
    rows: usize,
    groups: usize,
    source_channel: usize,
    out_channels: usize,
    out_pixels: usize,
    input: &'a [T],
    grad_out: &'a [T],
}

/// One task: some rows of one group's result, summed over one split's pixels.
struct Part<'a, T> {
    all: &'a Product<'a, T>,
    sums: Shared<T>,
    group: usize,
    split: usize,
    first_row: usize,
    rows: usize,
}

impl<T: Element> Kernel<T> for Part<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let all = self.all;
        let taps = all.view.taps.len();
        let mut runs = Runs::default();
        let mut picture_rows = scratch::take::<T>(S::ROWS * DEPTH);
        let mut turned = scratch::take::<T>(DEPTH * all.stride);
        let result = (self.split * all.groups + self.group) * all.rows + self.first_row;
        let result = self.sums.get().wrapping_add(result * all.stride);
        let begin = self.split * all.span;
        let end = (begin + all.span).min(all.pixels);
        for start in (begin..end).step_by(DEPTH) {
            let depth = DEPTH.min(end - start);
            runs.find(all.view, start, depth);
            self.turn::<S>(start, depth, &mut turned);
            for row in (0..self.rows).step_by(S::ROWS) {
                let rows = S::ROWS.min(self.rows - row);
                for i in 0..rows {
                    let (channel, tap) =
                        ((self.first_row + row + i) / taps, (self.first_row + row + i) % taps);
                    let from = (self.group * all.channels + channel) * all.source_channel;
                    // SAFETY: the view's runs lie in every channel of the input; `picture_rows` has `ROWS`
                    // rows of `DEPTH` numbers.
                    unsafe {
                        let to = picture_rows.as_mut_ptr().add(i * DEPTH);
                        runs.pack::<S, T>(tap, all.input.as_ptr().add(from), to);
                    }
                }
                let vectors = all.stride / S::N;
                let panels = vectors.div_ceil(VECTORS);
                for panel in 0..panels {
                    let first = panel * vectors / panels * S::N;
                    let columns = (panel + 1) * vectors / panels * S::N - first;
                    let tile = Tile {
                        depth,
                        a: picture_rows.as_ptr(),
                        a_row: DEPTH,
                        a_step: 1,
                        b: turned.as_ptr().wrapping_add(first),
                        b_rows: Rows::Step(all.stride),
                        c: result.wrapping_add(row * all.stride + first),
                        c_row: all.stride,
                        columns,
                        init: if start == begin { Init::Zero } else { Init::Add },
                    };
                    // SAFETY: `a` has `rows` packed rows, `b` has `depth` rows of `stride`, and `c` is this
                    // task's rows of the sums, padded to `stride`.
                    unsafe { micro::run(all.isa, rows, &tile) };
                }
            }
        }
    }
}

impl<T: Element> Part<'_, T> {
    /// Lays the group's channels of each pixel side by side, zeros up to `stride`.
    #[inline(always)]
    fn turn<S: Lanes<Elem = T>>(&self, start: usize, depth: usize, turned: &mut [T]) {
        let all = self.all;
        let mut done = 0;
        while done < depth {
            let (picture, pixel) = ((start + done) / all.out_pixels, (start + done) % all.out_pixels);
            let len = (all.out_pixels - pixel).min(depth - done);
            let from = (picture * all.out_channels + self.group * all.outs) * all.out_pixels + pixel;
            // SAFETY: these are `outs` channels of one picture and `len` pixels of each; `turned` has
            // `depth` rows of `stride >= outs` numbers.
            unsafe {
                let to = turned.as_mut_ptr().add(done * all.stride);
                transpose::<S>(
                    all.grad_out.as_ptr().add(from),
                    all.out_pixels,
                    to,
                    all.stride,
                    (all.outs, len),
                );
                if all.outs < all.stride {
                    for i in 0..len {
                        zero::<S>(to.add(i * all.stride + all.outs), all.stride - all.outs);
                    }
                }
            }
            done += len;
        }
    }
}

/// Turns the sums, whose rows are (channel, tap), into the weight's layout, for some output channels.
struct Turn<'a, T> {
    sums: &'a [T],
    to: Shared<T>,
    rows: usize,
    stride: usize,
    outs: usize,
    first: usize,
    end: usize,
}

impl<T: Element> Kernel<T> for Turn<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let mut out = self.first;
        while out < self.end {
            let (group, within) = (out / self.outs, out % self.outs);
            let count = (self.outs - within).min(self.end - out);
            // SAFETY: the group's sums are `rows` rows of `stride` numbers, and the weight has `rows` numbers
            // for each of these output channels, which are this task's.
            unsafe {
                let from = self.sums.as_ptr().add(group * self.rows * self.stride + within);
                transpose::<S>(
                    from,
                    self.stride,
                    self.to.get().add(out * self.rows),
                    self.rows,
                    (self.rows, count),
                );
            }
            out += count;
        }
    }
}
