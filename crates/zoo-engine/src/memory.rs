//! Where everything lies: cells, their lives, and their places in the arena.
//!
//! A *cell* is the memory of one or several values: a view lies where its argument does, an element-wise step may write
//! over it, and the parts of a concatenation lie inside of it. Cells whose lives don't meet share places.

use zoo_kernels::nhwc::{Halo, Map};

/// A cell's number.
pub(crate) type CellId = usize;

/// Some memory.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    /// Batch, channels, height, width.
    pub(crate) shape: [usize; 4],
    pub(crate) halo: Halo,
    /// In which other cell it lies, and from which channel on.
    pub(crate) inside: Option<(CellId, usize)>,
    /// Whether it is outside of the arena, plane by plane: what kernels on planes read and write.
    pub(crate) planes: bool,
    /// The first and the last step that uses it.
    pub(crate) born: usize,
    pub(crate) last: usize,
    /// Where it begins, once it is placed: in the arena, or as which of the planes.
    pub(crate) start: usize,
}

impl Cell {
    pub(crate) fn len(&self) -> usize {
        match self.planes {
            true => self.shape.iter().fold(1, |len: usize, side| len.saturating_mul(*side)),
            // Whole cache lines.
            false => Map::room(self.shape, self.halo).next_multiple_of(16),
        }
    }
}

/// All cells.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cells {
    pub(crate) cells: Vec<Cell>,
    /// Numbers of the arena.
    pub(crate) arena: usize,
    /// Numbers of each of the planes.
    pub(crate) planes: Vec<usize>,
}

impl Cells {
    pub(crate) fn add(&mut self, shape: [usize; 4], planes: bool, born: usize) -> CellId {
        let (halo, inside) = (Halo::default(), None);
        self.cells.push(Cell { shape, halo, inside, planes, born, last: born, start: 0 });
        self.cells.len() - 1
    }

    /// Marks a use.
    pub(crate) fn used(&mut self, cell: CellId, step: usize) {
        let cell = &mut self.cells[cell];
        cell.born = cell.born.min(step);
        cell.last = cell.last.max(step);
    }

    /// Whether a cell lies inside another, or another inside of it.
    pub(crate) fn is_shared(&self, cell: CellId) -> bool {
        let is_in = |other: &Cell| other.inside.is_some_and(|(whole, _)| whole == cell);
        self.cells[cell].inside.is_some() || self.cells.iter().any(is_in)
    }

    /// Takes a cell's memory away: nothing lies there any more.
    pub(crate) fn forget(&mut self, cell: CellId) {
        self.cells[cell].shape = [0; 4];
    }

    /// The cell that a cell is part of, and the channel at which it begins there.
    pub(crate) fn whole(&self, mut cell: CellId) -> (CellId, usize) {
        let mut channel = 0;
        while let Some((outer, first)) = self.cells[cell].inside {
            channel += first;
            cell = outer;
        }
        (cell, channel)
    }

    /// Gives every cell its place.
    pub(crate) fn place(&mut self) {
        for cell in 0..self.cells.len() {
            let (whole, _) = self.whole(cell);
            let (born, last) = (self.cells[cell].born, self.cells[cell].last);
            self.used(whole, born);
            self.used(whole, last);
        }
        self.place_in_arena();
        self.place_planes();
    }

    /// The largest first, each as low as the cells with which it lives together allow.
    fn place_in_arena(&mut self) {
        let mut order: Vec<CellId> = (0..self.cells.len())
            .filter(|cell| self.cells[*cell].inside.is_none() && !self.cells[*cell].planes)
            .collect();
        order.sort_by_key(|cell| std::cmp::Reverse(self.cells[*cell].len()));
        let mut placed: Vec<CellId> = Vec::with_capacity(order.len());
        for cell in order {
            let (born, last, len) = (self.cells[cell].born, self.cells[cell].last, self.cells[cell].len());
            let mut taken: Vec<(usize, usize)> = placed
                .iter()
                .map(|other| &self.cells[*other])
                .filter(|other| other.born <= last && born <= other.last)
                .map(|other| (other.start, other.start.saturating_add(other.len())))
                .collect();
            taken.sort_unstable();
            let mut start = 0;
            for (from, to) in taken {
                if start + len <= from {
                    break;
                }
                start = start.max(to);
            }
            self.cells[cell].start = start;
            self.arena = self.arena.max(start.saturating_add(len));
            placed.push(cell);
        }
    }

    /// Each into the first of the planes that is free.
    fn place_planes(&mut self) {
        let mut busy: Vec<usize> = Vec::new();
        let mut order: Vec<CellId> = (0..self.cells.len()).filter(|cell| self.cells[*cell].planes).collect();
        order.sort_by_key(|cell| self.cells[*cell].born);
        for cell in order {
            let (born, last, len) = (self.cells[cell].born, self.cells[cell].last, self.cells[cell].len());
            let free = (0..busy.len()).find(|plane| busy[*plane] < born);
            let plane = free.unwrap_or(busy.len());
            if plane == busy.len() {
                busy.push(0);
                self.planes.push(0);
            }
            busy[plane] = last;
            self.planes[plane] = self.planes[plane].max(len);
            self.cells[cell].start = plane;
        }
    }

    /// Where a cell lies in the arena.
    pub(crate) fn map(&self, cell: CellId) -> Map {
        let (whole, channel) = self.whole(cell);
        let place = &self.cells[whole];
        Map::with_halo(place.start, place.shape, place.halo).channels(channel, self.cells[cell].shape[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_that_live_together_lie_apart() {
        let mut cells = Cells::default();
        let sides = [7, 3, 9, 2, 5, 8, 4];
        for (i, side) in sides.into_iter().enumerate() {
            let cell = cells.add([1, side, side, side], false, i);
            cells.used(cell, i + side % 3 + 1);
        }
        let part = cells.add([1, 4, 8, 8], false, 0);
        cells.cells[part].inside = Some((5, 4));
        cells.place();
        assert_eq!(cells.cells[5].born, 0, "a whole lives as long as its parts");
        assert_eq!(cells.map(part).start, cells.map(5).start + 4);
        for a in 0..sides.len() {
            for b in 0..a {
                let (a, b) = (&cells.cells[a], &cells.cells[b]);
                let meet = a.born <= b.last && b.born <= a.last;
                let apart = a.start + a.len() <= b.start || b.start + b.len() <= a.start;
                assert!(!meet || apart, "{a:?} and {b:?}");
            }
        }
        let all: usize = (0..sides.len()).map(|cell| cells.cells[cell].len()).sum();
        assert!(cells.arena < all);
    }
}
