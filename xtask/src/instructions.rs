//! Instructions of the operations on a request's path. They hardly vary between machines and not with what else runs, so a
//! change that makes one of them dearer is seen where times would hide it.
//!
//! valgrind counts a program that runs an operation a few times and one that runs it often; the difference is the
//! operation's, without anything that happens once. Vector code is counted at the level that runs everywhere.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::command;
use crate::step::Step;
use crate::tools;
use crate::workspace::Workspace;

/// What was committed to.
const BASELINE: &str = "benches/compare/instructions.json";
const OPERATIONS: [&str; 4] =
    ["tier/decision", "tier/text-500/p50", "decision/100/f32/portable", "candidate-network/100/f32/portable"];
/// Repetitions of the two runs; both go through all inputs a whole number of times.
const FEW: u64 = 256;
const MANY: u64 = 768;
/// An operation may take so many percent more.
const TOLERANCE: u64 = 5;

/// Counts, and compares with what was committed to or commits to it.
pub(crate) fn run(workspace: &Workspace, update: bool) -> Result<()> {
    let Some(valgrind) = tools::find("valgrind") else {
        println!("NOT RUN: instruction counts: valgrind is missing (Debian: apt-get install valgrind)");
        return Ok(());
    };
    if !is_comparable() {
        println!("NOT RUN: instruction counts: {BASELINE} was counted on x86-64 with AVX2");
        return Ok(());
    }
    let program = build(workspace)?;
    let mut counted = BTreeMap::new();
    for operation in OPERATIONS {
        let step = Step::start(format!("counting {operation}"));
        let [few, many] = [FEW, MANY].map(|times| count(workspace, &valgrind, &program, operation, times));
        counted.insert(operation.to_owned(), (many?.saturating_sub(few?)) / (MANY - FEW));
        step.done();
    }
    let path = workspace.root().join(BASELINE);
    if update {
        fs::write(&path, serde_json::to_string_pretty(&counted)? + "\n")
            .with_context(|| format!("failed to write {}", path.display()))?;
        println!("written: {BASELINE}");
        return Ok(());
    }
    let text = fs::read_to_string(&path).with_context(|| format!("failed to read {BASELINE}"))?;
    let baseline: BTreeMap<String, u64> =
        serde_json::from_str(&text).with_context(|| format!("failed to understand {BASELINE}"))?;
    let (lines, is_kept) = compared(&baseline, &counted);
    println!("{lines}");
    ensure!(
        is_kept,
        "an operation must not take over {TOLERANCE} % more instructions than {BASELINE} says; if it has to, write \
         the new counts with cargo xtask bench --instructions --update"
    );
    Ok(())
}

/// Whether a count here means what it meant where the baseline was made; valgrind knows no level beyond AVX2.
fn is_comparable() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

/// A line an operation, and whether all stay within what was committed to.
fn compared(baseline: &BTreeMap<String, u64>, counted: &BTreeMap<String, u64>) -> (String, bool) {
    let mut lines = Vec::new();
    let mut is_kept = true;
    for (operation, &now) in counted {
        let before = baseline.get(operation).copied();
        let is_within = before.is_some_and(|before| now * 100 <= before * (100 + TOLERANCE));
        is_kept &= is_within;
        let before = before.map_or_else(|| "nothing".to_owned(), |before| before.to_string());
        let word = if is_within { "within" } else { "MORE THAN" };
        lines.push(format!("{operation:<40} {now:>8} instructions, {word} {before} and {TOLERANCE} %"));
    }
    (lines.join("\n"), is_kept)
}

/// The bench's program, as cargo names it.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    let step = Step::start("building the operations");
    let mut cargo = workspace.cargo();
    cargo.args(["bench", "--no-run", "--locked", "--quiet", "--message-format", "json"]);
    cargo.args(["--package", "tinydancer-compare", "--bench", "compare"]);
    let messages = command::output(&mut cargo)?;
    step.done();
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "compare")
        .find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)))
        .context("cargo must name the program it has built")
}

/// Instructions of a program that runs an operation so many times.
fn count(workspace: &Workspace, valgrind: &Path, program: &Path, operation: &str, times: u64) -> Result<u64> {
    let output = Command::new(valgrind)
        .current_dir(workspace.root())
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["--rows", operation, "--repeat", &times.to_string()])
        .output()
        .context("failed to start valgrind")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "valgrind failed: {}", command::last_lines(&said, 5));
    said.lines()
        .find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok())
        .context("valgrind must say how many instructions it counted")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
        pairs.iter().map(|&(name, count)| (name.to_owned(), count)).collect()
    }

    #[test]
    fn five_percent_more_is_kept_and_more_than_that_is_named() {
        let baseline = counts(&[("a", 1_000), ("b", 1_000)]);
        assert!(compared(&baseline, &counts(&[("a", 1_050), ("b", 10)])).1);
        let (lines, is_kept) = compared(&baseline, &counts(&[("a", 1_051), ("b", 1_000)]));
        assert!(!is_kept);
        assert!(lines.lines().any(|line| line.starts_with("a ") && line.contains("MORE THAN 1000")));
    }

    #[test]
    fn an_operation_that_nobody_committed_to_is_not_kept() {
        assert!(!compared(&counts(&[]), &counts(&[("a", 1)])).1);
    }
}
