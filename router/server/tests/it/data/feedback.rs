//! Feedback from decision to history.

use super::{
    Router, header, json, pair,
    upstream::{Behaviour, Upstream},
};

async fn give(router: &Router, decision: &str, rest: &str) -> reqwest::Response {
    router.post("/v1/feedback", format!(r#"{{"decision_id":"{decision}",{rest}}}"#)).await
}

#[tokio::test]
async fn feedback_on_an_answer_is_taken_once_and_may_be_repeated() {
    let up = Upstream::start(Behaviour::Answer).await;
    let router = Router::start(pair(&up, &up)).await;
    let decision = header(&router.chat().await, "x-router-decision-id").to_owned();
    let good = r#""outcome":"good","score":0.75,"source":"judge""#;
    for _ in 0..2 {
        let response = give(&router, &decision, good).await;
        assert_eq!(response.status(), 200);
        assert_eq!(json(response).await["status"], "recorded");
    }
    let response = give(&router, &decision, r#""outcome":"underpowered""#).await;
    assert_eq!(response.status(), 409);
    assert_eq!(json(response).await["error"]["code"], "already_given");
    let recorded = r#"tinydancer_router_feedback_total{outcome="good",result="recorded"}"#;
    assert_eq!(router.metric(recorded).await, 2.0);
}

#[tokio::test]
async fn feedback_on_a_decision_nobody_made_is_not_found() {
    let up = Upstream::absent().await;
    let router = Router::start(pair(&up, &up)).await;
    let decision = json(router.post("/v1/route", r#"{"text":"x"}"#).await).await["decision_id"].clone();
    let forged = decision.as_str().unwrap().replace(".s.", ".c.");
    for id in ["", "td1.local.s.-.0.0", &forged] {
        assert_eq!(give(&router, id, r#""outcome":"good""#).await.status(), 404, "{id}");
    }
    let response = give(&router, decision.as_str().unwrap(), r#""outcome":"good","score":1.5"#).await;
    assert_eq!(response.status(), 400);
    assert_eq!(json(response).await["error"]["param"], "score");
}
