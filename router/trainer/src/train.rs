//! One run: from rows to the bytes of an artifact.

use std::path::Path;

use tinydancer_engine::artifact::{Precision, WriteError};
use tinydancer_engine::{Digest, schema};

use crate::assemble::{Identity, assemble_in};
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::corpus::extract;
use crate::data::{self, Row};
use crate::fit::{Fitted, Recipe, fit, fit_keeping};
use crate::progress::Progress;

/// What the trained artifact is called.
#[derive(Debug, Clone)]
pub struct Naming {
    /// What the model calls itself.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The digest of the model it follows.
    pub parent: Option<Digest>,
    /// How weights are kept.
    pub precision: Precision,
}

/// A run ended without an artifact.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// What was finished could not be kept.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The artifact would not load.
    #[error("failed to write the artifact")]
    Write(#[from] WriteError),
}

/// Trains on `rows` and returns the artifact with the fit it was made from. Networks that are finished are kept in
/// the folder `resume` and read from there by a later run on the same rows with the same recipe.
///
/// # Errors
/// If the folder cannot be written, or the artifact would not load, as for a name with blanks.
pub fn train(
    rows: &[Row],
    recipe: Recipe,
    naming: Naming,
    resume: Option<&Path>,
    progress: &Progress,
) -> Result<(Vec<u8>, Fitted), TrainError> {
    let data = data::digest(rows);
    let examples = extract(rows);
    let fitted = if let Some(directory) = resume {
        let checkpoint = Checkpoint::open(directory, run(data, recipe))?;
        fit_keeping(&examples, recipe, progress, |name, make| checkpoint.network(name, make))?
    } else {
        fit(&examples, recipe, progress)
    };
    let identity = Identity {
        name: naming.name,
        version: naming.version,
        data,
        seed: recipe.seed,
        parent: naming.parent,
    };
    Ok((assemble_in(&fitted, identity, naming.precision)?, fitted))
}

/// What the networks of a run depend on. Another version of this program may train otherwise.
fn run(data: Digest, recipe: Recipe) -> Digest {
    let version = env!("CARGO_PKG_VERSION");
    let text = format!("{version} {} {data} tags={} seed={}", schema::digest(), recipe.tags, recipe.seed);
    Digest::of(text.as_bytes())
}
