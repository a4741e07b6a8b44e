//! Coverage: the candidate's sets hold the truth less often than stable's.

use super::{Guard, Hypothesis, Observation};
use crate::betting::Shape;
use crate::evidence::GuardEvidence;
use crate::settings::GuardSettings;
use crate::verdict::Interval;

/// - **Definition**: the share of audited requests whose conformal set lacks the truth (whether Lightweight was good
///   enough), the candidate's minus stable's.
/// - **Observation**: `d` in {-1, 0, 1}: the candidate's set lacks it minus stable's lacks it, on every audited request that
///   both scored.
/// - **Null hypothesis**: `E[d | past] <= coverageMarginPermille`. It can fail a model and is never waited for: audits are few,
///   and a fleet without them has no labels at all.
/// - **Assumption**: which requests are audited is drawn without looking at them; nothing about the grader but that it
///   judges answers without knowing the model on trial.
/// - **Source**: Waudby-Smith and Ramdas (2024), approximate GRAPA bets. Sees a model that is surer than it may be where
///   being sure is wrong.
pub(super) struct Coverage;

impl Guard for Coverage {
    fn observe(&self, _observation: &Observation, _settings: GuardSettings) -> Option<f64> {
        // Known only after an audit: `Evidence::observe_coverage` feeds it.
        None
    }

    fn hypothesis(&self, settings: GuardSettings) -> Hypothesis {
        Hypothesis {
            shape: Shape::Symmetric { half_range: 1.0 },
            upper: settings.coverage_margin(),
            lower: None,
        }
    }

    fn interval(&self, evidence: &GuardEvidence, alpha: f64) -> Option<Interval> {
        Interval::of_mean(&evidence.moments(), alpha, 1.0)
    }
}
