//! From a reply that has ended to a pair of grades.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;
use tinydancer_crds::{routing_policy::Tier, valid};
use tinydancer_engine::breaker::BreakerState;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    answer::{Answer, MOST_BYTES},
    grader::{Answers, GradeError, Grader},
    request,
};
use crate::{
    metrics::Metrics,
    runtime::{AuditedDecision, Grades, RoutingDecision, Runtime},
    upstream::{Client, Reply, Upstream, Upstreams, Usage},
};

/// Audits that call upstreams and grader at the same time.
const AT_ONCE: usize = 16;
/// Audits that wait for that, or for their reply to end; more are given up.
const WAITING: usize = 256;

/// What became of an audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum AuditResult {
    /// Both answers are graded, and the pair is kept.
    Graded,
    /// Too many are under way, or the configuration is another one meanwhile.
    Dropped,
    /// Request or answer is longer than is audited.
    TooLarge,
    /// The client got no whole answer, or one without text.
    Unanswered,
    /// No candidate of the other tier has its key and a closed breaker.
    NoCandidate,
    /// The other tier gave no answer with text.
    UpstreamFailed,
    /// The grader gave no answer.
    GraderFailed,
    /// The grader's answer was not two grades.
    GraderMalformed,
    /// The history did not take the pair.
    NotKept,
}

impl AuditResult {
    /// The word in metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Graded => "graded",
            Self::Dropped => "dropped",
            Self::TooLarge => "too_large",
            Self::Unanswered => "unanswered",
            Self::NoCandidate => "no_candidate",
            Self::UpstreamFailed => "upstream_failed",
            Self::GraderFailed => "grader_failed",
            Self::GraderMalformed => "grader_malformed",
            Self::NotKept => "not_kept",
        }
    }
}

/// Audits requests after their replies. Ends with the process: what is not graded by then never is.
pub(crate) struct Auditor {
    runtime: Arc<Runtime>,
    upstreams: Arc<Upstreams>,
    client: Client,
    metrics: Arc<Metrics>,
    /// Time the other tier has to answer.
    upstream_within: Duration,
    places: Arc<Semaphore>,
    at_once: Semaphore,
    /// Whether the grader gave grades when it was asked last.
    grader_works: AtomicBool,
}

impl fmt::Debug for Auditor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Auditor").finish_non_exhaustive()
    }
}

