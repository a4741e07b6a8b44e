//! Files that an earlier system fell over, or read as if nothing were wrong with them. `docs/reference/earlier-system.md`
//! lists all such cases; the numbers are those of its table.

use rusqlite::Connection;
use tinydancer_guards::{Evidence, GuardSettings};
use tinydancer_history::{Archive, EvidenceOwner, EvidencePhase, HistoryError};

use crate::support::{DIGEST, Folder, decision, now, pair, sums};

/// Changes what is stored behind the back of the history.
fn spoil(folder: &Folder, sql: &str) {
    let changed = Connection::open(folder.file()).unwrap().execute(sql, []).unwrap();
    assert_eq!(changed, 1, "{sql}");
}

#[test]
fn bug_12_a_blob_of_three_bytes_is_an_error_that_hides_no_other_table_and_no_panic() {
    let folder = Folder::new();
    let history = folder.open();
    history.record_decision(decision("d-1", now()));
    history.save_model(DIGEST.to_owned(), vec![7; 100]).unwrap();
    history.flush().unwrap();
    assert_eq!(history.recent_decisions(9).unwrap().len(), 1);
    spoil(&folder, "UPDATE decisions SET statistics = x'010203'");
    let error = history.recent_decisions(9).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        cause.contains("statistics must be whole numbers of four bytes, not 3 bytes"),
        "{error}: {cause}"
    );
    let archive = Archive::open(&folder.file()).unwrap();
    assert!(archive.records(0).next().unwrap().is_err());
    assert_eq!(history.totals().unwrap()[0].decisions, 1);
    spoil(&folder, "UPDATE models SET bytes = x'010203'");
    // Whoever loads it takes the digest of what came back.
    assert_eq!(history.load_model(DIGEST).unwrap(), Some(vec![1, 2, 3]));
    history.record_decision(decision("d-2", now()));
    history.flush().unwrap();
    assert_eq!((history.dropped(), history.degraded().is_none()), (0, true), "the writer goes on");
}

#[test]
fn bug_13_broken_json_is_an_error_of_every_way_to_read_it_and_never_an_empty_value() {
    let folder = Folder::new();
    let history = folder.open();
    let owner = EvidenceOwner {
        policy_uid: "uid".to_owned(),
        attempt: 1,
        configuration_digest: "sha256:11".to_owned(),
        incarnation: "pod-0/1".to_owned(),
        phase: EvidencePhase::Trial,
    };
    history.save_evidence(owner.clone(), &Evidence::new(GuardSettings::default())).unwrap();
    for broken in ["{\"broken\"", "", "[]", "{}"] {
        spoil(&folder, &format!("UPDATE trial_evidence SET evidence = '{broken}'"));
        let read = history.load_evidence(&owner);
        assert!(matches!(read, Err(HistoryError::Stored { what: "evidence", .. })), "{broken}: {read:?}");
    }
    history.record_pair(pair("d-1", now()), vec![sums(DIGEST, "{}")]);
    history.flush().unwrap();
    spoil(&folder, "UPDATE pair_sums SET sums = '{\"broken\"'");
    // Handed on as it is: whoever wrote them tells what they are.
    assert_eq!(history.pair_sums().unwrap(), [sums(DIGEST, "{\"broken\"")]);
}
