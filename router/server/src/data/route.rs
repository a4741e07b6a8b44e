//! `POST /v1/route` and `/v1/route/batch`: decide, send nothing.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tinydancer_crds::routing_policy::Tier;
use tinydancer_engine::calibration::ConformalSet;

use super::{
    DataPlane,
    body::{parse, read},
    error::{ApiError, ErrorEnvelope},
    request::RouteRequest,
    sticky,
};
use crate::{
    metrics::tier_name,
    runtime::{DecisionInput, RoutingDecision},
    upstream::{Upstream, chain},
};

/// Requests in a batch.
const LARGEST_BATCH: usize = 256;
/// Decisions after which other requests have their turn.
const DECISIONS_IN_A_ROW: usize = 16;

/// A decision as clients see it.
#[derive(Debug, Serialize)]
struct RouteAnswer {
    decision_id: String,
    #[serde(flatten)]
    first: Choice,
    fallbacks: Vec<Choice>,
    arm: &'static str,
    digest: Option<String>,
    score: Option<f32>,
    confidence: Option<f32>,
    uncertainty: Option<f32>,
    novelty: Option<f32>,
    set: Option<Vec<&'static str>>,
    known_tags: Option<usize>,
    abstained: bool,
    reason: &'static str,
    classified: bool,
    explored: bool,
    latency_us: Latency,
}

/// One candidate.
#[derive(Debug, Serialize)]
struct Choice {
    candidate: String,
    model: String,
    tier: &'static str,
}

#[derive(Debug, Serialize)]
struct Latency {
    features: f64,
    inference: f64,
    total: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchRequest<'a> {
    #[serde(borrow)]
    requests: Vec<&'a RawValue>,
}

#[derive(Debug, Serialize)]
struct BatchAnswer<T> {
    decisions: Vec<T>,
}

/// Decides on one request.
pub(super) async fn one(
    State(plane): State<Arc<DataPlane>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let body = read(&plane, body, plane.limits.small_body).await?;
    let request: RouteRequest<'_> = parse(&body)?;
    Ok(Json(decide(&plane, &request, &headers)?).into_response())
}

/// Decides on many requests; what is wrong with one does not hurt the others.
pub(super) async fn batch(
    State(plane): State<Arc<DataPlane>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let body = read(&plane, body, plane.limits.small_body).await?;
    let batch: BatchRequest<'_> = parse(&body)?;
    if batch.requests.len() > LARGEST_BATCH {
        return Err(ApiError::field("requests", &format!("must have at most {LARGEST_BATCH} entries")));
    }
    let mut results = Vec::with_capacity(batch.requests.len());
    for (index, request) in batch.requests.iter().enumerate() {
        let result = parse(request.get().as_bytes()).and_then(|request| decide(&plane, &request, &headers));
        results.push(result.map_err(|error| error.within(&format!("requests[{index}]"))));
        if index % DECISIONS_IN_A_ROW == DECISIONS_IN_A_ROW - 1 {
            tokio::task::yield_now().await;
        }
    }
    let decisions =
        results.iter().map(|result| result.as_ref().map_err(ApiError::envelope)).map(BatchItem::from);
    Ok(Json(BatchAnswer { decisions: decisions.collect() }).into_response())
}

/// A decision, or what is wrong with the request.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum BatchItem<'a> {
    Decided(&'a RouteAnswer),
    Refused(ErrorEnvelope<'a>),
}

impl<'a> From<Result<&'a RouteAnswer, ErrorEnvelope<'a>>> for BatchItem<'a> {
    fn from(result: Result<&'a RouteAnswer, ErrorEnvelope<'a>>) -> Self {
        match result {
            Ok(answer) => Self::Decided(answer),
            Err(error) => Self::Refused(error),
        }
    }
}

fn decide(
    plane: &DataPlane,
    request: &RouteRequest<'_>,
    headers: &HeaderMap,
) -> Result<RouteAnswer, ApiError> {
    request.check()?;
    let upstreams = allowed(plane, request.candidates.as_deref())?;
    let sticky_key = sticky::key(request.conversation.as_deref(), request.user.as_deref(), headers);
    let embedding = request.embedding.as_deref();
    if let Some(embedding) = embedding {
        plane.runtime.check_embedding(embedding).map_err(|rule| ApiError::field("embedding", &rule))?;
    }
    let input = DecisionInput { text: request.text(), tags: &request.tags, embedding, sticky_key };
    let decision = plane.runtime.decide(&input);
    plane.metrics.decision(&decision);
    answer(plane, &upstreams, &decision)
}

/// The candidates that the request may be sent to, cheapest first.
fn allowed(plane: &DataPlane, names: Option<&[String]>) -> Result<Vec<Arc<Upstream>>, ApiError> {
    let all = plane.upstreams.current();
    let Some(names) = names else { return Ok(all.to_vec()) };
    for (index, name) in names.iter().enumerate() {
        if !all.iter().any(|upstream| upstream.candidate.name == *name) {
            return Err(ApiError::field(format!("candidates[{index}]"), "must be a candidate of the policy"));
        }
    }
    Ok(all.iter().filter(|upstream| names.contains(&upstream.candidate.name)).cloned().collect())
}

fn answer(
    plane: &DataPlane,
    upstreams: &[Arc<Upstream>],
    decision: &RoutingDecision,
) -> Result<RouteAnswer, ApiError> {
    let standings: Vec<_> = upstreams.iter().map(|upstream| plane.upstreams.standing(upstream)).collect();
    let order = chain(&standings, decision.tier, decision.fallback);
    let mut choices =
        order.iter().filter_map(|&position| upstreams.get(position)).map(|upstream| choice(upstream));
    let first = choices.next().ok_or_else(super::chat::no_upstream)?;
    Ok(RouteAnswer {
        decision_id: decision.id.to_string(),
        reason: reason(decision.tier, decision.reason, first.tier),
        first,
        fallbacks: choices.collect(),
        arm: decision.arm.as_str(),
        digest: decision.digest.map(|digest| digest.to_string()),
        score: decision.score,
        confidence: decision.confidence,
        uncertainty: decision.uncertainty,
        novelty: decision.novelty,
        set: decision.set.map(labels),
        known_tags: decision.known_tags,
        abstained: decision.abstained,
        classified: decision.classified,
        explored: decision.explored,
        latency_us: Latency {
            features: decision.latency.features_us,
            inference: decision.latency.inference_us,
            total: decision.latency.total_us,
        },
    })
}

/// What a conformal set holds.
pub(super) fn labels(set: ConformalSet) -> Vec<&'static str> {
    let held = [(set.good_enough, "good_enough"), (set.not_good_enough, "not_good_enough")];
    held.into_iter().filter_map(|(holds, label)| holds.then_some(label)).collect()
}

/// Why this tier answers: the decision's reason, or that the decided tier cannot.
pub(super) fn reason(decided: Tier, why: &'static str, answers: &str) -> &'static str {
    match decided {
        _ if tier_name(decided) == answers => why,
        Tier::Lightweight => "lightweight_unavailable",
        Tier::Powerful => "powerful_unavailable",
    }
}

fn choice(upstream: &Upstream) -> Choice {
    let candidate = &upstream.candidate;
    Choice {
        candidate: candidate.name.clone(),
        model: candidate.model.clone(),
        tier: tier_name(candidate.tier),
    }
}
