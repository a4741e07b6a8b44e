//! The watch after a promotion: the model before the promoted one scores every request, and takes over without an operator.

use proptest::prelude::*;
use tinydancer_crds::Digest;
use tinydancer_engine::{artifact, testing};
use tinydancer_guards::{BasisPoints, TripCause};
use tinydancer_history::EvidencePhase as StoredPhase;
use tinydancer_protocol::{Assignment, EvidencePhase, ModelState, TrialStage};
use tinydancer_server::runtime::{Arm, Readiness};

use crate::pod::{Disk, Pod, faulty_model, long_prompt, model, on_trial, promoted, settled};

/// A pod in which this model was promoted over [`model`] and is watched.
fn watched(disk: &Disk, bytes: &[u8]) -> (Pod, Assignment) {
    let pod = disk.start();
    let (previous, stable) = (pod.put(&model("previous")), pod.put(bytes));
    pod.runtime.assign(on_trial(1, Some(previous), stable, 1, TrialStage::Canary, 100)).unwrap();
    let assignment = promoted(2, stable, previous, 1);
    pod.runtime.assign(assignment.clone()).unwrap();
    (pod, assignment)
}

fn digests(assignment: &Assignment) -> (Digest, Digest) {
    let previous = assignment.watch.as_ref().unwrap().previous.digest;
    (assignment.stable.as_ref().unwrap().digest, previous)
}

/// Five requests on which the promoted model fails.
fn break_it(pod: &Pod) {
    for _ in 0..5 {
        assert!(pod.decide(&long_prompt(), "key").classified);
    }
}

#[test]
fn both_models_score_every_request_and_the_promoted_one_decides_all() {
    let disk = Disk::new("support-0");
    let (pod, assignment) = watched(&disk, &model("promoted"));
    let (stable, previous) = digests(&assignment);
    for number in 0..50 {
        let decision = pod.decide("Solve x + 2 = 5.", &format!("key {number}"));
        assert_eq!((decision.arm, decision.digest), (Arm::Stable, Some(stable)));
    }
    let report = pod.runtime.report();
    assert_eq!(report.models.iter().map(|model| model.digest).collect::<Vec<_>>(), [stable, previous]);
    assert_eq!((report.step.pairs, report.step.stable_decisions), (50, 50));
    assert_eq!((report.effective_weight, report.lease_remaining_millis), (BasisPoints::ZERO, None));
    let evidence = report.evidence.unwrap();
    assert_eq!((evidence.owner.phase, evidence.owner.attempt), (EvidencePhase::Watch, 1));
    assert_eq!((evidence.snapshot.pairs, evidence.snapshot.candidate_decisions), (50, 50));
    pod.history.flush().unwrap();
    let kept = &pod.history.recent_decisions(1).unwrap()[0];
    assert_eq!(kept.shadow.as_ref().map(|shadow| &shadow.digest), Some(&previous.to_string()));
}

#[test]
fn the_differences_have_the_sign_they_had_in_the_trial() {
    let disk = Disk::new("support-0");
    let (pod, assignment) = watched(&disk, &testing::artifact("other", 2).unwrap());
    let (stable, previous) = digests(&assignment);
    let in_watch = pod.decide("Solve x + 2 = 5.", "key");
    let evidence = pod.runtime.report().evidence.unwrap();
    assert_eq!(in_watch.digest, Some(stable));
    assert_eq!(evidence.candidate_uncertainty, in_watch.uncertainty.map(f64::from));
    pod.runtime.assign(settled(3, Some(previous))).unwrap();
    let of_previous = pod.decide("Solve x + 2 = 5.", "key");
    assert_eq!(evidence.stable_uncertainty, of_previous.uncertainty.map(f64::from));
    assert_ne!(evidence.stable_uncertainty, evidence.candidate_uncertainty);
}

#[test]
fn a_promoted_model_that_breaks_is_left_within_the_request_that_shows_it_and_no_request_fails() {
    let disk = Disk::new("support-0");
    let (pod, assignment) = watched(&disk, &faulty_model());
    let (stable, previous) = digests(&assignment);
    assert_eq!(pod.decide("short", "key").digest, Some(stable));
    for fault in 1..=5 {
        let decision = pod.decide(&long_prompt(), "key");
        assert_eq!(
            (decision.arm, decision.digest, decision.classified),
            (Arm::Stable, Some(previous), true),
            "fault {fault}"
        );
    }
    let decision = pod.decide("short", "key");
    assert_eq!(
        (decision.arm, decision.digest),
        (Arm::Stable, Some(previous)),
        "what it can do does not count"
    );
    let report = pod.runtime.report();
    assert_eq!((report.stable, report.classified), (Some(previous), true));
    let trip = &report.trips[0];
    assert_eq!((trip.digest, trip.attempt, report.trips.len()), (stable, 1, 1));
    assert!(matches!(trip.cause, TripCause::ConsecutiveFaults | TripCause::FaultRate));
    let mut next = assignment;
    next.epoch = 3;
    next.configuration.retention_days += 1;
    assert_eq!(pod.runtime.assign(next).unwrap().stable, Some(previous), "new evidence lifts nothing");
}

