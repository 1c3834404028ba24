//! The product behind forward, input gradient and transposed convolution: `weights x unfolded picture`, where
//! the unfolded picture is packed a few columns at a time, straight from the picture or from a padded copy, or read
//! in place.

#![expect(unsafe_code, reason = "tiles read and write through pointers; the bounds are the view's")]

use std::ops::Range;

use super::flat::Layout;
use super::method::Method;
use super::panels::{Panels, Sizes, TASKS};
use super::runs::{Places, Runs, View};
use crate::element::Element;
use crate::epilogue::Epilogue;
use crate::gemm::left::Left;
use crate::gemm::micro::{self, Block, Channels, Finish, Right, Tiles};
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::{Shared, part, tasks};
use crate::scratch;
use crate::simd::{Lanes, copy};

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
    /// One of those that make a product of it.
    pub(crate) method: Method,
    pub(crate) pictures: usize,
    pub(crate) groups: usize,
    /// Input channels of a group, and the distance of two channels in the source.
    pub(crate) channels: usize,
    pub(crate) source_channel: usize,
    pub(crate) source: &'a [T],
    pub(crate) view: &'a View,
    /// `rows` rows for each group, each of `channels * taps` numbers, the taps of a channel side by side.
    pub(crate) weights: Left<'a, T>,
    pub(crate) rows: usize,
    pub(crate) epilogue: &'a Epilogue<'a, T>,
    /// Width of the target's rows.
    pub(crate) width: usize,
    /// Pixels of the grid from one row of the target to the next: its width, and a gap that is dropped.
    pub(crate) line: usize,
    /// Where the source is read in place, for each row of the unfolded picture: its offset from a pixel.
    pub(crate) offsets: Option<&'a [usize]>,
    pub(crate) target: Target,
}

