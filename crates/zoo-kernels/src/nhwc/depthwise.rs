//! Depthwise convolutions: each channel with a kernel of its own.
//!
//! A vector holds neighbouring channels of a pixel, and a tap's weights are a vector as well. Some neighbouring output
//! pixels are computed together, so that a vector of weights is read once for all of them. What they see is found once for
//! all channels: a table of addresses, in which the zeros around a picture are an address like any other.

#![expect(unsafe_code, reason = "tasks share the arena, and vectors are read through pointers")]

use std::ops::Range;

use super::conv::{Fold, Tail};
use super::map::Map;
use super::tile::limits;
use crate::activation::Activation;
use crate::conv::Conv2d;
use crate::isa::{Isa, Kernel, dispatch};
use crate::lasting::Lasting;
use crate::par::{Shared, part, tasks};
use crate::simd::Lanes;

/// Packed weights.
pub(super) struct Depthwise {
    spec: Conv2d,
    isa: Isa,
    /// For each vector of channels its weights tap by tap, and its biases.
    weights: Lasting<f32>,
    /// What a tap beyond the picture reads.
    zeros: Vec<f32>,
}

impl std::fmt::Debug for Depthwise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Depthwise").field("spec", &self.spec).finish()
    }
}

impl Depthwise {
    /// Without weights, for [`Depthwise::pack`] to fill in.
    pub(super) fn new(spec: &Conv2d, fold: Fold<'_>, isa: Isa) -> Self {
        let mut all =
            Self { spec: *spec, isa, weights: Lasting::zeroed(0), zeros: vec![0.0; spec.out_channels] };
        all.weights = Lasting::zeroed(spec.out_channels.div_ceil(isa.lanes::<f32>()) * all.vector());
        for channel in 0..spec.out_channels {
            let at = all.place(all.taps(), channel);
            all.weights[at] = fold.shift(channel);
        }
        all
    }

    fn taps(&self) -> usize {
        self.spec.kernel_size[0] * self.spec.kernel_size[1]
    }

    /// The weights and biases of a vector of channels.
    fn vector(&self) -> usize {
        (self.taps() + 1) * self.isa.lanes::<f32>()
    }

    /// Where a channel's weight of a tap lies, and its bias behind those.
    fn place(&self, tap: usize, channel: usize) -> usize {
        let lanes = self.isa.lanes::<f32>();
        channel / lanes * self.vector() + tap * lanes + channel % lanes
    }

    /// Packs the weights of some channels.
    pub(super) fn pack(&mut self, channels: &Range<usize>, weight: &[f32], fold: Fold<'_>) {
        for (kernel, channel) in weight.chunks_exact(self.taps()).zip(channels.clone()) {
            for (tap, weight) in kernel.iter().enumerate() {
                let at = self.place(tap, channel);
                self.weights[at] = weight * fold.scale(channel);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.weights.len()
    }

    /// Computes; shapes, places and the activation are checked.
    pub(super) fn run(&self, arena: &mut [f32], input: &Map, out: &Map, tail: Tail) {
        let arena = Shared::new(arena);
        let [n, c, oh, ow] = out.shape;
        let rows = n * oh;
        let work = rows * ow * c;
        // Several rows to a task, so that it takes longer than being woken up.
        let count = (work >> 14).clamp(1, rows.min(8 * rayon::current_num_threads()).max(1));
        tasks(count, work, |task| {
            let rows = part(rows, count, task);
            dispatch(self.isa, Rows { conv: self, from: arena, to: arena, input, out, tail, rows });
        });
    }
}

impl Depthwise {
    /// Computes some rows on this thread alone, from a map in one memory to one in another. Of the maps only those rows
    /// need be in memory that are read and written.
    ///
    /// # Safety
    /// Those rows lie in their memories, and nobody else writes what is read or uses what is written. There is no residual.
    pub(super) unsafe fn run_alone(
        &self,
        [from, to]: [Shared<f32>; 2],
        input: &Map,
        out: &Map,
        rows: Range<usize>,
        activation: Activation,
    ) {
        let tail = Tail { residual: None, activation };
        dispatch(self.isa, Rows { conv: self, from, to, input, out, tail, rows });
    }
}

/// Some rows of the output, of all pictures.
struct Rows<'a> {
    conv: &'a Depthwise,
    /// Where the input lies, and the output and the residual.
    from: Shared<f32>,
    to: Shared<f32>,
    input: &'a Map,
    out: &'a Map,
    tail: Tail,
    rows: Range<usize>,
}

/// Pixels that are computed together, at most: as many sums as hide the latency of an addition.
const TOGETHER: usize = 8;
/// Rows and columns of the kernels for which there is a loop of their own, and the most pixels between its windows.
const THREE: usize = 3;
const FARTHEST: usize = 2;
/// The most columns that so many pixels see.
const COLUMNS: usize = FARTHEST * (TOGETHER - 1) + THREE;

impl Kernel<f32> for Rows<'_> {
    #[inline(always)]
    fn run<S: Lanes<Elem = f32>>(self) {
        let (spec, [_, _, oh, ow]) = (&self.conv.spec, self.out.shape);
        let count = ow.div_ceil(TOGETHER);
        let is_three = spec.kernel_size == [THREE; 2] && spec.dilation[1] == 1;
        let step = if is_three && spec.stride[1] <= FARTHEST { spec.stride[1] } else { 0 };
        let mut table = vec![std::ptr::null(); TOGETHER * self.conv.taps().max(COLUMNS)];
        for row in self.rows.clone() {
            for i in 0..count {
                let pixels = part(ow, count, i);
                let first = [row / oh, row % oh, pixels.start];
                macro_rules! sized {
                    ($($step:literal: $($pixels:literal)*;)*) => {
                        match (step, pixels.len()) {
                            $($(($step, $pixels) => self.pixels::<S, $pixels, $step>(first, &mut table),)*)*
                            _ => (0..pixels.len()).for_each(|i| {
                                self.pixels::<S, 1, 0>([first[0], first[1], first[2] + i], &mut table);
                            }),
                        }
                    };
                }
                sized!(1: 4 5 6 7 8; 2: 4 5 6 7 8; 0: 4 5 6 7 8;);
            }
        }
    }
}

