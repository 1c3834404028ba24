//! The weight's gradient by the same tiles: each tile's source and the output's gradient are transformed, each of
//! the 36 products sums over tiles, and a transform makes nine taps of the sums.
//!
//! All tiles are transformed first, as many as fit into the last cache. Then each task takes some input channels and
//! a panel of output channels through all products, so that its sums stay in the second-level cache until they
//! become taps.

#![expect(unsafe_code, reason = "tiles read and write through pointers; the bounds are the batch's")]

use std::ops::Range;

use super::pays;
use super::tiles::Planes;
use super::transform::{IN, OUT, PRODUCTS, Source, Spread, Taps, both};
use super::weights::{GAP, Panels, TAPS};
use crate::conv::spec::Conv2d;
use crate::element::Element;
use crate::error::Shape;
use crate::gemm::micro::{self, Block, Operands};
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::{Shared, tasks};
use crate::scratch;
use crate::simd::{Lanes, transpose};

/// The most transformed numbers at a time: 16 MiB of f32.
const MOST: usize = 1 << 22;
/// Tiles whose panel stays in the first-level cache.
const DEPTH: usize = 192;
/// Input channels of a task: with a panel of 48 output channels, 216 KiB of sums.
const CHANNELS: usize = 32;

pub(in crate::conv) fn suits(spec: &Conv2d, [n, c, _, _]: Shape, [oh, ow]: [usize; 2]) -> bool {
    pays(spec, [n, c, oh, ow], 30.0, 20.0)
}

/// The numbers of transformed pictures, of gradients, and of sums that wait where not all tiles are transformed at once, that
/// it holds for so many input and output channels.
pub(in crate::conv) fn working([c, o]: [usize; 2], [n, oh, ow]: [usize; 3]) -> [usize; 3] {
    let [rows, columns] = [n.saturating_mul(oh.div_ceil(OUT)), ow.div_ceil(OUT)];
    let each = each([c, o], columns, rows);
    // Of the widest panels, whatever the instruction set.
    let waiting = c.next_multiple_of(CHANNELS).saturating_mul(o.next_multiple_of(48));
    let sums = if each < rows { waiting } else { 0 };
    [each.saturating_mul(columns * c), each.saturating_mul(columns * o), sums]
        .map(|numbers| numbers.saturating_mul(PRODUCTS))
}

/// Rows of tiles that are transformed at a time: all of them where the sums that would wait are larger than they.
fn each([c, o]: [usize; 2], columns: usize, rows: usize) -> usize {
    let row = PRODUCTS.saturating_mul(c + o).saturating_mul(columns);
    let sums = PRODUCTS.saturating_mul(c).saturating_mul(o);
    match row.saturating_mul(rows) <= sums.saturating_add(MOST) {
        true => rows.max(1),
        false => (MOST / row).clamp(1, rows.max(1)),
    }
}

pub(in crate::conv) fn grad_weight<T: Element>(
    spec: &Conv2d,
    [n, c, h, w]: Shape,
    [oh, ow]: [usize; 2],
    input: &[T],
    grad_out: &[T],
    grad_weight: &mut [T],
) {
    let (isa, o) = (Isa::current(), spec.out_channels);
    let [down, columns] = [oh.div_ceil(OUT), ow.div_ceil(OUT)];
    let rows = n * down;
    let each = each([c, o], columns, rows);
    let panels = Panels::new::<T>(isa, o);
    let parts = c.div_ceil(CHANNELS);
    // Sums wait for the next batch of tiles, if there is one.
    let block = PRODUCTS * (CHANNELS * isa.vectors::<T>() * isa.lanes::<T>() + GAP);
    let mut sums = scratch::take_shared::<T>(if each < rows { parts * panels.count * block } else { 0 });
    let mut source = scratch::take_shared::<T>(PRODUCTS * (each * columns * c + GAP));
    let mut spread = scratch::take_shared::<T>(PRODUCTS * (each * columns * o + GAP));
    let (source_to, spread_to) = (Shared::new(&mut source), Shared::new(&mut spread));
    let (sums, to) = (Shared::new(&mut sums), Shared::new(grad_weight));
    let offset = [spec.padding.top as isize, spec.padding.left as isize];
    for first in (0..rows).step_by(each) {
        let count = each.min(rows - first);
        let tiles = count * columns;
        let batch = Batch {
            input,
            grad_out,
            down,
            columns,
            tiles,
            offset,
            panels,
            source: source_to,
            spread: spread_to,
        };
        let sides = [Planes { channels: c, size: [h, w] }, Planes { channels: o, size: [oh, ow] }];
        tasks(2 * count, usize::MAX, |task| {
            let (row, of_source) = (task / 2, task % 2 == 0);
            dispatch(isa, Row { batch: &batch, planes: sides[task % 2], of_source, tiles: first + row, row });
        });
        tasks(parts * panels.count, usize::MAX, |task| {
            let (part, panel) = (task % parts, task / parts);
            let sums = Sums {
                isa,
                batch: &batch,
                size: [c, o],
                channels: part * CHANNELS..c.min(part * CHANNELS + CHANNELS),
                place: panels.get(panel),
                waiting: (each < rows).then(|| sums.get().wrapping_add(task * block)),
                add: first > 0,
                last: first + count == rows,
                to,
            };
            dispatch(isa, sums);
        });
    }
}

