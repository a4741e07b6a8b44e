//! The peer's rows, on the inputs that ours are measured on: its public functions as its own benches call them, at the
//! defaults of its release profile.

use std::collections::HashMap;
use std::hint::black_box;
use std::io::{stdin, stdout};
use std::time::Duration;

use anyhow::{Context, Result};
use ruvector_tiny_dancer_core::circuit_breaker::CircuitBreaker;
use ruvector_tiny_dancer_core::feature_engineering::FeatureEngineer;
use ruvector_tiny_dancer_core::storage::Storage;
use ruvector_tiny_dancer_core::{Candidate, FastGRNN, Router, RoutingRequest, VERSION};
use simsimd::SpatialSimilarity;
use tinydancer_compare::inputs;
use tinydancer_compare::machine;
use tinydancer_compare::measure::{Operation, on_two_threads, thread_time};
use tinydancer_compare::worker::serve;

fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut rows = Vec::new();
    rows.push(("similarity".to_owned(), similarity()));
    rows.push(("inference".to_owned(), inference()?));
    for count in [10, 50, 100, 1000] {
        rows.push((format!("features/{count}"), features(count)));
        rows.push((format!("batch/{count}"), batch(count)?));
        rows.push((format!("decision/{count}"), decision(count)?));
        rows.push((format!("decision-without-clone/{count}"), decision_without_clone(count)?));
    }
    rows.push(("breaker/1".to_owned(), breaker()));
    rows.push(("breaker/2".to_owned(), breaker_on_two_threads()));
    rows.push(("history".to_owned(), history(folder.path())?));
    serve(VERSION, &mut rows, stdin().lock(), stdout().lock())
}

/// What its feature extraction calls for two embeddings.
fn similarity() -> Operation {
    let (queries, candidates) = (inputs::queries(), inputs::candidates(inputs::QUERIES));
    Operation::of(move |number| {
        let place = number % inputs::QUERIES;
        f32::cosine(black_box(&queries[place]), black_box(&candidates[place].embedding))
    })
}

fn inference() -> Result<Operation> {
    let model = FastGRNN::new(Default::default())?;
    let features = inputs::features(inputs::QUERIES);
    Ok(Operation::of(move |number| model.forward(black_box(&features[number % inputs::QUERIES]), None)))
}

fn batch(count: usize) -> Result<Operation> {
    let model = FastGRNN::new(Default::default())?;
    let features: Vec<Vec<f32>> = inputs::features(count).iter().map(|row| row.to_vec()).collect();
    Ok(Operation::of(move |_| model.forward_batch(black_box(&features))))
}

fn features(count: usize) -> Operation {
    let engineer = FeatureEngineer::new();
    let (queries, candidates) = (inputs::queries(), candidates(count));
    Operation::of(move |number| {
        engineer.extract_batch_features(
            black_box(&queries[number % inputs::QUERIES]),
            black_box(&candidates),
            None,
        )
    })
}

/// As its own bench does: the request is taken by value, so each call clones it.
fn decision(count: usize) -> Result<Operation> {
    let router = Router::default()?;
    let queries = inputs::queries();
    let mut request = request(count);
    Ok(Operation::of(move |number| {
        request.query_embedding.copy_from_slice(&queries[number % inputs::QUERIES]);
        router.route(black_box(&request).clone())
    }))
}

/// Without the clone, which takes a clock of its own around each call.
fn decision_without_clone(count: usize) -> Result<Operation> {
    let router = Router::default()?;
    let queries = inputs::queries();
    let mut request = request(count);
    Ok(Operation::new(move |repetitions| {
        let mut took = Duration::ZERO;
        for number in 0..repetitions as usize {
            request.query_embedding.copy_from_slice(&queries[number % inputs::QUERIES]);
            let request = request.clone();
            let begin = thread_time();
            let answer = black_box(router.route(black_box(request)));
            took += thread_time().saturating_sub(begin);
            drop(answer);
        }
        took
    }))
}

fn breaker() -> Operation {
    let breaker = CircuitBreaker::new(5);
    Operation::of(move |_| black_box(&breaker).is_closed())
}

fn breaker_on_two_threads() -> Operation {
    let breaker = CircuitBreaker::new(5);
    Operation::new(move |count| {
        on_two_threads(machine::BOTH_CORES, count, || {
            black_box(black_box(&breaker).is_closed());
        })
    })
}

/// A row of its history without an embedding, in the mode it opens its file with (WAL, NORMAL).
fn history(folder: &std::path::Path) -> Result<Operation> {
    let storage = Storage::new(folder.join("peer.db")).context("failed to open the peer's storage")?;
    let candidate = candidates(1).pop().context("there must be a candidate")?;
    storage.insert_candidate(&candidate)?;
    Ok(Operation::of(move |_| storage.record_routing(&candidate.id, &[], 0.9, true, 0.1, 10)))
}

fn request(count: usize) -> RoutingRequest {
    let query_embedding = vec![0.0; inputs::DIMENSIONS];
    RoutingRequest { query_embedding, candidates: candidates(count), metadata: None }
}

fn candidates(count: usize) -> Vec<Candidate> {
    let now = chrono::Utc::now().timestamp();
    inputs::candidates(count)
        .into_iter()
        .map(|candidate| Candidate {
            id: candidate.id,
            embedding: candidate.embedding,
            metadata: HashMap::new(),
            created_at: now - i64::from(candidate.age_seconds),
            access_count: u64::from(candidate.calls),
            success_rate: candidate.success,
        })
        .collect()
}
