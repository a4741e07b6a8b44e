//! Arms, lease, trips and evidence of a pod, without network.

use std::time::Duration;

use proptest::prelude::*;
use tinydancer_guards::{BasisPoints, TripCause};
use tinydancer_history::{HistoryError, Options};
use tinydancer_protocol::{AcceptError, ModelState, TrialStage};
use tinydancer_server::runtime::{Arm, AssignError, ModelError, PutModelError};

use crate::pod::{Disk, LEASE, canary, faulty_model, long_prompt, model, on_trial, settled};

#[test]
fn both_arms_score_every_request_in_shadow_and_stable_decides_all() {
    let disk = Disk::new("support-0");
    let pod = disk.start();
    let (stable, candidate) = (pod.put(&model("stable")), pod.put(&model("candidate")));
    pod.runtime.assign(on_trial(1, Some(stable), candidate, 1, TrialStage::Shadow, 0)).unwrap();
    for number in 0..50 {
        let decision = pod.decide("Solve x + 2 = 5.", &format!("key {number}"));
        assert_eq!((decision.arm, decision.digest, decision.classified), (Arm::Stable, Some(stable), true));
    }
    let report = pod.runtime.report();
    assert_eq!(
        (report.step.pairs, report.step.stable_decisions, report.step.candidate_decisions),
        (50, 50, 0)
    );
    let evidence = report.evidence.unwrap();
    assert_eq!(evidence.snapshot.pairs, 50);
    assert_eq!(evidence.candidate_uncertainty, evidence.stable_uncertainty);
    assert_eq!(report.stable_uncertainty.map(|(_, count)| count), Some(50));
}

#[test]
fn a_candidate_in_staging_scores_nothing() {
    let disk = Disk::new("support-0");
    let pod = disk.start();
    let (stable, candidate) = (pod.put(&model("stable")), pod.put(&model("candidate")));
    let report = pod.runtime.assign(on_trial(1, Some(stable), candidate, 1, TrialStage::Staging, 0)).unwrap();
    assert!(report.models.iter().all(|model| model.state == ModelState::Verified));
    pod.decide("hello", "key");
    assert_eq!(pod.runtime.report().step.pairs, 0);
}

#[test]
fn the_candidates_share_is_its_weight_within_four_and_a_half_sigma() {
    let disk = Disk::new("support-0");
    let (pod, mut assignment) = canary(&disk, &model("candidate"), 1);
    let requests = 4_000_u32;
    for (epoch, percent) in [(3, 1_u8), (4, 5), (5, 25), (6, 50)] {
        assignment.epoch = epoch;
        assignment.trial.as_mut().unwrap().weight = BasisPoints::from_percent(percent);
        pod.runtime.assign(assignment.clone()).unwrap();
        let arms = (0..requests).map(|number| pod.decide("hello", &format!("user {number}")).arm);
        let candidate = arms.filter(|arm| *arm == Arm::Candidate).count() as f64;
        let share = f64::from(percent) / 100.0;
        let sigma = (f64::from(requests) * share * (1.0 - share)).sqrt();
        assert!((candidate - f64::from(requests) * share).abs() <= 4.5 * sigma, "{percent}: {candidate}");
    }
}

#[test]
fn requests_without_a_key_are_drawn_one_by_one() {
    let disk = Disk::new("support-0");
    let (pod, _) = canary(&disk, &model("candidate"), 50);
    let arms = (0..200).map(|_| crate::pod::decide(&pod.runtime, "hello", None).arm);
    let candidate = arms.filter(|arm| *arm == Arm::Candidate).count();
    assert!((60..=140).contains(&candidate), "{candidate} of 200");
}

#[test]
fn a_key_that_reached_the_candidate_stays_there_while_the_weight_rises() {
    let disk = Disk::new("support-0");
    let (pod, mut assignment) = canary(&disk, &model("candidate"), 1);
    let mut reached = vec![false; 500];
    for (epoch, percent) in (3..).zip([1, 5, 25, 50, 100]) {
        assignment.epoch = epoch;
        assignment.trial.as_mut().unwrap().weight = BasisPoints::from_percent(percent);
        pod.runtime.assign(assignment.clone()).unwrap();
        for (number, reached) in reached.iter_mut().enumerate() {
            let now = pod.decide("hello", &format!("user {number}")).arm == Arm::Candidate;
            assert!(now || !*reached, "user {number} went back at {percent} percent");
            *reached = now;
        }
    }
    assert!(reached.iter().all(|reached| *reached));
}

