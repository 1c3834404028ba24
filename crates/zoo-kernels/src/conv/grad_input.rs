//! The gradient of the input, which is also the transposed convolution.
//!
//! With a stride, the pixels of the input fall into `stride[0] * stride[1]` phases: those of one phase are
//! reached by the same taps, and reached by no others. Each phase is a product of its own with the weights of
//! its taps, so that nothing is multiplied by the zeros between strided pixels.

#![expect(unsafe_code, reason = "tasks turn disjoint rows of weights through one pointer")]

use std::ops::Range;

use rayon::prelude::*;

use super::depthwise;
use super::gather::{Gather, Target};
use super::runs::{Tap, View};
use super::spec::Conv2d;
use super::winograd;
use crate::element::Element;
use crate::error::{Result, Shape, check_len};
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::{Shared, tasks};
use crate::scratch;
use crate::simd::{Lanes, copy, transpose};

/// Input channels whose weights are turned together: their numbers for one output channel lie side by side. A
/// 1x1 kernel's are turned in blocks of a vector; those of others go to one row each, whose distance is often a
/// power of two, so that more of them than a cache's set has ways would drive each other out.
const CHUNK: usize = 16;
const FEWER: usize = 8;

/// `grad_input[i]` = the sum of `grad_out[j] * weight` over all outputs `j` that `input[i]` went into.
///
/// `shape` is the input's; `grad_out` has [`Conv2d::output_shape`].
///
/// # Errors
/// As [`super::forward`].
pub fn grad_input<T: Element>(
    spec: &Conv2d,
    shape: Shape,
    grad_out: &[T],
    weight: &[T],
    grad_input: &mut [T],
) -> Result<()> {
    let op = "conv2d grad_input";
    let output = spec.output_shape(shape)?;
    check_len(op, "grad_out", grad_out.len(), &output)?;
    check_len(op, "weight", weight.len(), &spec.weight_shape())?;
    check_len(op, "grad_input", grad_input.len(), &shape)?;
    // Here and not in `spread`: a transposed convolution's answer to a picture must not depend on the batch.
    if winograd::suits(spec, shape, [shape[2], shape[3]]) {
        winograd::grad_input(spec, shape, [output[2], output[3]], grad_out, weight, grad_input);
        return Ok(());
    }
    spread(spec, shape, output, grad_out, weight, None, grad_input);
    Ok(())
}

/// The taps of one phase along one side: `(tap, offset in the output)`.
fn phase_taps(
    phase: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    padding: usize,
) -> Vec<(usize, isize)> {
    (0..kernel)
        .filter_map(|tap| {
            let reach = (phase + padding) as isize - (tap * dilation) as isize;
            (reach.rem_euclid(stride as isize) == 0).then(|| (tap, reach.div_euclid(stride as isize)))
        })
        .collect()
}

