//! What a decision costs while a second model is scored beside the serving one, against one without: the same requests,
//! one after the other, in one process, so that whatever else the machine does meets all of them.

mod pods;
mod quantiles;

use std::{collections::BTreeMap, fs, hint::black_box, path::Path, time::Instant};

use anyhow::{Context, Result};
use tinydancer_server::runtime::DecisionInput;

use crate::{
    pods::{Pod, models},
    quantiles::Quantiles,
};

/// Rounds that are measured; in each every pod decides once.
const ROUNDS: usize = 100_000;
/// Rounds before that.
const WARM_UP: usize = 5_000;
/// Rounds where it only matters that everything runs.
const SHORT: usize = 200;

fn main() -> Result<()> {
    let measures = std::env::args().any(|argument| argument == "--bench");
    let rounds = if measures { ROUNDS } else { SHORT };
    let prompts: Vec<String> = serde_json::from_str(
        &fs::read_to_string(models().join("everyday-prompts.json")).context("failed to read the prompts")?,
    )?;
    let folder = tempfile::tempdir()?;
    let pods = pods::all(folder.path())?;
    if measures {
        decide(&pods, &prompts, WARM_UP);
    }
    let times = decide(&pods, &prompts, rounds);
    println!("{rounds} decisions each, interleaved; microseconds (ratio to the first line)");
    let first = times.first().map(|times| Quantiles::of(times)).unwrap_or_default();
    for (pod, times) in pods.iter().zip(&times) {
        println!("{:<40} {}", pod.name, Quantiles::of(times).beside(first));
    }
    Ok(())
}

/// The nanoseconds that each decision took, by pod. Who goes first changes with every round.
fn decide(pods: &[Pod], prompts: &[String], rounds: usize) -> Vec<Vec<u64>> {
    let tags = BTreeMap::new();
    let mut times = vec![Vec::with_capacity(rounds); pods.len()];
    for (round, text) in prompts.iter().cycle().take(rounds).enumerate() {
        let key = round.to_string();
        for turn in 0..pods.len() {
            let index = (round + turn) % pods.len();
            let (Some(pod), Some(times)) = (pods.get(index), times.get_mut(index)) else { continue };
            let begin = Instant::now();
            let input =
                DecisionInput { text, tags: &tags, embedding: None, sticky_key: Some(key.as_bytes()) };
            black_box(pod.runtime.decide(black_box(&input)));
            times.push(u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX));
        }
    }
    times
}

/// A file of the checkout.
fn in_checkout(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}
