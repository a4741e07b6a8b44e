use rusqlite::Connection;
use tinydancer_history::{HistoryError, Options};

use crate::support::{Folder, decision, feedback, give, give_later, now};

/// Another connection that holds the write lock, so that the writer stands still.
fn stall(folder: &Folder) -> Connection {
    let connection = Connection::open(folder.file()).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    connection
}

#[test]
fn a_full_queue_drops_decisions_and_counts_them_and_keeps_feedback() {
    let folder = Folder::new();
    let history = folder.open_with(&Options { queue: 100, ..Options::default() });
    let stalled = stall(&folder);
    // The writer takes one batch into its hands, of however many have come by then, and stands still with it.
    let sent = 3_000;
    let accepted =
        (0..sent).filter(|number| history.record_decision(decision(&format!("d-{number}"), now()))).count();
    let answers: Vec<_> =
        (0..50).map(|number| give_later(&history, feedback(&format!("d-{number}"), "k"))).collect();
    assert!((100..sent).contains(&accepted), "{accepted}");
    assert_eq!(history.dropped(), (sent - accepted) as u64);
    drop(stalled);
    for answer in answers {
        answer.recv().unwrap().unwrap();
    }
    history.flush().unwrap();
    assert_eq!(history.recent_decisions(3_000).unwrap().len(), accepted);
    assert!((0..50).all(|number| history.feedback(&format!("d-{number}")).unwrap().is_some()));
}

#[test]
fn feedback_beyond_the_queue_is_refused_at_once_and_never_falsely_acknowledged() {
    let folder = Folder::new();
    let history = folder.open_with(&Options { queue: 1, ..Options::default() });
    let stalled = stall(&folder);
    let answers: Vec<_> =
        (0..4_000).map(|number| give_later(&history, feedback(&format!("d-{number}"), "k"))).collect();
    drop(stalled);
    let mut acknowledged = 0;
    for (number, answer) in answers.into_iter().enumerate() {
        let stored = match answer.recv().unwrap() {
            Ok(()) => true,
            Err(HistoryError::Busy) => false,
            Err(other) => panic!("{other}"),
        };
        acknowledged += u32::from(stored);
        assert_eq!(history.feedback(&format!("d-{number}")).unwrap().is_some(), stored);
    }
    assert!((1..4_000).contains(&acknowledged), "{acknowledged} acknowledged");
}

#[test]
fn many_writers_share_a_commit() {
    let folder = Folder::new();
    let history = folder.open();
    let answers: Vec<_> =
        (0..1_000).map(|number| give_later(&history, feedback(&format!("d-{number}"), "k"))).collect();
    for answer in answers {
        answer.recv().unwrap().unwrap();
    }
    assert!(history.commits() < 500, "{} commits for 1000 feedbacks", history.commits());
}

#[test]
fn a_closed_history_refuses() {
    let folder = Folder::new();
    let history = folder.open();
    give(&history, feedback("d-1", "k")).unwrap();
    history.close();
    assert!(matches!(give(&history, feedback("d-2", "k")), Err(HistoryError::Closed)));
    assert!(!history.record_decision(decision("d-3", now())));
    assert!(matches!(history.flush(), Err(HistoryError::Closed)));
}
