//! Distributions as small counts that add up over pods. They are shown and never decide: a verdict by PSI or KS,
//! looked at again and again, raises false alarms at will.

use serde::{Deserialize, Serialize};

use crate::counts::Counts;
use crate::guard::Observation;

/// Bins of the uncertainty, which lies in 0..=0.5: one is a hundredth wide.
const BINS: usize = 50;
/// Width of a bin.
const BIN_WIDTH: f64 = 0.5 / BINS as f64;
/// Each bucket of scoring times ends this much later than the one before: quantiles are exact to about 5 %.
const GROWTH: f64 = 1.1;
/// Its natural logarithm.
const LN_GROWTH: f64 = 0.095_310_179_804_324_93;
/// Enough buckets for every number of nanoseconds: `ln(2^64) / ln(1.1)` is 465.4.
const BUCKETS: usize = 467;
/// A share that an empty bin is taken to have in PSI, whose logarithm would be endless otherwise.
const SMALLEST_SHARE: f64 = 1e-4;

/// How uncertainty and scoring time of both models are distributed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Shapes {
    /// Uncertainty of the candidate.
    pub candidate: UncertaintyHistogram,
    /// Uncertainty of stable on the same requests.
    pub stable: UncertaintyHistogram,
    /// Scoring time of the candidate.
    pub candidate_nanoseconds: LatencySketch,
    /// Scoring time of stable on the same requests.
    pub stable_nanoseconds: LatencySketch,
}

impl Shapes {
    pub(crate) fn observe(&mut self, observation: &Observation) {
        if observation.is_fault() {
            return;
        }
        if let Some((candidate, stable)) = observation.uncertainty {
            self.candidate.add(f64::from(candidate));
            self.stable.add(f64::from(stable));
        }
        if let Some((candidate, stable)) = observation.scoring_nanoseconds {
            self.candidate_nanoseconds.add(candidate);
            if stable > 0 {
                self.stable_nanoseconds.add(stable);
            }
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.candidate.0.merge(&other.candidate.0);
        self.stable.0.merge(&other.stable.0);
        self.candidate_nanoseconds.0.merge(&other.candidate_nanoseconds.0);
        self.stable_nanoseconds.0.merge(&other.stable_nanoseconds.0);
    }

    /// The population stability index of the uncertainty, `sum (c - s) ln(c / s)` over the bins; `None` without data.
    /// Source: Siddiqi, "Credit Risk Scorecards" (2006). Above 0.2 is called a large shift in that trade.
    pub fn population_stability_index(&self) -> Option<f64> {
        let (candidate, stable) = (self.candidate.shares()?, self.stable.shares()?);
        let terms = candidate.iter().zip(&stable).filter(|(c, s)| **c > 0.0 || **s > 0.0).map(|(c, s)| {
            let (c, s) = (c.max(SMALLEST_SHARE), s.max(SMALLEST_SHARE));
            (c - s) * (c / s).ln()
        });
        Some(terms.sum())
    }

    /// The Kolmogorov-Smirnov distance of the uncertainty: the largest difference of the two distribution functions at a
    /// bin's end, 0 to 1; `None` without data.
    pub fn kolmogorov_smirnov(&self) -> Option<f64> {
        let (candidate, stable) = (self.candidate.shares()?, self.stable.shares()?);
        let differences = candidate.iter().zip(&stable).scan(0.0, |sum: &mut f64, (c, s)| {
            *sum += c - s;
            Some(sum.abs())
        });
        Some(differences.fold(0.0, f64::max))
    }
}

/// Counts of uncertainties in fifty equal bins over 0..=0.5.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UncertaintyHistogram(Counts<BINS>);

impl UncertaintyHistogram {
    fn add(&mut self, uncertainty: f64) {
        if uncertainty.is_finite() {
            self.0.add((uncertainty.max(0.0) / BIN_WIDTH) as usize, 1);
        }
    }

    /// The share of each bin; `None` without data.
    fn shares(&self) -> Option<[f64; BINS]> {
        let all = self.0.total();
        let mut shares = [0.0; BINS];
        for (share, (_, count)) in shares.iter_mut().zip(self.0.iter()) {
            *share = count as f64 / all as f64;
        }
        (all > 0).then_some(shares)
    }

    /// The value below which this share of the uncertainties lies, to half a hundredth; `None` without data.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        self.0.quantile(share).map(|bin| (bin as f64 + 0.5) * BIN_WIDTH)
    }
}

/// Counts of durations in buckets whose ends grow by a tenth, after `DDSketch` (Masson, Rim and Lee, VLDB 2019): bucket
/// `i` holds what lies above `1.1^(i-1)` and is at most `1.1^i` nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LatencySketch(Counts<BUCKETS>);

impl LatencySketch {
    fn add(&mut self, nanoseconds: u64) {
        let bucket = (nanoseconds.max(1) as f64).ln() / LN_GROWTH;
        self.0.add(bucket.ceil() as usize, 1);
    }

    /// The nanoseconds below which this share of the durations lies, to 5 % (`alpha = (1.1 - 1) / (1.1 + 1)`); `None`
    /// without data.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        self.0.quantile(share).map(|bucket| 2.0 * GROWTH.powf(bucket as f64) / (GROWTH + 1.0))
    }
}

#[cfg(test)]
mod tests;
