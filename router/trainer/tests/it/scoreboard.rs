use std::path::PathBuf;

use serde::Deserialize;
use tinydancer_engine::Model;
use tinydancer_trainer::data::{self, Row, Selection};
use tinydancer_trainer::progress::Progress;
use tinydancer_trainer::random::Random;
use tinydancer_trainer::scoreboard::{
    Figure, Method, Partition, RouterFigures, Scoreboard, ScoreboardError, Section, Settings, Subject, View,
    scoreboard,
};
use tinydancer_trainer::train::train;

use crate::runs::{naming, recipe, rows};

const TEXT: View = View { tags: false, embedding: false };

pub(crate) fn settings() -> Settings {
    Settings {
        seeds: vec![4],
        folds: 3,
        partition: Partition::Random,
        price_ratio: 100.0,
        baselines: false,
        threads: 2,
    }
}

fn trained(rows: &[Row], views: &[bool], settings: &Settings) -> Scoreboard {
    let views: Vec<View> = views.iter().map(|tags| View { tags: *tags, embedding: false }).collect();
    scoreboard(rows, None, Subject::Trained { views: &views }, settings, &Progress::silent()).unwrap()
}

fn apgr(router: &RouterFigures) -> &Figure {
    &router.all.recovery.as_ref().unwrap().apgr
}

fn find<'a>(board: &'a Scoreboard, name: &str) -> &'a RouterFigures {
    board.routers.iter().find(|router| router.router.starts_with(name)).unwrap()
}

#[test]
fn what_can_be_learned_is_learned_beside_every_baseline() {
    let rows = rows(800, 2);
    let board = trained(&rows, &[false], &Settings { baselines: true, ..settings() });
    assert_eq!((board.rows, &board.method), (800, &Method::OutOfFold));
    let [network, ..] = &board.routers[..] else { panic!("no routers") };
    assert!(apgr(network).low > 0.62, "{:?}", apgr(network));
    let above = |name: &str| &network.above.iter().find(|gain| gain.over.starts_with(name)).unwrap().apgr;
    assert!(above("prompt length").low > 0.05 && above("random").low > 0.05);
    let names: Vec<&str> = board.routers[1..].iter().map(|router| router.router.as_str()).collect();
    assert_eq!(names, ["n-gram regression", "five features, text", "prompt length", "random", "oracle"]);
    assert!(apgr(find(&board, "n-gram")).low > 0.62, "the verb is in the n-grams");
    assert!((0.4..0.6).contains(&apgr(find(&board, "random")).value));
    assert!(apgr(find(&board, "oracle")).low > apgr(network).high);
    assert_eq!(network.tasks.keys().collect::<Vec<_>>(), ["made"]);
    assert!(network.curve.len() == 101 && (network.curve[0] - board.always_lightweight).abs() < 1e-9);
}

#[test]
fn an_artifact_that_was_trained_on_the_rows_is_named_so() {
    let rows = rows(400, 2);
    let (bytes, _) = train(&rows, None, recipe(false, 2), naming(), None, &Progress::silent()).unwrap();
    let model = Model::from_bytes(&bytes).unwrap();
    let subject = Subject::Artifact { model: &model, view: TEXT };
    let name = |rows: &[Row]| {
        let board = scoreboard(rows, None, subject, &settings(), &Progress::silent()).unwrap();
        board.routers[0].router.clone()
    };
    assert_eq!(name(&rows), "made, text, IN-SAMPLE");
    assert_eq!(name(&rows[1..]), "made, text");
}

/// Labels dealt out anew say nothing about prompts and tags: whatever is found above chance has leaked. A little below
/// chance is expected: what a fold has more of than its share, the other folds have less of. By chance alone, an APGR
/// over so many rows strays by .02 (one standard deviation).
#[test]
fn shuffled_labels_leave_nothing_to_find() {
    let mut rows = rows(600, 3);
    let mut outcomes: Vec<(f64, f64)> = rows.iter().map(|row| (row.lightweight, row.powerful)).collect();
    Random::stream(6, 6).shuffle(&mut outcomes);
    for (row, (lightweight, powerful)) in rows.iter_mut().zip(outcomes) {
        (row.lightweight, row.powerful) = (lightweight, powerful);
    }
    let board = trained(&rows, &[true], &Settings { baselines: true, ..settings() });
    for router in &board.routers[..board.routers.len() - 1] {
        let apgr = apgr(router);
        assert!((0.4..0.56).contains(&apgr.value), "{}: {apgr:?}", router.router);
    }
}

/// Half of the prompts are hard and sending all of them to Lightweight costs .35, so a threshold that promises nothing
/// would be seen.
#[test]
fn promises_are_kept_out_of_fold() {
    let board = trained(&rows(1500, 7), &[true], &settings());
    let promises = &board.routers[0].all.promises;
    assert_eq!(promises.len(), 4);
    for promise in promises {
        let promised = f64::from(promise.permille) / 1000.0;
        assert!(promise.regret.value <= promised + 0.02, "{promise:?}");
        assert!(promise.regret_bound > promise.regret.value);
    }
}

