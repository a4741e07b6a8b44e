//! From logits to probabilities, and from a promised risk to a threshold.

use serde::{Deserialize, Serialize};

use crate::network::HEADS;
use crate::numerics::sigmoid;

/// Bins of [`Reference::scores`].
pub const SCORE_BINS: usize = 20;
/// Lowest score.
const LEAST_SCORE: f32 = -1.0;
/// Highest score less the lowest.
const SCORE_RANGE: f32 = 3.0;

/// How a model's logits become probabilities, and which threshold keeps which promise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Scale and offset of each head.
    pub heads: [HeadCalibration; HEADS],
    /// Thresholds by promised risk, ascending in permille; the thresholds never descend.
    pub risk: Vec<RiskThreshold>,
    /// What keeps which coverage, ascending in coverage; the first row is that of [`crate::Score::set`].
    pub sets: Vec<ConformalSets>,
    /// Rows the calibration was made with.
    pub samples: u64,
}

/// Scale and offset of one logit (Platt).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadCalibration {
    /// What the logit is multiplied by.
    pub scale: f32,
    /// What is added then.
    pub offset: f32,
}

/// Label-conditional conformal sets: among the requests of either label, the set holds that label at least
/// as often as promised (Vovk, "Conditional validity of inductive conformal predictors", 2012).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConformalSets {
    /// Promised coverage of each label, in thousandths.
    pub coverage_permille: u16,
    /// "Good enough" is in the set if p3 is at least this.
    pub good_enough: f32,
    /// "Not good enough" is in the set if p3 is at most this.
    pub not_good_enough: f32,
    /// Rows of "good enough" and of "not good enough" it was made with.
    pub samples: [u64; 2],
}

/// What may be true of Lightweight's answer: one label, both where the model cannot tell, or neither where
/// the request is unlike those of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ConformalSet {
    /// It may be good enough.
    pub good_enough: bool,
    /// It may be not good enough.
    pub not_good_enough: bool,
}

impl ConformalSets {
    /// The set at a calibrated probability that Lightweight is good enough.
    pub fn at(&self, good_enough: f32) -> ConformalSet {
        ConformalSet {
            good_enough: good_enough >= self.good_enough,
            not_good_enough: good_enough <= self.not_good_enough,
        }
    }
}

/// The threshold on `score` that keeps one promise.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RiskThreshold {
    /// Promised mean loss of quality against always-Powerful, in thousandths.
    pub permille: u16,
    /// Lightweight is chosen if `score <= lambda`.
    pub lambda: f32,
}

/// What a model did on its own calibration data, to judge it when nothing else is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// Mean uncertainty, 0 to 0.5.
    #[serde(rename = "uncertainty")]
    pub mean_uncertainty: f32,
    /// Mean novelty of the requests that had one, 0 to 1; 0 where the model has no filter.
    #[serde(rename = "novelty")]
    pub mean_novelty: f32,
    /// Shares of the score in equal bins of -1 to 2, in the order of [`Reference::score_bin`]. All 0 where
    /// they were not measured.
    pub scores: [f32; SCORE_BINS],
    /// Share of requests sent to Powerful by promised risk, ascending in permille.
    pub escalation: Vec<EscalationShare>,
    /// Rows it was measured on.
    pub samples: u64,
}

/// The share of requests sent to Powerful under one promise.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EscalationShare {
    /// Promised risk, in thousandths.
    pub permille: u16,
    /// Share of requests, 0 to 1.
    pub share: f32,
}

impl Calibration {
    /// The calibrated probability of each head.
    pub fn probabilities(&self, logits: [f32; HEADS]) -> [f32; HEADS] {
        let mut probabilities = logits;
        for (value, head) in probabilities.iter_mut().zip(&self.heads) {
            *value = sigmoid(head.scale * *value + head.offset);
        }
        probabilities
    }

    /// The threshold for a promised risk: that of the row at or below it. Nothing below the first
    /// row: then no threshold keeps the promise and everything goes to Powerful.
    pub fn lambda(&self, permille: u16) -> Option<f32> {
        self.risk.iter().rev().find(|row| row.permille <= permille).map(|row| row.lambda)
    }
}

impl Reference {
    /// The bin of a score; a score outside of -1 to 2 falls into the next one.
    pub fn score_bin(score: f32) -> usize {
        let place = (score - LEAST_SCORE) / SCORE_RANGE * SCORE_BINS as f32;
        (place as usize).min(SCORE_BINS - 1)
    }

    /// The share of requests that went to Powerful under a promised risk: that of the row at or
    /// below it, all of them below the first row.
    pub fn escalation_share(&self, permille: u16) -> f32 {
        self.escalation.iter().rev().find(|row| row.permille <= permille).map_or(1.0, |row| row.share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calibration() -> Calibration {
        let head = |scale, offset| HeadCalibration { scale, offset };
        Calibration {
            heads: [head(1.0, 0.0), head(2.0, 0.0), head(0.0, 1.0)],
            risk: vec![
                RiskThreshold { permille: 10, lambda: -0.5 },
                RiskThreshold { permille: 50, lambda: 0.25 },
            ],
            sets: vec![],
            samples: 100,
        }
    }

    #[test]
    fn each_head_has_its_own_scale_and_offset() {
        let probabilities = calibration().probabilities([1.0, 1.0, 1.0]);
        assert_eq!(probabilities, [sigmoid(1.0), sigmoid(2.0), sigmoid(1.0)]);
    }

    #[test]
    fn a_risk_between_two_rows_uses_the_row_below() {
        let lambda = |permille| calibration().lambda(permille);
        assert_eq!(lambda(9), None);
        assert_eq!(lambda(10), Some(-0.5));
        assert_eq!(lambda(49), Some(-0.5));
        assert_eq!(lambda(50), Some(0.25));
        assert_eq!(lambda(1000), Some(0.25));
    }

    #[test]
    fn below_the_first_row_everything_escalates() {
        let escalation = vec![EscalationShare { permille: 20, share: 0.4 }];
        let reference = Reference {
            mean_uncertainty: 0.2,
            mean_novelty: 0.1,
            scores: [0.05; SCORE_BINS],
            escalation,
            samples: 10,
        };
        assert_eq!(reference.escalation_share(19), 1.0);
        assert_eq!(reference.escalation_share(20), 0.4);
    }

    #[test]
    fn a_set_holds_one_label_both_or_neither() {
        let sets = |good_enough, not_good_enough| ConformalSets {
            coverage_permille: 900,
            good_enough,
            not_good_enough,
            samples: [10, 10],
        };
        let at = |sets: ConformalSets, p3| {
            let set = sets.at(p3);
            (set.good_enough, set.not_good_enough)
        };
        assert_eq!(at(sets(0.4, 0.6), 0.3), (false, true));
        assert_eq!(at(sets(0.4, 0.6), 0.4), (true, true));
        assert_eq!(at(sets(0.4, 0.6), 0.6), (true, true));
        assert_eq!(at(sets(0.4, 0.6), 0.7), (true, false));
        assert_eq!(at(sets(0.6, 0.4), 0.5), (false, false));
        assert_eq!(at(sets(0.0, 1.0), f32::NAN), (false, false));
    }

    #[test]
    fn twenty_bins_part_the_scores_and_what_is_outside_falls_into_the_next() {
        let bins = [-1.0, -0.850_1, -0.849_9, 0.499_9, 0.5, 1.999, 2.0, -9.0, 9.0].map(Reference::score_bin);
        assert_eq!(bins, [0, 0, 1, 9, 10, 19, 19, 0, 19]);
        assert_eq!(Reference::score_bin(f32::NAN), 0);
    }
}