impl Auditor {
    /// Nothing is under way.
    pub(crate) fn new(
        runtime: Arc<Runtime>,
        upstreams: Arc<Upstreams>,
        client: Client,
        metrics: Arc<Metrics>,
        upstream_within: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            runtime,
            upstreams,
            client,
            metrics,
            upstream_within,
            places: Arc::new(Semaphore::new(WAITING + AT_ONCE)),
            at_once: Semaphore::new(AT_ONCE),
            grader_works: AtomicBool::new(true),
        })
    }

    /// Holds a request for its audit while its answer is under way; `None` where it is not to be audited. Never waits.
    pub(crate) fn open(self: &Arc<Self>, request: &Bytes, decision: &RoutingDecision) -> Option<Recording> {
        let decision = decision.audit.clone()?;
        if request.len() > MOST_BYTES {
            self.metrics.audit(AuditResult::TooLarge);
            return None;
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            self.metrics.audit(AuditResult::Dropped);
            return None;
        };
        Some(Recording { auditor: Arc::clone(self), decision, request: request.clone(), place: Some(place) })
    }

    /// The whole audit.
    async fn audit(
        &self,
        request: &Bytes,
        decision: &AuditedDecision,
        tier: Tier,
        answer: Answer,
    ) -> Result<(), AuditResult> {
        // The semaphore is never closed.
        let _running = self.at_once.acquire().await.map_err(|_| AuditResult::Dropped)?;
        let configuration = self.runtime.configuration();
        // The answer that is there was given under the configuration of the decision.
        let audit = configuration.audit.as_ref().filter(|_| decision.was_made_under(&configuration));
        let audit = audit.ok_or(AuditResult::Dropped)?;
        let first = answer.into_text().ok_or(AuditResult::Unanswered)?;
        let second = self.ask_other(request, tier).await?;
        let answers = match tier {
            Tier::Lightweight => Answers { lightweight: first, powerful: second },
            Tier::Powerful => Answers { lightweight: second, powerful: first },
        };
        let grades = self.grade(audit, request, &answers).await?;
        if self.runtime.record_audit(decision, grades) { Ok(()) } else { Err(AuditResult::NotKept) }
    }

    /// The answer of the cheapest candidate of the other tier. Its breaker must be closed and hears nothing of the call: an
    /// audit neither takes a probe nor mends or breaks what requests of clients have found.
    async fn ask_other(&self, request: &Bytes, tier: Tier) -> Result<String, AuditResult> {
        let all = self.upstreams.current();
        let other = all.iter().find(|upstream| upstream.candidate.tier != tier && self.is_well(upstream));
        let upstream = other.ok_or(AuditResult::NoCandidate)?;
        let body = request::for_model(request, &upstream.candidate.model);
        let body = body.ok_or(AuditResult::UpstreamFailed)?;
        let key = self.upstreams.key(upstream);
        let reply =
            self.client.chat(&upstream.candidate, key, HeaderMap::new(), body, self.upstream_within).await;
        match reply {
            Ok(Reply::Whole { status, body, .. }) if status.is_success() => {
                self.metrics.audit_cost(&upstream.candidate, Usage::of_answer(&body));
                let answer = Answer::Body(body);
                if answer.is_too_large() {
                    return Err(AuditResult::TooLarge);
                }
                answer.into_text().ok_or(AuditResult::UpstreamFailed)
            }
            Ok(Reply::Begun { events: false, status, .. }) if status.is_success() => {
                Err(AuditResult::TooLarge)
            }
            Ok(_) => Err(AuditResult::UpstreamFailed),
            Err(failure) => {
                let candidate = &upstream.candidate.name;
                tracing::debug!(
                    candidate,
                    failure = failure.as_str(),
                    "the second answer of an audit failed"
                );
                Err(AuditResult::UpstreamFailed)
            }
        }
    }

    fn is_well(&self, upstream: &Upstream) -> bool {
        self.upstreams.has_key(upstream) && self.upstreams.snapshot(upstream).state == BreakerState::Closed
    }

    async fn grade(
        &self,
        audit: &valid::Audit,
        request: &Bytes,
        answers: &Answers,
    ) -> Result<Grades, AuditResult> {
        let grader = Grader {
            client: &self.client,
            endpoint: &audit.grader.endpoint,
            within: Duration::from_secs(audit.grader.timeout_seconds.into()),
        };
        let messages = request::messages(request).ok_or(AuditResult::Unanswered)?;
        let key = if audit.grader.api_key { self.upstreams.grader_key() } else { None };
        let graded = grader.grade(key, messages, answers).await;
        let worked = self.grader_works.swap(graded.is_ok(), Ordering::Relaxed);
        match &graded {
            Err(error) if worked => tracing::warn!(%error, "audits cannot be graded"),
            Ok(_) if !worked => tracing::info!("audits are graded again"),
            _ => {}
        }
        graded.map_err(|error| match error {
            GradeError::Failed(_) | GradeError::Refused(_) => AuditResult::GraderFailed,
            GradeError::Malformed => AuditResult::GraderMalformed,
        })
    }
}

/// A request that is to be audited once its answer has ended. Dropped before that, it counts as unanswered.
pub(crate) struct Recording {
    auditor: Arc<Auditor>,
    decision: Box<AuditedDecision>,
    request: Bytes,
    /// Taken with the answer.
    place: Option<OwnedSemaphorePermit>,
}

impl fmt::Debug for Recording {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Recording").finish_non_exhaustive()
    }
}

impl Recording {
    /// The client has the whole answer, from this tier: the audit begins, beside everything else.
    pub(crate) fn answered(mut self, tier: Tier, answer: Answer) {
        let Some(place) = self.place.take() else { return };
        let auditor = Arc::clone(&self.auditor);
        if answer.is_too_large() {
            return auditor.metrics.audit(AuditResult::TooLarge);
        }
        tokio::spawn(async move {
            let audited = auditor.audit(&self.request, &self.decision, tier, answer).await;
            auditor.metrics.audit(audited.err().unwrap_or(AuditResult::Graded));
            drop(place);
        });
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if self.place.is_some() {
            self.auditor.metrics.audit(AuditResult::Unanswered);
        }
    }
}
