//! Winograd's convolution F(4x4, 3x3): of a 3x3 kernel with stride 1, sixteen outputs from 36 products instead of
//! 144.
//!
//! A tile of 4x4 outputs sees 6x6 pixels. These, and the weights, are transformed by small matrices; then each of
//! the 36 numbers of a tile is a product of its own, of tiles by input channels with input by output channels,
//! and another small matrix makes pixels of the sums. The transforms work on vectors of channels, so that pixels
//! are transposed on their way in and out; tiles are taken as many at a time as stay in the cache with all their
//! channels.
//!
//! The transforms subtract, so that results are less exact than direct sums: about 3e-6 of the largest instead of
//! 3e-7. An infinite or missing number makes a whole tile NaN.

#![expect(unsafe_code, reason = "tiles read and write through pointers; the bounds are the block's")]

mod grad_weight;
mod tiles;
mod transform;
mod weights;

use std::ops::Range;

use super::spec::Conv2d;
use crate::element::Element;
use crate::error::Shape;
use crate::gemm::micro::{self, Init, Left, Rows, Tile, VECTORS};
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::{Shared, tasks};
use crate::scratch;
use crate::simd::Lanes;
pub(super) use grad_weight::{grad_weight, suits as suits_grad_weight};
use tiles::Planes;
use transform::{IN, OUT, PRODUCTS, Pixels, Source, both};
use weights::{Direction, Weights};

/// Channels come in whole vectors of every instruction set.
const CHANNELS: usize = 16;
/// Pairs of channels whose transformed weights stay in the last cache: 18 MiB of f32.
const KEPT: usize = 1 << 17;
/// Tiles that a task transforms at once.
const TILES: usize = 32;

/// Whether the convolution, forward or backward, costs less this way: in cycles of AVX-512, by what transforms and
/// products were measured to take.
pub(super) fn suits(spec: &Conv2d, [n, c, _, _]: Shape, [oh, ow]: [usize; 2]) -> bool {
    // Transformed weights that fit into no cache are written to memory and read from there.
    let weights = if c.saturating_mul(spec.out_channels) > KEPT { 55.0 } else { 12.0 };
    pays(spec, [n, c, oh, ow], 10.0, weights)
}

/// Whether products and transforms take fewer cycles than direct sums, with `transform` for each tile and channel
/// and `weights` for each pair of channels.
fn pays(spec: &Conv2d, [n, c, oh, ow]: Shape, transform: f64, weights: f64) -> bool {
    let plain = spec.kernel_size == [3, 3] && spec.stride == [1, 1] && spec.dilation == [1, 1];
    let o = spec.out_channels;
    if !plain || spec.groups != 1 || !c.is_multiple_of(CHANNELS) || !o.is_multiple_of(CHANNELS) {
        return false;
    }
    let cost = |factors: [usize; 4], each: f64| factors.iter().map(|&x| x as f64).product::<f64>() * each;
    let tiles = n * oh.div_ceil(OUT) * ow.div_ceil(OUT);
    let direct = cost([n * oh, ow, c, o], 9.0 / 32.0 / 0.85);
    let products = cost([tiles, c, o, PRODUCTS], 1.0 / 32.0 / 0.75);
    products + cost([tiles, c + o, 1, 1], transform) + cost([c, o, 1, 1], weights) < direct
}

/// The forward pass.
pub(super) fn forward<T: Element>(
    spec: &Conv2d,
    [n, c, h, w]: Shape,
    [oh, ow]: [usize; 2],
    input: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    out: &mut [T],
) {
    let isa = Isa::current();
    let weights = Weights::new(isa, Direction::Forward, [c, spec.out_channels], weight);
    let offset = [spec.padding.top as isize, spec.padding.left as isize];
    let source = Planes { channels: c, size: [h, w] };
    let target = Planes { channels: spec.out_channels, size: [oh, ow] };
    Convolution { isa, pictures: n, source, target, offset, weights: &weights, input, bias }.run(out);
}

/// The gradient of the input, which is a convolution of the output's with the turned kernel.
pub(super) fn grad_input<T: Element>(
    spec: &Conv2d,
    [n, c, h, w]: Shape,
    [oh, ow]: [usize; 2],
    grad_out: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    grad_input: &mut [T],
) {
    let isa = Isa::current();
    let weights = Weights::new(isa, Direction::Backward, [spec.out_channels, c], weight);
    let offset = [2 - spec.padding.top as isize, 2 - spec.padding.left as isize];
    let source = Planes { channels: spec.out_channels, size: [oh, ow] };
    let target = Planes { channels: c, size: [h, w] };
    Convolution { isa, pictures: n, source, target, offset, weights: &weights, input: grad_out, bias }
        .run(grad_input);
}

/// A convolution with transformed weights. The first output sees the source from `-offset` on.
struct Convolution<'a, T: Element> {
    isa: Isa,
    pictures: usize,
    source: Planes,
    target: Planes,
    offset: [isize; 2],
    weights: &'a Weights<T>,
    input: &'a [T],
    bias: Option<&'a [T]>,
}

impl<T: Element> Convolution<'_, T> {
    fn run(&self, out: &mut [T]) {
        let [rows, columns] = self.target.size.map(|side| side.div_ceil(OUT));
        // Wide rows of tiles are cut, narrow ones joined.
        let across = columns.div_ceil(TILES);
        let rows = self.pictures * rows;
        let down = (rows * columns).div_ceil(TILES * across).next_multiple_of(2).min(rows);
        let out = Shared::new(out);
        tasks(across * down, usize::MAX, |task| {
            let (x, y) = (task % across, task / across);
            let block = Block {
                all: self,
                rows: y * rows / down..(y + 1) * rows / down,
                columns: x * columns / across..(x + 1) * columns / across,
                out,
            };
            dispatch(self.isa, block);
        });
    }
}

