//! Winograd's convolution F(4x4, 3x3): of a 3x3 kernel with stride 1, sixteen outputs from 36 products instead of
//! 144.
//!
//! A tile of 4x4 outputs sees 6x6 pixels. These, and the weights, are transformed by small matrices; then each of
//! the 36 numbers of a tile is a product of its own, of tiles by input channels with input by output channels,
//! and another small matrix makes pixels of the sums. The transforms work on vectors of channels, so that pixels
//! are transposed on their way in and out; tiles are taken as many at a time as stay in the cache with all their
//! channels.
//!
//! The transforms subtract, so that results are less exact than direct sums: off by up to 3e-6 of the largest, for
//! 256 channels, instead of 2e-6. An infinite or missing number makes a whole tile NaN.

#![expect(unsafe_code, reason = "tiles read and write through pointers; the bounds are the block's")]

mod blocks;
mod grad_weight;
mod panels;
mod tiles;
pub(crate) mod transform;
mod weights;

use std::ops::Range;

use super::forward::Layer;
use super::method::Method;
use super::spec::Conv2d;
use crate::element::Element;
use crate::epilogue::Epilogue;
use crate::error::Shape;
use crate::gemm::micro::{self, Block, Operands, Right};
use crate::isa::Isa;
use crate::par::Shared;
use crate::scratch;
use crate::simd::Lanes;
pub(super) use grad_weight::{grad_weight, suits as suits_grad_weight, working as grad_weight_working};
pub(super) use panels::working as panels_working;
use tiles::Planes;
use transform::{IN, OUT, PRODUCTS, Pixels, Source, both};
use weights::{Direction, Kernel3x3};

/// Channels come in whole vectors of every instruction set.
const CHANNELS: usize = 16;
/// Pairs of channels whose transformed weights stay in the last cache: 18 MiB of f32.
const KEPT: usize = 1 << 17;

/// Whether the convolution, forward or backward, costs less this way: in cycles of AVX-512, by what transforms and
/// products were measured to take.
pub(super) fn suits(spec: &Conv2d, [n, c, _, _]: Shape, [oh, ow]: [usize; 2]) -> bool {
    let batches = match method([n, oh, ow], c.saturating_mul(spec.out_channels)) {
        Method::WinogradPanels => panels::batches(n * oh.div_ceil(OUT), ow.div_ceil(OUT)),
        _ => 1,
    };
    pays(spec, [n, c, oh, ow], 10.0, 12.0 * batches as f64)
}

/// How, for `pairs` pairs of channels: few tiles or many weights go by panels.
pub(super) fn method([pictures, height, width]: [usize; 3], pairs: usize) -> Method {
    let tiles = pictures * height.div_ceil(OUT) * width.div_ceil(OUT);
    if tiles <= panels::TILES || pairs > KEPT { Method::WinogradPanels } else { Method::WinogradBlocks }
}

/// How, if weights are transformed once for many pictures, which saves time as long as they fit into the last cache.
pub(super) fn prepared(spec: &Conv2d) -> Method {
    let pairs = spec.in_channels.saturating_mul(spec.out_channels);
    if pairs > KEPT { Method::WinogradPanels } else { Method::WinogradBlocks }
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
    // Few pixels make little of weights that come from memory.
    let direct = cost([n * oh, ow, c, o], 9.0 / 32.0 / 0.85) + cost([c, o, 1, 1], 9.0);
    let products = cost([tiles, c, o, PRODUCTS], 1.0 / 32.0 / 0.75);
    products + cost([tiles, c + o, 1, 1], transform) + cost([c, o, 1, 1], weights) < direct
}

/// The numbers that transformed weights take.
pub(super) fn transformed_len(spec: &Conv2d) -> usize {
    weights::len(spec.in_channels, spec.out_channels)
}