#[test]
fn while_many_threads_decide_and_it_breaks_every_request_is_classified() {
    let disk = Disk::new("support-0");
    let (pod, assignment) = watched(&disk, &faulty_model());
    let (_, previous) = digests(&assignment);
    let long = long_prompt();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for number in 0..100 {
                    let text = if number % 2 == 0 { "short" } else { &long };
                    assert!(pod.decide(text, &number.to_string()).classified);
                }
            });
        }
        let mut again = assignment.clone();
        for epoch in 3..8 {
            again.epoch = epoch;
            again.configuration.retention_days += 1;
            pod.runtime.assign(again.clone()).unwrap();
        }
    });
    let report = pod.runtime.report();
    assert_eq!((report.stable, report.trips.len()), (Some(previous), 1));
}

#[test]
fn one_request_that_it_fails_on_does_not_take_it_out_of_traffic() {
    let disk = Disk::new("support-0");
    let (pod, assignment) = watched(&disk, &faulty_model());
    let (stable, previous) = digests(&assignment);
    assert_eq!(pod.decide(&long_prompt(), "key").digest, Some(previous));
    assert_eq!(pod.decide("short", "key").digest, Some(stable));
    let evidence = pod.runtime.report().evidence.unwrap().snapshot;
    assert_eq!((evidence.candidate_decisions, evidence.stable_decisions), (1, 1));
    assert_eq!(pod.runtime.report().stable, Some(stable));
}

#[test]
fn what_tripped_stays_out_of_traffic_after_a_restart_without_an_operator() {
    let disk = Disk::new("support-0");
    let (pod, assignment) = watched(&disk, &faulty_model());
    let (stable, previous) = digests(&assignment);
    break_it(&pod);
    pod.runtime.tick();
    let disk = disk.cut_off();
    drop(pod);
    let pod = disk.start();
    assert_eq!(pod.runtime.ready(), Readiness::Ready { classified: true });
    let report = pod.runtime.report();
    assert_eq!((report.stable, report.trips[0].digest), (Some(previous), stable));
    assert_eq!(pod.decide("short", "key").digest, Some(previous));
    let report = pod.runtime.assign(assignment).unwrap();
    assert_eq!(
        (report.stable, report.trips.len()),
        (Some(previous), 1),
        "nor does the operator's call lift it"
    );
}

#[test]
fn a_pod_that_restarted_without_an_operator_goes_on_watching() {
    for from_boot_folder in [false, true] {
        let disk = Disk::new("support-0");
        let (pod, mut assignment) = watched(&disk, &faulty_model());
        let (_, previous) = digests(&assignment);
        pod.stop();
        if from_boot_folder {
            assignment.epoch += 1;
            disk.write_boot(&assignment, Some(&faulty_model()));
        }
        let pod = disk.start();
        assert_eq!(pod.runtime.report().epoch, assignment.epoch);
        pod.decide("short", "key");
        let evidence = pod.runtime.report().evidence.unwrap();
        assert_eq!((evidence.owner.phase, evidence.snapshot.pairs), (EvidencePhase::Watch, 1));
        break_it(&pod);
        assert_eq!(pod.runtime.report().stable, Some(previous));
        assert_eq!(pod.decide("short", "key").digest, Some(previous));
    }
}

#[test]
fn a_pod_to_which_the_promoted_model_never_came_goes_on_with_the_one_before_over_a_restart() {
    let disk = Disk::new("support-0");
    let pod = disk.start();
    let previous = pod.put(&model("previous"));
    pod.runtime.assign(settled(1, Some(previous))).unwrap();
    let never_came = Digest::of(&model("promoted"));
    pod.runtime.assign(promoted(2, never_came, previous, 1)).unwrap();
    assert_eq!(pod.decide("short", "key").digest, Some(previous));
    pod.stop();
    let pod = disk.start();
    assert_eq!(pod.runtime.ready(), Readiness::Ready { classified: true });
    assert_eq!(pod.decide("short", "key").digest, Some(previous));
    pod.put(&model("promoted"));
    assert_eq!(pod.decide("short", "key").digest, Some(never_came));
}

