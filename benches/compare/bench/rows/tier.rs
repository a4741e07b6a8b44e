//! The tier decision: the network alone on five pieces of evidence, a shipped model on features that were read, and from
//! raw text.

use std::fs;
use std::hint::black_box;
use std::path::Path;

use anyhow::{Context, Result};
use tinydancer_compare::inputs::{self, Numbers};
use tinydancer_compare::measure::Operation;
use tinydancer_engine::Model;
use tinydancer_engine::artifact::{PrototypeParts, ReadOutParts};
use tinydancer_engine::decision::DecisionRule;
use tinydancer_engine::evidence::{Evidence, EvidenceSource, Prototypes, ReadOut, Source};
use tinydancer_engine::fastgrnn::CellWeights;
use tinydancer_engine::features::{Features, STATISTICS};
use tinydancer_engine::network::{Network, NetworkWeights};
use tinydancer_engine::simd::Level;

use super::{Row, Rows, levels, matrix, quantiles, row};

/// Texts that take turns.
const TEXTS: usize = 256;
/// The most cells an artifact has.
const CELLS: usize = 64;
/// The model that is shipped for requests with tags.
const MODEL: &str = "general-tags.safetensors";
const TAGS: [(&str, &str); 2] = [("task", "question-answering"), ("subject", "mathematics")];
const RULE: DecisionRule = DecisionRule::Risk { permille: 50 };

pub(crate) fn add(all: &mut Rows) -> Result<()> {
    for level in levels() {
        all.add(&format!("tier/network-5-steps/{}", level.name()), |_| Ok(Row::of(network(level))))?;
    }
    all.add("tier/decision", |_| Ok(Row::of(decision(model()?))))?;
    all.add("tier/evidence-of-embedding", |_| Ok(Row::of(evidence_of_embedding())))?;
    let texts = inputs::texts(TEXTS);
    let (mut features, model) = (Features::default(), model()?);
    let [half, most] = quantiles(move |number| {
        features.extract_into(black_box(&texts[number % TEXTS]), TAGS);
        let score = model.score(&features);
        score.map(|score| model.decide(&score, &RULE))
    });
    all.add("tier/text-500/p50", |_| Ok(half))?;
    all.add("tier/text-500/p99", |_| Ok(most))
}

fn model() -> Result<Model> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models").join(MODEL);
    let bytes = fs::read(&path).with_context(|| format!("failed to read {}", path.display()))?;
    Ok(Model::from_bytes(&bytes)?)
}

/// Initial state, five steps and the heads.
fn network(level: Level) -> Operation {
    let mut numbers = Numbers::new(5);
    let network = Network::new(&weights(&mut numbers));
    let requests: Vec<([f32; STATISTICS], [Evidence; 5])> = (0..inputs::QUERIES)
        .map(|_| (row(&mut numbers, 1.0), [0; 5].map(|_| evidence(&mut numbers))))
        .collect();
    Operation::of(move |number| {
        let (statistics, evidence) = &requests[number % inputs::QUERIES];
        network.logits_at(level, black_box(statistics), black_box(evidence).iter().copied())
    })
}

/// Look-ups, network, calibration and the rule, on features that were read before.
fn decision(model: Model) -> Operation {
    let requests: Vec<Features> =
        inputs::texts(inputs::QUERIES).iter().map(|text| Features::extract(text, TAGS)).collect();
    Operation::of(move |number| {
        let score = model.score(black_box(&requests[number % inputs::QUERIES]));
        score.map(|score| model.decide(&score, &RULE))
    })
}

/// The nearest of 64 cells and the two linear scores of an embedding that came with the request.
fn evidence_of_embedding() -> Operation {
    let mut numbers = Numbers::new(6);
    let mut bytes = |count: usize| (0..count).map(|_| (100.0 * numbers.next_between(1.0)) as i8).collect();
    let (centres, weight) = (bytes(CELLS * inputs::DIMENSIONS), bytes(2 * inputs::DIMENSIONS));
    let cells = PrototypeParts {
        centres,
        scale: vec![0.01; CELLS],
        counts: vec![[40.0, 10.0, 25.0]; CELLS],
        overall: [0.1, 0.8],
        prior: 10.0,
    };
    let cells = Prototypes::new(&cells, inputs::DIMENSIONS);
    let linear = ReadOutParts { weight, scale: [0.01, 0.01], offset: [0.1, 0.4] };
    let linear = ReadOut::new(&linear, inputs::DIMENSIONS);
    let requests: Vec<Features> = (0..inputs::QUERIES)
        .map(|_| {
            let embedding: [f32; inputs::DIMENSIONS] = row(&mut numbers, 1.0);
            let mut features = Features::default();
            // It has a direction and is finite.
            let _ = features.set_embedding(&embedding);
            features
        })
        .collect();
    Operation::of(move |number| {
        let features = black_box(&requests[number % inputs::QUERIES]);
        (cells.evidence(features), linear.evidence(features))
    })
}

fn evidence(numbers: &mut Numbers) -> Evidence {
    let value = numbers.next_between(1.0);
    Evidence {
        source: Source::Tag,
        value,
        good_enough: numbers.next_share(),
        weight: 8.0 * numbers.next_share(),
    }
}

fn weights(numbers: &mut Numbers) -> NetworkWeights {
    NetworkWeights {
        statistics_mean: row(numbers, 1.0),
        statistics_std: [1.0; STATISTICS],
        h0_weight: matrix(numbers, 0.3),
        h0_bias: row(numbers, 0.3),
        cell: CellWeights {
            w: matrix(numbers, 0.5),
            u: matrix(numbers, 0.5),
            bias_gate: row(numbers, 1.0),
            bias_update: row(numbers, 1.0),
            zeta: 1.0,
            nu: -4.0,
        },
        head_weight: matrix(numbers, 0.7),
        head_bias: row(numbers, 0.5),
    }
}
