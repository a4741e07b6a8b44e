//! One run: from rows to the bytes of an artifact.

use std::path::Path;

use tinydancer_engine::artifact::{Precision, WriteError};
use tinydancer_engine::{Digest, schema};

use crate::assemble::{Identity, assemble_in};
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::corpus::{extract, extract_with};
use crate::data::{self, Row};
use crate::embeddings::Embeddings;
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

/// Trains on `rows` and returns the artifact with the fit it was made from. With `embeddings`, those of the rows, the
/// model reads them too. Networks that are finished are kept in the folder `resume` and read from there by a later run
/// on the same rows with the same recipe.
///
/// # Errors
/// If the folder cannot be written, or the artifact would not load, as for a name with blanks.
pub fn train(
    rows: &[Row],
    embeddings: Option<&Embeddings>,
    recipe: Recipe,
    naming: Naming,
    resume: Option<&Path>,
    progress: &Progress,
) -> Result<(Vec<u8>, Fitted), TrainError> {
    let data = data::digest(rows);
    let examples = embeddings.map_or_else(|| extract(rows), |embeddings| extract_with(rows, embeddings));
    let fitted = if let Some(directory) = resume {
        let checkpoint = Checkpoint::open(directory, run(data, embeddings, recipe))?;
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
        embedder: embeddings.map(|embeddings| embeddings.name().to_owned()).unwrap_or_default(),
    };
    Ok((assemble_in(&fitted, identity, naming.precision)?, fitted))
}

/// What the networks of a run depend on. Another version of this program may train otherwise.
fn run(data: Digest, embeddings: Option<&Embeddings>, recipe: Recipe) -> Digest {
    let version = env!("CARGO_PKG_VERSION");
    let embeddings =
        embeddings.map(|embeddings| format!(" embeddings={}", embeddings.digest())).unwrap_or_default();
    let kept = recipe.ngrams_kept.map(|kept| format!(" kept={kept}")).unwrap_or_default();
    let text = format!(
        "{version} {} {data} tags={} seed={} temperature={}{kept}{embeddings}",
        schema::digest(),
        recipe.tags,
        recipe.seed,
        recipe.temperature
    );
    Digest::of(text.as_bytes())
}
