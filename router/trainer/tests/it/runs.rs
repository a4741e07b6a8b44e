use std::path::PathBuf;

use tinydancer_engine::{Digest, Model};
use tinydancer_trainer::data::{self, Row, Selection};
use tinydancer_trainer::evaluate::{out_of_fold, with_model};
use tinydancer_trainer::fit::Recipe;
use tinydancer_trainer::progress::Progress;
use tinydancer_trainer::random::Random;
use tinydancer_trainer::report::Method;
use tinydancer_trainer::train::{Naming, train};

const EASY: [&str; 6] = ["greet", "thank", "spell", "name", "count", "repeat"];
const HARD: [&str; 6] = ["prove", "derive", "refute", "factor", "integrate", "optimise"];
const FILLING: [&str; 8] = ["the", "old", "river", "between", "two", "green", "towns", "again"];

/// Prompts made of nonsense in which the verb says how hard they are: Lightweight answers the easy ones right, Powerful
/// most of both.
fn rows(count: usize, seed: u64) -> Vec<Row> {
    let mut random = Random::stream(seed, 50);
    (0..count)
        .map(|_| {
            let hard = random.uniform() < 0.5;
            let verb = if hard { HARD } else { EASY }[random.below(6)];
            let filling: Vec<&str> = (0..3 + random.below(12)).map(|_| FILLING[random.below(8)]).collect();
            let right = |share: f64, random: &mut Random| f64::from(u8::from(random.uniform() < share));
            Row {
                task: "made".to_owned(),
                subject: verb.to_owned(),
                prompt: format!("Please {verb} {}.", filling.join(" ")),
                lightweight: right(if hard { 0.2 } else { 0.9 }, &mut random),
                powerful: right(0.9, &mut random),
            }
        })
        .collect()
}

fn recipe(tags: bool, threads: usize) -> Recipe {
    Recipe { tags, seed: 4, threads }
}

fn naming() -> Naming {
    Naming { name: "made".to_owned(), version: "1".to_owned(), parent: None }
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_any_number_of_threads_and_another_seed_does_not() {
    let rows = rows(400, 1);
    let bytes = |recipe| Digest::of(&train(&rows, recipe, naming(), &Progress::silent()).unwrap().0);
    let one = bytes(recipe(true, 1));
    assert_eq!(one, bytes(recipe(true, 3)));
    assert_ne!(one, bytes(Recipe { seed: 5, ..recipe(true, 1) }));
}

#[test]
fn what_can_be_learned_is_learned_and_the_artifact_says_the_same_in_sample() {
    let rows = rows(800, 2);
    let report = out_of_fold(&rows, recipe(false, 2), &Progress::silent()).unwrap();
    assert_eq!(report.method, Method::OutOfFold);
    assert!(report.routers[0].apgr.low > 0.62, "{:?}", report.routers[0]);
    assert!(report.gain_over_length.low > 0.05);
    let (bytes, _) = train(&rows, recipe(false, 2), naming(), &Progress::silent()).unwrap();
    let model = Model::from_bytes(&bytes).unwrap();
    assert_eq!(with_model(&rows, &model, false, 1).unwrap().method, Method::InSample);
    assert_eq!(with_model(&rows[1..], &model, false, 1).unwrap().method, Method::OtherRows);
}

/// Labels dealt out anew say nothing about prompts and tags: whatever is found above chance has leaked. A little below
/// chance is expected: what a fold has more of than its share, the other folds have less of.
#[test]
fn shuffled_labels_leave_nothing_to_find() {
    let mut rows = rows(600, 3);
    let mut outcomes: Vec<(f64, f64)> = rows.iter().map(|row| (row.lightweight, row.powerful)).collect();
    Random::stream(6, 6).shuffle(&mut outcomes);
    for (row, (lightweight, powerful)) in rows.iter_mut().zip(outcomes) {
        (row.lightweight, row.powerful) = (lightweight, powerful);
    }
    let report = out_of_fold(&rows, recipe(true, 2), &Progress::silent()).unwrap();
    let apgr = report.routers[0].apgr;
    assert!(apgr.low <= 0.5 && apgr.high >= 0.45, "{apgr:?}");
}

/// Half of the prompts are hard and sending all of them to Lightweight costs .35, so a threshold that promises nothing
/// would be seen.
#[test]
fn promises_are_kept_out_of_fold() {
    let report = out_of_fold(&rows(800, 7), recipe(true, 2), &Progress::silent()).unwrap();
    for promise in report.promises {
        let promised = f64::from(promise.permille) / 1000.0;
        assert!(promise.regret.value <= promised + 0.02, "{promise:?}");
    }
}

#[test]
fn on_the_routing_data_raw_text_beats_prompt_length() {
    let Some(path) = std::env::var_os("TINYDANCER_ROUTING_DATA").map(PathBuf::from) else {
        println!("NOT RUN: set TINYDANCER_ROUTING_DATA to a folder with prompts.jsonl.zst");
        return;
    };
    let rows = data::load(&path, &Selection::default()).unwrap();
    let report =
        out_of_fold(&rows, Recipe { tags: false, seed: 1, threads: 2 }, &Progress::silent()).unwrap();
    assert!(report.gain_over_length.value >= 0.05 && report.gain_over_length.low > 0.0, "{report:?}");
}
