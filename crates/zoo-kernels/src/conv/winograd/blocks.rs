//! Many tiles: the weights are transformed once, then each task takes a block of tiles all the way.

#![expect(unsafe_code, reason = "tiles read and write through pointers; the bounds are the block's")]

use std::ops::Range;

use super::transform::PRODUCTS;
use super::weights::{self, Panels};
use super::{Convolution, multiply};
use crate::element::Element;
use crate::isa::{Kernel, dispatch};
use crate::par::{Shared, part, tasks};
use crate::scratch;
use crate::simd::Lanes;

/// Tiles that a task transforms at once.
const TILES: usize = 32;

pub(super) fn run<T: Element>(convolution: &Convolution<'_, T>, weights: &[T], out: &mut [T]) {
    let (isa, [rows, columns]) = (convolution.isa, convolution.tiles());
    let panels = Panels::new::<T>(isa, convolution.target.channels);
    // Wide rows of tiles are cut, narrow ones joined.
    let across = columns.div_ceil(TILES);
    let down = (rows * columns).div_ceil(TILES * across).next_multiple_of(2).min(rows);
    let out = Shared::new(out);
    tasks(across * down, usize::MAX, |task| {
        let (x, y) = (task % across, task / across);
        let block = Block {
            convolution,
            weights,
            panels,
            rows: part(rows, down, y),
            columns: part(columns, across, x),
            out,
        };
        dispatch(isa, block);
    });
}

/// One task: some columns of some rows of tiles, with all their channels.
struct Block<'a, T> {
    convolution: &'a Convolution<'a, T>,
    weights: &'a [T],
    panels: Panels,
    rows: Range<usize>,
    columns: Range<usize>,
    out: Shared<T>,
}

impl<T: Element> Kernel<T> for Block<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let (all, tiles) = (self.convolution, self.rows.len() * self.columns.len());
        let channels = all.source.channels;
        // The products' matrices, a vector apart so that not all begin in the same set of a cache.
        let (source_step, sum_step) = (tiles * channels + S::N, tiles * S::VECTORS * S::N + S::N);
        let mut source = scratch::take::<T>(PRODUCTS * source_step);
        let mut sums = scratch::take::<T>(PRODUCTS * sum_step);
        // SAFETY: `source` has a row of channels for each tile of each product, `sums` one of a panel, and the
        // pixels of these tiles are this task's.
        unsafe {
            all.transform::<S>(self.rows.clone(), self.columns.clone(), source.as_mut_ptr(), source_step);
            for panel in 0..self.panels.count {
                let place = self.panels.get(panel);
                for product in 0..PRODUCTS {
                    let a = (source.as_ptr().add(product * source_step), channels);
                    let c = sums.as_mut_ptr().add(product * sum_step);
                    let b = weights::panel(self.weights, [channels, all.target.channels], product, place);
                    multiply::<S>(all.isa, [tiles, channels, place.1], a, b, c, false);
                }
                all.finish::<S>(self.rows.clone(), self.columns.clone(), (&sums, sum_step), place, self.out);
            }
        }
    }
}
