//! The artifact: one safetensors file with everything a router needs to run a model.
//!
//! `docs/reference/artifact.md` is the contract. [`read()`] takes a file apart and checks its form;
//! [`crate::Model::from_bytes`] also computes the known answers, scores requests of its own and is what a router uses.
//! [`precision()`] says how its weights are kept. [`write()`] makes a file, the same bytes each time.

mod candidate;
mod error;
mod known_answers;
mod metadata;
mod parts;
mod precision;
mod probe_batch;
mod read;
pub mod signature;
mod tensors;
#[cfg(test)]
mod tests;
mod write;

pub use candidate::CandidateMetadata;
pub use error::{Cause, LoadError, WriteError};
pub(crate) use known_answers::check as check_known_answers;
pub use known_answers::{KnownAnswer, LEAST as LEAST_KNOWN_ANSWERS, Probe};
pub(crate) use metadata::is_name;
pub use metadata::{Metadata, MetadataParts};
pub use parts::{
    EmbeddingParts, ModelParts, NgramParts, NoveltyParts, PrototypeParts, ReadOutParts, TagParts,
};
pub use precision::Precision;
pub(crate) use probe_batch::check as check_probe_batch;
pub use read::{precision, read};
pub use write::write;

/// The only format there is.
pub const FORMAT: &str = "tinydancer/artifact/v2";
/// The largest file, in bytes.
pub const MOST_BYTES: usize = 180 * 1024;
/// Tags an artifact may count.
pub const MOST_TAGS: usize = 1024;
/// Cells of embeddings an artifact may have.
pub const MOST_PROTOTYPES: usize = 64;
