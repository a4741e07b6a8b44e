//! The decision: which tier answers.

use serde::{Deserialize, Serialize};

use crate::calibration::{Calibration, ConformalSet};

/// A class of upstream models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Tier {
    /// Cheap and fast.
    Lightweight,
    /// Strong and expensive.
    Powerful,
}

/// How a policy decides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum DecisionRule {
    /// By a promised mean loss of quality against always-Powerful, in thousandths.
    Risk {
        /// The promise.
        permille: u16,
    },
    /// By a threshold on the score that was found online, in place of the artifact's for a promised risk.
    Score {
        /// Lightweight if the score is at most this.
        lambda: f32,
    },
    /// By the probability that Lightweight is good enough, in thousandths.
    Thresholds {
        /// At least this: Lightweight.
        confidence_permille: u16,
        /// At least this: Lightweight, with Powerful as fallback. Below: Powerful.
        fallback_permille: u16,
    },
}

/// What a model says about one request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// Probability that Lightweight answers right (p1).
    pub lightweight_right: f32,
    /// Probability that Powerful answers right (p2).
    pub powerful_right: f32,
    /// Probability that Lightweight is good enough (p3).
    pub good_enough: f32,
    /// `(p2 - p1) + (1 - p3)`, -1 to 2; higher means more reason for Powerful.
    pub score: f32,
    /// `min(p3, 1 - p3)`.
    pub uncertainty: f32,
    /// Share of the prompt's distinct words that the model has never seen; nothing for a model without a
    /// filter or a prompt of fewer than four distinct words.
    pub novelty: Option<f32>,
    /// The model was not made for such a prompt: too many unseen words, or too far from every prototype.
    pub novel: bool,
    /// The labels that cannot be ruled out, at the artifact's first coverage; nothing for a model without
    /// conformal sets.
    pub set: Option<ConformalSet>,
}

impl Score {
    /// Probability that Lightweight is good enough.
    pub fn confidence(&self) -> f32 {
        self.good_enough
    }
}

/// Why a decision came out as it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The score is at most the threshold of the promised risk.
    BelowRiskThreshold,
    /// The score is above that threshold, or no threshold keeps the promise.
    AboveRiskThreshold,
    /// The confidence reaches the policy's confidence threshold.
    Confident,
    /// The confidence reaches the fallback threshold only.
    ConfidentWithFallback,
    /// The confidence reaches neither.
    NotConfident,
    /// The prompt is too unlike what the model was made from.
    Novel,
    /// There is no model, or it failed on this request.
    NotClassified,
}

impl Reason {
    /// The code of the reason in answers and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BelowRiskThreshold => "below_risk_threshold",
            Self::AboveRiskThreshold => "above_risk_threshold",
            Self::Confident => "confident",
            Self::ConfidentWithFallback => "confident_with_fallback",
            Self::NotConfident => "not_confident",
            Self::Novel => "novel",
            Self::NotClassified => "not_classified",
        }
    }
}

/// Which tier answers, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// The tier that answers.
    pub tier: Tier,
    /// The rule asks that Powerful stand by for Lightweight's answer.
    pub fallback: bool,
    /// Why.
    pub reason: Reason,
    /// The engine could not classify the request, or the prompt is too novel for its word to count.
    pub abstained: bool,
}

impl Decision {
    /// The decision where there is no model or it failed: Powerful, which costs money but no quality.
    pub const UNCLASSIFIED: Self =
        Self { tier: Tier::Powerful, fallback: false, reason: Reason::NotClassified, abstained: true };

    /// The decision where the prompt is too novel: what a model says about it is no better than chance.
    pub const NOVEL: Self =
        Self { tier: Tier::Powerful, fallback: false, reason: Reason::Novel, abstained: true };

    fn lightweight(fallback: bool, reason: Reason) -> Self {
        Self { tier: Tier::Lightweight, fallback, reason, abstained: false }
    }

    fn powerful(reason: Reason) -> Self {
        Self { tier: Tier::Powerful, fallback: false, reason, abstained: false }
    }
}

/// Decides by a rule. The calibration is that of the model which gave the score.
pub fn decide(score: &Score, rule: &DecisionRule, calibration: &Calibration) -> Decision {
    if score.novel {
        return Decision::NOVEL;
    }
    match *rule {
        DecisionRule::Risk { permille } => by_score(score.score, calibration.lambda(permille)),
        DecisionRule::Score { lambda } => by_score(score.score, Some(lambda)),
        DecisionRule::Thresholds { confidence_permille, fallback_permille } => {
            if reaches(score.good_enough, confidence_permille) {
                Decision::lightweight(false, Reason::Confident)
            } else if reaches(score.good_enough, fallback_permille) {
                Decision::lightweight(true, Reason::ConfidentWithFallback)
            } else {
                Decision::powerful(Reason::NotConfident)
            }
        }
    }
}

fn by_score(score: f32, lambda: Option<f32>) -> Decision {
    if lambda.is_some_and(|lambda| score <= lambda) {
        Decision::lightweight(false, Reason::BelowRiskThreshold)
    } else {
        Decision::powerful(Reason::AboveRiskThreshold)
    }
}

