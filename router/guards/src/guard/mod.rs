//! The guards, one a file. A new guard is a file here, a line in [`GuardName`], and a field of [`Observation`] if it looks at
//! something new; streams, merging and judging follow by themselves.

mod coverage;
mod escalation_share;
mod flip_rate;
mod hard_fault;
mod latency;
mod uncertainty_shift;
mod upstream_failures;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::betting::Shape;
use crate::evidence::GuardEvidence;
use crate::settings::GuardSettings;
use crate::verdict::Interval;

/// One request that the candidate scored.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Observation {
    /// The candidate's engine gave an error, panicked, yielded a number that is not finite or took too long.
    pub fault: bool,
    /// Uncertainty of the candidate and of what it is compared with: stable on the same request, or the mean that the
    /// candidate's artifact keeps for its own calibration data. A candidate value that is not finite or outside 0..=1
    /// is a fault.
    pub uncertainty: Option<(f32, f32)>,
    /// Whether candidate and stable send this request to Powerful.
    pub escalation: Option<(bool, bool)>,
    /// Nanoseconds that candidate and stable took to score; 0 for a stable model that is not there.
    pub scoring_nanoseconds: Option<(u64, u64)>,
}

impl Observation {
    /// Whether the candidate failed on this request, be it said or seen from its numbers.
    pub fn is_fault(&self) -> bool {
        self.fault || self.uncertainty.is_some_and(|(candidate, _)| !(0.0..=1.0).contains(&candidate))
    }
}

/// The guards there are. Names appear in status, events and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum GuardName {
    /// The candidate's engine fails; see `guard/hard_fault.rs`.
    HardFault,
    /// The candidate is more or less certain than stable; see `guard/uncertainty_shift.rs`.
    UncertaintyShift,
    /// The candidate sends more or fewer requests to Powerful; see `guard/escalation_share.rs`.
    EscalationShare,
    /// The candidate decides otherwise than stable; see `guard/flip_rate.rs`.
    FlipRate,
    /// The candidate takes too long; see `guard/latency.rs`.
    Latency,
    /// More of the requests that the candidate decided fail upstream; see `guard/upstream_failures.rs`.
    UpstreamFailures,
    /// The candidate's sets hold the truth less often, where audits know it; see `guard/coverage.rs`.
    Coverage,
}

impl GuardName {
    /// Every guard, in the order in which they are shown.
    pub const ALL: [Self; 7] = [
        Self::HardFault,
        Self::UncertaintyShift,
        Self::EscalationShare,
        Self::FlipRate,
        Self::Latency,
        Self::UpstreamFailures,
        Self::Coverage,
    ];

    /// The name as serde writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HardFault => "HardFault",
            Self::UncertaintyShift => "UncertaintyShift",
            Self::EscalationShare => "EscalationShare",
            Self::FlipRate => "FlipRate",
            Self::Latency => "Latency",
            Self::UpstreamFailures => "UpstreamFailures",
            Self::Coverage => "Coverage",
        }
    }

    pub(crate) fn definition(self) -> &'static dyn Guard {
        match self {
            Self::HardFault => &hard_fault::HardFault,
            Self::UncertaintyShift => &uncertainty_shift::UncertaintyShift,
            Self::EscalationShare => &escalation_share::EscalationShare,
            Self::FlipRate => &flip_rate::FlipRate,
            Self::Latency => &latency::Latency,
            Self::UpstreamFailures => &upstream_failures::UpstreamFailures,
            Self::Coverage => &coverage::Coverage,
        }
    }
}

impl std::fmt::Display for GuardName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The guards that a trial can be judged by. Without a stable model there is nothing to compare escalation with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ApplicableGuards(BTreeSet<GuardName>);

impl ApplicableGuards {
    /// A candidate against a stable model: every guard that needs no labels.
    pub fn all() -> Self {
        Self(GuardName::ALL.into_iter().collect()).without(GuardName::Coverage)
    }

    /// The first model of a fleet: uncertainty is compared with the artifact's own reference, decisions with nothing.
    pub fn first_model() -> Self {
        [GuardName::EscalationShare, GuardName::FlipRate, GuardName::UpstreamFailures]
            .into_iter()
            .fold(Self::all(), Self::without)
    }

    /// After promotion: the model decides everything, so there is no other arm whose answers could fail less.
    pub fn watch() -> Self {
        Self::all().without(GuardName::UpstreamFailures)
    }

    /// The same without one guard.
    #[must_use]
    pub fn without(mut self, guard: GuardName) -> Self {
        self.0.remove(&guard);
        self
    }

    /// The same in a fleet whose requests are audited, where two models are compared.
    #[must_use]
    pub fn with_labels(mut self) -> Self {
        if self.contains(GuardName::EscalationShare) {
            self.0.insert(GuardName::Coverage);
        }
        self
    }

    /// Whether the trial is judged by this guard.
    pub fn contains(&self, guard: GuardName) -> bool {
        self.0.contains(&guard)
    }

    /// The guards in their fixed order.
    pub fn iter(&self) -> impl Iterator<Item = GuardName> + '_ {
        self.0.iter().copied()
    }
}

/// Between which bounds the mean of a guard's observations is harmless.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Hypothesis {
    /// What the observations look like.
    pub(crate) shape: Shape,
    /// The mean may be at most this.
    pub(crate) upper: f64,
    /// The mean must be at least this, where the lower direction is bad as well.
    pub(crate) lower: Option<f64>,
}

impl Hypothesis {
    /// In how many directions harm is looked for; each takes a share of alpha.
    pub(crate) fn directions(&self) -> u32 {
        1 + u32::from(self.lower.is_some())
    }
}

/// What one guard looks at and what it holds harmless.
pub(crate) trait Guard: Sync {
    /// The number this guard takes from a request, inside its shape's range; `None` if the request says nothing.
    fn observe(&self, observation: &Observation, settings: GuardSettings) -> Option<f64>;
    /// What is harmless under these settings.
    fn hypothesis(&self, settings: GuardSettings) -> Hypothesis;
    /// An interval for people around the mean of what was observed; alpha is the attempt's.
    fn interval(&self, evidence: &GuardEvidence, alpha: f64) -> Option<Interval>;
}

#[cfg(test)]
mod tests;
