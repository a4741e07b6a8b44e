//! With what a pod begins.

use std::fs;

use tinydancer_protocol::ModelState;
use tinydancer_server::runtime::{BOOT_ASSIGNMENT, BOOT_MODEL, Readiness};

use crate::pod::{Disk, canary, model, on_trial, settled};
use tinydancer_crds::Digest;
use tinydancer_guards::BasisPoints;
use tinydancer_protocol::TrialStage;

#[test]
fn without_any_assignment_a_pod_waits_and_with_one_without_model_it_is_powerful_only() {
    let disk = Disk::new("support-0");
    let pod = disk.start();
    assert!(matches!(pod.runtime.ready(), Readiness::Waiting(_)));
    assert!(!pod.decide("hello", "key").classified, "it still answers if it is asked");
    pod.runtime.assign(settled(1, None)).unwrap();
    assert_eq!(pod.runtime.ready(), Readiness::Ready { classified: false });
    assert_eq!(pod.runtime.configuration().candidates.len(), 2);
}

#[test]
fn a_fresh_pod_starts_from_the_boot_folder_and_takes_the_operators_trial_of_the_same_epoch() {
    let disk = Disk::new("support-0");
    let bytes = model("stable");
    let stable = Digest::of(&bytes);
    disk.write_boot(&settled(4, Some(stable)), Some(&bytes));
    let pod = disk.start();
    assert_eq!(pod.runtime.ready(), Readiness::Ready { classified: true });
    assert_eq!((pod.runtime.report().epoch, pod.runtime.report().stable), (4, Some(stable)));
    assert!(pod.runtime.assign(settled(3, None)).is_err(), "an older epoch is refused");
    let candidate = pod.put(&model("candidate"));
    let report =
        pod.runtime.assign(on_trial(4, Some(stable), candidate, 1, TrialStage::Canary, 100)).unwrap();
    assert_eq!(report.effective_weight, BasisPoints::ALL);
}

#[test]
fn of_volume_and_boot_folder_the_larger_epoch_wins() {
    for (boot_epoch, from_boot) in [(1, false), (2, false), (3, true)] {
        let disk = Disk::new("support-0");
        let (pod, assignment) = canary(&disk, &model("candidate"), 50);
        pod.stop();
        let bytes = model("boot");
        disk.write_boot(&settled(boot_epoch, Some(Digest::of(&bytes))), Some(&bytes));
        let pod = disk.start();
        let wanted = if from_boot { Digest::of(&bytes) } else { assignment.stable.unwrap().digest };
        assert_eq!(pod.runtime.report().stable, Some(wanted), "boot epoch {boot_epoch}");
    }
}

#[test]
fn the_boot_folder_of_another_policy_uid_wins_whatever_its_epoch() {
    let disk = Disk::new("support-0");
    let (pod, _) = canary(&disk, &model("candidate"), 50);
    pod.stop();
    let bytes = model("boot");
    let mut successor = settled(1, Some(Digest::of(&bytes)));
    successor.policy.uid = "uid-2".to_owned();
    disk.write_boot(&successor, Some(&bytes));
    let report = disk.start().runtime.report();
    assert_eq!((report.policy_uid.as_deref(), report.epoch), (Some("uid-2"), 1));
}

#[test]
fn a_damaged_boot_model_is_not_served_and_the_volumes_copy_is() {
    let disk = Disk::new("support-0");
    let pod = disk.start();
    let stable = pod.put(&model("stable"));
    pod.runtime.assign(settled(1, Some(stable))).unwrap();
    pod.stop();
    let mut damaged = model("stable");
    damaged[1000] ^= 1;
    disk.write_boot(&settled(2, Some(stable)), Some(&damaged));
    let pod = disk.start();
    assert_eq!((pod.runtime.report().epoch, pod.runtime.report().stable), (2, Some(stable)));
    pod.stop();
    let unknown = Digest::of(&model("never-seen"));
    disk.write_boot(&settled(3, Some(unknown)), Some(&damaged));
    let report = disk.start().runtime.report();
    assert_eq!(report.stable, Some(stable), "what served before goes on serving");
    assert_eq!((report.models[0].digest, &report.models[0].state), (unknown, &ModelState::Missing));
}

#[test]
fn with_nothing_but_damage_a_pod_is_ready_as_powerful_only() {
    let disk = Disk::new("support-0");
    disk.write_boot(&settled(1, Some(Digest::of(b"x"))), Some(b"rubbish"));
    let pod = disk.start();
    assert_eq!(pod.runtime.ready(), Readiness::Ready { classified: false });
    pod.stop();
    fs::write(disk.boot().join(BOOT_ASSIGNMENT), b"{\"epoch\":").unwrap();
    fs::remove_file(disk.boot().join(BOOT_MODEL)).unwrap();
    assert!(matches!(disk.start().runtime.ready(), Readiness::Waiting(_)));
}
