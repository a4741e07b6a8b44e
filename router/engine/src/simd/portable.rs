//! Plain arrays: what every processor can do.

use super::{LANES, Simd, Work};

/// That nothing is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Portable;

#[inline(always)]
fn each(mut a: [f32; LANES], b: [f32; LANES], operation: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
    for (a, b) in a.iter_mut().zip(b) {
        *a = operation(*a, b);
    }
    a
}

/// Bits of the root of one half.
const ROOT_OF_HALF: i32 = 0x3f35_04f3;

impl Simd for Portable {
    type Floats = [f32; LANES];
    type Integers = [i32; LANES];

    #[inline]
    fn run<W: Work>(self, work: W) -> W::Output {
        work.run(self)
    }

    #[inline(always)]
    fn splat(self, number: f32) -> Self::Floats {
        [number; LANES]
    }

    #[inline(always)]
    fn load(self, numbers: &[f32; LANES]) -> Self::Floats {
        *numbers
    }

    #[inline(always)]
    fn store(self, numbers: Self::Floats) -> [f32; LANES] {
        numbers
    }

    #[inline(always)]
    fn load_half(self, numbers: &[u16; LANES]) -> Self::Floats {
        numbers.map(|bits| half::f16::from_bits(bits).to_f32_const())
    }

    #[inline(always)]
    fn add(self, a: Self::Floats, b: Self::Floats) -> Self::Floats {
        each(a, b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, a: Self::Floats, b: Self::Floats) -> Self::Floats {
        each(a, b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, a: Self::Floats, b: Self::Floats) -> Self::Floats {
        each(a, b, |a, b| a * b)
    }

    #[inline(always)]
    fn mul_add(self, a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats {
        self.add(self.mul(a, b), c)
    }

    #[inline(always)]
    fn div(self, a: Self::Floats, b: Self::Floats) -> Self::Floats {
        each(a, b, |a, b| a / b)
    }

    #[inline(always)]
    fn min(self, a: Self::Floats, b: Self::Floats) -> Self::Floats {
        each(a, b, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn max(self, a: Self::Floats, b: Self::Floats) -> Self::Floats {
        each(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn split_power(self, number: Self::Floats) -> (Self::Floats, Self::Floats) {
        // Adding this leaves the nearest integer in the lowest bits.
        const SHIFT: f32 = 12_582_912.0;
        let shifted = self.add(number, [SHIFT; LANES]);
        let rest = self.sub(number, self.sub(shifted, [SHIFT; LANES]));
        (rest, shifted.map(|shifted| f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)))
    }

    #[inline(always)]
    fn split_number(self, number: Self::Floats) -> (Self::Floats, Self::Floats) {
        let exponent = number.map(|number| (number.to_bits().cast_signed() - ROOT_OF_HALF) >> 23);
        let mut mantissa = number;
        for (mantissa, exponent) in mantissa.iter_mut().zip(exponent) {
            *mantissa = f32::from_bits((mantissa.to_bits().cast_signed() - (exponent << 23)).cast_unsigned());
        }
        (exponent.map(|exponent| exponent as f32), mantissa)
    }

    #[inline(always)]
    fn sum(self, numbers: Self::Floats) -> f32 {
        numbers.iter().sum()
    }

    #[inline(always)]
    fn add_where(self, lanes: u16, mut a: Self::Floats, b: Self::Floats) -> Self::Floats {
        for (lane, (a, b)) in a.iter_mut().zip(b).enumerate() {
            *a += if lanes >> lane & 1 == 1 { b } else { 0.0 };
        }
        a
    }

    #[inline(always)]
    fn choose_larger(
        self,
        a: Self::Floats,
        b: Self::Floats,
        then: Self::Floats,
        mut or: Self::Floats,
    ) -> Self::Floats {
        for ((a, b), (then, or)) in a.iter().zip(b).zip(then.iter().zip(&mut or)) {
            *or = if *a > b { *then } else { *or };
        }
        or
    }

    #[inline(always)]
    fn seconds_since(self, now: f64, then: &[f64; LANES]) -> Self::Floats {
        then.map(|then| (now - then).max(0.0) as f32)
    }

    const QUERY_FLIP: u8 = 0;

    #[inline(always)]
    fn start_bytes(self, _: &[i32; LANES]) -> Self::Integers {
        [0; LANES]
    }

    #[inline(always)]
    fn load_bytes(self, line: &[i8; 64]) -> Self::Integers {
        let mut integers = [0; LANES];
        for (integer, bytes) in integers.iter_mut().zip(line.as_chunks::<4>().0) {
            *integer = i32::from_le_bytes(bytes.map(i8::cast_unsigned));
        }
        integers
    }

    #[inline(always)]
    fn dot_bytes(self, mut sum: Self::Integers, line: &[i8; 64], query: [u8; 4]) -> Self::Integers {
        let query = query.map(|byte| i32::from(byte.cast_signed()));
        let (quads, _) = line.as_chunks::<4>();
        for (sum, quad) in sum.iter_mut().zip(quads) {
            for (byte, query) in quad.iter().zip(query) {
                *sum += i32::from(*byte) * query;
            }
        }
        sum
    }

    #[inline(always)]
    fn add_integers(self, a: Self::Integers, b: Self::Integers) -> Self::Integers {
        let mut sums = a;
        for (sum, b) in sums.iter_mut().zip(b) {
            *sum = sum.wrapping_add(b);
        }
        sums
    }

    #[inline(always)]
    fn to_floats(self, integers: Self::Integers) -> Self::Floats {
        integers.map(|integer| integer as f32)
    }
}
