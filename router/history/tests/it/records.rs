use std::os::unix::fs::PermissionsExt;

use tinydancer_guards::{Arm, Evidence, GuardName, GuardSettings, Observation, TripCause};
use tinydancer_history::{
    EvidenceOwner, EvidencePhase, History, HistoryError, Opened, Options, StateKey, Tier, Trip,
};

use crate::support::{DIGEST, Folder, decision, feedback, give, now, outcome};

fn owner(attempt: u64) -> EvidenceOwner {
    EvidenceOwner {
        policy_uid: "uid".to_owned(),
        attempt,
        configuration_digest: "sha256:11".to_owned(),
        incarnation: "pod-0/1".to_owned(),
        phase: EvidencePhase::Trial,
    }
}

#[test]
fn everything_is_there_again_after_a_restart() {
    let folder = Folder::new();
    let (history, opened) = History::open(&folder.file(), &Options::default()).unwrap();
    assert_eq!(opened, Opened::Fresh);
    let first = decision("d-1", now());
    assert!(history.record_decision(first.clone()));
    assert!(history.record_outcome(outcome("d-1")));
    give(&history, feedback("d-1", "k")).unwrap();
    let mut evidence = Evidence::new(GuardSettings::default());
    evidence.observe(&Observation { uncertainty: Some((0.1, 0.2)), ..Observation::default() });
    history.save_evidence(owner(3), &evidence).unwrap();
    let trip = Trip { digest: DIGEST.to_owned(), attempt: 3, cause: TripCause::ConsecutiveFaults, at: 5 };
    history.record_trip(trip.clone()).unwrap();
    history.save_state(StateKey::Assignment, b"{}".to_vec()).unwrap();
    history.save_model(DIGEST.to_owned(), vec![7; 180_000]).unwrap();
    drop(history);

    let (history, opened) = History::open(&folder.file(), &Options::default()).unwrap();
    assert_eq!(opened, Opened::Existing);
    assert_eq!(history.recent_decisions(10).unwrap(), [first]);
    assert_eq!(
        history.feedback("d-1").unwrap(),
        Some(feedback("d-1", "k")).map(|mut expected| {
            expected.at = history.feedback("d-1").unwrap().unwrap().at;
            expected
        })
    );
    assert_eq!(history.load_evidence(&owner(3)).unwrap(), Some(evidence));
    assert_eq!(history.load_evidence(&owner(4)).unwrap(), None);
    assert_eq!(history.trips().unwrap(), [trip]);
    assert_eq!(history.load_state(StateKey::Assignment).unwrap(), Some(b"{}".to_vec()));
    assert_eq!(history.load_state(StateKey::TagKey).unwrap(), None);
    assert_eq!(history.load_model(DIGEST).unwrap(), Some(vec![7; 180_000]));
    let totals = history.totals().unwrap();
    assert_eq!(totals.len(), 1);
    assert_eq!((totals[0].arm, totals[0].tier, totals[0].decisions), (Arm::Candidate, Tier::Lightweight, 1));
    assert_eq!((totals[0].succeeded, totals[0].failed, totals[0].cost_micro_dollars), (1, 0, 7));
}

#[test]
fn the_same_feedback_again_succeeds_and_another_is_refused() {
    let folder = Folder::new();
    let history = folder.open();
    give(&history, feedback("d-1", "first")).unwrap();
    give(&history, feedback("d-1", "first")).unwrap();
    assert!(matches!(give(&history, feedback("d-1", "second")), Err(HistoryError::AlreadyGiven)));
    give(&history, feedback("d-2", "second")).unwrap();
}

#[test]
fn feedback_for_another_pod_waits_until_it_is_delivered() {
    let folder = Folder::new();
    let history = folder.open();
    for (id, owner) in [("d-1", "pod-1"), ("d-2", "pod-2")] {
        history.record_forward(owner.to_owned(), feedback(id, "k"), |result| result.unwrap());
    }
    history.record_forward("pod-1".to_owned(), feedback("d-1", "k"), |result| result.unwrap());
    history.record_forward("pod-1".to_owned(), feedback("d-1", "other"), |result| {
        assert!(matches!(result, Err(HistoryError::AlreadyGiven)));
    });
    history.flush().unwrap();
    let waiting = history.pending_forwards(10).unwrap();
    assert_eq!(waiting.iter().map(|forward| forward.owner.as_str()).collect::<Vec<_>>(), ["pod-1", "pod-2"]);
    assert_eq!(history.pending_forwards(1).unwrap().len(), 1);
    assert_eq!(history.forwards_waiting().unwrap(), waiting.len() as u64);
    history.forward_delivered(waiting[0].sequence).unwrap();
    assert_eq!(history.pending_forwards(10).unwrap(), waiting[1..]);
}

