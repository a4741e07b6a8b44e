//! Another candidate answers before the first byte, never after it.

use std::time::Duration;

use tinydancer_crds::{routing_policy::Tier, valid::BreakerSettings};
use tinydancer_server::data::Limits;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::{
    LIGHTWEIGHT, POWERFUL, Router, Setup, WITH_FALLBACK, candidate, header, json, pair,
    upstream::{Behaviour, Upstream},
};

fn status(status: u16) -> Behaviour {
    Behaviour::Status(status, Vec::new(), "{}")
}

#[tokio::test]
async fn powerful_answers_whatever_is_wrong_with_lightweight() {
    let large = Upstream::start(Behaviour::Answer).await;
    let limits = Limits { upstream_within: Duration::from_secs(1), ..Limits::default() };
    for behaviour in [
        status(500),
        status(503),
        status(429),
        status(408),
        status(302),
        Behaviour::Silence,
        Behaviour::BrokenAnswer,
        Behaviour::BrokenEvents(Vec::new()),
        Behaviour::Events(Vec::new()),
    ] {
        let small = Upstream::start(behaviour.clone()).await;
        let setup = Setup { limits: limits.clone(), ..Setup::default() };
        let router = Router::with(pair(&small, &large), setup).await;
        let response = router.chat().await;
        assert_eq!(response.status(), 200, "{behaviour:?}");
        assert_eq!(header(&response, "x-router-model"), "large", "{behaviour:?}");
        assert_eq!(header(&response, "x-router-tier"), "Powerful");
        assert_eq!(header(&response, "x-router-reason"), "lightweight_unavailable");
        assert_eq!(router.metric(r#"tinydancer_router_failovers_total{from="small",to="large"}"#).await, 1.0);
    }
}

#[tokio::test]
async fn powerful_answers_where_nobody_listens() {
    let (small, large) = (Upstream::absent().await, Upstream::start(Behaviour::Answer).await);
    let router = Router::start(pair(&small, &large)).await;
    assert_eq!(header(&router.chat().await, "x-router-model"), "large");
}

#[tokio::test]
async fn a_stream_that_broke_after_its_first_byte_ends_with_an_error_and_nobody_else_is_asked() {
    let pieces = vec![
        &b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n"[..],
        b"data: {\"ch",
    ];
    let small = Upstream::start(Behaviour::BrokenEvents(pieces.clone())).await;
    let large = Upstream::start(Behaviour::Answer).await;
    let router = Router::start(pair(&small, &large)).await;
    for behaviour in [Behaviour::BrokenEvents(pieces.clone()), Behaviour::Events(pieces.clone())] {
        small.set(behaviour);
        let text = router.stream().await.text().await.unwrap();
        let sent = String::from_utf8(pieces.concat()).unwrap();
        let added = text.strip_prefix(&sent).unwrap();
        assert!(added.starts_with("\n\ndata: {\"error\":{") && added.ends_with("}\n\n"), "{added}");
        assert!(added.contains("upstream_truncated"));
    }
    assert_eq!(large.asked(), 0);
    let truncated = r#"tinydancer_router_upstream_requests_total{candidate="small",outcome="truncated"}"#;
    assert_eq!(router.metric(truncated).await, 2.0);
}

#[tokio::test]
async fn the_next_of_the_tier_comes_before_powerful_and_after_it_where_the_decision_asks_for_a_fallback() {
    let down = Upstream::start(status(500)).await;
    let up = Upstream::start(Behaviour::Answer).await;
    let candidates = || {
        let mut dearer = candidate("small-b", Tier::Lightweight, &up);
        dearer.cost.output_per_million_tokens.0 += 1;
        vec![dearer, candidate("small-a", Tier::Lightweight, &down), candidate("large", Tier::Powerful, &up)]
    };
    for (rule, answers) in [(LIGHTWEIGHT, "small-b"), (WITH_FALLBACK, "large")] {
        let router = Router::with(candidates(), Setup { rule, ..Setup::default() }).await;
        assert_eq!(header(&router.chat().await, "x-router-model"), answers);
    }
}

#[tokio::test]
async fn lightweight_is_the_last_resort_and_says_so() {
    let (small, large) = (Upstream::start(Behaviour::Answer).await, Upstream::start(status(502)).await);
    let router = Router::with(pair(&small, &large), Setup { rule: POWERFUL, ..Setup::default() }).await;
    let response = router.chat().await;
    assert_eq!(header(&response, "x-router-model"), "small");
    assert_eq!(header(&response, "x-router-reason"), "powerful_unavailable");
}

#[tokio::test]
async fn with_all_down_the_client_gets_an_error_in_openais_shape() {
    let down = Upstream::start(Behaviour::Status(503, vec![("retry-after", "7".to_owned())], "busy")).await;
    let router = Router::start(pair(&down, &down)).await;
    let response = router.chat().await;
    assert_eq!(response.status(), 503);
    assert_eq!(header(&response, "retry-after"), "7");
    let error = &json(response).await["error"];
    assert_eq!((&error["type"], &error["code"]), (&"server_error".into(), &"no_upstream".into()));
    assert_eq!(down.asked(), 2);
}

#[tokio::test]
async fn a_refused_request_is_passed_on_and_is_no_failure() {
    let refusing = Upstream::start(Behaviour::Status(400, Vec::new(), r#"{"error":"too long"}"#)).await;
    let large = Upstream::start(Behaviour::Answer).await;
    let router = Router::start(pair(&refusing, &large)).await;
    for _ in 0..5 {
        let response = router.chat().await;
        assert_eq!(response.status(), 400);
        assert_eq!(response.text().await.unwrap(), r#"{"error":"too long"}"#);
    }
    assert_eq!((refusing.asked(), large.asked()), (5, 0));
}

#[tokio::test]
async fn a_breaker_opens_after_failures_in_a_row_and_closes_when_the_upstream_is_back() {
    let (small, large) = (Upstream::start(status(500)).await, Upstream::start(Behaviour::Answer).await);
    let router = Router::start(pair(&small, &large)).await;
    for _ in 0..6 {
        assert_eq!(header(&router.chat().await, "x-router-model"), "large");
    }
    assert_eq!(small.asked(), 3);
    let open = r#"tinydancer_router_breaker_state{candidate="small",state="open"}"#;
    assert_eq!(router.metric(open).await, 1.0);
    small.set(Behaviour::Answer);
    let back = async {
        while header(&router.chat().await, "x-router-model") != "small" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), back).await.unwrap();
    assert_eq!(router.metric(open).await, 0.0);
    assert_eq!(small.asked(), 4);
}

#[tokio::test]
async fn a_breaker_outlives_a_change_of_price_and_not_one_of_the_endpoint() {
    let (small, large) = (Upstream::start(status(500)).await, Upstream::start(Behaviour::Answer).await);
    let breaker = BreakerSettings {
        consecutive_failures: 1,
        open_seconds: 60,
        max_open_seconds: 60,
        ..Setup::default().breaker
    };
    let setup = Setup { breaker, ..Setup::default() };
    let mut configuration = super::configuration(pair(&small, &large), &setup);
    let router = Router::with(pair(&small, &large), setup).await;
    router.chat().await;
    configuration.candidates[0].cost.output_per_million_tokens.0 += 1;
    router.upstreams.apply(&configuration);
    router.chat().await;
    assert_eq!(small.asked(), 1);
    configuration.candidates[0].endpoint = large.endpoint();
    router.upstreams.apply(&configuration);
    assert_eq!(header(&router.chat().await, "x-router-model"), "small");
}

#[tokio::test]
async fn an_adaptive_breaker_waits_until_the_share_is_surely_too_high() {
    let large = Upstream::start(Behaviour::Answer).await;
    for (adaptive, asked) in [(false, 2), (true, 4)] {
        let small = Upstream::start(status(500)).await;
        let breaker = BreakerSettings {
            consecutive_failures: 1000,
            failure_rate: super::permille(500),
            adaptive,
            minimum_requests: 2,
            open_seconds: 60,
            max_open_seconds: 60,
            ..Setup::default().breaker
        };
        let router = Router::with(pair(&small, &large), Setup { breaker, ..Setup::default() }).await;
        for _ in 0..6 {
            router.chat().await;
        }
        // All of 2 may be 34 % in truth, all of 4 are 51 % at least.
        assert_eq!(small.asked(), asked, "adaptive: {adaptive}");
    }
}

/// An upstream that closes its first connection when a second request comes in on it, as a server does whose keep-alive
/// ends at that moment.
async fn closing_upstream() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
        let mut buffer = [0; 4096];
        for requests in [1, usize::MAX] {
            let (mut stream, _) = listener.accept().await.unwrap();
            for _ in 0..requests {
                if stream.read(&mut buffer).await.unwrap() == 0 {
                    break;
                }
                stream.write_all(answer).await.unwrap();
            }
            let _ = stream.read(&mut buffer).await;
        }
    });
    address
}

#[tokio::test]
async fn a_kept_connection_that_the_upstream_closes_is_no_failure_of_it() {
    let large = Upstream::start(Behaviour::Answer).await;
    let mut candidates = pair(&large, &large);
    candidates[0].endpoint = format!("http://{}/v1", closing_upstream().await);
    let router = Router::start(candidates).await;
    for _ in 0..3 {
        assert_eq!(header(&router.chat().await, "x-router-model"), "small");
    }
    assert_eq!(large.asked(), 0);
}
