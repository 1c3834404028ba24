//! Depthwise convolutions: each channel with a kernel of its own.
//!
//! A vector holds neighbouring channels of a pixel, and a tap's weights are a vector as well. Some neighbouring output
//! pixels are computed together, so that a vector of weights is read once for all of them; taps beyond the picture are
//! left out.

#![expect(unsafe_code, reason = "tasks share the arena, and vectors are read through pointers")]

use std::ops::Range;

use super::conv::{Fold, Tail};
use super::map::Map;
use crate::activation::Activation;
use crate::conv::{Conv2d, inside};
use crate::epilogue::finish;
use crate::isa::{Isa, Kernel, dispatch};
use crate::lasting::Lasting;
use crate::par::{Shared, part, tasks};
use crate::simd::Lanes;

/// Packed weights.
pub(super) struct Depthwise {
    spec: Conv2d,
    isa: Isa,
    /// Tap by tap the channels' weights, then their biases, each in whole vectors.
    weights: Lasting<f32>,
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
        let mut weights = Lasting::zeroed((taps + 1) * width);
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

/// Pixels that are computed together: as many sums as hide the latency of an addition.
const TOGETHER: usize = 8;
const FEWER: usize = 4;
/// Columns of the kernels for which there is a loop of their own, and of those at the picture's edges.
const THREE: usize = 3;
const TWO: usize = 2;

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
        // Whether a window's second column is the next one's first.
        let is_shared = spec.stride[1] == spec.dilation[1];
        for row in self.rows.clone() {
            let (n, y) = (row / oh, row % oh);
            let top = (y * spec.stride[0]) as isize - spec.padding.top as isize;
            let (skip, end) = inside(top, spec.dilation[0], h, spec.kernel_size[0]);
            let mut x = 0;
            while x < ow {
                let left = (x * spec.stride[1]) as isize - first;
                let window = Window { n, y, x, rows: skip..end, top, left };
                let inside_all = |pixels: usize| x >= from && x + pixels <= to;
                let (skip, end) = inside(left, spec.dilation[1], w, spec.kernel_size[1]);
                let columns = skip..end;
                x += match spec.kernel_size[1] {
                    THREE if inside_all(TOGETHER) && is_shared => {
                        self.pixels::<S, TOGETHER, THREE, true>(&window, columns)
                    }
                    THREE if inside_all(FEWER) && is_shared => {
                        self.pixels::<S, FEWER, THREE, true>(&window, columns)
                    }
                    THREE if inside_all(TOGETHER) => {
                        self.pixels::<S, TOGETHER, THREE, false>(&window, columns)
                    }
                    THREE if inside_all(FEWER) => self.pixels::<S, FEWER, THREE, false>(&window, columns),
                    THREE if inside_all(1) => self.pixels::<S, 1, THREE, false>(&window, columns),
                    THREE if columns.len() == TWO => self.pixels::<S, 1, TWO, false>(&window, columns),
                    _ if inside_all(FEWER) => self.pixels::<S, FEWER, 0, false>(&window, columns),
                    _ => self.pixels::<S, 1, 0, false>(&window, columns),
                };
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

/// Where a window's numbers lie.
struct Places {
    /// The first that it sees, and from there to the next row and column of the kernel, and to the next pixel's window.
    first: *const f32,
    down: usize,
    across: usize,
    step: usize,
    /// Its weights from the first row and column that it sees, and its biases.
    weights: *const f32,
    bias: *const f32,
    out: *mut f32,
    residual: Option<(*const f32, usize)>,
    rows: usize,
    columns: usize,
}

impl Rows<'_> {
    /// All channels of `R` neighbouring pixels, of which all have these columns of the kernel inside the picture: `W` of
    /// them, if it isn't 0. If `SHARED`, a window's second column is the next one's first, and a pixel is read once for all
    /// windows that see it. Gives `R`.
    #[inline(always)]
    fn pixels<S: Lanes<Elem = f32>, const R: usize, const W: usize, const SHARED: bool>(
        &self,
        window: &Window,
        columns: Range<usize>,
    ) -> usize {
        let (spec, width) = (&self.conv.spec, self.conv.width);
        let ([kh, kw], channels) = (spec.kernel_size, spec.out_channels);
        let corner = |i: usize, j: usize| {
            let y = window.top + (i * spec.dilation[0]) as isize;
            let x = window.left + (j * spec.dilation[1]) as isize;
            self.input.at(window.n, y as usize, x as usize)
        };
        let is_empty = window.rows.is_empty() || columns.is_empty();
        let first = if is_empty { 0 } else { corner(window.rows.start, columns.start) };
        let weights = self.conv.weights.as_ptr();
        let out = self.out.at(window.n, window.y, window.x);
        let residual = self.tail.residual.map(|map| {
            let at = map.at(window.n, window.y, window.x);
            (self.to.get().wrapping_add(at).cast_const(), map.pixel)
        });
        let places = Places {
            first: self.from.get().cast_const().wrapping_add(first),
            down: spec.dilation[0] * self.input.row,
            across: spec.dilation[1] * self.input.pixel,
            step: spec.stride[1] * self.input.pixel,
            weights: weights.wrapping_add((window.rows.start * kw + columns.start) * width),
            bias: weights.wrapping_add(kh * kw * width),
            out: self.to.get().wrapping_add(out),
            residual,
            rows: window.rows.len(),
            columns: columns.len(),
        };
        let mut channel = 0;
        // SAFETY: `Conv::run` checked that the maps lie in the arena, apart from each other; the rows and columns of the
        // kernel are those that `inside` found in the picture for all `R` pixels; weights and biases are whole vectors.
        // Tasks write other rows.
        unsafe {
            while channel + S::N <= channels {
                self.vector::<S, R, W, SHARED>(&places, channel, S::N);
                channel += S::N;
            }
            if channel < channels {
                self.vector::<S, R, W, SHARED>(&places, channel, channels - channel);
            }
        }
        R
    }

    /// A vector of channels, of which `count` are there.
    ///
    /// # Safety
    /// All that the places name can be read, and written.
    #[inline(always)]
    unsafe fn vector<S: Lanes<Elem = f32>, const R: usize, const W: usize, const SHARED: bool>(
        &self,
        places: &Places,
        channel: usize,
        count: usize,
    ) {
        let (kw, width) = (self.conv.spec.kernel_size[1], self.conv.width);
        let columns = if W > 0 { W } else { places.columns };
        let mut sums = [S::splat(0.0); R];
        // SAFETY: the caller's promise.
        unsafe {
            for i in 0..places.rows {
                let row = places.first.add(i * places.down + channel);
                let weights = places.weights.add(i * kw * width + channel);
                if SHARED {
                    let mut taps = [S::splat(0.0); W];
                    for (j, tap) in taps.iter_mut().enumerate() {
                        *tap = S::load(weights.add(j * width));
                    }
                    for at in 0..R + W - 1 {
                        let x = row.add(at * places.across);
                        let x = if count == S::N { S::load(x) } else { S::load_part(x, count) };
                        for j in 0..W {
                            if at >= j && at - j < R {
                                sums[at - j] = sums[at - j].fma(x, taps[j]);
                            }
                        }
                    }
                    continue;
                }
                for j in 0..columns {
                    let (weight, tap) = (S::load(weights.add(j * width)), row.add(j * places.across));
                    for (r, sum) in sums.iter_mut().enumerate() {
                        let x = tap.add(r * places.step);
                        let x = if count == S::N { S::load(x) } else { S::load_part(x, count) };
                        *sum = sum.fma(x, weight);
                    }
                }
            }
            let bias = S::load(places.bias.add(channel));
            for (r, sum) in sums.into_iter().enumerate() {
                let mut residual = None;
                if let Some((at, pixel)) = places.residual {
                    residual = Some(S::load_part(at.add(r * pixel + channel), count));
                }
                let sum = finish(sum, None, Some(bias), residual, self.tail.activation);
                let to = places.out.add(r * self.out.pixel + channel);
                if count == S::N {
                    sum.store(to);
                } else {
                    sum.store_part(to, count);
                }
            }
        }
    }
}
