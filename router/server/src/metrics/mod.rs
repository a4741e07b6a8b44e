//! Metrics, as `/metrics` shows them. No prompt, tag, user or tenant is ever a label.

mod audits;
mod rollout;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use tinydancer_crds::{routing_policy::Tier, valid::Candidate};
use tinydancer_engine::breaker::BreakerState;
use tinydancer_history::History;

use self::{audits::AuditMetrics, rollout::RolloutMetrics};
use crate::{
    audit::AuditResult,
    runtime::{RoutingDecision, Runtime},
    upstream::{Upstreams, Usage, cost_micro_dollars},
};

/// Upper bounds of the decision stages, in seconds: two microseconds to twenty milliseconds.
const STAGE_BUCKETS: [f64; 13] =
    [2e-6, 5e-6, 10e-6, 20e-6, 50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3];
/// Upper bounds of upstream answers, in seconds.
const UPSTREAM_BUCKETS: [f64; 12] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

type Seconds = Family<StageLabels, Histogram, fn() -> Histogram>;
type UpstreamSeconds = Family<CandidateLabels, Histogram, fn() -> Histogram>;

/// Everything the router counts.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    decisions: Family<DecisionLabels, Counter>,
    decision_seconds: Seconds,
    upstream_requests: Family<UpstreamLabels, Counter>,
    upstream_seconds: UpstreamSeconds,
    failovers: Family<FailoverLabels, Counter>,
    breaker_state: Family<BreakerLabels, Gauge>,
    tokens: Family<TokenLabels, Counter>,
    cost: Family<CostLabels, Counter<f64, AtomicU64>>,
    uncounted: Family<CandidateLabels, Counter>,
    feedback: Family<FeedbackLabels, Counter>,
    feedback_waiting: Gauge,
    history_dropped: Counter,
    shed: Counter,
    in_flight: Gauge<i64, AtomicI64>,
    connections: Gauge<i64, AtomicI64>,
    rollout: RolloutMetrics,
    audits: AuditMetrics,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DecisionLabels {
    tier: &'static str,
    arm: &'static str,
    reason: &'static str,
    classified: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CandidateLabels {
    candidate: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpstreamLabels {
    candidate: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailoverLabels {
    from: String,
    to: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BreakerLabels {
    candidate: String,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenLabels {
    candidate: String,
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CostLabels {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FeedbackLabels {
    outcome: &'static str,
    result: &'static str,
}

fn stage_histogram() -> Histogram {
    Histogram::new(STAGE_BUCKETS)
}

fn upstream_histogram() -> Histogram {
    Histogram::new(UPSTREAM_BUCKETS)
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("tinydancer_router"),
            decisions: Family::default(),
            decision_seconds: Family::new_with_constructor(stage_histogram),
            upstream_requests: Family::default(),
            upstream_seconds: Family::new_with_constructor(upstream_histogram),
            failovers: Family::default(),
            breaker_state: Family::default(),
            tokens: Family::default(),
            cost: Family::default(),
            uncounted: Family::default(),
            feedback: Family::default(),
            feedback_waiting: Gauge::default(),
            history_dropped: Counter::default(),
            shed: Counter::default(),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            rollout: RolloutMetrics::new(),
            audits: AuditMetrics::default(),
        };
        metrics.register_decisions();
        metrics.register_upstreams();
        metrics.rollout.register(&mut metrics.registry);
        metrics.audits.register(&mut metrics.registry);
        metrics
    }

    fn register_decisions(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "decisions",
            "Decisions by tier, arm, reason and whether a model classified",
            self.decisions.clone(),
        );
        registry.register("decision_seconds", "Time of a decision by stage", self.decision_seconds.clone());
        registry.register("feedback", "Feedback by outcome and what became of it", self.feedback.clone());
        registry.register(
            "feedback_waiting",
            "Feedback that this pod acknowledged and other pods, to whom it belongs, do not have yet",
            self.feedback_waiting.clone(),
        );
        registry.register(
            "history_dropped",
            "Records that were not kept because the history could not follow",
            self.history_dropped.clone(),
        );
        registry.register("shed", "Requests refused because too many were in flight", self.shed.clone());
        registry.register("in_flight", "Requests in flight", self.in_flight.clone());
        registry.register("connections", "Open connections", self.connections.clone());
    }

    fn register_upstreams(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "upstream_requests",
            "Calls to upstreams by outcome",
            self.upstream_requests.clone(),
        );
        registry.register(
            "upstream_seconds",
            "Time to the first byte of a stream or the last byte of another answer",
            self.upstream_seconds.clone(),
        );
        registry.register("failovers", "Calls passed on to another candidate", self.failovers.clone());
        registry.register(
            "breaker_state",
            "1 for the state a candidate's breaker is in",
            self.breaker_state.clone(),
        );
        registry.register("tokens", "Tokens as the upstreams counted them", self.tokens.clone());
        registry.register(
            "cost_dollars",
            "What routed requests cost, what they would have cost at the cheapest Powerful candidate's price, and \
             what the second answers of audits cost",
            self.cost.clone(),
        );
        registry.register(
            "answers_without_usage",
            "Answers whose tokens were not counted",
            self.uncounted.clone(),
        );
    }

    /// Counts a decision.
    pub fn decision(&self, decision: &RoutingDecision) {
        let labels = DecisionLabels {
            tier: tier_name(decision.tier),
            arm: decision.arm.as_str(),
            reason: decision.reason,
            classified: if decision.classified { "true" } else { "false" },
        };
        self.decisions.get_or_create(&labels).inc();
        let stages = &decision.latency;
        for (stage, micros) in
            [("features", stages.features_us), ("inference", stages.inference_us), ("total", stages.total_us)]
        {
            self.decision_seconds.get_or_create(&StageLabels { stage }).observe(micros / 1e6);
        }
        self.rollout.decision(decision);
        if decision.explored {
            self.audits.explored(decision.tier);
        }
    }

    /// Counts a call to an upstream.
    pub fn upstream(&self, candidate: &str, outcome: &'static str) {
        self.upstream_requests
            .get_or_create(&UpstreamLabels { candidate: candidate.to_owned(), outcome })
            .inc();
    }

    /// Counts the time a client had to wait for an upstream.
    pub fn upstream_time(&self, candidate: &str, seconds: f64) {
        self.upstream_seconds
            .get_or_create(&CandidateLabels { candidate: candidate.to_owned() })
            .observe(seconds);
    }

    /// Counts a call that another candidate took over.
    pub fn failover(&self, from: &str, to: &str) {
        self.failovers.get_or_create(&FailoverLabels { from: from.to_owned(), to: to.to_owned() }).inc();
    }

    /// Counts tokens and, for a routed request, its cost beside that of `powerful`.
    pub fn usage(&self, candidate: &Candidate, usage: Option<Usage>, powerful: Option<&Candidate>) {
        let Some(usage) = usage else {
            self.uncounted.get_or_create(&CandidateLabels { candidate: candidate.name.clone() }).inc();
            return;
        };
        for (kind, tokens) in [("input", usage.input_tokens), ("output", usage.output_tokens)] {
            self.tokens
                .get_or_create(&TokenLabels { candidate: candidate.name.clone(), kind })
                .inc_by(tokens);
        }
        let Some(powerful) = powerful else { return };
        for (kind, cost) in [("actual", candidate.cost), ("always_powerful", powerful.cost)] {
            self.cost.get_or_create(&CostLabels { kind }).inc_by(cost_micro_dollars(usage, cost) / 1e6);
        }
    }

    /// Counts what became of an audit.
    pub(crate) fn audit(&self, result: AuditResult) {
        self.audits.audit(result);
    }

    /// Counts what the second answer of an audit cost; it is no part of what routing costs.
    pub(crate) fn audit_cost(&self, candidate: &Candidate, usage: Option<Usage>) {
        let Some(usage) = usage else {
            self.uncounted.get_or_create(&CandidateLabels { candidate: candidate.name.clone() }).inc();
            return;
        };
        let cost = cost_micro_dollars(usage, candidate.cost) / 1e6;
        self.cost.get_or_create(&CostLabels { kind: "audit" }).inc_by(cost);
    }

    /// Counts feedback.
    pub fn feedback(&self, outcome: &'static str, result: &'static str) {
        self.feedback.get_or_create(&FeedbackLabels { outcome, result }).inc();
    }

    /// Counts a request that was refused because too many were in flight, or their bodies too large together.
    pub fn shed(&self) {
        self.shed.inc();
    }

    /// Counts a request in flight for as long as the guard lives.
    pub fn in_flight(&self) -> GaugeGuard {
        GaugeGuard::new(&self.in_flight)
    }

    /// Counts a connection for as long as the guard lives.
    pub fn connection(&self) -> GaugeGuard {
        GaugeGuard::new(&self.connections)
    }

    /// Waits for the disk. The text of `/metrics`.
    ///
    /// # Errors
    /// Where a metric cannot be written as text.
    pub fn text(
        &self,
        upstreams: &Upstreams,
        history: &History,
        runtime: &Runtime,
    ) -> Result<String, std::fmt::Error> {
        if let Ok(waiting) = history.forwards_waiting() {
            self.feedback_waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        }
        self.history_dropped.inner().store(history.dropped(), Ordering::Relaxed);
        let report = runtime.report();
        self.rollout.update(&report, runtime.watch_state());
        self.audits.update(&report, &runtime.configuration());
        self.breaker_state.clear();
        for upstream in upstreams.current().iter() {
            let held = upstreams.snapshot(upstream).state;
            for (state, name) in [
                (BreakerState::Closed, "closed"),
                (BreakerState::Open, "open"),
                (BreakerState::HalfOpen, "half_open"),
            ] {
                let labels = BreakerLabels { candidate: upstream.candidate.name.clone(), state: name };
                self.breaker_state.get_or_create(&labels).set(i64::from(held == state));
            }
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// One more, until it is dropped.
#[derive(Debug)]
pub struct GaugeGuard(Gauge<i64, AtomicI64>);

impl GaugeGuard {
    fn new(gauge: &Gauge<i64, AtomicI64>) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A tier as answers and metrics name it.
pub(crate) fn tier_name(tier: Tier) -> &'static str {
    match tier {
        Tier::Lightweight => "Lightweight",
        Tier::Powerful => "Powerful",
    }
}
