use std::process::Command;

use tinydancer_history::{HistoryError, Options};

use crate::support::{Folder, decision, feedback, give, now};

#[test]
fn a_full_history_refuses_feedback_and_heals_when_space_returns() {
    let folder = Folder::new();
    let history = folder.open_with(&Options { max_bytes: 512 << 10, ..Options::default() });
    let mut models = 0;
    while history.save_model(format!("model-{models}"), vec![1; 8 << 10]).is_ok() {
        models += 1;
    }
    let refused = (0..10_000)
        .map(|number| (number, give(&history, feedback(&format!("d-{number}"), "k"))))
        .find_map(|(number, answer)| answer.err().map(|error| (number, error)));
    let Some((number, error)) = refused else { panic!("never full") };
    assert!(matches!(error, HistoryError::Full), "{error}");
    history.flush().unwrap();
    assert!(matches!(history.degraded(), Some(HistoryError::Full)), "a flush alone heals nothing");
    assert_eq!(history.feedback(&format!("d-{number}")).unwrap(), None, "refused, so not stored");
    assert!((0..number).all(|number| history.feedback(&format!("d-{number}")).unwrap().is_some()));

    history.delete_models_except(Vec::new()).unwrap();
    give(&history, feedback(&format!("d-{number}"), "k")).unwrap();
    assert!(history.degraded().is_none());
}

/// What the next test runs in a process whose files may not grow.
#[test]
fn writer_under_a_file_size_limit() {
    let Ok(file) = std::env::var("HISTORY_LIMITED_FILE") else { return };
    let history = tinydancer_history::History::open(file.as_ref(), &Options::default()).unwrap().0;
    let mut given = 0;
    while give(&history, feedback(&format!("d-{given}"), "k")).is_ok() {
        given += 1;
        assert!(given < 100_000, "the limit was never reached");
    }
    assert!(given > 0 && history.degraded().is_some());
    // Decisions are taken and dropped, nothing grows, nothing blocks.
    for number in 0..100 {
        assert!(history.record_decision(decision(&format!("x-{number}"), now())));
    }
    // Fails if it comes into the same transaction as the decisions.
    let _ = history.flush();
    assert_eq!(history.dropped(), 100);

    let lifted = Command::new("prlimit")
        .args(["--pid", &std::process::id().to_string(), "--fsize=unlimited:unlimited"])
        .status()
        .unwrap();
    assert!(lifted.success());
    give(&history, feedback(&format!("d-{given}"), "k")).unwrap();
    assert!(history.degraded().is_none());
    assert!((0..=given).all(|number| history.feedback(&format!("d-{number}")).unwrap().is_some()));
}

#[test]
fn a_volume_that_takes_no_more_loses_nothing_that_was_acknowledged() {
    let folder = Folder::new();
    // The shell ignores the signal that would end the process, and lowers the limit (in KiB).
    let script =
        "trap '' XFSZ; ulimit -S -f 400; exec \"$0\" --exact disk_full::writer_under_a_file_size_limit";
    let output = Command::new("bash")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .env("HISTORY_LIMITED_FILE", folder.file())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(folder.file().exists(), "the child did nothing");
}
