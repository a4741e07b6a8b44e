//! `POST /v1/chat/completions`: decide, send, and pass the answer on.

mod account;
mod attempts;
mod body;
mod events;
mod headers;
mod relay;
mod tags;

use std::sync::Arc;

use axum::{body::Body, extract::State, response::Response};
use http::{HeaderMap, StatusCode};

use self::body::ChatBody;
use super::{AUTO, DataPlane, body::read, error::ApiError, sticky};
use crate::{
    runtime::{DecisionInput, RoutingDecision},
    upstream::{Upstream, chain},
};

/// Whom to ask, first choice first, and the decision behind it; none where the caller named the model.
#[derive(Debug)]
struct Route {
    upstreams: Vec<Arc<Upstream>>,
    decision: Option<Arc<RoutingDecision>>,
}

/// Answers a chat request.
pub(super) async fn completions(
    State(plane): State<Arc<DataPlane>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let bytes = read(&plane, body, plane.limits.chat_body).await?;
    let chat = ChatBody::read(&bytes)?;
    let route = route(&plane, &chat, &headers)?;
    attempts::answer(&plane, &chat, &route, &headers).await
}

fn route(plane: &DataPlane, chat: &ChatBody<'_>, headers: &HeaderMap) -> Result<Route, ApiError> {
    let all = plane.upstreams.current();
    if chat.model != AUTO {
        let named = named(&all, &chat.model);
        if !named.is_empty() {
            return Ok(Route { upstreams: named, decision: None });
        }
        if chat.model != plane.policy {
            return Err(ApiError::new(
                StatusCode::NOT_FOUND,
                "model_not_found",
                "`model` must be 'auto', the policy's name or one of its candidates: GET /v1/models lists them",
            )
            .about("model"));
        }
    }
    let tags = tags::read(headers)?;
    let sticky_key = sticky::key(None, chat.user(), headers);
    let input = DecisionInput { text: chat.text(), tags: &tags, embedding: None, sticky_key };
    let decision = plane.runtime.decide(&input);
    plane.metrics.decision(&decision);
    let standings: Vec<_> = all.iter().map(|upstream| plane.upstreams.standing(upstream)).collect();
    let order = chain(&standings, decision.tier, decision.fallback);
    let upstreams = order.into_iter().filter_map(|position| all.get(position).cloned()).collect();
    Ok(Route { upstreams, decision: Some(Arc::new(decision)) })
}

/// The candidate of this name, or all candidates with this model, cheapest first.
fn named(all: &[Arc<Upstream>], model: &str) -> Vec<Arc<Upstream>> {
    let by_name = all.iter().find(|upstream| upstream.candidate.name == model);
    by_name.map_or_else(
        || all.iter().filter(|upstream| upstream.candidate.model == model).cloned().collect(),
        |upstream| vec![Arc::clone(upstream)],
    )
}

/// 503: nobody can answer.
pub(super) fn no_upstream() -> ApiError {
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "no_upstream",
        "no upstream can answer right now: try again later",
    )
}
