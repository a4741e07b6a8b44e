//! A share of the answered requests is answered by the other tier as well, and graded; nobody waits for that.

use std::time::Duration;

use tinydancer_crds::valid::{Audit, DecisionRule, Grader};
use tinydancer_history::Tier;

use super::{
    LIGHTWEIGHT, POWERFUL, Router, Setup, header, json, pair, permille,
    upstream::{Behaviour, Upstream},
};

/// A whole answer with a text, which counts 10 and 20 tokens.
pub(crate) fn says(body: &'static str) -> Behaviour {
    Behaviour::Status(200, vec![("content-type", "application/json".to_owned())], body)
}

pub(crate) fn small_says() -> Behaviour {
    says(
        r#"{"choices":[{"message":{"content":"from small"}}],"usage":{"prompt_tokens":10,"completion_tokens":20}}"#,
    )
}

pub(crate) fn large_says() -> Behaviour {
    says(
        r#"{"choices":[{"message":{"content":"from large"}}],"usage":{"prompt_tokens":10,"completion_tokens":20}}"#,
    )
}

/// Grades Lightweight a quarter and Powerful one.
pub(crate) fn grades() -> Behaviour {
    says(r#"{"lightweight":0.25,"powerful":1}"#)
}

/// Audits of a share, graded by a small server.
pub(crate) fn audits(share: u16, grader: &Upstream) -> Audit {
    let endpoint = format!("{}/chat/completions", grader.endpoint());
    let grader = Grader { endpoint, timeout_seconds: 300, api_key: false };
    Audit { permille: permille(share), grader }
}

fn counter(result: &str) -> String {
    format!("tinydancer_router_audits_total{{result=\"{result}\"}}")
}

/// Waits until so many audits came to this.
pub(crate) async fn until(router: &Router, result: &str, count: f64) {
    let there = async {
        while router.metric(&counter(result)).await < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), there).await.is_ok();
    assert!(in_time, "not {count} {result}");
    assert_eq!(router.metric(&counter(result)).await, count, "{result}");
}

#[tokio::test]
async fn a_request_is_answered_by_the_other_tier_graded_and_kept_without_its_text() {
    let (small, large) = (Upstream::start(small_says()).await, Upstream::start(large_says()).await);
    let grader = Upstream::start(grades()).await;
    let setup = Setup { audit: Some(audits(1000, &grader)), ..Setup::default() };
    let router = Router::with(pair(&small, &large), setup).await;
    let body =
        r#"{"model":"auto","temperature":0.5,"messages":[{"role":"user","content":"Why?"}],"user":"u"}"#;
    let response = router.post("/v1/chat/completions", body).await;
    let id = header(&response, "x-router-decision-id").to_owned();
    assert_eq!(header(&response, "x-router-model"), "small");
    until(&router, "graded", 1.0).await;
    let second: serde_json::Value = serde_json::from_slice(&large.received()[0].body).unwrap();
    let expected = r#"{"model":"large-model","temperature":0.5,"messages":[{"role":"user","content":"Why?"}],"user":"u"}"#;
    assert_eq!(second, serde_json::from_str::<serde_json::Value>(expected).unwrap());
    let question: serde_json::Value = serde_json::from_slice(&grader.received()[0].body).unwrap();
    let expected = r#"{"messages":[{"role":"user","content":"Why?"}],"answers":{"lightweight":"from small","powerful":"from large"}}"#;
    assert_eq!(question, serde_json::from_str::<serde_json::Value>(expected).unwrap());
    router.history.flush().unwrap();
    let kept = router.history.pairs(10).unwrap().remove(0);
    assert_eq!((kept.decision_id, kept.tier, kept.propensity), (id, Tier::Lightweight, 1.0));
    assert_eq!((kept.lightweight, kept.powerful), (0.25, 1.0));
    let cost =
        async |kind| router.metric(&format!("tinydancer_router_cost_dollars_total{{kind=\"{kind}\"}}")).await;
    assert!(
        (cost("actual").await - 7e-6).abs() < 1e-12,
        "the second answer is no part of what routing costs"
    );
    assert!((cost("audit").await - 7e-4).abs() < 1e-12);
}

