//! The left side of a product: rows as they lie, or packed tile by tile.

#![expect(unsafe_code, reason = "tasks pack disjoint tiles through one pointer")]

use std::ops::Range;
use std::ptr::copy_nonoverlapping;

use super::micro::{Operands, Right};
use crate::element::{Checked, Element};
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::{CHUNK, Shared, ranges};
use crate::simd::Lanes;

/// Tiles that are packed at once: their rows fill a few lines of memory.
const TOGETHER: usize = 8;

/// Where a matrix to be packed lies: number `(i, outer, inner)` of a group at
/// `group * group_step + i * row_step + outer * outer_step + picks[inner]`.
#[derive(Clone, Copy)]
pub struct Source<'a, T> {
    pub(crate) data: &'a [T],
    pub(crate) groups: usize,
    pub(crate) group_step: usize,
    pub(crate) rows: usize,
    pub(crate) row_step: usize,
    pub(crate) outer: usize,
    pub(crate) outer_step: usize,
    pub(crate) picks: &'a [usize],
}

impl<'a, T: Element> Source<'a, T> {
    /// `groups` matrices of `rows` rows of `depth` numbers, all dense.
    pub(crate) fn dense(data: &'a [T], groups: usize, rows: usize, depth: usize) -> Self {
        let group_step = rows * depth;
        Self { data, groups, group_step, rows, row_step: depth, outer: depth, outer_step: 1, picks: &[0] }
    }

    /// The numbers that it takes packed.
    pub(crate) fn packed_len(&self, isa: Isa) -> usize {
        self.groups * group_len::<T>(isa, self.rows, self.outer * self.picks.len())
    }

    /// Packs it into `to`, which has [`Source::packed_len`] numbers.
    pub(crate) fn pack(&self, isa: Isa, to: &mut [T]) {
        T::pack_left(Checked, isa, self, to);
    }
}

pub(super) fn pack<T: Element>(isa: Isa, source: &Source<'_, T>, to: &mut [T]) {
    let depth = source.outer * source.picks.len();
    let tiles = source.rows.div_ceil(isa.rows::<T>());
    let each = (CHUNK / (depth * isa.rows::<T>()).max(1)).max(1);
    let to = Shared::new(to);
    ranges(source.groups * tiles, each, depth * isa.rows::<T>(), |tiles| {
        dispatch(isa, Pack { source, tiles, to });
    });
}

/// The numbers of one group, packed.
fn group_len<T: Element>(isa: Isa, rows: usize, depth: usize) -> usize {
    rows.next_multiple_of(isa.rows::<T>()) * depth
}

struct Pack<'a, T> {
    source: &'a Source<'a, T>,
    /// Tiles, counted through all groups.
    tiles: Range<usize>,
    to: Shared<T>,
}

impl<T: Element> Kernel<T> for Pack<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let source = self.source;
        let depth = source.outer * source.picks.len();
        let in_group = source.rows.div_ceil(S::ROWS);
        let mut tile = self.tiles.start;
        while tile < self.tiles.end {
            let (group, first) = (tile / in_group, tile % in_group * S::ROWS);
            let from = &source.data[group * source.group_step + first * source.row_step..];
            let rows = S::ROWS.min(source.rows - first);
            // Whole tiles whose rows lie side by side are packed some at once: of each line of memory, all is taken.
            let whole = (source.rows - first) / S::ROWS;
            let together =
                if source.row_step == 1 { whole.min(self.tiles.end - tile).min(TOGETHER) } else { 0 };
            // SAFETY: rows `first..first + rows` are in the source with all their numbers, as are those of `together` tiles,
            // and these tiles' parts of the packed ones, `depth` times `ROWS` numbers each, are this task's.
            unsafe {
                let mut to = self.to.get().add(tile * S::ROWS * depth);
                tile += together.max(1);
                for outer in 0..source.outer {
                    for &pick in source.picks {
                        let from = from.as_ptr().add(outer * source.outer_step + pick);
                        if together > 0 {
                            for tile in 0..together {
                                let to = to.add(tile * S::ROWS * depth);
                                copy_nonoverlapping(from.add(tile * S::ROWS), to, S::ROWS);
                            }
                        } else if rows == S::ROWS {
                            for i in 0..S::ROWS {
                                *to.add(i) = *from.add(i * source.row_step);
                            }
                        } else {
                            for i in 0..rows {
                                *to.add(i) = *from.add(i * source.row_step);
                            }
                        }
                        to = to.add(S::ROWS);
                    }
                }
            }
        }
    }
}

/// The left side of one or several groups' products.
#[derive(Clone, Copy)]
pub enum Left<'a, T> {
    /// Rows one behind the other.
    Rows(&'a [T]),
    /// As [`Source::pack`] packs them.
    Packed(&'a [T]),
}

impl<T: Element> Left<'_, T> {
    /// The operands of a block from row `row`, a multiple of the tile's, and number `k` on, of matrices of
    /// `rows` by `depth`.
    pub(crate) fn operands(
        self,
        isa: Isa,
        [rows, depth]: [usize; 2],
        [group, row, k]: [usize; 3],
        b: Right<T>,
    ) -> Operands<T> {
        let tile_rows = isa.rows::<T>();
        let (data, at, row, step) = match self {
            Left::Rows(data) => (data, (group * rows + row) * depth + k, depth, 1),
            Left::Packed(data) => {
                let at = group * group_len::<T>(isa, rows, depth) + row * depth + k * tile_rows;
                (data, at, 1, tile_rows)
            }
        };
        Operands::Steps { a: data[at..].as_ptr(), tile: tile_rows * depth, row, step, b }
    }
}
