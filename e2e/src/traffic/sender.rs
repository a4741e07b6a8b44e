//! Sends at a rate, whatever comes back.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use tokio::{sync::Semaphore, time::MissedTickBehavior};

use super::{Client, Wish};
use crate::prompts::texts;

/// Requests under way at most.
const IN_FLIGHT: usize = 64;
/// Each client keeps its own connections, so that a Service spreads them over its pods.
const CLIENTS: usize = 8;

pub(super) async fn send(client: Arc<Client>) {
    let mut wishes = client.wish.subscribe();
    let clients: Vec<_> = (0..CLIENTS).map(|_| http_client()).collect();
    let slots = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut number: u64 = 0;
    loop {
        let wish = Arc::new(wishes.borrow_and_update().clone());
        if wish.rate_per_second == 0 || wish.target.is_empty() {
            if wishes.changed().await.is_err() {
                return;
            }
            continue;
        }
        let prompts = texts(wish.prompts);
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / wish.rate_per_second);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !wishes.has_changed().unwrap_or(true) {
            ticks.tick().await;
            let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
                client.counts.with(|counts| counts.skipped += 1);
                continue;
            };
            let request = Request::new(&wish, &prompts, number);
            let http = clients[(number % CLIENTS as u64) as usize].clone();
            let (client, wish) = (Arc::clone(&client), Arc::clone(&wish));
            number += 1;
            tokio::spawn(async move {
                one(&client, &http, &wish, request).await;
                drop(slot);
            });
        }
    }
}

/// A client for plain HTTP with a time limit.
pub(super) fn http_client() -> reqwest::Client {
    // Plain HTTP only; without roots of its own the builder would look for a store that an empty image lacks.
    let builder = reqwest::Client::builder().timeout(Duration::from_secs(20)).no_proxy();
    builder.tls_certs_only(std::iter::empty()).build().unwrap_or_default()
}

struct Request {
    body: Value,
    stream: bool,
    number: u64,
}

impl Request {
    fn new(wish: &Wish, prompts: &[String], number: u64) -> Self {
        let prompt = &prompts[(number % prompts.len() as u64) as usize];
        let stream = wish.stream_every > 0 && number.is_multiple_of(wish.stream_every);
        let body = json!({
            "model": "auto",
            "stream": stream,
            "user": format!("user-{}", number % wish.conversations.max(1)),
            "messages": [{ "role": "user", "content": prompt }],
        });
        Self { body, stream, number }
    }
}

async fn one(client: &Client, http: &reqwest::Client, wish: &Wish, request: Request) {
    client.counts.with(|counts| counts.sent += 1);
    let number = request.number;
    match complete(http, wish, request).await {
        Err(error) => client.counts.failure(&format!("{error:#}")),
        Ok(answer) => {
            client.counts.with(|counts| {
                counts.answered += 1;
                *counts.by_tier.entry(answer.tier.clone()).or_default() += 1;
                *counts.by_arm.entry(answer.arm.clone()).or_default() += 1;
                *counts.by_digest.entry(answer.digest().to_owned()).or_default() += 1;
                counts.unclassified += u64::from(!answer.classified);
            });
            if wish.feedback {
                feedback(client, http, &wish.target, &answer.decision_id, number).await;
            }
        }
    }
}

struct Answer {
    decision_id: String,
    tier: String,
    arm: String,
    classified: bool,
}

impl Answer {
    /// What the decision's name says about its model: `td1.<pod>.<arm>.<digest>.<unique>.<proof>`.
    fn digest(&self) -> &str {
        self.decision_id.rsplit('.').nth(2).unwrap_or("missing")
    }
}

async fn complete(http: &reqwest::Client, wish: &Wish, request: Request) -> anyhow::Result<Answer> {
    let url = format!("{}/v1/chat/completions", wish.target);
    let response = http.post(url).json(&request.body).send().await.context("failed to send")?;
    let status = response.status();
    let header = |name: &str| {
        response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("missing").to_owned()
    };
    let answer = Answer {
        decision_id: header("x-router-decision-id"),
        tier: header("x-router-tier"),
        arm: header("x-router-arm"),
        classified: header("x-router-classified") == "true",
    };
    let body = response.text().await.context("failed to read the answer")?;
    if !status.is_success() {
        bail!("answered {status}: {body}");
    }
    if request.stream && !body.trim_end().ends_with("data: [DONE]") {
        bail!("the stream ended before its last event");
    }
    Ok(answer)
}

async fn feedback(client: &Client, http: &reqwest::Client, target: &str, decision_id: &str, number: u64) {
    let body = json!({
        "decision_id": decision_id,
        "idempotency_key": format!("feedback-{number}"),
        "outcome": if number.is_multiple_of(7) { "underpowered" } else { "good" },
        "source": "user",
    });
    let sent = http.post(format!("{target}/v1/feedback")).json(&body).send().await;
    if sent.is_ok_and(|response| response.status().is_success()) {
        client.acknowledged.add(decision_id, body);
        client.counts.with(|counts| counts.feedback_acknowledged += 1);
    } else {
        client.counts.with(|counts| counts.feedback_failed += 1);
    }
}
