//! AVX-512: one register is sixteen numbers.

use std::arch::is_x86_feature_detected;
use std::arch::x86_64::{
    __m512, __m512i, _CMP_GT_OQ, _MM_FROUND_NO_EXC, _MM_FROUND_TO_NEAREST_INT, _mm256_loadu_si256,
    _mm512_add_epi32, _mm512_add_ps, _mm512_castps_si512, _mm512_castps256_ps512, _mm512_castsi512_ps,
    _mm512_cmp_ps_mask, _mm512_cvtepi32_ps, _mm512_cvtpd_ps, _mm512_cvtph_ps, _mm512_div_ps,
    _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_insertf32x8, _mm512_loadu_pd, _mm512_loadu_ps,
    _mm512_loadu_si512, _mm512_mask_add_ps, _mm512_mask_blend_ps, _mm512_max_pd, _mm512_max_ps,
    _mm512_min_ps, _mm512_mul_ps, _mm512_reduce_add_ps, _mm512_roundscale_ps, _mm512_scalef_ps,
    _mm512_set1_epi32, _mm512_set1_pd, _mm512_set1_ps, _mm512_setzero_pd, _mm512_setzero_si512,
    _mm512_slli_epi32, _mm512_srai_epi32, _mm512_storeu_ps, _mm512_sub_epi32, _mm512_sub_pd, _mm512_sub_ps,
};

use super::{LANES, Simd, Work};

/// That the processor has AVX-512 F, BW, DQ, VL and VNNI, and what AVX2 comes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Avx512(());

impl Avx512 {
    /// Looks at the processor.
    #[inline]
    pub(super) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        has.then_some(Self(()))
    }
}

/// Calls instructions. SAFETY of each use: there is a token, so the processor has them; and no use reads or writes
/// memory but through a reference to as many bytes as the instruction takes.
macro_rules! instructions {
    ($expression:expr) => {{
        // SAFETY: as above.
        unsafe { $expression }
    }};
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn compiled<W: Work>(token: Avx512, work: W) -> W::Output {
    work.run(token)
}

impl Simd for Avx512 {
    type Floats = __m512;
    type Integers = __m512i;

    #[inline]
    fn run<W: Work>(self, work: W) -> W::Output {
        instructions!(compiled(self, work))
    }

    #[inline(always)]
    fn splat(self, number: f32) -> __m512 {
        instructions!(_mm512_set1_ps(number))
    }

    #[inline(always)]
    fn load(self, numbers: &[f32; LANES]) -> __m512 {
        instructions!(_mm512_loadu_ps(numbers.as_ptr()))
    }

    #[inline(always)]
    fn store(self, numbers: __m512) -> [f32; LANES] {
        let mut stored = [0.0; LANES];
        instructions!(_mm512_storeu_ps(stored.as_mut_ptr(), numbers));
        stored
    }

    #[inline(always)]
    fn load_half(self, numbers: &[u16; LANES]) -> __m512 {
        instructions!(_mm512_cvtph_ps(_mm256_loadu_si256(numbers.as_ptr().cast())))
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        instructions!(_mm512_add_ps(a, b))
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        instructions!(_mm512_sub_ps(a, b))
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        instructions!(_mm512_mul_ps(a, b))
    }

    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        instructions!(_mm512_fmadd_ps(a, b, c))
    }

    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        instructions!(_mm512_div_ps(a, b))
    }

    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        instructions!(_mm512_min_ps(a, b))
    }

    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        instructions!(_mm512_max_ps(a, b))
    }

    #[inline(always)]
    fn split_power(self, number: __m512) -> (__m512, __m512) {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        let integer = instructions!(_mm512_roundscale_ps::<NEAREST>(number));
        let power = instructions!(_mm512_scalef_ps(_mm512_set1_ps(1.0), integer));
        (self.sub(number, integer), power)
    }

    #[inline(always)]
    fn split_number(self, number: __m512) -> (__m512, __m512) {
        instructions!({
            let bits = _mm512_castps_si512(number);
            let exponent = _mm512_srai_epi32::<23>(_mm512_sub_epi32(bits, _mm512_set1_epi32(0x3f35_04f3)));
            let mantissa = _mm512_sub_epi32(bits, _mm512_slli_epi32::<23>(exponent));
            (_mm512_cvtepi32_ps(exponent), _mm512_castsi512_ps(mantissa))
        })
    }

    #[inline(always)]
    fn sum(self, numbers: __m512) -> f32 {
        instructions!(_mm512_reduce_add_ps(numbers))
    }

    #[inline(always)]
    fn add_where(self, lanes: u16, a: __m512, b: __m512) -> __m512 {
        instructions!(_mm512_mask_add_ps(a, lanes, a, b))
    }

    #[inline(always)]
    fn choose_larger(self, a: __m512, b: __m512, then: __m512, or: __m512) -> __m512 {
        instructions!(_mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b), or, then))
    }

    #[inline(always)]
    fn seconds_since(self, now: f64, then: &[f64; LANES]) -> __m512 {
        instructions!({
            let (now, zero) = (_mm512_set1_pd(now), _mm512_setzero_pd());
            let low = _mm512_sub_pd(now, _mm512_loadu_pd(then.as_ptr()));
            let high = _mm512_sub_pd(now, _mm512_loadu_pd(then.as_ptr().add(8)));
            let low = _mm512_cvtpd_ps(_mm512_max_pd(low, zero));
            let high = _mm512_cvtpd_ps(_mm512_max_pd(high, zero));
            _mm512_insertf32x8::<1>(_mm512_castps256_ps512(low), high)
        })
    }

    // The instruction takes the query's bytes as 0 to 255: 128 more than they are.
    const QUERY_FLIP: u8 = 0x80;

    #[inline(always)]
    fn start_bytes(self, sums: &[i32; LANES]) -> __m512i {
        instructions!({
            let sums = _mm512_loadu_si512(sums.as_ptr().cast());
            _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32::<7>(sums))
        })
    }

    #[inline(always)]
    fn load_bytes(self, line: &[i8; 64]) -> Self::Integers {
        instructions!(_mm512_loadu_si512(line.as_ptr().cast()))
    }

    #[inline(always)]
    fn dot_bytes(self, sum: __m512i, line: &[i8; 64], query: [u8; 4]) -> __m512i {
        instructions!({
            let query = _mm512_set1_epi32(i32::from_le_bytes(query));
            _mm512_dpbusd_epi32(sum, query, _mm512_loadu_si512(line.as_ptr().cast()))
        })
    }

    #[inline(always)]
    fn add_integers(self, a: Self::Integers, b: Self::Integers) -> Self::Integers {
        instructions!(_mm512_add_epi32(a, b))
    }

    #[inline(always)]
    fn to_floats(self, integers: __m512i) -> __m512 {
        instructions!(_mm512_cvtepi32_ps(integers))
    }
}
