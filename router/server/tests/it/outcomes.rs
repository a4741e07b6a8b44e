//! What upstreams made of requests becomes evidence about the model that decided them, and so do time and share.

use tinydancer_guards::{BasisPoints, GuardName, OutcomeCounts, TripCause, sample_ratio};
use tinydancer_protocol::TrialStage;
use tinydancer_server::runtime::{Arm, RoutingDecision, UpstreamOutcome};

use crate::pod::{Disk, LEASE, Pod, canary, faulty_model, long_prompt, model, on_trial};

fn ended(pod: &Pod, decision: &RoutingDecision, succeeded: bool) {
    let outcome = UpstreamOutcome {
        succeeded,
        latency_millis: 1,
        prompt_tokens: None,
        completion_tokens: None,
        cost_micro_dollars: None,
    };
    pod.runtime.record_outcome(&decision.id, decision.explored, outcome);
}

fn counted(pod: &Pod) -> OutcomeCounts {
    pod.runtime.report().evidence.unwrap().snapshot.outcomes
}

#[test]
fn a_candidate_whose_requests_fail_upstream_is_tripped_by_the_pod_alone() {
    let disk = Disk::new("support-0");
    let (pod, _) = canary(&disk, &model("candidate"), 50);
    for number in 0..600 {
        let decision = pod.decide("hello", &number.to_string());
        ended(&pod, &decision, decision.arm == Arm::Stable);
    }
    let evidence = pod.runtime.report().evidence.unwrap().snapshot;
    let (outcomes, stream) = (evidence.outcomes, evidence.guards[&GuardName::UpstreamFailures]);
    assert_eq!((outcomes.candidate_failures, outcomes.stable_failures), (outcomes.candidate, 0));
    assert_eq!(outcomes.candidate + outcomes.stable, 600);
    assert!(stream.observations > 100, "{stream:?}");
    pod.runtime.tick();
    let report = pod.runtime.report();
    assert_eq!(report.trips[0].cause, TripCause::Guard(GuardName::UpstreamFailures));
    assert_eq!(report.effective_weight, BasisPoints::ZERO);
}

#[test]
fn an_upstream_that_fails_for_both_arms_is_nobodys_fault() {
    let disk = Disk::new("support-0");
    let (pod, _) = canary(&disk, &model("candidate"), 50);
    for number in 0..2_000 {
        let decision = pod.decide("hello", &number.to_string());
        ended(&pod, &decision, false);
    }
    pod.runtime.tick();
    let outcomes = counted(&pod);
    assert_eq!(outcomes.candidate_failures + outcomes.stable_failures, 2_000);
    assert!(pod.runtime.report().trips.is_empty());
}

#[test]
fn an_answer_that_ends_after_its_trial_counts_for_no_other() {
    let disk = Disk::new("support-0");
    let (pod, mut assignment) = canary(&disk, &model("candidate"), 100);
    let earlier = pod.decide("hello", "key");
    assignment.epoch = 3;
    assignment.trial.as_mut().unwrap().attempt = 2;
    pod.runtime.assign(assignment).unwrap();
    ended(&pod, &earlier, false);
    assert_eq!(counted(&pod), OutcomeCounts::default());
    let later = pod.decide("hello", "key");
    ended(&pod, &later, false);
    assert_eq!(
        counted(&pod),
        OutcomeCounts { candidate: 1, candidate_failures: 1, ..OutcomeCounts::default() }
    );
}

#[test]
fn what_no_model_decided_and_what_another_pod_decided_counts_for_nobody() {
    let disk = Disk::new("support-0");
    let pod = disk.start();
    let candidate = pod.put(&model("first"));
    pod.runtime.assign(on_trial(1, None, candidate, 1, TrialStage::Shadow, 0)).unwrap();
    let decision = pod.decide("hello", "key");
    assert_eq!(decision.arm, Arm::Unclassified);
    ended(&pod, &decision, false);
    assert_eq!(counted(&pod), OutcomeCounts::default());
}