#[tokio::test]
async fn the_text_of_a_stream_is_graded_and_the_second_answer_comes_whole() {
    let pieces: Vec<&[u8]> = vec![
        b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"caf\xc3",
        b"\xa9 \"}}]}\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"noir\"},\"finish_reason\":\"stop\"}]}\n\n",
        b"data: [DONE]\n\n",
    ];
    let small = Upstream::start(small_says()).await;
    let large = Upstream::start(Behaviour::Events(pieces.clone())).await;
    let grader = Upstream::start(grades()).await;
    let setup = Setup { rule: POWERFUL, audit: Some(audits(1000, &grader)), ..Setup::default() };
    let router = Router::with(pair(&small, &large), setup).await;
    assert_eq!(
        router.stream().await.bytes().await.unwrap(),
        pieces.concat(),
        "the client's bytes are as ever"
    );
    until(&router, "graded", 1.0).await;
    let question: serde_json::Value = serde_json::from_slice(&grader.received()[0].body).unwrap();
    assert_eq!(question["answers"]["powerful"], "café noir");
    assert_eq!(question["answers"]["lightweight"], "from small");
    let second: serde_json::Value = serde_json::from_slice(&small.received()[0].body).unwrap();
    assert_eq!(second.get("stream"), None);
}

#[tokio::test]
async fn a_grader_that_never_answers_holds_nobody_up_and_audits_are_given_up_beyond_a_bound() {
    let (small, large) = (Upstream::start(small_says()).await, Upstream::start(large_says()).await);
    let grader = Upstream::start(Behaviour::Silence).await;
    let setup = Setup { audit: Some(audits(1000, &grader)), ..Setup::default() };
    let router = Router::with(pair(&small, &large), setup).await;
    for _ in 0..300 {
        assert_eq!(router.chat().await.status(), 200);
    }
    until(&router, "dropped", 300.0 - 16.0 - 256.0).await;
    let all_asked = async {
        while grader.asked() < 16 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), all_asked).await.unwrap();
    assert_eq!((grader.asked(), large.asked()), (16, 16), "and no more than sixteen run at a time");
    router.stop().await;
}

