//! The unfolded picture without unfolding: every number of it lies in the picture, or in a padded copy, at the
//! offset of its row (channel and tap) plus the offset of its column (pixel).

use super::flat::pad;
use super::runs::View;
use crate::element::Element;
use crate::isa::Isa;
use crate::scratch::Scratch;

/// A padded copy has at most so many numbers more than four times the picture.
const SMALL: usize = 1 << 16;

/// Where its numbers lie.
pub(super) struct Unfolded<'a, T: Element> {
    source: &'a [T],
    padded: Option<Scratch<T>>,
    /// Offsets of the rows of one group, and how far groups are apart.
    pub(super) rows: Vec<usize>,
    pub(super) group: usize,
    /// Steps from picture to picture, row to row and pixel to pixel.
    picture: usize,
    line: usize,
    column: usize,
    grid: [usize; 2],
}

impl<'a, T: Element> Unfolded<'a, T> {
    /// Finds or copies all pictures of `source` for `view`, `channels` to a group; `None` if a padded copy would
    /// be much larger than the pictures.
    pub(super) fn new(isa: Isa, view: &View, channels: usize, source: &'a [T]) -> Option<Self> {
        let ([height, width], [grid_h, grid_w]) = (view.source, view.grid);
        let top = view.taps.iter().map(|tap| tap.dy).min()?;
        let left = view.taps.iter().map(|tap| tap.dx).min()?;
        let reach_y = view.taps.iter().map(|tap| (tap.dy - top) as usize).max()?;
        let reach_x = view.taps.iter().map(|tap| (tap.dx - left) as usize).max()?;
        // What all taps of all pixels see.
        let seen_h = (grid_h - 1).checked_mul(view.step[0])?.checked_add(reach_y)?.checked_add(1)?;
        let seen_w = (grid_w - 1).checked_mul(view.step[1])?.checked_add(reach_x)?.checked_add(1)?;
        let inside = |from: isize, seen: usize, size: usize| from >= 0 && from as usize + seen <= size;
        let (first, line, plane, padded) = if inside(top, seen_h, height) && inside(left, seen_w, width) {
            (top as usize * width + left as usize, width, height * width, None)
        } else {
            let planes = source.len() / (height * width);
            let plane = seen_h.checked_mul(seen_w)?;
            if plane.checked_mul(planes)? > SMALL + 4 * source.len() {
                return None;
            }
            let padded = pad(isa, source, planes, [height, width], [seen_h, seen_w], [top, left]);
            (0, seen_w, plane, Some(padded))
        };
        let rows = (0..channels).flat_map(|channel| {
            let offset = move |dy: isize, dx: isize| (dy - top) as usize * line + (dx - left) as usize;
            view.taps.iter().map(move |tap| first + channel * plane + offset(tap.dy, tap.dx))
        });
        Some(Self {
            source,
            rows: rows.collect(),
            group: channels * plane,
            picture: view.source_picture / (height * width) * plane,
            line: line * view.step[0],
            column: view.step[1],
            grid: view.grid,
            padded,
        })
    }

    /// What the offsets count from.
    pub(super) fn numbers(&self) -> &[T] {
        self.padded.as_deref().unwrap_or(self.source)
    }

    /// Finds the offsets of the columns from `start` on; column `p` of picture `n` is `n * pixels + p`.
    pub(super) fn columns(&self, start: usize, offsets: &mut [usize]) {
        let [height, width] = self.grid;
        let (mut row, mut x, mut done) = (start / width, start % width, 0);
        while done < offsets.len() {
            let count = (width - x).min(offsets.len() - done);
            let from = row / height * self.picture + row % height * self.line + x * self.column;
            for (i, offset) in offsets[done..done + count].iter_mut().enumerate() {
                *offset = from + i * self.column;
            }
            (row, x, done) = (row + 1, 0, done + count);
        }
    }
}