#[test]
fn a_lease_that_ends_puts_the_weight_to_zero_and_scoring_goes_on() {
    let disk = Disk::new("support-0");
    let (pod, assignment) = canary(&disk, &model("candidate"), 100);
    pod.clock.advance(LEASE - 1);
    assert_eq!(pod.decide("hello", "key").arm, Arm::Candidate);
    let report = pod.runtime.assign(assignment.clone()).unwrap();
    assert_eq!(report.lease_remaining_millis, Some(LEASE * 1000));
    pod.clock.advance(LEASE - 1);
    assert_eq!(pod.decide("hello", "key").arm, Arm::Candidate, "the same assignment renews the lease");
    pod.clock.advance(1);
    assert_eq!(pod.decide("hello", "key").arm, Arm::Stable);
    let report = pod.runtime.report();
    assert_eq!(report.effective_weight, BasisPoints::ZERO);
    assert_eq!(report.lease_remaining_millis, Some(0));
    assert_eq!(report.step.pairs, 3, "it is scored without a lease");
    assert_eq!(report.step.elapsed_millis, 1000 * (2 * LEASE - 1), "renewing does not start the step anew");
    pod.runtime.assign(assignment).unwrap();
    assert_eq!(pod.decide("hello", "key").arm, Arm::Candidate);
}

#[test]
fn an_older_epoch_and_the_same_with_other_content_are_refused() {
    let disk = Disk::new("support-0");
    let (pod, assignment) = canary(&disk, &model("candidate"), 50);
    let mut older = assignment.clone();
    older.epoch = 1;
    let refused = pod.runtime.assign(older).unwrap_err();
    assert!(matches!(refused, AssignError::NotAcceptable(AcceptError::Stale { held: 2, offered: 1 })));
    let mut other = assignment.clone();
    other.trial.as_mut().unwrap().weight = BasisPoints::ALL;
    let refused = pod.runtime.assign(other).unwrap_err();
    assert!(matches!(refused, AssignError::NotAcceptable(AcceptError::Conflict(2))));
    let mut foreign = assignment;
    foreign.epoch = 9;
    foreign.policy.name = "other".to_owned();
    assert!(matches!(pod.runtime.assign(foreign).unwrap_err(), AssignError::WrongPolicy { .. }));
    assert_eq!(pod.runtime.report().effective_weight, BasisPoints::from_percent(50));
}

#[test]
fn the_same_assignment_again_writes_nothing() {
    let disk = Disk::new("support-0");
    let (pod, assignment) = canary(&disk, &model("candidate"), 50);
    let commits = pod.history.commits();
    for _ in 0..20 {
        pod.runtime.assign(assignment.clone()).unwrap();
    }
    assert_eq!(pod.history.commits(), commits);
}

#[test]
fn a_candidate_that_fails_is_tripped_within_five_faults_and_no_caller_sees_an_error() {
    let disk = Disk::new("support-0");
    let (pod, assignment) = canary(&disk, &faulty_model(), 100);
    let candidate = assignment.trial.as_ref().unwrap().model.digest;
    let prompt = long_prompt();
    assert_eq!(pod.decide("short", "key").arm, Arm::Candidate, "it works on short prompts");
    for fault in 1..=5 {
        let decision = pod.decide(&prompt, "key");
        assert_eq!((decision.arm, decision.classified), (Arm::Stable, true), "fault {fault}");
    }
    let report = pod.runtime.report();
    assert_eq!(report.effective_weight, BasisPoints::ZERO);
    assert_eq!(pod.decide("short", "key").arm, Arm::Stable, "it answers nothing any more");
    let trip = &report.trips[0];
    assert_eq!((trip.digest, trip.attempt, report.trips.len()), (candidate, 1, 1));
    assert!(matches!(trip.cause, TripCause::ConsecutiveFaults | TripCause::FaultRate));
    let mut same = assignment;
    same.epoch = 3;
    assert_eq!(
        pod.runtime.assign(same).unwrap().effective_weight,
        BasisPoints::ZERO,
        "a new epoch lifts nothing"
    );
}

