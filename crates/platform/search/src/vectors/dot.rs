//! The one loop that must be fast: the product of an i16 query with i8 rows.
#![allow(unsafe_code, reason = "vector instructions have no safe form; each block says why it is sound")]

/// Rows are padded with zeros to a multiple of this.
pub(crate) const LANES: usize = 32;

/// The sum of `query[i] * row[i]`. Both have the same length, a multiple of [`LANES`]. No sum overflows while
/// `|query[i]| <= 4,000` and the length is at most 4,096: 4,000 * 127 * 4,096 < 2^31.
pub(crate) type Dot = fn(&[i16], &[i8]) -> i32;

/// The fastest way this machine has, found out when it is asked for.
pub(crate) fn fastest() -> Dot {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        return avx2;
    }
    #[cfg(target_arch = "aarch64")]
    if std::arch::is_aarch64_feature_detected!("neon") {
        return neon;
    }
    portable
}

/// Plain Rust, which the compiler turns into what every machine of the target has.
pub(crate) fn portable(query: &[i16], row: &[i8]) -> i32 {
    query.iter().zip(row).map(|(q, r)| i32::from(*q) * i32::from(*r)).sum()
}

#[cfg(target_arch = "x86_64")]
fn avx2(query: &[i16], row: &[i8]) -> i32 {
    assert!(query.len() == row.len() && query.len().is_multiple_of(LANES));
    // SAFETY: `fastest` hands this function out only where the processor has AVX2; the lengths were checked above.
    unsafe { avx2_unchecked(query, row) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn avx2_unchecked(query: &[i16], row: &[i8]) -> i32 {
    use std::arch::x86_64::{
        __m128i, __m256i, _mm_add_epi32, _mm_cvtsi128_si32, _mm_loadu_si128, _mm_shuffle_epi32, _mm256_add_epi32,
        _mm256_castsi256_si128, _mm256_cvtepi8_epi16, _mm256_extracti128_si256, _mm256_loadu_si256, _mm256_madd_epi16,
        _mm256_setzero_si256,
    };
    let mut first = _mm256_setzero_si256();
    let mut second = _mm256_setzero_si256();
    for at in (0..query.len()).step_by(LANES) {
        // SAFETY: the caller checked that both slices have `at + 32` elements; the loads need no alignment.
        let (q0, q1, r0, r1) = unsafe {
            (
                _mm256_loadu_si256(query.as_ptr().add(at).cast::<__m256i>()),
                _mm256_loadu_si256(query.as_ptr().add(at + 16).cast::<__m256i>()),
                _mm_loadu_si128(row.as_ptr().add(at).cast::<__m128i>()),
                _mm_loadu_si128(row.as_ptr().add(at + 16).cast::<__m128i>()),
            )
        };
        first = _mm256_add_epi32(first, _mm256_madd_epi16(q0, _mm256_cvtepi8_epi16(r0)));
        second = _mm256_add_epi32(second, _mm256_madd_epi16(q1, _mm256_cvtepi8_epi16(r1)));
    }
    let sum = _mm256_add_epi32(first, second);
    let sum = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
    let sum = _mm_add_epi32(sum, _mm_shuffle_epi32::<0b01_00_11_10>(sum));
    let sum = _mm_add_epi32(sum, _mm_shuffle_epi32::<0b10_11_00_01>(sum));
    _mm_cvtsi128_si32(sum)
}

#[cfg(target_arch = "aarch64")]
fn neon(query: &[i16], row: &[i8]) -> i32 {
    assert!(query.len() == row.len() && query.len().is_multiple_of(LANES));
    // SAFETY: `fastest` hands this function out only where the processor has NEON; the lengths were checked above.
    unsafe { neon_unchecked(query, row) }
}

#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon")]
unsafe fn neon_unchecked(query: &[i16], row: &[i8]) -> i32 {
    use std::arch::aarch64::{
        vaddq_s32, vaddvq_s32, vdupq_n_s32, vget_high_s16, vget_low_s16, vld1_s8, vld1q_s16, vmlal_s16, vmovl_s8,
    };
    let mut first = vdupq_n_s32(0);
    let mut second = vdupq_n_s32(0);
    for at in (0..query.len()).step_by(8) {
        // SAFETY: the caller checked that both slices have `at + 8` elements.
        let (q, r) = unsafe { (vld1q_s16(query.as_ptr().add(at)), vmovl_s8(vld1_s8(row.as_ptr().add(at)))) };
        first = vmlal_s16(first, vget_low_s16(q), vget_low_s16(r));
        second = vmlal_s16(second, vget_high_s16(q), vget_high_s16(r));
    }
    vaddvq_s32(vaddq_s32(first, second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fast_way_gives_what_the_plain_way_gives() {
        let fast = fastest();
        let mut state = 7_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 8
        };
        for length in [32, 64, 384, 1024, 4096] {
            for _ in 0..50 {
                let query: Vec<i16> = (0..length).map(|_| (next() % 8_001) as i16 - 4_000).collect();
                let row: Vec<i8> = (0..length).map(|_| (next() % 255) as i8).collect();
                assert_eq!(fast(&query, &row), portable(&query, &row));
            }
        }
        assert_eq!(fast(&vec![4_000; 4096], &vec![127; 4096]), 4_000 * 127 * 4096);
    }
}