#[test]
fn a_repeated_decision_or_outcome_counts_once() {
    let folder = Folder::new();
    let history = folder.open();
    for _ in 0..3 {
        history.record_decision(decision("d-1", now()));
        history.record_outcome(outcome("d-1"));
    }
    history.record_outcome(outcome("never stored"));
    history.flush().unwrap();
    let totals = history.totals().unwrap();
    assert_eq!((totals[0].decisions, totals[0].succeeded, totals[0].completion_tokens), (1, 1, 20));
}

#[test]
fn evidence_of_old_owners_goes_and_the_newest_stays() {
    let folder = Folder::new();
    let history = folder.open();
    let evidence = Evidence::new(GuardSettings::default());
    for attempt in 0..40 {
        history.save_evidence(owner(attempt), &evidence).unwrap();
    }
    assert_eq!(history.load_evidence(&owner(0)).unwrap(), None);
    assert!(history.load_evidence(&owner(39)).unwrap().is_some());
}

#[test]
fn the_two_tests_of_an_attempt_have_evidence_of_their_own() {
    let folder = Folder::new();
    let history = folder.open();
    let of_trial = Evidence::new(GuardSettings::default());
    let mut of_watch = of_trial.clone();
    of_watch.observe(&Observation { fault: true, ..Observation::default() });
    let watch = EvidenceOwner { phase: EvidencePhase::Watch, ..owner(3) };
    history.save_evidence(owner(3), &of_trial).unwrap();
    history.save_evidence(watch.clone(), &of_watch).unwrap();
    assert_eq!(history.load_evidence(&owner(3)).unwrap(), Some(of_trial));
    assert_eq!(history.load_evidence(&watch).unwrap(), Some(of_watch));
}

#[test]
fn a_trip_is_only_replaced_by_a_later_attempt() {
    let folder = Folder::new();
    let history = folder.open();
    let trip = |attempt, cause| Trip { digest: DIGEST.to_owned(), attempt, cause, at: 1 };
    let second = trip(2, TripCause::Guard(GuardName::UncertaintyShift));
    history.record_trip(trip(1, TripCause::ConsecutiveFaults)).unwrap();
    history.record_trip(second.clone()).unwrap();
    history.record_trip(trip(2, TripCause::FaultRate)).unwrap();
    history.record_trip(trip(1, TripCause::FaultRate)).unwrap();
    assert_eq!(history.trips().unwrap(), [second]);
    history.clear_trip(DIGEST.to_owned()).unwrap();
    assert_eq!(history.trips().unwrap(), []);
}

#[test]
fn only_the_named_models_are_kept() {
    let folder = Folder::new();
    let history = folder.open();
    for digest in ["a", "b", "c"] {
        history.save_model(digest.to_owned(), vec![1]).unwrap();
    }
    history.delete_models_except(vec!["b".to_owned(), "x".to_owned()]).unwrap();
    assert_eq!(history.model_digests().unwrap(), ["b"]);
    assert_eq!(history.load_model("a").unwrap(), None);
}

#[test]
fn a_number_that_is_not_finite_is_stored_as_absent() {
    let folder = Folder::new();
    let history = folder.open();
    let mut broken = decision("d-1", now());
    broken.score = Some(f32::NAN);
    history.record_decision(broken);
    history.flush().unwrap();
    assert_eq!(history.recent_decisions(1).unwrap()[0].score, None);
}

#[test]
fn nobody_else_may_read_the_files_and_no_caller_text_is_in_them() {
    let folder = Folder::new();
    let history = folder.open();
    give(&history, feedback("d-1", "MARKER-of-a-caller")).unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let file = folder.beside(suffix);
        let mode = std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.display());
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"MARKER"), "{}", file.display());
    }
}

#[test]
fn a_history_has_one_owner_at_a_time() {
    let folder = Folder::new();
    let history = folder.open();
    let second = History::open(&folder.file(), &Options::default());
    assert!(matches!(second, Err(HistoryError::InUse { .. })), "{second:?}");
    drop(history);
    folder.open();
}
