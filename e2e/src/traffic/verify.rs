//! Whether acknowledged feedback is still there: the pod that owns the decision is sent other feedback for it, and
//! refuses it as long as it has the first.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use futures::{StreamExt as _, stream};
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::sender::http_client;

/// Where the owners are.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyWish {
    /// Domain of the pods: `<pod>.<domain>`.
    pub domain: String,
    /// Port of the data plane.
    pub port: u16,
}

/// What the owners said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    /// Feedback that was acknowledged to this client.
    pub acknowledged: u64,
    /// Of that, what its owner had already.
    pub kept: u64,
    /// Decisions whose feedback its owner did not have, at most 20.
    pub lost: Vec<String>,
    /// Decisions whose owner did not answer, at most 20.
    pub unanswered: Vec<String>,
}

/// Feedback that was acknowledged, by decision.
#[derive(Default)]
pub(super) struct Acknowledged(Mutex<BTreeMap<String, Value>>);

impl Acknowledged {
    pub(super) fn add(&self, decision_id: &str, body: Value) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(decision_id.to_owned(), body);
    }

    fn all(&self) -> Vec<(String, Value)> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.iter().map(|(id, body)| (id.clone(), body.clone())).collect()
    }
}

fn other_feedback(body: &Value) -> Value {
    let mut other = body.clone();
    other["idempotency_key"] = "asks whether the first is there".into();
    other
}

/// Owners that are asked at the same time: one after the other, a slow disk makes this longer than a proxied request
/// may take.
const AT_ONCE: usize = 16;
/// Decisions that are named, of each kind.
const NAMED: usize = 20;

pub(super) async fn verify(acknowledged: &Acknowledged, wish: &VerifyWish) -> Verified {
    let http = http_client();
    let asked = acknowledged.all().into_iter().map(|(decision_id, body)| {
        // td1.<pod>.<arm>...: the owner is named in the id.
        let pod = decision_id.split('.').nth(1).unwrap_or_default();
        let url = format!("http://{pod}.{}:{}/v1/feedback", wish.domain, wish.port);
        let answer = http.post(url).json(&other_feedback(&body)).send();
        async move { (decision_id, answer.await.map(|response| response.status())) }
    });
    let mut answers = stream::iter(asked).buffer_unordered(AT_ONCE);
    let mut verified = Verified::default();
    while let Some((decision_id, answer)) = answers.next().await {
        verified.acknowledged += 1;
        match answer {
            Ok(StatusCode::CONFLICT) => verified.kept += 1,
            Ok(status) if status.is_success() => name(&mut verified.lost, decision_id),
            Ok(status) => name(&mut verified.unanswered, format!("{decision_id}: {status}")),
            Err(error) => name(&mut verified.unanswered, format!("{decision_id}: {error}")),
        }
    }
    verified
}

fn name(list: &mut Vec<String>, decision: String) {
    if list.len() < NAMED {
        list.push(decision);
    }
}
