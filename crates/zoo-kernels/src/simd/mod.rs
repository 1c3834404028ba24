//! Vectors: one trait, a portable array, and the two of x86-64.

#![expect(unsafe_code, reason = "loads and stores through pointers, and intrinsics")]

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
pub(crate) mod portable;
mod transpose;

pub(crate) use transpose::transpose;

use std::ops::Range;

use crate::element::Element;
use crate::gemm::micro::Tile;

/// A vector of `N` numbers.
///
/// # Safety
/// The methods of an implementation may use instructions that the machine lacks: values are made only
/// inside [`crate::isa::dispatch`], which runs a kernel on an instruction set that was found.
pub trait Lanes: Copy {
    /// What it is a vector of.
    type Elem: Element;
    /// Numbers in a vector.
    const N: usize;
    /// Rows of the matrix product's tile, and vectors across it, so that its sums and operands fit into the registers.
    const ROWS: usize;
    /// Vectors across the tile.
    const VECTORS: usize;

    /// Some of the lanes.
    type Mask: Copy;

    /// All lanes `value`.
    fn splat(value: Self::Elem) -> Self;
    /// The `N` numbers at `from`.
    ///
    /// # Safety
    /// `N` numbers can be read there.
    unsafe fn load(from: *const Self::Elem) -> Self;
    /// The first `count <= N` numbers at `from`, then zeros.
    ///
    /// # Safety
    /// `count` numbers can be read there.
    unsafe fn load_part(from: *const Self::Elem, count: usize) -> Self;
    /// The lanes from the range's start up to its end, which is at most `N`.
    fn mask(lanes: Range<usize>) -> Self::Mask;
    /// The numbers of these lanes of the `N` at `from`, and zeros.
    ///
    /// # Safety
    /// They can be read; the others, and so `from` itself, need not.
    unsafe fn load_lanes(from: *const Self::Elem, lanes: Self::Mask) -> Self;
    /// The first `count <= N` of every second number at `from`, then zeros.
    ///
    /// # Safety
    /// `2 * count - 1` numbers can be read there, if `count` isn't 0.
    unsafe fn load_even(from: *const Self::Elem, count: usize) -> Self;
    /// Every second of the `2 * N` numbers at `from`.
    ///
    /// # Safety
    /// `2 * N` numbers can be read there.
    unsafe fn load_pairs(from: *const Self::Elem) -> Self;
    /// Every second of the `2 * N` numbers at `from`, of which lanes of the first `N` and of the rest are read, and zeros.
    ///
    /// # Safety
    /// They can be read; the others, and so `from` itself, need not.
    unsafe fn load_pairs_lanes(from: *const Self::Elem, lanes: [Self::Mask; 2]) -> Self;
    /// The numbers of `self` and of `odd` in turns.
    fn zip(self, odd: Self) -> [Self; 2];
    /// Writes the `N` numbers to `to`.
    ///
    /// # Safety
    /// `N` numbers can be written there.
    unsafe fn store(self, to: *mut Self::Elem);
    /// Writes the first `count <= N` numbers to `to`.
    ///
    /// # Safety
    /// `count` numbers can be written there.
    unsafe fn store_part(self, to: *mut Self::Elem, count: usize);
    /// `self + a * b`, rounded once where the instruction set can.
    fn fma(self, a: Self, b: Self) -> Self;
    /// Lane-wise sum.
    fn add(self, other: Self) -> Self;
    /// Lane-wise product.
    fn mul(self, other: Self) -> Self;
    /// The larger of `self` and `low`; NaN stays NaN.
    fn at_least(self, low: Self) -> Self;
    /// The larger of both, or NaN if either is.
    fn larger(self, other: Self) -> Self;
    /// The smaller of `self` and `high`; NaN stays NaN.
    fn at_most(self, high: Self) -> Self;
    /// `values` where the lanes of `self` and `other` are equal or both NaN, and `values` where not; zeros elsewhere.
    fn split_equal(self, other: Self, values: Self) -> (Self, Self);
    /// The sum of all lanes, by halves.
    fn sum(self) -> Self::Elem;
    /// The rows of the next tile where `rest >= 1` are left: at most `ROWS`.
    #[inline(always)]
    fn rows(rest: usize) -> usize {
        Self::ROWS.min(rest)
    }
    /// The same where every row of the left side has an address of its own.
    #[inline(always)]
    fn rows_apart(rest: usize) -> usize {
        Self::rows(rest)
    }
    /// Computes a tile of as many rows as [`Lanes::rows`] or [`Lanes::rows_apart`] gives, and `1..=VECTORS` vectors.
    ///
    /// # Safety
    /// The tile has these, and its block's elements can be read and written.
    unsafe fn tile(rows: usize, vectors: usize, tile: &Tile<'_, '_, Self::Elem>);
    /// Transposes an `N x N` block: `to[j * to_row + i] = from[i * from_row + j]`.
    ///
    /// # Safety
    /// `N` rows of `N` numbers can be read and written with these row strides.
    unsafe fn transpose(from: *const Self::Elem, from_row: usize, to: *mut Self::Elem, to_row: usize);
}

/// Has the line of memory at an address brought to the cache. Any address will do.
#[inline(always)]
pub(crate) fn fetch<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: of the baseline's instructions, and one that never faults.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// The same for what is needed later: to the second level of it.
#[inline(always)]
pub(crate) fn fetch_far<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: as in `fetch`.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T1>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// Copies `count` numbers, `step` apart in `from`, dense in `to`, by vectors for steps of 1 and 2.
///
/// # Safety
/// They can be read and written there.
#[inline(always)]
pub(crate) unsafe fn copy<S: Lanes>(from: *const S::Elem, step: usize, to: *mut S::Elem, count: usize) {
    let mut at = 0;
    // SAFETY: `at < count` throughout, and each access is limited to the numbers that are left.
    unsafe {
        match step {
            1 => {
                while at + S::N <= count {
                    S::load(from.add(at)).store(to.add(at));
                    at += S::N;
                }
                if at < count && count >= S::N {
                    // Once more up to the end: whole vectors are faster than cut ones.
                    S::load(from.add(count - S::N)).store(to.add(count - S::N));
                } else if at < count {
                    S::load_part(from.add(at), count - at).store_part(to.add(at), count - at);
                }
            }
            2 => {
                // A vector's last pair is whole only where another number follows it.
                while at + S::N < count {
                    S::load_pairs(from.add(2 * at)).store(to.add(at));
                    at += S::N;
                }
                if at < count {
                    S::load_even(from.add(2 * at), count - at).store_part(to.add(at), count - at);
                }
            }
            _ => {
                while at < count {
                    *to.add(at) = *from.add(step * at);
                    at += 1;
                }
            }
        }
    }
}

/// Writes `count` zeros.
///
/// # Safety
/// They can be written there.
#[inline(always)]
pub(crate) unsafe fn zero<S: Lanes>(to: *mut S::Elem, count: usize) {
    let zero = S::splat(S::Elem::ZERO);
    let mut at = 0;
    // SAFETY: `at < count` throughout, and each store is limited to the numbers that are left.
    unsafe {
        while at + S::N <= count {
            zero.store(to.add(at));
            at += S::N;
        }
        if at < count {
            zero.store_part(to.add(at), count - at);
        }
    }
}
