//! The product behind forward, input gradient and transposed convolution: `weights x unfolded picture`, where
//! the unfolded picture is packed a few columns at a time, straight from the picture.

#![expect(unsafe_code, reason = "tiles read and write through pointers; the bounds are the view's")]

use std::ops::Range;

use super::flat::Flat;
use super::runs::{Runs, View};
use crate::element::Element;
use crate::gemm::micro::{self, Init, Rows, Tile, VECTORS};
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::{Shared, tasks};
use crate::scratch;
use crate::simd::{Lanes, copy};

/// Rows of the unfolded picture that are packed at once: with three AVX-512 vectors across, 72 KiB.
const DEPTH: usize = 384;
/// Rows of weights that a task takes at least, so that packing is small beside the product.
const MIN_ROWS: usize = 64;
/// Tiles side by side in a panel, at most.
const WIDE: usize = 4;
/// Tasks worth having: enough for threads to even out, few enough to pack little twice.
const TASKS: usize = 16;

/// Where the results go: channel `m` of pixel `(oy, ox)` of picture `n` to
/// `base + n * picture + m * channel + oy * row + ox * column`.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) picture: usize,
    pub(crate) channel: usize,
    pub(crate) row: usize,
    pub(crate) column: usize,
    pub(crate) base: usize,
}

/// The whole product.
pub(crate) struct Gather<'a, T> {
    pub(crate) isa: Isa,
    pub(crate) pictures: usize,
    pub(crate) groups: usize,
    /// Input channels of a group, and the distance of two channels in the source.
    pub(crate) channels: usize,
    pub(crate) source_channel: usize,
    pub(crate) source: &'a [T],
    pub(crate) view: &'a View,
    /// `rows` rows for each group, each of `channels * taps` numbers, the taps of a channel side by side.
    pub(crate) weights: &'a [T],
    pub(crate) rows: usize,
    pub(crate) bias: Option<&'a [T]>,
    /// Width of the target's rows.
    pub(crate) width: usize,
    /// Pixels of the grid from one row of the target to the next: its width, and a gap that is dropped.
    pub(crate) line: usize,
    /// Where the source can be read in place, for each row of the unfolded picture: its offset from a pixel.
    pub(crate) offsets: Option<&'a [usize]>,
    pub(crate) target: Target,
}

/// Columns of the product as panels of a few tiles of at most three vectors, as even as can be.
struct Panels {
    /// Columns that are split as one, and how often: pictures each by itself, or all as one.
    columns: usize,
    repeats: usize,
    vectors: usize,
    count: usize,
    lanes: usize,
}

impl Panels {
    fn new(lanes: usize, pictures: usize, pixels: usize, join: bool) -> Self {
        // Pictures that would leave much of their last vector unused are joined.
        let joined = join && !pixels.is_multiple_of(lanes) && pixels < 12 * lanes;
        let (columns, repeats) = if joined { (pictures * pixels, 1) } else { (pixels, pictures) };
        let vectors = columns.div_ceil(lanes);
        let tiles = vectors.div_ceil(VECTORS);
        // Wide panels read longer runs of the picture's rows, but there must be panels for all threads.
        let wide = (tiles * repeats / (2 * TASKS)).clamp(1, WIDE);
        Self { columns, repeats, vectors, count: tiles.div_ceil(wide), lanes }
    }

    /// First column and number of columns of a panel, of each repeat.
    fn get(&self, panel: usize) -> (usize, usize) {
        let start = panel * self.vectors / self.count * self.lanes;
        let end = ((panel + 1) * self.vectors / self.count * self.lanes).min(self.columns);
        (start, end - start)
    }
}

/// `0..count` in `parts` ranges, as even as can be.
fn part(count: usize, parts: usize, i: usize) -> Range<usize> {
    i * count / parts..(i + 1) * count / parts
}

