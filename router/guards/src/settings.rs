//! What a policy says about its guards.

use serde::{Deserialize, Serialize};

/// Margins, limits and the error budget of one trial, as in `spec.rollout.guards`.
///
/// A 0 would be a test that nothing can pass (or, for alpha, one that nothing can fail), so the numbers that are
/// used are at least 1 permille.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GuardSettings {
    /// How far the mean uncertainty may move, either way, in permille.
    pub uncertainty_margin_permille: u16,
    /// How far the share of requests sent to Powerful may move, either way, in permille.
    pub escalation_margin_permille: u16,
    /// The share of hard faults that is still tolerated, in permille.
    pub error_rate_permille: u16,
    /// The share of requests that may be decided otherwise than by stable, in permille.
    pub flip_rate_permille: u16,
    /// How long the candidate may take to score a request, in microseconds.
    pub latency_budget_microseconds: u32,
    /// The share of requests on which it may take longer where stable does not, in permille.
    pub slow_rate_permille: u16,
    /// How much more often requests of the candidate's arm may fail upstream than those of stable's, in permille.
    pub upstream_margin_permille: u16,
    /// How much more often the candidate's sets may lack the truth than those of stable, in permille.
    #[serde(default = "coverage_margin_permille")]
    pub coverage_margin_permille: u16,
    /// The chance of a false alarm in a whole attempt, over all guards and any number of looks, in permille.
    pub alpha_permille: u16,
}

impl Default for GuardSettings {
    fn default() -> Self {
        Self {
            uncertainty_margin_permille: 50,
            escalation_margin_permille: 100,
            error_rate_permille: 10,
            flip_rate_permille: 300,
            latency_budget_microseconds: 500,
            slow_rate_permille: 10,
            upstream_margin_permille: 50,
            coverage_margin_permille: coverage_margin_permille(),
            alpha_permille: 10,
        }
    }
}

impl GuardSettings {
    /// The uncertainty margin as a fraction.
    pub fn uncertainty_margin(&self) -> f64 {
        fraction(self.uncertainty_margin_permille)
    }

    /// The escalation margin as a fraction.
    pub fn escalation_margin(&self) -> f64 {
        fraction(self.escalation_margin_permille)
    }

    /// The tolerated share of hard faults as a fraction.
    pub fn error_rate(&self) -> f64 {
        fraction(self.error_rate_permille)
    }

    /// The tolerated share of flips as a fraction.
    pub fn flip_rate(&self) -> f64 {
        fraction(self.flip_rate_permille)
    }

    /// The latency budget in nanoseconds.
    pub fn latency_budget_nanoseconds(&self) -> u64 {
        u64::from(self.latency_budget_microseconds) * 1000
    }

    /// The tolerated share of slow requests as a fraction.
    pub fn slow_rate(&self) -> f64 {
        fraction(self.slow_rate_permille)
    }

    /// The upstream margin as a fraction.
    pub fn upstream_margin(&self) -> f64 {
        fraction(self.upstream_margin_permille)
    }

    /// The coverage margin as a fraction.
    pub fn coverage_margin(&self) -> f64 {
        fraction(self.coverage_margin_permille)
    }

    /// The error budget of the attempt as a fraction.
    pub fn alpha(&self) -> f64 {
        fraction(self.alpha_permille)
    }
}

/// What evidence from before there was this guard was gathered with.
const fn coverage_margin_permille() -> u16 {
    50
}

/// 0.001 to 0.999.
fn fraction(permille: u16) -> f64 {
    f64::from(permille.clamp(1, 999)) / 1000.0
}