#[test]
fn outcomes_alone_are_written_down_too() {
    let disk = Disk::new("support-0");
    let (pod, _) = canary(&disk, &model("candidate"), 100);
    let decision = pod.decide("hello", "key");
    pod.runtime.tick();
    pod.history.flush().unwrap();
    ended(&pod, &decision, true);
    pod.history.flush().unwrap();
    let commits = pod.history.commits();
    pod.runtime.tick();
    assert!(pod.history.commits() > commits);
}

#[test]
fn both_models_scoring_times_are_measured_on_every_request() {
    let disk = Disk::new("support-0");
    let (pod, _) = canary(&disk, &model("candidate"), 50);
    for number in 0..20 {
        let decision = pod.decide("Solve x + 2 = 5.", &number.to_string());
        let times = decision.scoring.map(Option::unwrap);
        assert!(times.iter().all(|time| time.microseconds > 0.0), "{times:?}");
        assert!(times.iter().map(|time| time.microseconds).sum::<f64>() <= decision.latency.inference_us);
    }
    let evidence = pod.runtime.report().evidence.unwrap().snapshot;
    assert_eq!(evidence.guards[&GuardName::Latency].observations, 20);
    assert!(evidence.shapes.candidate_nanoseconds.quantile(0.5).unwrap() > 1.0);
    assert!(evidence.shapes.stable_nanoseconds.quantile(0.5).unwrap() > 1.0);
}

#[test]
fn the_buckets_of_both_arms_are_counted_anew_with_each_epoch_and_are_those_that_were_asked_for() {
    let disk = Disk::new("support-0");
    let (pod, mut assignment) = canary(&disk, &model("candidate"), 5);
    for (epoch, percent) in [(3, 5_u8), (4, 25), (5, 50)] {
        assignment.epoch = epoch;
        let weight = BasisPoints::from_percent(percent);
        assignment.trial.as_mut().unwrap().weight = weight;
        let step = pod.runtime.assign(assignment.clone()).unwrap().step;
        assert_eq!((step.candidate_buckets, step.stable_buckets), (0, 0));
        // Each key twice: a bucket counts once.
        for number in (0..2_000).chain(0..2_000) {
            pod.decide("hello", &format!("user {number}"));
        }
        let step = pod.runtime.report().step;
        assert!((1_700..=2_000).contains(&(step.candidate_buckets + step.stable_buckets)), "{step:?}");
        let chance = sample_ratio(weight, step.candidate_buckets, step.stable_buckets).unwrap();
        assert!(chance > 0.001, "{percent}: {step:?}");
    }
}

#[test]
fn without_a_weight_no_bucket_is_counted() {
    let disk = Disk::new("support-0");
    let (pod, mut assignment) = canary(&disk, &faulty_model(), 50);
    for number in 0..100 {
        pod.decide("hello", &number.to_string());
    }
    let counted = pod.runtime.report().step;
    assert!(counted.candidate_buckets > 0 && counted.stable_buckets > 0);
    // A candidate that failed has sorted nobody into an arm; a lease that ended sorts nobody either.
    pod.decide(&long_prompt(), "another key");
    pod.clock.advance(LEASE);
    for number in 100..200 {
        pod.decide("hello", &number.to_string());
    }
    let step = pod.runtime.report().step;
    assert_eq!(
        (step.candidate_buckets, step.stable_buckets),
        (counted.candidate_buckets, counted.stable_buckets)
    );
    assignment.epoch = 3;
    let trial = assignment.trial.as_mut().unwrap();
    (trial.stage, trial.weight) = (TrialStage::Shadow, BasisPoints::ZERO);
    pod.runtime.assign(assignment).unwrap();
    pod.decide("hello", "key");
    let step = pod.runtime.report().step;
    assert_eq!((step.candidate_buckets, step.stable_buckets, step.pairs), (0, 0, 1));
}
