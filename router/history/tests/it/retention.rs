use std::time::Duration;

use tinydancer_history::Options;

use crate::support::{DIGEST, Folder, decision, feedback, give, now, pair, sums};

fn wait_until(done: impl Fn() -> bool) -> bool {
    (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        done()
    })
}

#[test]
fn what_is_too_old_goes_and_the_sums_stay() {
    let folder = Folder::new();
    let history =
        folder.open_with(&Options { retention: Duration::from_hours(24 * 365), ..Options::default() });
    let old = now() - 31 * 86_400;
    for number in 0..1_200 {
        history.record_decision(decision(&format!("old-{number}"), old));
    }
    let mut stale = feedback("old-1", "k");
    stale.at = old;
    give(&history, stale).unwrap();
    history.record_decision(decision("new", now()));
    history.record_pair(pair("old-1", old), vec![sums(DIGEST, "of 1")]);
    history.record_pair(pair("new", now()), vec![sums(DIGEST, "of 2")]);
    drop(history);
    let length = || std::fs::metadata(folder.file()).unwrap().len();
    let before = length();
    let history = folder.open();
    assert!(wait_until(|| history.recent_decisions(2_000).unwrap().len() == 1));
    assert_eq!(history.recent_decisions(1).unwrap()[0].id, "new");
    assert_eq!(history.feedback("old-1").unwrap(), None);
    assert_eq!(history.totals().unwrap()[0].decisions, 1_201);
    assert!(wait_until(|| history.pairs(9).unwrap().len() == 1));
    assert_eq!(history.pairs(9).unwrap()[0].decision_id, "new");
    assert_eq!(history.pair_sums().unwrap(), [sums(DIGEST, "of 2")]);
    drop(history);
    assert!(length() * 2 < before, "{} of {before} bytes after the old ones went", length());
}

#[test]
fn the_file_stays_below_its_bound_by_forgetting_the_oldest() {
    let folder = Folder::new();
    let options = Options { max_bytes: 1 << 20, ..Options::default() };
    let history = folder.open_with(&options);
    history.record_pair(pair("decision-0", now()), Vec::new());
    for number in 0..12_000 {
        while !history.record_decision(decision(&format!("decision-{number}"), now())) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    give(&history, feedback("decision-11999", "k")).unwrap();
    assert!(history.pairs(9).unwrap().iter().any(|pair| pair.decision_id == "decision-0"), "it was paid for");
    let kept = history.recent_decisions(20_000).unwrap();
    assert!(kept.len() < 11_000 && kept[0].id == "decision-11999", "{} kept", kept.len());
    drop(history);
    assert!(std::fs::metadata(folder.file()).unwrap().len() <= 1 << 20);
}
