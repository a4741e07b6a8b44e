//! Deciding alone.

use tinydancer_engine::{
    artifact::{self, Precision},
    novelty::WordFilter,
    testing,
};

use super::{
    Router, Setup, header, json, pair,
    upstream::{Behaviour, Upstream},
};

async fn router() -> Router {
    let up = Upstream::absent().await;
    Router::start(pair(&up, &up)).await
}

#[tokio::test]
async fn a_decision_names_candidate_fallbacks_and_how_it_came_about() {
    let router = router().await;
    let body = r#"{"text":"Hello there","tags":{"task":"algebra"},"user":"u","conversation":"c"}"#;
    let decision = json(router.post("/v1/route", body).await).await;
    assert_eq!(decision["candidate"], "small");
    assert_eq!(decision["model"], "small-model");
    assert_eq!(decision["tier"], "Lightweight");
    assert_eq!(decision["fallbacks"][0]["candidate"], "large");
    assert_eq!(decision["arm"], "stable");
    assert!(decision["digest"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!((&decision["classified"], &decision["abstained"]), (&true.into(), &false.into()));
    assert!(decision["score"].is_number() && decision["confidence"].is_number());
    assert!(decision["latency_us"]["total"].as_f64().unwrap() > 0.0);
    assert_eq!((&decision["known_tags"], &decision["explored"]), (&1.into(), &false.into()));
    assert_eq!(decision["novelty"], serde_json::Value::Null, "two words say nothing");
    let labels = decision["set"].as_array().unwrap();
    assert!(labels.iter().all(|label| *label == "good_enough" || *label == "not_good_enough"), "{labels:?}");
    let body = r#"{"text":"five words that are known"}"#;
    let decision = json(router.post("/v1/route", body).await).await;
    assert_eq!((&decision["novelty"], &decision["known_tags"]), (&0.0.into(), &serde_json::Value::Null));
}

#[tokio::test]
async fn a_prompt_of_words_that_the_model_has_never_seen_goes_to_powerful() {
    let mut parts = testing::parts(1);
    parts.novelty.as_mut().unwrap().filter = WordFilter::default();
    let model = artifact::write(&parts, &testing::metadata("new", 1), Precision::F32).unwrap();
    let up = Upstream::start(Behaviour::Answer).await;
    // Exploration leaves alone what the model cannot judge.
    let setup = Setup { explore_permille: 1000, ..Setup::default() };
    let router = Router::deciding_with(Some(&model), pair(&up, &up), setup).await;
    let decision = json(router.post("/v1/route", r#"{"text":"four words never seen"}"#).await).await;
    assert_eq!((&decision["tier"], &decision["reason"]), (&"Powerful".into(), &"novel".into()));
    assert_eq!((&decision["abstained"], &decision["classified"]), (&true.into(), &true.into()));
    assert_eq!((&decision["novelty"], &decision["explored"]), (&1.0.into(), &false.into()));
    let body = r#"{"model":"auto","messages":[{"role":"user","content":"four words never seen"}]}"#;
    let response = router.post("/v1/chat/completions", body).await;
    assert_eq!(header(&response, "x-router-model"), "large");
    assert_eq!((header(&response, "x-router-novelty"), header(&response, "x-router-reason")), ("1", "novel"));
}

#[tokio::test]
async fn an_embedding_counts_where_the_model_reads_it_and_must_be_one_of_its_own() {
    let mut parts = testing::parts(1);
    parts.embedding = Some(testing::embedding(1));
    let model = artifact::write(&parts, &testing::metadata("embedding", 1), Precision::F32).unwrap();
    let up = Upstream::absent().await;
    let reading = Router::deciding_with(Some(&model), pair(&up, &up), Setup::default()).await;
    let with = r#"{"text":"Hi","embedding":[1,-0.5,0,2,3,4,5,6,7,8,9,1e1]}"#;
    let (with, without) =
        (reading.post("/v1/route", with).await, reading.post("/v1/route", r#"{"text":"Hi"}"#).await);
    let (with, without) = (json(with).await, json(without).await);
    assert!(with["score"].is_number() && with["score"] != without["score"]);
    for (wrong, rule) in [
        ("[1,2,3]", "must have the 12 numbers of made-up, not 3"),
        ("[]", "must have 1 to 4096 numbers, not 0"),
        ("[0,0,0,0,0,0,0,0,0,0,0,0]", "must be finite numbers, not all of them 0"),
    ] {
        let response = reading.post("/v1/route", format!(r#"{{"text":"Hi","embedding":{wrong}}}"#)).await;
        assert_eq!(response.status(), 400);
        let error = &json(response).await["error"];
        assert_eq!(
            (&error["param"], &error["message"]),
            (&"embedding".into(), &format!("`embedding` {rule}").into())
        );
    }
    let reading_none = router().await;
    let with = json(reading_none.post("/v1/route", r#"{"text":"Hi","embedding":[1,2,3]}"#).await).await;
    assert_eq!(with["score"], json(reading_none.post("/v1/route", r#"{"text":"Hi"}"#).await).await["score"]);
}

#[tokio::test]
async fn text_and_the_last_user_message_are_scored_alike() {
    let router = router().await;
    let text = json(router.post("/v1/route", r#"{"text":"Why is the sky blue?"}"#).await).await;
    let messages = r#"{"messages":[{"role":"system","content":"Be kind"},{"role":"user","content":"Why is the sky blue?"}]}"#;
    let messages = json(router.post("/v1/route", messages).await).await;
    assert!(text["score"].is_number());
    assert_eq!(text["score"], messages["score"]);
}

#[tokio::test]
async fn a_request_may_restrict_the_candidates() {
    let decision =
        json(router().await.post("/v1/route", r#"{"text":"","candidates":["large"]}"#).await).await;
    assert_eq!((&decision["candidate"], &decision["tier"]), (&"large".into(), &"Powerful".into()));
    assert_eq!(decision["reason"], "lightweight_unavailable");
    assert_eq!(decision["fallbacks"], serde_json::json!([]));
}

#[tokio::test]
async fn one_wrong_request_of_a_batch_does_not_hurt_the_others() {
    let body = r#"{"requests":[{"text":"a"},{"text":7},{"tags":{}},{"text":"b"}]}"#;
    let answer = json(router().await.post("/v1/route/batch", body).await).await;
    let decisions = answer["decisions"].as_array().unwrap();
    assert_eq!(decisions.len(), 4);
    assert_eq!((&decisions[0]["candidate"], &decisions[3]["candidate"]), (&"small".into(), &"small".into()));
    assert_eq!(decisions[1]["error"]["param"], "requests[1].text");
    assert_eq!(decisions[2]["error"]["param"], "requests[2].text");
}

#[tokio::test]
async fn what_is_wrong_with_a_body_is_named() {
    let router = router().await;
    let long = format!(r#"{{"text":"","user":"{}"}}"#, "u".repeat(513));
    let batch = format!(r#"{{"requests":[{}]}}"#, vec!["{}"; 257].join(","));
    let cases: [(&str, &str, &str); 16] = [
        ("/v1/route", r#"{"text":1}"#, "text"),
        ("/v1/route", "{}", "text"),
        ("/v1/route", r#"{"text":"","messages":[]}"#, "messages"),
        ("/v1/route", r#"{"text":"","tags":{"a":1}}"#, "tags.a"),
        ("/v1/route", r#"{"text":"","nonsense":1}"#, "nonsense"),
        ("/v1/route", r#"{"messages":[{"role":"user","content":5}]}"#, "messages[0].content"),
        ("/v1/route", r#"{"messages":[{"content":"x"}]}"#, "messages[0]"),
        ("/v1/route", r#"{"text":"","candidates":[]}"#, "candidates"),
        ("/v1/route", r#"{"text":"","candidates":["small","x"]}"#, "candidates[1]"),
        ("/v1/route", &long, "user"),
        ("/v1/route/batch", &batch, "requests"),
        ("/v1/chat/completions", r#"{"model":"auto"}"#, ""),
        ("/v1/chat/completions", r#"{"model":7,"messages":[]}"#, "model"),
        ("/v1/chat/completions", r#"{"model":"auto","messages":"x"}"#, "messages"),
        ("/v1/chat/completions", r#"{"model":"auto","model":"large","messages":[]}"#, ""),
        ("/v1/feedback", r#"{"decision_id":"x","outcome":"splendid"}"#, "outcome"),
    ];
    for (path, body, field) in cases {
        let response = router.post(path, body.to_owned()).await;
        assert_eq!(response.status(), 400, "{path} {body}");
        let error = &json(response).await["error"];
        let expected = if field.is_empty() { serde_json::Value::Null } else { field.into() };
        assert_eq!(error["param"], expected, "{path} {body} {error}");
        assert_eq!(error["type"], "invalid_request_error");
        // Serde knows no path for a field that is missing or there twice; its message names it.
        let named = if field.is_empty() { "field `m" } else { field.rsplit('.').next().unwrap() };
        assert!(error["message"].as_str().unwrap().contains(named), "{error}");
    }
}

#[tokio::test]
async fn what_is_no_json_is_refused() {
    let router = router().await;
    let deep = format!("{}{}", r#"{"tags":"#.repeat(5_000), "}".repeat(5_000));
    for body in
        [&b""[..], b"{", b"{\"text\":\"\xff\"}", b"[]x", b"{\"text\":\"a\"} trailing", deep.as_bytes()]
    {
        let response = router.post("/v1/route", body.to_vec()).await;
        assert_eq!(response.status(), 400, "{:?}", String::from_utf8_lossy(body).get(..20.min(body.len())));
    }
    assert_eq!(router.post("/v1/nothing", "").await.status(), 404);
    assert_eq!(router.get("/v1/route").await.status(), 405);
}

#[tokio::test]
async fn http_2_is_spoken_as_well() {
    let router = router().await;
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let requests = (0..20).map(|_| client.post(router.url("/v1/route")).body(r#"{"text":"x"}"#).send());
    for response in futures::future::join_all(requests).await {
        let response = response.unwrap();
        assert_eq!((response.status(), response.version()), (http::StatusCode::OK, http::Version::HTTP_2));
    }
    assert_eq!(router.metric("tinydancer_router_connections").await, 2.0);
}
