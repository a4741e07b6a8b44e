//! The models that come with the repository, tried against each other on prompts as people write them.

use std::{fs, path::Path};

use tinydancer_guards::{ApplicableGuards, BasisPoints, GuardSettings, TripCause, Verdict, judge};
use tinydancer_protocol::TrialStage;
use tinydancer_server::runtime::Arm;

use crate::pod::{Disk, Pod, long_prompt, on_trial};

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models")
}

fn shipped(name: &str) -> Vec<u8> {
    fs::read(folder().join(format!("{name}.safetensors"))).unwrap()
}

/// A pod that serves one shipped model and has another on trial.
fn trial_of(disk: &Disk, stable: &str, candidate: &str, stage: TrialStage, percent: u8) -> Pod {
    let pod = disk.start();
    let (stable, candidate) = (pod.put(&shipped(stable)), pod.put(&shipped(candidate)));
    pod.runtime.assign(on_trial(1, Some(stable), candidate, 1, stage, percent)).unwrap();
    pod
}

fn send(pod: &Pod, requests: usize) {
    let text = fs::read_to_string(folder().join("everyday-prompts.json")).unwrap();
    let prompts: Vec<String> = serde_json::from_str(&text).unwrap();
    for (number, prompt) in prompts.iter().cycle().take(requests).enumerate() {
        assert!(pod.decide(prompt, &number.to_string()).classified);
    }
    pod.runtime.tick();
}

#[test]
fn support_v2_passes_every_guard_against_support_v1() {
    let disk = Disk::new("support-0");
    let pod = trial_of(&disk, "support-v1", "support-v2", TrialStage::Shadow, 0);
    send(&pod, 2_000);
    let report = pod.runtime.report();
    assert!(report.trips.is_empty(), "{:?}", report.trips);
    let evidence = report.evidence.unwrap().snapshot;
    let judgement = judge(&evidence, &GuardSettings::default(), &ApplicableGuards::all());
    assert_eq!(judgement.verdict, Verdict::Pass, "{judgement:?}");
}

#[test]
fn support_v3_is_tripped_by_a_pod_alone_before_anybody_is_exposed() {
    let disk = Disk::new("support-0");
    let pod = trial_of(&disk, "support-v2", "support-v3", TrialStage::Shadow, 0);
    send(&pod, 500);
    let report = pod.runtime.report();
    assert!(matches!(report.trips[0].cause, TripCause::Guard(_)), "{:?}", report.trips);
    assert_eq!(report.step.candidate_decisions, 0);
}

#[test]
fn support_v4_goes_well_until_long_prompts_come_and_then_is_gone_without_an_error() {
    let disk = Disk::new("support-0");
    let pod = trial_of(&disk, "support-v2", "support-v4", TrialStage::Canary, 100);
    send(&pod, 500);
    assert_eq!(pod.runtime.report().effective_weight, BasisPoints::ALL);
    for _ in 0..5 {
        let decision = pod.decide(&long_prompt(), "key");
        assert_eq!((decision.classified, decision.arm), (true, Arm::Stable));
    }
    let report = pod.runtime.report();
    assert_eq!(report.effective_weight, BasisPoints::ZERO);
    assert_eq!(report.trips[0].cause, TripCause::ConsecutiveFaults);
}
