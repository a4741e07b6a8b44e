//! The policy's margins as the guards take them: one reading, so that operator and routers judge alike.

use tinydancer_crds::valid::GuardMargins;
use tinydancer_guards::GuardSettings;

/// What a policy says about its guards, in the guards' words.
pub const fn guard_settings(margins: GuardMargins) -> GuardSettings {
    GuardSettings {
        uncertainty_margin_permille: margins.uncertainty.get(),
        escalation_margin_permille: margins.escalation.get(),
        error_rate_permille: margins.error_rate.get(),
        flip_rate_permille: margins.flip_rate.get(),
        latency_budget_microseconds: margins.latency_budget_microseconds,
        slow_rate_permille: margins.slow_rate.get(),
        upstream_margin_permille: margins.upstream.get(),
        coverage_margin_permille: 50,
        alpha_permille: margins.alpha.get(),
    }
}