/// One task: some columns of some rows of tiles, with all their channels. Rows count through all pictures.
struct Block<'a, T: Element> {
    all: &'a Convolution<'a, T>,
    rows: Range<usize>,
    columns: Range<usize>,
    out: Shared<T>,
}

impl<T: Element> Kernel<T> for Block<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let (all, tiles) = (self.all, self.rows.len() * self.columns.len());
        let (channels, width) = (all.source.channels, VECTORS * S::N);
        // The products' matrices, a vector apart so that not all begin in the same set of a cache.
        let (source_step, sum_step) = (tiles * channels + S::N, tiles * width + S::N);
        let mut source = scratch::take::<T>(PRODUCTS * source_step);
        let mut sums = scratch::take::<T>(PRODUCTS * sum_step);
        self.transform::<S>(&mut source, source_step);
        for panel in 0..all.weights.panels.count {
            let (start, width) = all.weights.panels.get(panel);
            for product in 0..PRODUCTS {
                let a = source[product * source_step..].as_ptr();
                let c = sums[product * sum_step..].as_mut_ptr();
                for row in (0..tiles).step_by(S::ROWS) {
                    let tile = Tile {
                        depth: channels,
                        a: a.wrapping_add(row * channels),
                        left: Left::Step { row: channels, step: 1 },
                        b: all.weights.panel(product, panel),
                        b_rows: Rows::Step(width),
                        c: c.wrapping_add(row * width),
                        c_row: width,
                        columns: width,
                        init: Init::Zero,
                    };
                    // SAFETY: both matrices have these rows, as long as all channels, and the sums these too.
                    unsafe { micro::run(all.isa, S::ROWS.min(tiles - row), &tile) };
                }
            }
            self.finish::<S>(&sums, sum_step, start, width);
        }
    }
}

impl<T: Element> Block<'_, T> {
    /// Transforms what the block's tiles see: of each product a row of channels for every tile.
    #[inline(always)]
    fn transform<S: Lanes<Elem = T>>(&self, to: &mut [T], step: usize) {
        let (all, columns) = (self.all, self.columns.len());
        let (channels, rows) = (all.source.channels, all.target.size[0].div_ceil(OUT));
        let wide = OUT * columns + IN - OUT;
        let mut lines = scratch::take::<T>((IN * wide + S::N) * S::N);
        for (row, tiles) in self.rows.clone().enumerate() {
            let (picture, top) = (tiles / rows, (tiles % rows * OUT) as isize - all.offset[0]);
            let left = (self.columns.start * OUT) as isize - all.offset[1];
            for channel in (0..channels).step_by(S::N) {
                // SAFETY: there are these pictures and channels, `lines` has room for a block of pixels behind the
                // last line, and each product's matrix a row of all channels for each tile.
                unsafe {
                    let to = to.as_mut_ptr().add(row * columns * channels + channel);
                    let (place, to) = ([picture, channel], (to, channels, step));
                    all.source.transform::<S, T, Source, IN>(
                        all.input,
                        place,
                        [top, left],
                        columns,
                        &mut lines,
                        to,
                    );
                }
            }
        }
    }

    /// Makes pixels of the sums of `width` output channels from `start` on.
    #[inline(always)]
    fn finish<S: Lanes<Elem = T>>(&self, sums: &[T], step: usize, start: usize, width: usize) {
        let (all, columns) = (self.all, self.columns.len());
        let [height, across] = all.target.size;
        let rows = height.div_ceil(OUT);
        let wide = OUT * columns;
        let mut lines = scratch::take::<T>((OUT * wide + S::N) * S::N);
        let mut block = scratch::take::<T>(S::N * S::N);
        for (row, tiles) in self.rows.clone().enumerate() {
            let (picture, top, left) = (tiles / rows, tiles % rows * OUT, self.columns.start * OUT);
            for channel in (0..width).step_by(S::N) {
                for column in 0..columns {
                    // SAFETY: each product's sums have a row of `width` channels for each tile, and `lines` these
                    // lines and columns.
                    unsafe {
                        let from = sums.as_ptr().add((row * columns + column) * width + channel);
                        let to = lines.as_mut_ptr().add(column * OUT * S::N);
                        both::<S, Pixels, IN, OUT>(from, [IN * step, step], to, [wide * S::N, S::N]);
                    }
                }
                if let Some(bias) = all.bias {
                    for pixel in lines[..OUT * wide * S::N].chunks_exact_mut(S::N) {
                        for (x, &bias) in pixel.iter_mut().zip(&bias[start + channel..]) {
                            *x += bias;
                        }
                    }
                }
                for i in 0..OUT.min(height - top) {
                    let (count, place) = (wide.min(across - left), [picture, start + channel]);
                    // SAFETY: these pixels are this task's, and after each line is room for a block of pixels.
                    unsafe {
                        let from = lines.as_ptr().add(i * wide * S::N);
                        let (to, at) = (self.out.get(), [top + i, left]);
                        all.target.scatter::<S, T>(from, count, place, at, to, &mut block);
                    }
                }
            }
        }
    }
}