/// Whether a probability is at least so many thousandths, both taken as the same kind of number:
/// 0.85 reaches 850.
fn reaches(probability: f32, permille: u16) -> bool {
    probability >= f32::from(permille) / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibration::{HeadCalibration, RiskThreshold};
    use proptest::prelude::*;

    fn calibration(risk: &[(u16, f32)]) -> Calibration {
        let risk = risk.iter().map(|&(permille, lambda)| RiskThreshold { permille, lambda }).collect();
        Calibration {
            heads: [HeadCalibration { scale: 1.0, offset: 0.0 }; 3],
            risk,
            sets: vec![],
            samples: 1,
        }
    }

    fn score(score: f32, good_enough: f32) -> Score {
        Score {
            lightweight_right: 0.5,
            powerful_right: 0.5,
            good_enough,
            score,
            uncertainty: 0.5,
            novelty: None,
            novel: false,
            set: None,
        }
    }

    fn by_risk(value: f32, permille: u16) -> Decision {
        decide(&score(value, 0.5), &DecisionRule::Risk { permille }, &calibration(&[(20, 0.1), (50, 0.6)]))
    }

    fn by_thresholds(good_enough: f32) -> Decision {
        let rule = DecisionRule::Thresholds { confidence_permille: 850, fallback_permille: 700 };
        decide(&score(0.0, good_enough), &rule, &calibration(&[]))
    }

    #[test]
    fn in_risk_mode_a_score_up_to_the_threshold_is_lightweight() {
        assert_eq!(by_risk(0.6, 50), Decision::lightweight(false, Reason::BelowRiskThreshold));
        assert_eq!(by_risk(0.600_01, 50), Decision::powerful(Reason::AboveRiskThreshold));
        assert_eq!(by_risk(0.6, 20), Decision::powerful(Reason::AboveRiskThreshold));
    }

    #[test]
    fn an_online_threshold_stands_in_for_that_of_the_artifact() {
        let by_lambda =
            |value, lambda| decide(&score(value, 0.5), &DecisionRule::Score { lambda }, &calibration(&[]));
        assert_eq!(by_lambda(0.3, 0.3), Decision::lightweight(false, Reason::BelowRiskThreshold));
        assert_eq!(by_lambda(0.300_01, 0.3), Decision::powerful(Reason::AboveRiskThreshold));
        assert_eq!(by_lambda(-0.9, -1.0), Decision::powerful(Reason::AboveRiskThreshold));
        assert_eq!(by_lambda(0.0, f32::NAN), Decision::powerful(Reason::AboveRiskThreshold));
    }

    #[test]
    fn a_novel_prompt_goes_to_powerful_by_every_rule_and_the_model_abstains() {
        let novel = Score { novel: true, ..score(-1.0, 1.0) };
        let rules = [
            DecisionRule::Risk { permille: 1000 },
            DecisionRule::Score { lambda: 2.0 },
            DecisionRule::Thresholds { confidence_permille: 0, fallback_permille: 0 },
        ];
        for rule in rules {
            let decision = decide(&novel, &rule, &calibration(&[(0, 2.0)]));
            assert_eq!(decision, Decision::NOVEL);
            assert!(decision.abstained && decision.tier == Tier::Powerful && !decision.fallback);
            let known = decide(&Score { novel: false, ..novel }, &rule, &calibration(&[(0, 2.0)]));
            assert_eq!(known.tier, Tier::Lightweight);
        }
    }

    #[test]
    fn a_promise_that_no_threshold_keeps_sends_everything_to_powerful() {
        assert_eq!(by_risk(-1.0, 19), Decision::powerful(Reason::AboveRiskThreshold));
    }

    #[test]
    fn in_threshold_mode_confidence_falls_into_three_parts() {
        assert_eq!(by_thresholds(0.85), Decision::lightweight(false, Reason::Confident));
        assert_eq!(by_thresholds(0.849), Decision::lightweight(true, Reason::ConfidentWithFallback));
        assert_eq!(by_thresholds(0.7), Decision::lightweight(true, Reason::ConfidentWithFallback));
        assert_eq!(by_thresholds(0.699), Decision::powerful(Reason::NotConfident));
    }

    #[test]
    fn a_reason_is_written_the_same_way_everywhere() {
        for reason in
            [Reason::BelowRiskThreshold, Reason::ConfidentWithFallback, Reason::Novel, Reason::NotClassified]
        {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_looser_promise_never_takes_lightweight_away(value in -1.0_f32..2.0, tight in 0_u16..100, more in 0_u16..100) {
            let lightweight = |permille| by_risk(value, permille).tier == Tier::Lightweight;
            prop_assert!(!lightweight(tight) || lightweight(tight + more));
        }

        #[test]
        fn a_number_that_is_none_goes_to_powerful(permille in 0_u16..=1000) {
            prop_assert_eq!(by_risk(f32::NAN, permille).tier, Tier::Powerful);
            prop_assert_eq!(by_thresholds(f32::NAN).tier, Tier::Powerful);
        }
    }
}
