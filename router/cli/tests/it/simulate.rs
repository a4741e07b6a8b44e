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

const SHADOW: &str = "our guards, in Shadow";

/// Median and 95th percentile of the samples.
fn samples(row: &Value) -> (u64, u64) {
    let of = |field: &str| row[field].as_u64().unwrap();
    (of("median_samples"), of("p95_samples"))
}

#[test]
fn bar_2_five_percent_of_faults_are_found_within_four_hundred_requests() {
    let rows = rows(&["--scenario", "errors-5%", "--runs", "100", "--requests", "4000", "--pods", "1"]);
    let (median, p95) = samples(find(&rows, "errors-5%", SHADOW));
    assert!(median <= 400 && p95 <= 700, "{median} {p95}");
    let breaker = find(&rows, "errors-5%", "five faults in a row");
    assert!(breaker["detected"].as_f64().unwrap() < 0.1, "{breaker}");
}

#[test]
fn bar_3_a_shift_of_uncertainty_is_found_in_shadow_on_one_pod_and_on_ten() {
    for (pods, bar) in [("1", 420), ("10", 550)] {
        let rows = rows(&["--scenario", "shift-0.3", "--runs", "40", "--requests", "1500", "--pods", pods]);
        let row = find(&rows, "shift-0.3", SHADOW);
        let (median, _) = samples(row);
        assert!((50..=bar).contains(&median), "{pods} pods: {median}");
        assert_eq!((&row["detected"], &row["median_exposed"]), (&1.0.into(), &0.into()), "{row}");
    }
}

#[test]
fn bar_4_a_sound_candidate_is_not_rolled_back_where_rules_roll_it_back() {
    let rows = rows(&[
        "--scenario",
        "a-a,errors-0.5%,harmless",
        "--runs",
        "30",
        "--requests",
        "2000",
        "--attempt-requests",
        "6000",
        "--pods",
        "2",
    ]);
    for (scenario, method) in [("a-a", SHADOW), ("harmless", "whole attempt: rolled back")] {
        let ours = rows.iter().filter(|row| row["scenario"] == scenario && row["method"] == method);
        let alarms: Vec<_> =
            ours.map(|row| (&row["traffic"], &row["false_alarm"], &row["detected"])).collect();
        assert_eq!(
            alarms,
            [(&"uniform".into(), &0.0.into(), &Value::Null), (&"zipf".into(), &0.0.into(), &Value::Null)]
        );
    }
    let rule = find(&rows, "errors-0.5%", "share of 50 above limit, once (Argo)");
    assert!(rule["false_alarm"].as_f64().unwrap() > 0.3, "{rule}");
}

#[test]
fn bar_5_an_over_confident_candidate_is_found_where_ranks_are_blind() {
    let scenario = "over-confident-median";
    let rows = rows(&["--scenario", scenario, "--runs", "30", "--requests", "3000", "--pods", "1"]);
    assert_eq!(find(&rows, scenario, SHADOW)["detected"], 1.0);
    let ranks = find(&rows, scenario, "Mann-Whitney p < .02, peeked");
    assert!(ranks["detected"].as_f64().unwrap() < 0.7, "{ranks}");
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
