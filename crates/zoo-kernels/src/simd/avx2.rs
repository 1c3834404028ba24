//! Eight f32 in a 256-bit vector.

#![expect(unsafe_code, reason = "intrinsics and pointers")]

use std::arch::x86_64::*;

use super::Lanes;

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

impl Lanes for F32x8 {
    type Elem = f32;
    const N: usize = 8;
    const ROWS: usize = 4;

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
    unsafe fn load_even(from: *const f32, count: usize) -> Self {
        let count = count.min(8);
        let span = (2 * count).saturating_sub(1);
        // SAFETY: masked lanes are not read; of the two vectors together `2 * count - 1` numbers are.
        unsafe {
            let low = _mm256_maskload_ps(from, mask(span));
            let high =
                if span > 8 { _mm256_maskload_ps(from.add(8), mask(span - 8)) } else { _mm256_setzero_ps() };
            let even = _mm256_shuffle_ps::<0b10_00_10_00>(low, high);
            Self(_mm256_castpd_ps(_mm256_permute4x64_pd::<0b11_01_10_00>(_mm256_castps_pd(even))))
        }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's promise, and the contract of `Lanes`.
        unsafe { _mm256_storeu_ps(to, self.0) }
    }
    #[inline(always)]
    unsafe fn store_part(self, to: *mut f32, count: usize) {
        // SAFETY: masked lanes are not written; the caller promises the others.
        unsafe { _mm256_maskstore_ps(to, mask(count), self.0) }
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
            let row = |i: usize| {
                // The low half of row `i` and the low half of row `i + 4` share a register.
                (_mm_loadu_ps(from.add(i * from_row)), _mm_loadu_ps(from.add(i * from_row + 4)))
            };
            let joined = |i: usize| {
                let (a, b) = (row(i), row(i + 4));
                (_mm256_set_m128(b.0, a.0), _mm256_set_m128(b.1, a.1))
            };
            let (r0, r1, r2, r3) = (joined(0), joined(1), joined(2), joined(3));
            let quads = |a, b, c, d| {
                let (ab_low, ab_high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
                let (cd_low, cd_high) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
                [
                    _mm256_shuffle_ps::<0b01_00_01_00>(ab_low, cd_low),
                    _mm256_shuffle_ps::<0b11_10_11_10>(ab_low, cd_low),
                    _mm256_shuffle_ps::<0b01_00_01_00>(ab_high, cd_high),
                    _mm256_shuffle_ps::<0b11_10_11_10>(ab_high, cd_high),
                ]
            };
            let first = quads(r0.0, r1.0, r2.0, r3.0);
            let second = quads(r0.1, r1.1, r2.1, r3.1);
            for j in 0..4 {
                _mm256_storeu_ps(to.add(j * to_row), first[j]);
                _mm256_storeu_ps(to.add((j + 4) * to_row), second[j]);
            }
        }
    }
}
