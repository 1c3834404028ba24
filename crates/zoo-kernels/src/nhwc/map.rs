//! Where a map lies in the arena.

use std::ops::{Deref, DerefMut, Range};

use crate::error::{KernelError, Result, Shape};
use crate::lasting::Lasting;

/// The memory that all maps of a run lie in: zeros at first, from a cache line on.
pub struct Arena(Lasting<f32>);

impl Arena {
    /// An arena of `len` numbers.
    pub fn new(len: usize) -> Self {
        Self(Lasting::zeroed(len))
    }
}

impl std::fmt::Debug for Arena {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Arena({} numbers)", self.0.len())
    }
}

impl Deref for Arena {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.0
    }
}

impl DerefMut for Arena {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.0
    }
}

/// Pixels of zeros around a picture, which kernels may read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Halo {
    /// Rows above.
    pub top: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns to the left.
    pub left: usize,
    /// Columns to the right.
    pub right: usize,
}

/// Where a map lies: picture by picture, row by row, pixel by pixel, a pixel's channels side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Map {
    /// Batch, channels, height, width.
    pub shape: Shape,
    /// The place of the first channel of the first pixel.
    pub start: usize,
    /// Numbers from a pixel to the next: at least the channels, more in a part of a concatenation.
    pub pixel: usize,
    /// Numbers from a row to the next.
    pub row: usize,
    /// Numbers from a picture to the next.
    pub picture: usize,
    /// Zeros around each picture.
    pub halo: Halo,
}

impl Map {
    /// A map without gaps from `start` on.
    pub fn dense(start: usize, shape: Shape) -> Self {
        Self::with_halo(start, shape, Halo::default())
    }

    /// A map with zeros around each picture, `start` being where these begin.
    pub fn with_halo(start: usize, shape: Shape, halo: Halo) -> Self {
        let [_, c, h, w] = shape;
        let row = c.saturating_mul(w.saturating_add(halo.left).saturating_add(halo.right));
        let picture = row.saturating_mul(h.saturating_add(halo.top).saturating_add(halo.bottom));
        let inside = row.saturating_mul(halo.top).saturating_add(c.saturating_mul(halo.left));
        Self { shape, start: start.saturating_add(inside), pixel: c, row, picture, halo }
    }

    /// The numbers that such a map takes, its halo among them.
    pub fn room(shape: Shape, halo: Halo) -> usize {
        Self::with_halo(0, shape, halo).picture.saturating_mul(shape[0])
    }

    /// The part of `channels` channels from `first` on.
    #[must_use]
    pub fn channels(mut self, first: usize, channels: usize) -> Self {
        self.start += first;
        self.shape[1] = channels;
        self
    }

    /// The same numbers as a map of one pixel, if it has no gaps: a flattened map's vector, channels innermost.
    pub fn flattened(self) -> Option<Self> {
        let [n, c, h, w] = self.shape;
        let is_dense = self.pixel == c && self.row == c * w && self.picture == c * w * h;
        let len = c * w * h;
        is_dense.then(|| Self::dense(self.start, [n, len, 1, 1]))
    }

    /// Some rows of one picture.
    pub(super) fn rows(&self, n: usize, rows: Range<usize>) -> Self {
        let [_, c, _, w] = self.shape;
        let start = self.start + n * self.picture + rows.start * self.row;
        let picture = rows.len() * self.row;
        Self { shape: [1, c, rows.len(), w], start, picture, halo: Halo::default(), ..*self }
    }

    /// Whether pixels follow each other without gaps, from the first picture's first to the last one's last.
    pub(super) fn is_even(&self) -> bool {
        let [_, _, h, w] = self.shape;
        self.row == self.pixel * w && self.picture == self.row * h
    }

    /// The place of a pixel inside.
    pub(super) fn at(&self, n: usize, y: usize, x: usize) -> usize {
        self.start + n * self.picture + y * self.row + x * self.pixel
    }

    /// Picture, row and column of some of all pictures' pixels, one after the other.
    pub(super) fn walk(&self, pixels: Range<usize>) -> impl Iterator<Item = [usize; 3]> + use<> {
        let [_, _, h, w] = self.shape;
        let (start, each) = (pixels.start, (h * w).max(1));
        let mut next = [start / each, start % each / w.max(1), start % w.max(1)];
        pixels.map(move |_| {
            let now @ [n, y, x] = next;
            next = match (x + 1 < w, y + 1 < h) {
                (true, _) => [n, y, x + 1],
                (false, true) => [n, y + 1, 0],
                (false, false) => [n + 1, 0, 0],
            };
            now
        })
    }

    /// Pixels of all pictures.
    pub(super) fn pixels(&self) -> usize {
        self.shape[0] * self.shape[2] * self.shape[3]
    }

