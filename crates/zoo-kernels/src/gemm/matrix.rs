//! Products of matrices, transposed or not.

#![expect(unsafe_code, reason = "tiles read and write through pointers; the bounds are the matrices'")]

use std::ops::Range;

use super::micro::{self, Block, Channels, Finish, Operands, Tiles};
use crate::element::{Checked, Element};
use crate::epilogue::Epilogue;
use crate::error::{Result, check_equal, check_len};
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::{Shared, part_of_vectors, tasks};
use crate::scratch;
use crate::simd::{Lanes, copy, transpose};

/// Terms of the sums that are packed at once.
const DEPTH: usize = 256;
/// Rows that a task takes at least, so that packing is small beside the product.
const MIN_ROWS: usize = 64;
/// Tiles across a panel, at most.
const WIDE: usize = 4;
/// Tasks worth having.
const TASKS: usize = 16;

/// A dense matrix, stored row by row, or, as `transposed`, column by column.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a, T> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    transposed: bool,
}

impl<'a, T: Element> Matrix<'a, T> {
    /// A `rows x columns` matrix stored row by row.
    ///
    /// # Errors
    /// The slice isn't as long.
    pub fn new(data: &'a [T], rows: usize, columns: usize) -> Result<Self> {
        check_len("matmul", "a matrix", data.len(), &[rows, columns])?;
        Ok(Self { data, rows, columns, transposed: false })
    }

    /// Its transpose, without moving a number.
    pub fn transposed(self) -> Self {
        Self { rows: self.columns, columns: self.rows, transposed: !self.transposed, ..self }
    }

    /// Distance in memory of neighbouring rows, and of neighbouring columns.
    fn strides(&self) -> (usize, usize) {
        if self.transposed { (1, self.rows) } else { (self.columns, 1) }
    }
}

/// `out = a * b`, stored row by row, plus `bias` (one number for each column) in every row.
///
/// # Errors
/// The sizes don't fit together, or `out` or `bias` isn't as long as they say.
pub fn matmul<T: Element>(
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
    bias: Option<&[T]>,
    out: &mut [T],
) -> Result<()> {
    product(Isa::current(), a, Right::Plain(b), &Epilogue::bias(bias), out)
}

/// The right side of a product.
#[derive(Clone, Copy)]
pub enum Right<'a, T> {
    /// As it lies.
    Plain(Matrix<'a, T>),
    /// `rows` by `columns` numbers, as [`pack`] packs them.
    Packed {
        /// The packed numbers.
        data: &'a [T],
        /// Of the matrix.
        rows: usize,
        /// Of the matrix.
        columns: usize,
    },
}

impl<T: Element> Right<'_, T> {
    fn size(&self) -> [usize; 2] {
        match *self {
            Self::Plain(matrix) => [matrix.rows, matrix.columns],
            Self::Packed { rows, columns, .. } => [rows, columns],
        }
    }
}

/// The blocks of a product's right side, of `DEPTH` rows and a panel of columns each.
#[derive(Clone, Copy)]
struct Panels {
    isa: Isa,
    rows: usize,
    columns: usize,
    lanes: usize,
    count: usize,
}

impl Panels {
    fn new<T: Element>(isa: Isa, [rows, columns]: [usize; 2]) -> Self {
        let lanes = isa.lanes::<T>();
        let count = columns.div_ceil(isa.vectors::<T>() * lanes * WIDE);
        Self { isa, rows, columns, lanes, count }
    }

    /// Blocks of a panel: a sum of nothing is one without depth.
    fn blocks(&self) -> usize {
        self.rows.div_ceil(DEPTH).max(1)
    }

    fn get(&self, panel: usize) -> Range<usize> {
        part_of_vectors(self.columns, self.lanes, self.count, panel)
    }

    /// The tiles of the block that begins at row `first` in a panel.
    fn tiles<T: Element>(&self, panel: usize, first: usize) -> Tiles {
        Tiles::new::<T>(self.isa, self.get(panel).len(), DEPTH.min(self.rows - first))
    }

    /// Where blocks begin when all are packed, block after block and panel after panel; the last is the end of all.
    fn starts<T: Element>(&self) -> Vec<usize> {
        let mut starts = vec![0];
        for panel in 0..self.count {
            for block in 0..self.blocks() {
                let end = starts.last().copied().unwrap_or(0) + self.tiles::<T>(panel, block * DEPTH).len();
                starts.push(end);
            }
        }
        starts
    }
}

/// The numbers that a right side of `size` takes packed.
pub(super) fn packed_len<T: Element>(isa: Isa, size: [usize; 2]) -> usize {
    Panels::new::<T>(isa, size).starts::<T>().last().copied().unwrap_or(0)
}

/// Packs the right side of products.
pub(super) fn pack<T: Element>(isa: Isa, b: Matrix<'_, T>, to: &mut [T]) {
    let panels = Panels::new::<T>(isa, [b.rows, b.columns]);
    let (starts, to) = (panels.starts::<T>(), Shared::new(to));
    let blocks = panels.blocks();
    tasks(starts.len() - 1, b.data.len(), |block| {
        let (columns, first) = (panels.get(block / blocks), block % blocks * DEPTH);
        let tiles = panels.tiles::<T>(block / blocks, first);
        let to = to.get().wrapping_add(starts[block]);
        dispatch(isa, Pack { b, first, depth: DEPTH.min(b.rows - first), columns, tiles, to });
    });
}

struct Pack<'a, T> {
    b: Matrix<'a, T>,
    first: usize,
    depth: usize,
    columns: Range<usize>,
    tiles: Tiles,
    to: *mut T,
}

