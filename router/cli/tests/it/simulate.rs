//! `tiny-dancer simulate` in small.

use serde_json::Value;

use crate::{fails, succeeds};

fn rows(arguments: &[&str]) -> Vec<Value> {
    let output = succeeds(&[&["simulate", "--json", "-"], arguments].concat());
    serde_json::from_str(&output).unwrap()
}

fn find<'a>(rows: &'a [Value], scenario: &str, method: &str) -> &'a Value {
    rows.iter().find(|row| row["scenario"] == scenario && row["method"] == method).unwrap()
}

#[test]
fn a_sound_candidate_is_left_alone_and_a_shifted_one_is_found_in_shadow() {
    let rows = rows(&[
        "--scenario",
        "a-a,shift-0.3,errors-0.5%",
        "--runs",
        "30",
        "--requests",
        "2000",
        "--pods",
        "1",
    ]);
    let sound: Vec<_> = rows
        .iter()
        .filter(|row| row["scenario"] == "a-a" && row["method"] == "our guards, in Shadow")
        .collect();
    assert_eq!(sound.len(), 2, "uniform and Zipf");
    for row in sound {
        assert_eq!((&row["false_alarm"], &row["detected"]), (&0.0.into(), &Value::Null), "{row}");
        assert_eq!(row["median_samples"], Value::Null);
    }
    let shifted = find(&rows, "shift-0.3", "our guards, in Shadow");
    assert_eq!((&shifted["detected"], &shifted["median_exposed"]), (&1.0.into(), &0.into()), "{shifted}");
    let samples = shifted["median_samples"].as_u64().unwrap();
    assert!((50..=420).contains(&samples), "{samples}");
    let rule = find(&rows, "errors-0.5%", "share of 50 above limit, once (Argo)");
    assert!(rule["false_alarm"].as_f64().unwrap() > 0.3, "{rule}");
}

#[test]
fn every_row_has_the_documented_fields_and_threads_change_nothing() {
    let arguments =
        ["--runs", "3", "--requests", "600", "--attempt-requests", "3000", "--seed", "7", "--pods", "2"];
    let of = |more: &[&str]| succeeds(&[&["simulate", "--json", "-"], &arguments[..], more].concat());
    let one = of(&["--threads", "1"]);
    assert_eq!(one, of(&["--threads", "4"]));
    let rows: Vec<Value> = serde_json::from_str(&one).unwrap();
    for row in &rows {
        let fields: Vec<_> = row.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            fields,
            [
                "detected",
                "false_alarm",
                "high",
                "low",
                "median_exposed",
                "median_samples",
                "median_seconds",
                "method",
                "p95_samples",
                "p95_seconds",
                "passed",
                "pods",
                "runs",
                "scenario",
                "traffic",
            ]
        );
        assert_eq!(row["runs"], 3);
    }
    let scenarios: std::collections::BTreeSet<_> =
        rows.iter().map(|row| row["scenario"].as_str().unwrap()).collect();
    assert_eq!(scenarios.len(), 18);
}

#[test]
fn another_seed_is_another_study() {
    let of = |seed| rows(&["--scenario", "shift-1.0", "--runs", "8", "--requests", "600", "--seed", seed]);
    assert_ne!(of("1"), of("2"));
}

#[test]
fn the_table_tells_how_long_a_sound_candidate_takes() {
    let output = succeeds(&[
        "simulate",
        "--scenario",
        "harmless",
        "--runs",
        "3",
        "--requests",
        "500",
        "--attempt-requests",
        "3000",
        "--pods",
        "1",
        "--tenants",
        "uniform",
    ]);
    assert!(output.contains("| harmless | uniform | whole attempt: rolled back"), "{output}");
    assert!(output.contains("plan: a sound candidate on 1 pod at 40 requests a second"), "{output}");
    assert!(output.contains("Shadow 60 s"), "{output}");
}

#[test]
fn flags_that_make_no_sense_are_refused() {
    assert!(fails(&["simulate", "--scenario", "nothing"]).contains("errors-100%"));
    assert!(fails(&["simulate", "--pods", "0"]).contains("1..=100"));
    assert!(fails(&["simulate", "--alpha-permille", "0"]).contains("1..=999"));
}
