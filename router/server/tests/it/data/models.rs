//! What stands in `model`.

use tinydancer_crds::routing_policy::Tier;
use tinydancer_engine::testing;

use super::{
    Router, candidate, header, json, pair,
    upstream::{Behaviour, Upstream},
};

async fn ask(router: &Router, model: &str) -> reqwest::Response {
    router.post("/v1/chat/completions", format!(r#"{{"model":"{model}","messages":[]}}"#)).await
}

#[tokio::test]
async fn auto_and_the_policys_name_decide_and_a_candidates_name_does_not() {
    let up = Upstream::start(Behaviour::Answer).await;
    let router = Router::start(pair(&up, &up)).await;
    for model in ["auto", "support"] {
        let response = ask(&router, model).await;
        assert_eq!(header(&response, "x-router-model"), "small");
        assert_eq!(header(&response, "x-router-classified"), "true");
        assert_eq!(header(&response, "x-router-arm"), "stable");
        assert_eq!(header(&response, "x-router-reason"), "confident");
        assert!(header(&response, "x-router-decision-id").starts_with("td1."));
        for number in ["x-router-confidence", "x-router-uncertainty"] {
            assert!((0.0..=1.0).contains(&header(&response, number).parse::<f32>().unwrap()));
        }
    }
    for model in ["large", "large-model"] {
        let response = ask(&router, model).await;
        assert_eq!(header(&response, "x-router-model"), "large");
        assert_eq!(header(&response, "x-router-reason"), "requested");
        assert_eq!(header(&response, "x-router-decision-id"), "");
    }
}

#[tokio::test]
async fn a_named_candidate_that_is_down_is_not_replaced_by_another_model() {
    let (up, down) = (Upstream::start(Behaviour::Answer).await, Upstream::absent().await);
    let router = Router::start(pair(&up, &down)).await;
    assert_eq!(ask(&router, "large").await.status(), 503);
    assert_eq!(up.asked(), 0);
}

#[tokio::test]
async fn an_unknown_model_is_not_found() {
    let up = Upstream::start(Behaviour::Answer).await;
    let router = Router::start(pair(&up, &up)).await;
    let response = ask(&router, "gpt-9").await;
    assert_eq!(response.status(), 404);
    let error = &json(response).await["error"];
    assert_eq!((&error["code"], &error["param"]), (&"model_not_found".into(), &"model".into()));
}

#[tokio::test]
async fn the_list_of_models_has_auto_and_every_candidate() {
    let up = Upstream::start(Behaviour::Answer).await;
    let mut candidates = pair(&up, &up);
    candidates.push(candidate("a-third", Tier::Powerful, &up));
    let list = json(Router::start(candidates).await.get("/v1/models").await).await;
    let ids: Vec<_> =
        list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["auto", "small", "a-third", "large"]);
}

#[tokio::test]
async fn tags_in_the_header_and_in_the_field_are_scored_alike() {
    let up = Upstream::start(Behaviour::Answer).await;
    let router = Router::start(pair(&up, &up)).await;
    let (name, value) = testing::KNOWN_TAG;
    let route = async |tags: String| {
        json(router.post("/v1/route", format!(r#"{{"text":"Hi","tags":{{{tags}}}}}"#)).await).await
    };
    let tagged = route(format!(r#""{name}":"{value}""#)).await["confidence"].clone();
    assert_ne!(tagged, route(String::new()).await["confidence"]);
    let body = r#"{"model":"auto","messages":[{"role":"user","content":"Hi"}]}"#;
    let request = router.client.post(router.url("/v1/chat/completions")).body(body);
    let response = request.header("x-router-tags", format!("{name}={value}")).send().await.unwrap();
    assert_eq!(header(&response, "x-router-confidence"), tagged.to_string());
}
