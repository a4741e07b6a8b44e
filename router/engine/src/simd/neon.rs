//! NEON: four registers are sixteen numbers.

use std::arch::aarch64::{
    float32x4_t, int32x4_t, vaddq_f32, vaddq_s32, vaddvq_f32, vbslq_f32, vcgtq_f32, vcltq_f32, vcvtq_f32_s32,
    vcvtq_s32_f32, vdivq_f32, vdupq_n_f32, vdupq_n_s32, vfmaq_f32, vget_high_s8, vget_low_s8, vld1q_f32,
    vld1q_s8, vmull_s8, vmulq_f32, vpaddlq_s16, vpaddq_s32, vreinterpretq_f32_s32, vreinterpretq_s8_s32,
    vreinterpretq_s32_f32, vreinterpretq_s32_s8, vrndnq_f32, vshlq_n_s32, vshrq_n_s32, vst1q_f32, vsubq_f32,
    vsubq_s32,
};
use std::arch::is_aarch64_feature_detected;

use super::portable::Portable;
use super::{LANES, Simd, Work};

/// That the processor has NEON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neon(());

impl Neon {
    /// Looks at the processor.
    #[inline]
    pub(super) fn detect() -> Option<Self> {
        is_aarch64_feature_detected!("neon").then_some(Self(()))
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

#[target_feature(enable = "neon")]
fn compiled<W: Work>(token: Neon, work: W) -> W::Output {
    work.run(token)
}

type Four = [float32x4_t; 4];

/// The same for each of the four registers.
macro_rules! each {
    ($operation:ident, $($four:ident),+) => {
        instructions!([
            $operation($($four[0]),+),
            $operation($($four[1]),+),
            $operation($($four[2]),+),
            $operation($($four[3]),+),
        ])
    };
}

#[inline(always)]
fn smaller(a: float32x4_t, b: float32x4_t) -> float32x4_t {
    instructions!(vbslq_f32(vcltq_f32(a, b), a, b))
}

#[inline(always)]
fn larger(a: float32x4_t, b: float32x4_t) -> float32x4_t {
    instructions!(vbslq_f32(vcgtq_f32(a, b), a, b))
}

#[inline(always)]
fn choose(a: float32x4_t, b: float32x4_t, then: float32x4_t, or: float32x4_t) -> float32x4_t {
    instructions!(vbslq_f32(vcgtq_f32(a, b), then, or))
}

#[inline(always)]
fn power(integer: float32x4_t) -> float32x4_t {
    instructions!({
        let biased = vaddq_s32(vcvtq_s32_f32(integer), vdupq_n_s32(127));
        vreinterpretq_f32_s32(vshlq_n_s32::<23>(biased))
    })
}

#[inline(always)]
fn exponent(number: float32x4_t) -> int32x4_t {
    instructions!({
        let bits = vsubq_s32(vreinterpretq_s32_f32(number), vdupq_n_s32(0x3f35_04f3));
        vshrq_n_s32::<23>(bits)
    })
}

#[inline(always)]
fn mantissa(number: float32x4_t) -> float32x4_t {
    let exponent = exponent(number);
    instructions!({
        let bits = vsubq_s32(vreinterpretq_s32_f32(number), vshlq_n_s32::<23>(exponent));
        vreinterpretq_f32_s32(bits)
    })
}

#[inline(always)]
fn exponent_of(number: float32x4_t) -> float32x4_t {
    let exponent = exponent(number);
    instructions!(vcvtq_f32_s32(exponent))
}

#[inline(always)]
fn four_products(sum: int32x4_t, bytes: &[i8; 16], query: int32x4_t) -> int32x4_t {
    instructions!({
        let (bytes, query) = (vld1q_s8(bytes.as_ptr()), vreinterpretq_s8_s32(query));
        let low = vpaddlq_s16(vmull_s8(vget_low_s8(bytes), vget_low_s8(query)));
        let high = vpaddlq_s16(vmull_s8(vget_high_s8(bytes), vget_high_s8(query)));
        vaddq_s32(sum, vpaddq_s32(low, high))
    })
}

impl Simd for Neon {
    type Floats = Four;
    type Integers = [int32x4_t; 4];

    #[inline]
    fn run<W: Work>(self, work: W) -> W::Output {
        instructions!(compiled(self, work))
    }

    #[inline(always)]
    fn splat(self, number: f32) -> Four {
        [instructions!(vdupq_n_f32(number)); 4]
    }

    #[inline(always)]
    fn load(self, numbers: &[f32; LANES]) -> Four {
        let place = numbers.as_ptr();
        instructions!([
            vld1q_f32(place),
            vld1q_f32(place.add(4)),
            vld1q_f32(place.add(8)),
            vld1q_f32(place.add(12))
        ])
    }

    #[inline(always)]
    fn store(self, numbers: Four) -> [f32; LANES] {
        let mut stored = [0.0; LANES];
        for (place, numbers) in stored.as_chunks_mut::<4>().0.iter_mut().zip(numbers) {
            instructions!(vst1q_f32(place.as_mut_ptr(), numbers));
        }
        stored
    }

    #[inline(always)]
    fn load_half(self, numbers: &[u16; LANES]) -> Four {
        self.load(&Portable.load_half(numbers))
    }

    #[inline(always)]
    fn add(self, a: Four, b: Four) -> Four {
        each!(vaddq_f32, a, b)
    }

    #[inline(always)]
    fn sub(self, a: Four, b: Four) -> Four {
        each!(vsubq_f32, a, b)
    }

    #[inline(always)]
    fn mul(self, a: Four, b: Four) -> Four {
        each!(vmulq_f32, a, b)
    }

    #[inline(always)]
    fn mul_add(self, a: Four, b: Four, c: Four) -> Four {
        each!(vfmaq_f32, c, a, b)
    }

    #[inline(always)]
    fn div(self, a: Four, b: Four) -> Four {
        each!(vdivq_f32, a, b)
    }

    #[inline(always)]
    fn min(self, a: Four, b: Four) -> Four {
        [smaller(a[0], b[0]), smaller(a[1], b[1]), smaller(a[2], b[2]), smaller(a[3], b[3])]
    }

    #[inline(always)]
    fn max(self, a: Four, b: Four) -> Four {
        [larger(a[0], b[0]), larger(a[1], b[1]), larger(a[2], b[2]), larger(a[3], b[3])]
    }

    #[inline(always)]
    fn split_power(self, number: Four) -> (Four, Four) {
        let integer = each!(vrndnq_f32, number);
        (self.sub(number, integer), integer.map(power))
    }

    #[inline(always)]
    fn split_number(self, number: Four) -> (Four, Four) {
        (number.map(exponent_of), number.map(mantissa))
    }

    #[inline(always)]
    fn sum(self, numbers: Four) -> f32 {
        let [a, b, c, d] = numbers;
        instructions!(vaddvq_f32(vaddq_f32(vaddq_f32(a, b), vaddq_f32(c, d))))
    }

    #[inline(always)]
    fn add_where(self, lanes: u16, a: Four, b: Four) -> Four {
        let mut set = [0.0; LANES];
        for (lane, set) in set.iter_mut().enumerate() {
            *set = f32::from(lanes >> lane & 1);
        }
        self.mul_add(b, self.load(&set), a)
    }

    #[inline(always)]
    fn choose_larger(self, a: Four, b: Four, then: Four, or: Four) -> Four {
        [
            choose(a[0], b[0], then[0], or[0]),
            choose(a[1], b[1], then[1], or[1]),
            choose(a[2], b[2], then[2], or[2]),
            choose(a[3], b[3], then[3], or[3]),
        ]
    }

    #[inline(always)]
    fn seconds_since(self, now: f64, then: &[f64; LANES]) -> Four {
        self.load(&Portable.seconds_since(now, then))
    }

    const QUERY_FLIP: u8 = 0;

    #[inline(always)]
    fn start_bytes(self, _: &[i32; LANES]) -> Self::Integers {
        [instructions!(vdupq_n_s32(0)); 4]
    }

    #[inline(always)]
    fn load_bytes(self, line: &[i8; 64]) -> Self::Integers {
        let place = line.as_ptr();
        instructions!([
            vreinterpretq_s32_s8(vld1q_s8(place)),
            vreinterpretq_s32_s8(vld1q_s8(place.add(16))),
            vreinterpretq_s32_s8(vld1q_s8(place.add(32))),
            vreinterpretq_s32_s8(vld1q_s8(place.add(48)))
        ])
    }

    #[inline(always)]
    fn dot_bytes(self, mut sum: Self::Integers, line: &[i8; 64], query: [u8; 4]) -> Self::Integers {
        let query = instructions!(vdupq_n_s32(i32::from_le_bytes(query)));
        for (sum, bytes) in sum.iter_mut().zip(line.as_chunks::<16>().0) {
            *sum = four_products(*sum, bytes, query);
        }
        sum
    }

    #[inline(always)]
    fn add_integers(self, a: Self::Integers, b: Self::Integers) -> Self::Integers {
        each!(vaddq_s32, a, b)
    }

    #[inline(always)]
    fn to_floats(self, integers: Self::Integers) -> Four {
        each!(vcvtq_f32_s32, integers)
    }
}
