//! The unfolded picture without unfolding: every number of it lies in the picture, or in a padded copy, at the
//! offset of its row (channel and tap) plus the offset of its column (pixel).

use super::flat::pad;
use super::runs::{Tap, View};
use crate::element::Element;
use crate::error::Shape;
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

/// What all taps of all pixels see of a plane: first row and column, and how many.
struct Seen {
    corner: [isize; 2],
    size: [usize; 2],
}

impl Seen {
    fn new(view: &View) -> Option<Self> {
        let along = |i: usize, of: fn(&Tap) -> isize| {
            let first = view.taps.iter().map(of).min()?;
            let reach = view.taps.iter().map(|tap| (of(tap) - first) as usize).max()?;
            Some((first, (view.grid[i] - 1).checked_mul(view.step[i])?.checked_add(reach)?.checked_add(1)?))
        };
        let ((top, height), (left, width)) = (along(0, |tap| tap.dy)?, along(1, |tap| tap.dx)?);
        Some(Self { corner: [top, left], size: [height, width] })
    }

    /// Whether it lies in the plane.
    fn is_inside(&self, plane: [usize; 2]) -> bool {
        let inside = |i: usize| self.corner[i] >= 0 && self.corner[i] as usize + self.size[i] <= plane[i];
        inside(0) && inside(1)
    }
}

/// Whether pictures of the shape `shape` can be read in place for `view`: in themselves, or in a padded copy that
/// isn't much larger.
pub(super) fn fits(view: &View, [n, c, h, w]: Shape) -> bool {
    Seen::new(view).is_some_and(|seen| {
        let copy = seen.size[0].checked_mul(seen.size[1]).and_then(|plane| plane.checked_mul(n * c));
        seen.is_inside([h, w]) || copy.is_some_and(|copy| copy <= SMALL + 4 * n * c * h * w)
    })
}

/// The numbers of a padded copy of so many planes, or none if they are read where they are.
pub(super) fn copied(view: &View, planes: usize) -> usize {
    match Seen::new(view) {
        Some(seen) if !seen.is_inside(view.source) => {
            seen.size[0].saturating_mul(seen.size[1]).saturating_mul(planes)
        }
        _ => 0,
    }
}

impl<'a, T: Element> Unfolded<'a, T> {
    /// Finds or copies all pictures of `source`, of which each [`fits`], for `view`, `channels` to a group.
    pub(super) fn new(isa: Isa, view: &View, channels: usize, source: &'a [T]) -> Option<Self> {
        let [height, width] = view.source;
        let seen = Seen::new(view)?;
        let ([top, left], [seen_h, seen_w]) = (seen.corner, seen.size);
        let (first, line, plane, padded) = if seen.is_inside([height, width]) {
            (top as usize * width + left as usize, width, height * width, None)
        } else {
            let planes = source.len() / (height * width);
            let padded = pad(isa, source, planes, [height, width], [seen_h, seen_w], [top, left]);
            (0, seen_w, seen_h * seen_w, Some(padded))
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
