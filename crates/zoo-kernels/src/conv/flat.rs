//! The padded picture, in which every row of the unfolded picture is already there.
//!
//! In a copy with its padding a tap is a constant offset, across the ends of rows too: the product is computed for
//! the padded rows' whole width, straight from the copy, and what lies between rows is dropped. That beats
//! packing where few rows of weights meet a panel, so that packing is dear, and the gap is small.

#![expect(unsafe_code, reason = "copies rows through pointers")]

use std::ops::Range;

use super::runs::{Tap, View};
use crate::element::Element;
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::{CHUNK, Shared, ranges};
use crate::scratch::{self, Scratch};
use crate::simd::{Lanes, copy, zero};

/// The largest padded copy: 8 MiB of f32.
const MOST: usize = 1 << 21;
/// What a tile's last vector may read past the last pixel.
const SLACK: usize = 16;

/// A padded copy of all pictures, and how pixels see it.
pub(super) struct Flat<T: Element> {
    pub(super) view: View,
    pub(super) source: Scratch<T>,
    /// Numbers from one plane to the next.
    pub(super) plane: usize,
    /// Pixels from one row of the grid to the next.
    pub(super) line: usize,
    /// For each (channel, tap), its offset from a pixel.
    pub(super) offsets: Vec<usize>,
}

/// Whether the product for the gaps costs less than packing: both counted in vector instructions for one row of
/// the unfolded picture and 48 pixels.
fn worth_it(rows: usize, gap: usize, width: usize) -> bool {
    rows.saturating_mul(gap) <= 4 * (48 + width)
}

impl<T: Element> Flat<T> {
    /// Copies `planes` planes of `source` for `view`, if it is worth it for a product of `rows` rows with
    /// `channels` channels.
    pub(super) fn new(
        isa: Isa,
        view: &View,
        [rows, channels, planes]: [usize; 3],
        source: &[T],
    ) -> Option<Self> {
        let ([height, width], [grid_h, grid_w]) = (view.source, view.grid);
        if view.taps.len() < 2 || view.step != [1, 1] {
            return None;
        }
        let span = |of: fn(&Tap) -> isize| {
            let low = view.taps.iter().map(of).min().unwrap_or(0);
            (low, (view.taps.iter().map(of).max().unwrap_or(0) - low) as usize)
        };
        let ((top, reach_y), (left, reach_x)) = (span(|tap| tap.dy), span(|tap| tap.dx));
        let line = grid_w.checked_add(reach_x)?;
        let plane = grid_h.checked_add(reach_y)?.checked_mul(line)?;
        if plane.checked_mul(planes)? > MOST || !worth_it(rows, reach_x, grid_w) {
            return None;
        }
        let mut padded = scratch::take(plane * planes + SLACK);
        padded[plane * planes..].fill(T::ZERO);
        let to = Shared::new(&mut padded);
        ranges(planes, (CHUNK / plane).max(1), plane, |planes| {
            dispatch(isa, Pad { size: [height, width], line, plane, top, left, planes, source, to });
        });
        let offset = |tap: &Tap| ((tap.dy - top) * line as isize + (tap.dx - left)) as usize;
        let offsets =
            (0..channels).flat_map(|c| view.taps.iter().map(move |tap| c * plane + offset(tap))).collect();
        let picture_planes = view.source_picture / (height * width);
        let view = View {
            source: [1, plane],
            source_picture: picture_planes * plane,
            grid: [1, (grid_h - 1) * line + grid_w],
            step: [1, 1],
            taps: view.taps.clone(),
        };
        Some(Self { view, source: padded, plane, line, offsets })
    }
}

/// Copies planes so that row 0, column 0 of the copy is row `top`, column `left` of the plane.
struct Pad<'a, T> {
    size: [usize; 2],
    line: usize,
    plane: usize,
    top: isize,
    left: isize,
    planes: Range<usize>,
    source: &'a [T],
    to: Shared<T>,
}

impl<T: Element> Kernel<T> for Pad<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let [height, width] = self.size;
        // The columns of the copy that lie inside, and where they begin in the row.
        let before = (-self.left).max(0) as usize;
        let first = self.left.max(0) as usize;
        let count = width.saturating_sub(first).min(self.line.saturating_sub(before));
        for plane in self.planes {
            for row in 0..self.plane / self.line {
                let y = row as isize + self.top;
                // SAFETY: the row lies in the copy, whose planes in this range are this task's; `before` and
                // `count` are cut to its length, `y`, `first` and `count` to the plane.
                unsafe {
                    let to = self.to.get().add(plane * self.plane + row * self.line);
                    if y < 0 || y as usize >= height || count == 0 {
                        zero::<S>(to, self.line);
                    } else {
                        let from = self.source.as_ptr().add((plane * height + y as usize) * width + first);
                        zero::<S>(to, before);
                        copy::<S>(from, 1, to.add(before), count);
                        zero::<S>(to.add(before + count), self.line - before - count);
                    }
                }
            }
        }
    }
}
