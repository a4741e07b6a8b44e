//! `tiny-dancer export` and `tiny-dancer replay` on histories that a router could have written.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tinydancer_engine::features::STATISTICS;
use tinydancer_engine::{Digest, Features, Model, testing};
use tinydancer_guards::Arm;
use tinydancer_history::{
    Decision, Feedback, FeedbackOutcome, FeedbackSource, History, IdempotencyKey, LabelSet, Options, Outcome,
    Pair, Scored, Shadow, Tier,
};
use tinydancer_trainer::random::Random;

use crate::{fails, succeeds, text};

/// The share of requests that the made-up router sends the other way.
const EXPLORED: f32 = 0.1;
/// Where the candidate takes Lightweight; the model that decides takes it where its score is at most 0.
const THRESHOLD: f32 = 0.5;

/// A folder with a history and a candidate, `candidate.safetensors`.
struct Made {
    folder: tempfile::TempDir,
    candidate: Vec<u8>,
    start: u64,
}

impl Made {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let candidate = testing::artifact("2.0.0", 5).unwrap();
        std::fs::write(folder.path().join("candidate.safetensors"), &candidate).unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        Self { folder, candidate, start: now - 10_000 }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn open(&self) -> History {
        History::open(&self.file("history.db"), &Options::default()).unwrap().0
    }

