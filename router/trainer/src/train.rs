//! One run: from a file of rows to the bytes of an artifact.

use std::path::{Path, PathBuf};

use tinydancer_engine::{Digest, LoadError, Model, artifact::WriteError};

use crate::assemble::{Identity, assemble};
use crate::corpus::extract;
use crate::data::{self, DataError, Row};
use crate::fit::{Fitted, Recipe, fit};
use crate::progress::Progress;

/// Why there is no model.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The data could not be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The fitted model makes no artifact.
    #[error("failed to write the artifact")]
    Write(#[from] WriteError),
    /// An artifact that was named could not be read.
    #[error("failed to read model {path}")]
    ReadModel {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// An artifact that was named does not load.
    #[error("failed to load model {path}")]
    LoadModel {
        /// The file.
        path: PathBuf,
        /// The rule it breaks.
        source: LoadError,
    },
}

/// What the trained artifact is called.
#[derive(Debug, Clone)]
pub struct Naming {
    /// What the model calls itself.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The digest of the model it follows.
    pub parent: Option<Digest>,
}

/// Trains on `rows` and returns the artifact with the fit it was made from.
///
/// # Errors
/// If the artifact would not load, as for a name with blanks.
pub fn train(
    rows: &[Row],
    recipe: Recipe,
    naming: Naming,
    progress: &Progress,
) -> Result<(Vec<u8>, Fitted), TrainError> {
    let fitted = fit(&extract(rows), recipe, progress);
    let identity = Identity {
        name: naming.name,
        version: naming.version,
        data: data::digest(rows),
        seed: recipe.seed,
        parent: naming.parent,
    };
    Ok((assemble(&fitted, identity)?, fitted))
}

/// Reads and checks an artifact.
///
/// # Errors
/// Names the file and the rule it breaks.
pub fn load_model(path: &Path) -> Result<Model, TrainError> {
    let bytes =
        std::fs::read(path).map_err(|source| TrainError::ReadModel { path: path.to_owned(), source })?;
    Model::from_bytes(&bytes).map_err(|source| TrainError::LoadModel { path: path.to_owned(), source })
}
