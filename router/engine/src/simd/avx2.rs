//! AVX2 with FMA and F16C: two registers are sixteen numbers.

use std::arch::is_x86_feature_detected;
use std::arch::x86_64::{
    __m256, __m256i, _CMP_GT_OQ, _MM_FROUND_NO_EXC, _MM_FROUND_TO_NEAREST_INT, _mm_add_ps, _mm_add_ss,
    _mm_cvtss_f32, _mm_loadu_si128, _mm_movehdup_ps, _mm_movehl_ps, _mm256_abs_epi8, _mm256_add_epi32,
    _mm256_add_ps, _mm256_and_ps, _mm256_and_si256, _mm256_blendv_ps, _mm256_castps_si256,
    _mm256_castps256_ps128, _mm256_castsi256_ps, _mm256_cmp_ps, _mm256_cmpeq_epi32, _mm256_cvtepi32_ps,
    _mm256_cvtpd_ps, _mm256_cvtph_ps, _mm256_cvtps_epi32, _mm256_div_ps, _mm256_extractf128_ps,
    _mm256_fmadd_ps, _mm256_loadu_pd, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_madd_epi16,
    _mm256_maddubs_epi16, _mm256_max_pd, _mm256_max_ps, _mm256_min_ps, _mm256_mul_ps, _mm256_round_ps,
    _mm256_set_m128, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_pd, _mm256_set1_ps, _mm256_setr_epi32,
    _mm256_setzero_pd, _mm256_setzero_si256, _mm256_sign_epi8, _mm256_slli_epi32, _mm256_srai_epi32,
    _mm256_storeu_ps, _mm256_sub_epi32, _mm256_sub_pd, _mm256_sub_ps,
};

use super::{LANES, Simd, Work};

/// That the processor has AVX2, FMA and F16C.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Avx2(());

impl Avx2 {
    /// Looks at the processor.
    #[inline]
    pub(super) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx2")
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

#[target_feature(enable = "avx2,fma,f16c")]
fn compiled<W: Work>(token: Avx2, work: W) -> W::Output {
    work.run(token)
}

type Pair = (__m256, __m256);

/// The same for the lower and the upper eight.
macro_rules! both {
    ($operation:ident, $($pair:ident),+) => {
        instructions!(($operation($($pair.0),+), $operation($($pair.1),+)))
    };
}

#[inline(always)]
fn power(integer: __m256) -> __m256 {
    instructions!({
        let biased = _mm256_add_epi32(_mm256_cvtps_epi32(integer), _mm256_set1_epi32(127));
        _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
    })
}

#[inline(always)]
fn split(number: __m256) -> (__m256, __m256) {
    instructions!({
        let bits = _mm256_castps_si256(number);
        let exponent = _mm256_srai_epi32::<23>(_mm256_sub_epi32(bits, _mm256_set1_epi32(0x3f35_04f3)));
        let mantissa = _mm256_sub_epi32(bits, _mm256_slli_epi32::<23>(exponent));
        (_mm256_cvtepi32_ps(exponent), _mm256_castsi256_ps(mantissa))
    })
}

/// All bits in each of eight lanes whose bit is set.
#[inline(always)]
fn lanes_of(bits: u16) -> __m256 {
    instructions!({
        let each = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
        let set = _mm256_and_si256(_mm256_set1_epi32(i32::from(bits)), each);
        _mm256_castsi256_ps(_mm256_cmpeq_epi32(set, each))
    })
}

#[inline(always)]
fn seconds(now: f64, then: &[f64; 8]) -> __m256 {
    instructions!({
        let (now, zero) = (_mm256_set1_pd(now), _mm256_setzero_pd());
        let low = _mm256_sub_pd(now, _mm256_loadu_pd(then.as_ptr()));
        let high = _mm256_sub_pd(now, _mm256_loadu_pd(then.as_ptr().add(4)));
        let low = _mm256_cvtpd_ps(_mm256_max_pd(low, zero));
        _mm256_set_m128(_mm256_cvtpd_ps(_mm256_max_pd(high, zero)), low)
    })
}

impl Simd for Avx2 {
    type Floats = Pair;
    type Integers = (__m256i, __m256i);

    #[inline]
    fn run<W: Work>(self, work: W) -> W::Output {
        instructions!(compiled(self, work))
    }

    #[inline(always)]
    fn splat(self, number: f32) -> Pair {
        let number = instructions!(_mm256_set1_ps(number));
        (number, number)
    }

    #[inline(always)]
    fn load(self, numbers: &[f32; LANES]) -> Pair {
        instructions!((_mm256_loadu_ps(numbers.as_ptr()), _mm256_loadu_ps(numbers.as_ptr().add(8))))
    }

    #[inline(always)]
    fn store(self, numbers: Pair) -> [f32; LANES] {
        let mut stored = [0.0; LANES];
        instructions!({
            _mm256_storeu_ps(stored.as_mut_ptr(), numbers.0);
            _mm256_storeu_ps(stored.as_mut_ptr().add(8), numbers.1);
        });
        stored
    }