#[test]
fn a_trip_survives_a_restart_and_a_larger_attempt_lifts_it() {
    let disk = Disk::new("support-0");
    let (pod, assignment) = canary(&disk, &faulty_model(), 100);
    let prompt = long_prompt();
    for _ in 0..5 {
        pod.decide(&prompt, "key");
    }
    pod.runtime.tick();
    let disk = disk.cut_off();
    drop(pod);
    let pod = disk.start();
    assert_eq!(pod.runtime.report().trips.len(), 1);
    assert_eq!(pod.runtime.assign(assignment.clone()).unwrap().effective_weight, BasisPoints::ZERO);
    assert_eq!(pod.decide("short", "key").arm, Arm::Stable);
    let mut retried = assignment;
    retried.epoch = 3;
    retried.trial.as_mut().unwrap().attempt = 2;
    let report = pod.runtime.assign(retried).unwrap();
    assert_eq!((report.effective_weight, report.trips), (BasisPoints::ALL, Vec::new()));
    assert_eq!(pod.decide("short", "key").arm, Arm::Candidate);
    assert!(pod.history.trips().unwrap().is_empty());
}

#[test]
fn an_overconfident_candidate_is_tripped_by_the_pod_alone() {
    let disk = Disk::new("support-0");
    let pod = disk.start();
    let mut parts = tinydancer_engine::testing::parts(1);
    for weight in parts.network.head_weight.iter_mut().flatten() {
        *weight *= 8.0;
    }
    for bias in &mut parts.network.head_bias {
        *bias *= 8.0;
    }
    let metadata = tinydancer_engine::testing::metadata("overconfident", 1);
    let precision = tinydancer_engine::artifact::Precision::F32;
    let overconfident = tinydancer_engine::artifact::write(&parts, &metadata, precision).unwrap();
    let (stable, candidate) = (pod.put(&model("stable")), pod.put(&overconfident));
    pod.runtime.assign(on_trial(1, Some(stable), candidate, 1, TrialStage::Canary, 100)).unwrap();
    for number in 0..2_000 {
        pod.decide(&format!("Question {number}: what is {number} times {number}?"), "key");
    }
    assert_eq!(pod.runtime.report().effective_weight, BasisPoints::ALL, "nobody has judged yet");
    pod.runtime.tick();
    let report = pod.runtime.report();
    assert_eq!(report.effective_weight, BasisPoints::ZERO);
    assert!(matches!(report.trips[0].cause, TripCause::Guard(_)), "{:?}", report.trips);
}

#[test]
fn a_candidate_that_differs_in_nothing_is_never_tripped() {
    let disk = Disk::new("support-0");
    let (pod, _) = canary(&disk, &model("candidate"), 50);
    for number in 0..5_000 {
        pod.decide(&format!("Question {number}"), &number.to_string());
    }
    pod.runtime.tick();
    assert!(pod.runtime.report().trips.is_empty());
    assert_eq!(pod.runtime.report().effective_weight, BasisPoints::from_percent(50));
}

#[test]
fn a_stable_model_that_fails_sends_the_request_to_powerful() {
    let disk = Disk::new("support-0");
    let pod = disk.start();
    let stable = pod.put(&faulty_model());
    pod.runtime.assign(settled(1, Some(stable))).unwrap();
    assert!(pod.decide("short", "key").classified);
    let decision = pod.decide(&long_prompt(), "key");
    assert_eq!((decision.arm, decision.classified, decision.abstained), (Arm::Unclassified, false, true));
    assert_eq!((decision.reason, decision.digest), ("not_classified", None));
}