#[test]
fn a_pod_that_was_only_booted_judges_alone() {
    let disk = Disk::new("support-0");
    let mut parts = testing::parts(1);
    for weight in parts.network.head_weight.iter_mut().flatten().chain(&mut parts.network.head_bias) {
        *weight *= 8.0;
    }
    let metadata = testing::metadata("overconfident", 1);
    let overconfident = artifact::write(&parts, &metadata, artifact::Precision::F32).unwrap();
    let (pod, assignment) = watched(&disk, &overconfident);
    let (stable, previous) = digests(&assignment);
    pod.stop();
    let pod = disk.start();
    for number in 0..2_000 {
        pod.decide(&format!("Question {number}: what is {number} times {number}?"), "key");
    }
    assert_eq!(pod.runtime.report().stable, Some(stable), "nobody has judged yet");
    pod.runtime.tick();
    let report = pod.runtime.report();
    assert_eq!(report.stable, Some(previous));
    assert!(matches!(report.trips[0].cause, TripCause::Guard(_)), "{:?}", report.trips);
    assert_eq!(pod.decide("hello", "key").digest, Some(previous));
}

#[test]
fn without_the_bytes_of_the_model_before_a_broken_one_leaves_the_pod_powerful_only_until_they_come() {
    let disk = Disk::new("support-0");
    let (pod, assignment) = watched(&disk, &faulty_model());
    let (stable, previous) = digests(&assignment);
    let mut tampered = model("previous");
    *tampered.last_mut().unwrap() ^= 1;
    pod.history.save_model(previous.to_string(), tampered).unwrap();
    pod.stop();
    let pod = disk.start();
    let report = pod.runtime.report();
    assert_eq!((report.models[1].digest, &report.models[1].state), (previous, &ModelState::Missing));
    assert_eq!(pod.decide("short", "key").digest, Some(stable));
    for _ in 0..5 {
        let decision = pod.decide(&long_prompt(), "key");
        assert_eq!((decision.arm, decision.classified), (Arm::Unclassified, false));
    }
    let report = pod.runtime.report();
    assert_eq!((report.stable, report.classified, report.trips.len()), (None, false, 1));
    assert_eq!(pod.runtime.ready(), Readiness::Ready { classified: false });
    let decision = pod.decide("short", "key");
    assert_eq!((decision.arm, decision.classified), (Arm::Unclassified, false), "it never comes back");
    pod.put(&model("previous"));
    assert_eq!(pod.runtime.report().stable, Some(previous));
    assert_eq!(pod.decide("short", "key").digest, Some(previous));
}

#[test]
fn the_evidence_of_the_watch_has_its_own_owner() {
    let disk = Disk::new("support-0");
    let pod = disk.start();
    let (previous, stable) = (pod.put(&model("previous")), pod.put(&model("promoted")));
    pod.runtime.assign(on_trial(1, Some(previous), stable, 1, TrialStage::Canary, 100)).unwrap();
    pod.decide("hello", "key");
    pod.decide("hello", "key");
    let in_trial = pod.runtime.report().evidence.unwrap();
    pod.runtime.tick();
    pod.runtime.assign(promoted(2, stable, previous, 1)).unwrap();
    let fresh = pod.runtime.report().evidence.unwrap();
    assert_eq!((in_trial.snapshot.pairs, fresh.snapshot.pairs), (2, 0));
    assert_eq!((in_trial.owner.phase, fresh.owner.phase), (EvidencePhase::Trial, EvidencePhase::Watch));
    pod.decide("hello", "key");
    pod.runtime.tick();
    let stored = |phase| {
        let owner = tinydancer_history::EvidenceOwner {
            policy_uid: fresh.owner.policy_uid.clone(),
            attempt: 1,
            configuration_digest: fresh.owner.configuration_digest.to_string(),
            incarnation: fresh.owner.incarnation.to_string(),
            phase,
        };
        pod.history.load_evidence(&owner).unwrap().unwrap().snapshot().pairs
    };
    assert_eq!((stored(StoredPhase::Trial), stored(StoredPhase::Watch)), (2, 1));
}

#[test]
fn a_model_that_is_promoted_although_it_tripped_never_serves() {
    let disk = Disk::new("support-0");
    let pod = disk.start();
    let (previous, stable) = (pod.put(&model("previous")), pod.put(&faulty_model()));
    pod.runtime.assign(on_trial(1, Some(previous), stable, 1, TrialStage::Canary, 100)).unwrap();
    break_it(&pod);
    let report = pod.runtime.assign(promoted(2, stable, previous, 1)).unwrap();
    assert_eq!(report.stable, Some(previous));
    assert_eq!(pod.decide("short", "key").digest, Some(previous));
}

