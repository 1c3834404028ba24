//! Few tiles and many channels: all tiles are transformed at once, then each task takes a panel of output channels
//! all the way, and transforms its weights a few input channels at a time, so that they never leave the cache.

#![expect(unsafe_code, reason = "tiles read and write through pointers; the bounds are the panel's")]

use std::ops::Range;

use super::transform::{OUT, PRODUCTS};
use super::weights::{GAP, Kernel3x3, Panels, TAPS};
use super::{Convolution, multiply};
use crate::element::Element;
use crate::isa::{Kernel, dispatch};
use crate::par::{Shared, part, tasks};
use crate::scratch;
use crate::simd::Lanes;

/// Tiles that share a task's transformed weights.
pub(super) const TILES: usize = 64;
/// Input channels whose weights are transformed at once: with a panel of 48 output channels, 432 KiB.
const CHANNELS: usize = 64;

/// In how many batches of tiles this is done.
pub(super) fn batches(rows: usize, columns: usize) -> usize {
    (rows * columns).div_ceil(TILES).min(rows)
}

/// The numbers of a transformed source of so many channels that it holds.
pub(in crate::conv) fn working(channels: usize, [n, height, width]: [usize; 3]) -> usize {
    let [rows, columns] = [n.saturating_mul(height.div_ceil(OUT)), width.div_ceil(OUT)];
    let most = rows.div_ceil(batches(rows, columns).max(1)) * columns;
    most.saturating_mul(PRODUCTS * channels)
}

pub(super) fn run<T: Element>(convolution: &Convolution<'_, T>, kernel: Kernel3x3<'_, T>, out: &mut [T]) {
    let (isa, [rows, columns]) = (convolution.isa, convolution.tiles());
    let batches = batches(rows, columns);
    let channels = convolution.source.channels;
    let panels = Panels::new::<T>(isa, convolution.target.channels);
    let most = rows.div_ceil(batches) * columns;
    let mut source = scratch::take_shared::<T>(PRODUCTS * (most * channels + GAP));
    let (to, out) = (Shared::new(&mut source), Shared::new(out));
    for batch in 0..batches {
        let rows = part(rows, batches, batch);
        let step = rows.len() * columns * channels + GAP;
        tasks(rows.len(), usize::MAX, |row| {
            let at = row * columns * channels;
            let tiles = rows.start + row..rows.start + row + 1;
            dispatch(isa, Row { convolution, tiles, columns, to, at, step });
        });
        tasks(panels.count, usize::MAX, |panel| {
            let place = panels.get(panel);
            let rows = rows.clone();
            dispatch(isa, Panel { convolution, kernel, rows, columns, source: to, step, place, out });
        });
    }
}

/// One task: what a row of tiles sees, transformed, from `at` on in each product's matrix.
struct Row<'a, T> {
    convolution: &'a Convolution<'a, T>,
    tiles: Range<usize>,
    columns: usize,
    to: Shared<T>,
    at: usize,
    step: usize,
}

impl<T: Element> Kernel<T> for Row<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        // SAFETY: these tiles of each product's matrix are this task's.
        unsafe {
            let to = self.to.get().add(self.at);
            self.convolution.transform::<S>(self.tiles, 0..self.columns, to, self.step);
        }
    }
}

/// One task: the output channels `place.0..place.0 + place.1` of some rows of tiles.
struct Panel<'a, T> {
    convolution: &'a Convolution<'a, T>,
    kernel: Kernel3x3<'a, T>,
    rows: Range<usize>,
    columns: usize,
    /// The transformed tiles, whose products are `step` apart. Nobody writes them now.
    source: Shared<T>,
    step: usize,
    place: (usize, usize),
    out: Shared<T>,
}

impl<T: Element> Kernel<T> for Panel<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let (all, tiles, (start, width)) = (self.convolution, self.rows.len() * self.columns, self.place);
        let channels = all.source.channels;
        let sum_step = tiles * S::VECTORS * S::N + S::N;
        let weight_step = CHANNELS * S::VECTORS * S::N + S::N;
        let mut sums = scratch::take::<T>(PRODUCTS * sum_step);
        let mut weights = scratch::take::<T>(PRODUCTS * weight_step);
        let mut taps = scratch::take::<T>((TAPS + S::N) * S::N);
        // SAFETY: `weights` has a row of the panel for each of these channels of each product, `sums` one for each
        // tile, the source one of all channels; the pixels of these tiles and channels are this task's.
        unsafe {
            for first in (0..channels).step_by(CHANNELS) {
                let depth = CHANNELS.min(channels - first);
                for out in (0..width).step_by(S::N) {
                    let to = (weights.as_mut_ptr().add(out), width, weight_step);
                    self.kernel.transform::<S>(start + out, first..first + depth, &mut taps, to);
                }
                for product in 0..PRODUCTS {
                    let a = (self.source.get().cast_const().add(product * self.step + first), channels);
                    let b = weights.as_ptr().add(product * weight_step);
                    let c = sums.as_mut_ptr().add(product * sum_step);
                    multiply::<S>(all.isa, [tiles, depth, width], a, b, c, first > 0);
                }
            }
            all.finish::<S>(self.rows.clone(), 0..self.columns, (&sums, sum_step), self.place, self.out);
        }
    }
}
