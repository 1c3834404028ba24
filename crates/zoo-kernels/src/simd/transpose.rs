//! Transposing a matrix by square blocks of one vector's side.

#![expect(unsafe_code, reason = "strided access through pointers")]

use super::Lanes;

/// `to[j * to_row + i] = from[i * from_row + j]` for `rows` by `columns` numbers of `from`.
///
/// # Safety
/// All of these can be read and written.
#[inline(always)]
pub(crate) unsafe fn transpose<S: Lanes>(
    from: *const S::Elem,
    from_row: usize,
    to: *mut S::Elem,
    to_row: usize,
    (rows, columns): (usize, usize),
) {
    let (whole_rows, whole_columns) = (rows - rows % S::N, columns - columns % S::N);
    // SAFETY: `i < rows` and `j < columns` throughout, and a square block is used only where it fits.
    unsafe {
        for i in (0..whole_rows).step_by(S::N) {
            for j in (0..whole_columns).step_by(S::N) {
                S::transpose(from.add(i * from_row + j), from_row, to.add(j * to_row + i), to_row);
            }
            for j in whole_columns..columns {
                for r in i..i + S::N {
                    *to.add(j * to_row + r) = *from.add(r * from_row + j);
                }
            }
        }
        for i in whole_rows..rows {
            for j in 0..columns {
                *to.add(j * to_row + i) = *from.add(i * from_row + j);
            }
        }
    }
}
