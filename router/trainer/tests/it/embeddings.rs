//! Models that read embeddings. The one way to tell hard prompts from easy ones here is their embedding.

use std::io::Write;

use tinydancer_engine::artifact::MOST_BYTES;
use tinydancer_engine::token_table::TokenTable;
use tinydancer_engine::{Features, Model};
use tinydancer_trainer::data::Row;
use tinydancer_trainer::embeddings::Embeddings;
use tinydancer_trainer::progress::Progress;
use tinydancer_trainer::random::Random;
use tinydancer_trainer::scoreboard::{Figure, Settings, Subject, View, scoreboard};
use tinydancer_trainer::train::train;

use crate::runs::{naming, recipe};
use crate::scoreboard::settings;

const DIMENSIONS: usize = 12;
const EMBEDDED: View = View { tags: false, embedding: true };
const TEXT: View = View { tags: false, embedding: false };

/// Prompts of words that say nothing; whether one is hard lies in the direction of its embedding.
fn rows(count: usize, seed: u64) -> (Vec<Row>, Vec<[f32; DIMENSIONS]>) {
    let mut random = Random::stream(seed, 60);
    (0..count)
        .map(|_| {
            let hard = random.uniform() < 0.5;
            let mut embedding: [f32; DIMENSIONS] = std::array::from_fn(|_| random.normal() as f32);
            embedding[0] += if hard { 3.0 } else { -3.0 };
            let words: Vec<String> = (0..8).map(|_| format!("w{}", random.below(30))).collect();
            let right = |share: f64, random: &mut Random| f64::from(u8::from(random.uniform() < share));
            let row = Row {
                task: String::new(),
                subject: String::new(),
                prompt: words.join(" "),
                lightweight: right(if hard { 0.2 } else { 0.9 }, &mut random),
                powerful: right(0.9, &mut random),
            };
            (row, embedding)
        })
        .unzip()
}

/// A safetensors file with one matrix.
fn file(rows: &[[f32; DIMENSIONS]]) -> tempfile::NamedTempFile {
    let header = format!(
        r#"{{"made":{{"dtype":"F32","shape":[{},{DIMENSIONS}],"data_offsets":[0,{}]}}}}"#,
        rows.len(),
        rows.len() * DIMENSIONS * 4
    );
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    let numbers: Vec<u8> = rows.iter().flatten().flat_map(|number| number.to_le_bytes()).collect();
    file.write_all(&numbers).unwrap();
    file
}

fn embeddings(rows: &[[f32; DIMENSIONS]]) -> Embeddings {
    let lines: Vec<usize> = (0..rows.len()).collect();
    Embeddings::load(file(rows).path(), &lines, None).unwrap()
}

fn apgr(rows: &[Row], embeddings: &Embeddings, view: View) -> Figure {
    let settings = Settings { folds: 2, ..settings() };
    let subject = Subject::Trained { views: &[view] };
    let board = scoreboard(rows, Some(embeddings), subject, &settings, &Progress::silent()).unwrap();
    board.routers[0].all.recovery.as_ref().unwrap().apgr.clone()
}

#[test]
fn what_only_the_embedding_says_is_learned_from_it() {
    let (rows, numbers) = rows(600, 1);
    let embeddings = embeddings(&numbers);
    let (with, without) = (apgr(&rows, &embeddings, EMBEDDED), apgr(&rows, &embeddings, TEXT));
    assert!(with.low > 0.62, "{with:?}");
    assert!(without.high < with.low, "{without:?}");
}

/// As for tags: labels dealt out anew say nothing about embeddings, and whatever is found above chance has leaked.
#[test]
fn shuffled_labels_leave_nothing_to_find_in_embeddings() {
    let (mut rows, numbers) = rows(600, 3);
    let mut outcomes: Vec<(f64, f64)> = rows.iter().map(|row| (row.lightweight, row.powerful)).collect();
    Random::stream(6, 6).shuffle(&mut outcomes);
    for (row, (lightweight, powerful)) in rows.iter_mut().zip(outcomes) {
        (row.lightweight, row.powerful) = (lightweight, powerful);
    }
    let found = apgr(&rows, &embeddings(&numbers), EMBEDDED);
    assert!((0.4..0.56).contains(&found.value), "{found:?}");
}

#[test]
fn a_model_answers_with_an_embedding_and_without_one_and_calls_a_strange_one_novel() {
    let (rows, numbers) = rows(400, 5);
    let embeddings = embeddings(&numbers);
    let run = |threads| {
        train(&rows, Some(&embeddings), recipe(false, threads), naming(), None, &Progress::silent())
            .unwrap()
            .0
    };
    let bytes = run(1);
    assert_eq!(bytes, run(2), "the same seed gives the same bytes on any number of threads");
    assert!(bytes.len() < MOST_BYTES);
    let model = Model::from_bytes(&bytes).unwrap();
    let space = model.embedding_space().unwrap();
    assert_eq!((space.name.as_str(), space.dimensions), ("made", DIMENSIONS));
    let score = |embedding: Option<&[f32]>| {
        let mut features = Features::extract("w1 w2 w3 w4 w5", []);
        if let Some(embedding) = embedding {
            features.set_embedding(embedding).unwrap();
        }
        model.score(&features).unwrap()
    };
    let mut direction = [0.0; DIMENSIONS];
    direction[0] = 1.0;
    let hard = score(Some(&direction));
    direction[0] = -1.0;
    let (easy, unknown) = (score(Some(&direction)), score(None));
    assert!(easy.score + 0.2 < unknown.score && unknown.score + 0.2 < hard.score);
    let novel = numbers.iter().filter(|embedding| score(Some(&embedding[..])).novel).count() as f64
        / numbers.len() as f64;
    assert!(novel < 0.06, "{novel}: rows of its own are rarely far away");
    assert!((-1.0..1.0).contains(&space.least_similarity) && space.least_similarity > -1.0);
    direction = std::array::from_fn(|axis| if axis == 0 { 0.0 } else { -1.0 });
    let strange = (1..DIMENSIONS).any(|axis| {
        let mut away = direction;
        away[axis] = 9.0;
        score(Some(&away)).novel
    });
    assert!(strange, "what lies across every cell is new");
}

#[test]
fn embeddings_of_a_token_table_carry_its_name_into_the_model() {
    let numbers: Vec<[f32; DIMENSIONS]> = {
        let mut random = Random::stream(2, 61);
        (0..30).map(|_| std::array::from_fn(|_| random.normal() as f32)).collect()
    };
    let words: Vec<String> = (0..30).map(|word| format!("w{word}")).collect();
    let table = TokenTable::new(&std::fs::read(file(&numbers).path()).unwrap(), &words.join("\n")).unwrap();
    let (mut rows, _) = rows(200, 7);
    rows[0].prompt = "unheard of".to_owned();
    let embeddings = Embeddings::of_tokens(&table, &rows);
    assert_eq!((embeddings.known(0), embeddings.known(1).map(<[f32]>::len)), (None, Some(DIMENSIONS)));
    let (bytes, _) =
        train(&rows, Some(&embeddings), recipe(false, 2), naming(), None, &Progress::silent()).unwrap();
    assert_eq!(Model::from_bytes(&bytes).unwrap().embedding_space().unwrap().name, table.name());
}
