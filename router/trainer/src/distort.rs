//! Models that are broken on purpose, to see a rollback at work. Nothing here trains anything.

use tinydancer_engine::artifact::{MetadataParts, Precision, Probe, WriteError, write};
use tinydancer_engine::features::{STATISTIC_NAMES, STATISTICS};
use tinydancer_engine::network::{HIDDEN, NetworkWeights};
use tinydancer_engine::{Features, LoadError, Model, artifact};

use crate::known_answers::probes;

/// A weight with which sigmoid and tanh are 1 in f32.
const SATURATED: f32 = 100.0;

/// What is done to a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distortion {
    /// Head logits are doubled while the calibration is kept: the model believes itself too much.
    Overconfident,
    /// Logits overflow, but only for prompts of more than 2,000 characters.
    Overflow,
}

/// Why a model could not be broken.
#[derive(Debug, thiserror::Error)]
pub enum DistortError {
    /// The model given does not load.
    #[error("failed to load the model to distort")]
    Load(#[from] LoadError),
    /// The distorted model would be refused, and then it would be of no use in a drill.
    #[error("failed to write the distorted model")]
    Write(#[from] WriteError),
}

/// Makes the artifact `bytes` into a broken one that still loads, called `name` and `version`.
///
/// # Errors
/// If `bytes` is no artifact.
pub fn distort(
    bytes: &[u8],
    distortion: Distortion,
    name: &str,
    version: &str,
) -> Result<Vec<u8>, DistortError> {
    let model = Model::from_bytes(bytes)?;
    let (mut parts, _) = artifact::read(bytes)?;
    let probes = match distortion {
        Distortion::Overconfident => {
            overconfident(&mut parts.network);
            probes()
        }
        Distortion::Overflow => {
            let unit = quietest_unit(&parts.network);
            overflow(&mut parts.network, unit);
            probes().into_iter().filter(|probe| !is_very_long(probe)).collect()
        }
    };
    Ok(write(&parts, &metadata(&model, name, version, probes), Precision::F32)?)
}

/// Everything but names and known answers stays: that is the point, for calibration and reference no longer fit.
fn metadata(model: &Model, name: &str, version: &str, probes: Vec<Probe>) -> MetadataParts {
    let metadata = model.metadata();
    MetadataParts {
        name: name.to_owned(),
        version: version.to_owned(),
        calibration: metadata.calibration.clone(),
        reference: metadata.reference.clone(),
        data: metadata.data,
        seed: metadata.seed,
        parent: Some(model.digest()),
        probes,
    }
}

fn overconfident(network: &mut NetworkWeights) {
    for weight in network.head_weight.iter_mut().flatten().chain(&mut network.head_bias) {
        *weight *= 2.0;
    }
}

/// Gives hidden unit `unit` to the statistic `very_long`. Where it is 0 the unit is exactly 0 and the logits are those
/// of the other units. Where it is 1 the unit starts at 1, its gate stays open, its update is 1, and so it ends at
/// 1 + sigmoid(nu): times the largest f32 that is infinite.
fn overflow(network: &mut NetworkWeights, unit: usize) {
    let very_long = very_long();
    // The statistic itself, so that a short prompt gives exactly 0; the other units keep what they computed.
    let (mean, std) = (network.statistics_mean[very_long], network.statistics_std[very_long]);
    for (row, bias) in network.h0_weight.iter_mut().zip(&mut network.h0_bias) {
        *bias -= row[very_long] * mean / std;
        row[very_long] /= std;
    }
    network.statistics_mean[very_long] = 0.0;
    network.statistics_std[very_long] = 1.0;
    network.h0_weight[unit] = [0.0; STATISTICS];
    network.h0_weight[unit][very_long] = SATURATED;
    network.h0_bias[unit] = 0.0;
    network.cell.w[unit].fill(0.0);
    network.cell.u[unit].fill(0.0);
    for row in &mut network.cell.u {
        row[unit] = 0.0;
    }
    network.cell.u[unit][unit] = SATURATED;
    network.cell.bias_gate[unit] = SATURATED;
    network.cell.bias_update[unit] = 0.0;
    for row in &mut network.head_weight {
        row[unit] = f32::MAX;
    }
}

fn very_long() -> usize {
    STATISTIC_NAMES.iter().position(|name| *name == "very_long").unwrap_or(STATISTICS - 1)
}

fn is_very_long(probe: &Probe) -> bool {
    Features::extract(&probe.text, []).statistics()[very_long()] > 0.0
}

/// The unit that the heads listen to least.
fn quietest_unit(network: &NetworkWeights) -> usize {
    let loudness = |unit: &usize| network.head_weight.iter().map(|row| row[*unit].abs()).sum::<f32>();
    (0..HIDDEN).min_by(|one, other| loudness(one).total_cmp(&loudness(other))).unwrap_or(0)
}
