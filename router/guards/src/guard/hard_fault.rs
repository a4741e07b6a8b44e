//! Hard fault: the candidate's engine fails on requests.

use super::{Guard, Hypothesis, Observation};
use crate::betting::Shape;
use crate::evidence::GuardEvidence;
use crate::settings::GuardSettings;
use crate::verdict::Interval;
use crate::wilson::{Z_99, wilson};

/// - **Definition**: the share of scored requests on which the candidate gave an error, panicked, took too long or
///   yielded a number that is not finite.
/// - **Observation**: 1 for a fault, 0 otherwise; every request the candidate scored, in either arm.
/// - **Null hypothesis**: the chance of a fault, given the past, is at most `errorRatePermille`. Pass: the opposite
///   ("at least") is rejected.
/// - **Assumption**: none on dependence; the chance may move as long as it stays below the limit.
/// - **Source**: Waudby-Smith and Ramdas (2024) with Kelly's bet for two outcomes; display by Wilson (1927) at 99 %.
pub(super) struct HardFault;

impl Guard for HardFault {
    fn observe(&self, observation: &Observation, _settings: GuardSettings) -> Option<f64> {
        Some(f64::from(u8::from(observation.is_fault())))
    }

    fn hypothesis(&self, settings: GuardSettings) -> Hypothesis {
        Hypothesis { shape: Shape::Binary, upper: settings.error_rate(), lower: None }
    }

    fn interval(&self, evidence: &GuardEvidence, _alpha: f64) -> Option<Interval> {
        wilson(evidence.sum.max(0.0).round() as u64, evidence.observations, Z_99)
    }
}
