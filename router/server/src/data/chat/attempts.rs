//! One candidate after the other, until one answers or time and tries are used up. Once the first byte has gone to the
//! client, there is no other candidate any more.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{body::Body, response::Response};
use http::HeaderMap;
use tinydancer_engine::breaker::{Admission, Outcome, Permit};

use super::{
    Route,
    account::{self, Account, End},
    body::ChatBody,
    headers, no_upstream, relay,
};
use crate::{
    audit::Answer,
    data::{DataPlane, error::ApiError, route::reason},
    metrics::tier_name,
    upstream::{Failure, Reply, Upstream, Usage},
};

/// Candidates one request may cost.
const MOST_TRIES: u32 = 4;
/// Why a candidate answers that the caller named.
const REQUESTED: &str = "requested";

/// Answers a chat request with the first candidate that can.
///
/// # Errors
/// 503 where none can.
pub(super) async fn answer(
    plane: &Arc<DataPlane>,
    chat: &ChatBody<'_>,
    route: &Route,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let started = Instant::now();
    let mut tries = Tries { plane, started, made: 0, failed: None, retry_after: None };
    for upstream in &route.upstreams {
        let Some((permit, within)) = tries.next(upstream) else { continue };
        let body = chat.with_model(&upstream.candidate.model);
        let key = plane.upstreams.key(upstream);
        let headers = headers::to_upstream(headers);
        let asked = Instant::now();
        match plane.client.chat(&upstream.candidate, key, headers, body, within).await {
            Ok(reply) => {
                plane.metrics.upstream_time(&upstream.candidate.name, asked.elapsed().as_secs_f64());
                let decision = route.decision.clone();
                let audited = decision.as_ref().filter(|_| reply.status().is_success());
                let recording = audited.and_then(|decision| plane.auditor.open(chat.bytes(), decision));
                let account = Account::open(plane, upstream, decision, recording, permit, started);
                return Ok(pass_on(plane, reply, upstream, route, account));
            }
            Err(failure) => tries.failed(upstream, permit, failure),
        }
    }
    if let Some(decision) = &route.decision {
        plane.runtime.record_outcome(&decision.id, decision.explored, account::unanswered(started));
    }
    Err(no_upstream().retry_after(tries.retry_after.unwrap_or_default()))
}

struct Tries<'a> {
    plane: &'a DataPlane,
    started: Instant,
    made: u32,
    /// The candidate that failed last.
    failed: Option<&'a str>,
    /// When the first of those that refused may be asked again.
    retry_after: Option<Duration>,
}

impl<'a> Tries<'a> {
    /// The right to ask this candidate and the time it has; `None` where it is not to be asked.
    fn next(&mut self, upstream: &'a Upstream) -> Option<(Permit, Duration)> {
        let limits = &self.plane.limits;
        let left = limits.chain_within.saturating_sub(self.started.elapsed());
        if self.made >= MOST_TRIES || left.is_zero() || !self.plane.upstreams.has_key(upstream) {
            return None;
        }
        let permit = match self.plane.upstreams.admit(upstream) {
            Admission::Admit(permit) => permit,
            Admission::Refuse { retry_after } => {
                self.come_again(Some(retry_after));
                return None;
            }
        };
        if let Some(failed) = self.failed.take() {
            self.plane.metrics.failover(failed, &upstream.candidate.name);
        }
        self.made += 1;
        Some((permit, left.min(limits.upstream_within)))
    }

    fn failed(&mut self, upstream: &'a Upstream, permit: Permit, failure: Failure) {
        let name = &upstream.candidate.name;
        self.plane.upstreams.record(upstream, permit, Outcome::Failure);
        self.plane.metrics.upstream(name, failure.as_str());
        let status = failure.status().map(|status| status.as_u16());
        tracing::warn!(candidate = %name, failure = failure.as_str(), status, "upstream failed");
        self.failed = Some(name);
        if let Failure::Status { retry_after, .. } = failure {
            self.come_again(retry_after);
        }
    }

    fn come_again(&mut self, after: Option<Duration>) {
        self.retry_after = match (self.retry_after, after) {
            (Some(held), Some(after)) => Some(held.min(after)),
            (held, after) => held.or(after),
        };
    }
}

fn pass_on(
    plane: &DataPlane,
    reply: Reply,
    upstream: &Upstream,
    route: &Route,
    account: Account,
) -> Response {
    let (status, answered, body) = match reply {
        Reply::Whole { status, headers, body } => {
            if status.is_success() {
                account.complete(Usage::of_answer(&body), Some(Answer::Body(body.clone())));
            } else {
                account.settle(End::Refused, None);
            }
            (status, headers, Body::from(body))
        }
        Reply::Begun { status, headers, events, first, rest } => {
            let silence = plane.limits.stream_silence;
            (status, headers, relay::body(first, rest, events, account, silence))
        }
    };
    let decision = route.decision.as_deref();
    let why = decision.map_or(REQUESTED, |decision| {
        reason(decision.tier, decision.reason, tier_name(upstream.candidate.tier))
    });
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers::to_client(&answered);
    headers::add_routing(response.headers_mut(), upstream, decision, why);
    response
}
