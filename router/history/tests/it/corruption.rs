use std::path::Path;

use proptest::prelude::*;
use rusqlite::Connection;
use tinydancer_history::{History, HistoryError, Opened, Options, SetAsideCause};

use crate::support::{DIGEST, Folder, decision, feedback, give, now, pair, sums};

/// A closed history with a few records, as one file.
fn filled(folder: &Folder) -> Vec<u8> {
    let history = folder.open();
    for number in 0..200 {
        history.record_decision(decision(&format!("d-{number}"), now()));
    }
    for number in 0..20 {
        history.record_pair(pair(&format!("d-{number}"), now()), vec![sums(DIGEST, "{}")]);
    }
    give(&history, feedback("d-1", "k")).unwrap();
    drop(history);
    std::fs::read(folder.file()).unwrap()
}

fn open(folder: &Folder) -> Opened {
    let (history, opened) = History::open(&folder.file(), &Options::default()).unwrap();
    give(&history, feedback("after", "k")).unwrap();
    opened
}

fn set_aside(opened: &Opened) -> (SetAsideCause, &Path) {
    let Opened::SetAside { path, cause } = opened else { panic!("{opened:?} although the file was spoilt") };
    (*cause, path)
}

#[test]
fn what_is_no_database_is_set_aside_and_kept() {
    let folder = Folder::new();
    std::fs::write(folder.file(), "a text that somebody put here ".repeat(100)).unwrap();
    let opened = open(&folder);
    assert_eq!(set_aside(&opened), (SetAsideCause::NotADatabase, folder.beside(".corrupt-1").as_path()));
    assert!(std::fs::read_to_string(folder.beside(".corrupt-1")).unwrap().starts_with("a text"));
    assert_eq!(open(&folder), Opened::Existing);
}

#[test]
fn an_empty_file_is_a_fresh_history() {
    let folder = Folder::new();
    std::fs::write(folder.file(), "").unwrap();
    assert_eq!(open(&folder), Opened::Fresh);
}

#[test]
fn somebody_elses_database_is_set_aside() {
    let folder = Folder::new();
    Connection::open(folder.file()).unwrap().execute_batch("CREATE TABLE notes (text TEXT)").unwrap();
    assert_eq!(set_aside(&open(&folder)).0, SetAsideCause::Foreign);
}

#[test]
fn a_history_with_a_planted_trigger_is_set_aside_before_it_runs() {
    let folder = Folder::new();
    filled(&folder);
    Connection::open(folder.file())
        .unwrap()
        .execute_batch("CREATE TRIGGER planted AFTER INSERT ON feedback BEGIN DELETE FROM trips; END")
        .unwrap();
    assert_eq!(set_aside(&open(&folder)).0, SetAsideCause::Foreign);
}

#[test]
fn a_newer_schema_is_refused_and_not_one_byte_is_changed() {
    let folder = Folder::new();
    filled(&folder);
    Connection::open(folder.file()).unwrap().execute_batch("PRAGMA user_version = 4711").unwrap();
    let before = std::fs::read(folder.file()).unwrap();
    let refused = History::open(&folder.file(), &Options::default());
    assert!(matches!(refused, Err(HistoryError::NewerSchema { found: 4711, .. })), "{refused:?}");
    assert_eq!(std::fs::read(folder.file()).unwrap(), before);
    assert!(!folder.beside(".corrupt-1").exists());
}

#[test]
fn a_history_whose_version_does_not_fit_its_tables_is_set_aside() {
    for statement in ["PRAGMA user_version = 0", "PRAGMA user_version = -1", "DROP TABLE trips"] {
        let folder = Folder::new();
        filled(&folder);
        Connection::open(folder.file()).unwrap().execute_batch(statement).unwrap();
        set_aside(&open(&folder));
        assert_eq!(open(&folder), Opened::Existing, "{statement}");
    }
}

#[test]
fn a_folder_in_its_place_is_an_error_that_names_it() {
    let folder = Folder::new();
    std::fs::create_dir(folder.file()).unwrap();
    let refused = History::open(&folder.file(), &Options::default()).unwrap_err();
    assert!(folder.file().is_dir(), "{refused}");
}

#[test]
fn files_that_were_set_aside_do_not_fill_the_volume() {
    let folder = Folder::new();
    for _ in 0..10 {
        std::fs::write(folder.file(), "spoilt ".repeat(1_000)).unwrap();
        open(&folder);
    }
    let kept = (1..20).filter(|number| folder.beside(&format!(".corrupt-{number}")).exists()).count();
    assert!((1..=3).contains(&kept), "{kept}");
}

#[test]
fn a_history_of_only_a_log_is_recovered() {
    // Killed before the first checkpoint: the records are in the log alone.
    let folder = Folder::new();
    let copy = Folder::new();
    let history = folder.open();
    give(&history, feedback("d-1", "k")).unwrap();
    for suffix in ["", "-wal"] {
        std::fs::copy(folder.beside(suffix), copy.beside(suffix)).unwrap();
    }
    let (copied, opened) = History::open(&copy.file(), &Options::default()).unwrap();
    assert_eq!(opened, Opened::Existing);
    assert!(copied.feedback("d-1").unwrap().is_some());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_spoilt_file_never_ends_the_router(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u8), 0..20),
        length in any::<prop::sample::Index>(),
        cut: bool,
        log in prop::option::of(prop::collection::vec(any::<u8>(), 0..5_000)),
    ) {
        thread_local! {
            static ORIGINAL: Vec<u8> = filled(&Folder::new());
        }
        let folder = Folder::new();
        let mut bytes = ORIGINAL.with(Clone::clone);
        for (place, bit) in flips {
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
        }
        if cut {
            bytes.truncate(length.index(bytes.len()));
        }
        std::fs::write(folder.file(), &bytes).unwrap();
        if let Some(log) = log {
            std::fs::write(folder.beside("-wal"), log).unwrap();
        }
        match History::open(&folder.file(), &Options::default()) {
            Ok((history, _)) => {
                // Whatever it says, it says it without a panic, and the writer lives.
                let _ = history.recent_decisions(1_000);
                let _ = history.totals();
                let _ = history.trips();
                let _ = history.pairs(1_000);
                let _ = history.pair_sums();
                let _ = give(&history, feedback("after", "k"));
                prop_assert!(history.flush().is_ok());
            }
            Err(HistoryError::NewerSchema { .. }) => {}
            Err(error) => return Err(TestCaseError::fail(format!("{error:?}"))),
        }
    }
}