    /// Requests whose difficulty is between -1 and 1. Every one gets feedback, every fifth an audit.
    fn fill(&self, history: &History, requests: u32) {
        let mut random = Random::stream(7, 1);
        for number in 0..requests {
            let difficulty = (2.0 * random.uniform() - 1.0) as f32;
            let explored = random.uniform() < f64::from(EXPLORED);
            let lightweight = (difficulty <= 0.0) != explored;
            let good = random.uniform() < f64::from(quality(difficulty, lightweight));
            let id = format!("td1.secret-{number}");
            let mut row = decision(&id, self.start + u64::from(number), difficulty, lightweight, explored);
            if let Some(shadow) = &mut row.shadow {
                shadow.digest = Digest::of(&self.candidate).to_string();
            }
            while !history.record_decision(row.clone()) {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            history.record_feedback(feedback(&id, good), |stored| stored.unwrap());
            if number.is_multiple_of(5) {
                assert!(history.record_pair(pair(&row, difficulty), Vec::new()));
            }
            if number.is_multiple_of(500) {
                history.flush().unwrap();
            }
        }
        history.flush().unwrap();
    }

    fn export(&self, more: &[&str]) -> String {
        let (history, out) = (self.file("history.db"), self.file("rows.jsonl"));
        succeeds(&[&["export", "--history", text(&history), "--out", text(&out)], more].concat());
        std::fs::read_to_string(out).unwrap()
    }

    fn replay(&self, more: &[&str]) -> String {
        let (model, rows) = (self.file("candidate.safetensors"), self.file("rows.jsonl"));
        succeeds(&[&["replay", "--model", text(&model), "--rows", text(&rows)], more].concat())
    }

    fn figures(&self, more: &[&str]) -> Value {
        serde_json::from_str(&self.replay(&[&["--json", "-"], more].concat())).unwrap()
    }
}

/// The quality of an answer, which is also the chance that feedback calls it good.
fn quality(difficulty: f32, lightweight: bool) -> f32 {
    if lightweight { 0.6 - 0.3 * difficulty } else { 0.8 }
}

fn decision(id: &str, at: u64, difficulty: f32, lightweight: bool, explored: bool) -> Decision {
    let mut statistics = vec![0.0; STATISTICS];
    statistics[0] = 3.0 + difficulty;
    Decision {
        id: id.to_owned(),
        at,
        arm: Arm::Stable,
        digest: Some(Digest::of(b"the model that decides").to_string()),
        tier: if lightweight { Tier::Lightweight } else { Tier::Powerful },
        upstream: Some("one".to_owned()),
        score: Some(difficulty),
        uncertainty: Some(0.25),
        good_enough: Some(0.5),
        statistics,
        shadow: Some(Shadow { digest: String::new(), score: Some(difficulty), uncertainty: None }),
        propensity: if explored { EXPLORED } else { 1.0 - EXPLORED },
        explored,
    }
}

fn feedback(id: &str, good: bool) -> Feedback {
    Feedback {
        decision_id: id.to_owned(),
        idempotency_key: IdempotencyKey::new(id, "key of a caller"),
        outcome: if good { FeedbackOutcome::Good } else { FeedbackOutcome::Underpowered },
        score: None,
        source: FeedbackSource::User,
        at: 4_000_000_000,
    }
}

fn pair(row: &Decision, difficulty: f32) -> Pair {
    let set = Some(LabelSet { good_enough: true, not_good_enough: true });
    Pair {
        decision_id: row.id.clone(),
        at: row.at,
        decided: Scored { digest: row.digest.clone().unwrap(), score: difficulty, good_enough: 0.5, set },
        tier: row.tier,
        propensity: row.propensity,
        lightweight: quality(difficulty, true),
        powerful: quality(difficulty, false),
        beside: None,
    }
}

/// The candidate's value: difficulty is even between -1 and 1, and it takes Lightweight up to its threshold.
fn truth() -> f64 {
    let threshold = f64::from(THRESHOLD);
    let share = f64::midpoint(threshold, 1.0);
    share * (0.6 - 0.3 * (threshold - 1.0) / 2.0) + (1.0 - share) * 0.8
}

fn holds(estimate: &Value, value: f64) -> bool {
    (estimate["low"].as_f64().unwrap()..=estimate["high"].as_f64().unwrap()).contains(&value)
}

#[test]
fn a_candidate_s_value_is_found_from_a_log_that_another_model_made() {
    let made = Made::new();
    made.fill(&made.open(), 4_000);
    made.export(&[]);
    let threshold = THRESHOLD.to_string();
    let lambda = ["--lambda", threshold.as_str()];
    let figures = made.figures(&[&lambda[..], &["--reward", "feedback"]].concat());
    assert_eq!(
        (&figures["scored_by_recorded_scores"], &figures["scored_by_statistics_only"]),
        (&4_000.into(), &0.into())
    );
    let found = &figures["off_policy"];
    assert_eq!((&found["rows"], &found["outside_support"]), (&4_000.into(), &0.into()));
    for estimator in ["ips", "snips", "dr"] {
        let estimate = &found["estimates"][estimator];
        assert!(holds(estimate, truth()), "{estimator}: {estimate} for {}", truth());
    }
    // Where the models disagree the log took Powerful but for the explored tenth.
    let disagreements = found["disagreements"].as_u64().unwrap();
    assert!((900..1_100).contains(&disagreements), "{found}");
    assert!((60..140).contains(&found["disagreements_taken"].as_u64().unwrap()), "{found}");

    let audited = &figures["audited"];
    assert_eq!(audited["pairs"], 800);
    assert!(holds(&audited["candidate"], truth()), "{audited}");
    let to_lightweight = figures["candidate"]["to_lightweight"].as_f64().unwrap();
    assert!(
        (to_lightweight - 0.75).abs() < 0.03 && figures["log"]["to_lightweight"].as_f64().unwrap() < 0.55
    );
    let saving = figures["candidate"]["saving"].as_f64().unwrap();
    assert!((saving - to_lightweight * 0.99).abs() < 1e-9, "{saving}");

    // The grade of the answer given is a reward too, and the first that is looked for.
    let figures = made.figures(&lambda);
    assert_eq!((&figures["reward"], &figures["off_policy"]["rows"]), (&"grade".into(), &800.into()));
    let table = made.replay(&lambda);
    assert!(table.contains("4000 rows by scores that this model gave at the time"), "{table}");
    assert!(table.contains("the model, SNIPS") && table.contains("known from audits, 800 rows"), "{table}");
    assert_eq!(made.replay(&lambda), table, "the same seed, the same figures");
}

#[test]
fn rows_hold_no_text_and_no_name_of_a_request() {
    let made = Made::new();
    let history = made.open();
    made.fill(&history, 6);
    history.record_outcome(Outcome {
        decision_id: "td1.secret-5".to_owned(),
        succeeded: true,
        latency_ms: 12,
        prompt_tokens: Some(3),
        completion_tokens: None,
        cost_micro_dollars: Some(7),
    });
    history.flush().unwrap();
    let rows = made.export(&[]);
    assert!(!rows.contains("secret") && !rows.contains("key"), "{rows}");
    let rows: Vec<Value> = rows.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((rows.len(), &rows[0]["format"]), (7, &"tinydancer/history-rows/v1".into()));
    assert_eq!(rows[0]["statistics"].as_array().unwrap().len(), STATISTICS);
    assert_eq!(rows[1]["audit"]["set"], serde_json::json!(["good_enough", "not_good_enough"]));
    assert_eq!((&rows[2]["audit"], &rows[2]["outcome"]), (&Value::Null, &Value::Null));
    let outcome = serde_json::json!({"succeeded": true, "latency_ms": 12, "prompt_tokens": 3, "completion_tokens": null,
        "cost_micro_dollars": 7});
    assert_eq!((&rows[6]["outcome"], &rows[6]["arm"]), (&outcome, &"Stable".into()));
    let fields: Vec<&str> = rows[1].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        fields,
        [
            "arm",
            "at",
            "audit",
            "digest",
            "explored",
            "feedback",
            "good_enough",
            "outcome",
            "propensity",
            "score",
            "shadow",
            "statistics",
            "tier",
            "uncertainty",
            "upstream"
        ]
    );
}

#[test]
fn a_router_goes_on_while_its_history_is_exported() {
    let made = Made::new();
    let history = made.open();
    made.fill(&history, 1_500);
    let rows = std::thread::scope(|scope| {
        let export = scope.spawn(|| made.export(&[]));
        for number in 0..200 {
            assert!(history.record_decision(decision(
                &format!("meanwhile-{number}"),
                made.start,
                0.0,
                true,
                false
            )));
        }
        history.flush().unwrap();
        export.join().unwrap()
    });
    assert!(rows.lines().count() > 1_500);
    assert!(history.degraded().is_none() && history.dropped() == 0);
    let since = jiff::Timestamp::from_second(i64::try_from(made.start + 1_400).unwrap()).unwrap().to_string();
    assert_eq!(made.export(&["--since", &since]).lines().count(), 101, "the header and a hundred decisions");
}

