//! The weight's gradient where few channels meet large pictures, as in a network's first layer or in narrow groups:
//! pair by pair of input and output channel, each as in a depthwise convolution. A product would have too few rows
//! and columns to fill its tiles.

#![expect(unsafe_code, reason = "flat vector loops over scratch with slack for whole vectors")]

use std::ops::Range;

use super::depthwise::{Layout, SLACK, correlate_taps, fits};
use super::spec::Conv2d;
use crate::element::Element;
use crate::error::Shape;
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::{Shared, part, tasks};
use crate::scratch;
use crate::simd::Lanes;

/// The most pairs of channels in a group.
const PAIRS: usize = 64;
/// The fewest pixels of an output plane: each pair's sums are folded once for each plane.
const PIXELS: usize = 512;
/// Parts that the pictures are split into.
const SPLITS: usize = 8;

pub(super) fn suits(spec: &Conv2d, shape: Shape, output: Shape) -> bool {
    let few = (spec.in_channels / spec.groups).saturating_mul(spec.out_channels / spec.groups) <= PAIRS;
    few && output[2] * output[3] >= PIXELS && fits(spec, shape, output)
}

pub(super) fn grad_weight<T: Element>(
    spec: &Conv2d,
    shape: Shape,
    output: Shape,
    input: &[T],
    grad_out: &[T],
    grad_weight: &mut [T],
) {
    let (isa, layout, weights) = (Isa::current(), Layout::new(spec, shape, output), grad_weight.len());
    let splits = SPLITS.min(shape[0]);
    let group_weights = weights / spec.groups;
    let mut sums = scratch::take_shared::<T>(splits * weights);
    sums.fill(T::ZERO);
    let shared = Shared::new(&mut sums);
    tasks(splits * spec.groups, input.len() * (spec.out_channels / spec.groups), |task| {
        let (group, split) = (task % spec.groups, task / spec.groups);
        let pictures = part(shape[0], splits, split);
        // SAFETY: these sums are this task's.
        let sums = unsafe { shared.slice(split * weights + group * group_weights, group_weights) };
        let groups = spec.groups;
        dispatch(
            isa,
            Split { layout: &layout, shape, output, groups, group, pictures, input, grad_out, sums },
        );
    });
    grad_weight.copy_from_slice(&sums[..weights]);
    for more in sums[weights..].chunks_exact(weights) {
        for (sum, &more) in grad_weight.iter_mut().zip(more) {
            *sum += more;
        }
    }
}

/// The sums of one group over some pictures.
struct Split<'a, T> {
    layout: &'a Layout,
    shape: Shape,
    output: Shape,
    groups: usize,
    group: usize,
    pictures: Range<usize>,
    input: &'a [T],
    grad_out: &'a [T],
    sums: &'a mut [T],
}

impl<T: Element> Kernel<T> for Split<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let ([_, c, h, w], [_, o, oh, ow]) = (self.shape, self.output);
        let (channels, outs) = (c / self.groups, o / self.groups);
        let (layout, taps) = (self.layout, self.sums.len() / (channels * outs));
        let plane = layout.phases() * layout.phase_len() + SLACK;
        let mut phases = scratch::take_zeroed::<T>(channels * plane);
        let mut lanes = scratch::take::<T>(taps * S::N);
        for picture in self.pictures {
            for (channel, phases) in phases.chunks_exact_mut(plane).enumerate() {
                let at = (picture * c + self.group * channels + channel) * h * w;
                layout.fill::<S, T>(&self.input[at..at + h * w], phases);
            }
            for (out, sums) in self.sums.chunks_exact_mut(channels * taps).enumerate() {
                let at = (picture * o + self.group * outs + out) * oh * ow;
                let grad = &self.grad_out[at..at + oh * ow];
                for (phases, sums) in phases.chunks_exact(plane).zip(sums.chunks_exact_mut(taps)) {
                    lanes.fill(T::ZERO);
                    // SAFETY: these are the layout's phases with slack, and a plane of the output; a chunk of `lanes`
                    // is a vector.
                    unsafe { correlate_taps::<S>(layout, phases.as_ptr(), grad, &mut lanes) };
                    for (sum, lanes) in sums.iter_mut().zip(lanes.chunks_exact(S::N)) {
                        // SAFETY: as above.
                        *sum += unsafe { S::load(lanes.as_ptr()) }.sum();
                    }
                }
            }
        }
    }
}
