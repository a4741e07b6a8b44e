//! The command line as people run it.

#![allow(clippy::unwrap_used, reason = "what a test cannot read is a failed test")]

mod embeddings;
mod evaluate;
mod replay;
mod replay_on_grades;
mod simulate;
mod train;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tinydancer_engine::Digest;
use tinydancer_engine::artifact::signature::PublicKey;

fn tiny_dancer(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tiny-dancer")).args(arguments).output().unwrap()
}

fn succeeds(arguments: &[&str]) -> String {
    let output = tiny_dancer(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn fails(arguments: &[&str]) -> String {
    let output = tiny_dancer(arguments);
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn model(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models").join(name).display().to_string()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Nonsense in which the first word decides how hard a prompt is.
fn data(directory: &Path) -> PathBuf {
    let row = |index: u32| {
        let hard = (index * 7 + index / 3) % 2;
        let verb = if hard == 1 { "derive" } else { "greet" };
        let right = u32::from(hard == 0 || index.is_multiple_of(5));
        format!(
            r#"{{"task":"made","subject":"{verb}","prompt":"Please {verb} number {index}.","q_cheap":{right},"q_powerful":1}}"#
        ) + "\n"
    };
    let path = directory.join("rows.jsonl");
    std::fs::write(&path, (0..300).map(row).collect::<String>()).unwrap();
    path
}

#[test]
fn a_model_is_trained_inspected_signed_and_evaluated() {
    let directory = tempfile::tempdir().unwrap();
    let (data, out) = (data(directory.path()), directory.path().join("m.safetensors"));
    let train = |version, out: &Path, more: &[&str]| {
        let flags =
            ["train", "--data", text(&data), "--name", "made", "--version", version, "--out", text(out)];
        succeeds(&[&flags[..], more].concat())
    };
    train("1.0.0", &out, &[]);
    let digest = Digest::of(&std::fs::read(&out).unwrap()).to_string();
    let child = directory.path().join("n.safetensors");
    train("1.1.0", &child, &["--evidence", "ngram,tags", "--parent", text(&out)]);
    let shown = succeeds(&["inspect", text(&child)]);
    assert!(shown.contains(&digest) && shown.contains("n-grams, 3 tags"), "{shown}");

    let report = succeeds(&["evaluate", "--data", text(&data), "--model", text(&out)]);
    assert!(report.contains("IN-SAMPLE") && report.contains("prompt length"), "{report}");
}

#[test]
fn a_signature_verifies_with_the_public_key_written_beside_the_private_one() {
    let directory = tempfile::tempdir().unwrap();
    let (key, v1) = (directory.path().join("release.pem"), model("support-v1.safetensors"));
    succeeds(&["keygen", "--out", text(&key)]);
    let output = succeeds(&["sign", "--key", text(&key), &v1, "--version", "1.4.0"]);
    let field = |name: &str| output.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
    let public = std::fs::read_to_string(directory.path().join("release.pub")).unwrap();
    let digest = Digest::of(&std::fs::read(&v1).unwrap());
    assert_eq!(field("digest: "), digest.to_string());
    let public = PublicKey::parse(&public).unwrap();
    assert_eq!(public.verify(&digest, "1.4.0", field("ed25519: ")), Ok(()));
    assert!(public.verify(&digest, "1.4.1", field("ed25519: ")).is_err());
}

#[test]
fn keys_are_private_and_never_overwritten() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("release.pem");
    succeeds(&["keygen", "--out", text(&key)]);
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let before = std::fs::read(&key).unwrap();
    assert!(fails(&["keygen", "--out", text(&key)]).contains("release.pem"));
    assert_eq!(std::fs::read(&key).unwrap(), before);
}

#[test]
fn what_does_not_load_is_not_signed() {
    let directory = tempfile::tempdir().unwrap();
    let (key, broken) = (directory.path().join("release.pem"), directory.path().join("broken"));
    succeeds(&["keygen", "--out", text(&key)]);
    std::fs::write(&broken, b"no model").unwrap();
    assert!(
        fails(&["sign", "--key", text(&key), text(&broken), "--version", "1"]).contains("failed to load")
    );
    let other = fails(&["sign", "--key", text(&key), &model("support-v1.safetensors"), "--version", "9.9.9"]);
    assert!(other.contains("1.4.0"), "{other}");
}

#[test]
fn a_bucket_is_that_of_the_guards() {
    let digest = Digest::of(b"candidate").to_string();
    let bucket = tinydancer_guards::bucket(&digest, b"user-17").get();
    let output = succeeds(&["bucket", "user-17", "--model", &digest]);
    assert!(output.contains(&format!("bucket         {bucket} of 10000")), "{output}");
    assert!(fails(&["bucket", "user-17", "--model", "support-v1"]).contains("sha256"));
}

#[test]
fn distort_says_that_its_models_are_broken() {
    assert!(succeeds(&["distort", "--help"]).contains("BROKEN ON PURPOSE"));
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("v3.safetensors");
    succeeds(&[
        "distort",
        "overconfident",
        &model("support-v2.safetensors"),
        text(&out),
        "--version",
        "2.1.0",
    ]);
    assert!(succeeds(&["inspect", text(&out)]).contains("version        2.1.0"));
}
