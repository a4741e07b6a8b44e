use std::{
    process::Command,
    time::{Duration, Instant},
};

use tinydancer_crds::routing_policy::{RolloutState, RolloutStatus};
use tinydancer_e2e::{
    cluster::{Cluster, Fleet, PATIENCE, eventually},
    traffic::Counts,
};

use crate::endless_canary;

/// How long the API server does not answer.
const AWAY: Duration = Duration::from_mins(5);
/// The operator may go on until its own Lease is in doubt, and the weight holds for its lease after that.
const LONGEST_EXPOSURE: f64 = 40.0;

#[tokio::test]
async fn without_an_api_server_the_candidate_ends_with_its_lease_and_goes_on_after() {
    let Some(cluster) = Cluster::for_tests("the API server is away").await else { return };
    let Some(process) = std::env::var("TINYDANCER_API_SERVER_PID").ok() else {
        println!("NOT RUN: the API server can only be stopped on the local cluster");
        return;
    };
    let wish = endless_canary("away", &["support-v2", "support-v1"], 2);
    let fleet = Fleet::start(cluster, wish).await.unwrap();
    let begun = fleet.counts().await.unwrap();
    fleet.name_model("support-v1").await.unwrap();
    fleet.wait_for_state("support-v1", RolloutState::Canary).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let trial = rollout(&fleet).await;

    let before = fleet.counts().await.unwrap();
    let gone = Instant::now();
    let frozen = Frozen::freeze(process);
    tokio::time::sleep(AWAY).await;
    drop(frozen);
    let after = eventually("the client can be asked again", PATIENCE, || fleet.counts()).await.unwrap();
    let seconds = gone.elapsed().as_secs_f64();
    let during = |arm: &str| (of(&after, arm) - of(&before, arm)) as f64;
    // Half of the requests were the candidate's as long as it had its weight.
    let exposed = during("candidate") / 0.5 / (during("candidate") + during("stable")) * seconds;
    println!(
        "MEASURED API server away for {:.0} s: candidate decided {} of {} requests, so it ended after about {exposed:.0} s; {} failed",
        AWAY.as_secs_f64(),
        during("candidate"),
        after.answered - before.answered,
        after.failed
    );
    assert!(exposed < LONGEST_EXPOSURE, "{after:?}");

    eventually("the candidate has its share again", PATIENCE, || async {
        let counts = fleet.counts().await?;
        anyhow::ensure!(of(&counts, "candidate") > of(&after, "candidate") + 20, "{counts:?}");
        Ok(())
    })
    .await
    .unwrap();
    let resumed = rollout(&fleet).await;
    assert_eq!((resumed.attempt, resumed.model), (trial.attempt, trial.model), "the same trial goes on");
    let sent = fleet.counts().await.unwrap().sent - begun.sent;
    println!(
        "MEASURED API server back: {} pairs in the trial's evidence, {sent} requests since before it",
        resumed.pairs
    );
    assert!(resumed.pairs <= i64::try_from(sent).unwrap(), "no request is counted twice");
    fleet.stop().await.unwrap();
}

fn of(counts: &Counts, arm: &str) -> u64 {
    counts.by_arm.get(arm).copied().unwrap_or_default()
}

async fn rollout(fleet: &Fleet) -> RolloutStatus {
    fleet.policy().await.unwrap().status.unwrap().rollout.unwrap()
}

/// A process that does not run for as long as this lives.
struct Frozen(String);

impl Frozen {
    fn freeze(process: String) -> Self {
        signal("-STOP", &process);
        Self(process)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        signal("-CONT", &self.0);
    }
}

fn signal(signal: &str, process: &str) {
    let status = Command::new("kill").args([signal, process]).status().expect("kill is there");
    assert!(status.success(), "{status}");
}