#[test]
fn the_first_model_of_a_fleet_is_compared_with_its_own_reference() {
    let disk = Disk::new("support-0");
    let pod = disk.start();
    let candidate = pod.put(&model("first"));
    pod.runtime.assign(on_trial(1, None, candidate, 1, TrialStage::Shadow, 0)).unwrap();
    let decision = pod.decide("hello", "key");
    assert_eq!((decision.arm, decision.classified), (Arm::Unclassified, false));
    pod.runtime.assign(on_trial(2, None, candidate, 1, TrialStage::Canary, 100)).unwrap();
    let decision = pod.decide("hello", "key");
    assert_eq!((decision.arm, decision.digest), (Arm::Candidate, Some(candidate)));
    let evidence = pod.runtime.report().evidence.unwrap();
    assert_eq!(evidence.snapshot.pairs, 2, "the same evidence goes on from Shadow to Canary");
    assert_eq!(evidence.stable_uncertainty, Some(0.25), "the reference of the artifact");
    let guards: Vec<_> = evidence.snapshot.guards.keys().map(|guard| guard.as_str()).collect();
    assert_eq!(guards, ["HardFault", "UncertaintyShift", "Latency"]);
}

#[test]
fn another_configuration_or_attempt_starts_evidence_anew_and_another_weight_does_not() {
    let disk = Disk::new("support-0");
    let (pod, mut assignment) = canary(&disk, &model("candidate"), 5);
    let pairs = |pod: &crate::pod::Pod| pod.runtime.report().evidence.unwrap().snapshot.pairs;
    pod.decide("hello", "key");
    assignment.epoch = 3;
    assignment.trial.as_mut().unwrap().weight = BasisPoints::from_percent(25);
    let report = pod.runtime.assign(assignment.clone()).unwrap();
    assert_eq!((pairs(&pod), report.step.pairs), (1, 0), "the step begins anew, the evidence goes on");
    assignment.epoch = 4;
    assignment.configuration.retention_days += 1;
    pod.runtime.assign(assignment.clone()).unwrap();
    assert_eq!(pairs(&pod), 0);
    pod.decide("hello", "key");
    assignment.epoch = 5;
    assignment.trial.as_mut().unwrap().attempt = 2;
    pod.runtime.assign(assignment).unwrap();
    assert_eq!(pairs(&pod), 0);
}

#[test]
fn a_restart_drops_the_trial_until_the_operator_calls_and_begins_its_own_evidence() {
    let disk = Disk::new("support-0");
    let (pod, assignment) = canary(&disk, &model("candidate"), 100);
    pod.decide("hello", "key");
    let before = pod.runtime.report();
    pod.stop();
    let pod = disk.start();
    let report = pod.runtime.report();
    assert_eq!((report.epoch, report.stable), (2, before.stable));
    assert_eq!((report.effective_weight, report.evidence), (BasisPoints::ZERO, None));
    assert_eq!(pod.decide("hello", "key").arm, Arm::Stable);
    let report = pod.runtime.assign(assignment).unwrap();
    assert_eq!(report.effective_weight, BasisPoints::ALL);
    let evidence = report.evidence.unwrap();
    assert_eq!(evidence.snapshot.pairs, 0);
    assert_ne!(evidence.owner.incarnation, before.incarnation);
    let stored = pod.history.load_evidence(&tinydancer_history::EvidenceOwner {
        policy_uid: "uid-1".to_owned(),
        attempt: 1,
        configuration_digest: evidence.owner.configuration_digest.to_string(),
        incarnation: before.incarnation.to_string(),
        phase: tinydancer_history::EvidencePhase::Trial,
    });
    assert_eq!(
        stored.unwrap().unwrap().snapshot().pairs,
        1,
        "what the earlier process saw is kept as its own"
    );
}

#[test]
fn bytes_with_one_flipped_bit_are_refused_and_nothing_of_them_is_kept() {
    let disk = Disk::new("support-0");
    let pod = disk.start();
    let mut bytes = model("stable");
    let digest = tinydancer_crds::Digest::of(&bytes);
    *bytes.last_mut().unwrap() ^= 1;
    let refused = pod.runtime.put_model(digest, bytes.clone()).unwrap_err();
    assert!(matches!(refused, PutModelError::Refused(ModelError::DigestMismatch { .. })));
    pod.runtime.assign(settled(1, Some(digest))).unwrap();
    let own = tinydancer_crds::Digest::of(b"no model");
    let refused = pod.runtime.put_model(own, b"no model".to_vec()).unwrap_err();
    assert!(matches!(refused, PutModelError::Refused(ModelError::Artifact(_))));
    assert_eq!(pod.runtime.report().models[0].state, ModelState::Missing);
    assert!(pod.history.model_digests().unwrap().is_empty());
    assert!(!pod.decide("hello", "key").classified);
}

