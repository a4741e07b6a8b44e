//! The candidate network of an artifact: ten tensors, which signals it reads, and known answers of its own.

use serde::{Deserialize, Serialize};

use super::LoadError;
use super::known_answers::{is_close, made_up_numbers};
use super::tensors::{self, Tensors, check_positive};
use crate::candidate::network::{CandidateNetwork, CandidateWeights, HEADS, HIDDEN, INPUTS};
use crate::candidate::schema;
use crate::digest::Digest;
use crate::fastgrnn::CellWeights;

/// Known answers of a candidate network. Answer i (from 0) is what the heads say after i + 1 steps.
pub(super) const KNOWN_ANSWERS: usize = 8;

/// Where each signal lies at a known answer.
const RANGES: [[f32; 2]; INPUTS] = [
    [-1.0, 1.0],
    [-1.0, 1.0],
    [0.0, 8.0],
    [0.0, 2.0],
    [0.0, 3.0],
    [0.0, 8.0],
    [0.0, 1.0],
    [0.0, 6.0],
    [0.0, 1.0],
    [0.0, 1.0],
    [-1.0, 1.0],
    [0.0, 1.0],
];

/// What an artifact says about its candidate network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CandidateMetadata {
    /// Sha256 (hex) of what its signals mean.
    pub signals: String,
    /// What the heads say after 1, 2, ... steps with made-up signals.
    pub known_answers: [[f32; HEADS]; KNOWN_ANSWERS],
}

impl CandidateMetadata {
    /// What a file with these weights says.
    pub(super) fn of(weights: &CandidateWeights) -> Self {
        Self { signals: schema::digest().to_hex(), known_answers: known_answers(weights) }
    }

    /// Refuses weights for other signals, or that do not give the known answers.
    pub(super) fn check(&self, weights: &CandidateWeights) -> Result<(), LoadError> {
        for (index, (expected, found)) in self.known_answers.iter().zip(known_answers(weights)).enumerate() {
            for (head, (&expected, found)) in expected.iter().zip(found).enumerate() {
                if !is_close(found, expected) {
                    return Err(LoadError::KnownCandidate { index, head, expected, found });
                }
            }
        }
        Ok(())
    }

    /// Refuses a network for other signals, before its weights are looked at.
    pub(super) fn check_form(&self) -> Result<(), LoadError> {
        let rule = "signals must be 64 lower-case hex digits";
        let found = Digest::from_hex(&self.signals)
            .map_err(|_| LoadError::MetadataValue { key: "candidate", rule })?;
        let expected = schema::digest();
        if found == expected { Ok(()) } else { Err(LoadError::Signals { found, expected }) }
    }
}

/// What the heads say after each step: signal s of step t lies in its range as the made-up number s of t lies in -1
/// to 1.
fn known_answers(weights: &CandidateWeights) -> [[f32; HEADS]; KNOWN_ANSWERS] {
    let network = CandidateNetwork::new(weights);
    let mut state = [0.0; HIDDEN];
    std::array::from_fn(|step| {
        let mut signals = [0.0; INPUTS];
        for ((signal, number), [low, high]) in signals.iter_mut().zip(made_up_numbers(step)).zip(RANGES) {
            *signal = low + (high - low) * (0.5 + 0.5 * number);
        }
        network.step(&signals, &mut state);
        network.heads(&state)
    })
}

/// The weights in a file.
pub(super) fn read(tensors: &Tensors<'_>) -> Result<CandidateWeights, LoadError> {
    let weights = CandidateWeights {
        input_mean: tensors.row(tensors::CANDIDATE_MEAN, &[INPUTS])?,
        input_std: tensors.row(tensors::CANDIDATE_STD, &[INPUTS])?,
        cell: CellWeights {
            w: tensors.float_matrix(tensors::CANDIDATE_W)?,
            u: tensors.float_matrix(tensors::CANDIDATE_U)?,
            bias_gate: tensors.row(tensors::CANDIDATE_BIAS_GATE, &[1, HIDDEN])?,
            bias_update: tensors.row(tensors::CANDIDATE_BIAS_UPDATE, &[1, HIDDEN])?,
            zeta: tensors.row(tensors::CANDIDATE_ZETA, &[1, 1]).map(|[number]| number)?,
            nu: tensors.row(tensors::CANDIDATE_NU, &[1, 1]).map(|[number]| number)?,
        },
        head_weight: tensors.float_matrix(tensors::CANDIDATE_HEAD_WEIGHT)?,
        head_bias: tensors.row(tensors::CANDIDATE_HEAD_BIAS, &[HEADS])?,
    };
    check_positive(tensors::CANDIDATE_STD, weights.input_std)?;
    Ok(weights)
}
