//! Keys go where the policy says, and prompts nowhere.

use std::time::Duration;

use tinydancer_crds::valid::Candidate;

use super::{
    Router, Setup, header, pair,
    upstream::{Behaviour, Upstream},
};

const KEY: &str = "sk-live-5d41402abc4b2a76b9719d911017c592";

fn with_keys(small: &Upstream, large: &Upstream) -> Vec<Candidate> {
    let mut candidates = pair(small, large);
    for candidate in &mut candidates {
        candidate.api_key = true;
    }
    candidates
}

#[tokio::test]
async fn a_key_goes_to_its_own_candidate_and_the_clients_key_to_nobody() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("upstream.small"), format!("{KEY}\n")).unwrap();
    std::fs::write(folder.path().join("upstream.large"), "sk-large").unwrap();
    let small = Upstream::start(Behaviour::Status(500, Vec::new(), "")).await;
    let large = Upstream::start(Behaviour::Answer).await;
    let setup = Setup { credentials: Some(folder.path()), ..Setup::default() };
    let router = Router::with(with_keys(&small, &large), setup).await;
    let body =
        r#"{"model":"auto","base_url":"http://evil","api_base":"http://evil","api_key":"x","messages":[]}"#;
    let request = router.client.post(router.url("/v1/chat/completions")).body(body);
    let request =
        request.header("authorization", "Bearer of-the-client").header("x-api-key", "of-the-client");
    assert_eq!(request.header("cookie", "of-the-client").send().await.unwrap().status(), 200);
    for (upstream, key) in [(&small, KEY), (&large, "sk-large")] {
        let received = upstream.received().remove(0);
        assert_eq!(received.headers["authorization"], format!("Bearer {key}"));
        assert!(!format!("{:?}", received.headers).contains("of-the-client"));
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("upstream.small"), KEY).unwrap();
    let other = Upstream::start(Behaviour::Answer).await;
    let location = ("location", format!("{}/chat/completions", other.endpoint()));
    let small = Upstream::start(Behaviour::Status(307, vec![location], "")).await;
    let setup = Setup { credentials: Some(folder.path()), ..Setup::default() };
    let mut candidates = pair(&small, &small);
    candidates[0].api_key = true;
    let router = Router::with(candidates, setup).await;
    assert_eq!(router.chat().await.status(), 503);
    assert_eq!(other.asked(), 0);
}

#[tokio::test]
async fn a_candidate_without_its_key_is_not_asked_until_the_key_is_there() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("upstream.large"), "sk-large").unwrap();
    let up = Upstream::start(Behaviour::Answer).await;
    let setup = Setup { credentials: Some(folder.path()), ..Setup::default() };
    let router = Router::with(with_keys(&up, &up), setup).await;
    assert_eq!(header(&router.chat().await, "x-router-model"), "large");
    assert!(!router.upstreams.report()[0].key_present);
    std::fs::write(folder.path().join("upstream.small"), KEY).unwrap();
    let there = async {
        while header(&router.chat().await, "x-router-model") != "small" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), there).await.unwrap();
}
