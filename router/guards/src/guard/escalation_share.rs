//! Escalation share: the candidate sends more requests to Powerful (money), or fewer (quality).

use super::{Guard, Hypothesis, Observation};
use crate::betting::Shape;
use crate::evidence::GuardEvidence;
use crate::settings::GuardSettings;
use crate::verdict::Interval;

/// - **Definition**: the change of the share of requests that go to Powerful.
/// - **Observation**: `d` in {-1, 0, 1}: candidate escalates minus stable escalates, on every request both decided.
/// - **Null hypotheses**: `E[d | past] <= margin` and `E[d | past] >= -margin`, each with its share of alpha. Pass: both
///   opposites are rejected.
/// - **Assumption**: none on the distribution of requests; both decide on the same evidence under the same policy.
/// - **Source**: Waudby-Smith and Ramdas (2024), approximate GRAPA bets. Sees over-confidence at the point where it
///   costs something, even where the mean uncertainty stands still.
pub(super) struct EscalationShare;

impl Guard for EscalationShare {
    fn observe(&self, observation: &Observation, _settings: GuardSettings) -> Option<f64> {
        let (candidate, stable) = observation.escalation?;
        (!observation.is_fault()).then(|| f64::from(i8::from(candidate) - i8::from(stable)))
    }

    fn hypothesis(&self, settings: GuardSettings) -> Hypothesis {
        let margin = settings.escalation_margin();
        Hypothesis { shape: Shape::Symmetric { half_range: 1.0 }, upper: margin, lower: Some(-margin) }
    }

    fn interval(&self, evidence: &GuardEvidence, alpha: f64) -> Option<Interval> {
        Interval::of_mean(&evidence.moments(), alpha, 1.0)
    }
}