#[test]
fn an_assignment_with_another_stable_model_ends_the_watch() {
    let disk = Disk::new("support-0");
    let (pod, assignment) = watched(&disk, &faulty_model());
    let (stable, previous) = digests(&assignment);
    break_it(&pod);
    let report = pod.runtime.assign(settled(3, Some(previous))).unwrap();
    assert_eq!((report.stable, report.evidence), (Some(previous), None));
    assert_eq!(report.models.len(), 1);
    let third = pod.put(&model("third"));
    let report = pod.runtime.assign(promoted(4, third, previous, 2)).unwrap();
    assert_eq!(report.stable, Some(third), "the trip was the other model's");
    assert_eq!(pod.decide("short", "key").digest, Some(third));
    assert!(!pod.history.model_digests().unwrap().contains(&stable.to_string()));
}

#[test]
fn a_tripped_model_does_not_serve_while_the_bytes_of_the_next_are_missing() {
    let disk = Disk::new("support-0");
    let (pod, assignment) = watched(&disk, &faulty_model());
    let (_, previous) = digests(&assignment);
    break_it(&pod);
    pod.runtime.tick();
    let next = Digest::of(&model("next"));
    let report = pod.runtime.assign(settled(3, Some(next))).unwrap();
    assert_eq!(report.stable, Some(previous));
    assert_eq!(pod.decide("short", "key").digest, Some(previous));

    let disk = Disk::new("support-0");
    let (pod, _) = watched(&disk, &faulty_model());
    break_it(&pod);
    pod.stop();
    disk.write_boot(&settled(3, Some(next)), None);
    assert_eq!(disk.start().runtime.report().stable, Some(previous), "nor after a restart");
}

#[test]
fn the_models_of_a_watch_are_kept_until_it_ends() {
    let disk = Disk::new("support-0");
    let (pod, mut assignment) = watched(&disk, &model("promoted"));
    for epoch in 3..6 {
        assignment.epoch = epoch;
        assignment.configuration.retention_days += 1;
        pod.runtime.assign(assignment.clone()).unwrap();
    }
    let (stable, previous) = digests(&assignment);
    let mut wanted = [stable.to_string(), previous.to_string()];
    wanted.sort();
    assert_eq!(pod.history.model_digests().unwrap(), wanted);
}

/// Something that happens to a pod in the watch.
#[derive(Debug, Clone)]
enum Happening {
    Again,
    Configured,
    Fault,
    Tick,
    Restart,
    PreviousGone,
    PreviousBack,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        1 => Just(Happening::Again),
        1 => Just(Happening::Configured),
        6 => Just(Happening::Fault),
        1 => Just(Happening::Tick),
        1 => Just(Happening::Restart),
        1 => Just(Happening::PreviousGone),
        1 => Just(Happening::PreviousBack),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_a_promoted_model_that_tripped_never_decides_and_the_one_before_does_if_it_is_there(
        happenings in prop::collection::vec(happening(), 1..24)
    ) {
        let disk = Disk::new("support-0");
        let (mut pod, mut assignment) = watched(&disk, &faulty_model());
        let (stable, previous) = digests(&assignment);
        for happened in happenings {
            match happened {
                Happening::Again => { pod.runtime.assign(assignment.clone()).unwrap(); }
                Happening::Configured => {
                    assignment.epoch += 1;
                    assignment.configuration.retention_days += 1;
                    pod.runtime.assign(assignment.clone()).unwrap();
                }
                Happening::Fault => { pod.decide(&long_prompt(), "key"); }
                Happening::Tick => pod.runtime.tick(),
                Happening::Restart => {
                    pod.stop();
                    pod = disk.start();
                }
                // Lost on the volume: the process goes on with what it has in memory.
                Happening::PreviousGone => {
                    pod.history.delete_models_except(vec![stable.to_string()]).unwrap();
                    pod.stop();
                    pod = disk.start();
                }
                Happening::PreviousBack => { pod.put(&model("previous")); }
            }
            let report = pod.runtime.report();
            let tripped = !report.trips.is_empty();
            let there = report.models[1].state == ModelState::Verified;
            let wanted = if tripped { Some(previous).filter(|_| there) } else { Some(stable) };
            prop_assert_eq!(report.stable, wanted);
            let decision = pod.decide("short", "key");
            prop_assert_eq!((decision.digest, decision.classified), (wanted, wanted.is_some()));
        }
    }
}
