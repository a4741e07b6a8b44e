use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use crate::{data, fails, succeeds, text};

/// Far longer than a run takes.
const PATIENCE: Duration = Duration::from_mins(2);

fn flags<'a>(data: &'a Path, out: &'a Path) -> Vec<&'a str> {
    vec!["train", "--data", text(data), "--name", "made", "--version", "1", "--out", text(out)]
}

/// The networks that are finished, and when each was written.
fn finished(directory: &Path) -> BTreeMap<PathBuf, SystemTime> {
    let Ok(files) = std::fs::read_dir(directory) else { return BTreeMap::new() };
    files
        .map(|file| file.unwrap())
        .filter(|file| file.path().extension().is_some_and(|extension| extension == "json"))
        .map(|file| (file.path(), file.metadata().unwrap().modified().unwrap()))
        .collect()
}

#[test]
fn a_run_that_was_killed_goes_on_from_its_finished_networks_and_gives_the_same_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let data = data(directory.path());
    let [whole, resumed] = ["whole", "resumed"].map(|name| directory.path().join(name));
    let kept = directory.path().join("kept");
    let flags = [flags(&data, &resumed), vec!["--resume", text(&kept)]].concat();

    let mut run = Command::new(env!("CARGO_BIN_EXE_tiny-dancer"))
        .args(&flags)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while finished(&kept).is_empty() && start.elapsed() < PATIENCE && run.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(2));
    }
    // SIGKILL to this process alone.
    run.kill().unwrap();
    assert!(!run.wait().unwrap().success());
    let before = finished(&kept);
    assert!(!before.is_empty() && !resumed.exists(), "it was killed on its way: {before:?}");

    succeeds(&flags);
    let after = finished(&kept);
    assert!(after.len() > before.len(), "the others were made: {after:?}");
    for (network, written) in &before {
        assert_eq!(&after[network], written, "what was finished is not made again");
    }
    succeeds(&self::flags(&data, &whole));
    assert!(std::fs::read(&resumed).unwrap() == std::fs::read(&whole).unwrap());
}

#[test]
fn models_of_any_name_are_trained_between_and_rows_that_lack_a_grade_are_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let two = data(directory.path());
    let [expected, named] = ["expected", "named"].map(|name| directory.path().join(name));
    succeeds(&flags(&two, &expected));

    // The same grades under other names, and one row without one of them.
    let renamed = |line: &str| {
        let (rest, grades) = line.split_once(r#""q_cheap":"#).unwrap();
        let (small, large) = grades.trim_end_matches('}').split_once(r#","q_powerful":"#).unwrap();
        format!("{rest}\"q_cheap\":0.5,\"q_other\":{{\"small\":{small},\"large\":{large}}}}}\n")
    };
    let rows: String = std::fs::read_to_string(&two).unwrap().lines().map(renamed).collect();
    let many = directory.path().join("many.jsonl");
    std::fs::write(&many, rows + r#"{"prompt":"x","q_cheap":1,"q_other":{"small":1,"large":null}}"#).unwrap();
    let pair = ["--lightweight", "small", "--powerful", "large"];
    let shown = succeeds(&[&flags(&many, &named)[..], &pair].concat());
    assert!(shown.contains("left out     1 (no grade of small or large)"), "{shown}");
    assert!(std::fs::read(&named).unwrap() == std::fs::read(&expected).unwrap());

    let evaluate = ["evaluate", "--data", text(&many), "--only", "--folds", "2", "--evidence", "ngram"];
    let shown = succeeds(&[&evaluate[..], &pair].concat());
    assert!(shown.contains("left out: 1 (no grade of small or large)"), "{shown}");
    let error = fails(&[&evaluate[..], &["--lightweight", "tiny"]].concat());
    assert!(error.contains("graded are: cheap, large, small"), "{error}");
    let error = fails(&[&evaluate[..], &["--lightweight", "large", "--powerful", "large"]].concat());
    assert!(error.contains("must name two models"), "{error}");
}