#[tokio::test]
async fn what_cannot_be_graded_is_counted_by_its_cause_and_changes_nothing() {
    let (small, large) = (Upstream::start(small_says()).await, Upstream::start(large_says()).await);
    let grader = Upstream::start(Behaviour::Status(500, Vec::new(), "")).await;
    let setup = Setup { audit: Some(audits(1000, &grader)), ..Setup::default() };
    let router = Router::with(pair(&small, &large), setup).await;
    let mut counts = std::collections::BTreeMap::<&str, f64>::new();
    for (graded, behaviour) in [
        ("grader_failed", Behaviour::Status(500, Vec::new(), "")),
        ("grader_failed", Behaviour::Status(401, Vec::new(), "{}")),
        ("grader_failed", Behaviour::BrokenAnswer),
        ("grader_malformed", says("{}")),
        ("grader_malformed", says(r#"{"lightweight":2,"powerful":1}"#)),
        ("grader_malformed", Behaviour::Large(3_000_000, true)),
    ] {
        grader.set(behaviour);
        assert_eq!(router.chat().await.status(), 200);
        let count = counts.entry(graded).or_default();
        *count += 1.0;
        until(&router, graded, *count).await;
    }
    large.set(says(r#"{"choices":[{"message":{"content":null,"tool_calls":[]}}]}"#));
    router.chat().await;
    until(&router, "upstream_failed", 1.0).await;
    router.history.flush().unwrap();
    assert_eq!(router.history.pairs(10).unwrap(), []);
    let text = router.get("/metrics").await.text().await.unwrap();
    assert!(!text.contains("tinydancer_router_regret_observed{"), "no pairs, no regret: {text}");
}

#[tokio::test]
async fn an_audit_neither_breaks_nor_mends_a_breaker_and_asks_closed_ones_only() {
    let small = Upstream::start(small_says()).await;
    let large = Upstream::start(Behaviour::Status(500, Vec::new(), "")).await;
    let grader = Upstream::start(grades()).await;
    let setup = Setup { audit: Some(audits(1000, &grader)), ..Setup::default() };
    let failures = setup.breaker.consecutive_failures;
    let router = Router::with(pair(&small, &large), setup).await;
    let breaker = || router.upstreams.report().into_iter().find(|up| up.name == "large").unwrap().breaker;
    for number in 1..=2 * failures {
        router.chat().await;
        until(&router, "upstream_failed", number.into()).await;
    }
    assert_eq!(breaker(), "Closed", "an audit says nothing to it");
    let named = r#"{"model":"large","messages":[]}"#;
    for _ in 0..failures {
        assert_eq!(router.post("/v1/chat/completions", named).await.status(), 503);
    }
    assert_eq!(breaker(), "Open", "requests of clients do");
    large.set(large_says());
    let asked = large.asked();
    router.chat().await;
    until(&router, "no_candidate", 1.0).await;
    assert_eq!(large.asked(), asked);
}

#[tokio::test]
async fn only_whole_answers_to_requests_that_were_routed_are_audited() {
    let (small, large) = (Upstream::start(small_says()).await, Upstream::start(large_says()).await);
    let grader = Upstream::start(grades()).await;
    let setup = Setup { audit: Some(audits(1000, &grader)), ..Setup::default() };
    let router = Router::with(pair(&small, &large), setup).await;
    let named = r#"{"model":"small","messages":[{"role":"user","content":"Hi"}]}"#;
    assert_eq!(router.post("/v1/chat/completions", named).await.status(), 200);
    let long =
        format!(r#"{{"model":"auto","messages":[{{"role":"user","content":"{}"}}]}}"#, "x".repeat(70_000));
    assert_eq!(router.post("/v1/chat/completions", long).await.status(), 200);
    until(&router, "too_large", 1.0).await;
    small.set(Behaviour::Large(3_000_000, true));
    router.chat().await.bytes().await.unwrap();
    until(&router, "too_large", 2.0).await;
    small.set(Behaviour::BrokenEvents(vec![b"data: {\"choices\":[{\"delta\":{\"content\":\"half\"}}]}\n\n"]));
    router.stream().await.text().await.unwrap();
    until(&router, "unanswered", 1.0).await;
    small.set(Behaviour::Status(400, Vec::new(), "{}"));
    assert_eq!(router.chat().await.status(), 400);
    small.set(small_says());
    router.chat().await;
    until(&router, "graded", 1.0).await;
    assert_eq!((grader.asked(), large.asked()), (1, 1), "of all these, the last one");
}

#[tokio::test]
async fn the_share_of_audited_requests_is_the_one_asked_for() {
    const REQUESTS: u32 = 600;
    let (small, large) = (Upstream::start(small_says()).await, Upstream::start(large_says()).await);
    let grader = Upstream::start(grades()).await;
    let setup = Setup { audit: Some(audits(200, &grader)), ..Setup::default() };
    let router = Router::with(pair(&small, &large), setup).await;
    for _ in 0..REQUESTS {
        assert_eq!(router.chat().await.status(), 200);
    }
    let begun = async {
        loop {
            let mut ended = 0.0;
            for result in ["graded", "dropped"] {
                ended += router.metric(&counter(result)).await;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            if ended == router.metric(&counter("graded")).await {
                return ended;
            }
        }
    };
    let audited = tokio::time::timeout(Duration::from_secs(20), begun).await.unwrap();
    let (requests, share) = (f64::from(REQUESTS), 0.2);
    let sigma = (requests * share * (1.0 - share)).sqrt();
    assert!((audited - requests * share).abs() <= 4.5 * sigma, "{audited} of {REQUESTS}");
}

#[tokio::test]
async fn regret_and_coverage_are_metrics_once_there_are_pairs() {
    let (small, large) = (Upstream::start(small_says()).await, Upstream::start(large_says()).await);
    let grader = Upstream::start(grades()).await;
    let rule = DecisionRule::Risk { permille: permille(1000) };
    let setup = Setup { rule, audit: Some(audits(1000, &grader)), ..Setup::default() };
    let router = Router::with(pair(&small, &large), setup).await;
    for _ in 0..3 {
        router.chat().await;
    }
    until(&router, "graded", 3.0).await;
    let decision = json(router.post("/v1/route", r#"{"text":"Hi"}"#).await).await;
    let digest = decision["digest"].as_str().unwrap()["sha256:".len()..][..12].to_owned();
    let metric =
        async |name: &str| router.metric(&format!("tinydancer_router_{name}{{digest=\"{digest}\"}}")).await;
    assert_eq!(metric("regret_promised").await, 1.0);
    assert_eq!(metric("regret_pairs").await, 3.0);
    let expected = if decision["tier"] == "Lightweight" { 0.75 } else { 0.0 };
    assert!((metric("regret_observed").await - expected).abs() < 1e-12);
}

#[tokio::test]
async fn the_graders_key_goes_to_the_grader_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("grader.key"), "sk-grader\n").unwrap();
    let (small, large) = (Upstream::start(small_says()).await, Upstream::start(large_says()).await);
    let grader = Upstream::start(grades()).await;
    let mut audit = audits(1000, &grader);
    audit.grader.api_key = true;
    let setup =
        Setup { rule: LIGHTWEIGHT, audit: Some(audit), credentials: Some(folder.path()), ..Setup::default() };
    let router = Router::with(pair(&small, &large), setup).await;
    router.chat().await;
    until(&router, "graded", 1.0).await;
    assert_eq!(grader.received()[0].headers["authorization"], "Bearer sk-grader");
    for upstream in [&small, &large] {
        assert_eq!(upstream.received()[0].headers.get("authorization"), None);
    }
}