#[test]
fn a_model_that_scored_nothing_is_replayed_on_statistics_and_that_is_said() {
    let made = Made::new();
    let history = made.open();
    made.fill(&history, 300);
    made.export(&[]);
    let other = testing::artifact("3.0.0", 11).unwrap();
    std::fs::write(made.file("candidate.safetensors"), &other).unwrap();
    let table = made.replay(&["--risk", "100"]);
    assert!(table.contains("300 by prompt statistics only") && table.contains("--recorded-only"), "{table}");

    let model = Model::from_bytes(&other).unwrap();
    let lambda = model.metadata().calibration.lambda(100).unwrap();
    let takes_lightweight = |row: &Decision| {
        let features = Features::of_statistics(row.statistics.as_slice().try_into().unwrap());
        model.score(&features).unwrap().score <= lambda
    };
    let rows = history.recent_decisions(300).unwrap();
    let share = rows.iter().filter(|row| takes_lightweight(row)).count() as f64 / 300.0;
    let figures = made.figures(&["--risk", "100"]);
    assert_eq!(figures["candidate"]["to_lightweight"].as_f64(), Some(share));
    assert_eq!(figures["model"]["risk_permille"], 100);

    let (model, rows) = (made.file("candidate.safetensors"), made.file("rows.jsonl"));
    let refused = fails(&["replay", "--model", text(&model), "--rows", text(&rows), "--recorded-only"]);
    assert!(refused.contains("try without --recorded-only"), "{refused}");
}

#[test]
fn what_nobody_explored_is_not_made_up() {
    let made = Made::new();
    let history = made.open();
    for number in 0..100_u16 {
        let difficulty = f32::from(number) / 50.0 - 1.0;
        let id = format!("d-{number}");
        let mut row = decision(&id, made.start, difficulty, difficulty <= 0.0, false);
        row.propensity = 1.0;
        row.shadow = Some(Shadow {
            digest: Digest::of(&made.candidate).to_string(),
            score: Some(difficulty),
            uncertainty: None,
        });
        assert!(history.record_decision(row));
        history.record_feedback(feedback(&id, true), |stored| stored.unwrap());
    }
    drop(history);
    made.export(&[]);
    let figures = made.figures(&["--lambda", "0.5"]);
    assert_eq!(
        (&figures["reward"], &figures["off_policy"]["outside_support"]),
        (&"feedback".into(), &25.into())
    );
    let table = made.replay(&["--lambda", "0.5"]);
    assert!(table.contains("wants a tier that had no chance"), "{table}");
    assert!(table.contains("feedback is given by whom it pleases"), "{table}");
}

#[test]
fn exports_of_several_pods_may_be_joined() {
    let made = Made::new();
    made.fill(&made.open(), 100);
    let one = made.export(&[]);
    std::fs::write(made.file("rows.jsonl"), format!("{one}{one}")).unwrap();
    assert_eq!(made.figures(&[])["scored_by_recorded_scores"], 200);
    let other = Digest::of(b"another model").to_string();
    let joined = one.replacen(&Digest::of(b"the model that decides").to_string(), &other, 1);
    std::fs::write(made.file("rows.jsonl"), joined).unwrap();
    assert_eq!(made.figures(&["--against", &other[..20]])["scored_by_recorded_scores"], 1);
}

#[test]
fn what_is_no_history_and_no_export_is_refused_with_what_to_do() {
    let made = Made::new();
    let (model, rows) = (made.file("candidate.safetensors"), made.file("rows.jsonl"));
    let export = |file: &Path| fails(&["export", "--history", text(file), "--out", text(&rows)]);
    assert!(export(&made.file("nowhere.db")).contains("nowhere.db"));
    let refused = export(&model);
    assert!(refused.contains("not a database; name the history.db"), "{refused}");
    assert!(!rows.exists(), "nothing was written");

    let replay = || fails(&["replay", "--model", text(&model), "--rows", text(&rows)]);
    std::fs::write(&rows, "{\"prompt\": \"x\"}\n").unwrap();
    assert!(replay().contains("write it with `tiny-dancer export`"));
    made.fill(&made.open(), 3);
    let sound = made.export(&[]);
    for (from, to, expected) in [
        ("\"propensity\":0.9", "\"propensity\":0.0", "line 2 of"),
        ("\"tier\":\"Lightweight\"", "\"tier\":\"Middle\"", "Middle"),
        ("rows/v1", "rows/v9", "tinydancer/history-rows/v1"),
    ] {
        assert!(sound.contains(from), "{sound}");
        std::fs::write(&rows, sound.replacen(from, to, 1)).unwrap();
        let refused = replay();
        assert!(refused.contains(expected), "{refused}");
    }
}
