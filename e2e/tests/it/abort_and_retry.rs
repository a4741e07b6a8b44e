use tinydancer_crds::{
    ABORT_ANNOTATION, RETRY_ANNOTATION,
    conditions::{reasons as known, types},
    routing_policy::{RolloutState, RolloutStatus},
};
use tinydancer_e2e::cluster::{Cluster, Fleet, PATIENCE, eventually, model_bytes};

use crate::{annotate, assert_no_failure, one_step, reasons, watch_nothing};

#[tokio::test]
async fn an_abort_quarantines_one_attempt_and_a_retry_token_buys_one_more() {
    let Some(cluster) = Cluster::for_tests("abort and retry").await else { return };
    let wish = one_step("abort", &["support-v1", "support-v2"], 50, 600);
    let fleet = Fleet::start(cluster, wish).await.unwrap();
    fleet.name_model("support-v2").await.unwrap();
    fleet.wait_for_state("support-v2", RolloutState::Canary).await.unwrap();
    let first = rollout(&fleet).await.attempt;

    annotate(&fleet, ABORT_ANNOTATION, &first.to_string()).await;
    fleet.wait_for_state("support-v2", RolloutState::RolledBack).await.unwrap();
    let message =
        fleet.wait_for_condition("support", types::STALLED, "True", known::QUARANTINED).await.unwrap();
    assert!(message.contains(RETRY_ANNOTATION), "{message}");
    let policy = fleet.policy().await.unwrap();
    assert_eq!(reasons(&policy, "support-v2").iter().filter(|reason| *reason == known::ABORTED).count(), 1);
    let digest = tinydancer_crds::Digest::of(&model_bytes("support-v2").unwrap()).to_string();
    assert_eq!(policy.status.unwrap().quarantined, [digest]);
    assert_candidate_rests(&fleet).await;

    // The abort stands where it was: it was meant for the first attempt alone.
    annotate(&fleet, RETRY_ANNOTATION, "a first token").await;
    let second = eventually("the second attempt is in Canary", PATIENCE, || async {
        let rollout = rollout(&fleet).await;
        let there = rollout.attempt == first + 1 && rollout.state == RolloutState::Canary;
        anyhow::ensure!(there, "{rollout:?}");
        Ok(rollout)
    })
    .await
    .unwrap();
    watch_nothing(4).await;
    let later = rollout(&fleet).await;
    assert_eq!((later.attempt, later.state), (second.attempt, RolloutState::Canary), "{later:?}");
    assert_eq!(fleet.policy().await.unwrap().status.unwrap().quarantined, Vec::<String>::new());

    // The token stands where it was, too: it was worth one attempt.
    annotate(&fleet, ABORT_ANNOTATION, &second.attempt.to_string()).await;
    fleet.wait_for_state("support-v2", RolloutState::RolledBack).await.unwrap();
    assert_candidate_rests(&fleet).await;
    let last = rollout(&fleet).await;
    assert_eq!((last.attempt, last.state), (second.attempt, RolloutState::RolledBack), "{last:?}");
    assert_no_failure(&fleet).await;
    fleet.stop().await.unwrap();
}

async fn rollout(fleet: &Fleet) -> RolloutStatus {
    fleet.policy().await.unwrap().status.unwrap().rollout.expect("a trial")
}

/// Checks that requests are answered and the candidate decides none of them.
async fn assert_candidate_rests(fleet: &Fleet) {
    // Answers under way when the weight went to 0 still count.
    watch_nothing(1).await;
    let before = fleet.counts().await.unwrap();
    watch_nothing(4).await;
    let after = fleet.counts().await.unwrap();
    assert!(after.answered > before.answered, "{after:?}");
    assert!(before.by_arm.contains_key("candidate"), "{before:?}");
    assert_eq!(after.by_arm.get("candidate"), before.by_arm.get("candidate"));
}