#[test]
fn a_model_that_a_full_volume_cannot_keep_is_not_served_and_routing_goes_on() {
    let disk = Disk::new("support-0");
    let pod = disk.start_with(&Options { max_bytes: 120 << 10, ..Options::default() });
    let bytes = model("stable");
    let digest = tinydancer_crds::Digest::of(&bytes);
    pod.runtime.assign(settled(1, Some(digest))).unwrap();
    let refused = pod.runtime.put_model(digest, bytes).unwrap_err();
    assert!(matches!(refused, PutModelError::Unavailable(HistoryError::Full)), "{refused}");
    assert_eq!(pod.runtime.report().models[0].state, ModelState::Missing);
    assert!(!pod.decide("hello", "key").classified);
}

#[test]
fn a_stable_model_that_is_missing_leaves_the_old_one_serving_until_its_bytes_come() {
    let disk = Disk::new("support-0");
    let pod = disk.start();
    let old = pod.put(&model("old"));
    pod.runtime.assign(settled(1, Some(old))).unwrap();
    let new = tinydancer_crds::Digest::of(&model("new"));
    let candidate = pod.put(&model("candidate"));
    let report = pod.runtime.assign(on_trial(2, Some(new), candidate, 1, TrialStage::Canary, 100)).unwrap();
    assert_eq!((report.stable, &report.models[0].state), (Some(old), &ModelState::Missing));
    assert_eq!(report.effective_weight, BasisPoints::ZERO, "beside the wrong stable model nothing is tried");
    assert_eq!(pod.decide("hello", "key").digest, Some(old));
    pod.put(&model("new"));
    let report = pod.runtime.report();
    assert_eq!((report.stable, report.effective_weight), (Some(new), BasisPoints::ALL));
    pod.clock.advance(LEASE);
    assert_eq!(pod.runtime.report().effective_weight, BasisPoints::ZERO, "bytes do not renew the lease");
}

#[test]
fn only_the_models_that_can_be_needed_are_kept() {
    let disk = Disk::new("support-0");
    let pod = disk.start();
    let first = pod.put(&model("first"));
    pod.runtime.assign(settled(1, Some(first))).unwrap();
    for epoch in 2..6 {
        let next = pod.put(&model(&format!("version {epoch}").replace(' ', "-")));
        pod.runtime.assign(settled(epoch, Some(next))).unwrap();
    }
    assert_eq!(pod.history.model_digests().unwrap().len(), 2, "stable and the one before");
    assert!(!pod.history.model_digests().unwrap().contains(&first.to_string()));
}

#[tokio::test]
async fn the_keeper_writes_a_trip_down_without_being_asked() {
    let disk = Disk::new("support-0");
    let (pod, _) = canary(&disk, &faulty_model(), 100);
    let keeper = tokio::spawn(pod.runtime.keep());
    for _ in 0..5 {
        pod.decide(&long_prompt(), "key");
    }
    let written = async {
        while pod.history.trips().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), written).await.expect("the trip was never written");
    keeper.abort();
}

#[test]
fn evidence_is_written_when_there_is_more_of_it_and_only_then() {
    let disk = Disk::new("support-0");
    let (pod, _) = canary(&disk, &model("candidate"), 50);
    pod.decide("hello", "key");
    pod.runtime.tick();
    pod.history.flush().unwrap();
    let commits = pod.history.commits();
    pod.runtime.tick();
    assert_eq!(pod.history.commits(), commits);
    pod.decide("hello", "key");
    pod.runtime.tick();
    assert!(pod.history.commits() > commits);
}

