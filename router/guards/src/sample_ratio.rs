//! Whether the split between the arms is the one that was asked for. Requests cannot be counted for this: keys are sticky
//! and of very different sizes. Buckets can: each is one ten-thousandth of the keys, whoever they are.

use crate::bucket::{Arm, BasisPoints, Bucket};

const BUCKETS: usize = 10_000;
const WORDS: usize = BUCKETS.div_ceil(64);
/// An arm that may expect fewer buckets than this is not judged yet: it would only cost the other pods some power.
const LEAST_EXPECTED: f64 = 5.0;

/// Which buckets each arm has decided for since the weight was set.
#[derive(Debug, Clone)]
pub struct BucketsSeen {
    candidate: Box<[u64; WORDS]>,
    stable: Box<[u64; WORDS]>,
}

impl Default for BucketsSeen {
    fn default() -> Self {
        Self { candidate: Box::new([0; WORDS]), stable: Box::new([0; WORDS]) }
    }
}

impl BucketsSeen {
    /// A request of this bucket was decided by this arm.
    pub fn see(&mut self, bucket: Bucket, arm: Arm) {
        let words = match arm {
            Arm::Candidate => &mut self.candidate,
            Arm::Stable => &mut self.stable,
        };
        let index = usize::from(bucket.get());
        if let Some(word) = words.get_mut(index / 64) {
            *word |= 1 << (index % 64);
        }
    }

    /// How many different buckets this arm has decided for.
    pub fn count(&self, arm: Arm) -> u32 {
        let words = match arm {
            Arm::Candidate => &self.candidate,
            Arm::Stable => &self.stable,
        };
        words.iter().map(|word| word.count_ones()).sum()
    }
}

/// How plausible this split is where the weight is kept: a p-value that holds at all looks together, since the weight was
/// set, in one pod. `None` where too few buckets were seen to say, or the weight leaves one arm nothing.
///
/// - **Null hypothesis**: every new bucket is drawn from those not seen yet, so the candidate's are a draw without
///   replacement from its `weight` of the 10,000. How often a key comes back does not matter, so keys may be of any
///   sizes; they must not be chosen by someone who knows the candidate's digest and wants to be in an arm.
/// - **Test**: the chance of this sequence of arms if the candidate's share were drawn evenly from 0..=1, over its chance
///   under the null. That ratio is a test martingale, so the chance that its inverse is ever at most p is at most p.
/// - **Source**: Lindon and Malek, "Anytime-valid inference for multinomial count data" (`NeurIPS` 2022), with the
///   hypergeometric in the place of the multinomial distribution.
pub fn sample_ratio(weight: BasisPoints, candidate_buckets: u32, stable_buckets: u32) -> Option<f64> {
    let all = BUCKETS as u32;
    let candidates = u32::from(weight.get());
    let stables = all - candidates;
    let seen = candidate_buckets.saturating_add(stable_buckets);
    let expected = f64::from(seen) / f64::from(all);
    if expected * f64::from(candidates.min(stables)) < LEAST_EXPECTED {
        return None;
    }
    if candidate_buckets > candidates || stable_buckets > stables {
        // More buckets than the arm has.
        return Some(0.0);
    }
    let mixture =
        ln_factorial(candidate_buckets) + ln_factorial(stable_buckets) - ln_factorial(seen.saturating_add(1));
    let null =
        ln_draws(candidates, candidate_buckets) + ln_draws(stables, stable_buckets) - ln_draws(all, seen);
    Some((null - mixture).exp().min(1.0))
}

/// The logarithm of the number of ways to draw `drawn` of `all` one after the other.
fn ln_draws(all: u32, drawn: u32) -> f64 {
    ln_factorial(all) - ln_factorial(all.saturating_sub(drawn))
}

/// The logarithm of `number!` by Stirling's series, to 1e-9.
fn ln_factorial(number: u32) -> f64 {
    const EXACT: u32 = 16;
    if number < EXACT {
        return (2..=number).map(|factor| f64::from(factor).ln()).sum();
    }
    let n = f64::from(number);
    n * n.ln() - n + 0.5 * (std::f64::consts::TAU * n).ln() + 1.0 / (12.0 * n) - 1.0 / (360.0 * n * n * n)
}

#[cfg(test)]
mod tests;
