//! From bytes to weights and metadata.

use safetensors::{SafeTensorError, SafeTensors};

use super::candidate::{self, CandidateMetadata};
use super::error::Cause;
use super::metadata::Metadata;
use super::parts::{
    EmbeddingParts, ModelParts, NgramParts, NoveltyParts, PrototypeParts, ReadOutParts, TagParts,
};
use super::tensors::{self, Tensors, check_positive};
use super::{LoadError, MOST_BYTES, MOST_PROTOTYPES, MOST_TAGS, Precision};
use crate::candidate::network::CandidateWeights;
use crate::embedding::EmbeddingSpace;
use crate::fastgrnn::CellWeights;
use crate::features::{NGRAM_BUCKETS, STATISTICS};
use crate::network::{HEADS, HIDDEN, NetworkWeights};
use crate::novelty::{NoveltyLimit, WordFilter};

/// Takes an artifact apart and checks everything but its known answers.
///
/// # Errors
/// One [`LoadError`] a rule; nothing is corrected or clipped.
pub fn read(bytes: &[u8]) -> Result<(ModelParts, Metadata), LoadError> {
    if bytes.len() > MOST_BYTES {
        return Err(LoadError::TooLarge { bytes: bytes.len() });
    }
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(container)?;
    let metadata = match header.metadata() {
        Some(map) => Metadata::read(map)?,
        None => return Err(LoadError::MetadataMissing { key: "format" }),
    };
    let tensors = Tensors(SafeTensors::deserialize(bytes).map_err(container)?);
    tensors.check_names()?;
    let parts = ModelParts {
        network: network(&tensors)?,
        ngrams: tensors.has_any(&tensors::NGRAM).then(|| ngrams(&tensors)).transpose()?,
        tags: tensors.has_any(&tensors::TAG).then(|| tags(&tensors)).transpose()?,
        novelty: novelty(&tensors, metadata.novelty)?,
        embedding: embedding(&tensors, metadata.embedding.as_ref())?,
        candidate: candidates(&tensors, metadata.candidate.as_ref())?,
    };
    Ok((parts, metadata))
}

/// In which numbers a file keeps the matrices of the network: bytes, if it does so for one of them.
///
/// # Errors
/// [`LoadError::Container`] if it is no safetensors file.
pub fn precision(bytes: &[u8]) -> Result<Precision, LoadError> {
    let tensors = Tensors(SafeTensors::deserialize(bytes).map_err(container)?);
    let in_bytes = tensors::MATRICES.iter().any(|matrix| tensors.is_quantised(*matrix));
    Ok(if in_bytes { Precision::Int8 } else { Precision::F32 })
}

#[expect(clippy::needless_pass_by_value, reason = "shaped for map_err")]
fn container(error: SafeTensorError) -> LoadError {
    LoadError::Container(Cause::of(&error))
}

fn network(tensors: &Tensors<'_>) -> Result<NetworkWeights, LoadError> {
    let weights = NetworkWeights {
        statistics_mean: tensors.row(tensors::STATISTICS_MEAN, &[STATISTICS])?,
        statistics_std: tensors.row(tensors::STATISTICS_STD, &[STATISTICS])?,
        h0_weight: tensors.matrix(tensors::H0_MATRIX)?,
        h0_bias: tensors.row(tensors::H0_BIAS, &[HIDDEN])?,
        cell: CellWeights {
            w: tensors.matrix(tensors::W_MATRIX)?,
            u: tensors.matrix(tensors::U_MATRIX)?,
            bias_gate: tensors.row(tensors::CELL_BIAS_GATE, &[1, HIDDEN])?,
            bias_update: tensors.row(tensors::CELL_BIAS_UPDATE, &[1, HIDDEN])?,
            zeta: scalar(tensors, tensors::CELL_ZETA, &[1, 1])?,
            nu: scalar(tensors, tensors::CELL_NU, &[1, 1])?,
        },
        head_weight: tensors.matrix(tensors::HEAD_MATRIX)?,
        head_bias: tensors.row(tensors::HEAD_BIAS, &[HEADS])?,
    };
    check_positive(tensors::STATISTICS_STD, weights.statistics_std)?;
    Ok(weights)
}

fn scalar(tensors: &Tensors<'_>, name: &'static str, shape: &[usize]) -> Result<f32, LoadError> {
    tensors.row(name, shape).map(|[number]| number)
}

fn ngrams(tensors: &Tensors<'_>) -> Result<NgramParts, LoadError> {
    let sparse = tensors.has_any(&tensors::NGRAM_PLACES);
    let table = |name, places| {
        if sparse {
            sparse_table(tensors, name, places)
        } else {
            tensors.bytes_signed(name, &[NGRAM_BUCKETS])
        }
    };
    let [lightweight_places, powerful_places] = tensors::NGRAM_PLACES;
    Ok(NgramParts {
        lightweight: table(tensors::NGRAM_LIGHTWEIGHT, lightweight_places)?,
        powerful: table(tensors::NGRAM_POWERFUL, powerful_places)?,
        scale: tensors.row(tensors::NGRAM_SCALE, &[2])?,
        offset: tensors.row(tensors::NGRAM_OFFSET, &[2])?,
        sparse,
    })
}

