//! A small OpenAI-compatible upstream whose answers, delays and faults can be set while it runs.
//!
//! `POST /v1/chat/completions` answers, `PUT /behaviour` sets how, `GET /stats` counts, `POST /grade` grades two answers.

mod grade;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How the upstream answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Behaviour {
    /// Words of each answer.
    pub answer_words: usize,
    /// Milliseconds before the first byte.
    pub delay_millis: u64,
    /// Milliseconds between two events of a stream.
    pub event_delay_millis: u64,
    /// Of a thousand requests, how many are answered with `status`.
    pub fault_permille: u64,
    /// The status of a fault.
    pub status: u16,
    /// Streams end without their last event.
    pub truncate_streams: bool,
    /// Of a thousand prompts, for how many the Lightweight answer is graded wrong.
    pub wrong_permille: u64,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            answer_words: 12,
            delay_millis: 2,
            event_delay_millis: 0,
            fault_permille: 0,
            status: 503,
            truncate_streams: false,
            wrong_permille: 0,
        }
    }
}

/// What the upstream has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Requests that came.
    pub requests: u64,
    /// Requests that were answered with a fault.
    pub faults: u64,
    /// Requests that carried a bearer token.
    pub with_key: u64,
}

#[derive(Default)]
struct Shared {
    behaviour: Mutex<Behaviour>,
    requests: AtomicU64,
    faults: AtomicU64,
    with_key: AtomicU64,
}

impl Shared {
    fn behaviour(&self) -> Behaviour {
        self.behaviour.lock().map_or_else(|poisoned| poisoned.into_inner().clone(), |held| held.clone())
    }
}

/// The upstream's routes.
pub fn router(behaviour: Behaviour) -> Router {
    let shared = Arc::new(Shared { behaviour: Mutex::new(behaviour), ..Shared::default() });
    Router::new()
        .route("/v1/chat/completions", post(complete))
        .route("/behaviour", put(behave))
        .route("/stats", get(stats))
        .route("/grade", post(grade::grade))
        .route("/livez", get(|| async { "ok" }))
        .with_state(shared)
}

async fn behave(State(shared): State<Arc<Shared>>, Json(wanted): Json<Behaviour>) -> StatusCode {
    if let Ok(mut held) = shared.behaviour.lock() {
        *held = wanted;
    }
    StatusCode::NO_CONTENT
}

async fn stats(State(shared): State<Arc<Shared>>) -> Json<Stats> {
    Json(Stats {
        requests: shared.requests.load(Ordering::Relaxed),
        faults: shared.faults.load(Ordering::Relaxed),
        with_key: shared.with_key.load(Ordering::Relaxed),
    })
}

async fn complete(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let number = shared.requests.fetch_add(1, Ordering::Relaxed);
    if headers.contains_key(header::AUTHORIZATION) {
        shared.with_key.fetch_add(1, Ordering::Relaxed);
    }
    let behaviour = shared.behaviour();
    tokio::time::sleep(Duration::from_millis(behaviour.delay_millis)).await;
    // Spread evenly, so that a share of 100 in a thousand is every tenth request.
    if (number * behaviour.fault_permille) % 1000 + behaviour.fault_permille >= 1000 {
        shared.faults.fetch_add(1, Ordering::Relaxed);
        return fault(behaviour.status);
    }
    let Ok(request) = serde_json::from_slice::<Value>(&body) else {
        return (StatusCode::BAD_REQUEST, error("the body must be JSON")).into_response();
    };
    let Some(model) = request.get("model").and_then(Value::as_str) else {
        return (StatusCode::BAD_REQUEST, error("`model` must be a string")).into_response();
    };
    let answer = Answer { number, model: model.to_owned(), words: behaviour.answer_words };
    if request.get("stream").and_then(Value::as_bool) == Some(true) {
        stream(&answer, &behaviour)
    } else {
        Json(answer.whole(prompt_tokens(&request))).into_response()
    }
}

fn error(message: &str) -> Json<Value> {
    Json(json!({ "error": { "message": message, "type": "invalid_request_error" } }))
}

fn fault(status: u16) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    (status, error("a fault that was asked for")).into_response()
}

/// Tokens are counted as words: the upstream has no tokenizer, and the numbers only need to be steady.
fn prompt_tokens(request: &Value) -> usize {
    let messages = request.get("messages").and_then(Value::as_array);
    let contents = messages.into_iter().flatten().filter_map(|message| message.get("content")?.as_str());
    contents.map(|content| content.split_whitespace().count()).sum()
}

struct Answer {
    number: u64,
    model: String,
    words: usize,
}

impl Answer {
    fn whole(&self, prompt_tokens: usize) -> Value {
        let content = vec!["word"; self.words].join(" ");
        json!({
            "id": format!("chatcmpl-{}", self.number),
            "object": "chat.completion",
            "model": self.model,
            "choices": [{
                "index": 0,
                "message": { "role": "assistant", "content": content },
                "finish_reason": "stop",
            }],
            "usage": {
                "prompt_tokens": prompt_tokens,
                "completion_tokens": self.words,
                "total_tokens": prompt_tokens + self.words,
            },
        })
    }

    fn event(&self, word: &str, last: bool) -> String {
        let event = json!({
            "id": format!("chatcmpl-{}", self.number),
            "object": "chat.completion.chunk",
            "model": self.model,
            "choices": [{
                "index": 0,
                "delta": { "content": word },
                "finish_reason": if last { json!("stop") } else { Value::Null },
            }],
        });
        format!("data: {event}\n\n")
    }
}

fn stream(answer: &Answer, behaviour: &Behaviour) -> Response {
    let mut events: Vec<_> =
        (0..answer.words).map(|word| answer.event("word ", word + 1 == answer.words)).collect();
    if behaviour.truncate_streams {
        events.pop();
    } else {
        events.push("data: [DONE]\n\n".to_owned());
    }
    let pause = Duration::from_millis(behaviour.event_delay_millis);
    let body = futures::stream::unfold(events.into_iter(), move |mut rest| async move {
        let event = rest.next()?;
        tokio::time::sleep(pause).await;
        Some((Ok::<_, std::convert::Infallible>(event), rest))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(body)).into_response()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_share_of_faults_is_spread_evenly() {
        for permille in [0, 1, 100, 500, 1000] {
            let faults = (0..1000_u64).filter(|number| (number * permille) % 1000 + permille >= 1000).count();
            assert_eq!(faults as u64, permille);
        }
    }
}
