//! Sums over pictures and pixels, in an order that the threads don't change.

use rayon::prelude::*;

use crate::element::Element;
use crate::error::Shape;

/// Sums side by side, so that the compiler can keep them in vectors and rounding errors stay small.
const LANES: usize = 16;
/// Numbers summed in `T` before the sum goes into f64.
const BLOCK: usize = 1 << 10;

/// The sum of `values`, of which blocks are summed in `T` and the blocks in f64.
pub(crate) fn sum<T: Element>(values: &[T]) -> f64 {
    values.chunks(BLOCK).map(block_sum).sum()
}

fn block_sum<T: Element>(values: &[T]) -> f64 {
    let mut lanes = [T::ZERO; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(rest) {
        *lane += value;
    }
    lanes.iter().map(|lane| lane.to_f64()).sum()
}

/// For each channel, the sum over all pictures and pixels.
pub(crate) fn channel_sums<T: Element>([n, c, h, w]: Shape, values: &[T], sums: &mut [T]) {
    let pixels = h * w;
    sums.par_iter_mut().enumerate().for_each(|(channel, total)| {
        let planes = (0..n).map(|picture| (picture * c + channel) * pixels);
        *total = T::from_f64(planes.map(|start| sum(&values[start..start + pixels])).sum());
    });
}
