//! The register tile: some pixels by some vectors of output channels.
//!
//! A pixel's numbers are multiplied one at a time with vectors of weights. Where they lie is given by an address for
//! each pixel and each *segment* of the sum, so that a segment may be a kernel's tap, or a whole row of a kernel, of
//! any pixel anywhere; the zeros around a picture are an address like any other.

#![expect(unsafe_code, reason = "addresses of pixels, and vector loads and stores")]

use std::ops::Range;

use crate::activation::Activation;
use crate::epilogue::finish;
use crate::isa::{Isa, Kernel};
#[cfg(target_arch = "x86_64")]
use crate::isa::{on_avx2, on_avx512};
use crate::par::part_of_vectors;
use crate::simd::{Lanes, fetch, fetch_far};

/// A tile's sums, and what follows them.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    /// Segment by segment the addresses of the pixels, as many as the tile has rows.
    pub(super) segments: *const *const f32,
    /// How many segments.
    pub(super) count: usize,
    /// Where in each segment the sum begins, and how many numbers of it are summed.
    pub(super) from: usize,
    pub(super) length: usize,
    /// Packed: for each number of the sum the tile's vectors.
    pub(super) weights: *const f32,
    /// Weights that will be needed next, of which this tile has its share brought near.
    pub(super) ahead: Ahead,
    /// The tile's vectors of biases; or none, to add to what is there.
    pub(super) bias: Option<*const f32>,
    /// For each pixel where another summand lies, counted from `channel` on.
    pub(super) residual: Option<*const *const f32>,
    /// For each pixel where the result goes, counted from `channel` on.
    pub(super) out: *const *mut f32,
    pub(super) channel: usize,
    /// Channels of the result: the last vector may be cut.
    pub(super) channels: usize,
    pub(super) activation: Activation,
}

/// A part of the weights that follow, fetched from memory while a tile is computed: some lines with each round of its sum. The
/// first tile of a panel would wait for each of them otherwise.
#[derive(Clone, Copy)]
pub(super) struct Ahead {
    from: *const f32,
    /// Bytes of a tile's share, and from one round to the next.
    share: usize,
    step: usize,
}

impl Ahead {
    /// The first of `tiles` shares of `weights`, over so many numbers of a sum.
    pub(super) fn of(weights: &[f32], tiles: usize, numbers: usize) -> Self {
        let share = size_of_val(weights).div_ceil(tiles.max(1));
        Self { from: weights.as_ptr(), share, step: share.div_ceil((numbers / ROUND).max(1)) }
    }

    /// The `i`-th.
    pub(super) fn part(self, i: usize) -> Self {
        Self { from: self.from.wrapping_byte_add(i * self.share), ..self }
    }

    /// Fetches a round's lines: as many as the tile reads itself if its few rows are the only ones, half as many where
    /// there must be two tiles.
    #[inline(always)]
    fn fetch<S: Lanes>(&mut self, rows: usize, vectors: usize) {
        let read = ROUND * vectors * S::N * size_of::<f32>() / LINE;
        let most = match rows {
            1 => 0,
            2 | 3 => read,
            _ => read.div_ceil(2),
        };
        for i in 0..most {
            fetch_far(self.from.wrapping_byte_add(i * LINE));
        }
        self.from = self.from.wrapping_byte_add(self.step);
    }
}

/// Vectors across the widest tile.
fn most_vectors(isa: Isa) -> usize {
    match isa {
        Isa::Avx512 => 4,
        Isa::Avx2 | Isa::Portable => 2,
    }
}

/// Divides output channels into panels that a tile is as wide as, as even as can be in whole vectors.
pub(super) fn panels(isa: Isa, channels: usize) -> impl Iterator<Item = Range<usize>> {
    let lanes = isa.lanes::<f32>();
    let count = channels.div_ceil(lanes).div_ceil(most_vectors(isa));
    (0..count).map(move |i| part_of_vectors(channels, lanes, count, i))
}

/// Pixels of a tile of so many vectors: sums, weights and a broadcast fit into the registers, and the addresses into
/// the others.
pub(super) fn most_rows(isa: Isa, vectors: usize) -> usize {
    match (isa, vectors) {
        (Isa::Avx512, 4) | (Isa::Avx2 | Isa::Portable, 2) => 6,
        _ => 8,
    }
}