/// Transforms the forward pass's weights.
pub(super) fn transform<T: Element>(isa: Isa, spec: &Conv2d, weight: &[T], to: &mut [T]) {
    forward_kernel(spec, weight).transform_all(isa, to);
}

fn forward_kernel<'a, T>(spec: &Conv2d, weight: &'a [T]) -> Kernel3x3<'a, T> {
    let (channels, outs) = (spec.in_channels, spec.out_channels);
    Kernel3x3 { direction: Direction::Forward, channels, outs, weight }
}

/// The forward pass with [`transform`]ed weights.
pub(super) fn by_blocks<T: Element>(
    layer: &Layer<'_>,
    input: &[T],
    transformed: &[T],
    epilogue: &Epilogue<'_, T>,
    out: &mut [T],
) {
    blocks::run(&Convolution::forward(layer, input, epilogue), transformed, out);
}

/// The forward pass with weights as they are.
pub(super) fn by_panels<T: Element>(
    layer: &Layer<'_>,
    input: &[T],
    weight: &[T],
    epilogue: &Epilogue<'_, T>,
    out: &mut [T],
) {
    let kernel = forward_kernel(layer.spec, weight);
    panels::run(&Convolution::forward(layer, input, epilogue), kernel, out);
}

/// The gradient of the input, which is a convolution of the output's with the turned kernel.
pub(super) fn grad_input<T: Element>(
    layer: &Layer<'_>,
    method: Method,
    grad_out: &[T],
    weight: &[T],
    grad_input: &mut [T],
) {
    let ([n, c, h, w], [_, channels, oh, ow]) = (layer.shape, layer.output);
    let padding = layer.spec.padding;
    let convolution = Convolution {
        isa: layer.isa,
        pictures: n,
        source: Planes { channels, size: [oh, ow] },
        target: Planes { channels: c, size: [h, w] },
        offset: [2 - padding.top as isize, 2 - padding.left as isize],
        input: grad_out,
        epilogue: &Epilogue::default(),
    };
    let kernel = Kernel3x3 { direction: Direction::Backward, channels, outs: c, weight };
    if method == Method::WinogradPanels {
        return panels::run(&convolution, kernel, grad_input);
    }
    let mut transformed = scratch::take_shared(weights::len(channels, c));
    kernel.transform_all(layer.isa, &mut transformed);
    blocks::run(&convolution, &transformed, grad_input);
}

/// A convolution whose first output sees the source from `-offset` on.
struct Convolution<'a, T> {
    isa: Isa,
    pictures: usize,
    source: Planes,
    target: Planes,
    offset: [isize; 2],
    input: &'a [T],
    epilogue: &'a Epilogue<'a, T>,
}

impl<'a, T: Element> Convolution<'a, T> {
    fn forward(layer: &Layer<'_>, input: &'a [T], epilogue: &'a Epilogue<'a, T>) -> Self {
        let ([n, c, h, w], [_, o, oh, ow]) = (layer.shape, layer.output);
        Self {
            isa: layer.isa,
            pictures: n,
            source: Planes { channels: c, size: [h, w] },
            target: Planes { channels: o, size: [oh, ow] },
            offset: [layer.spec.padding.top as isize, layer.spec.padding.left as isize],
            input,
            epilogue,
        }
    }

    /// Rows of tiles in all pictures, and tiles in a row.
    fn tiles(&self) -> [usize; 2] {
        let [height, width] = self.target.size.map(|side| side.div_ceil(OUT));
        [self.pictures * height, width]
    }

