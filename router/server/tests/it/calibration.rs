//! What audits found stays with the volume, and the threshold that the operator makes of it decides.

use tinydancer_crds::{
    Digest,
    routing_policy::Tier,
    valid::{Audit, DecisionRule, Grader, Permille},
};
use tinydancer_engine::{
    artifact::{self, Precision},
    testing,
};
use tinydancer_guards::GuardName;
use tinydancer_protocol::{Assignment, OnlineCalibration, TrialStage};
use tinydancer_server::runtime::{DecisionInput, Grades, RoutingDecision};

use crate::pod::{Disk, Pod, model, on_trial, settled};

const PROMISE: u16 = 50;

fn permille(value: u16) -> Permille {
    Permille::new(value).unwrap()
}

/// In risk mode, every request audited.
fn audited(mut assignment: Assignment) -> Assignment {
    let endpoint = "http://127.0.0.1:9/grade".to_owned();
    let grader = Grader { endpoint, timeout_seconds: 30, api_key: false };
    assignment.configuration.decision = DecisionRule::Risk { permille: permille(PROMISE) };
    assignment.configuration.audit = Some(Audit { permille: permille(1000), grader });
    assignment
}

fn calibrated(epoch: u64, digest: Digest, lambda: f32, permille: u16) -> Assignment {
    let found = OnlineCalibration { digest, lambda, permille, pairs: 812 };
    Assignment { calibration: Some(found), ..audited(settled(epoch, Some(digest))) }
}

fn graded(pod: &Pod, decision: &RoutingDecision, lightweight: f32, powerful: f32) {
    let grades = Grades::new(lightweight, powerful).unwrap();
    assert!(pod.runtime.record_audit(decision.audit.as_deref().unwrap(), grades));
}

#[test]
fn a_threshold_from_audits_decides_for_its_own_model_and_promise_only() {
    let disk = Disk::new("support-0");
    let pod = disk.start();
    let stable = pod.put(&model("stable"));
    pod.runtime.assign(audited(settled(1, Some(stable)))).unwrap();
    let plain = pod.decide("hello", "key");
    let score = plain.score.unwrap();
    for (epoch, lambda, tier) in [
        (2, score, Tier::Lightweight),
        (3, score - 1e-3, Tier::Powerful),
        (4, 2.0, Tier::Lightweight),
        (5, -1.0, Tier::Powerful),
    ] {
        pod.runtime.assign(calibrated(epoch, stable, lambda, PROMISE)).unwrap();
        assert_eq!(pod.decide("hello", "key").tier, tier, "{lambda}");
    }
    let opposite = if plain.tier == Tier::Lightweight { -1.0 } else { 2.0 };
    pod.runtime.assign(calibrated(6, stable, opposite, PROMISE + 1)).unwrap();
    assert_eq!(pod.decide("hello", "key").tier, plain.tier, "of another promise");
    let other = Assignment {
        calibration: calibrated(7, Digest::of(b"other"), opposite, PROMISE).calibration,
        ..audited(settled(7, Some(stable)))
    };
    pod.runtime.assign(other).unwrap();
    assert_eq!(pod.decide("hello", "key").tier, plain.tier, "of another model");
}

#[test]
fn a_threshold_from_audits_outlives_the_process() {
    let disk = Disk::new("support-0");
    let pod = disk.start();
    let stable = pod.put(&model("stable"));
    for (epoch, lambda, tier) in [(1, 2.0, Tier::Lightweight), (2, -1.0, Tier::Powerful)] {
        pod.runtime.assign(calibrated(epoch, stable, lambda, PROMISE)).unwrap();
        let again = disk.cut_off().start();
        assert_eq!(again.decide("hello", "key").tier, tier);
    }
}

#[test]
fn sums_of_audits_survive_a_kill_and_count_for_every_model_that_scored() {
    let disk = Disk::new("support-0");
    let pod = disk.start();
    let (stable, candidate) = (pod.put(&model("stable")), pod.put(&model("candidate")));
    pod.runtime.assign(audited(on_trial(1, Some(stable), candidate, 1, TrialStage::Shadow, 0))).unwrap();
    let mut lost = 0.0;
    for number in 0..40_u8 {
        let decision = pod.decide("hello", "key");
        let lightweight = f32::from(number % 4) / 4.0;
        graded(&pod, &decision, lightweight, 0.5);
        if decision.tier == Tier::Lightweight {
            lost += f64::from((0.5 - lightweight).max(0.0));
        }
    }
    let sums = pod.runtime.report().calibration;
    let of = |digest| sums.iter().find(|sums| sums.digest == digest).unwrap();
    assert!(sums.iter().all(|sums| sums.is_sound() && sums.pairs == 40));
    assert!(sums.iter().all(|sums| sums.coverage_promised_permille == Some(900)), "as their artifacts say");
    assert_eq!((of(stable).observed.pairs, of(candidate).observed.pairs), (40, 0), "stable decided");
    assert!((of(stable).observed.regret - lost).abs() < 1e-9);
    assert!((of(stable).regret.regret_at(2.0) - 10.0 * (0.5 + 0.25)).abs() < 1e-9, "whatever was decided");
    pod.history.flush().unwrap();
    let again = disk.cut_off().start();
    assert_eq!(again.runtime.report().calibration.len(), 2);
    for sums in again.runtime.report().calibration {
        assert_eq!(sums, *of(sums.digest));
    }
    graded(
        &again,
        &{
            again.runtime.assign(audited(settled(2, Some(stable)))).unwrap();
            again.decide("hello", "key")
        },
        1.0,
        0.0,
    );
    assert_eq!(again.runtime.report().calibration[0].pairs, 41, "and they go on");
    assert_eq!(again.runtime.report().calibration.len(), 1, "of the models that are named");
}

