//! Sixteen f32 in a 512-bit vector.

#![expect(unsafe_code, reason = "intrinsics and pointers")]

use std::arch::x86_64::*;
use std::ops::Range;

use super::Lanes;
use crate::gemm::micro::tile;

/// Sixteen f32.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct F32x16(__m512);

/// An intrinsic on registers alone.
macro_rules! on {
    ($e:expr) => {{
        // SAFETY: by the contract of `Lanes`, this code runs only where AVX-512 was found.
        unsafe { $e }
    }};
}

/// The low `count` bits, for counts up to 16.
#[inline(always)]
fn mask(count: usize) -> __mmask16 {
    ((1u32 << count.min(16)) - 1) as __mmask16
}

/// Every second number of both vectors.
#[inline(always)]
fn even(low: __m512, high: __m512) -> __m512 {
    on!({
        let places = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        _mm512_permutex2var_ps(low, places, high)
    })
}

impl Lanes for F32x16 {
    type Elem = f32;
    type Mask = __mmask16;
    const N: usize = 16;
    // Twenty-four sums, three vectors and a broadcast, of thirty-two registers.
    tile!(#[target_feature(enable = "avx2,fma,avx512f,avx512vl,avx512dq,avx512bw")] #[inline(never)] 1 2 3 4 5 6 7, 8; 1 2, 3);

    #[inline(always)]
    fn rows_apart(rest: usize) -> usize {
        // The compiler loads one number of each row at once: of seven rows these, the sums and the vectors take
        // thirty-one registers. The rest is divided evenly.
        rest.div_ceil(rest.div_ceil(7).max(1))
    }
    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self(on!(_mm512_set1_ps(value)))
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise, and the contract of `Lanes`.
        Self(unsafe { _mm512_loadu_ps(from) })
    }
    #[inline(always)]
    unsafe fn load_part(from: *const f32, count: usize) -> Self {
        // SAFETY: masked lanes are not read; the caller promises the others.
        Self(unsafe { _mm512_maskz_loadu_ps(mask(count), from) })
    }
    #[inline(always)]
    fn mask(lanes: Range<usize>) -> __mmask16 {
        mask(lanes.end) & !mask(lanes.start)
    }
    #[inline(always)]
    unsafe fn load_lanes(from: *const f32, lanes: __mmask16) -> Self {
        // SAFETY: masked lanes are not read; the caller promises the others.
        Self(unsafe { _mm512_maskz_loadu_ps(lanes, from) })
    }
    #[inline(always)]
    unsafe fn load_even(from: *const f32, count: usize) -> Self {
        let span = (2 * count.min(16)).saturating_sub(1);
        // SAFETY: masked lanes are not read; of the two vectors together `2 * count - 1` numbers are.
        // The second address is computed without being in bounds, so by wrapping arithmetic.
        unsafe {
            let low = _mm512_maskz_loadu_ps(mask(span), from);
            let high = _mm512_maskz_loadu_ps(mask(span.saturating_sub(16)), from.wrapping_add(16));
            Self(even(low, high))
        }
    }
    #[inline(always)]
    unsafe fn load_pairs(from: *const f32) -> Self {
        // SAFETY: the caller promises thirty-two numbers.
        Self(unsafe { even(_mm512_loadu_ps(from), _mm512_loadu_ps(from.add(16))) })
    }
    #[inline(always)]
    unsafe fn load_pairs_lanes(from: *const f32, [low, high]: [__mmask16; 2]) -> Self {
        // SAFETY: masked lanes are not read; the caller promises the others.
        unsafe {
            let low = _mm512_maskz_loadu_ps(low, from);
            Self(even(low, _mm512_maskz_loadu_ps(high, from.wrapping_add(16))))
        }
    }
    #[inline(always)]
    fn zip(self, odd: Self) -> [Self; 2] {
        on!({
            let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            let high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
            [low, high].map(|places| Self(_mm512_permutex2var_ps(self.0, places, odd.0)))
        })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's promise, and the contract of `Lanes`.
        unsafe { _mm512_storeu_ps(to, self.0) }
    }
    #[inline(always)]
    unsafe fn store_part(self, to: *mut f32, count: usize) {
        // SAFETY: masked lanes are not written; the caller promises the others.
        unsafe { _mm512_mask_storeu_ps(to, mask(count), self.0) }
    }
    #[inline(always)]
    fn fma(self, a: Self, b: Self) -> Self {
        Self(on!(_mm512_fmadd_ps(a.0, b.0, self.0)))
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(on!(_mm512_add_ps(self.0, other.0)))
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self(on!(_mm512_mul_ps(self.0, other.0)))
    }
    #[inline(always)]
    fn at_least(self, low: Self) -> Self {
        // Of a NaN and a number it gives the second.
        Self(on!(_mm512_max_ps(low.0, self.0)))
    }
    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        // The second if either is NaN, which is right unless the first is.
        on!({
            let is_nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(self.0, self.0);
            Self(_mm512_mask_mov_ps(_mm512_max_ps(self.0, other.0), is_nan, self.0))
        })
    }
    #[inline(always)]
    fn at_most(self, high: Self) -> Self {
        Self(on!(_mm512_min_ps(high.0, self.0)))
    }
    #[inline(always)]
    fn split_equal(self, other: Self, values: Self) -> (Self, Self) {
        on!({
            let equal = _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(self.0, other.0);
            let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(self.0, self.0);
            let same = equal | (nan & _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(other.0, other.0));
            (Self(_mm512_maskz_mov_ps(same, values.0)), Self(_mm512_maskz_mov_ps(!same, values.0)))
        })
    }
    #[inline(always)]
    fn sum(self) -> f32 {
        on!(_mm512_reduce_add_ps(self.0))
    }
    #[inline(always)]
    unsafe fn transpose(from: *const f32, from_row: usize, to: *mut f32, to_row: usize) {
        // SAFETY: the caller promises sixteen rows of sixteen on both sides.
        unsafe {
            let mut rows = [_mm512_setzero_ps(); 16];
            for (i, row) in rows.iter_mut().enumerate() {
                *row = _mm512_loadu_ps(from.add(i * from_row));
            }
            // Within every 128-bit lane, the 4x4 block of four neighbouring rows is transposed.
            let mut quads = [_mm512_setzero_ps(); 16];
            for q in 0..4 {
                let [a, b, c, d] = [rows[4 * q], rows[4 * q + 1], rows[4 * q + 2], rows[4 * q + 3]];
                let (ab_low, ab_high) = (_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
                let (cd_low, cd_high) = (_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
                quads[4 * q] = _mm512_shuffle_ps::<0b01_00_01_00>(ab_low, cd_low);
                quads[4 * q + 1] = _mm512_shuffle_ps::<0b11_10_11_10>(ab_low, cd_low);
                quads[4 * q + 2] = _mm512_shuffle_ps::<0b01_00_01_00>(ab_high, cd_high);
                quads[4 * q + 3] = _mm512_shuffle_ps::<0b11_10_11_10>(ab_high, cd_high);
            }
            // Then the 4x4 matrix of lanes is: `quads[4q + j]` holds columns j, 4+j, 8+j, 12+j of row block q.
            for j in 0..4 {
                let [a, b, c, d] = [quads[j], quads[4 + j], quads[8 + j], quads[12 + j]];
                let ab_02 = _mm512_shuffle_f32x4::<0b10_00_10_00>(a, b);
                let ab_13 = _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b);
                let cd_02 = _mm512_shuffle_f32x4::<0b10_00_10_00>(c, d);
                let cd_13 = _mm512_shuffle_f32x4::<0b11_01_11_01>(c, d);
                _mm512_storeu_ps(to.add(j * to_row), _mm512_shuffle_f32x4::<0b10_00_10_00>(ab_02, cd_02));
                _mm512_storeu_ps(
                    to.add((4 + j) * to_row),
                    _mm512_shuffle_f32x4::<0b10_00_10_00>(ab_13, cd_13),
                );
                _mm512_storeu_ps(
                    to.add((8 + j) * to_row),
                    _mm512_shuffle_f32x4::<0b11_01_11_01>(ab_02, cd_02),
                );
                _mm512_storeu_ps(
                    to.add((12 + j) * to_row),
                    _mm512_shuffle_f32x4::<0b11_01_11_01>(ab_13, cd_13),
                );
            }
        }
    }
}