    /// Transforms what some columns of some rows of tiles see: of each product, `step` apart from `to` on, a row of
    /// channels for every tile. Rows count through all pictures.
    ///
    /// # Safety
    /// These places can be written.
    #[inline(always)]
    unsafe fn transform<S: Lanes<Elem = T>>(
        &self,
        rows: Range<usize>,
        columns: Range<usize>,
        to: *mut T,
        step: usize,
    ) {
        let (channels, down) = (self.source.channels, self.target.size[0].div_ceil(OUT));
        let mut lines = scratch::take::<T>((IN * (OUT * columns.len() + IN - OUT) + S::N) * S::N);
        for (row, tiles) in rows.enumerate() {
            let picture = tiles / down;
            let top = (tiles % down * OUT) as isize - self.offset[0];
            let left = (columns.start * OUT) as isize - self.offset[1];
            for channel in (0..channels).step_by(S::N) {
                let place = [picture, channel];
                // SAFETY: there are these pictures and channels, and `lines` has room for a block of pixels behind
                // the last line; the rest is the caller's promise.
                unsafe {
                    let to = (to.add(row * columns.len() * channels + channel), channels, step);
                    let count = columns.len();
                    self.source.transform::<S, T, Source, IN>(
                        self.input,
                        place,
                        [top, left],
                        count,
                        &mut lines,
                        to,
                    );
                }
            }
        }
    }

    /// Makes pixels of the sums of `width` output channels from `start` on, whose products are `step` apart.
    ///
    /// # Safety
    /// Each product's sums have a row of `width` channels for each of these tiles, whose pixels of these channels
    /// nobody else writes to `out`.
    #[inline(always)]
    unsafe fn finish<S: Lanes<Elem = T>>(
        &self,
        rows: Range<usize>,
        columns: Range<usize>,
        (sums, step): (&[T], usize),
        (start, width): (usize, usize),
        out: Shared<T>,
    ) {
        let [height, across] = self.target.size;
        let (down, wide) = (height.div_ceil(OUT), OUT * columns.len());
        let mut lines = scratch::take::<T>((OUT * wide + S::N) * S::N);
        let mut block = scratch::take::<T>(S::N * S::N);
        let plain = self.epilogue.is_plain();
        for (row, tiles) in rows.enumerate() {
            let (picture, top, left) = (tiles / down, tiles % down * OUT, columns.start * OUT);
            for channel in (0..width).step_by(S::N) {
                for column in 0..columns.len() {
                    // SAFETY: the caller's promise, and `lines` has these lines and columns.
                    unsafe {
                        let from = sums.as_ptr().add((row * columns.len() + column) * width + channel);
                        let to = lines.as_mut_ptr().add(column * OUT * S::N);
                        both::<S, Pixels, IN, OUT>(from, [IN * step, step], to, [wide * S::N, S::N]);
                    }
                }
                for i in 0..OUT.min(height - top) {
                    let (count, place) = (wide.min(across - left), [picture, start + channel]);
                    // SAFETY: the caller's promise, and after each line is room for a block of pixels.
                    unsafe {
                        let from = lines.as_ptr().add(i * wide * S::N);
                        let (to, at) = (out.get(), [top + i, left]);
                        if plain {
                            self.target.scatter::<S, T>(from, count, place, at, to, &mut block);
                        } else {
                            let epilogue = self.epilogue;
                            self.target.finish::<S, T>(from, count, place, at, to, (&mut block, epilogue));
                        }
                    }
                }
            }
        }
    }
}

/// Multiplies `tiles` rows of `depth` channels with a panel of weights, `width` to a channel; the
/// rows are `a_row` apart.
///
/// # Safety
/// Both matrices have these rows, and so has `c`, `width` to a row.
#[inline(always)]
unsafe fn multiply<S: Lanes>(
    isa: Isa,
    [tiles, depth, width]: [usize; 3],
    (a, a_row): (*const S::Elem, usize),
    b: *const S::Elem,
    c: *mut S::Elem,
    add: bool,
) {
    let (tile, row) = (S::ROWS * a_row, a_row);
    let block = Block {
        rows: tiles,
        columns: width,
        depth,
        operands: Operands::Steps { a, tile, row, step: 1, b: Right::Packed(b) },
        c,
        c_row: width,
        add,
        finish: None,
    };
    // SAFETY: the caller's promise.
    unsafe { micro::run(isa, &block) };
}
