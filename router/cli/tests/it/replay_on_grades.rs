//! A log on real graded prompts, of which both answers' qualities are known: what `tiny-dancer replay` says about another
//! model can be held against what it would really have been worth.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tinydancer_engine::{Features, Model, Tier as Routed};
use tinydancer_guards::Arm;
use tinydancer_history::{
    Decision, Feedback, FeedbackOutcome, FeedbackSource, History, IdempotencyKey, Options, Pair, Scored,
    Shadow, Tier,
};
use tinydancer_trainer::data::{Row, Selection, load};
use tinydancer_trainer::random::Random;

use crate::{model, succeeds, text};

const EXPLORED: f32 = 0.1;
/// Thousandths of the decisions that are audited.
const AUDITED: f64 = 100.0;
const STABLE_RISK: u16 = 50;
const CANDIDATE_RISK: &str = "100";

/// A router's history on these rows: one model decides, another looks on, everybody gives feedback.
fn log(file: &Path, rows: &[Row], stable: &Model, candidate: &Model) {
    let history = History::open(file, &Options::default()).unwrap().0;
    let mut random = Random::stream(3, 1);
    for (number, row) in rows.iter().enumerate() {
        let features = Features::extract(&row.prompt, row.tags());
        let (score, beside) = (stable.score(&features).unwrap(), candidate.score(&features).unwrap());
        let lambda = stable.metadata().calibration.lambda(STABLE_RISK);
        let explored = random.uniform() < f64::from(EXPLORED);
        let is_light = lambda.is_some_and(|lambda| score.score <= lambda) != explored;
        let tier = if is_light { Tier::Lightweight } else { Tier::Powerful };
        let propensity = if explored { EXPLORED } else { 1.0 - EXPLORED };
        let (id, at) = (format!("d-{number}"), 4_000_000_000);
        let digest = stable.digest().to_string();
        let decision = Decision {
            id: id.clone(),
            at,
            arm: Arm::Stable,
            digest: Some(digest.clone()),
            tier,
            upstream: None,
            score: Some(score.score),
            uncertainty: Some(score.uncertainty),
            good_enough: Some(score.good_enough),
            statistics: features.statistics().to_vec(),
            shadow: Some(Shadow {
                digest: candidate.digest().to_string(),
                score: Some(beside.score),
                uncertainty: Some(beside.uncertainty),
            }),
            propensity,
            explored,
        };
        assert!(history.record_decision(decision));
        let quality = if is_light { row.lightweight } else { row.powerful };
        let feedback = Feedback {
            decision_id: id.clone(),
            idempotency_key: IdempotencyKey::new(&id, ""),
            outcome: FeedbackOutcome::Good,
            score: Some(quality),
            source: FeedbackSource::Judge,
            at,
        };
        history.record_feedback(feedback, |stored| stored.unwrap());
        if random.uniform() * 1000.0 < AUDITED {
            let decided = Scored { digest, score: score.score, good_enough: score.good_enough, set: None };
            let (lightweight, powerful) = (row.lightweight as f32, row.powerful as f32);
            let pair =
                Pair { decision_id: id, at, decided, tier, propensity, lightweight, powerful, beside: None };
            assert!(history.record_pair(pair, Vec::new()));
        }
        if number.is_multiple_of(500) {
            history.flush().unwrap();
        }
    }
}

/// What the candidate would have been worth on all rows.
fn truth(rows: &[Row], candidate: &Model) -> f64 {
    let lambda = candidate.metadata().calibration.lambda(CANDIDATE_RISK.parse().unwrap());
    let quality = |row: &Row| {
        let score = candidate.score(&Features::extract(&row.prompt, row.tags())).unwrap();
        let tier = if lambda.is_some_and(|lambda| score.score <= lambda) {
            Routed::Lightweight
        } else {
            Routed::Powerful
        };
        if tier == Routed::Lightweight { row.lightweight } else { row.powerful }
    };
    rows.iter().map(quality).sum::<f64>() / rows.len() as f64
}

#[test]
fn estimates_are_near_what_a_model_is_worth_on_graded_prompts() {
    let Some(path) = std::env::var_os("TINYDANCER_ROUTING_DATA").map(PathBuf::from) else {
        println!("NOT RUN: set TINYDANCER_ROUTING_DATA to a folder with prompts.jsonl.zst");
        return;
    };
    let rows = load(&path, &Selection { splits: vec!["train".into(), "val".into()], ..Selection::default() })
        .unwrap()
        .rows;
    let folder = tempfile::tempdir().unwrap();
    let (history, out) = (folder.path().join("history.db"), folder.path().join("rows.jsonl"));
    let of = |name: &str| Model::from_bytes(&std::fs::read(model(name)).unwrap()).unwrap();
    let (stable, candidate) = (of("support-v1.safetensors"), of("support-v2.safetensors"));
    log(&history, &rows, &stable, &candidate);
    succeeds(&["export", "--history", text(&history), "--out", text(&out)]);

    let name = model("support-v2.safetensors");
    let replay =
        ["replay", "--model", &name, "--rows", text(&out), "--risk", CANDIDATE_RISK, "--reward", "feedback"];
    println!("{}", succeeds(&replay));
    let figures: Value = serde_json::from_str(&succeeds(&[&replay[..], &["--json", "-"]].concat())).unwrap();
    let truth = truth(&rows, &candidate);
    println!("the model is really worth {truth:.3} on the {} rows", rows.len());
    // Half as wide again as an interval, near three standard errors: models are remade, and one log in twenty is unlucky.
    let is_near = |estimate: &Value| {
        let of = |field: &str| estimate[field].as_f64().unwrap();
        (of("value") - truth).abs() < 1.5 * (of("high") - of("low")) / 2.0
    };
    let said = &figures["off_policy"]["estimates"];
    for estimate in [&said["ips"], &said["snips"], &said["dr"], &figures["audited"]["candidate"]] {
        assert!(is_near(estimate), "{estimate} for {truth}");
    }

    let statistics_only =
        ["replay", "--model", &model("support-v4.safetensors"), "--rows", text(&out), "--reward", "feedback"];
    println!("{}", succeeds(&statistics_only));
}