impl<T: Element> Kernel<T> for Pack<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        // SAFETY: `pack` gives each task rows and columns of the matrix and a packed block of its own.
        unsafe { self.b.pack::<S>(self.first, self.depth, self.columns, &self.tiles, self.to) };
    }
}

impl<T: Element> Matrix<'_, T> {
    /// Packs `depth` rows of some columns.
    ///
    /// # Safety
    /// The matrix has these, and `to` has the tiles.
    #[inline(always)]
    unsafe fn pack<S: Lanes<Elem = T>>(
        &self,
        first: usize,
        depth: usize,
        columns: Range<usize>,
        tiles: &Tiles,
        to: *mut T,
    ) {
        let (row, column) = self.strides();
        for tile in 0..tiles.count {
            let (start, count, step) = tiles.get(tile);
            // SAFETY: the caller's promise.
            unsafe {
                let from = self.data.as_ptr().wrapping_add(first * row + (columns.start + start) * column);
                let to = to.add(tile * tiles.step);
                if self.transposed {
                    transpose::<S>(from, column, to, step, (count, depth));
                } else {
                    for k in 0..depth {
                        copy::<S>(from.add(k * row), 1, to.add(k * step), count);
                    }
                }
            }
        }
    }
}

/// `out` = what `epilogue`, whose channels are the columns, makes of `a * b`.
pub(super) fn product<T: Element>(
    isa: Isa,
    a: Matrix<'_, T>,
    b: Right<'_, T>,
    epilogue: &Epilogue<'_, T>,
    out: &mut [T],
) -> Result<()> {
    let op = "matmul";
    let [depth, columns] = b.size();
    check_equal(op, ("the columns of the left matrix", a.columns), ("the rows of the right", depth))?;
    check_len(op, "out", out.len(), &[a.rows, columns])?;
    epilogue.check(op, columns, &[a.rows, columns])?;
    if out.is_empty() {
        return Ok(());
    }
    epilogue.run(out, |epilogue, out| T::multiply_matrices(Checked, isa, a, b, epilogue, out));
    Ok(())
}

/// The same with everything checked.
pub(super) fn multiply<T: Element>(
    isa: Isa,
    a: Matrix<'_, T>,
    b: Right<'_, T>,
    epilogue: &Epilogue<'_, T>,
    out: &mut [T],
) {
    let [depth, columns] = b.size();
    let tile_rows = isa.rows::<T>();
    let panels = Panels::new::<T>(isa, [depth, columns]);
    let starts = panels.starts::<T>();
    let parts = TASKS.div_ceil(panels.count).min(a.rows.div_ceil(MIN_ROWS)).max(1);
    let rows = a.rows.div_ceil(parts).next_multiple_of(tile_rows);
    let parts = a.rows.div_ceil(rows);
    let out = Shared::new(out);
    let work = (a.rows * columns).saturating_mul(depth.max(1)) / 8;
    tasks(panels.count * parts, work.max(depth * columns), |task| {
        let (panel, part) = (task / parts, task % parts);
        let rows = part * rows..a.rows.min((part + 1) * rows);
        dispatch(isa, Panel { panels, starts: &starts, a, b, epilogue, out, panel, rows });
    });
}

/// Some rows of some columns of the product.
struct Panel<'a, T> {
    panels: Panels,
    starts: &'a [usize],
    a: Matrix<'a, T>,
    b: Right<'a, T>,
    epilogue: &'a Epilogue<'a, T>,
    out: Shared<T>,
    panel: usize,
    rows: Range<usize>,
}

impl<T: Element> Kernel<T> for Panel<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let (panels, a) = (self.panels, self.a);
        let columns = panels.get(self.panel);
        let (a_row, a_column) = a.strides();
        let mut packed = scratch::take::<T>(match self.b {
            Right::Plain(_) => panels.tiles::<T>(self.panel, 0).len(),
            Right::Packed { .. } => 0,
        });
        let at = self.rows.start * panels.columns + columns.start;
        let blocks = panels.blocks();
        for block in 0..blocks {
            let first = block * DEPTH;
            let depth = DEPTH.min(panels.rows - first);
            let b = match self.b {
                Right::Plain(b) => {
                    let tiles = panels.tiles::<T>(self.panel, first);
                    // SAFETY: `b` has these rows and columns, and `packed` the tiles.
                    unsafe { b.pack::<S>(first, depth, columns.clone(), &tiles, packed.as_mut_ptr()) };
                    packed.as_ptr()
                }
                Right::Packed { data, .. } => data[self.starts[self.panel * blocks + block]..].as_ptr(),
            };
            let finish =
                Finish { epilogue: self.epilogue, channel: columns.start, channels: Channels::Columns, at };
            let block = Block {
                rows: self.rows.len(),
                columns: columns.len(),
                depth,
                operands: Operands::Steps {
                    a: a.data.as_ptr().wrapping_add(self.rows.start * a_row + first * a_column),
                    tile: S::ROWS * a_row,
                    row: a_row,
                    step: a_column,
                    b: micro::Right::Packed(b),
                },
                c: self.out.get().wrapping_add(at),
                c_row: panels.columns,
                add: block > 0,
                finish: (block + 1 == blocks && !self.epilogue.is_plain()).then_some(finish),
            };
            // SAFETY: `a` has these rows and columns; `b` is packed in whole vectors; these rows and columns of the
            // result are this task's.
            unsafe { micro::run(panels.isa, &block) };
        }
    }
}
