//! What is known about a model on trial, and about one that was promoted lately.

use std::sync::atomic::AtomicI64;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use tinydancer_protocol::Report;

use super::stage_histogram;
use crate::runtime::{RoutingDecision, WatchState};

/// Trial and watch in numbers.
#[derive(Debug)]
pub(super) struct RolloutMetrics {
    scoring_seconds: Family<ModelLabels, Histogram, fn() -> Histogram>,
    candidate_weight: Gauge<i64, AtomicI64>,
    step_decisions: Family<ArmLabels, Gauge>,
    step_buckets: Family<ArmLabels, Gauge>,
    replay: Family<ReplayLabels, Gauge>,
    watch: Family<WatchLabels, Gauge>,
    tripped_models: Gauge<i64, AtomicI64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelLabels {
    model: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ArmLabels {
    arm: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReplayLabels {
    digest: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WatchLabels {
    state: &'static str,
}

impl RolloutMetrics {
    /// All at zero.
    pub(super) fn new() -> Self {
        Self {
            scoring_seconds: Family::new_with_constructor(stage_histogram),
            candidate_weight: Gauge::default(),
            step_decisions: Family::default(),
            step_buckets: Family::default(),
            replay: Family::default(),
            watch: Family::default(),
            tripped_models: Gauge::default(),
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("scoring_seconds", "Time a model took to score", self.scoring_seconds.clone());
        registry.register(
            "candidate_weight_basis_points",
            "Share of requests that the model on trial decides now, of 10,000",
            self.candidate_weight.clone(),
        );
        registry.register(
            "step_decisions",
            "Decisions of each arm since the assignment that holds",
            self.step_decisions.clone(),
        );
        registry.register(
            "step_buckets",
            "Different buckets of keys that each arm decided for since the assignment that holds",
            self.step_buckets.clone(),
        );
        registry.register(
            "replay_decisions",
            "Past decisions that a model scored before it had traffic, by what came of it",
            self.replay.clone(),
        );
        registry.register("watch", "1 for the state of the watch after a promotion", self.watch.clone());
        registry.register(
            "tripped_models",
            "Models that this pod has taken out of traffic by itself",
            self.tripped_models.clone(),
        );
    }

    /// Counts how long the models took that scored a request.
    pub(super) fn decision(&self, decision: &RoutingDecision) {
        for time in decision.scoring.iter().flatten() {
            let labels = ModelLabels { model: time.role.as_str() };
            self.scoring_seconds.get_or_create(&labels).observe(time.microseconds / 1e6);
        }
    }

    /// Takes what holds now.
    pub(super) fn update(&self, report: &Report, watch: WatchState) {
        self.candidate_weight.set(i64::from(report.effective_weight.get()));
        self.tripped_models.set(i64::try_from(report.trips.len()).unwrap_or(i64::MAX));
        let step = report.step;
        for (arm, decisions, buckets) in [
            ("stable", step.stable_decisions, step.stable_buckets),
            ("candidate", step.candidate_decisions, step.candidate_buckets),
        ] {
            let labels = ArmLabels { arm };
            self.step_decisions.get_or_create(&labels).set(i64::try_from(decisions).unwrap_or(i64::MAX));
            self.step_buckets.get_or_create(&labels).set(i64::from(buckets));
        }
        self.replay.clear();
        for model in &report.models {
            let Some(replay) = model.replay else { continue };
            let scored = replay.decisions.saturating_sub(replay.faults);
            for (result, decisions) in [("scored", scored), ("fault", replay.faults)] {
                let labels = ReplayLabels { digest: model.digest.short(), result };
                self.replay.get_or_create(&labels).set(i64::try_from(decisions).unwrap_or(i64::MAX));
            }
        }
        for state in WatchState::ALL {
            let labels = WatchLabels { state: state.as_str() };
            self.watch.get_or_create(&labels).set(i64::from(state == watch));
        }
    }
}