/// A vector of channels of some neighbouring pixels: what these see, and the weights.
struct Vector<'a, const R: usize> {
    /// Row by row of the kernel the columns that the pixels see, if they share any, or tap by tap what each of them sees.
    seen: &'a [*const f32],
    weights: *const f32,
    taps: usize,
    channel: usize,
}

impl Rows<'_> {
    /// All channels of `R` neighbouring pixels from `[n, y, x]` on: by a 3x3 kernel whose windows lie `STEP` pixels apart, so
    /// that a pixel is read once for all that see it, or, where that is 0, by any.
    #[inline(always)]
    fn pixels<S: Lanes<Elem = f32>, const R: usize, const STEP: usize>(
        &self,
        [n, y, x]: [usize; 3],
        table: &mut [*const f32],
    ) {
        let spec = &self.conv.spec;
        let [kh, kw] = spec.kernel_size;
        for i in 0..kh {
            let row = y * spec.stride[0] + i * spec.dilation[0];
            if STEP > 0 {
                for at in 0..(R - 1) * STEP + THREE {
                    table[i * COLUMNS + at] = self.seen(n, row, x * STEP + at);
                }
                continue;
            }
            for j in 0..kw {
                for r in 0..R {
                    let column = (x + r) * spec.stride[1] + j * spec.dilation[1];
                    table[(i * kw + j) * R + r] = self.seen(n, row, column);
                }
            }
        }
        let to = self.to.get();
        let outs: [*mut f32; R] = std::array::from_fn(|r| to.wrapping_add(self.out.at(n, y, x + r)));
        let residuals: Option<[*const f32; R]> = self
            .tail
            .residual
            .map(|map| std::array::from_fn(|r| to.cast_const().wrapping_add(map.at(n, y, x + r))));
        let (low, high) = limits(self.tail.activation);
        let (low, high) = (S::splat(low), S::splat(high));
        let (mut channel, mut weights) = (0, self.conv.weights.as_ptr());
        // SAFETY: `Conv::run`, or whoever called `run_alone`, checked that the maps lie in their memories, apart from each
        // other; the table was just filled with the addresses of pixels of the picture, or of as many zeros, for all that
        // `three` and `any` read of it: `(R - 1) * STEP + THREE <= COLUMNS` for each row of the kernel, or `R` for each tap.
        // Weights and biases are whole vectors. Tasks write other rows.
        unsafe {
            while channel < spec.out_channels {
                let count = (spec.out_channels - channel).min(S::N);
                let vector = Vector::<R> { seen: table, weights, taps: kh * kw, channel };
                let mut sums = match (STEP, count == S::N) {
                    (0, true) => vector.any::<S, true>(count),
                    (0, false) => vector.any::<S, false>(count),
                    (_, true) => vector.three::<S, STEP, true>(count),
                    (_, false) => vector.three::<S, STEP, false>(count),
                };
                if let Some(residuals) = &residuals {
                    for (sum, at) in sums.iter_mut().zip(residuals) {
                        *sum = sum.add(S::load_part(at.add(channel), count));
                    }
                }
                for (sum, out) in sums.into_iter().zip(&outs) {
                    let (sum, out) = (sum.at_least(low).at_most(high), out.add(channel));
                    if count == S::N { sum.store(out) } else { sum.store_part(out, count) }
                }
                channel += S::N;
                weights = weights.add((kh * kw + 1) * S::N);
            }
        }
    }

    /// Where the first channel of a pixel of the input lies, counted with the padding: in the picture, or zeros.
    #[inline(always)]
    fn seen(&self, n: usize, y: usize, x: usize) -> *const f32 {
        let ([_, _, h, w], padding) = (self.input.shape, &self.conv.spec.padding);
        let (y, x) = (y.wrapping_sub(padding.top), x.wrapping_sub(padding.left));
        match y < h && x < w {
            true => self.from.get().cast_const().wrapping_add(self.input.at(n, y, x)),
            false => self.conv.zeros.as_ptr(),
        }
    }
}

