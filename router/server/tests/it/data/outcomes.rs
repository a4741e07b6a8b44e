//! How answers end is counted for the model that decided, and only where no upstream gave a whole one against it.

use std::time::Duration;

use tinydancer_guards::OutcomeCounts;
use tinydancer_protocol::TrialStage;

use super::{
    Router, Setup, configuration, pair,
    upstream::{Behaviour, Upstream},
};
use crate::pod::{Disk, Pod, model, on_trial};

/// A router in a pod whose candidate decides everything.
async fn canary(disk: &Disk, up: &Upstream) -> (Pod, Router) {
    let pod = disk.start();
    let (stable, candidate) = (pod.put(&model("stable")), pod.put(&model("candidate")));
    let mut assignment = on_trial(1, Some(stable), candidate, 1, TrialStage::Canary, 100);
    let setup = Setup::default();
    assignment.configuration = configuration(pair(up, up), &setup);
    pod.runtime.assign(assignment.clone()).unwrap();
    let (runtime, history) = (pod.runtime.clone(), pod.history.clone());
    let folder = tempfile::tempdir().unwrap();
    let router = Router::before(runtime, history, &assignment.configuration, setup, folder).await;
    (pod, router)
}

fn counted(pod: &Pod) -> OutcomeCounts {
    pod.runtime.report().evidence.unwrap().snapshot.outcomes
}

#[tokio::test]
async fn a_whole_answer_counts_for_the_model_that_decided_and_one_that_breaks_off_against_it() {
    let up = Upstream::start(Behaviour::Answer).await;
    let disk = Disk::new("support-0");
    let (pod, router) = canary(&disk, &up).await;
    router.chat().await.text().await.unwrap();
    assert_eq!(counted(&pod), OutcomeCounts { candidate: 1, ..OutcomeCounts::default() });
    up.set(Behaviour::BrokenEvents(vec![b"data: {\"choices\":[]}\n\n"]));
    router.stream().await.text().await.unwrap();
    assert_eq!(
        counted(&pod),
        OutcomeCounts { candidate: 2, candidate_failures: 1, ..OutcomeCounts::default() }
    );
}

#[tokio::test]
async fn a_request_that_no_upstream_answers_counts_against_the_model_that_decided() {
    let up = Upstream::start(Behaviour::Status(500, Vec::new(), "")).await;
    let disk = Disk::new("support-0");
    let (pod, router) = canary(&disk, &up).await;
    assert_eq!(router.chat().await.status(), 503);
    assert_eq!(
        counted(&pod),
        OutcomeCounts { candidate: 1, candidate_failures: 1, ..OutcomeCounts::default() }
    );
}

#[tokio::test]
async fn what_the_client_did_or_asked_for_by_name_counts_for_nobody() {
    let events = vec![("content-type", "text/event-stream".to_owned())];
    let up = Upstream::start(Behaviour::Status(400, Vec::new(), "{}")).await;
    let disk = Disk::new("support-0");
    let (pod, router) = canary(&disk, &up).await;
    assert_eq!(router.chat().await.status(), 400);
    up.set(Behaviour::Status(400, events, "data: {\"error\":{}}\n\n"));
    assert_eq!(router.stream().await.text().await.unwrap(), "data: {\"error\":{}}\n\n");
    up.set(Behaviour::Answer);
    let named = r#"{"model":"small","messages":[{"role":"user","content":"Hi"}]}"#;
    assert_eq!(router.post("/v1/chat/completions", named).await.status(), 200);
    up.set(Behaviour::Silence);
    let asked = up.asked();
    let gone = tokio::time::timeout(Duration::from_millis(200), router.chat()).await;
    assert!(gone.is_err() && up.asked() > asked, "the client hung up on a request that was sent on");
    assert_eq!(
        router
            .metric("tinydancer_router_upstream_requests_total{candidate=\"small\",outcome=\"client_error\"}")
            .await,
        2.0
    );
    assert_eq!(counted(&pod), OutcomeCounts::default());
    up.set(Behaviour::Answer);
    router.chat().await.text().await.unwrap();
    assert_eq!(counted(&pod), OutcomeCounts { candidate: 1, ..OutcomeCounts::default() });
}
