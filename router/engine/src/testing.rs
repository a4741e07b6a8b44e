//! Artifacts for tests.
//!
//! The weights are pseudo-random numbers and mean nothing. They have the right shapes, load, and
//! answer the same everywhere; they are never shipped and never measured for quality.

use std::collections::BTreeMap;

use crate::artifact::{
    self, EmbeddingParts, MetadataParts, ModelParts, NgramParts, NoveltyParts, Precision, Probe,
    PrototypeParts, ReadOutParts, TagParts, WriteError,
};
use crate::calibration::{
    Calibration, ConformalSets, EscalationShare, HeadCalibration, Reference, RiskThreshold, SCORE_BINS,
};
use crate::candidate::network::{CandidateWeights, INPUTS};
use crate::digest::Digest;
use crate::embedding::EmbeddingSpace;
use crate::fastgrnn::CellWeights;
use crate::features::{NGRAM_BUCKETS, tag_bucket};
use crate::network::NetworkWeights;
use crate::novelty::{FILTER_BYTES, NoveltyLimit, WordFilter};

/// A tag that the models of [`parts`] have counted.
pub const KNOWN_TAG: (&str, &str) = ("task", "algebra");

/// An artifact that loads; another seed gives another digest.
///
/// # Errors
/// Never in practice; the writer's error is handed on.
pub fn artifact(version: &str, seed: u64) -> Result<Vec<u8>, WriteError> {
    artifact::write(&parts(seed), &metadata(version, seed), Precision::F32)
}

/// Weights with n-gram tables, two counted tags, and a filter that knows every word, so that no prompt is
/// novel.
pub fn parts(seed: u64) -> ModelParts {
    let mut numbers = Numbers(seed);
    let network = network(&mut numbers);
    let mut table = || (0..NGRAM_BUCKETS).map(|_| (numbers.next() >> 56) as i8).collect();
    let ngrams = NgramParts {
        lightweight: table(),
        powerful: table(),
        scale: [0.01, 0.01],
        offset: [0.1, 0.4],
        sparse: false,
    };
    let mut buckets = vec![tag_bucket(KNOWN_TAG.0, KNOWN_TAG.1), tag_bucket("task", "poetry")];
    buckets.sort_unstable();
    let counts = vec![[40.0, 10.0, 25.0], [12.0, -1.0, 11.0]];
    let tags = TagParts { buckets, counts, overall: [0.2, 0.7], prior: 20.0 };
    let filter = WordFilter::from_bytes([u8::MAX; FILTER_BYTES]);
    let novelty = NoveltyParts { filter, limit: NoveltyLimit { words: 10_000, limit_permille: 500 } };
    ModelParts {
        network,
        ngrams: Some(ngrams),
        tags: Some(tags),
        novelty: Some(novelty),
        embedding: None,
        candidate: None,
    }
}

/// Five cells and a read-out of a space of twelve dimensions.
pub fn embedding(seed: u64) -> EmbeddingParts {
    let mut numbers = Numbers(seed);
    let mut bytes = |count: usize| (0..count).map(|_| (numbers.next() >> 56) as i8).collect();
    EmbeddingParts {
        space: EmbeddingSpace { name: "made-up".to_owned(), dimensions: 12, least_similarity: -1.0 },
        prototypes: Some(PrototypeParts {
            centres: bytes(5 * 12),
            scale: vec![0.01; 5],
            counts: [1.0, 5.0, 20.0, 30.0, 44.0].map(|count| [count, 0.2 * count, 0.7 * count]).to_vec(),
            overall: [0.2, 0.7],
            prior: 10.0,
        }),
        read_out: Some(ReadOutParts { weight: bytes(2 * 12), scale: [0.02, 0.03], offset: [0.1, 0.4] }),
    }
}

/// Metadata with a calibration that changes nothing and eight probes.
pub fn metadata(version: &str, seed: u64) -> MetadataParts {
    let lambdas = [(20, -0.2), (50, 0.1), (100, 0.5)];
    let shares = [(20, 0.8), (50, 0.5), (100, 0.2)];
    MetadataParts {
        name: "test".to_owned(),
        version: version.to_owned(),
        calibration: Calibration {
            heads: [HeadCalibration { scale: 1.0, offset: 0.0 }; 3],
            risk: lambdas.map(|(permille, lambda)| RiskThreshold { permille, lambda }).to_vec(),
            sets: vec![ConformalSets {
                coverage_permille: 900,
                good_enough: 0.25,
                not_good_enough: 0.75,
                samples: [700, 300],
            }],
            samples: 1000,
        },
        reference: Reference {
            mean_uncertainty: 0.25,
            mean_novelty: 0.05,
            scores: [1.0 / SCORE_BINS as f32; SCORE_BINS],
            escalation: shares.map(|(permille, share)| EscalationShare { permille, share }).to_vec(),
            samples: 1000,
        },
        data: Digest::of(b"no training data"),
        seed,
        parent: None,
        probes: probes(),
    }
}

/// Eight texts, the last with a counted tag.
fn probes() -> Vec<Probe> {
    let texts = [
        "",
        "What is the capital of a country with two names?",
        "Write a Python function that returns the sum of a list.",
        "A train leaves at 7:15 and arrives at 9:40. How long was it under way?",
        "Which of these is not a mammal?\nA. whale\nB. shark\nC. bat",
        "Complete the sentence: the cat ____ on the mat.",
        "Übersetze „guten Morgen“ ins Französische.",
        "Solve x + 2 = 5.",
    ];
    let mut probes: Vec<Probe> =
        texts.map(|text| Probe { text: text.to_owned(), tags: BTreeMap::new() }).to_vec();
    if let Some(last) = probes.last_mut() {
        last.tags.insert(KNOWN_TAG.0.to_owned(), KNOWN_TAG.1.to_owned());
    }
    probes
}

fn network(numbers: &mut Numbers) -> NetworkWeights {
    NetworkWeights {
        statistics_mean: numbers.row(1.0),
        statistics_std: numbers.row::<15>(0.5).map(|number| 1.0 + number),
        h0_weight: numbers.matrix(0.3),
        h0_bias: numbers.row(0.3),
        cell: CellWeights {
            w: numbers.matrix(0.5),
            u: numbers.matrix(0.5),
            bias_gate: numbers.row(1.0),
            bias_update: numbers.row(1.0),
            zeta: 1.0,
            nu: -4.0,
        },
        head_weight: numbers.matrix(0.7),
        head_bias: numbers.row(0.5),
    }
}

/// Weights of a candidate network.
pub fn candidate(seed: u64) -> CandidateWeights {
    let mut numbers = Numbers(seed);
    CandidateWeights {
        input_mean: numbers.row(1.0),
        input_std: numbers.row::<INPUTS>(0.5).map(|number| 1.0 + number),
        cell: CellWeights {
            w: numbers.matrix(0.5),
            u: numbers.matrix(0.5),
            bias_gate: numbers.row(1.0),
            bias_update: numbers.row(1.0),
            zeta: 1.0,
            nu: -4.0,
        },
        head_weight: numbers.matrix(0.7),
        head_bias: numbers.row(0.5),
    }
}

/// A sequence of numbers that is the same for a seed (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Numbers between minus and plus `size`.
    fn row<const N: usize>(&mut self, size: f32) -> [f32; N] {
        [0.0; N].map(|_| ((self.next() >> 40) as f32 / (1_u32 << 23) as f32 - 1.0) * size)
    }

    fn matrix<const N: usize, const M: usize>(&mut self, size: f32) -> [[f32; N]; M] {
        [[0.0; N]; M].map(|_| self.row(size))
    }
}
