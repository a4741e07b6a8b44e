//! Metrics and probes.

use super::{
    Router, Setup, configuration, pair,
    upstream::{Behaviour, Upstream},
};
use tinydancer_protocol::TrialStage;
use tinydancer_server::data::Limits;

use crate::pod::{Disk, faulty_model, long_prompt, model, on_trial, promoted};

#[tokio::test]
async fn every_line_of_the_metrics_is_one_and_savings_can_be_read() {
    let up = Upstream::start(Behaviour::Answer).await;
    let router = Router::start(pair(&up, &up)).await;
    for _ in 0..4 {
        router.chat().await;
    }
    let text = router.get("/metrics").await.text().await.unwrap();
    assert!(text.ends_with("# EOF\n"));
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(series.starts_with("tinydancer_router_"), "{line}");
        assert!(value.parse::<f64>().unwrap().is_finite(), "{line}");
    }
    let decided = r#"tinydancer_router_decisions_total{tier="Lightweight",arm="stable",reason="confident",classified="true"}"#;
    assert_eq!(router.metric(decided).await, 4.0);
    let cost =
        async |kind| router.metric(&format!("tinydancer_router_cost_dollars_total{{kind=\"{kind}\"}}")).await;
    // Ten tokens in and twenty out, four times, at 0.1 and 0.3 dollars a million; Powerful takes a hundred times as much.
    assert!((cost("actual").await - 4.0 * 7e-6).abs() < 1e-12);
    assert!((cost("always_powerful").await - 4.0 * 7e-4).abs() < 1e-12);
    let drift = text.lines().filter(|line| line.contains("score_psi{") || line.contains("input_drifted{"));
    assert_eq!(drift.count(), 3, "requests are compared with training: {text}");
    assert!(
        !text.contains("regret") && !text.contains("coverage{"),
        "and nothing is said of what nobody graded"
    );
}

#[tokio::test]
async fn trial_replay_and_watch_are_in_the_metrics() {
    let (up, disk) = (Upstream::start(Behaviour::Answer).await, Disk::new("support-0"));
    let pod = disk.start();
    let (stable, candidate) = (pod.put(&model("stable")), pod.put(&faulty_model()));
    let setup = Setup::default();
    let configuration = configuration(pair(&up, &up), &setup);
    let (runtime, history) = (pod.runtime.clone(), pod.history.clone());
    let router = Router::before(runtime, history, &configuration, setup, tempfile::tempdir().unwrap()).await;
    let metric = async |name: &str| router.metric(&format!("tinydancer_router_{name}")).await;
    pod.runtime.assign(on_trial(1, Some(stable), candidate, 1, TrialStage::Shadow, 0)).unwrap();
    router.chat().await;
    pod.history.flush().unwrap();
    pod.runtime.assign(on_trial(2, Some(stable), candidate, 1, TrialStage::Staging, 0)).unwrap();
    pod.runtime.assign(on_trial(3, Some(stable), candidate, 1, TrialStage::Canary, 100)).unwrap();
    router.chat().await;
    let replayed = format!("replay_decisions{{digest=\"{}\",result=\"scored\"}}", candidate.short());
    assert_eq!(metric(&replayed).await, 1.0);
    assert_eq!(metric("candidate_weight_basis_points").await, 10_000.0);
    assert_eq!(metric("step_decisions{arm=\"candidate\"}").await, 1.0);
    assert_eq!(metric("step_buckets{arm=\"candidate\"}").await, 1.0);
    assert_eq!(metric("scoring_seconds_count{model=\"candidate\"}").await, 2.0);
    assert_eq!(metric("watch{state=\"none\"}").await, 1.0);
    pod.runtime.assign(promoted(4, candidate, stable, 1)).unwrap();
    router.chat().await;
    assert_eq!(metric("scoring_seconds_count{model=\"previous\"}").await, 1.0);
    assert_eq!(metric("watch{state=\"watching\"}").await, 1.0);
    for _ in 0..5 {
        pod.decide(&long_prompt(), "key");
    }
    assert_eq!(metric("watch{state=\"left\"}").await, 1.0);
    assert_eq!(metric("watch{state=\"watching\"}").await, 0.0);
    assert_eq!(metric("tripped_models").await, 1.0);
}

#[tokio::test]
async fn what_cannot_be_taken_is_refused_at_once_and_probes_still_answer() {
    let up = Upstream::start(Behaviour::Silence).await;
    let limits = Limits { in_flight: 1, ..Setup::default().limits };
    let router = Router::with(pair(&up, &up), Setup { limits, ..Setup::default() }).await;
    let refused = async {
        while up.asked() == 0 {
            tokio::task::yield_now().await;
        }
        let response = router.post("/v1/route", r#"{"text":"x"}"#).await;
        assert_eq!(response.status(), 429);
        assert_eq!(super::header(&response, "retry-after"), "1");
        for path in ["/livez", "/readyz", "/startupz", "/metrics"] {
            assert_eq!(router.get(path).await.status(), 200, "{path}");
        }
        assert_eq!(router.metric("tinydancer_router_shed_total").await, 1.0);
    };
    tokio::select! {
        _ = router.chat() => panic!("the upstream never answers"),
        () = refused => {}
    }
}

#[tokio::test]
async fn a_router_that_stops_is_no_longer_ready_and_still_answers() {
    let up = Upstream::start(Behaviour::Answer).await;
    let limits = Limits { notice: std::time::Duration::from_secs(2), ..Setup::default().limits };
    let mut router = Router::with(pair(&up, &up), Setup { limits, ..Setup::default() }).await;
    assert_eq!(router.get("/readyz").await.status(), 200);
    router.tell_to_stop();
    while router.get("/readyz").await.status() == 200 {}
    assert_eq!(router.get("/livez").await.status(), 200);
    let response = router.chat().await;
    assert_eq!((response.status().as_u16(), super::header(&response, "connection")), (200, "close"));
    router.served.await.unwrap();
}

#[tokio::test]
async fn bodies_together_take_no_more_than_is_allowed() {
    let up = Upstream::start(Behaviour::Silence).await;
    let limits = Limits { all_bodies: 3_000, ..Setup::default().limits };
    let router = Router::with(pair(&up, &up), Setup { limits, ..Setup::default() }).await;
    let body =
        format!(r#"{{"model":"auto","messages":[{{"role":"user","content":"{}"}}]}}"#, "x".repeat(2_000));
    let refused = async {
        while up.asked() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(router.post("/v1/chat/completions", body.clone()).await.status(), 429);
        assert_eq!(router.post("/v1/route", r#"{"text":"x"}"#).await.status(), 200);
    };
    tokio::select! {
        _ = router.post("/v1/chat/completions", body.clone()) => panic!("the upstream never answers"),
        () = refused => {}
    }
    // The first client has gone, and its bytes with it.
    up.set(Behaviour::Answer);
    while router.post("/v1/chat/completions", body.clone()).await.status() != 200 {}
}
