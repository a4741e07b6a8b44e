//! Flip rate: candidate and stable send the same request to different tiers.

use super::{Guard, Hypothesis, Observation};
use crate::betting::Shape;
use crate::evidence::GuardEvidence;
use crate::settings::GuardSettings;
use crate::verdict::Interval;
use crate::wilson::{Z_99, wilson};

/// - **Definition**: the share of requests that candidate and stable send to different tiers. Flips in both directions
///   cancel in the escalation share; a model that flips every second request is another router all the same.
/// - **Observation**: 1 where the tiers differ, 0 where they agree, on every request both decided.
/// - **Null hypothesis**: the chance of a flip, given the past, is at most `flipRatePermille`. Pass: the opposite ("at
///   least") is rejected.
/// - **Assumption**: none on the distribution of requests; both decide on the same evidence under the same policy.
/// - **Source**: Waudby-Smith and Ramdas (2024) with Kelly's bet for two outcomes; display by Wilson (1927) at 99 %.
pub(super) struct FlipRate;

impl Guard for FlipRate {
    fn observe(&self, observation: &Observation, _settings: GuardSettings) -> Option<f64> {
        let (candidate, stable) = observation.escalation?;
        (!observation.is_fault()).then(|| f64::from(u8::from(candidate != stable)))
    }

    fn hypothesis(&self, settings: GuardSettings) -> Hypothesis {
        Hypothesis { shape: Shape::Binary, upper: settings.flip_rate(), lower: None }
    }

    fn interval(&self, evidence: &GuardEvidence, _alpha: f64) -> Option<Interval> {
        wilson(evidence.sum.max(0.0).round() as u64, evidence.observations, Z_99)
    }
}