impl<T: Element> Gather<'_, T> {
    /// Computes it. Every number of the target's grid is written, none elsewhere.
    pub(crate) fn run(&self, out: &mut [T]) {
        let planes = self.pictures * self.groups * self.channels;
        match Flat::new(self.isa, self.view, [self.rows, self.channels, planes], self.source) {
            None => self.multiply(out),
            Some(flat) => {
                let flat = Gather {
                    source: &flat.source,
                    source_channel: flat.plane,
                    view: &flat.view,
                    line: flat.line,
                    offsets: Some(&flat.offsets),
                    ..*self
                };
                flat.multiply(out);
            }
        }
    }

    fn multiply(&self, out: &mut [T]) {
        let [height, width] = self.view.grid;
        let pixels = height * width;
        let panels = Panels::new(self.isa.lanes::<T>(), self.pictures, pixels, self.offsets.is_none());
        // Pictures and groups share a panel's runs: they are split only for want of panels.
        let by_picture = TASKS.div_ceil(panels.count).min(panels.repeats);
        let by_group = TASKS.div_ceil(panels.count * by_picture).min(self.groups);
        let by_row = TASKS.div_ceil(panels.count * by_picture * by_group).min(self.rows.div_ceil(MIN_ROWS));
        let rows = self.rows.div_ceil(by_row).next_multiple_of(self.isa.rows::<T>());
        let by_row = self.rows.div_ceil(rows);
        let work =
            self.pictures * pixels * self.groups * self.rows * self.channels * self.view.taps.len() / 8;
        let out = Shared::new(out);
        tasks(panels.count * by_picture * by_group * by_row, work, |task| {
            let (row, rest) = (task % by_row, task / by_row);
            let (group, rest) = (rest % by_group, rest / by_group);
            let (picture, panel) = (rest % by_picture, rest / by_picture);
            let (start, columns) = panels.get(panel);
            let panel = Panel {
                all: self,
                out,
                start,
                columns,
                pictures: part(panels.repeats, by_picture, picture),
                groups: part(self.groups, by_group, group),
                rows: row * rows..self.rows.min((row + 1) * rows),
            };
            dispatch(self.isa, panel);
        });
    }
}

/// One task: some rows of one panel, in some groups and pictures.
struct Panel<'a, T> {
    all: &'a Gather<'a, T>,
    out: Shared<T>,
    start: usize,
    columns: usize,
    pictures: Range<usize>,
    groups: Range<usize>,
    rows: Range<usize>,
}

impl<T: Element> Kernel<T> for Panel<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let stride = self.columns.next_multiple_of(S::N);
        let mut aside = scratch::take::<T>(if self.is_dense() { 0 } else { self.rows.len() * stride });
        if let Some(offsets) = self.all.offsets {
            for group in self.groups.clone() {
                for picture in self.pictures.clone() {
                    self.in_place::<S>(offsets, [group, picture], &mut aside);
                }
            }
            return;
        }
        let mut runs = Runs::default();
        runs.find(self.all.view, self.start, self.columns);
        let block = (DEPTH / runs.taps()).clamp(1, self.all.channels);
        let mut packed = scratch::take::<T>(block * runs.taps() * stride);
        for group in self.groups.clone() {
            for picture in self.pictures.clone() {
                self.packed::<S>(&runs, [group, picture], block, &mut packed, &mut aside);
            }
        }
    }
}

/// A block of the sums: rows `first..first + depth` of the unfolded picture, and where the results go.
struct Block<T> {
    group: usize,
    first: usize,
    depth: usize,
    b: *const T,
    b_rows: Rows,
    c: *mut T,
    c_row: usize,
}

