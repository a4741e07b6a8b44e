//! What passes through unchanged.

use super::{
    Router, header, pair,
    upstream::{Behaviour, Upstream},
};

#[tokio::test]
async fn every_byte_of_a_body_but_the_model_reaches_the_upstream_untouched() {
    let small = Upstream::start(Behaviour::Answer).await;
    let router = Router::start(pair(&small, &small)).await;
    let body = "{\"tools\" : [{\"type\":\"function\", \"x\":1e400}],\n \"model\":\"auto\",\t\"messages\":[{\"role\":\"user\",\
        \"content\":\"\\u00e9\",\"name\":\"n\"}],\"seed\":12345678901234567890123, \"seed2\":-0.0, \"vendor\":{\"b\":1,\"a\":[ ]}}  ";
    let response = router.post("/v1/chat/completions", body).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "x-upstream"), "kept");
    let sent = small.received().remove(0);
    assert_eq!(sent.body, body.replace("\"auto\"", "\"small-model\""));
    assert_eq!(sent.headers["content-type"], "application/json");
    let answer = r#"{"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":20}}"#;
    assert_eq!(response.text().await.unwrap(), answer);
}

#[tokio::test]
async fn a_stream_arrives_byte_by_byte_as_it_was_sent_and_its_tokens_are_counted() {
    let pieces: Vec<&[u8]> = vec![
        b": keep-alive\r\n\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"\xc3",
        b"\xa9\"},\"finish_reason\":null}]}\r",
        b"\n\r\nevent: x\ndata: not json\n\n",
        b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"compl",
        b"etion_tokens\":5}}\n\ndata: [DONE]\n",
        b"\n",
    ];
    let small = Upstream::start(Behaviour::Events(pieces.clone())).await;
    let router = Router::start(pair(&small, &small)).await;
    let response = router.stream().await;
    assert_eq!(header(&response, "content-type"), "text/event-stream");
    assert_eq!(response.bytes().await.unwrap(), pieces.concat());
    for (kind, tokens) in [("input", 11.0), ("output", 5.0)] {
        let sample = format!("tinydancer_router_tokens_total{{candidate=\"small\",kind=\"{kind}\"}}");
        assert_eq!(router.metric(&sample).await, tokens);
    }
}

#[tokio::test]
async fn a_large_answer_is_passed_on_as_it_comes_and_one_that_breaks_off_is_never_taken_for_whole() {
    let (small, large) = (Upstream::start(Behaviour::Large(3_000_000, true)).await, Upstream::absent().await);
    let router = Router::start(pair(&small, &large)).await;
    let response = router.chat().await;
    assert_eq!(header(&response, "x-router-model"), "small");
    assert_eq!(response.bytes().await.unwrap().len(), 3_000_000);
    small.set(Behaviour::Large(3_000_000, false));
    assert!(router.chat().await.bytes().await.is_err());
    for outcome in ["success", "truncated"] {
        let sample =
            format!("tinydancer_router_upstream_requests_total{{candidate=\"small\",outcome=\"{outcome}\"}}");
        assert_eq!(router.metric(&sample).await, 1.0);
    }
}

#[tokio::test]
async fn a_client_that_goes_away_frees_its_place_and_blames_nobody() {
    let small = Upstream::start(Behaviour::Events(vec![b"data: {}\n\n"; 10_000])).await;
    let router = Router::start(pair(&small, &small)).await;
    let mut response = router.stream().await;
    response.chunk().await.unwrap();
    assert_eq!(router.metric("tinydancer_router_in_flight").await, 1.0);
    drop(response);
    let gone = async {
        while router.metric("tinydancer_router_in_flight").await > 0.0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), gone).await.unwrap();
    let abandoned = r#"tinydancer_router_upstream_requests_total{candidate="small",outcome="abandoned"}"#;
    assert_eq!(router.metric(abandoned).await, 1.0);
}

#[tokio::test]
async fn open_requests_end_before_the_router_does() {
    let mut pieces: Vec<&[u8]> = vec![b"data: {}\n\n"; 100];
    pieces.push(b"data: [DONE]\n\n");
    let small = Upstream::start(Behaviour::Events(pieces.clone())).await;
    let mut router = Router::start(pair(&small, &small)).await;
    let response = router.stream().await;
    router.tell_to_stop();
    assert_eq!(response.bytes().await.unwrap(), pieces.concat());
    router.served.await.unwrap();
}
