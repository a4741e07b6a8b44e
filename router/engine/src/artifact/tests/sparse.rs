//! N-gram tables of which a file holds only the bytes that are not 0.

use super::*;
use crate::features::NGRAM_BUCKETS;

/// One bucket in ten and one in a hundred, with the first and the last.
fn parts() -> ModelParts {
    let table = |every: usize| {
        let byte = |bucket: usize| if bucket.is_multiple_of(every) { (bucket % 255) as i8 } else { 0 };
        let mut table: Vec<i8> = (0..NGRAM_BUCKETS).map(byte).collect();
        (table[0], table[NGRAM_BUCKETS - 1]) = (-128, 127);
        table
    };
    let parts = testing::parts(7);
    let ngrams = parts.ngrams.map(|ngrams| NgramParts {
        lightweight: table(10),
        powerful: table(100),
        sparse: true,
        ..ngrams
    });
    ModelParts { ngrams, ..parts }
}

fn artifact(parts: &ModelParts) -> Vec<u8> {
    write(parts, &testing::metadata("1.0.0", 7), Precision::F32).expect("must write")
}

#[test]
fn a_sparse_table_is_read_as_it_was_and_scores_as_one_that_is_whole() {
    let parts = parts();
    assert_eq!(read(&artifact(&parts)).expect("must read").0, parts);
    let mut whole = parts.clone();
    whole.ngrams.as_mut().expect("must be there").sparse = false;
    let features = Features::extract("Which of these animals has how many legs, and why?", []);
    let logits =
        |parts: &ModelParts| Model::from_bytes(&artifact(parts)).expect("must load").logits(&features);
    assert_eq!(logits(&parts), logits(&whole));
    let saved = artifact(&whole).len() - artifact(&parts).len();
    assert!(saved > 2 * NGRAM_BUCKETS - 2 * NGRAM_BUCKETS / 8 - 2000, "{saved}");
}

#[test]
fn empty_tables_are_tables() {
    let mut parts = parts();
    let ngrams = parts.ngrams.as_mut().expect("must be there");
    (ngrams.lightweight, ngrams.powerful) = (vec![0; NGRAM_BUCKETS], vec![0; NGRAM_BUCKETS]);
    assert_eq!(read(&artifact(&parts)).expect("must read").0, parts);
}

#[test]
fn there_must_be_a_byte_for_each_place_and_places_for_both() {
    let mut one_more = File::of(&artifact(&parts()));
    one_more.tensors.get_mut("ngram.powerful.places").expect("must be there").2[0] |= 2;
    assert!(matches!(one_more.error(), LoadError::TensorShape { name: "ngram.powerful", .. }));
    for name in ["ngram.lightweight.places", "ngram.powerful.places", "ngram.lightweight", "ngram.powerful"] {
        let error = File::of(&artifact(&parts())).without_tensor(name).error();
        assert!(matches!(error, LoadError::TensorMissing { name: missing } if missing == name));
    }
    let mut typed = File::of(&artifact(&parts()));
    typed.tensors.get_mut("ngram.powerful.places").expect("must be there").0 = "I8".to_owned();
    assert!(matches!(typed.error(), LoadError::TensorDtype { name: "ngram.powerful.places", .. }));
}