/// Computes a tile of `1..=most_rows` pixels by `1..=most_vectors` vectors.
///
/// # Safety
/// Everything that the tile names can be read or written; `isa` was found on this machine.
pub(super) unsafe fn run(isa: Isa, rows: usize, vectors: usize, tile: &Tile) {
    macro_rules! sized {
        ($on:path: $($vectors:literal by $($rows:literal)*,)*) => {
            match (vectors, rows) {
                $($(($vectors, $rows) => $on(Sized::<$rows, $vectors>(tile)),)*)*
                _ => unreachable!("no tile has {rows} pixels by {vectors} vectors"),
            }
        };
    }
    #[cfg(target_arch = "x86_64")]
    match isa {
        // SAFETY: the machine has the instruction set, by the caller's promise.
        Isa::Avx512 => unsafe {
            sized!(on_avx512: 1 by 1 2 3 4 5 6 7 8, 2 by 1 2 3 4 5 6 7 8, 3 by 1 2 3 4 5 6 7 8, 4 by 1 2 3 4 5 6,);
        },
        // SAFETY: as above.
        Isa::Avx2 => unsafe { sized!(on_avx2: 1 by 1 2 3 4 5 6 7 8, 2 by 1 2 3 4 5 6,) },
        Isa::Portable => sized!(portable: 1 by 1 2 3 4 5 6 7 8, 2 by 1 2 3 4 5 6,),
    }
    #[cfg(not(target_arch = "x86_64"))]
    sized!(portable: 1 by 1 2 3 4 5 6 7 8, 2 by 1 2 3 4 5 6,);
}

#[inline(never)]
fn portable<K: Kernel<f32>>(kernel: K) {
    kernel.run::<<f32 as crate::Element>::Portable>();
}

/// A tile of a size that the compiler knows.
struct Sized<'a, const R: usize, const V: usize>(&'a Tile);

impl<const R: usize, const V: usize> Kernel<f32> for Sized<'_, R, V> {
    #[inline(always)]
    fn run<S: Lanes<Elem = f32>>(self) {
        let tile = self.0;
        let mut sums = [[S::splat(0.0); V]; R];
        if let Some(bias) = tile.bias {
            for v in 0..V {
                // SAFETY: by the contract of `run`, biases are whole vectors.
                let bias = unsafe { S::load(bias.add(v * S::N)) };
                for sums in &mut sums {
                    sums[v] = bias;
                }
            }
        }
        // Where the result goes, and what is added to it, is on its way meanwhile.
        for r in 0..R {
            for v in 0..V {
                let at = tile.channel + v * S::N;
                // SAFETY: by the contract of `run`, there is an address for each pixel.
                fetch(unsafe { *tile.out.add(r) }.wrapping_add(at));
                if let Some(residual) = tile.residual {
                    // SAFETY: as above.
                    fetch(unsafe { *residual.add(r) }.wrapping_add(at));
                }
            }
        }
        let mut weights = tile.weights;
        let mut ahead = tile.ahead;
        // SAFETY: by the contract of `run`, so many segments have the addresses of `R` pixels, which have so many
        // numbers, and so many times `V` vectors of weights lie one behind the other.
        unsafe {
            for segment in 0..tile.count {
                let mut pixels = [std::ptr::null(); R];
                for (r, pixel) in pixels.iter_mut().enumerate() {
                    *pixel = (*tile.segments.add(segment * R + r)).add(tile.from);
                }
                let mut k = 0;
                while k + ROUND <= tile.length {
                    ahead.fetch::<S>(R, V);
                    for _ in 0..ROUND {
                        step(&pixels, k, weights, &mut sums);
                        k += 1;
                        weights = weights.add(V * S::N);
                    }
                }
                while k < tile.length {
                    step(&pixels, k, weights, &mut sums);
                    k += 1;
                    weights = weights.add(V * S::N);
                }
            }
            if tile.channels >= V * S::N {
                self.whole(sums);
            } else {
                // Through memory, once: what follows is a loop too long to be unrolled, and indexing the sums in it
                // would keep them there throughout.
                let mut done = [[[0.0; WIDEST]; V]; R];
                for (sums, done) in sums.iter().zip(&mut done) {
                    for (sum, done) in sums.iter().zip(done) {
                        sum.store(done.as_mut_ptr());
                    }
                }
                self.cut::<S>(&done);
            }
        }
    }
}