impl<const R: usize> Vector<'_, R> {
    /// What lies at the `at`-th address, `count` channels of it: all of them if `WHOLE`.
    ///
    /// # Safety
    /// There is such an address, of so many channels.
    #[inline(always)]
    unsafe fn load<S: Lanes<Elem = f32>, const WHOLE: bool>(&self, at: usize, count: usize) -> S {
        // SAFETY: the caller's promise.
        unsafe {
            let from = self.seen.get_unchecked(at).add(self.channel);
            if WHOLE { S::load(from) } else { S::load_part(from, count) }
        }
    }

    /// By a 3x3 kernel whose windows lie `STEP` pixels apart, `count` channels.
    ///
    /// # Safety
    /// All that is named can be read.
    #[inline(always)]
    unsafe fn three<S: Lanes<Elem = f32>, const STEP: usize, const WHOLE: bool>(
        &self,
        count: usize,
    ) -> [S; R] {
        let mut sums = [S::splat(0.0); R];
        // SAFETY: the caller's promise.
        unsafe {
            sums.fill(S::load(self.weights.add(THREE * THREE * S::N)));
            for i in 0..THREE {
                let mut taps = [S::splat(0.0); THREE];
                let mut columns = [S::splat(0.0); THREE];
                for j in 0..THREE {
                    taps[j] = S::load(self.weights.add((i * THREE + j) * S::N));
                    columns[j] = self.load::<S, WHOLE>(i * COLUMNS + j, count);
                }
                for (r, sum) in sums.iter_mut().enumerate() {
                    let [first, second, third] = columns;
                    *sum = sum.fma(first, taps[0]).fma(second, taps[1]).fma(third, taps[2]);
                    if r + 1 < R {
                        // What the next window sees of it is not read again.
                        let last = i * COLUMNS + (r + 1) * STEP + 2;
                        let before = match STEP {
                            1 => [second, third],
                            _ => [third, self.load::<S, WHOLE>(last - 1, count)],
                        };
                        columns = [before[0], before[1], self.load::<S, WHOLE>(last, count)];
                    }
                }
            }
        }
        sums
    }

    /// By any kernel, `count` channels.
    ///
    /// # Safety
    /// As above.
    #[inline(always)]
    unsafe fn any<S: Lanes<Elem = f32>, const WHOLE: bool>(&self, count: usize) -> [S; R] {
        let mut sums = [S::splat(0.0); R];
        // SAFETY: the caller's promise.
        unsafe {
            sums.fill(S::load(self.weights.add(self.taps * S::N)));
            for tap in 0..self.taps {
                let weight = S::load(self.weights.add(tap * S::N));
                for (r, sum) in sums.iter_mut().enumerate() {
                    *sum = sum.fma(self.load::<S, WHOLE>(tap * R + r, count), weight);
                }
            }
        }
        sums
    }
}
