//! Whether the split between the arms is the one that was asked for. Requests cannot be counted for this: keys are sticky
//! and of very different sizes. Buckets can: each is one ten-thousandth of the keys, whoever they are.

use crate::bucket::{Arm, BasisPoints, Bucket};

const BUCKETS: usize = 10_000;
const WORDS: usize = BUCKETS.div_ceil(64);
/// Fewer expected buckets than this in a cell of the table say nothing (Cochran 1954).
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

/// The chance of a split at least this uneven where the weight is kept: of all buckets that were seen in one pod, the
/// candidate's are a draw without replacement from its `weight` of the 10,000 (hypergeometric, by its normal
/// approximation; the sample ratio mismatch test of Fabijan et al., KDD 2019, on keys instead of requests). `None` where
/// too few were seen to say.
pub fn sample_ratio(weight: BasisPoints, candidate_buckets: u32, stable_buckets: u32) -> Option<f64> {
    let all = BUCKETS as f64;
    let share = f64::from(weight.get()) / all;
    let seen = f64::from(candidate_buckets) + f64::from(stable_buckets);
    let expected = seen * share;
    if expected < LEAST_EXPECTED || seen * (1.0 - share) < LEAST_EXPECTED {
        return None;
    }
    let variance = expected * (1.0 - share) * ((all - seen).max(0.0) / (all - 1.0));
    let distance = (f64::from(candidate_buckets) - expected).abs() - 0.5;
    if distance <= 0.0 {
        return Some(1.0);
    }
    if variance <= 0.0 {
        return Some(0.0);
    }
    Some(2.0 * upper_tail(distance / variance.sqrt()))
}

/// The chance that a standard normal number is above `z` >= 0, to 7.5e-8 (Abramowitz and Stegun 26.2.17).
fn upper_tail(z: f64) -> f64 {
    const COEFFICIENTS: [f64; 5] =
        [0.319_381_53, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let sum = COEFFICIENTS.iter().rev().fold(0.0, |sum, coefficient| (sum + coefficient) * t);
    (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * sum
}
