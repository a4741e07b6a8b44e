//! Uncertainty shift: the candidate is less certain than what it replaces, or more certain than it may be.

use super::{Guard, Hypothesis, Observation};
use crate::betting::Shape;
use crate::evidence::GuardEvidence;
use crate::settings::GuardSettings;
use crate::verdict::Interval;

/// Uncertainty is `min(p, 1 - p)`, so it lies in 0..=0.5 and a difference of two in -0.5..=0.5.
const HALF_RANGE: f64 = 0.5;

/// - **Definition**: how far the candidate's mean uncertainty lies from stable's on the same requests. A rise says
///   that it does not know these requests; a fall without labels says that it is over-confident.
/// - **Observation**: `d = u(candidate) - u(stable)`, clipped to ±0.5, on every request both scored; the first model of
///   a fleet is compared with the mean its artifact keeps.
/// - **Null hypotheses**: `E[d | past] <= margin` and `E[d | past] >= -margin`, each with its share of alpha. Pass: both
///   opposites are rejected, so the mean lies inside the margin.
/// - **Assumption**: none on the distribution of requests; a drift common to both models cancels.
/// - **Source**: Waudby-Smith and Ramdas (2024), approximate GRAPA bets; pairing removes the tenant effect.
pub(super) struct UncertaintyShift;

impl Guard for UncertaintyShift {
    fn observe(&self, observation: &Observation, _settings: GuardSettings) -> Option<f64> {
        let (candidate, stable) = observation.uncertainty?;
        // A candidate's broken number is a fault; a broken number of stable's is not the candidate's doing.
        let comparable = !observation.is_fault() && stable.is_finite();
        comparable.then(|| (f64::from(candidate) - f64::from(stable)).clamp(-HALF_RANGE, HALF_RANGE))
    }

    fn hypothesis(&self, settings: GuardSettings) -> Hypothesis {
        let margin = settings.uncertainty_margin();
        Hypothesis { shape: Shape::Symmetric { half_range: HALF_RANGE }, upper: margin, lower: Some(-margin) }
    }

    fn interval(&self, evidence: &GuardEvidence, alpha: f64) -> Option<Interval> {
        Interval::of_mean(&evidence.moments(), alpha, HALF_RANGE)
    }
}
