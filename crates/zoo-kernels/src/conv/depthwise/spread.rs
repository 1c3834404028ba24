//! The gradient of the input where the convolution has a stride: each of the stride's phases by its own taps.

#![expect(unsafe_code, reason = "flat vector loops over scratch with slack for whole vectors")]

use std::ops::Range;

use super::layout::Layout;
use super::{SLACK, for_planes};
use crate::conv::forward::Layer;
use crate::element::Element;
use crate::epilogue::Epilogue;
use crate::isa::{Kernel, dispatch};
use crate::par::Shared;
use crate::scratch;
use crate::simd::{Lanes, copy};

/// Vectors that are computed together, so that a weight is loaded once for all.
const TOGETHER: usize = 4;

pub(super) fn grad_input<T: Element>(
    layer: &Layer<'_>,
    grad_out: &[T],
    weight: &[T],
    epilogue: &Epilogue<'_, T>,
    grad_input: &mut [T],
) {
    let (shape, out) = (layer.shape, Shared::new(grad_input));
    let layout = &Layout::new(layer.spec, shape, layer.output);
    for_planes(shape[0] * shape[1], shape[2] * shape[3], |planes| {
        dispatch(layer.isa, GradInput { layout, planes, grad_out, weight, epilogue, out });
    });
}

struct GradInput<'a, T> {
    layout: &'a Layout,
    planes: Range<usize>,
    grad_out: &'a [T],
    weight: &'a [T],
    epilogue: &'a Epilogue<'a, T>,
    out: Shared<T>,
}

impl<T: Element> Kernel<T> for GradInput<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let layout = self.layout;
        let (count, [h, w], [oh, ow]) = (layout.taps.len(), layout.input, layout.output);
        let len = layout.phase_len();
        // The gradient, with zeros for every tap that reaches before its first or behind its last pixel.
        let mut grad = scratch::take_zeroed::<T>(layout.reach + len + SLACK);
        let mut phases = scratch::take::<T>(layout.phases() * len + SLACK);
        let mut taps = Vec::with_capacity(count);
        // Pixels that no tap reaches are in no part.
        let covered = layout.parts.iter().map(|part| part.count).sum::<usize>() == h * w;
        for plane in self.planes {
            let channel = plane % layout.spec.in_channels;
            layout.spread::<S, T>(
                &self.grad_out[plane * oh * ow..(plane + 1) * oh * ow],
                &mut grad[layout.reach..],
            );
            for phase in 0..layout.phases() {
                let weights = layout.taps.iter().zip(&self.weight[channel * count..]);
                taps.clear();
                taps.extend(
                    weights
                        .filter(|(tap, _)| tap.0 == phase)
                        .map(|(tap, &weight)| (layout.reach - tap.1, weight)),
                );
                // SAFETY: offsets are at most `reach`, so that `reach + len` and the slack bound every read;
                // a phase's slack is the next phase, which is written after it, or the buffer's.
                unsafe { correlate::<S>(grad.as_ptr(), &taps, phases.as_mut_ptr().add(phase * len), len) };
            }
            // SAFETY: the planes of `out` in this range are this task's.
            let out = unsafe { self.out.slice(plane * h * w, h * w) };
            let step = layout.spec.stride[1];
            if step != 1 || !covered {
                out.fill(T::ZERO);
            }
            for part in &layout.parts {
                let row = &mut out[part.y * w + part.x..(part.y + 1) * w];
                let from = &phases[part.at..part.at + part.count];
                if step == 1 {
                    // SAFETY: `parts` cut the row to the plane.
                    unsafe { copy::<S>(from.as_ptr(), 1, row.as_mut_ptr(), part.count) };
                } else if step == 2 {
                    let (pairs, rest) = row.as_chunks_mut::<2>();
                    if let (Some(last), Some(&from)) = (rest.first_mut(), from.get(pairs.len())) {
                        *last += from;
                    }
                    for (pair, &from) in pairs.iter_mut().zip(from) {
                        pair[0] += from;
                    }
                } else {
                    for (to, &from) in row.iter_mut().step_by(step).zip(from) {
                        *to += from;
                    }
                }
            }
            if !self.epilogue.is_plain() {
                let follows = self.epilogue.of(channel, plane * h * w);
                // SAFETY: the plane lies in the output, and so in the residual.
                unsafe { follows.copy::<S>(out.as_ptr(), out.as_mut_ptr(), h * w) };
            }
        }
    }
}

/// `to[j]` = the sum over taps of `weights[t] * from[j + offsets[t]]`, for `j` below `len` rounded up to vectors.
///
/// # Safety
/// `from` and `to` have [`SLACK`] numbers more than the last of these.
#[inline(always)]
unsafe fn correlate<S: Lanes>(from: *const S::Elem, taps: &[(usize, S::Elem)], to: *mut S::Elem, len: usize) {
    let mut at = 0;
    // SAFETY: `at < len`, so that a step reaches at most `SLACK` numbers further.
    unsafe {
        while at < len {
            let mut sums = [S::splat(S::Elem::ZERO); TOGETHER];
            for &(offset, weight) in taps {
                let weight = S::splat(weight);
                for (v, sum) in sums.iter_mut().enumerate() {
                    *sum = sum.fma(weight, S::load(from.add(offset + at + v * S::N)));
                }
            }
            for (v, sum) in sums.iter().enumerate() {
                sum.store(to.add(at + v * S::N));
            }
            at += TOGETHER * S::N;
        }
    }
}