impl<T: Element> Gather<'_, T> {
    /// Computes it. Every number of the target's grid is written, none elsewhere.
    pub(crate) fn run(&self, out: &mut [T]) {
        let layout = match self.method {
            Method::InPlace | Method::Padded => {
                Layout::new(self.view, self.channels, self.groups * self.channels)
            }
            _ => None,
        };
        let Some(layout) = layout else { return self.multiply(out) };
        for first in (0..self.pictures).step_by(layout.pictures) {
            let pictures = layout.pictures.min(self.pictures - first);
            let picture = self.view.source_picture;
            let source = layout.copy(self.isa, &self.source[first * picture..(first + pictures) * picture]);
            let base = self.target.base + first * self.target.picture;
            let flat = Gather {
                pictures,
                source: &source,
                source_channel: layout.channel,
                view: &layout.view,
                line: layout.line,
                offsets: (self.method == Method::InPlace).then_some(&layout.offsets),
                target: Target { base, ..self.target },
                ..*self
            };
            flat.multiply(out);
        }
    }

    fn sizes(&self) -> Sizes {
        let [height, width] = self.view.grid;
        Sizes {
            pictures: self.pictures,
            groups: self.groups,
            rows: self.rows,
            channels: self.channels,
            taps: self.view.taps.len(),
            pixels: height * width,
            is_gapless: self.is_gapless(),
            in_place: self.offsets.is_some(),
        }
    }

    /// Whether the grid's rows follow each other as the target's do.
    fn is_gapless(&self) -> bool {
        self.line == self.width
    }

    fn multiply(&self, out: &mut [T]) {
        let panels = Panels::new::<T>(self.isa, self.sizes());
        match panels.packed_first::<T>() {
            Some(each) => self.multiply_packed(&panels, each, out),
            None => self.multiply_packing(&panels, out),
        }
    }

    /// By tasks that each pack the panel that they go by.
    fn multiply_packing(&self, panels: &Panels, out: &mut [T]) {
        // Pictures and groups share a panel's runs: they are split only for want of panels.
        let by_picture = TASKS.div_ceil(panels.count).min(panels.repeats);
        let by_group = TASKS.div_ceil(panels.count * by_picture).min(self.groups);
        // Every part of the rows packs the panel again: half as many tasks have to do.
        let wanted = (TASKS / 2).div_ceil(panels.count * by_picture * by_group);
        let (by_row, rows) = panels.parts::<T>(Some(wanted));
        let out = Shared::new(out);
        tasks(panels.count * by_picture * by_group * by_row, self.work(), |task| {
            let (row, rest) = (task % by_row, task / by_row);
            let (group, rest) = (rest % by_group, rest / by_group);
            let (picture, panel) = (rest % by_picture, rest / by_picture);
            let columns = panels.get(panel);
            let panel = Panel {
                all: self,
                panels,
                out,
                start: columns.start,
                columns: columns.len(),
                pictures: part(panels.repeats, by_picture, picture),
                groups: part(self.groups, by_group, group),
                rows: row * rows..self.rows.min((row + 1) * rows),
                packed: None,
            };
            dispatch(self.isa, panel);
        });
    }

    /// By tasks that pack all panels, of `each` numbers at most, and then as many as are wanted.
    fn multiply_packed(&self, panels: &Panels, each: usize, out: &mut [T]) {
        let mut packed = scratch::take_shared::<T>(panels.all() * each);
        let (packed, out) = (Shared::new(&mut packed), Shared::new(out));
        let panel = |index: usize, rows: Range<usize>| {
            let (panel, rest) = (index % panels.count, index / panels.count);
            let (group, picture) = (rest % self.groups, rest / self.groups);
            let columns = panels.get(panel);
            Panel {
                all: self,
                panels,
                out,
                start: columns.start,
                columns: columns.len(),
                pictures: picture..picture + 1,
                groups: group..group + 1,
                rows,
                packed: Some(packed.get().wrapping_add(index * each).cast_const()),
            }
        };
        let pieces = (TASKS / panels.all()).clamp(1, self.channels);
        tasks(panels.all() * pieces, panels.all() * each, |task| {
            let (index, channels) = (task / pieces, part(self.channels, pieces, task % pieces));
            let to = packed.get().wrapping_add(index * each);
            dispatch(self.isa, Packing { panel: panel(index, 0..0), channels, to });
        });
        let (parts, rows) = panels.parts::<T>(None);
        tasks(panels.all() * parts, self.work(), |task| {
            let first = task % parts * rows;
            dispatch(self.isa, panel(task / parts, first..self.rows.min(first + rows)));
        });
    }

    /// Elementary steps of the product.
    fn work(&self) -> usize {
        let [height, width] = self.view.grid;
        let depth = self.channels * self.view.taps.len();
        self.pictures * height * width * self.groups * self.rows * depth / 8
    }
}

/// One task: some channels of one panel, packed.
struct Packing<'a, T> {
    panel: Panel<'a, T>,
    channels: Range<usize>,
    to: *mut T,
}

impl<T: Element> Kernel<T> for Packing<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let Self { panel, channels, to } = self;
        let (all, block) = (panel.all, panel.panels.block);
        let mut runs = Runs::default();
        runs.find(all.view, panel.start, panel.columns);
        let taps = runs.taps();
        let mut row = scratch::take::<T>(taps * panel.columns.next_multiple_of(S::N));
        let whole = panel.panels.block_len::<T>(panel.columns);
        let mut first = channels.start;
        while first < channels.end {
            let begin = first / block * block;
            let of_block = block.min(all.channels - begin);
            let end = channels.end.min(begin + of_block);
            let to = to.wrapping_add(begin / block * whole);
            let at = [panel.groups.start, panel.pictures.start];
            // SAFETY: there is room for the whole panel, and these rows of it are this task's.
            unsafe { panel.pack::<S>(&runs, at, (begin, of_block), first..end, to, &mut row) };
            first = end;
        }
    }
}

/// One task: some rows of one panel, in some groups and pictures.
struct Panel<'a, T> {
    all: &'a Gather<'a, T>,
    panels: &'a Panels,
    out: Shared<T>,
    start: usize,
    columns: usize,
    pictures: Range<usize>,
    groups: Range<usize>,
    rows: Range<usize>,
    /// Where it is packed for all tasks, block after block.
    packed: Option<*const T>,
}