#[test]
fn topics_that_are_left_out_are_known_to_nobody_who_is_asked_about_them() {
    let rows = rows(600, 9);
    let partition = Partition::LeaveOut("subject".to_owned());
    let board = trained(&rows, &[true], &Settings { partition, ..settings() });
    let left_out = board.routers[0].left_out.as_ref().unwrap();
    assert_eq!(left_out.folds.len(), 3);
    assert_eq!(left_out.folds.iter().map(|fold| fold.figures.rows).sum::<usize>(), 600);
    assert!(left_out.worst >= left_out.mean);
    // The subject says everything here; out of topic little can be known.
    let within = trained(&rows, &[true], &settings());
    assert!(apgr(&board.routers[0]).value < apgr(&within.routers[0]).value - 0.05);
}

#[test]
fn rows_without_tags_and_rows_without_a_gap_are_told_apart() {
    let mut rows = rows(200, 5);
    for row in &mut rows {
        (row.task, row.subject) = (String::new(), String::new());
    }
    let board = trained(&rows, &[false], &settings());
    assert!(board.routers[0].tasks.is_empty());
    for row in &mut rows {
        row.powerful = row.lightweight;
    }
    let subject = Subject::Trained { views: &[TEXT] };
    let nothing = scoreboard(&rows, None, subject, &settings(), &Progress::silent());
    assert!(matches!(nothing, Err(ScoreboardError::NoGap)));
}

/// The floors of the regression gate: what was measured with these folds and this seed, less a margin.
#[derive(Deserialize)]
struct Floors {
    folds: usize,
    seed: u64,
    /// How much worse than measured is let through.
    margin: Values,
    text: Values,
    text_and_tags: Values,
}

#[derive(Deserialize)]
struct Values {
    apgr: f64,
    saving95: f64,
    /// At most.
    ece: f64,
    /// At most, for a promise of 50 thousandths.
    regret_bound: f64,
    /// At least, for the same promise.
    lightweight: f64,
    /// Of both labels: within so much of .9.
    coverage_error: f64,
}

impl Values {
    fn measured(section: &Section) -> Self {
        let recovery = section.recovery.as_ref().unwrap();
        let promise = section.promises.iter().find(|promise| promise.permille == 50).unwrap();
        let coverage = section.coverage.as_ref().unwrap();
        let errors =
            [&coverage.good_enough, &coverage.not_good_enough].map(|share| (share.value - 0.9).abs());
        Self {
            apgr: recovery.apgr.value,
            saving95: recovery.saving95.value,
            ece: section.calibration.as_ref().unwrap().ece.value,
            regret_bound: promise.regret_bound,
            lightweight: promise.lightweight.value,
            coverage_error: errors[0].max(errors[1]),
        }
    }

    /// What is worse than `expected` by more than the margin.
    fn failures(&self, expected: &Self, margin: &Self) -> Vec<String> {
        let at_least = [
            ("apgr", self.apgr, expected.apgr - margin.apgr),
            ("saving95", self.saving95, expected.saving95 - margin.saving95),
            ("lightweight", self.lightweight, expected.lightweight - margin.lightweight),
        ];
        let at_most = [
            ("ece", self.ece, expected.ece + margin.ece),
            ("regret_bound", self.regret_bound, expected.regret_bound + margin.regret_bound),
            ("coverage_error", self.coverage_error, expected.coverage_error + margin.coverage_error),
        ];
        let below = at_least.into_iter().filter(|(_, value, floor)| value < floor);
        let above = at_most.into_iter().filter(|(_, value, ceiling)| value > ceiling);
        let line = |(name, value, limit): (&str, f64, f64)| format!("{name} {value:.4}, limit {limit:.4}");
        below.chain(above).map(line).collect()
    }
}

/// Where the graded answers are; without them it says that the test was not run.
pub(crate) fn routing_data() -> Option<PathBuf> {
    let path = std::env::var_os("TINYDANCER_ROUTING_DATA").map(PathBuf::from);
    if path.is_none() {
        println!("NOT RUN: set TINYDANCER_ROUTING_DATA to a folder with prompts.jsonl.zst");
    }
    path
}

#[test]
fn on_the_routing_data_no_figure_falls_below_its_floor() {
    let Some(path) = routing_data() else { return };
    let floors: Floors = serde_json::from_str(include_str!("scoreboard-floors.json")).unwrap();
    let rows = data::load(&path, &Selection::default()).unwrap().rows;
    let settings = Settings { seeds: vec![floors.seed], folds: floors.folds, ..settings() };
    let board = trained(&rows, &[false, true], &settings);
    for (router, expected) in board.routers.iter().zip([&floors.text, &floors.text_and_tags]) {
        let failures = Values::measured(&router.all).failures(expected, &floors.margin);
        assert!(failures.is_empty(), "{}: {failures:?}", router.router);
    }
}
