//! Embeddings that the router makes itself.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use tinydancer_engine::token_table::TokenTable;

use super::{Runtime, model::LoadedModel};

/// A model and a token table do not belong together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the model reads embeddings of {model}, the token table makes those of {table}; give the table that the model was trained \
     with, or leave `--token-table` out and let callers supply embeddings"
)]
pub struct OtherSpace {
    /// The embedder the model was trained with.
    pub model: String,
    /// The token table's name.
    pub table: String,
}

impl Runtime {
    /// From now on makes embeddings with this table, where a request comes without one and a model reads them. The first
    /// table that is given counts.
    ///
    /// # Errors
    /// If the model that serves reads embeddings of another embedder; the table is kept for models that read its own.
    pub fn embed_with(&self, table: TokenTable) -> Result<(), OtherSpace> {
        let table = self.token_table.get_or_init(|| table);
        let arms = self.arms.load();
        let space = arms.serving().and_then(|model| model.engine().embedding_space());
        match space.filter(|space| !fits(&space.name, space.dimensions, table)) {
            None => Ok(()),
            Some(space) => Err(OtherSpace { model: space.name.clone(), table: table.name().to_owned() }),
        }
    }
}

/// What the table makes of the text, if one of the models reads its embeddings and none reads others: all are given the
/// same features.
pub(super) fn own_embedding<'a>(
    table: &TokenTable,
    models: impl Iterator<Item = &'a Arc<LoadedModel>>,
    text: &str,
) -> Option<Vec<f32>> {
    let mut reads = false;
    for space in models.filter_map(|model| model.engine().embedding_space()) {
        if !fits(&space.name, space.dimensions, table) {
            return None;
        }
        reads = true;
    }
    // As with the extractor: a panic is nobody's fault, and there is no embedding.
    reads.then(|| catch_unwind(AssertUnwindSafe(|| table.embed(text))).ok().flatten()).flatten()
}

/// The name carries the digest of the table's files.
fn fits(name: &str, dimensions: usize, table: &TokenTable) -> bool {
    (name, dimensions) == (table.name(), table.dimensions())
}