impl<T: Element> Panel<'_, T> {
    /// Whether the panel's pixels lie side by side in the target.
    fn is_dense(&self) -> bool {
        let ([height, width], target) = (self.all.view.grid, self.all.target);
        let pixels = height * width;
        let gapless = self.all.offsets.is_none() && target.column == 1 && target.row == width;
        gapless && self.start % pixels + self.columns <= pixels
    }

    /// The first place of the panel's first row in the target, before its pixels.
    fn first_out(&self, [group, picture]: [usize; 2]) -> usize {
        let target = self.all.target;
        target.base + picture * target.picture + (group * self.all.rows + self.rows.start) * target.channel
    }

    /// The panel in one group and picture, of a source that is read in place.
    #[inline(always)]
    fn in_place<S: Lanes<Elem = T>>(&self, offsets: &[usize], [group, picture]: [usize; 2], aside: &mut [T]) {
        let all = self.all;
        let stride = self.columns.next_multiple_of(S::N);
        let from = picture * all.view.source_picture + group * all.channels * all.source_channel + self.start;
        let block = Block {
            group,
            first: 0,
            depth: offsets.len(),
            b: all.source[from..].as_ptr(),
            b_rows: Rows::At(offsets.as_ptr()),
            c: aside.as_mut_ptr(),
            c_row: stride,
        };
        // SAFETY: a pixel's place plus an offset lies in the padded planes, which have slack behind the last for
        // a whole vector; the buffer aside has `stride` columns for each row.
        unsafe { self.tiles::<S>(&block) };
        self.scatter::<S>(aside, stride, self.first_out([group, picture]));
    }

    /// The panel in one group and picture, packed block by block.
    #[inline(always)]
    fn packed<S: Lanes<Elem = T>>(
        &self,
        runs: &Runs,
        [group, picture]: [usize; 2],
        block: usize,
        packed: &mut [T],
        aside: &mut [T],
    ) {
        let all = self.all;
        let [height, width] = all.view.grid;
        let (pixels, target, taps) = (height * width, all.target, runs.taps());
        let stride = self.columns.next_multiple_of(S::N);
        let first_out = self.first_out([group, picture]);
        let (c, c_row) = if self.is_dense() {
            let at = first_out + self.start / pixels * target.picture + self.start % pixels;
            (self.out.get().wrapping_add(at), target.channel)
        } else {
            (aside.as_mut_ptr(), stride)
        };
        for channel in (0..all.channels).step_by(block) {
            let channels = block.min(all.channels - channel);
            for i in 0..channels {
                let from = (group * all.channels + channel + i) * all.source_channel;
                let from = picture * all.view.source_picture + from;
                for tap in 0..taps {
                    // SAFETY: the view's runs lie in every channel of the source, and `packed` has a row of
                    // `stride >= columns` numbers for each tap of each channel of the block.
                    unsafe {
                        let to = packed.as_mut_ptr().add((i * taps + tap) * stride);
                        runs.pack::<S, T>(tap, all.source.as_ptr().add(from), to);
                    }
                }
            }
            let (first, depth) = (channel * taps, channels * taps);
            let b_rows = Rows::Step(stride);
            let block = Block { group, first, depth, b: packed.as_ptr(), b_rows, c, c_row };
            // SAFETY: `packed` has these rows, padded to whole vectors; `c` is the grid's part of this panel's
            // rows and columns, which no other task has, or the buffer aside.
            unsafe { self.tiles::<S>(&block) };
        }
        if !self.is_dense() {
            self.scatter::<S>(aside, stride, first_out);
        }
    }

    /// Multiplies a block, tile by tile.
    ///
    /// # Safety
    /// The block's rows of `b` can be read in whole vectors for all columns, and those of `c` written.
    #[inline(always)]
    unsafe fn tiles<S: Lanes<Elem = T>>(&self, block: &Block<T>) {
        let all = self.all;
        let depth = all.channels * all.view.taps.len();
        let first_row = block.group * all.rows + self.rows.start;
        let vectors = self.columns.div_ceil(S::N);
        let tiles = vectors.div_ceil(VECTORS);
        for row in (0..self.rows.len()).step_by(S::ROWS) {
            let init = match (block.first, all.bias) {
                (0, None) => Init::Zero,
                (0, Some(bias)) => Init::Rows(bias[first_row + row..].as_ptr()),
                _ => Init::Add,
            };
            for tile in 0..tiles {
                let first = tile * vectors / tiles * S::N;
                let end = ((tile + 1) * vectors / tiles * S::N).min(self.columns);
                let tile = Tile {
                    depth: block.depth,
                    a: all.weights[(first_row + row) * depth + block.first..].as_ptr(),
                    a_row: depth,
                    a_step: 1,
                    b: block.b.wrapping_add(first),
                    b_rows: block.b_rows,
                    c: block.c.wrapping_add(row * block.c_row + first),
                    c_row: block.c_row,
                    columns: end - first,
                    init,
                };
                // SAFETY: `a` has these rows of the weights, whose length the caller checked; the rest is the
                // caller's promise.
                unsafe { micro::run(all.isa, S::ROWS.min(self.rows.len() - row), &tile) };
            }
        }
    }

    /// Moves the finished panel to where its pixels belong.
    #[inline(always)]
    fn scatter<S: Lanes<Elem = T>>(&self, aside: &[T], stride: usize, first_out: usize) {
        let [height, width] = self.all.view.grid;
        let (pixels, line, target) = (height * width, self.all.line, self.all.target);
        let mut done = 0;
        while done < self.columns {
            let (picture, pixel) = ((self.start + done) / pixels, (self.start + done) % pixels);
            let (y, x) = (pixel / line, pixel % line);
            let step = (line - x).min(pixels - pixel).min(self.columns - done);
            // The gap behind a row belongs to no pixel.
            let len = step.min(self.all.width.saturating_sub(x));
            let to = first_out + picture * target.picture + y * target.row + x * target.column;
            for row in 0..self.rows.len() {
                // SAFETY: the pixels lie in the target's grid, and these rows and columns are this task's.
                unsafe {
                    let from = aside.as_ptr().add(row * stride + done);
                    let to = self.out.get().add(to + row * target.channel);
                    if target.column == 1 {
                        copy::<S>(from, 1, to, len);
                    } else {
                        for i in 0..len {
                            *to.add(i * target.column) = *from.add(i);
                        }
                    }
                }
            }
            done += step;
        }
    }
}
