use tinydancer_engine::Digest;
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
    Recipe { tags, seed: 4, threads }
}

pub(crate) fn naming() -> Naming {
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
