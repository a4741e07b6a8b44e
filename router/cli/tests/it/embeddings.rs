//! Models that read embeddings, from a token table that the test writes.

use std::path::{Path, PathBuf};

use crate::{data, fails, succeeds, text};

/// A folder with a token table: two numbers for each of these words.
fn table(folder: PathBuf, words: &[(&str, [f32; 2])]) -> PathBuf {
    let numbers: Vec<u8> =
        words.iter().flat_map(|(_, numbers)| *numbers).flat_map(f32::to_le_bytes).collect();
    let header = format!(
        r#"{{"rows":{{"dtype":"F32","shape":[{},2],"data_offsets":[0,{}]}}}}"#,
        words.len(),
        numbers.len()
    );
    let file = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &numbers].concat();
    let vocabulary: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("model.safetensors"), file).unwrap();
    std::fs::write(folder.join("vocab.txt"), vocabulary.join("\n")).unwrap();
    folder
}

const WORDS: [(&str, [f32; 2]); 3] = [("derive", [1.0, 0.2]), ("greet", [-1.0, 0.2]), ("number", [0.0, 0.1])];

fn train(data: &Path, out: &Path, more: &[&str]) -> Vec<String> {
    let flags = ["train", "--data", text(data), "--name", "made", "--version", "1", "--out", text(out)];
    flags.iter().chain(more).map(|flag| (*flag).to_owned()).collect()
}

#[test]
fn a_model_that_reads_a_token_table_is_trained_inspected_and_evaluated_with_that_table_only() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (data(folder.path()), folder.path().join("m.safetensors"));
    let mine = table(folder.path().join("mine"), &WORDS);
    let other = table(folder.path().join("other"), &WORDS[..2]);
    let arguments = train(&data, &out, &["--evidence", "ngram,embedding", "--token-table", text(&mine)]);
    succeeds(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let about = succeeds(&["inspect", text(&out)]);
    assert!(
        about.contains("prototypes of token-table/sha256:") && about.contains("a linear read-out"),
        "{about}"
    );
    let evaluate = |table: &Path| {
        let flags = ["evaluate", "--only", "--data", text(&data), "--model", text(&out), "--token-table"];
        [&flags[..], &[text(table)]].concat().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let board = succeeds(&evaluate(&mine).iter().map(String::as_str).collect::<Vec<_>>());
    assert!(board.contains("made, text + tags + embedding"), "{board}");
    let refused = fails(&evaluate(&other).iter().map(String::as_str).collect::<Vec<_>>());
    assert!(refused.contains("the model reads embeddings of token-table/sha256:"), "{refused}");
    assert!(refused.contains("withhold them with --evidence ngram"), "{refused}");
}

#[test]
fn embeddings_and_the_evidence_of_that_name_are_given_together_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (data(folder.path()), folder.path().join("m.safetensors"));
    let mine = table(folder.path().join("mine"), &WORDS);
    let run = |more: &[&str]| fails(&train(&data, &out, more).iter().map(String::as_str).collect::<Vec<_>>());
    assert!(run(&["--evidence", "ngram,embedding"]).contains("--embeddings FILE or --token-table DIR"));
    assert!(run(&["--token-table", text(&mine)]).contains("--evidence must contain embedding"));
    let missing = run(&["--evidence", "ngram,embedding", "--token-table", text(folder.path())]);
    assert!(missing.contains("vocab.txt"), "{missing}");
}
