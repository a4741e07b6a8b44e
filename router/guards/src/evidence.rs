//! What a pod remembers about a trial, and the form in which it reports it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::betting::{Moments, Null, log_growth};
use crate::bucket::Arm;
use crate::guard::{GuardName, Hypothesis, Observation};
use crate::outcomes::{Matching, OutcomeCounts};
use crate::settings::GuardSettings;
use crate::sketch::Shapes;

/// Natural logarithms of the wealth of two opposite tests in one direction. 0 is "nothing is known".
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogWealth {
    /// Against "the mean lies within the limit": large if there is harm.
    pub harm: f64,
    /// Against "the mean lies at the limit or beyond": large if harm is ruled out.
    pub safe: f64,
}

/// One guard's stream.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GuardEvidence {
    /// How many requests said something to this guard.
    pub observations: u64,
    /// The sum of the observations.
    pub sum: f64,
    /// The sum of their squares.
    pub sum_of_squares: f64,
    /// The upper limit.
    pub above: LogWealth,
    /// The lower limit, where the guard has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<LogWealth>,
}

impl GuardEvidence {
    /// The mean of the observations; `None` without any.
    pub fn mean(&self) -> Option<f64> {
        (self.observations > 0).then(|| self.sum / self.observations as f64)
    }

    pub(crate) fn moments(&self) -> Moments {
        Moments { observations: self.observations, sum: self.sum, sum_of_squares: self.sum_of_squares }
    }

    fn observe(&mut self, hypothesis: &Hypothesis, value: f64) {
        let past = self.moments();
        let growth = |null| log_growth(&past, hypothesis.shape, null, value);
        self.above.harm += growth(Null::AtMost(hypothesis.upper));
        self.above.safe += growth(Null::AtLeast(hypothesis.upper));
        if let Some(lower) = hypothesis.lower {
            let below = self.below.get_or_insert_default();
            below.harm += growth(Null::AtLeast(lower));
            below.safe += growth(Null::AtMost(lower));
        }
        self.observations = self.observations.saturating_add(1);
        self.sum += value;
        self.sum_of_squares += value * value;
    }
}

/// The evidence as it is reported, banked and merged. The default value is "nothing seen".
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceSnapshot {
    /// Requests that the candidate scored beside stable (or alone, as the first model).
    pub pairs: u64,
    /// Requests whose decision was the candidate's.
    pub candidate_decisions: u64,
    /// Requests whose decision was stable's.
    pub stable_decisions: u64,
    /// Requests that were sent on, by arm.
    #[serde(default)]
    pub outcomes: OutcomeCounts,
    /// The streams; a guard that saw nothing may be missing.
    pub guards: BTreeMap<GuardName, GuardEvidence>,
    /// How uncertainty and scoring time are distributed; for people, never for the verdict.
    #[serde(default)]
    pub shapes: Shapes,
}

/// What one pod remembers about one attempt under one configuration. Serialise it to resume after a restart: the
/// tests go on where they stopped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    settings: GuardSettings,
    snapshot: EvidenceSnapshot,
    #[serde(default)]
    matching: Matching,
}

impl Evidence {
    /// Nothing seen yet, to be tested against these settings.
    pub fn new(settings: GuardSettings) -> Self {
        Self { settings, snapshot: EvidenceSnapshot::default(), matching: Matching::default() }
    }

    /// The settings the tests are made with. Evidence under other settings is other evidence.
    pub fn settings(&self) -> &GuardSettings {
        &self.settings
    }

    /// Takes one scored request.
    pub fn observe(&mut self, observation: &Observation) {
        self.snapshot.pairs = self.snapshot.pairs.saturating_add(1);
        self.snapshot.shapes.observe(observation);
        for name in GuardName::ALL {
            if let Some(value) = name.definition().observe(observation, self.settings) {
                self.feed(name, value);
            }
        }
    }

    /// Takes how a request that this arm decided ended: whether no upstream gave an answer.
    pub fn observe_outcome(&mut self, arm: Arm, failed: bool) {
        self.snapshot.outcomes.count(arm, failed);
        if let Some(difference) = self.matching.pair(arm, failed) {
            self.feed(GuardName::UpstreamFailures, difference);
        }
    }

    /// Takes what an audit of a request that both scored has found: whether the set of each holds the truth.
    pub fn observe_coverage(&mut self, candidate_covers: bool, stable_covers: bool) {
        let difference = i8::from(stable_covers) - i8::from(candidate_covers);
        self.feed(GuardName::Coverage, f64::from(difference));
    }

    fn feed(&mut self, name: GuardName, value: f64) {
        let hypothesis = name.definition().hypothesis(self.settings);
        self.snapshot.guards.entry(name).or_default().observe(&hypothesis, value);
    }

    /// Counts a request whose decision came from this arm.
    pub fn count_decision(&mut self, arm: Arm) {
        let counter = match arm {
            Arm::Stable => &mut self.snapshot.stable_decisions,
            Arm::Candidate => &mut self.snapshot.candidate_decisions,
        };
        *counter = counter.saturating_add(1);
    }

    /// The state so far, for a report.
    pub fn snapshot(&self) -> &EvidenceSnapshot {
        &self.snapshot
    }
}

#[cfg(test)]
mod tests;