#[test]
fn grades_of_other_answers_or_of_another_grader_say_nothing_about_these() {
    let disk = Disk::new("support-0");
    let pod = disk.start();
    let stable = pod.put(&model("stable"));
    let assigned = |epoch| audited(settled(epoch, Some(stable)));
    pod.runtime.assign(assigned(1)).unwrap();
    graded(&pod, &pod.decide("hello", "key"), 0.0, 1.0);
    let pairs = || pod.runtime.report().calibration.first().map_or(0, |sums| sums.pairs);
    let mut dearer = assigned(2);
    dearer.configuration.candidates[0].cost = dearer.configuration.candidates[1].cost;
    pod.runtime.assign(dearer).unwrap();
    assert_eq!(pairs(), 1, "a price is no answer");
    for (epoch, change) in [
        (3, (|assignment| assignment.configuration.candidates[0].model.push('2')) as fn(&mut Assignment)),
        (4, |assignment| assignment.configuration.audit.as_mut().unwrap().grader.endpoint.push('2')),
    ] {
        let mut other = assigned(epoch);
        change(&mut other);
        pod.runtime.assign(other).unwrap();
        assert_eq!(pairs(), 0);
    }
    pod.runtime.assign(assigned(5)).unwrap();
    assert_eq!(pairs(), 1, "what nobody graded anew still holds");
    let mut other = assigned(6);
    other.configuration.candidates[0].model.push('2');
    pod.runtime.assign(other).unwrap();
    graded(&pod, &pod.decide("hello", "key"), 1.0, 1.0);
    assert_eq!(pairs(), 1, "from the beginning");
    pod.runtime.assign(assigned(7)).unwrap();
    assert_eq!(pairs(), 0);
}

#[test]
fn a_request_that_no_model_classified_is_not_audited() {
    let disk = Disk::new("support-0");
    let pod = disk.start();
    pod.runtime.assign(audited(settled(1, None))).unwrap();
    assert!(pod.decide("hello", "key").audit.is_none());
}

#[test]
fn requests_are_compared_with_those_of_training_by_the_model_that_serves() {
    let disk = Disk::new("support-0");
    let pod = disk.start();
    let stable = pod.put(&model("stable"));
    pod.runtime.assign(settled(1, Some(stable))).unwrap();
    for number in 0..25 {
        pod.decide("hello there, who are you?", &number.to_string());
    }
    let (mean, requests) = pod.runtime.report().stable_uncertainty.unwrap();
    assert_eq!(requests, 25);
    let drift = pod.runtime.report().drift.unwrap();
    assert_eq!((drift.digest, drift.scores.iter().sum::<u64>()), (stable, 25));
    assert_eq!(drift.scores.len(), drift.reference.len());
    let uncertainty = drift.tests.last().unwrap();
    assert_eq!(uncertainty.seen.mean(), Some((mean, 25)));
}

#[test]
fn an_embedding_that_the_model_on_trial_cannot_read_is_nobodys_fault() {
    let disk = Disk::new("support-0");
    let pod = disk.start();
    let with_space = |seed, dimensions| {
        let mut parts = testing::parts(seed);
        let mut embedding = testing::embedding(seed);
        embedding.space.dimensions = dimensions;
        embedding.prototypes = None;
        let read_out = embedding.read_out.as_mut().unwrap();
        read_out.weight = vec![1; 2 * dimensions];
        parts.embedding = Some(embedding);
        artifact::write(&parts, &testing::metadata("embedding", seed), Precision::F32).unwrap()
    };
    let (stable, candidate) = (pod.put(&with_space(1, 12)), pod.put(&with_space(2, 8)));
    pod.runtime.assign(on_trial(1, Some(stable), candidate, 1, TrialStage::Shadow, 0)).unwrap();
    let tags = std::collections::BTreeMap::new();
    let embedding = [1.0; 12];
    assert_eq!(pod.runtime.check_embedding(&embedding), Ok(()));
    let input = DecisionInput { text: "hello", tags: &tags, embedding: Some(&embedding), sticky_key: None };
    let decision = pod.runtime.decide(&input);
    assert_eq!(decision.score, pod.decide("hello", "key").score, "both score what both can read");
    let faults = &pod.runtime.report().evidence.unwrap().snapshot.guards[&GuardName::HardFault];
    assert_eq!((faults.observations, faults.sum), (2, 0.0));
}

#[test]
fn audits_of_a_trial_tell_the_coverage_guard_whose_sets_hold_the_truth() {
    let disk = Disk::new("support-0");
    let pod = disk.start();
    let (stable, candidate) = (pod.put(&model("stable")), pod.put(&model("candidate")));
    pod.runtime.assign(audited(on_trial(1, Some(stable), candidate, 1, TrialStage::Shadow, 0))).unwrap();
    let before = pod.decide("hello", "key");
    graded(&pod, &before, 1.0, 0.5);
    let evidence = pod.runtime.report().evidence.unwrap().snapshot;
    assert_eq!(evidence.guards[&GuardName::Coverage].observations, 1);
    pod.runtime.assign(audited(on_trial(2, Some(stable), candidate, 2, TrialStage::Shadow, 0))).unwrap();
    graded(&pod, &before, 1.0, 0.5);
    let evidence = pod.runtime.report().evidence.unwrap().snapshot;
    assert!(!evidence.guards.contains_key(&GuardName::Coverage), "it is older than this attempt's evidence");
}
