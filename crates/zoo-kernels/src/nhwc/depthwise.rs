//! Depthwise convolutions: each channel with a kernel of its own.
//!
//! A vector holds neighbouring channels of a pixel, and a tap's weights are a vector as well. Some neighbouring output
//! pixels are computed together, so that a vector of weights is read once for all of them; taps beyond the picture are
//! left out.

#![expect(unsafe_code, reason = "tasks share the arena, and vectors are read through pointers")]

use std::ops::Range;

use super::conv::{Fold, Tail};
use super::map::Map;
use crate::conv::{Conv2d, inside};
use crate::epilogue::finish;
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::{Shared, part, tasks};
use crate::scratch::Aligned;
use crate::simd::Lanes;

/// Packed weights.
pub(super) struct Depthwise {
    spec: Conv2d,
    isa: Isa,
    /// Tap by tap the channels' weights, then their biases, each in whole vectors.
    weights: Aligned<f32>,
    width: usize,
}

impl std::fmt::Debug for Depthwise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Depthwise").field("spec", &self.spec).finish()
    }
}

impl Depthwise {
    /// Without weights, for [`Depthwise::pack`] to fill in.
    pub(super) fn new(spec: &Conv2d, fold: Fold<'_>, isa: Isa) -> Self {
        let (channels, taps) = (spec.out_channels, spec.kernel_size[0] * spec.kernel_size[1]);
        let width = channels.next_multiple_of(isa.lanes::<f32>());
        let mut weights = Aligned::zeroed((taps + 1) * width);
        for channel in 0..channels {
            weights[taps * width + channel] = fold.shift(channel);
        }
        Self { spec: *spec, isa, weights, width }
    }

    /// Packs the weights of some channels.
    pub(super) fn pack(&mut self, channels: &Range<usize>, weight: &[f32], fold: Fold<'_>) {
        let taps = self.spec.kernel_size[0] * self.spec.kernel_size[1];
        for (kernel, channel) in weight.chunks_exact(taps).zip(channels.clone()) {
            for (tap, weight) in kernel.iter().enumerate() {
                self.weights[tap * self.width + channel] = weight * fold.scale(channel);
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
            dispatch(self.isa, Rows { conv: self, arena, input, out, tail, rows });
        });
    }
}

/// Some rows of the output, of all pictures.
struct Rows<'a> {
    conv: &'a Depthwise,
    arena: Shared<f32>,
    input: &'a Map,
    out: &'a Map,
    tail: Tail,
    rows: Range<usize>,
}

/// Pixels that are computed together.
const TOGETHER: usize = 4;

impl Kernel<f32> for Rows<'_> {
    #[inline(always)]
    fn run<S: Lanes<Elem = f32>>(self) {
        let spec = &self.conv.spec;
        let ([_, _, h, w], [_, _, oh, ow]) = (self.input.shape, self.out.shape);
        let (last, first) = (spec.kernel_size[1] - 1, spec.padding.left as isize);
        // The windows that lie inside the picture with all their columns.
        let (from, _) = inside(-first, spec.stride[1], w, ow);
        let (_, to) = inside((last * spec.dilation[1]) as isize - first, spec.stride[1], w, ow);
        let to = to.max(from);
        for row in self.rows.clone() {
            let (n, y) = (row / oh, row % oh);
            let top = (y * spec.stride[0]) as isize - spec.padding.top as isize;
            let (skip, end) = inside(top, spec.dilation[0], h, spec.kernel_size[0]);
            let mut x = 0;
            while x < ow {
                let left = (x * spec.stride[1]) as isize - first;
                let window = Window { n, y, x, rows: skip..end, top, left };
                if x >= from && x + TOGETHER <= to {
                    self.pixels::<S, TOGETHER>(&window, 0..spec.kernel_size[1]);
                    x += TOGETHER;
                } else {
                    let (skip, end) = inside(left, spec.dilation[1], w, spec.kernel_size[1]);
                    self.pixels::<S, 1>(&window, skip..end);
                    x += 1;
                }
            }
        }
    }
}

/// Where the first of some pixels lies, and what it sees.
struct Window {
    n: usize,
    y: usize,
    x: usize,
    /// Rows of the kernel inside the picture.
    rows: Range<usize>,
    /// Row and column of the kernel's corner in the picture.
    top: isize,
    left: isize,
}

impl Rows<'_> {
    /// All channels of `R` neighbouring pixels, of which all have these columns of the kernel inside the picture.
    #[inline(always)]
    fn pixels<S: Lanes<Elem = f32>, const R: usize>(&self, window: &Window, columns: Range<usize>) {
        let (spec, width) = (&self.conv.spec, self.conv.width);
        let [kh, kw] = spec.kernel_size;
        let channels = spec.out_channels;
        let arena = self.arena.get();
        let (weights, bias) = (self.conv.weights.as_ptr(), kh * kw * width);
        let step = spec.stride[1] * self.input.pixel;
        let corner = |i: usize, j: usize| {
            let y = window.top + (i * spec.dilation[0]) as isize;
            let x = window.left + (j * spec.dilation[1]) as isize;
            self.input.at(window.n, y as usize, x as usize)
        };
        let (first_row, first_column) = (window.rows.start, columns.start);
        let is_empty = window.rows.is_empty() || columns.is_empty();
        let first = if is_empty { 0 } else { corner(first_row, first_column) };
        let (down, across) = (spec.dilation[0] * self.input.row, spec.dilation[1] * self.input.pixel);
        let out = self.out.at(window.n, window.y, window.x);
        let residual = self.tail.residual.map(|map| (map.at(window.n, window.y, window.x), map.pixel));
        let mut channel = 0;
        while channel < channels {
            let count = S::N.min(channels - channel);
            let mut sums = [S::splat(0.0); R];
            // SAFETY: `Conv::run` checked that the maps lie in the arena, apart from each other; the rows and columns
            // of the kernel are those that `inside` found in the picture for all `R` pixels; weights and biases are
            // whole vectors. Tasks write other rows.
            unsafe {
                for i in window.rows.clone() {
                    let row = arena.add(first + (i - first_row) * down + channel).cast_const();
                    for j in columns.clone() {
                        let weight = S::load(weights.add((i * kw + j) * width + channel));
                        let tap = row.add((j - first_column) * across);
                        for (r, sum) in sums.iter_mut().enumerate() {
                            let x = if count == S::N {
                                S::load(tap.add(r * step))
                            } else {
                                S::load_part(tap.add(r * step), count)
                            };
                            *sum = sum.fma(x, weight);
                        }
                    }
                }
                let bias = S::load(weights.add(bias + channel));
                for (r, sum) in sums.into_iter().enumerate() {
                    let residual = match residual {
                        Some((at, pixel)) => Some(S::load_part(arena.add(at + r * pixel + channel), count)),
                        None => None,
                    };
                    let sum = finish(sum, None, Some(bias), residual, self.tail.activation);
                    let to = arena.add(out + r * self.out.pixel + channel);
                    if count == S::N {
                        sum.store(to);
                    } else {
                        sum.store_part(to, count);
                    }
                }
            }
            channel += S::N;
        }
    }
}
