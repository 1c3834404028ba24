//! The weights' transform: for each of a tile's products a matrix of input by output channels.

#![expect(unsafe_code, reason = "strided access through pointers")]

use std::ops::Range;

use super::transform::{IN, PRODUCTS, Weight, both};
use crate::element::Element;
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::{Shared, part_of_vectors, tasks};
use crate::scratch;
use crate::simd::Lanes;

/// Weights of one pair of channels.
pub(super) const TAPS: usize = 9;
/// Input channels that one task transforms for a vector of output channels.
const CHANNELS: usize = 64;
/// Numbers between the matrices, so that not all of them begin in the same set of a cache.
pub(super) const GAP: usize = 16;

/// Which channels go in and out of the product.
#[derive(Clone, Copy)]
pub(super) enum Direction {
    /// From the input to the output, as in the forward pass.
    Forward,
    /// From the output to the input, with the kernel turned by half a turn.
    Backward,
}

/// Panels of output channels: each a tile of the matrix product, as even as can be.
#[derive(Clone, Copy)]
pub(super) struct Panels {
    outs: usize,
    lanes: usize,
    pub(super) count: usize,
}

impl Panels {
    pub(super) fn new<T: Element>(isa: Isa, outs: usize) -> Self {
        let lanes = isa.lanes::<T>();
        Self { outs, lanes, count: (outs / lanes).div_ceil(isa.vectors::<T>()) }
    }

    /// First channel and number of channels of a panel.
    pub(super) fn get(&self, panel: usize) -> (usize, usize) {
        let channels = part_of_vectors(self.outs, self.lanes, self.count, panel);
        (channels.start, channels.len())
    }

    /// First channel and number of channels of the panel that has channel `out`.
    pub(super) fn of(&self, out: usize) -> (usize, usize) {
        let panels = (0..self.count).map(|panel| self.get(panel));
        panels.take_while(|panel| panel.0 <= out).last().unwrap_or((0, 0))
    }
}

/// The numbers that the transformed weights of all pairs of channels take.
pub(super) fn len(channels: usize, outs: usize) -> usize {
    PRODUCTS * (channels * outs + GAP)
}

/// The first row of one product's panel in the transformed weights: of each product, panel by panel, they have a row
/// of output channels for each input channel.
pub(super) fn panel<T>(
    transformed: &[T],
    [channels, outs]: [usize; 2],
    product: usize,
    (start, _): (usize, usize),
) -> *const T {
    transformed[product * (channels * outs + GAP) + channels * start..].as_ptr()
}

/// The weights of a 3x3 kernel, as they are.
#[derive(Clone, Copy)]
pub(super) struct Kernel3x3<'a, T> {
    pub(super) direction: Direction,
    /// Channels that go into the product, and that come out.
    pub(super) channels: usize,
    pub(super) outs: usize,
    pub(super) weight: &'a [T],
}

impl<T: Element> Kernel3x3<'_, T> {
    /// Transforms all of them into `to`, which has [`len`] numbers.
    pub(super) fn transform_all(self, isa: Isa, to: &mut [T]) {
        let panels = Panels::new::<T>(isa, self.outs);
        let to = Shared::new(to);
        let (groups, parts) = (self.outs / isa.lanes::<T>(), self.channels.div_ceil(CHANNELS));
        tasks(groups * parts, self.weight.len(), |task| {
            let (group, part) = (task / parts, task % parts);
            dispatch(isa, Part { kernel: self, panels, group, part, to });
        });
    }

    /// Transforms the weights between some channels and a vector of output channels from `out` on. Channels go
    /// `row` apart from `to` on, products `product` apart.
    ///
    /// # Safety
    /// These channels are the kernel's, `taps` has [`TAPS`] + N vectors, and `to` has these places.
    #[inline(always)]
    pub(super) unsafe fn transform<S: Lanes<Elem = T>>(
        &self,
        out: usize,
        channels: Range<usize>,
        taps: &mut [T],
        (to, row, product): (*mut T, usize, usize),
    ) {
        let (out_step, in_step) = match self.direction {
            Direction::Forward => (self.channels * TAPS, TAPS),
            Direction::Backward => (TAPS, self.outs * TAPS),
        };
        for (i, channel) in channels.enumerate() {
            // The taps of all lanes, side by side; whole blocks are transposed, of which the last reach further.
            let from = out * out_step + channel * in_step;
            let reach = from + (S::N - 1) * out_step + TAPS.next_multiple_of(S::N);
            // SAFETY: rows of `TAPS` weights, or further where the slice goes on; the rest is the caller's promise.
            unsafe {
                if reach <= self.weight.len() {
                    for tap in (0..TAPS).step_by(S::N) {
                        let from = self.weight.as_ptr().add(from + tap);
                        S::transpose(from, out_step, taps.as_mut_ptr().add(tap * S::N), S::N);
                    }
                } else {
                    for lane in 0..S::N {
                        for tap in 0..TAPS {
                            taps[tap * S::N + lane] = self.weight[from + lane * out_step + tap];
                        }
                    }
                }
                if matches!(self.direction, Direction::Backward) {
                    for tap in 0..TAPS / 2 {
                        for lane in 0..S::N {
                            taps.swap(tap * S::N + lane, (TAPS - 1 - tap) * S::N + lane);
                        }
                    }
                }
                let to = to.add(i * row);
                both::<S, Weight, 3, IN>(taps.as_ptr(), [3 * S::N, S::N], to, [IN * product, product]);
            }
        }
    }
}

/// One task: a vector of output channels, and some input channels.
struct Part<'a, T> {
    kernel: Kernel3x3<'a, T>,
    panels: Panels,
    group: usize,
    part: usize,
    to: Shared<T>,
}

impl<T: Element> Kernel<T> for Part<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let (kernel, out, first) = (self.kernel, self.group * S::N, self.part * CHANNELS);
        let (start, width) = self.panels.of(out);
        let channels = first..kernel.channels.min(first + CHANNELS);
        let mut taps = scratch::take::<T>((TAPS + S::N) * S::N);
        // SAFETY: the products' places lie in this task's part of the transformed weights.
        unsafe {
            let to = self.to.get().add(kernel.channels * start + first * width + (out - start));
            let product = kernel.channels * kernel.outs + GAP;
            kernel.transform::<S>(out, channels, &mut taps, (to, width, product));
        }
    }
}
