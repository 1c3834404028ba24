//! Sums over pictures and pixels, in an order that the threads don't change.
//!
//! Blocks are summed in the tensor's type, side by side in as many lanes as vectors have, and the blocks' sums
//! in f64: fast, and with rounding errors that don't grow with the picture.

#![expect(unsafe_code, reason = "vector loads, and tasks that write to disjoint channels")]

use std::ops::Range;

use crate::element::{Element, compiled};
use crate::error::Shape;
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::{Shared, planes_each, ranges};
use crate::simd::Lanes;

/// Sums side by side, so that the compiler can keep them in vectors.
const LANES: usize = 32;
/// Vectors side by side, so that one addition needn't wait for the last.
const VECTORS: usize = 4;
/// Numbers summed in `T` before the sum goes into f64.
const BLOCK: usize = 1 << 11;

/// The sum of `values - center`, or of its squares.
#[inline(always)]
pub(crate) fn sum<S: Lanes, const SQUARES: bool>(values: &[S::Elem], center: S::Elem) -> f64 {
    let back = S::splat(-center);
    let mut total = 0.0;
    for block in values.chunks(BLOCK) {
        let mut sums = [S::splat(S::Elem::ZERO); VECTORS];
        let mut at = 0;
        while at + VECTORS * S::N <= block.len() {
            for (v, sum) in sums.iter_mut().enumerate() {
                // SAFETY: `VECTORS` whole vectors from `at` on are in the block.
                let x = unsafe { S::load(block.as_ptr().add(at + v * S::N)) }.add(back);
                *sum = if SQUARES { sum.fma(x, x) } else { sum.add(x) };
            }
            at += VECTORS * S::N;
        }
        for sum in sums {
            total += sum.sum().to_f64();
        }
        let mut rest = S::Elem::ZERO;
        for &x in &block[at..] {
            let x = x - center;
            rest += if SQUARES { x * x } else { x };
        }
        total += rest.to_f64();
    }
    total
}

/// Two terms from three numbers. No closure: those needn't be inlined, and then their loop is no vector loop.
pub(crate) trait Terms<T>: Copy {
    /// The terms. Implementations are `#[inline(always)]`.
    fn of(self, a: T, b: T, c: T) -> (T, T);
}

/// The sums of both terms over three slices of equal length.
#[inline(always)]
pub(crate) fn sum_pairs<T: Element>(a: &[T], b: &[T], c: &[T], terms: impl Terms<T>) -> (f64, f64) {
    let (mut first, mut second) = (0.0, 0.0);
    for ((a, b), c) in a.chunks(BLOCK).zip(b.chunks(BLOCK)).zip(c.chunks(BLOCK)) {
        let (mut left, mut right) = ([T::ZERO; LANES], [T::ZERO; LANES]);
        let ((a, a_rest), (b, b_rest), (c, c_rest)) =
            (a.as_chunks::<LANES>(), b.as_chunks::<LANES>(), c.as_chunks::<LANES>());
        for ((a, b), c) in a.iter().zip(b).zip(c) {
            for i in 0..LANES {
                let (l, r) = terms.of(a[i], b[i], c[i]);
                left[i] += l;
                right[i] += r;
            }
        }
        for (i, ((&a, &b), &c)) in a_rest.iter().zip(b_rest).zip(c_rest).enumerate() {
            let (l, r) = terms.of(a, b, c);
            left[i] += l;
            right[i] += r;
        }
        first += left.iter().map(|lane| lane.to_f64()).sum::<f64>();
        second += right.iter().map(|lane| lane.to_f64()).sum::<f64>();
    }
    (first, second)
}

compiled! {
    channel_sums = sum_channels: (shape: Shape, values: &[Self], sums: &mut [Self]);
}

/// For each channel, the sum over all pictures and pixels.
fn sum_channels<T: Element>(shape: Shape, values: &[T], sums: &mut [T]) {
    let (isa, sums) = (Isa::current(), Shared::new(sums));
    let each = values.len() / shape[1].max(1);
    ranges(shape[1], planes_each(each), each, |channels| {
        dispatch(isa, ChannelSums { shape, values, sums, channels });
    });
}

struct ChannelSums<'a, T> {
    shape: Shape,
    values: &'a [T],
    sums: Shared<T>,
    channels: Range<usize>,
}

impl<T: Element> Kernel<T> for ChannelSums<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let [n, c, h, w] = self.shape;
        let pixels = h * w;
        // SAFETY: there is a sum for each channel, and these are this task's.
        let sums = unsafe { self.sums.slice(self.channels.start, self.channels.len()) };
        for (total, channel) in sums.iter_mut().zip(self.channels) {
            let mut all = 0.0;
            for picture in 0..n {
                let start = (picture * c + channel) * pixels;
                all += sum::<S, false>(&self.values[start..start + pixels], T::ZERO);
            }
            *total = T::from_f64(all);
        }
    }
}
