//! `GET /v1/models`: what may stand in `model`.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Serialize;

use super::{AUTO, DataPlane};

/// A list in OpenAI's shape.
#[derive(Debug, Serialize)]
pub(super) struct ModelList {
    object: &'static str,
    data: Vec<Model>,
}

#[derive(Debug, Serialize)]
struct Model {
    id: String,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
}

/// `auto` and every candidate by name.
pub(super) async fn list(State(plane): State<Arc<DataPlane>>) -> Json<ModelList> {
    let model = |id: String| Model { id, object: "model", created: 0, owned_by: "tiny-dancer" };
    let candidates = plane.upstreams.current();
    let names = candidates.iter().map(|upstream| upstream.candidate.name.clone());
    let data = std::iter::once(AUTO.to_owned()).chain(names).map(model).collect();
    Json(ModelList { object: "list", data })
}
