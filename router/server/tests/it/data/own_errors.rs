//! An error of a request's own is told to who made it, and is nothing to the breaker that others share.

use std::time::Duration;

use tinydancer_crds::valid::BreakerSettings;
use tinydancer_engine::{
    artifact::{self, Precision},
    breaker::{BreakerState, Snapshot},
    testing,
};

use super::{
    Router, Setup, header, pair,
    upstream::{Behaviour, Upstream},
};

/// A router that reads embeddings and whose breakers open at the first failure.
async fn touchy(small: &Upstream, large: &Upstream) -> Router {
    let mut parts = testing::parts(1);
    parts.embedding = Some(testing::embedding(1));
    let model = artifact::write(&parts, &testing::metadata("embedding", 1), Precision::F32).unwrap();
    let breaker = BreakerSettings { consecutive_failures: 1, ..Setup::default().breaker };
    Router::deciding_with(Some(&model), pair(small, large), Setup { breaker, ..Setup::default() }).await
}

fn breaker_of_small(router: &Router) -> Snapshot {
    let all = router.upstreams.current();
    router.upstreams.snapshot(all.iter().find(|upstream| upstream.candidate.name == "small").unwrap())
}

/// Opens the breaker of `small` and waits until its time is over.
async fn half_open(router: &Router, small: &Upstream) {
    small.set(Behaviour::Status(500, Vec::new(), "{}"));
    assert_eq!(header(&router.chat().await, "x-router-model"), "large");
    let over = async {
        while breaker_of_small(router).state != BreakerState::HalfOpen {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), over).await.unwrap();
}

/// Sends what cannot be right: embeddings of the wrong length, that are no numbers, beyond all numbers or without a
/// direction, and chats that are none.
async fn send_bad_input(router: &Router) {
    let nothing = "[0,0,0,0,0,0,0,0,0,0,0,0]";
    let beyond = "[1e39,1,1,1,1,1,1,1,1,1,1,1]";
    for embedding in ["[1,2,3]", "[]", "[NaN,1,1,1,1,1,1,1,1,1,1,1]", beyond, nothing] {
        for _ in 0..20 {
            let body = format!(r#"{{"text":"Hi","embedding":{embedding}}}"#);
            assert_eq!(router.post("/v1/route", body).await.status(), 400, "{embedding}");
        }
    }
    for body in [r#"{"model":"auto"}"#, r#"{"model":"auto","messages":7}"#, "{"] {
        assert_eq!(router.post("/v1/chat/completions", body).await.status(), 400, "{body}");
    }
}

#[tokio::test]
async fn bad_input_is_its_callers_error_and_touches_no_breaker() {
    let (small, large) = (Upstream::start(Behaviour::Answer).await, Upstream::start(Behaviour::Answer).await);
    let router = touchy(&small, &large).await;
    let closed = breaker_of_small(&router);
    send_bad_input(&router).await;
    assert_eq!((breaker_of_small(&router), small.asked()), (closed, 0));
    assert_eq!(header(&router.chat().await, "x-router-model"), "small");

    half_open(&router, &small).await;
    let half_open = breaker_of_small(&router);
    send_bad_input(&router).await;
    assert_eq!(breaker_of_small(&router), half_open);
    small.set(Behaviour::Answer);
    assert_eq!(header(&router.chat().await, "x-router-model"), "small");
    assert_eq!(breaker_of_small(&router).state, BreakerState::Closed);
}

#[tokio::test]
async fn a_probe_whose_request_the_upstream_refuses_is_given_back() {
    let (small, large) = (Upstream::start(Behaviour::Answer).await, Upstream::start(Behaviour::Answer).await);
    let router = touchy(&small, &large).await;
    half_open(&router, &small).await;
    small.set(Behaviour::Status(422, Vec::new(), "{}"));
    for _ in 0..5 {
        assert_eq!(router.chat().await.status(), 422);
        assert_eq!(breaker_of_small(&router).probes_under_way, 0);
    }
    small.set(Behaviour::Answer);
    assert_eq!(header(&router.chat().await, "x-router-model"), "small");
    assert_eq!(breaker_of_small(&router).state, BreakerState::Closed);
}

#[tokio::test]
async fn readiness_and_metrics_may_be_read_at_will_without_using_up_the_probe() {
    let (small, large) = (Upstream::start(Behaviour::Answer).await, Upstream::start(Behaviour::Answer).await);
    let router = touchy(&small, &large).await;
    half_open(&router, &small).await;
    small.set(Behaviour::Answer);
    for path in ["/readyz", "/metrics", "/v1/models"].into_iter().cycle().take(30) {
        assert_eq!(router.get(path).await.status(), 200, "{path}");
    }
    assert_eq!(header(&router.chat().await, "x-router-model"), "small");
    assert_eq!(breaker_of_small(&router).state, BreakerState::Closed);
}