    #[inline(always)]
    fn load_half(self, numbers: &[u16; LANES]) -> Pair {
        let place = numbers.as_ptr();
        instructions!((
            _mm256_cvtph_ps(_mm_loadu_si128(place.cast())),
            _mm256_cvtph_ps(_mm_loadu_si128(place.add(8).cast()))
        ))
    }

    #[inline(always)]
    fn add(self, a: Pair, b: Pair) -> Pair {
        both!(_mm256_add_ps, a, b)
    }

    #[inline(always)]
    fn sub(self, a: Pair, b: Pair) -> Pair {
        both!(_mm256_sub_ps, a, b)
    }

    #[inline(always)]
    fn mul(self, a: Pair, b: Pair) -> Pair {
        both!(_mm256_mul_ps, a, b)
    }

    #[inline(always)]
    fn mul_add(self, a: Pair, b: Pair, c: Pair) -> Pair {
        both!(_mm256_fmadd_ps, a, b, c)
    }

    #[inline(always)]
    fn div(self, a: Pair, b: Pair) -> Pair {
        both!(_mm256_div_ps, a, b)
    }

    #[inline(always)]
    fn min(self, a: Pair, b: Pair) -> Pair {
        both!(_mm256_min_ps, a, b)
    }

    #[inline(always)]
    fn max(self, a: Pair, b: Pair) -> Pair {
        both!(_mm256_max_ps, a, b)
    }

    #[inline(always)]
    fn split_power(self, number: Pair) -> (Pair, Pair) {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        let integer =
            instructions!((_mm256_round_ps::<NEAREST>(number.0), _mm256_round_ps::<NEAREST>(number.1)));
        (self.sub(number, integer), (power(integer.0), power(integer.1)))
    }

    #[inline(always)]
    fn split_number(self, number: Pair) -> (Pair, Pair) {
        let (low, high) = (split(number.0), split(number.1));
        ((low.0, high.0), (low.1, high.1))
    }

    #[inline(always)]
    fn sum(self, numbers: Pair) -> f32 {
        instructions!({
            let eight = _mm256_add_ps(numbers.0, numbers.1);
            let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        })
    }

    #[inline(always)]
    fn add_where(self, lanes: u16, a: Pair, b: Pair) -> Pair {
        let masks = (lanes_of(lanes), lanes_of(lanes >> 8));
        self.add(a, both!(_mm256_and_ps, masks, b))
    }

    #[inline(always)]
    fn choose_larger(self, a: Pair, b: Pair, then: Pair, or: Pair) -> Pair {
        instructions!((
            _mm256_blendv_ps(or.0, then.0, _mm256_cmp_ps::<_CMP_GT_OQ>(a.0, b.0)),
            _mm256_blendv_ps(or.1, then.1, _mm256_cmp_ps::<_CMP_GT_OQ>(a.1, b.1))
        ))
    }

    #[inline(always)]
    fn seconds_since(self, now: f64, then: &[f64; LANES]) -> Pair {
        let ([low, high], _) = then.as_chunks::<8>() else { return self.splat(0.0) };
        (seconds(now, low), seconds(now, high))
    }

    const QUERY_FLIP: u8 = 0;

    #[inline(always)]
    fn start_bytes(self, _: &[i32; LANES]) -> Self::Integers {
        let zero = instructions!(_mm256_setzero_si256());
        (zero, zero)
    }

    #[inline(always)]
    fn load_bytes(self, line: &[i8; 64]) -> Self::Integers {
        instructions!((
            _mm256_loadu_si256(line.as_ptr().cast()),
            _mm256_loadu_si256(line.as_ptr().add(32).cast())
        ))
    }

    #[inline(always)]
    fn dot_bytes(self, sum: Self::Integers, line: &[i8; 64], query: [u8; 4]) -> Self::Integers {
        instructions!({
            let query = _mm256_set1_epi32(i32::from_le_bytes(query));
            let (size, one) = (_mm256_abs_epi8(query), _mm256_set1_epi16(1));
            let low = _mm256_sign_epi8(_mm256_loadu_si256(line.as_ptr().cast()), query);
            let high = _mm256_sign_epi8(_mm256_loadu_si256(line.as_ptr().add(32).cast()), query);
            // Two products of at most 127 * 127 fit 16 bits, so nothing saturates.
            let low = _mm256_madd_epi16(_mm256_maddubs_epi16(size, low), one);
            let high = _mm256_madd_epi16(_mm256_maddubs_epi16(size, high), one);
            (_mm256_add_epi32(sum.0, low), _mm256_add_epi32(sum.1, high))
        })
    }

    #[inline(always)]
    fn add_integers(self, a: Self::Integers, b: Self::Integers) -> Self::Integers {
        both!(_mm256_add_epi32, a, b)
    }

    #[inline(always)]
    fn to_floats(self, integers: Self::Integers) -> Pair {
        both!(_mm256_cvtepi32_ps, integers)
    }
}
