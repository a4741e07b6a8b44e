//! The router's own embedder: a token table from local files, for requests that come without an embedding.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use tinydancer_engine::token_table::{TokenTable, TokenTableError};

use crate::{
    arguments::Serve,
    runtime::{OtherSpace, Runtime},
};

/// One row a token.
const VECTORS: &str = "model.safetensors";
/// One token a line.
const VOCABULARY: &str = "vocab.txt";

/// Why the router does not embed prompts.
#[derive(Debug, thiserror::Error)]
pub enum EmbedderError {
    /// A file is not there or cannot be read.
    #[error("failed to read {path}: {source}; `--token-table` must name a folder with {VECTORS} and {VOCABULARY}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The files are no token table.
    #[error("{folder} cannot be used: {source}", folder = folder.display())]
    Table {
        /// The folder.
        folder: PathBuf,
        /// The reason.
        source: TokenTableError,
    },
    /// The model reads embeddings of another embedder.
    #[error("{folder} cannot be used: {source}", folder = folder.display())]
    OtherSpace {
        /// The folder.
        folder: PathBuf,
        /// Both names.
        source: OtherSpace,
    },
}

/// Loads the token table that is asked for. A pod whose model reads other embeddings starts all the same: its models come
/// and go, and answer without an embedding too.
///
/// # Errors
/// [`EmbedderError`], naming the file or both embedders.
pub fn prepare(runtime: &Runtime, arguments: &Serve) -> Result<(), EmbedderError> {
    let Some(folder) = &arguments.token_table else { return Ok(()) };
    let table = read(folder)?;
    tracing::info!(folder = %folder.display(), embedder = table.name(), "embeds prompts");
    match runtime.embed_with(table) {
        Err(reason) if arguments.in_pod() => {
            tracing::error!(%reason, "prompts are not embedded for the stable model");
            Ok(())
        }
        embedding => embedding.map_err(|source| EmbedderError::OtherSpace { folder: folder.clone(), source }),
    }
}

fn read(folder: &Path) -> Result<TokenTable, EmbedderError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| EmbedderError::Read { path, source }
    };
    let (vectors, vocabulary) = (folder.join(VECTORS), folder.join(VOCABULARY));
    let model = fs::read(&vectors).map_err(failed(&vectors))?;
    let words = fs::read_to_string(&vocabulary).map_err(failed(&vocabulary))?;
    TokenTable::new(&model, &words)
        .map_err(|source| EmbedderError::Table { folder: folder.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_a_table_is_refused_with_the_file_that_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let message = read(folder.path()).unwrap_err().to_string();
        assert!(message.contains("model.safetensors") && message.contains("--token-table"), "{message}");
        fs::write(folder.path().join(VECTORS), "no").unwrap();
        fs::write(folder.path().join(VOCABULARY), "word").unwrap();
        assert!(matches!(read(folder.path()), Err(EmbedderError::Table { .. })));
    }
}
