//! A share of the requests goes to the other tier than was decided, with a probability that is written down.

use tinydancer_guards::OutcomeCounts;
use tinydancer_history::Tier;
use tinydancer_protocol::TrialStage;

use super::{
    Router, Setup, configuration, header, json, pair,
    upstream::{Behaviour, Upstream},
};
use crate::pod::{Disk, model, on_trial};

const SHARE: u16 = 200;
const REQUESTS: usize = 2_048;

async fn router(explore_permille: u16) -> Router {
    let up = Upstream::start(Behaviour::Answer).await;
    Router::with(pair(&up, &up), Setup { explore_permille, ..Setup::default() }).await
}

#[tokio::test]
async fn the_share_asked_for_goes_to_the_other_tier_and_says_so() {
    let router = router(SHARE).await;
    let body = format!(r#"{{"requests":[{}]}}"#, [r#"{"text":"Hi"}"#; 256].join(","));
    let mut explored = 0;
    for _ in 0..REQUESTS / 256 {
        let answer = json(router.post("/v1/route/batch", body.clone()).await).await;
        for decision in answer["decisions"].as_array().unwrap() {
            let expected = if decision["explored"] == true { "Powerful" } else { "Lightweight" };
            assert_eq!((&decision["tier"], &decision["reason"]), (&expected.into(), &"confident".into()));
            explored += usize::from(decision["explored"] == true);
        }
    }
    let (requests, share) = (REQUESTS as f64, f64::from(SHARE) / 1000.0);
    let sigma = (requests * share * (1.0 - share)).sqrt();
    assert!((explored as f64 - requests * share).abs() <= 4.5 * sigma, "{explored} of {REQUESTS}");
    assert_eq!(router.metric("tinydancer_router_explored_total{tier=\"Powerful\"}").await, explored as f64);
    router.history.flush().unwrap();
    let recorded = router.history.recent_decisions(5_000).unwrap();
    assert_eq!(recorded.iter().filter(|decision| decision.explored).count(), explored);
    for decision in recorded {
        let expected = if decision.explored { (Tier::Powerful, 0.2) } else { (Tier::Lightweight, 0.8) };
        assert_eq!((decision.tier, decision.propensity), expected);
    }
}

#[tokio::test]
async fn an_explored_chat_request_is_answered_by_the_other_tier() {
    let router = router(1000).await;
    let response = router.chat().await;
    assert_eq!(header(&response, "x-router-model"), "large");
    assert_eq!(
        (header(&response, "x-router-explored"), header(&response, "x-router-reason")),
        ("true", "confident")
    );
}

#[tokio::test]
async fn what_no_model_classified_is_not_experimented_with() {
    let up = Upstream::absent().await;
    let setup = Setup { explore_permille: 1000, ..Setup::default() };
    let router = Router::deciding_with(None, pair(&up, &up), setup).await;
    for _ in 0..50 {
        let decision = json(router.post("/v1/route", r#"{"text":"Hi"}"#).await).await;
        assert_eq!((&decision["explored"], &decision["classified"]), (&false.into(), &false.into()));
    }
    router.history.flush().unwrap();
    assert!(router.history.recent_decisions(50).unwrap().iter().all(|decision| decision.propensity == 1.0));
}

#[tokio::test]
async fn how_an_explored_request_ends_says_nothing_about_the_model_on_trial() {
    let up = Upstream::start(Behaviour::Answer).await;
    let disk = Disk::new("support-0");
    let pod = disk.start();
    let (stable, candidate) = (pod.put(&model("stable")), pod.put(&model("candidate")));
    let counted = || pod.runtime.report().evidence.unwrap();
    for (epoch, explore_permille, expected) in [(1, 1000, 0), (2, 0, 1)] {
        let mut assignment = on_trial(epoch, Some(stable), candidate, epoch, TrialStage::Canary, 100);
        let setup = Setup { explore_permille, ..Setup::default() };
        assignment.configuration = configuration(pair(&up, &up), &setup);
        pod.runtime.assign(assignment.clone()).unwrap();
        let (runtime, history) = (pod.runtime.clone(), pod.history.clone());
        let folder = tempfile::tempdir().unwrap();
        let router = Router::before(runtime, history, &assignment.configuration, setup, folder).await;
        router.chat().await.text().await.unwrap();
        let evidence = counted();
        let outcomes = OutcomeCounts { candidate: expected, ..OutcomeCounts::default() };
        assert_eq!((evidence.snapshot.outcomes, evidence.snapshot.pairs), (outcomes, 1));
    }
}
