//! Sums over pictures and pixels, in an order that the threads don't change.
//!
//! Blocks are summed in the tensor's type, side by side in as many lanes as vectors have, and the blocks' sums
//! in f64: fast, and with rounding errors that don't grow with the picture.

use rayon::prelude::*;

use crate::element::Element;
use crate::error::Shape;

/// Sums side by side, so that the compiler can keep them in vectors.
const LANES: usize = 32;
/// Numbers summed in `T` before the sum goes into f64.
const BLOCK: usize = 1 << 11;

/// The sum of `f` over `values`.
#[inline(always)]
pub(crate) fn sum_by<T: Element>(values: &[T], f: impl Fn(T) -> T + Copy) -> f64 {
    values
        .chunks(BLOCK)
        .map(|block| {
            let mut lanes = [T::ZERO; LANES];
            let (chunks, rest) = block.as_chunks::<LANES>();
            for chunk in chunks {
                for i in 0..LANES {
                    lanes[i] += f(chunk[i]);
                }
            }
            for (lane, &value) in lanes.iter_mut().zip(rest) {
                *lane += f(value);
            }
            lanes.iter().map(|lane| lane.to_f64()).sum::<f64>()
        })
        .sum()
}

/// The sums of the two results of `f` over three slices of equal length.
#[inline(always)]
pub(crate) fn sum_pairs<T: Element>(
    a: &[T],
    b: &[T],
    c: &[T],
    f: impl Fn(T, T, T) -> (T, T) + Copy,
) -> (f64, f64) {
    let (mut first, mut second) = (0.0, 0.0);
    for ((a, b), c) in a.chunks(BLOCK).zip(b.chunks(BLOCK)).zip(c.chunks(BLOCK)) {
        let (mut left, mut right) = ([T::ZERO; LANES], [T::ZERO; LANES]);
        let ((a, a_rest), (b, b_rest), (c, c_rest)) =
            (a.as_chunks::<LANES>(), b.as_chunks::<LANES>(), c.as_chunks::<LANES>());
        for ((a, b), c) in a.iter().zip(b).zip(c) {
            for i in 0..LANES {
                let (l, r) = f(a[i], b[i], c[i]);
                left[i] += l;
                right[i] += r;
            }
        }
        for (i, ((&a, &b), &c)) in a_rest.iter().zip(b_rest).zip(c_rest).enumerate() {
            let (l, r) = f(a, b, c);
            left[i] += l;
            right[i] += r;
        }
        first += left.iter().map(|lane| lane.to_f64()).sum::<f64>();
        second += right.iter().map(|lane| lane.to_f64()).sum::<f64>();
    }
    (first, second)
}

/// For each channel, the sum over all pictures and pixels.
pub(crate) fn channel_sums<T: Element>([n, c, h, w]: Shape, values: &[T], sums: &mut [T]) {
    let pixels = h * w;
    sums.par_iter_mut().enumerate().for_each(|(channel, total)| {
        let planes = (0..n).map(|picture| (picture * c + channel) * pixels);
        *total = T::from_f64(planes.map(|start| sum_by(&values[start..start + pixels], |x| x)).sum());
    });
}
