//! Upstream failures: what the candidate decides fails more often than what stable decides.

use super::{Guard, Hypothesis, Observation};
use crate::betting::Shape;
use crate::evidence::GuardEvidence;
use crate::settings::GuardSettings;
use crate::verdict::Interval;

/// - **Definition**: the share of requests that got no answer from any upstream, in the candidate's arm minus in
///   stable's. An upstream that is down fails both arms alike and belongs to its own breaker.
/// - **Observation**: `d` in {-1, 0, 1}: one request of the candidate's arm failed, minus one request of stable's arm that
///   ended next to it in the same pod failed; each request is used at most once (see `outcomes.rs`).
/// - **Null hypothesis**: `E[d | past] <= upstreamMarginPermille`. Pass: the opposite is rejected. Without any candidate
///   decision there is nothing to pass: the guard is asked from the first step of the canary on, and only in a
///   fleet that sends requests on.
/// - **Assumption**: arms of neighbours are drawn independently of what becomes of them; nothing about upstreams. Sticky
///   keys bend it: all requests of a tenant share an arm, so tenants whose requests fail more often than others' must
///   weigh less than the margin. A request that never ends is not seen.
/// - **Source**: Waudby-Smith and Ramdas (2024), approximate GRAPA bets; arms as in a randomised block design with blocks
///   of two (Fisher, "The Design of Experiments", 1935).
pub(super) struct UpstreamFailures;

impl Guard for UpstreamFailures {
    fn observe(&self, _observation: &Observation, _settings: GuardSettings) -> Option<f64> {
        // Known only long after scoring: `Evidence::observe_outcome` feeds it.
        None
    }

    fn hypothesis(&self, settings: GuardSettings) -> Hypothesis {
        Hypothesis {
            shape: Shape::Symmetric { half_range: 1.0 },
            upper: settings.upstream_margin(),
            lower: None,
        }
    }

    fn interval(&self, evidence: &GuardEvidence, alpha: f64) -> Option<Interval> {
        Interval::of_mean(&evidence.moments(), alpha, 1.0)
    }
}