/// Rows of tiles, transformed: of the source `(product, vector of channels, tile, lane)`, and of the output's
/// gradient `(product, panel, tile, channel)`.
struct Batch<'a, T> {
    input: &'a [T],
    grad_out: &'a [T],
    /// Rows of tiles in a picture, tiles in a row, and tiles of the batch.
    down: usize,
    columns: usize,
    tiles: usize,
    offset: [isize; 2],
    panels: Panels,
    source: Shared<T>,
    spread: Shared<T>,
}

/// One task: a row of tiles, of the source or of the output's gradient; `tiles` counts through all pictures, `row`
/// through the batch.
struct Row<'a, T> {
    batch: &'a Batch<'a, T>,
    planes: Planes,
    of_source: bool,
    tiles: usize,
    row: usize,
}

impl<T: Element> Kernel<T> for Row<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let (batch, planes, columns) = (self.batch, self.planes, self.batch.columns);
        let (picture, top) = (self.tiles / batch.down, (self.tiles % batch.down * OUT) as isize);
        let step = batch.tiles * planes.channels + GAP;
        let first = self.row * columns;
        let mut lines = scratch::take::<T>((IN * (OUT * columns + IN - OUT) + S::N) * S::N);
        for channel in (0..planes.channels).step_by(S::N) {
            let place = [picture, channel];
            // SAFETY: there are these pictures and channels, `lines` has room for six lines and a block of pixels,
            // and these tiles of both matrices are this task's.
            unsafe {
                if self.of_source {
                    let at = [top - batch.offset[0], -batch.offset[1]];
                    let to = batch.source.get().add(channel * batch.tiles + first * S::N);
                    let to = (to, S::N, step);
                    planes.transform::<S, T, Source, IN>(batch.input, place, at, columns, &mut lines, to);
                } else {
                    let (start, width) = batch.panels.of(channel);
                    let to = batch.spread.get().add(start * batch.tiles + first * width + channel - start);
                    let to = (to, width, step);
                    planes.transform::<S, T, Spread, OUT>(
                        batch.grad_out,
                        place,
                        [top, 0],
                        columns,
                        &mut lines,
                        to,
                    );
                }
            }
        }
    }
}

/// One task: the sums of all products over the batch's tiles, of some input channels and a panel of output channels.
struct Sums<'a, T> {
    isa: Isa,
    batch: &'a Batch<'a, T>,
    size: [usize; 2],
    channels: Range<usize>,
    place: (usize, usize),
    /// Where the sums wait between batches, if there are several.
    waiting: Option<*mut T>,
    add: bool,
    last: bool,
    to: Shared<T>,
}

impl<T: Element> Kernel<T> for Sums<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let (batch, [channels, outs], (start, width)) = (self.batch, self.size, self.place);
        let tiles = batch.tiles;
        let step = CHANNELS * S::VECTORS * S::N + GAP;
        let mut own = scratch::take::<T>(if self.waiting.is_none() { PRODUCTS * step } else { 0 });
        let sums = self.waiting.unwrap_or(own.as_mut_ptr());
        let places: Vec<usize> =
            (self.channels.clone()).map(|channel| channel / S::N * S::N * tiles + channel % S::N).collect();
        let steps: Vec<usize> = (0..tiles).map(|tile| tile * S::N).collect();
        for product in 0..PRODUCTS {
            let a = batch.source.get().wrapping_add(product * (tiles * channels + GAP));
            let b = batch.spread.get().wrapping_add(product * (tiles * outs + GAP) + start * tiles);
            for first in (0..tiles).step_by(DEPTH) {
                let block = Block {
                    rows: places.len(),
                    columns: width,
                    depth: DEPTH.min(tiles - first),
                    operands: Operands::Offsets {
                        a,
                        rows: places.as_ptr(),
                        steps: steps[first..].as_ptr(),
                        b: b.wrapping_add(first * width),
                    },
                    c: sums.wrapping_add(product * step),
                    c_row: width,
                    add: self.add || first > 0,
                    finish: None,
                };
                // SAFETY: the product has these channels and tiles on both sides, and the sums are this task's.
                unsafe { micro::run(self.isa, &block) };
            }
        }
        if self.last {
            self.finish::<S>(sums, step);
        }
    }
}

impl<T: Element> Sums<'_, T> {
    /// Makes taps of the sums, whose products are `step` apart.
    #[inline(always)]
    fn finish<S: Lanes<Elem = T>>(&self, sums: *const T, step: usize) {
        let ([channels, _], (start, width)) = (self.size, self.place);
        let mut taps = scratch::take::<T>(CHANNELS * TAPS * S::N);
        for out in (0..width).step_by(S::N) {
            // SAFETY: each product has sums of all of the task's pairs of channels, `taps` a vector for every tap
            // of its input channels, and those weights of these output channels are this task's.
            unsafe {
                for i in 0..self.channels.len() {
                    let from = sums.add(i * width + out);
                    let to = taps.as_mut_ptr().add(i * TAPS * S::N);
                    both::<S, Taps, IN, 3>(from, [IN * step, step], to, [3 * S::N, S::N]);
                }
                let to = self.to.get().add(((start + out) * channels + self.channels.start) * TAPS);
                let size = (self.channels.len() * TAPS, S::N);
                transpose::<S>(taps.as_ptr(), S::N, to, channels * TAPS, size);
            }
        }
    }
}
