use rusqlite::Connection;
use tinydancer_history::{Opened, Options, Pair};

use crate::support::{DIGEST, Folder, decision, now, pair, sums};

#[test]
fn audits_and_their_sums_are_there_again_after_a_restart() {
    let folder = Folder::new();
    let history = folder.open();
    let first = pair("d-1", now());
    let second = Pair { beside: None, ..pair("d-2", now()) };
    assert!(history.record_pair(first.clone(), vec![sums(DIGEST, "of 1"), sums("sha256:00", "of 1")]));
    assert!(history.record_pair(second.clone(), vec![sums(DIGEST, "of 2")]));
    drop(history);
    let history = folder.open();
    assert_eq!(history.pairs(9).unwrap(), [second, first]);
    assert_eq!(history.pairs(1).unwrap().len(), 1);
    assert_eq!(history.pair_sums().unwrap(), [sums("sha256:00", "of 1"), sums(DIGEST, "of 2")]);
    assert_eq!(history.dropped(), 0);
}

#[test]
fn a_second_audit_of_a_decision_changes_nothing() {
    let folder = Folder::new();
    let history = folder.open();
    history.record_pair(pair("d-1", now()), vec![sums(DIGEST, "of 1")]);
    let again = Pair { powerful: 0.0, ..pair("d-1", now()) };
    history.record_pair(again, vec![sums(DIGEST, "of 2")]);
    history.flush().unwrap();
    assert_eq!(history.pairs(9).unwrap().len(), 1);
    assert_eq!(history.pairs(9).unwrap()[0].powerful.to_bits(), 1.0_f32.to_bits());
    assert_eq!(history.pair_sums().unwrap(), [sums(DIGEST, "of 1")]);
}

#[test]
fn an_audit_with_a_number_that_means_nothing_is_dropped_and_its_company_is_not() {
    let folder = Folder::new();
    let history = folder.open();
    let spoilt: [fn(&mut Pair); 6] = [
        |pair| pair.lightweight = f32::NAN,
        |pair| pair.powerful = 1.5,
        |pair| pair.propensity = -0.1,
        |pair| pair.decided.score = f32::INFINITY,
        |pair| pair.decided.good_enough = f32::NAN,
        |pair| pair.beside.as_mut().unwrap().score = f32::NAN,
    ];
    for (number, spoil) in spoilt.iter().enumerate() {
        let mut pair = pair(&format!("d-{number}"), now());
        spoil(&mut pair);
        assert!(!history.record_pair(pair, vec![sums(DIGEST, "of a spoilt one")]), "{number}");
    }
    history.record_decision(decision("sound", now()));
    history.flush().unwrap();
    assert_eq!(history.dropped(), 6);
    assert!(history.pairs(9).unwrap().is_empty() && history.pair_sums().unwrap().is_empty());
    assert_eq!(history.recent_decisions(9).unwrap().len(), 1);
}

#[test]
fn audits_beyond_the_queue_are_dropped_and_counted() {
    let folder = Folder::new();
    let history = folder.open_with(&Options { queue: 10, ..Options::default() });
    let other = Connection::open(folder.file()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let sent = 2_000;
    let queued =
        (0..sent).filter(|number| history.record_pair(pair(&format!("d-{number}"), now()), Vec::new()));
    let queued = queued.count();
    assert!(queued < sent, "{queued}");
    assert_eq!(history.dropped(), (sent - queued) as u64);
    drop(other);
    history.flush().unwrap();
    assert_eq!(history.pairs(sent as u32).unwrap().len(), queued);
}

#[test]
fn sums_of_models_that_are_long_gone_go() {
    let folder = Folder::new();
    let history = folder.open();
    for number in 0..40 {
        let one = vec![sums("the one that stays", &number.to_string()), sums(&format!("model-{number}"), "")];
        history.record_pair(pair(&format!("d-{number}"), now()), one);
    }
    history.flush().unwrap();
    let kept = history.pair_sums().unwrap();
    assert_eq!(kept.len(), 16);
    assert!(kept.contains(&sums("the one that stays", "39")) && kept.contains(&sums("model-39", "")));
    assert!(!kept.contains(&sums("model-3", "")));
}

#[test]
fn a_history_of_the_release_before_goes_on() {
    let folder = Folder::new();
    let before =
        [include_str!("../../src/migrations/0001.sql"), include_str!("../../src/migrations/0002.sql")];
    let connection = Connection::open(folder.file()).unwrap();
    for text in before {
        connection.execute_batch(text).unwrap();
    }
    connection
        .execute_batch(
            "INSERT INTO decisions (id, at, arm, tier, statistics) VALUES ('old', 4000000000, 'Stable', 'Powerful', x'');
             PRAGMA user_version = 2;",
        )
        .unwrap();
    drop(connection);
    let (history, opened) = tinydancer_history::History::open(&folder.file(), &Options::default()).unwrap();
    assert_eq!(opened, Opened::Existing);
    history.record_decision(decision("new", now()));
    history.record_pair(pair("new", now()), vec![sums(DIGEST, "of 1")]);
    history.flush().unwrap();
    let decisions = history.recent_decisions(9).unwrap();
    let probabilities: Vec<_> = decisions.iter().map(|one| (one.propensity, one.explored)).collect();
    assert_eq!(probabilities, [(0.875, true), (1.0, false)]);
    assert_eq!(history.pairs(9).unwrap().len(), 1);
}
