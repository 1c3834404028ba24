//! The padded picture, in which every row of the unfolded picture is already there.
//!
//! In a copy with its padding, split by the stride's phases, a tap is a constant offset, across the ends of rows too:
//! the product is computed for the padded rows' whole width, straight from the copy or packed from it in long runs,
//! and what lies between rows is dropped.

#![expect(unsafe_code, reason = "copies rows through pointers")]

use std::ops::Range;

use super::runs::{Tap, View};
use crate::element::Element;
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::{CHUNK, Shared, ranges};
use crate::scratch::{self, Scratch};
use crate::simd::{Lanes, copy, zero};

/// The largest padded copy, unless a picture is larger: 4 MiB of f32. More pictures take turns.
const MOST: usize = 1 << 20;
/// What a tile's last vectors may read past the last pixel.
const SLACK: usize = 64;

/// How a padded copy is made, and how pixels see it.
pub(super) struct Layout {
    /// The view of the copy: all rows of the grid as one.
    pub(super) view: View,
    /// Numbers from one channel to the next.
    pub(super) channel: usize,
    /// Pixels from one row of the grid to the next.
    pub(super) line: usize,
    /// For each (channel, tap), its offset from a pixel.
    pub(super) offsets: Vec<usize>,
    /// Pictures that are copied at once.
    pub(super) pictures: usize,
    planes: Phases,
}

/// The phases of a padded plane: number `(r, c)` of phase `(y, x)` is the plane's number
/// `(top + r * step[0] + y, left + c * step[1] + x)`.
#[derive(Clone)]
struct Phases {
    size: [usize; 2],
    step: [usize; 2],
    corner: [isize; 2],
    rows: usize,
    line: usize,
    /// Those that a tap sees.
    seen: Vec<[usize; 2]>,
}

/// The least and the largest of the taps' offsets along one side.
fn reach(taps: &[Tap], of: fn(&Tap) -> isize) -> (isize, usize) {
    let low = taps.iter().map(of).min().unwrap_or(0);
    (low, (taps.iter().map(of).max().unwrap_or(0) - low) as usize)
}

/// How many pictures of `picture` numbers each are copied at once.
pub(super) fn pictures(picture: usize) -> usize {
    (MOST / picture.max(1)).max(1)
}

/// Numbers between two rows of the grid's pixels in a padded copy.
pub(super) fn gap(view: &View) -> usize {
    reach(&view.taps, |tap| tap.dx).1 / view.step[1]
}

impl Layout {
    /// The layout for `channels` channels to a group and `all` to a picture; `None` if it doesn't fit into memory.
    pub(super) fn new(view: &View, channels: usize, all: usize) -> Option<Self> {
        let ([sh, sw], [grid_h, grid_w]) = (view.step, view.grid);
        let (top, reach_y) = reach(&view.taps, |tap| tap.dy);
        let (left, reach_x) = reach(&view.taps, |tap| tap.dx);
        let line = grid_w.checked_add(reach_x / sw)?;
        let rows = grid_h.checked_add(reach_y / sh)?;
        let phase_len = rows.checked_mul(line)?;
        let place = |tap: &Tap| [(tap.dy - top) as usize, (tap.dx - left) as usize];
        let mut seen: Vec<[usize; 2]> = Vec::new();
        let mut within = Vec::new();
        for tap in &view.taps {
            let [y, x] = place(tap);
            let phase = [y % sh, x % sw];
            let index = seen.iter().position(|&other| other == phase).unwrap_or_else(|| {
                seen.push(phase);
                seen.len() - 1
            });
            within.push(index.checked_mul(phase_len)?.checked_add(y / sh * line + x / sw)?);
        }
        let channel = phase_len.checked_mul(seen.len())?;
        let picture = channel.checked_mul(all)?;
        let offsets =
            (0..channels).flat_map(|c| within.iter().map(move |offset| c * channel + offset)).collect();
        let flat = View {
            source: [1, channel],
            source_picture: picture,
            grid: [1, (grid_h - 1) * line + grid_w],
            step: [1, 1],
            taps: within.iter().map(|&offset| Tap { dy: 0, dx: offset as isize }).collect(),
        };
        let planes = Phases { size: view.source, step: view.step, corner: [top, left], rows, line, seen };
        Some(Self { view: flat, channel, line, offsets, pictures: pictures(picture), planes })
    }

    /// Copies planes.
    pub(super) fn copy<T: Element>(&self, isa: Isa, source: &[T]) -> Scratch<T> {
        let [height, width] = self.planes.size;
        let planes = source.len() / (height * width);
        let mut padded = scratch::take_shared(self.channel * planes + SLACK);
        padded[self.channel * planes..].fill(T::ZERO);
        let to = Shared::new(&mut padded);
        ranges(planes, (CHUNK / self.channel).max(1), self.channel, |planes| {
            dispatch(isa, Pad { phases: &self.planes, planes, source, to });
        });
        padded
    }
}

/// Copies `planes` planes of `size` into planes of `padded` rows and columns, of which row 0, column 0 is `first`
/// in the source; what lies outside is zero.
pub(super) fn pad<T: Element>(
    isa: Isa,
    source: &[T],
    planes: usize,
    size: [usize; 2],
    [rows, line]: [usize; 2],
    corner: [isize; 2],
) -> Scratch<T> {
    let phases = Phases { size, step: [1, 1], corner, rows, line, seen: vec![[0, 0]] };
    let plane = rows * line;
    let mut padded = scratch::take_shared(plane * planes + SLACK);
    padded[plane * planes..].fill(T::ZERO);
    let to = Shared::new(&mut padded);
    ranges(planes, (CHUNK / plane).max(1), plane, |planes| {
        dispatch(isa, Pad { phases: &phases, planes, source, to });
    });
    padded
}

/// Copies planes into their phases.
struct Pad<'a, T> {
    phases: &'a Phases,
    planes: Range<usize>,
    source: &'a [T],
    to: Shared<T>,
}

impl<T: Element> Kernel<T> for Pad<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let Phases { size: [height, width], step: [sh, sw], corner: [top, left], rows, line, .. } =
            *self.phases;
        for plane in self.planes {
            for (index, &[py, px]) in self.phases.seen.iter().enumerate() {
                let to = (plane * self.phases.seen.len() + index) * rows * line;
                // The columns of the copy that lie inside, and where they begin in the row.
                let x = left + px as isize;
                let before = if x < 0 { x.unsigned_abs().div_ceil(sw).min(line) } else { 0 };
                let first = (x + (before * sw) as isize).max(0) as usize;
                let count = width.saturating_sub(first).div_ceil(sw).min(line - before);
                for row in 0..rows {
                    let y = (row * sh + py) as isize + top;
                    // SAFETY: the row lies in the copy, whose planes in this range are this task's; `before` and
                    // `count` are cut to its length, `y`, `first` and `count` to the plane.
                    unsafe {
                        let to = self.to.get().add(to + row * line);
                        if y < 0 || y as usize >= height || count == 0 {
                            zero::<S>(to, line);
                        } else {
                            let from =
                                self.source.as_ptr().add((plane * height + y as usize) * width + first);
                            zero::<S>(to, before);
                            copy::<S>(from, sw, to.add(before), count);
                            zero::<S>(to.add(before + count), line - before - count);
                        }
                    }
                }
            }
        }
    }
}
