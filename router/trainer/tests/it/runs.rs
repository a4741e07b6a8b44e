use std::fs;

use tinydancer_engine::artifact::Precision;
use tinydancer_engine::{Digest, Features, Model};
use tinydancer_trainer::data::Row;
use tinydancer_trainer::fit::Recipe;
use tinydancer_trainer::progress::Progress;
use tinydancer_trainer::random::Random;
use tinydancer_trainer::train::{Naming, train};

const EASY: [&str; 6] = ["greet", "thank", "spell", "name", "count", "repeat"];
const HARD: [&str; 6] = ["prove", "derive", "refute", "factor", "integrate", "optimise"];
const FILLING: [&str; 8] = ["the", "old", "river", "between", "two", "green", "towns", "again"];

/// Prompts made of nonsense in which the verb says how hard they are: Lightweight answers the easy ones right, Powerful
/// most of both.
pub(crate) fn rows(count: usize, seed: u64) -> Vec<Row> {
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

pub(crate) fn recipe(tags: bool, threads: usize) -> Recipe {
    Recipe { tags, seed: 4, ngrams_kept: None, temperature: 1.0, threads }
}

pub(crate) fn naming() -> Naming {
    Naming { name: "made".to_owned(), version: "1".to_owned(), parent: None, precision: Precision::F32 }
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_any_number_of_threads_and_another_seed_does_not() {
    let rows = rows(400, 1);
    let bytes =
        |recipe| Digest::of(&train(&rows, None, recipe, naming(), None, &Progress::silent()).unwrap().0);
    let one = bytes(recipe(true, 1));
    assert_eq!(one, bytes(recipe(true, 3)));
    assert_ne!(one, bytes(Recipe { seed: 5, ..recipe(true, 1) }));
}

#[test]
fn a_run_that_was_stopped_goes_on_where_it_was_and_gives_the_same_bytes() {
    let rows = rows(300, 2);
    let directory = tempfile::tempdir().unwrap();
    let network = |name: usize| directory.path().join(format!("network-{name}.json"));
    let bytes =
        |resume| train(&rows, None, recipe(true, 2), naming(), resume, &Progress::silent()).unwrap().0;
    let whole = bytes(None);
    assert_eq!(bytes(Some(directory.path())), whole);
    // As a kill leaves it: some networks missing, one half written under its other name.
    for missing in [1, 4, 5] {
        fs::remove_file(network(missing)).unwrap();
    }
    fs::write(network(1).with_extension("unfinished"), "{").unwrap();
    let kept = fs::metadata(network(0)).unwrap().modified().unwrap();
    assert_eq!(bytes(Some(directory.path())), whole);
    assert_eq!(
        fs::metadata(network(0)).unwrap().modified().unwrap(),
        kept,
        "what was finished is not made again"
    );
    // Of another run nothing is taken.
    let other = Recipe { seed: 9, ..recipe(true, 2) };
    let train = |resume| train(&rows, None, other, naming(), resume, &Progress::silent()).unwrap().0;
    assert_eq!(train(Some(directory.path())), train(None));
}

#[test]
fn an_int8_model_is_smaller_and_says_nearly_the_same() {
    let rows = rows(300, 3);
    let model = |precision| {
        let naming = Naming { precision, ..naming() };
        let (bytes, _) = train(&rows, None, recipe(true, 2), naming, None, &Progress::silent()).unwrap();
        (bytes.len(), Model::from_bytes(&bytes).unwrap())
    };
    let ((whole, exact), (small, rounded)) = (model(Precision::F32), model(Precision::Int8));
    assert!(small < whole);
    for row in &rows[..50] {
        let features = Features::extract(&row.prompt, row.tags());
        let [one, other] = [&exact, &rounded].map(|model| model.score(&features).unwrap().score);
        assert!((one - other).abs() < 0.05, "{one} {other}");
    }
}