impl<T: Element> Kernel<T> for Panel<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let all = self.all;
        let stride = self.columns.next_multiple_of(S::N);
        let mut aside = scratch::take::<T>(if self.is_dense() { 0 } else { self.rows.len() * stride });
        if let Some(offsets) = all.offsets {
            for group in self.groups.clone() {
                for picture in self.pictures.clone() {
                    self.in_place::<S>(offsets, [group, picture], &mut aside);
                }
            }
            return;
        }
        if let Some(packed) = self.packed {
            return self.by_packed::<S>(packed, &mut aside);
        }
        let mut runs = Runs::default();
        runs.find(all.view, self.start, self.columns);
        let mut packed = scratch::take::<T>(self.panels.block_len::<T>(self.columns));
        let mut row = scratch::take::<T>(runs.taps() * stride);
        for group in self.groups.clone() {
            for picture in self.pictures.clone() {
                self.packing::<S>(&runs, [group, picture], [&mut packed, &mut row, &mut aside]);
            }
        }
    }
}

impl<T: Element> Panel<'_, T> {
    /// Whether the panel's pixels lie side by side in the target.
    fn is_dense(&self) -> bool {
        let ([height, width], target) = (self.all.view.grid, self.all.target);
        let pixels = height * width;
        let side_by_side = self.all.is_gapless() && target.column == 1 && target.row == self.all.width;
        side_by_side && self.start % pixels + self.columns <= pixels
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
        let from = picture * all.view.source_picture + group * all.channels * all.source_channel + self.start;
        let b = Right::At { from: all.source[from..].as_ptr(), offsets: offsets.as_ptr() };
        // SAFETY: a pixel's place plus an offset lies in the padded planes, which have slack behind the last for
        // whole vectors; the rest is as `product` needs it.
        unsafe { self.product::<S>([group, picture], 0..offsets.len(), b, aside) };
    }

    /// The panel in one group and picture, packed block by block.
    #[inline(always)]
    fn packing<S: Lanes<Elem = T>>(
        &self,
        runs: &Runs,
        [group, picture]: [usize; 2],
        [packed, row, aside]: [&mut [T]; 3],
    ) {
        let (all, block, taps) = (self.all, self.panels.block, runs.taps());
        for channel in (0..all.channels).step_by(block) {
            let channels = block.min(all.channels - channel);
            let to = packed.as_mut_ptr();
            // SAFETY: `packed` has room for the block's tiles, and `row` for a row of whole vectors for each tap.
            unsafe {
                self.pack::<S>(
                    runs,
                    [group, picture],
                    (channel, channels),
                    channel..channel + channels,
                    to,
                    row,
                );
            };
            let depth = channel * taps..(channel + channels) * taps;
            let b = Right::Packed(packed.as_ptr());
            // SAFETY: `packed` has these rows, padded to whole vectors.
            unsafe { self.product::<S>([group, picture], depth, b, aside) };
        }
    }

    /// Packs some channels of a block that begins at channel `first` and has `count`.
    ///
    /// # Safety
    /// `to` has room for the block's tiles, and nobody else writes these channels' rows.
    #[inline(always)]
    unsafe fn pack<S: Lanes<Elem = T>>(
        &self,
        runs: &Runs,
        [group, picture]: [usize; 2],
        (first, count): (usize, usize),
        channels: Range<usize>,
        to: *mut T,
        row: &mut [T],
    ) {
        let (all, taps) = (self.all, runs.taps());
        let places = Places::new(&Tiles::new::<T>(all.isa, self.columns, count * taps));
        for channel in channels.clone() {
            let from = (group * all.channels + channel) * all.source_channel;
            let from = picture * all.view.source_picture + from;
            // SAFETY: the view's runs lie in every channel of the source; the rest is the caller's promise.
            unsafe {
                let from = all.source.as_ptr().add(from);
                let more = channels.end - channel - 1;
                let to = (to, (channel - first) * taps);
                runs.pack::<S, T>((from, all.source_channel, more), row, to, &places);
            }
        }
    }

    /// The panel in its group and picture, packed by others.
    #[inline(always)]
    fn by_packed<S: Lanes<Elem = T>>(&self, packed: *const T, aside: &mut [T]) {
        let (all, block, taps) = (self.all, self.panels.block, self.all.view.taps.len());
        let whole = self.panels.block_len::<T>(self.columns);
        for channel in (0..all.channels).step_by(block) {
            let channels = block.min(all.channels - channel);
            let b = Right::Packed(packed.wrapping_add(channel / block * whole));
            let depth = channel * taps..(channel + channels) * taps;
            // SAFETY: the panel was packed, padded to whole vectors, before any task of this kind.
            unsafe { self.product::<S>([self.groups.start, self.pictures.start], depth, b, aside) };
        }
    }

    /// Adds the terms `depth` of the sums in one group and picture; behind the last, what follows.
    ///
    /// # Safety
    /// `b` has these rows for all columns.
    #[inline(always)]
    unsafe fn product<S: Lanes<Elem = T>>(
        &self,
        [group, picture]: [usize; 2],
        depth: Range<usize>,
        b: Right<T>,
        aside: &mut [T],
    ) {
        let (all, dense) = (self.all, self.is_dense());
        let [height, width] = all.view.grid;
        let (pixels, target) = (height * width, all.target);
        let all_depth = all.channels * all.view.taps.len();
        let last = depth.end == all_depth;
        let first_out = self.first_out([group, picture]);
        let at = first_out + self.start / pixels * target.picture + self.start % pixels;
        let (c, c_row) = if dense {
            (self.out.get().wrapping_add(at), target.channel)
        } else {
            (aside.as_mut_ptr(), self.columns.next_multiple_of(S::N))
        };
        let finish = Finish {
            epilogue: all.epilogue,
            channel: group * all.rows + self.rows.start,
            channels: Channels::Rows,
            at,
        };
        let block = Block {
            rows: self.rows.len(),
            columns: self.columns,
            depth: depth.len(),
            operands: all.weights.operands(
                all.isa,
                [all.rows, all_depth],
                [group, self.rows.start, depth.start],
                b,
            ),
            c,
            c_row,
            add: depth.start > 0,
            finish: (dense && last && !all.epilogue.is_plain()).then_some(finish),
        };
        // SAFETY: the weights have these rows, whose length the caller checked; `c` is the grid's part of this
        // panel's rows and columns, which no other task has, or the buffer aside; `b` is the caller's promise.
        unsafe { micro::run(all.isa, &block) };
        if last && !dense {
            self.scatter::<S>(aside, [group, picture], first_out);
        }
    }

    /// Moves the finished panel to where its pixels belong, and does to it what follows.
    #[inline(always)]
    fn scatter<S: Lanes<Elem = T>>(&self, aside: &[T], [group, _]: [usize; 2], first_out: usize) {
        let [height, width] = self.all.view.grid;
        let (pixels, line, target) = (height * width, self.all.line, self.all.target);
        let stride = self.columns.next_multiple_of(S::N);
        let plain = self.all.epilogue.is_plain();
        let mut done = 0;
        while done < self.columns {
            let (picture, pixel) = ((self.start + done) / pixels, (self.start + done) % pixels);
            let (y, x) = (pixel / line, pixel % line);
            let step = (line - x).min(pixels - pixel).min(self.columns - done);
            // The gap behind a row belongs to no pixel.
            let len = step.min(self.all.width.saturating_sub(x));
            let to = first_out + picture * target.picture + y * target.row + x * target.column;
            for row in 0..if len > 0 { self.rows.len() } else { 0 } {
                let at = to + row * target.channel;
                // SAFETY: the pixels lie in the target's grid, and these rows and columns are this task's.
                unsafe {
                    let from = aside.as_ptr().add(row * stride + done);
                    let to = self.out.get().add(at);
                    if plain && target.column == 1 {
                        copy::<S>(from, 1, to, len);
                    } else if plain {
                        for i in 0..len {
                            *to.add(i * target.column) = *from.add(i);
                        }
                    } else {
                        let channel = group * self.all.rows + self.rows.start + row;
                        let follows = self.all.epilogue.of(channel, at);
                        if target.column == 1 {
                            follows.copy::<S>(from, to, len);
                        } else {
                            for i in 0..len {
                                let x = follows.one::<S>(*from.add(i), i * target.column);
                                *to.add(i * target.column) = x;
                            }
                        }
                    }
                }
            }
            done += step;
        }
    }
}