/// Adds the products of each pixel's number `k` with its row of weights.
///
/// # Safety
/// The numbers can be read.
#[inline(always)]
unsafe fn step<S: Lanes<Elem = f32>, const R: usize, const V: usize>(
    pixels: &[*const f32; R],
    k: usize,
    weights: *const f32,
    sums: &mut [[S; V]; R],
) {
    let mut b = [S::splat(0.0); V];
    for (v, b) in b.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        *b = unsafe { S::load(weights.add(v * S::N)) };
    }
    for r in 0..R {
        // SAFETY: as above.
        let a = S::splat(unsafe { *pixels[r].add(k) });
        for v in 0..V {
            sums[r][v] = sums[r][v].fma(a, b[v]);
        }
    }
}

impl<const R: usize, const V: usize> Sized<'_, R, V> {
    /// Writes a tile of whole vectors: what nearly all tiles are, and short enough to be unrolled, so that no sum leaves
    /// its register but to its place.
    ///
    /// # Safety
    /// As [`run`].
    #[inline(always)]
    unsafe fn whole<S: Lanes<Elem = f32>>(&self, mut sums: [[S; V]; R]) {
        let tile = self.0;
        let (low, high) = limits(tile.activation);
        let (low, high) = (S::splat(low), S::splat(high));
        // SAFETY: by the contract of `run`, `V` vectors can be written for each pixel.
        unsafe {
            if tile.bias.is_none() {
                for (r, sums) in sums.iter_mut().enumerate() {
                    let before = (*tile.out.add(r)).add(tile.channel);
                    for (v, sum) in sums.iter_mut().enumerate() {
                        *sum = sum.add(S::load(before.add(v * S::N)));
                    }
                }
            }
            if let Some(residuals) = tile.residual {
                for (r, sums) in sums.iter_mut().enumerate() {
                    let residual = (*residuals.add(r)).add(tile.channel);
                    for (v, sum) in sums.iter_mut().enumerate() {
                        *sum = sum.add(S::load(residual.add(v * S::N)));
                    }
                }
            }
            for (r, sums) in sums.into_iter().enumerate() {
                let out = (*tile.out.add(r)).add(tile.channel);
                for (v, sum) in sums.into_iter().enumerate() {
                    sum.at_least(low).at_most(high).store(out.add(v * S::N));
                }
            }
        }
    }

    /// Writes a tile whose last vector may be cut.
    ///
    /// # Safety
    /// As [`run`].
    #[inline(always)]
    unsafe fn cut<S: Lanes<Elem = f32>>(&self, sums: &[[[f32; WIDEST]; V]; R]) {
        let tile = self.0;
        // SAFETY: by the contract of `run`.
        unsafe {
            for (r, sums) in sums.iter().enumerate() {
                let out = (*tile.out.add(r)).add(tile.channel);
                let residual = tile.residual.map(|residual| (*residual.add(r)).add(tile.channel));
                for (v, sum) in sums.iter().enumerate() {
                    let at = v * S::N;
                    let count = if tile.channels < at + S::N { tile.channels - at } else { S::N };
                    let mut sum = S::load(sum.as_ptr());
                    if tile.bias.is_none() {
                        sum = sum.add(some(out.add(at), count));
                    }
                    let residual = residual.map(|residual| some(residual.add(at), count));
                    let sum = finish(sum, None, None, residual, tile.activation);
                    if count == S::N {
                        sum.store(out.add(at));
                    } else {
                        sum.store_part(out.add(at), count);
                    }
                }
            }
        }
    }
}

/// Numbers of a sum that are added up in one round of the loop: on AVX2 counting and fetching with each would be a fifth of the
/// instructions.
const ROUND: usize = 4;

/// A line of the cache, in bytes.
const LINE: usize = 64;

/// Numbers of the widest vector.
const WIDEST: usize = 16;

/// Between which numbers an activation leaves a sum.
pub(super) fn limits(activation: Activation) -> (f32, f32) {
    match activation {
        Activation::Relu => (0.0, f32::INFINITY),
        Activation::Relu6 => (0.0, 6.0),
        Activation::Identity | Activation::Sigmoid | Activation::Tanh => (f32::NEG_INFINITY, f32::INFINITY),
    }
}

/// The first `count` numbers there, whole vectors by the faster instruction.
///
/// # Safety
/// They can be read.
#[inline(always)]
unsafe fn some<S: Lanes<Elem = f32>>(from: *const f32, count: usize) -> S {
    // SAFETY: the caller's promise.
    unsafe { if count == S::N { S::load(from) } else { S::load_part(from, count) } }
}
