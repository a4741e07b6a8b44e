//! Latency: the candidate takes too long where stable does not.

use super::{Guard, Hypothesis, Observation};
use crate::betting::Shape;
use crate::evidence::GuardEvidence;
use crate::settings::GuardSettings;
use crate::verdict::Interval;
use crate::wilson::{Z_99, wilson};

/// - **Definition**: the share of requests on which the candidate takes longer to score than the budget of the policy
///   while stable, in the same pod on the same request, stays within it.
/// - **Observation**: 1 for such a request, 0 otherwise, on every request the candidate scored. A pod that is short of
///   processor time slows both down; what only the candidate is slow at is its own.
/// - **Null hypothesis**: the chance of it, given the past, is at most `slowRatePermille`. Pass: the opposite is rejected.
/// - **Assumption**: the scheduler takes the processor away from either model with the same chance, and from both more
///   rarely than once in a hundred requests.
/// - **Source**: Waudby-Smith and Ramdas (2024) with Kelly's bet for two outcomes; display by Wilson (1927) at 99 %.
pub(super) struct Latency;

impl Guard for Latency {
    fn observe(&self, observation: &Observation, settings: GuardSettings) -> Option<f64> {
        let (candidate, stable) = observation.scoring_nanoseconds?;
        let budget = settings.latency_budget_nanoseconds();
        (!observation.is_fault()).then(|| f64::from(u8::from(candidate > budget && stable <= budget)))
    }

    fn hypothesis(&self, settings: GuardSettings) -> Hypothesis {
        Hypothesis { shape: Shape::Binary, upper: settings.slow_rate(), lower: None }
    }

    fn interval(&self, evidence: &GuardEvidence, _alpha: f64) -> Option<Interval> {
        wilson(evidence.sum.max(0.0).round() as u64, evidence.observations, Z_99)
    }
}
