//! Which pixels a row of the unfolded picture (`im2col`) is made of, as runs to copy.
//!
//! The unfolded picture is a matrix with a row for each (channel, tap) and a column for each output pixel of
//! each picture. It is never written whole: a few columns or rows at a time are packed where a product needs
//! them. For a range of columns the runs of a tap are the same in every channel, so they are found once.

#![expect(unsafe_code, reason = "copies runs through pointers")]

use crate::element::Element;
use crate::gemm::micro::Tiles;
use crate::simd::{Lanes, copy, fetch, zero};

/// Numbers that are fetched ahead of those that are packed: memory takes as long to bring the first of them as packing
/// takes for the ones before.
const AHEAD: usize = 1536;
/// Numbers of a line of the cache.
const LINE: usize = 16;

/// One tap of the kernel, as the offset that it adds to an output pixel's place in the source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tap {
    pub(crate) dy: isize,
    pub(crate) dx: isize,
}

/// How output pixels see the source: pixel `(oy, ox)` sees `(oy * step_y + dy, ox * step_x + dx)` for each tap.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// Height and width of the source, and its pictures' distance.
    pub(crate) source: [usize; 2],
    pub(crate) source_picture: usize,
    /// Height and width of the grid of output pixels.
    pub(crate) grid: [usize; 2],
    pub(crate) step: [usize; 2],
    pub(crate) taps: Vec<Tap>,
}

/// `len` pixels from `from` on in the source (of channel 0) to `to` on in the packed row.
#[derive(Clone, Copy)]
struct Run {
    from: usize,
    to: usize,
    len: usize,
}

/// Of each tile: where it begins when packed, its first column, its columns, and how far its rows are apart.
pub(crate) struct Places(Vec<(usize, usize, usize, usize)>);

impl Places {
    pub(crate) fn new(tiles: &Tiles) -> Self {
        let place = |tile| {
            let (first, count, step) = tiles.get(tile);
            (tile * tiles.step, first, count, step)
        };
        Self((0..tiles.count).map(place).collect())
    }
}

/// The runs of every tap for a range of columns.
#[derive(Default)]
pub(crate) struct Runs {
    runs: Vec<Run>,
    /// Of each tap: where its runs end, and whether they leave gaps.
    taps: Vec<(usize, bool)>,
    columns: usize,
    step: usize,
}

impl Runs {
    /// Finds the runs for `columns` columns from `start` on; column `p` of picture `n` is `n * pixels + p`.
    pub(crate) fn find(&mut self, view: &View, start: usize, columns: usize) {
        let [height, width] = view.grid;
        self.runs.clear();
        self.taps.clear();
        self.columns = columns;
        self.step = view.step[1];
        for tap in &view.taps {
            let first_run = self.runs.len();
            let mut covered = 0;
            // The grid's columns whose source column lies inside.
            let (low, high) = inside(tap.dx, view.step[1], view.source[1], width);
            let (mut done, mut rows) = (0, start / width);
            let mut x = start % width;
            while done < columns {
                let len = (width - x).min(columns - done);
                let (picture, oy) = (rows / height, rows % height);
                let y = (oy * view.step[0]) as isize + tap.dy;
                let (from, to) = (x.max(low), (x + len).min(high));
                if y >= 0 && (y as usize) < view.source[0] && from < to {
                    let column = (from * view.step[1]) as isize + tap.dx;
                    let run = Run {
                        from: picture * view.source_picture + y as usize * view.source[1] + column as usize,
                        to: done + from - x,
                        len: to - from,
                    };
                    self.push(first_run, run);
                    covered += to - from;
                }
                done += len;
                rows += 1;
                x = 0;
            }
            self.taps.push((self.runs.len(), covered < columns));
        }
    }

    /// Adds a run, or lengthens the tap's last one if it goes on where that ends.
    fn push(&mut self, first_run: usize, run: Run) {
        let step = self.step;
        if self.runs.len() > first_run
            && let Some(last) = self.runs.last_mut()
            && last.to + last.len == run.to
            && last.from + last.len * step == run.from
        {
            last.len += run.len;
            return;
        }
        self.runs.push(run);
    }

