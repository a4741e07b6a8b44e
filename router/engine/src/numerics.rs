//! The transcendental functions of the engine, with the same bits on every machine.
//!
//! Each takes and gives f32, computes in f64 and rounds once at the end. Only `+ - * /`, integer operations
//! and conversions are used, in one fixed order, without fused multiply-add and without the platform's
//! library: on hardware that follows IEEE 754 (every target of Rust with SSE2 or NEON) the result is
//! bit-identical. A relative error of at most 2^-36 before rounding makes it at most 0.501 units in the
//! last place after it; and over all f32, one by one, each function was seen to ascend. No branches inside, so that loops over hidden units become vector code.
#![allow(clippy::inline_always, reason = "loops over units are compiled for each level of the processor")]

/// Adding this to a number below 2^51 leaves its nearest integer in the lowest bits.
const SHIFT: f64 = 6_755_399_441_055_744.0;
/// Beyond this every result in f32 has become 0, 1 or infinite.
const FAR: f32 = 120.0;
/// Where `1 - tanh` is below half a unit in the last place of f64.
const TANH_FAR: f64 = 20.0;
/// Below this tanh is its argument: the next term, a third of the cube, is under 2^-29 of it.
const TANH_NEAR: f64 = 1.0 / 16_384.0;
/// Below this the logarithm of one plus a number is the number: the next term is under 2^-28 of it.
const LN_NEAR: f32 = 1.0 / 134_217_728.0;
/// 1/0! to 1/9!: the remainder is below 2^-36 for arguments up to half of ln 2.
const EXP_TERMS: [f64; 10] = [
    1.0,
    1.0,
    1.0 / 2.0,
    1.0 / 6.0,
    1.0 / 24.0,
    1.0 / 120.0,
    1.0 / 720.0,
    1.0 / 5_040.0,
    1.0 / 40_320.0,
    1.0 / 362_880.0,
];
/// 1/1, 1/3 to 1/15, of the series of artanh.
const ARTANH_TERMS: [f64; 8] =
    [1.0, 1.0 / 3.0, 1.0 / 5.0, 1.0 / 7.0, 1.0 / 9.0, 1.0 / 11.0, 1.0 / 13.0, 1.0 / 15.0];

/// `e` to the power of `x`. Infinite above 88.73, 0 below -103.98; no number for no number. Ascends.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    exp_wide(f64::from(x.clamp(-FAR, FAR))) as f32
}

/// The logistic function `1 / (1 + e^-x)`; 1 and 0 far from zero; no number for no number. Ascends.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    (1.0 / (1.0 + exp_wide(f64::from(-x.clamp(-FAR, FAR))))) as f32
}

/// The hyperbolic tangent, odd to the bit; 1 and -1 far from zero; no number for no number. Ascends.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let size = f64::from(x.abs());
    let near = if size > TANH_FAR { TANH_FAR } else { size };
    let bent = 1.0 - 2.0 / (exp_wide(2.0 * near) + 1.0);
    let size = if size < TANH_NEAR { size } else { bent };
    (size as f32).copysign(x)
}

/// The natural logarithm of `1 + x`; minus infinity at -1, no number below it or for no number. Ascends.
#[inline]
pub fn ln_1p(x: f32) -> f32 {
    if x.abs() < LN_NEAR || x == f32::INFINITY {
        return x;
    }
    let y = 1.0 + f64::from(x);
    if y > 0.0 {
        ln(y) as f32
    } else if y == 0.0 {
        f32::NEG_INFINITY
    } else {
        f32::NAN
    }
}

/// `e^x` for |x| up to 700: `2^n * e^r` with `x = n ln 2 + r`, |r| at most half of ln 2.
#[inline(always)]
fn exp_wide(x: f64) -> f64 {
    let shifted = x * std::f64::consts::LOG2_E + SHIFT;
    let rest = x - (shifted - SHIFT) * std::f64::consts::LN_2;
    // The integer stands in the lowest bits; one past the exponent's bias it is that of 2^n.
    let power = f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52);
    horner(&EXP_TERMS, rest) * power
}

/// The natural logarithm of a positive number: `n ln 2 + 2 artanh((m - 1) / (m + 1))` with `x = 2^n m` and m
/// between the roots of 1/2 and 2.
fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let power = bits.wrapping_sub(std::f64::consts::FRAC_1_SQRT_2.to_bits()).cast_signed() >> 52;
    let mantissa = f64::from_bits(bits.wrapping_sub((power << 52).cast_unsigned()));
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    power as f64 * std::f64::consts::LN_2 + 2.0 * s * horner(&ARTANH_TERMS, s * s)
}

#[inline(always)]
fn horner<const N: usize>(terms: &[f64; N], x: f64) -> f64 {
    terms.iter().rev().fold(0.0, |sum, term| sum * x + term)
}

#[cfg(test)]
mod tests;
