//! What is owed when an answer has ended: to the breaker, the metrics and the history.

use std::{sync::Arc, time::Instant};

use tinydancer_crds::routing_policy::Tier;
use tinydancer_engine::breaker::{Outcome, Permit};

use crate::{
    audit::{Answer, Recording},
    data::DataPlane,
    runtime::{RoutingDecision, UpstreamOutcome},
    upstream::{Upstream, Usage, cost_micro_dollars},
};

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It came whole.
    Complete,
    /// The request itself was refused; says nothing about the upstream.
    Refused,
    /// It broke off.
    Broken,
    /// The client went away.
    Abandoned,
}

impl End {
    fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "success",
            Self::Refused => "client_error",
            Self::Broken => "truncated",
            Self::Abandoned => "abandoned",
        }
    }
}

/// An answer under way. Dropped before it was settled, it counts as abandoned.
#[derive(Debug)]
pub(super) struct Account {
    plane: Arc<DataPlane>,
    upstream: Arc<Upstream>,
    decision: Option<Arc<RoutingDecision>>,
    /// There is one where the answer is to be audited.
    recording: Option<Recording>,
    /// Taken when the account is settled.
    permit: Option<Permit>,
    started: Instant,
}

impl Account {
    /// Opens the account of an answer; `decision` is there if the request was routed, `recording` if it is to be audited.
    pub(super) fn open(
        plane: &Arc<DataPlane>,
        upstream: &Arc<Upstream>,
        decision: Option<Arc<RoutingDecision>>,
        recording: Option<Recording>,
        permit: Permit,
        started: Instant,
    ) -> Self {
        Self {
            plane: Arc::clone(plane),
            upstream: Arc::clone(upstream),
            decision,
            recording,
            permit: Some(permit),
            started,
        }
    }

    /// Whether the answer is to be audited.
    pub(super) fn is_audited(&self) -> bool {
        self.recording.is_some()
    }

    /// Says that the answer came whole, and what it was where it is to be audited.
    pub(super) fn complete(mut self, usage: Option<Usage>, answer: Option<Answer>) {
        self.close(End::Complete, usage);
        if let (Some(recording), Some(answer)) = (self.recording.take(), answer) {
            recording.answered(self.upstream.candidate.tier, answer);
        }
    }

    /// Says how else the answer ended.
    pub(super) fn settle(mut self, end: End, usage: Option<Usage>) {
        self.close(end, usage);
    }

    fn close(&mut self, end: End, usage: Option<Usage>) {
        let Some(permit) = self.permit.take() else { return };
        let candidate = &self.upstream.candidate;
        self.plane.metrics.upstream(&candidate.name, end.as_str());
        match end {
            End::Complete => self.plane.upstreams.record(&self.upstream, permit, Outcome::Success),
            End::Broken => self.plane.upstreams.record(&self.upstream, permit, Outcome::Failure),
            End::Refused | End::Abandoned => drop(permit),
        }
        if end == End::Complete || usage.is_some() {
            let all = self.plane.upstreams.current();
            let powerful =
                all.iter().map(|upstream| &upstream.candidate).find(|other| other.tier == Tier::Powerful);
            self.plane.metrics.usage(candidate, usage, powerful.filter(|_| self.decision.is_some()));
        }
        if let (Some(decision), End::Complete | End::Broken) = (&self.decision, end) {
            let outcome = outcome(end == End::Complete, self.started, usage, &self.upstream);
            self.plane.runtime.record_outcome(&decision.id, decision.explored, outcome);
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.close(End::Abandoned, None);
    }
}

fn outcome(succeeded: bool, started: Instant, usage: Option<Usage>, upstream: &Upstream) -> UpstreamOutcome {
    let cost = usage.map(|usage| cost_micro_dollars(usage, upstream.candidate.cost).round() as u64);
    UpstreamOutcome {
        succeeded,
        latency_millis: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        prompt_tokens: usage.map(|usage| usage.input_tokens),
        completion_tokens: usage.map(|usage| usage.output_tokens),
        cost_micro_dollars: cost,
    }
}

/// The outcome of a request that nobody answered.
pub(super) fn unanswered(started: Instant) -> UpstreamOutcome {
    UpstreamOutcome {
        succeeded: false,
        latency_millis: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        prompt_tokens: None,
        completion_tokens: None,
        cost_micro_dollars: None,
    }
}
