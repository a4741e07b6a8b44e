//! From logits to probabilities, and from a promised risk to a threshold.

use serde::{Deserialize, Serialize};

use crate::fastgrnn::sigmoid;
use crate::network::HEADS;

/// How a model's logits become probabilities, and which threshold keeps which promise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Scale and offset of each head.
    pub heads: [HeadCalibration; HEADS],
    /// Thresholds by promised risk, ascending in permille; the thresholds never descend.
    pub risk: Vec<RiskThreshold>,
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
        let reference = Reference { mean_uncertainty: 0.2, escalation, samples: 10 };
        assert_eq!(reference.escalation_share(19), 1.0);
        assert_eq!(reference.escalation_share(20), 0.4);
    }
}
