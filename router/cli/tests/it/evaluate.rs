use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{data, fails, succeeds, text};

/// One embedding a row, as a safetensors file.
fn embeddings(directory: &Path, rows: usize) -> PathBuf {
    let header = format!(r#"{{"x":{{"dtype":"F32","shape":[{rows},2],"data_offsets":[0,{}]}}}}"#, rows * 8);
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.into_bytes());
    for row in 0..rows {
        let angle = row as f32;
        bytes.extend(angle.cos().to_le_bytes());
        bytes.extend(angle.sin().to_le_bytes());
    }
    let path = directory.join(format!("{rows}.safetensors"));
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn the_scoreboard_is_a_table_a_json_file_and_a_figure() {
    let directory = tempfile::tempdir().unwrap();
    let data = data(directory.path());
    let [json, svg] = ["b.json", "b.svg"].map(|name| directory.path().join(name));
    let shown = succeeds(&[
        "evaluate",
        "--data",
        text(&data),
        "--embeddings",
        text(&embeddings(directory.path(), 300)),
        "--seeds",
        "1,2",
        "--folds",
        "2",
        "--json",
        text(&json),
        "--svg",
        text(&svg),
    ]);
    assert!(shown.lines().all(|line| line.chars().count() <= 110), "{shown}");
    let board: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let routers: Vec<&str> = board["routers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|router| router["router"].as_str().unwrap())
        .collect();
    let expected = [
        "tiny dancer, text",
        "tiny dancer, text + tags",
        "n-gram regression",
        "kNN, k = 100",
        "five features, text",
        "five features, text + tags",
        "prompt length",
        "random",
        "oracle",
    ];
    assert_eq!(routers, expected);
    let figure = std::fs::read_to_string(&svg).unwrap();
    assert!(
        figure.starts_with("<svg") && figure.ends_with("</svg>\n") && figure.contains("prefers-color-scheme")
    );
    for router in expected {
        assert!(shown.contains(router) && figure.contains(router), "{router}");
    }
    let apgr = &board["routers"][0]["all"]["recovery"]["apgr"];
    assert_eq!(apgr["seeds"].as_array().unwrap().len(), 2);
    assert!(board["method"] == "out-of-fold" && apgr["low"].as_f64() <= apgr["high"].as_f64());
}

#[test]
fn topics_are_left_out_by_a_tag_that_rows_have() {
    let directory = tempfile::tempdir().unwrap();
    let data = data(directory.path());
    let flags = ["evaluate", "--data", text(&data), "--only", "--evidence", "ngram", "--folds", "2"];
    let shown = succeeds(&[&flags[..], &["--leave-out", "subject"]].concat());
    assert!(shown.contains("folds of whole values of subject"), "{shown}");
    let error = fails(&[&flags[..], &["--leave-out", "team"]].concat());
    assert!(error.contains("the tag team must have at least 2 values"), "{error}");
}

#[test]
fn embeddings_of_another_file_are_refused_and_rows_without_tags_are_measured_by_their_text() {
    let directory = tempfile::tempdir().unwrap();
    let tagged = std::fs::read_to_string(data(directory.path())).unwrap();
    let plain = directory.path().join("plain.jsonl");
    std::fs::write(&plain, tagged.replace(r#""task":"made","#, "").replace("subject", "ignored")).unwrap();
    let flags = ["evaluate", "--data", text(&plain), "--folds", "2"];
    let shown = succeeds(&flags);
    assert!(!shown.contains("tags") && shown.contains("kNN is left out"), "{shown}");
    let short = embeddings(directory.path(), 299);
    let error = fails(&[&flags[..], &["--embeddings", text(&short)]].concat());
    assert!(error.contains("holds 299, 300 is asked for"), "{error}");
}

#[test]
fn among_more_than_two_models_the_frontier_of_pairs_is_printed() {
    let directory = tempfile::tempdir().unwrap();
    let two = std::fs::read_to_string(data(directory.path())).unwrap();
    let three = directory.path().join("three.jsonl");
    std::fs::write(&three, two.replace(r#""q_powerful":1"#, r#""q_powerful":1,"q_other":{"third":0.9}"#))
        .unwrap();
    let flags = ["evaluate", "--data", text(&three), "--folds", "2", "--evidence", "ngram"];
    let shown = succeeds(&[&flags[..], &["--candidates", "cheap=1,third=5,powerful=20"]].concat());
    assert!(shown.contains("300 rows graded for all 3 candidates, 3 pairs"), "{shown}");
    let between = |pair: &str| shown.lines().any(|line| line.starts_with(pair));
    assert!(between("cheap and third") && between("third and powerful"), "{shown}");
    let error = fails(&[&flags[..], &["--candidates", "cheap,powerful=2"]].concat());
    assert!(error.contains("cheap=PRICE"), "{error}");
}
