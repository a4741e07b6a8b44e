use rusqlite::Connection;
use tinydancer_history::{Archive, HistoryError, Record, SetAsideCause};

use crate::support::{Folder, decision, feedback, give, now, outcome, pair};

fn records(archive: &Archive, since: u64) -> Vec<Record> {
    archive.records(since).collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_record_holds_all_that_is_known_about_its_decision() {
    let folder = Folder::new();
    let history = folder.open();
    let (old, late) = (now() - 50, now());
    history.record_decision(decision("bare", old));
    history.record_decision(decision("whole", late));
    history.record_outcome(outcome("whole"));
    history.record_pair(pair("whole", late), Vec::new());
    history.record_pair(pair("of a decision that was dropped", late), Vec::new());
    let said = feedback("whole", "k");
    give(&history, said.clone()).unwrap();
    drop(history);

    let archive = Archive::open(&folder.file()).unwrap();
    let bare = Record { decision: decision("bare", old), outcome: None, feedback: None, pair: None };
    let whole = Record {
        decision: decision("whole", late),
        outcome: Some(outcome("whole")),
        feedback: Some(said),
        pair: Some(pair("whole", late)),
    };
    assert_eq!(records(&archive, 0), [bare, whole.clone()]);
    assert_eq!(records(&archive, late), [whole]);
    assert_eq!(records(&archive, late + 1), []);
    assert_eq!(archive.pairs_without_decision().unwrap(), 1);
}

#[test]
fn a_router_goes_on_while_its_history_is_read() {
    let folder = Folder::new();
    let history = folder.open();
    for number in 0..1_700 {
        history.record_decision(decision(&format!("d-{number}"), now()));
    }
    history.flush().unwrap();
    let archive = Archive::open(&folder.file()).unwrap();
    let mut seen = Vec::new();
    for (number, record) in archive.records(0).enumerate() {
        seen.push(record.unwrap().decision.id);
        // In the middle of a page, and between two.
        if number.is_multiple_of(250) {
            history.record_decision(decision(&format!("late-{number}"), now()));
            give(&history, feedback(&format!("d-{number}"), "k")).unwrap();
        }
    }
    assert!(
        seen.len() >= 1_700
            && seen.iter().take(1_700).eq(&(0..1_700).map(|n| format!("d-{n}")).collect::<Vec<_>>())
    );
    assert!(seen.contains(&"late-0".to_owned()), "what is decided meanwhile is read too");
    assert!((0..1_700).step_by(250).all(|n| history.feedback(&format!("d-{n}")).unwrap().is_some()));
    assert_eq!((history.dropped(), history.degraded().is_none()), (0, true));
}

#[test]
fn what_is_no_history_is_refused_and_stays_as_it_is() {
    let folder = Folder::new();
    let refused = |folder: &Folder| Archive::open(&folder.file()).unwrap_err();
    assert!(matches!(refused(&folder), HistoryError::File { .. }), "there is none");
    std::fs::write(folder.file(), "a text that somebody put here ".repeat(100)).unwrap();
    let cause = |error| match error {
        HistoryError::NotAHistory { cause, .. } => cause,
        other => panic!("{other}"),
    };
    assert_eq!(cause(refused(&folder)), SetAsideCause::NotADatabase);
    assert!(std::fs::read_to_string(folder.file()).unwrap().starts_with("a text"));

    let folder = Folder::new();
    Connection::open(folder.file()).unwrap().execute_batch("CREATE TABLE notes (text TEXT)").unwrap();
    assert_eq!(cause(refused(&folder)), SetAsideCause::Foreign);

    let folder = Folder::new();
    drop(folder.open());
    Connection::open(folder.file()).unwrap().execute_batch("DROP TABLE trips").unwrap();
    assert_eq!(cause(refused(&folder)), SetAsideCause::Foreign);
}

#[test]
fn a_history_of_another_release_is_refused_with_what_to_do() {
    for version in [2, 4711] {
        let folder = Folder::new();
        drop(folder.open());
        Connection::open(folder.file()).unwrap().pragma_update(None, "user_version", version).unwrap();
        let refused = Archive::open(&folder.file()).unwrap_err();
        assert!(matches!(refused, HistoryError::OtherSchema { found, .. } if found == version), "{refused}");
        assert!(refused.to_string().contains("start the router of this release on it"), "{refused}");
    }
}