    /// First and last place, the halo's zeros included.
    fn span(&self) -> Option<(usize, usize)> {
        let [n, c, h, w] = self.shape;
        let before =
            self.halo.top.checked_mul(self.row)?.checked_add(self.halo.left.checked_mul(self.pixel)?)?;
        let steps = |count: usize, step: usize| (count - 1).checked_mul(step);
        let last = self
            .start
            .checked_add(steps(n, self.picture)?)?
            .checked_add(steps(h.checked_add(self.halo.bottom)?, self.row)?)?
            .checked_add(steps(w.checked_add(self.halo.right)?, self.pixel)?)?
            .checked_add(c)?;
        Some((self.start.checked_sub(before)?, last))
    }

    /// Refuses a map that does not lie in an arena of `len` numbers, or in itself.
    pub(super) fn check(&self, op: &'static str, len: usize) -> Result<()> {
        let [n, c, h, w] = self.shape;
        let across = w.saturating_add(self.halo.left).saturating_add(self.halo.right);
        let down = h.saturating_add(self.halo.top).saturating_add(self.halo.bottom);
        let fits = n > 0
            && c > 0
            && h > 0
            && w > 0
            && c <= self.pixel
            && across.checked_mul(self.pixel).is_some_and(|row| row <= self.row)
            && (n == 1 || down.checked_mul(self.row).is_some_and(|picture| picture <= self.picture))
            && self.span().is_some_and(|(_, last)| last <= len);
        match fits {
            true => Ok(()),
            false => Err(KernelError::Value {
                op,
                what: "map",
                value: format!("{self:?} in an arena of {len} numbers"),
                must: "without empty sides, and inside the arena",
            }),
        }
    }

    /// Refuses two maps of which one is written while the other is read.
    pub(super) fn check_apart(&self, op: &'static str, other: &Self) -> Result<()> {
        let apart = match (self.span(), other.span()) {
            (Some(a), Some(b)) => a.1 <= b.0 || b.1 <= a.0 || self.is_beside(other),
            _ => false,
        };
        match apart {
            true => Ok(()),
            false => Err(KernelError::Value {
                op,
                what: "map that is written",
                value: format!("{self:?}, and one that is read {other:?}"),
                must: "apart from each other",
            }),
        }
    }

    /// Whether both are parts of one map with other channels.
    fn is_beside(&self, other: &Self) -> bool {
        let pixel = self.pixel;
        let alike = (pixel, self.row, self.picture) == (other.pixel, other.row, other.picture)
            && self.row.is_multiple_of(pixel)
            && self.picture.is_multiple_of(pixel);
        // How far behind one's channels the other's begin, whole pixels apart from that.
        let (first, second) = if self.start <= other.start { (self, other) } else { (other, self) };
        let behind = (second.start - first.start) % pixel;
        alike && first.shape[1] <= behind && behind + second.shape[1] <= pixel
    }

    /// Whether both are the same places.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Self { halo: Halo::default(), ..*self } == Self { halo: Halo::default(), ..*other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_beyond_the_arena_is_refused() {
        let map = Map::dense(8, [2, 3, 4, 5]);
        assert!(map.check("conv2d", 8 + 120).is_ok());
        let error = map.check("conv2d", 8 + 119).unwrap_err().to_string();
        assert!(error.contains("119") || error.contains("127"), "{error}");
        assert!(Map { pixel: 2, ..map }.check("conv2d", 1000).is_err());
        assert!(Map { shape: [2, 3, 0, 5], ..map }.check("conv2d", 1000).is_err());
        assert!(Map { start: usize::MAX, ..map }.check("conv2d", 1000).is_err());
        let halo = Halo { top: 1, bottom: 1, left: 1, right: 1 };
        let map = Map::with_halo(0, [1, 3, 4, 5], halo);
        assert_eq!(map.at(0, 0, 0), (7 + 1) * 3);
        assert!(map.check("conv2d", Map::room([1, 3, 4, 5], halo)).is_ok());
        assert!(Map { start: 23, ..map }.check("conv2d", 1000).is_err());
    }

    #[test]
    fn parts_of_a_concatenation_are_apart() {
        let whole = Map::dense(64, [2, 12, 3, 3]);
        let (a, b) = (whole.channels(0, 5), whole.channels(5, 7));
        assert!(a.check_apart("conv2d", &b).is_ok());
        assert!(a.check_apart("conv2d", &whole.channels(4, 2)).is_err());
        assert!(whole.check_apart("conv2d", &a).is_err());
        assert!(whole.check_apart("conv2d", &Map::dense(64 + 216, [1, 1, 1, 1])).is_ok());
    }
}
