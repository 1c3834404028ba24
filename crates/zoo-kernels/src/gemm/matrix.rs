//! Products of matrices, transposed or not.

#![expect(unsafe_code, reason = "tiles read and write through pointers; the bounds are the matrices'")]

use super::micro::{self, Init, Rows, Tile, VECTORS};
use crate::element::Element;
use crate::error::{Result, check_equal, check_len};
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::{Shared, tasks};
use crate::scratch;
use crate::simd::{Lanes, copy, transpose};

/// Terms of the sums that are packed at once.
const DEPTH: usize = 384;
/// Rows that a task takes at least, so that packing is small beside the product.
const MIN_ROWS: usize = 64;
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
    let op = "matmul";
    check_equal(op, ("the columns of the left matrix", a.columns), ("the rows of the right", b.rows))?;
    check_len(op, "out", out.len(), &[a.rows, b.columns])?;
    if let Some(bias) = bias {
        check_len(op, "bias", bias.len(), &[b.columns])?;
    }
    if out.is_empty() {
        return Ok(());
    }
    let isa = Isa::current();
    let (lanes, tile_rows) = (isa.lanes::<T>(), isa.rows::<T>());
    let vectors = b.columns.div_ceil(lanes);
    let panels = vectors.div_ceil(VECTORS);
    let parts = TASKS.div_ceil(panels).min(a.rows.div_ceil(MIN_ROWS)).max(1);
    let rows = a.rows.div_ceil(parts).next_multiple_of(tile_rows);
    let parts = a.rows.div_ceil(rows);
    let out = Shared::new(out);
    let work = (a.rows * b.columns).saturating_mul(a.columns.max(1)) / 8;
    tasks(panels * parts, work.max(a.columns * b.columns), |task| {
        let (panel, part) = (task / parts, task % parts);
        let start = panel * vectors / panels * lanes;
        let columns = ((panel + 1) * vectors / panels * lanes).min(b.columns) - start;
        let rows = part * rows..a.rows.min((part + 1) * rows);
        dispatch(isa, Panel { isa, a, b, bias, out, start, columns, rows });
    });
    Ok(())
}

/// Some rows of some columns of the product.
struct Panel<'a, T> {
    isa: Isa,
    a: Matrix<'a, T>,
    b: Matrix<'a, T>,
    bias: Option<&'a [T]>,
    out: Shared<T>,
    start: usize,
    columns: usize,
    rows: std::ops::Range<usize>,
}

impl<T: Element> Kernel<T> for Panel<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let (a, b) = (self.a, self.b);
        let stride = self.columns.next_multiple_of(S::N);
        let depth = DEPTH.min(a.columns);
        let mut panel = scratch::take::<T>(depth * stride);
        let mut left = scratch::take::<T>(if a.transposed { depth * S::ROWS } else { 0 });
        if let Some(bias) = self.bias {
            for row in self.rows.clone() {
                // SAFETY: these rows and columns of the result are this task's.
                let out = unsafe { self.out.slice(row * b.columns + self.start, self.columns) };
                out.copy_from_slice(&bias[self.start..self.start + self.columns]);
            }
        }
        if a.columns == 0 && self.bias.is_none() {
            for row in self.rows.clone() {
                // SAFETY: as above.
                unsafe { self.out.slice(row * b.columns + self.start, self.columns) }.fill(T::ZERO);
            }
        }
        let (a_row, a_column) = a.strides();
        for first in (0..a.columns).step_by(DEPTH) {
            let depth = DEPTH.min(a.columns - first);
            self.pack::<S>(first, depth, stride, &mut panel);
            for row in self.rows.clone().step_by(S::ROWS) {
                let rows = S::ROWS.min(self.rows.end - row);
                let (from, a_row, a_step) = if a.transposed {
                    for k in 0..depth {
                        // SAFETY: `rows` numbers of column `first + k`, stored side by side.
                        unsafe {
                            let from = a.data.as_ptr().add((first + k) * a_column + row);
                            copy::<S>(from, 1, left.as_mut_ptr().add(k * S::ROWS), rows);
                        }
                    }
                    (left.as_ptr(), 1, S::ROWS)
                } else {
                    (a.data[row * a_row + first..].as_ptr(), a_row, 1)
                };
                let add = first > 0 || self.bias.is_some();
                let tile = Tile {
                    depth,
                    a: from,
                    a_row,
                    a_step,
                    b: panel.as_ptr(),
                    b_rows: Rows::Step(stride),
                    c: self.out.get().wrapping_add(row * b.columns + self.start),
                    c_row: b.columns,
                    columns: self.columns,
                    init: if add { Init::Add } else { Init::Zero },
                };
                // SAFETY: `a` has these rows and columns, or is their packed copy; `panel` is padded to whole
                // vectors; these rows and columns of the result are this task's.
                unsafe { micro::run(self.isa, rows, &tile) };
            }
        }
    }
}

impl<T: Element> Panel<'_, T> {
    /// Packs `depth` rows of the panel's columns of `b`.
    #[inline(always)]
    fn pack<S: Lanes<Elem = T>>(&self, first: usize, depth: usize, stride: usize, panel: &mut [T]) {
        let (b_row, b_column) = self.b.strides();
        // SAFETY: rows `first..first + depth` and the panel's columns are in `b`, and `panel` has `depth` rows of
        // `stride >= columns`.
        unsafe {
            if self.b.transposed {
                let from = self.b.data.as_ptr().add(self.start * b_column + first);
                transpose::<S>(from, b_column, panel.as_mut_ptr(), stride, (self.columns, depth));
            } else {
                for k in 0..depth {
                    let from = self.b.data.as_ptr().add((first + k) * b_row + self.start);
                    copy::<S>(from, 1, panel.as_mut_ptr().add(k * stride), self.columns);
                }
            }
        }
    }
}