/// A table of which a file holds the bytes at the places whose bit is set, in their order. It is spread out here: a
/// look-up costs what it costs in any table.
fn sparse_table(
    tensors: &Tensors<'_>,
    name: &'static str,
    places: &'static str,
) -> Result<Vec<i8>, LoadError> {
    let bits: [u8; NGRAM_BUCKETS / 8] = tensors.bytes_unsigned(places)?;
    let count = bits.iter().map(|byte| byte.count_ones() as usize).sum();
    let mut bytes = tensors.bytes_signed(name, &[count])?.into_iter();
    let is_set = |bucket: usize| bits[bucket / 8] >> (bucket % 8) & 1 == 1;
    Ok((0..NGRAM_BUCKETS).map(|bucket| if is_set(bucket) { bytes.next().unwrap_or(0) } else { 0 }).collect())
}

fn tags(tensors: &Tensors<'_>) -> Result<TagParts, LoadError> {
    let length = tensors.length(tensors::TAG_BUCKETS, MOST_TAGS)?;
    let buckets = tensors.words(tensors::TAG_BUCKETS, length)?;
    if let Some(before) = buckets.windows(2).position(|pair| !pair.is_sorted_by(|one, next| one < next)) {
        return Err(LoadError::TagsNotAscending { index: before + 1 });
    }
    let counts = tensors.floats(tensors::TAG_COUNTS, &[length, 3])?.as_chunks::<3>().0.to_vec();
    check_positive(tensors::TAG_COUNTS, counts.iter().map(|[requests, _, _]| *requests))?;
    let prior = scalar(tensors, tensors::TAG_PRIOR, &[1])?;
    check_positive(tensors::TAG_PRIOR, [prior])?;
    Ok(TagParts { buckets, counts, overall: tensors.row(tensors::TAG_OVERALL, &[2])?, prior })
}

/// The filter and its limit: both or neither.
fn novelty(tensors: &Tensors<'_>, limit: Option<NoveltyLimit>) -> Result<Option<NoveltyParts>, LoadError> {
    match limit {
        Some(limit) => {
            let filter = WordFilter::from_bytes(tensors.bytes_unsigned(tensors::NOVELTY_WORDS)?);
            Ok(Some(NoveltyParts { filter, limit }))
        }
        None if tensors.has_any(&tensors::NOVELTY) => Err(LoadError::MetadataMissing { key: "novelty" }),
        None => Ok(None),
    }
}

/// What is known about embeddings, and which they are: both or neither.
fn embedding(
    tensors: &Tensors<'_>,
    space: Option<&EmbeddingSpace>,
) -> Result<Option<EmbeddingParts>, LoadError> {
    let key = "embedding";
    let (cells, linear) = (tensors.has_any(&tensors::PROTOTYPE), tensors.has_any(&tensors::READOUT));
    match space {
        Some(_) if !cells && !linear => {
            Err(LoadError::MetadataValue { key, rule: "must come with prototypes or a read-out" })
        }
        Some(space) => Ok(Some(EmbeddingParts {
            space: space.clone(),
            prototypes: cells.then(|| prototypes(tensors, space.dimensions)).transpose()?,
            read_out: linear.then(|| read_out(tensors, space.dimensions)).transpose()?,
        })),
        None if cells || linear => Err(LoadError::MetadataMissing { key }),
        None => Ok(None),
    }
}

/// The candidate network and what is said about it: both or neither.
fn candidates(
    tensors: &Tensors<'_>,
    metadata: Option<&CandidateMetadata>,
) -> Result<Option<CandidateWeights>, LoadError> {
    match metadata {
        Some(metadata) => {
            let weights = candidate::read(tensors)?;
            metadata.check(&weights)?;
            Ok(Some(weights))
        }
        None if tensors.has_any(&tensors::CANDIDATE) => Err(LoadError::MetadataMissing { key: "candidate" }),
        None => Ok(None),
    }
}

fn prototypes(tensors: &Tensors<'_>, dimensions: usize) -> Result<PrototypeParts, LoadError> {
    let cells = tensors.length(tensors::PROTOTYPE_SCALE, MOST_PROTOTYPES)?;
    let scale = tensors.floats(tensors::PROTOTYPE_SCALE, &[cells])?;
    check_positive(tensors::PROTOTYPE_SCALE, scale.iter().copied())?;
    let centres = tensors.bytes_signed(tensors::PROTOTYPE_CENTRES, &[cells, dimensions])?;
    let mut rows = centres.chunks_exact(dimensions);
    if let Some(index) = rows.position(|row| row.iter().all(|byte| *byte == 0)) {
        return Err(LoadError::ZeroCentre { index });
    }
    let counts = tensors.floats(tensors::PROTOTYPE_COUNTS, &[cells, 3])?.as_chunks::<3>().0.to_vec();
    check_positive(tensors::PROTOTYPE_COUNTS, counts.iter().map(|[requests, _, _]| *requests))?;
    let prior = scalar(tensors, tensors::PROTOTYPE_PRIOR, &[1])?;
    check_positive(tensors::PROTOTYPE_PRIOR, [prior])?;
    let overall = tensors.row(tensors::PROTOTYPE_OVERALL, &[2])?;
    Ok(PrototypeParts { centres, scale, counts, overall, prior })
}

fn read_out(tensors: &Tensors<'_>, dimensions: usize) -> Result<ReadOutParts, LoadError> {
    Ok(ReadOutParts {
        weight: tensors.bytes_signed(tensors::READOUT_WEIGHT, &[2, dimensions])?,
        scale: tensors.row(tensors::READOUT_SCALE, &[2])?,
        offset: tensors.row(tensors::READOUT_OFFSET, &[2])?,
    })
}