/// The gradient with everything checked; `bias` (for the transposed convolution) is added to every channel.
pub(super) fn spread<T: Element>(
    spec: &Conv2d,
    [n, c, h, w]: Shape,
    [_, o, oh, ow]: Shape,
    grad_out: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    grad_input: &mut [T],
) {
    let (shape, output) = ([n, c, h, w], [n, o, oh, ow]);
    if depthwise::suits(spec, shape, output) {
        return depthwise::grad_input(spec, shape, output, grad_out, weight, bias, grad_input);
    }
    let spec = &spec.bounded(shape, output);
    let [kh, kw] = spec.kernel_size;
    let [sh, sw] = spec.stride;
    let (group_c, group_o) = (c / spec.groups, o / spec.groups);
    let isa = Isa::current();
    let phases: Vec<_> = (0..sh.min(h)).flat_map(|py| (0..sw.min(w)).map(move |px| (py, px))).collect();
    let taps_of = |(py, px)| {
        let ys: Vec<(usize, isize)> = phase_taps(py, kh, sh, spec.dilation[0], spec.padding.top);
        let xs = phase_taps(px, kw, sw, spec.dilation[1], spec.padding.left);
        (ys, xs)
    };
    if phases.iter().any(|&phase| taps_of(phase).0.is_empty() || taps_of(phase).1.is_empty()) {
        // Pixels that no tap reaches get no product to write them.
        let pixels = h * w;
        grad_input.par_chunks_mut(pixels).enumerate().for_each(|(plane, pixels)| {
            pixels.fill(bias.map_or(T::ZERO, |bias| bias[plane % c]));
        });
    }
    for (py, px) in phases {
        let (ys, xs) = taps_of((py, px));
        let count = ys.len() * xs.len();
        if count == 0 {
            continue;
        }
        let picks: Vec<usize> = ys.iter().flat_map(|y| xs.iter().map(move |x| y.0 * kw + x.0)).collect();
        let taps = ys.iter().flat_map(|y| xs.iter().map(move |x| Tap { dy: y.1, dx: x.1 })).collect();
        let mut turned = scratch::take::<T>(c * group_o * count);
        let to = Shared::new(&mut turned);
        let chunk = if kh * kw == 1 { CHUNK } else { FEWER };
        let chunks = group_c.div_ceil(chunk);
        tasks(spec.groups * chunks, c * group_o * count, |task| {
            let (group, first) = (task / chunks, task % chunks * chunk);
            let channels = first..group_c.min(first + chunk);
            dispatch(
                isa,
                Turn { weight, all: kh * kw, picks: &picks, outs: group_o, group, channels, group_c, to },
            );
        });
        let grid = [(h - py).div_ceil(sh), (w - px).div_ceil(sw)];
        let view = View { source: [oh, ow], source_picture: o * oh * ow, grid, step: [1, 1], taps };
        Gather {
            isa,
            pictures: n,
            groups: spec.groups,
            channels: group_o,
            source_channel: oh * ow,
            source: grad_out,
            view: &view,
            weights: &turned,
            rows: group_c,
            bias,
            width: grid[1],
            line: grid[1],
            offsets: None,
            target: Target { picture: c * h * w, channel: h * w, row: sh * w, column: sw, base: py * w + px },
        }
        .run(grad_input);
    }
}

/// Turns weights around: of some input channels of a group, row `c` gets `(output channel, picked tap)`.
struct Turn<'a, T> {
    weight: &'a [T],
    /// Taps that the weights have, and those of this phase.
    all: usize,
    picks: &'a [usize],
    /// Channels of a group on both sides.
    outs: usize,
    group_c: usize,
    group: usize,
    channels: Range<usize>,
    to: Shared<T>,
}

impl<T: Element> Kernel<T> for Turn<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let (row, first) = (self.outs * self.picks.len(), self.channels.start);
        let from = (self.group * self.outs * self.group_c + first) * self.all;
        let from = &self.weight[from..];
        // SAFETY: the rows of these channels of this group are this task's.
        let to =
            unsafe { self.to.slice((self.group * self.group_c + first) * row, self.channels.len() * row) };
        if self.all == 1 {
            // SAFETY: `outs` rows of `group_c` weights, of which these channels are turned into rows of `outs`.
            unsafe {
                let size = (self.outs, self.channels.len());
                transpose::<S>(from.as_ptr(), self.group_c, to.as_mut_ptr(), self.outs, size);
            }
            return;
        }
        let (picks, channels) = (self.picks.len(), self.channels.len());
        // SAFETY: output channel `out` has `all` weights for each of the group's channels, of which `from` begins
        // at this task's first; `to` has a row for each of the task's.
        unsafe {
            for out in 0..self.outs {
                let from = from.as_ptr().add(out * self.group_c * self.all);
                let to = to.as_mut_ptr().add(out * picks);
                if picks == self.all {
                    for channel in 0..channels {
                        copy::<S>(from.add(channel * self.all), 1, to.add(channel * row), self.all);
                    }
                    continue;
                }
                match *self.picks {
                    [a] => pick(from, self.all, [a], to, row, channels),
                    [a, b] => pick(from, self.all, [a, b], to, row, channels),
                    [a, b, c, d] => pick(from, self.all, [a, b, c, d], to, row, channels),
                    _ => {
                        for (i, &tap) in self.picks.iter().enumerate() {
                            pick(from, self.all, [tap], to.add(i), row, channels);
                        }
                    }
                }
            }
        }
    }
}

/// Copies some taps of `channels` channels, `from_step` apart, side by side into rows.
///
/// # Safety
/// All of these can be read and written.
#[inline(always)]
unsafe fn pick<T: Element, const N: usize>(
    from: *const T,
    from_step: usize,
    taps: [usize; N],
    to: *mut T,
    row: usize,
    channels: usize,
) {
    for channel in 0..channels {
        for (i, tap) in taps.into_iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { *to.add(channel * row + i) = *from.add(channel * from_step + tap) };
        }
    }
}