#[test]
fn nothing_is_counted_twice_or_lost_while_many_threads_decide_and_the_weight_changes() {
    let disk = Disk::new("support-0");
    let (pod, mut assignment) = canary(&disk, &model("candidate"), 5);
    let (threads, requests) = (4, 500);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let pod = &pod;
            scope.spawn(move || {
                for number in 0..requests {
                    assert!(pod.decide("hello", &format!("{thread}/{number}")).classified);
                }
            });
        }
        for epoch in 3..8 {
            assignment.epoch = epoch;
            assignment.trial.as_mut().unwrap().weight =
                BasisPoints::from_percent(10 * u8::try_from(epoch).unwrap());
            pod.runtime.assign(assignment.clone()).unwrap();
        }
    });
    let snapshot = pod.runtime.report().evidence.unwrap().snapshot;
    assert_eq!(snapshot.pairs, threads * requests);
    assert_eq!(snapshot.candidate_decisions + snapshot.stable_decisions, threads * requests);
}

/// Something that happens to a pod.
#[derive(Debug, Clone)]
enum Happening {
    Assign { stage: TrialStage, percent: u8, retry: bool },
    Again,
    Wait(u64),
    Fault,
    Tick,
    Restart,
}

fn happening() -> impl Strategy<Value = Happening> {
    let stage = prop_oneof![Just(TrialStage::Staging), Just(TrialStage::Shadow), Just(TrialStage::Canary)];
    prop_oneof![
        4 => (stage, 1_u8..=100, prop::bool::weighted(0.2)).prop_map(|(stage, percent, retry)| {
            Happening::Assign { stage, percent: if stage == TrialStage::Canary { percent } else { 0 }, retry }
        }),
        2 => Just(Happening::Again),
        2 => (1..2 * LEASE).prop_map(Happening::Wait),
        4 => Just(Happening::Fault),
        1 => Just(Happening::Tick),
        1 => Just(Happening::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_candidate_decides_only_in_a_canary_with_a_live_lease_and_without_a_trip(
        happenings in prop::collection::vec(happening(), 1..24)
    ) {
        let disk = Disk::new("support-0");
        let (mut pod, mut assignment) = canary(&disk, &faulty_model(), 100);
        // What a pod may do at most, kept beside it in plain words.
        let (mut remaining, mut confirmed, mut tripped) = (LEASE, true, false);
        for happened in happenings {
            match happened {
                Happening::Assign { stage, percent, retry } => {
                    assignment.epoch += 1;
                    let trial = assignment.trial.as_mut().unwrap();
                    (trial.stage, trial.weight) = (stage, BasisPoints::from_percent(percent));
                    if retry {
                        trial.attempt += 1;
                        tripped = false;
                    }
                    pod.runtime.assign(assignment.clone()).unwrap();
                    (remaining, confirmed) = (LEASE, true);
                }
                Happening::Again => {
                    pod.runtime.assign(assignment.clone()).unwrap();
                    (remaining, confirmed) = (LEASE, true);
                }
                Happening::Wait(seconds) => {
                    pod.clock.advance(seconds);
                    remaining = remaining.saturating_sub(seconds);
                }
                Happening::Fault => {
                    prop_assert!(pod.decide(&long_prompt(), "key").classified);
                    tripped |= !pod.runtime.report().trips.is_empty();
                }
                Happening::Tick => {
                    pod.runtime.tick();
                    tripped |= !pod.runtime.report().trips.is_empty();
                }
                Happening::Restart => {
                    pod.stop();
                    pod = disk.start();
                    confirmed = false;
                }
            }
            let trial = assignment.trial.as_ref().unwrap();
            let report = pod.runtime.report();
            // In staging it can be refused for what it does with the pod's past.
            let verified = report.models.last().unwrap().state == ModelState::Verified;
            let allowed =
                confirmed && remaining > 0 && !tripped && verified && trial.stage == TrialStage::Canary;
            prop_assert_eq!(report.trips.is_empty(), !tripped);
            let wanted = if allowed { trial.weight } else { BasisPoints::ZERO };
            prop_assert_eq!(report.effective_weight, wanted);
            let decision = pod.decide("short", "key");
            prop_assert!(decision.classified);
            prop_assert!(decision.arm != Arm::Candidate || wanted > BasisPoints::ZERO);
        }
    }
}