    /// Number of taps.
    pub(crate) fn taps(&self) -> usize {
        self.taps.len()
    }

    /// Packs the rows of all taps in the channel that begins at `source` into the tiles at `packed`, from row `k` on;
    /// `rows` has room for a row of whole vectors for each tap. There are `more` channels behind it, `channel` numbers
    /// apart: what lies a few of them on is fetched.
    ///
    /// # Safety
    /// `source` is a channel of the view's source for every picture, and the tiles have these rows.
    #[inline(always)]
    pub(crate) unsafe fn pack<S: Lanes<Elem = T>, T: Element>(
        &self,
        (source, channel, more): (*const T, usize, usize),
        rows: &mut [T],
        (packed, k): (*mut T, usize),
        tiles: &Places,
    ) {
        let stride = self.columns.next_multiple_of(S::N);
        let ahead = AHEAD.div_ceil(self.columns);
        // Channels of which half or more is packed lie so close to each other that the machine sees them coming.
        if let (Some(from), true) = (self.whole(0), ahead <= more && self.columns < channel / 2) {
            let ahead = source.wrapping_add(from + ahead * channel);
            for line in (0..self.columns).step_by(LINE) {
                fetch(ahead.wrapping_add(line));
            }
        }
        // SAFETY: `find` cut every run to the source and to the columns, and tiles have whole vectors.
        unsafe {
            for tap in 0..self.taps.len() {
                if self.whole(tap).is_none() {
                    self.pack_row::<S, T>(tap, source, rows.as_mut_ptr().add(tap * stride));
                }
            }
            for tap in 0..self.taps.len() {
                let from = match self.whole(tap) {
                    Some(from) => source.add(from),
                    None => rows.as_ptr().add(tap * stride),
                };
                for &(to, first, count, step) in &tiles.0 {
                    let (from, to) = (from.add(first), packed.add(to + (k + tap) * step));
                    if count < step {
                        copy::<S>(from, 1, to, count);
                        continue;
                    }
                    let mut at = 0;
                    while at < step {
                        S::load(from.add(at)).store(to.add(at));
                        at += S::N;
                    }
                }
            }
        }
    }

    /// Where the row of `tap` begins in the source, if all its pixels are neighbours there.
    #[inline(always)]
    fn whole(&self, tap: usize) -> Option<usize> {
        let first = if tap == 0 { 0 } else { self.taps[tap - 1].0 };
        let (end, gaps) = self.taps[tap];
        (!gaps && end == first + 1 && self.step == 1).then(|| self.runs[first].from)
    }

    /// Packs the row of `tap` in the channel that begins at `source`, into `to`, which gets `columns` numbers.
    ///
    /// # Safety
    /// `source` is a channel of the view's source for every picture, and `to` has room for all columns.
    #[inline(always)]
    pub(crate) unsafe fn pack_row<S: Lanes<Elem = T>, T: Element>(
        &self,
        tap: usize,
        source: *const T,
        to: *mut T,
    ) {
        let first = if tap == 0 { 0 } else { self.taps[tap - 1].0 };
        let (end, gaps) = self.taps[tap];
        // SAFETY: `find` cut every run to the source and to the columns.
        unsafe {
            if gaps {
                zero::<S>(to, self.columns);
            }
            for run in &self.runs[first..end] {
                copy::<S>(source.add(run.from), self.step, to.add(run.to), run.len);
            }
        }
    }
}

/// The range of `x` in `0..count` for which `x * step + offset` lies in `0..size`.
pub(crate) fn inside(offset: isize, step: usize, size: usize, count: usize) -> (usize, usize) {
    let low = if offset >= 0 { 0 } else { offset.unsigned_abs().div_ceil(step) };
    let room = size as isize - offset;
    let high = if room <= 0 { 0 } else { (room as usize).div_ceil(step) };
    (low.min(count), high.min(count))
}
