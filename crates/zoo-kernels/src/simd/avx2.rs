//! Eight f32 in a 256-bit vector.

#![expect(unsafe_code, reason = "intrinsics and pointers")]

use std::arch::x86_64::*;
use std::ops::Range;

use super::Lanes;
use crate::gemm::micro::tile;

/// Eight f32.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct F32x8(__m256);

/// An intrinsic on registers alone.
macro_rules! on {
    ($e:expr) => {{
        // SAFETY: by the contract of `Lanes`, this code runs only where AVX2 and FMA were found.
        unsafe { $e }
    }};
}

#[inline(always)]
fn mask(count: usize) -> __m256i {
    on!(_mm256_cmpgt_epi32(_mm256_set1_epi32(count as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)))
}

/// Within both halves, the 4x4 block of the four registers transposed.
#[inline(always)]
fn quads([a, b, c, d]: [__m256; 4]) -> [__m256; 4] {
    on!({
        let (ab_low, ab_high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
        let (cd_low, cd_high) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
        [
            _mm256_shuffle_ps::<0b01_00_01_00>(ab_low, cd_low),
            _mm256_shuffle_ps::<0b11_10_11_10>(ab_low, cd_low),
            _mm256_shuffle_ps::<0b01_00_01_00>(ab_high, cd_high),
            _mm256_shuffle_ps::<0b11_10_11_10>(ab_high, cd_high),
        ]
    })
}

/// Every second number of both vectors.
#[inline(always)]
fn even(low: __m256, high: __m256) -> __m256 {
    on!({
        let even = _mm256_shuffle_ps::<0b10_00_10_00>(low, high);
        _mm256_castpd_ps(_mm256_permute4x64_pd::<0b11_01_10_00>(_mm256_castps_pd(even)))
    })
}

impl Lanes for F32x8 {
    type Elem = f32;
    type Mask = __m256i;
    const N: usize = 8;
    // Twelve sums, two vectors and a broadcast: sixteen registers.
    tile!(#[target_feature(enable = "avx2,fma")] #[inline(never)] 1 2 3 4 5, 6; 1, 2);

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self(on!(_mm256_set1_ps(value)))
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise, and the contract of `Lanes`.
        Self(unsafe { _mm256_loadu_ps(from) })
    }
    #[inline(always)]
    unsafe fn load_part(from: *const f32, count: usize) -> Self {
        // SAFETY: masked lanes are not read; the caller promises the others.
        Self(unsafe { _mm256_maskload_ps(from, mask(count)) })
    }
    #[inline(always)]
    fn mask(lanes: Range<usize>) -> __m256i {
        on!(_mm256_andnot_si256(mask(lanes.start), mask(lanes.end)))
    }
    #[inline(always)]
    unsafe fn load_lanes(from: *const f32, lanes: __m256i) -> Self {
        // SAFETY: masked lanes are not read; the caller promises the others.
        Self(unsafe { _mm256_maskload_ps(from, lanes) })
    }
    #[inline(always)]
    unsafe fn load_even(from: *const f32, count: usize) -> Self {
        let count = count.min(8);
        let span = (2 * count).saturating_sub(1);
        // SAFETY: masked lanes are not read; of the two vectors together `2 * count - 1` numbers are.
        unsafe {
            let low = _mm256_maskload_ps(from, mask(span));
            let high =
                if span > 8 { _mm256_maskload_ps(from.add(8), mask(span - 8)) } else { _mm256_setzero_ps() };
            Self(even(low, high))
        }
    }
    #[inline(always)]
    unsafe fn load_pairs(from: *const f32) -> Self {
        // SAFETY: the caller promises sixteen numbers.
        Self(unsafe { even(_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))) })
    }
    #[inline(always)]
    unsafe fn load_pairs_lanes(from: *const f32, [low, high]: [__m256i; 2]) -> Self {
        // SAFETY: masked lanes are not read; the caller promises the others.
        unsafe {
            let low = _mm256_maskload_ps(from, low);
            Self(even(low, _mm256_maskload_ps(from.wrapping_add(8), high)))
        }
    }
    #[inline(always)]
    fn zip(self, odd: Self) -> [Self; 2] {
        on!({
            let (low, high) = (_mm256_unpacklo_ps(self.0, odd.0), _mm256_unpackhi_ps(self.0, odd.0));
            let first = _mm256_permute2f128_ps::<0x20>(low, high);
            [Self(first), Self(_mm256_permute2f128_ps::<0x31>(low, high))]
        })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's promise, and the contract of `Lanes`.
        unsafe { _mm256_storeu_ps(to, self.0) }
    }
    #[inline(always)]
    unsafe fn store_part(self, to: *mut f32, count: usize) {
        // By halves and not by a mask, whose store takes many times as long on some processors.
        // SAFETY: the numbers written are the first `count`, as the caller promises.
        unsafe {
            let (mut to, mut four) = (to, _mm256_castps256_ps128(self.0));
            if count >= 8 {
                return self.store(to);
            }
            if count & 4 != 0 {
                _mm_storeu_ps(to, four);
                (to, four) = (to.add(4), _mm256_extractf128_ps::<1>(self.0));
            }
            if count & 2 != 0 {
                _mm_storel_pd(to.cast(), _mm_castps_pd(four));
                (to, four) = (to.add(2), _mm_movehl_ps(four, four));
            }
            if count & 1 != 0 {
                _mm_store_ss(to, four);
            }
        }
    }
    #[inline(always)]
    fn fma(self, a: Self, b: Self) -> Self {
        Self(on!(_mm256_fmadd_ps(a.0, b.0, self.0)))
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(on!(_mm256_add_ps(self.0, other.0)))
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self(on!(_mm256_mul_ps(self.0, other.0)))
    }
    #[inline(always)]
    fn at_least(self, low: Self) -> Self {
        // Of a NaN and a number it gives the second.
        Self(on!(_mm256_max_ps(low.0, self.0)))
    }
    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        // The second if either is NaN, which is right unless the first is.
        on!({
            let larger = _mm256_max_ps(self.0, other.0);
            Self(_mm256_blendv_ps(larger, self.0, _mm256_cmp_ps::<_CMP_UNORD_Q>(self.0, self.0)))
        })
    }
    #[inline(always)]
    fn at_most(self, high: Self) -> Self {
        Self(on!(_mm256_min_ps(high.0, self.0)))
    }
    #[inline(always)]
    fn split_equal(self, other: Self, values: Self) -> (Self, Self) {
        on!({
            let equal = _mm256_cmp_ps::<_CMP_EQ_OQ>(self.0, other.0);
            let nan = _mm256_cmp_ps::<_CMP_UNORD_Q>(self.0, self.0);
            let nans = _mm256_and_ps(nan, _mm256_cmp_ps::<_CMP_UNORD_Q>(other.0, other.0));
            let same = _mm256_or_ps(equal, nans);
            (Self(_mm256_and_ps(same, values.0)), Self(_mm256_andnot_ps(same, values.0)))
        })
    }
    #[inline(always)]
    fn sum(self) -> f32 {
        on!({
            let four = _mm_add_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        })
    }
    #[inline(always)]
    unsafe fn transpose(from: *const f32, from_row: usize, to: *mut f32, to_row: usize) {
        // SAFETY: the caller promises eight rows of eight on both sides.
        unsafe {
            // Row `i` beside row `i + 4`: their low halves in one register, their high halves in another.
            let mut low = [_mm256_setzero_ps(); 4];
            let mut high = [_mm256_setzero_ps(); 4];
            for i in 0..4 {
                let (a, b) = (from.add(i * from_row), from.add((i + 4) * from_row));
                low[i] = _mm256_set_m128(_mm_loadu_ps(b), _mm_loadu_ps(a));
                high[i] = _mm256_set_m128(_mm_loadu_ps(b.add(4)), _mm_loadu_ps(a.add(4)));
            }
            let (first, second) = (quads(low), quads(high));
            for j in 0..4 {
                _mm256_storeu_ps(to.add(j * to_row), first[j]);
                _mm256_storeu_ps(to.add((j + 4) * to_row), second[j]);
            }
        }
    }
}
