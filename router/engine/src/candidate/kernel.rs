//! The inner loops of a decision, sixteen candidates at a time, at any level.
#![allow(clippy::inline_always, reason = "the loops are compiled inside each level's own function")]

use super::ranker::Ranker;
use crate::simd::{LANES, Line, Simd};

/// `2^x` on [-0.5, 0.5] with a relative error of at most 7.5e-8 (Remez), lowest power first.
const POWER_TERMS: [f32; 6] =
    [1.000_000_1, 0.693_146_97, 0.240_221_2, 0.055_507_133, 0.009_675_542, 0.001_327_647_2];
/// `2 artanh(s)`, the odd terms, for |s| up to 0.1716 with an error of at most 2.1e-8 (Remez).
const LOGARITHM_TERMS: [f32; 3] = [2.000_000_8, 0.666_440_7, 0.415_180_2];
/// A gate beyond this is closed in f32.
const LARGEST_GATE: f32 = 1_099_511_627_776.0;
/// An update beyond this is -1 in f32.
const LARGEST_UPDATE: f32 = 1_152_921_504_606_846_976.0;

/// Sixteen candidates, a line of memory a number.
pub(super) struct Block<'a, const H: usize> {
    pub(super) base: &'a [Line<f32, LANES>; H],
    pub(super) state: &'a [Line<f32, LANES>; H],
    pub(super) last_call: &'a Line<f64, LANES>,
}

/// `2^x`, with at most 1.3e-7 of it wrong; beyond -126 and 126 as there.
#[inline(always)]
pub(super) fn power<S: Simd>(simd: S, x: S::Floats) -> S::Floats {
    let x = simd.min(simd.max(x, simd.splat(-126.0)), simd.splat(126.0));
    let (rest, power) = simd.split_power(x);
    let [first, terms @ ..] = POWER_TERMS;
    let mut sum = simd.splat(terms[4]);
    for term in [terms[3], terms[2], terms[1], terms[0], first] {
        sum = simd.mul_add(sum, rest, simd.splat(term));
    }
    simd.mul(sum, power)
}

/// The natural logarithm of one plus a number that is not negative.
#[inline(always)]
pub(super) fn ln_1p<S: Simd>(simd: S, x: S::Floats) -> S::Floats {
    let one = simd.splat(1.0);
    let (exponent, mantissa) = simd.split_number(simd.add(x, one));
    let s = simd.div(simd.sub(mantissa, one), simd.add(mantissa, one));
    let square = simd.mul(s, s);
    let [first, second, third] = LOGARITHM_TERMS;
    let sum = simd.mul_add(simd.splat(third), square, simd.splat(second));
    let sum = simd.mul_add(sum, square, simd.splat(first));
    simd.mul_add(exponent, simd.splat(std::f32::consts::LN_2), simd.mul(sum, s))
}

/// The state after the step, from the sum, what the update's power is multiplied by, and the state before (none: 0).
#[inline(always)]
pub(super) fn step<S: Simd>(
    simd: S,
    [gain, floor]: [S::Floats; 2],
    sum: S::Floats,
    ratio: S::Floats,
    state: Option<S::Floats>,
) -> S::Floats {
    let one = simd.splat(1.0);
    let power = power(simd, sum);
    let gate = simd.min(power, simd.splat(LARGEST_GATE));
    let update = simd.min(simd.mul(simd.mul(power, power), ratio), simd.splat(LARGEST_UPDATE));
    let (gate_below, update_below) = (simd.add(gate, one), simd.add(update, one));
    let mut above = simd.mul(simd.mul_add(gain, gate, floor), simd.sub(one, update));
    if let Some(state) = state {
        above = simd.mul_add(state, update_below, above);
    }
    simd.div(above, simd.mul(gate_below, update_below))
}

/// The heads of sixteen candidates. `STREAM`: they have a state and a gap; else they start at 0 without one.
#[inline(always)]
pub(super) fn heads<S: Simd, const I: usize, const H: usize, const N: usize, const STREAM: bool>(
    simd: S,
    ranker: &Ranker<I, H, N>,
    request: &[f32; H],
    block: &Block<'_, H>,
    now: f64,
    [similarity, overlap]: [S::Floats; 2],
) -> [S::Floats; N] {
    let constants = [simd.splat(ranker.gain), simd.splat(ranker.floor)];
    let seconds = simd.seconds_since(now, &block.last_call.0);
    let recency = recency(simd, seconds, ranker.rate);
    let gap = if STREAM { gap(simd, seconds) } else { similarity };
    let mut heads = [simd.splat(0.0); N];
    for (head, bias) in heads.iter_mut().zip(ranker.head_bias) {
        *head = simd.splat(bias);
    }
    for (((weights, base), state), request) in
        ranker.units.iter().zip(block.base).zip(block.state).zip(request)
    {
        let mut sum = simd.add(simd.load(&base.0), simd.splat(*request));
        sum = simd.mul_add(similarity, simd.splat(weights.similarity), sum);
        sum = simd.mul_add(recency, simd.splat(weights.recency), sum);
        sum = simd.mul_add(overlap, simd.splat(weights.overlap), sum);
        if STREAM {
            sum = simd.mul_add(gap, simd.splat(weights.gap), sum);
        }
        let state = if STREAM { Some(simd.load(&state.0)) } else { None };
        let hidden = step(simd, constants, sum, simd.splat(weights.ratio), state);
        for (head, weight) in heads.iter_mut().zip(weights.heads) {
            *head = simd.mul_add(hidden, simd.splat(weight), *head);
        }
    }
    heads
}

/// Longer ago than any call can be.
const NEVER: f32 = f32::MAX;

/// 2 to the minus of the half-lives; 0 where there never was a call.
#[inline(always)]
fn recency<S: Simd>(simd: S, seconds: S::Floats, rate: f32) -> S::Floats {
    let never = simd.splat(NEVER);
    let power = power(simd, simd.mul(simd.min(seconds, never), simd.splat(rate)));
    simd.choose_larger(seconds, never, simd.splat(0.0), power)
}

/// The logarithm of one plus the seconds; 0 where there never was a call.
#[inline(always)]
fn gap<S: Simd>(simd: S, seconds: S::Floats) -> S::Floats {
    simd.choose_larger(seconds, simd.splat(NEVER), simd.splat(0.0), ln_1p(simd, seconds))
}
