//! Before any traffic a candidate scores this pod's own past.

use tinydancer_crds::Digest;
use tinydancer_protocol::{LoadedModel, ModelState, Replay, Report, TrialStage};
use tinydancer_server::runtime::{ModelError, PutModelError};

use crate::pod::{Disk, Pod, faulty_model, long_prompt, model, on_trial, settled};

/// A pod that has decided on this many short prompts and then on this many long ones.
fn with_past(disk: &Disk, short: usize, long: usize) -> (Pod, Digest) {
    let pod = disk.start();
    let stable = pod.put(&model("stable"));
    pod.runtime.assign(settled(1, Some(stable))).unwrap();
    for number in 0..short {
        pod.decide(&format!("Question {number}"), "key");
    }
    for _ in 0..long {
        pod.decide(&long_prompt(), "key");
    }
    pod.history.flush().unwrap();
    (pod, stable)
}

fn stage(pod: &Pod, stable: Option<Digest>, candidate: Digest) -> Report {
    pod.runtime.assign(on_trial(2, stable, candidate, 1, TrialStage::Staging, 0)).unwrap()
}

fn candidate(report: &Report) -> &LoadedModel {
    report.models.last().unwrap()
}

#[test]
fn a_model_that_works_on_the_past_is_verified_with_how_much_of_it_it_scored() {
    let disk = Disk::new("support-0");
    let (pod, stable) = with_past(&disk, 40, 3);
    let bytes = model("candidate");
    let report = stage(&pod, Some(stable), Digest::of(&bytes));
    assert_eq!((&candidate(&report).state, candidate(&report).replay), (&ModelState::Missing, None));
    pod.put(&bytes);
    let report = pod.runtime.report();
    let replay = Some(Replay { decisions: 43, faults: 0 });
    assert_eq!((&candidate(&report).state, candidate(&report).replay), (&ModelState::Verified, replay));
    assert_eq!(report.models[0].replay, None, "the stable model is not on trial");
    assert_eq!(report.step.pairs, 0, "nothing of it is evidence");
}

#[test]
fn a_model_that_breaks_on_the_past_is_refused_before_it_has_any_traffic() {
    let disk = Disk::new("support-0");
    let (pod, stable) = with_past(&disk, 40, 4);
    let bytes = faulty_model();
    let digest = Digest::of(&bytes);
    stage(&pod, Some(stable), digest);
    let refused = pod.runtime.put_model(digest, bytes).unwrap_err();
    assert!(matches!(refused, PutModelError::Refused(ModelError::Replay(_))), "{refused}");
    let report = pod.runtime.report();
    let ModelState::Refused(why) = &candidate(&report).state else { panic!("{report:?}") };
    assert!(why.starts_with("replay: the model failed on 4 of 44 past decisions"), "{why}");
    assert!(!pod.history.model_digests().unwrap().contains(&digest.to_string()), "its bytes are not kept");
    let report = pod.runtime.assign(on_trial(3, Some(stable), digest, 1, TrialStage::Canary, 100)).unwrap();
    assert_eq!(report.effective_weight.get(), 0);
    assert_eq!(pod.decide("short", "key").digest, Some(stable));
}

#[test]
fn five_failures_in_a_row_are_enough_however_long_the_past_is() {
    let disk = Disk::new("support-0");
    let (pod, stable) = with_past(&disk, 600, 5);
    // Its bytes were there before anybody said that it would be tried.
    let digest = pod.put(&faulty_model());
    let report = stage(&pod, Some(stable), digest);
    let ModelState::Refused(why) = &candidate(&report).state else { panic!("{report:?}") };
    assert!(why.starts_with("replay: the model failed on 5 of 5 past decisions"), "{why}");
}

#[test]
fn rare_failures_are_reported_and_left_to_the_guards() {
    let disk = Disk::new("support-0");
    let (pod, stable) = with_past(&disk, 600, 4);
    let digest = pod.put(&faulty_model());
    let report = stage(&pod, Some(stable), digest);
    let replay = Some(Replay { decisions: 604, faults: 4 });
    assert_eq!((&candidate(&report).state, candidate(&report).replay), (&ModelState::Verified, replay));
}

#[test]
fn without_a_past_there_is_nothing_to_score() {
    let disk = Disk::new("support-0");
    let pod = disk.start();
    // What a fleet without a model answered has no statistics.
    pod.runtime.assign(settled(1, None)).unwrap();
    pod.decide("hello", "key");
    pod.history.flush().unwrap();
    let digest = pod.put(&faulty_model());
    let report = stage(&pod, None, digest);
    let replay = Some(Replay { decisions: 0, faults: 0 });
    assert_eq!((&candidate(&report).state, candidate(&report).replay), (&ModelState::Verified, replay));
}

#[test]
fn a_refused_model_is_tried_again_in_its_next_attempt() {
    let disk = Disk::new("support-0");
    let (pod, stable) = with_past(&disk, 10, 3);
    let digest = pod.put(&faulty_model());
    let report = stage(&pod, Some(stable), digest);
    assert!(matches!(candidate(&report).state, ModelState::Refused(_)));
    pod.runtime.assign(settled(3, Some(stable))).unwrap();
    for number in 0..400 {
        pod.decide(&format!("Question {number}"), "key");
    }
    pod.history.flush().unwrap();
    let report = pod.runtime.assign(on_trial(4, Some(stable), digest, 2, TrialStage::Staging, 0)).unwrap();
    assert_eq!(candidate(&report).state, ModelState::Missing);
    pod.put(&faulty_model());
    let report = pod.runtime.report();
    let replay = Some(Replay { decisions: 413, faults: 3 });
    assert_eq!((&candidate(&report).state, candidate(&report).replay), (&ModelState::Verified, replay));
}

#[test]
fn a_restart_in_staging_scores_the_past_again_and_a_restart_in_a_canary_does_not() {
    let disk = Disk::new("support-0");
    let (pod, stable) = with_past(&disk, 600, 4);
    let digest = pod.put(&faulty_model());
    let staged = on_trial(2, Some(stable), digest, 1, TrialStage::Staging, 0);
    pod.runtime.assign(staged.clone()).unwrap();
    pod.stop();
    let pod = disk.start();
    let report = pod.runtime.assign(staged).unwrap();
    assert_eq!(candidate(&report).replay.map(|replay| replay.decisions), Some(604));
    pod.runtime.assign(on_trial(3, Some(stable), digest, 1, TrialStage::Canary, 100)).unwrap();
    for _ in 0..2 {
        assert!(pod.decide(&long_prompt(), "key").classified);
    }
    pod.stop();
    let pod = disk.start();
    let report = pod.runtime.assign(on_trial(3, Some(stable), digest, 1, TrialStage::Canary, 100)).unwrap();
    assert_eq!((&candidate(&report).state, candidate(&report).replay), (&ModelState::Verified, None));
}
