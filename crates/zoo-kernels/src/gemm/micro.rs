//! The innermost product: a tile of `C` in registers, one broadcast of `A` against a few vectors of `B`.

#![expect(unsafe_code, reason = "strided access through pointers, checked by the callers once per tile")]

use crate::element::Element;
use crate::isa::{Isa, Kernel, dispatch};
use crate::simd::Lanes;

/// Vectors across a tile.
pub(crate) const VECTORS: usize = 3;

/// What a tile of `C` starts from.
#[derive(Clone, Copy)]
pub(crate) enum Init<T> {
    /// Zero.
    Zero,
    /// One number for each row.
    Rows(*const T),
    /// What is in `C` already.
    Add,
}

/// Where the rows of `B` lie.
#[derive(Clone, Copy)]
pub(crate) enum Rows {
    /// `b[k]` begins at `b + k * step`.
    Step(usize),
    /// `b[k]` begins at `b + offsets[k]`.
    At(*const usize),
}

/// One tile: `c[i][j] = init + sum over k of a[i][k] * b[k][j]`.
pub(crate) struct Tile<T> {
    /// Length of the sums.
    pub(crate) depth: usize,
    /// `a[i][k]` lies at `a + i * a_row + k * a_step`.
    pub(crate) a: *const T,
    pub(crate) a_row: usize,
    pub(crate) a_step: usize,
    /// Where `b[0]` begins, or what `b`'s offsets count from. Every row can be read up to a whole vector.
    pub(crate) b: *const T,
    pub(crate) b_rows: Rows,
    /// `c[i]` begins at `c + i * c_row`.
    pub(crate) c: *mut T,
    pub(crate) c_row: usize,
    /// Columns of the tile.
    pub(crate) columns: usize,
    /// What it starts from.
    pub(crate) init: Init<T>,
}

/// Computes a tile of `rows <= rows_of(isa)` and `tile.columns <= VECTORS * lanes_of(isa)`.
///
/// # Safety
/// Every element that the tile's fields name can be read, and those of `c` written.
#[inline]
pub(crate) unsafe fn run<T: Element>(isa: Isa, rows: usize, tile: &Tile<T>) {
    dispatch(isa, Run { rows, tile });
}

/// Its own function for each instruction set, so that the many fixed sizes are compiled once each.
struct Run<'t, T> {
    rows: usize,
    tile: &'t Tile<T>,
}

impl<T: Element> Kernel<T> for Run<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        macro_rules! pick {
            ($vectors:literal: $($rows:literal)*) => {
                match self.rows {
                    // SAFETY: a `Run` is made by `run` alone, whose caller promises what this needs.
                    $($rows if $rows <= S::ROWS => unsafe { fixed::<S, $rows, $vectors>(self.tile) },)*
                    _ => {}
                }
            };
        }
        match self.tile.columns.div_ceil(S::N) {
            1 => pick!(1: 1 2 3 4 5 6 7 8),
            2 => pick!(2: 1 2 3 4 5 6 7 8),
            3 => pick!(3: 1 2 3 4 5 6 7 8),
            _ => {}
        }
    }
}

#[inline(always)]
unsafe fn fixed<S: Lanes, const ROWS: usize, const VECTORS: usize>(tile: &Tile<S::Elem>) {
    let last = tile.columns - (VECTORS - 1) * S::N;
    // SAFETY: the caller's promise for rows below `ROWS`, columns below `tile.columns` and `k` below
    // `tile.depth`; the last vector is cut where it isn't whole.
    unsafe {
        let mut sums = [[S::splat(S::Elem::ZERO); VECTORS]; ROWS];
        match tile.init {
            Init::Zero => {}
            Init::Rows(bias) => {
                for (i, row) in sums.iter_mut().enumerate() {
                    *row = [S::splat(*bias.add(i)); VECTORS];
                }
            }
            Init::Add => {
                for (i, row) in sums.iter_mut().enumerate() {
                    for (v, sum) in row.iter_mut().enumerate() {
                        let from = tile.c.add(i * tile.c_row + v * S::N);
                        let cut = v + 1 == VECTORS && last < S::N;
                        *sum = if cut { S::load_part(from, last) } else { S::load(from) };
                    }
                }
            }
        }
        match tile.b_rows {
            Rows::Step(step) => {
                accumulate::<S, ROWS, VECTORS, false>(tile, step, std::ptr::null(), &mut sums);
            }
            Rows::At(offsets) => accumulate::<S, ROWS, VECTORS, true>(tile, 0, offsets, &mut sums),
        }
        for (i, row) in sums.iter().enumerate() {
            for (v, sum) in row.iter().enumerate() {
                let to = tile.c.add(i * tile.c_row + v * S::N);
                if v + 1 == VECTORS && last < S::N { sum.store_part(to, last) } else { sum.store(to) }
            }
        }
    }
}

#[inline(always)]
unsafe fn accumulate<S: Lanes, const ROWS: usize, const VECTORS: usize, const AT: bool>(
    tile: &Tile<S::Elem>,
    b_step: usize,
    offsets: *const usize,
    sums: &mut [[S; VECTORS]; ROWS],
) {
    let (mut a, mut b) = (tile.a, tile.b);
    let mut local = *sums;
    for k in 0..tile.depth {
        if AT {
            // SAFETY: there is an offset for every `k`.
            b = tile.b.wrapping_add(unsafe { *offsets.add(k) });
        }
        let mut vectors = [S::splat(S::Elem::ZERO); VECTORS];
        for (v, vector) in vectors.iter_mut().enumerate() {
            // SAFETY: `b`'s rows can be read in whole vectors.
            *vector = unsafe { S::load(b.add(v * S::N)) };
        }
        for (i, row) in local.iter_mut().enumerate() {
            // SAFETY: row `i` and this `k` are among those the caller promises.
            let left = S::splat(unsafe { *a.add(i * tile.a_row) });
            for (sum, &vector) in row.iter_mut().zip(&vectors) {
                *sum = sum.fma(left, vector);
            }
        }
        // One past the last is never read: wrapping keeps its computation defined.
        a = a.wrapping_add(tile.a_step);
        b = b.wrapping_add(b_step);
    }
    *sums = local;
}
