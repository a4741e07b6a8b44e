//! One run: from rows to the bytes of an artifact.

use tinydancer_engine::Digest;
use tinydancer_engine::artifact::WriteError;

use crate::assemble::{Identity, assemble};
use crate::corpus::extract;
use crate::data::{self, Row};
use crate::fit::{Fitted, Recipe, fit};
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
) -> Result<(Vec<u8>, Fitted), WriteError> {
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
