//! From weights and metadata to bytes, the same bytes each time.
//!
//! The safetensors crate keeps metadata in a hash map and would write it in another order on each
//! run, so the header is written here: eight bytes of length, JSON padded to eight bytes, data.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::WriteError;
use super::known_answers::KnownAnswer;
use super::metadata::{Metadata, MetadataParts};
use super::parts::{EmbeddingParts, ModelParts, NgramParts, PrototypeParts, ReadOutParts, TagParts};
use super::precision::{Precision, QuantisedRow};
use super::tensors::{self, Matrix};
use crate::candidate::network::{self as candidate, CandidateWeights};
use crate::features::{NGRAM_BUCKETS, STATISTICS};
use crate::model::Model;
use crate::network::{HEADS, HIDDEN, NetworkWeights};

/// Makes an artifact: computes the known answers, writes the file and loads it again.
///
/// # Errors
/// [`WriteError`] if a list has the wrong length, or if the loader would refuse the file.
pub fn write(
    parts: &ModelParts,
    metadata: &MetadataParts,
    precision: Precision,
) -> Result<Vec<u8>, WriteError> {
    check_lengths(parts)?;
    let stored = precision.stored(parts);
    let model = Model::unchecked(&stored, metadata.with_answers(&stored, Vec::new()));
    let probes = metadata.probes.iter().enumerate();
    let answers = probes.map(|(index, probe)| KnownAnswer::compute(&model, index, probe)).collect();
    let bytes = encode(parts, &metadata.with_answers(&stored, answers), precision)?;
    Model::from_bytes(&bytes)?;
    Ok(bytes)
}

/// The file, whether or not a loader would take it.
fn encode(
    parts: &ModelParts,
    metadata: &Metadata,
    precision: Precision,
) -> Result<Vec<u8>, serde_json::Error> {
    let tensors = tensors_of(parts, precision);
    let header = Header { metadata: &metadata.to_entries()?, tensors: &tensors };
    let mut json = serde_json::to_vec(&header)?;
    json.resize(json.len().next_multiple_of(8), b' ');
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend(json);
    for tensor in &tensors {
        bytes.extend(&tensor.data);
    }
    Ok(bytes)
}

fn check_lengths(parts: &ModelParts) -> Result<(), WriteError> {
    let check = |name, found, expected| {
        if found == expected { Ok(()) } else { Err(WriteError::Length { name, found, expected }) }
    };
    if let Some(ngrams) = &parts.ngrams {
        check(tensors::NGRAM_LIGHTWEIGHT, ngrams.lightweight.len(), NGRAM_BUCKETS)?;
        check(tensors::NGRAM_POWERFUL, ngrams.powerful.len(), NGRAM_BUCKETS)?;
    }
    if let Some(tags) = &parts.tags {
        check(tensors::TAG_COUNTS, tags.counts.len(), tags.buckets.len())?;
    }
    let Some(EmbeddingParts { space, prototypes, read_out }) = &parts.embedding else { return Ok(()) };
    if let Some(prototypes) = prototypes {
        let cells = prototypes.scale.len();
        check(tensors::PROTOTYPE_COUNTS, prototypes.counts.len(), cells)?;
        check(tensors::PROTOTYPE_CENTRES, prototypes.centres.len(), cells * space.dimensions)?;
    }
    if let Some(read_out) = read_out {
        check(tensors::READOUT_WEIGHT, read_out.weight.len(), 2 * space.dimensions)?;
    }
    Ok(())
}

/// One tensor, ready to be written.
struct Tensor {
    name: &'static str,
    dtype: &'static str,
    /// Bytes of one number.
    width: usize,
    shape: Vec<usize>,
    data: Vec<u8>,
}

impl Tensor {
    fn floats<'a>(name: &'static str, shape: &[usize], numbers: impl IntoIterator<Item = &'a f32>) -> Self {
        let data = numbers.into_iter().flat_map(|number| number.to_le_bytes()).collect();
        Self { name, dtype: "F32", width: 4, shape: shape.to_vec(), data }
    }

    fn table<'a>(name: &'static str, shape: &[usize], numbers: impl IntoIterator<Item = &'a i8>) -> Self {
        let data = numbers.into_iter().map(|number| number.cast_unsigned()).collect();
        Self { name, dtype: "I8", width: 1, shape: shape.to_vec(), data }
    }

    fn bits(name: &'static str, bytes: &[u8]) -> Self {
        Self { name, dtype: "U8", width: 1, shape: vec![bytes.len()], data: bytes.to_vec() }
    }

    fn words(name: &'static str, words: &[u64]) -> Self {
        let data = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        Self { name, dtype: "I64", width: 8, shape: vec![words.len()], data }
    }
}

/// All tensors, the widest numbers first so that each lies aligned.
fn tensors_of(parts: &ModelParts, precision: Precision) -> Vec<Tensor> {
    let mut tensors = Vec::new();
    if let Some(TagParts { buckets, counts, overall, prior }) = &parts.tags {
        tensors.push(Tensor::words(tensors::TAG_BUCKETS, buckets));
        tensors.push(Tensor::floats(tensors::TAG_COUNTS, &[counts.len(), 3], counts.as_flattened()));
        tensors.push(Tensor::floats(tensors::TAG_OVERALL, &[2], overall));
        tensors.push(Tensor::floats(tensors::TAG_PRIOR, &[1], [prior]));
    }
    tensors.extend(network_tensors(&parts.network, precision));
    if let Some(NgramParts { lightweight, powerful, scale, offset, sparse }) = &parts.ngrams {
        tensors.push(Tensor::floats(tensors::NGRAM_SCALE, &[2], scale));
        tensors.push(Tensor::floats(tensors::NGRAM_OFFSET, &[2], offset));
        let names = [tensors::NGRAM_LIGHTWEIGHT, tensors::NGRAM_POWERFUL];
        for ((name, places), table) in
            names.into_iter().zip(tensors::NGRAM_PLACES).zip([lightweight, powerful])
        {
            if *sparse {
                tensors.extend(sparse_table(name, places, table));
            } else {
                tensors.push(Tensor::table(name, &[table.len()], table));
            }
        }
    }
    if let Some(novelty) = &parts.novelty {
        tensors.push(Tensor::bits(tensors::NOVELTY_WORDS, novelty.filter.as_bytes()));
    }
    if let Some(embedding) = &parts.embedding {
        tensors.extend(embedding_tensors(embedding));
    }
    if let Some(candidate) = &parts.candidate {
        tensors.extend(candidate_tensors(candidate));
    }
    tensors.sort_by_key(|tensor| std::cmp::Reverse(tensor.width));
    tensors
}

/// The bytes that are not 0, and a bit for each place that has one.
fn sparse_table(name: &'static str, places: &'static str, table: &[i8]) -> [Tensor; 2] {
    let kept: Vec<i8> = table.iter().copied().filter(|byte| *byte != 0).collect();
    let bit = |(index, byte): (usize, &i8)| u8::from(*byte != 0) << index;
    let bits: Vec<u8> = table.chunks(8).map(|eight| eight.iter().enumerate().map(bit).sum()).collect();
    [Tensor::table(name, &[kept.len()], &kept), Tensor::bits(places, &bits)]
}

fn embedding_tensors(EmbeddingParts { space, prototypes, read_out }: &EmbeddingParts) -> Vec<Tensor> {
    let dimensions = space.dimensions;
    let mut tensors = Vec::new();
    if let Some(PrototypeParts { centres, scale, counts, overall, prior }) = prototypes {
        let cells = scale.len();
        tensors.push(Tensor::table(tensors::PROTOTYPE_CENTRES, &[cells, dimensions], centres));
        tensors.push(Tensor::floats(tensors::PROTOTYPE_SCALE, &[cells], scale));
        tensors.push(Tensor::floats(tensors::PROTOTYPE_COUNTS, &[cells, 3], counts.as_flattened()));
        tensors.push(Tensor::floats(tensors::PROTOTYPE_OVERALL, &[2], overall));
        tensors.push(Tensor::floats(tensors::PROTOTYPE_PRIOR, &[1], [prior]));
    }
    if let Some(ReadOutParts { weight, scale, offset }) = read_out {
        tensors.push(Tensor::table(tensors::READOUT_WEIGHT, &[2, dimensions], weight));
        tensors.push(Tensor::floats(tensors::READOUT_SCALE, &[2], scale));
        tensors.push(Tensor::floats(tensors::READOUT_OFFSET, &[2], offset));
    }
    tensors
}

fn candidate_tensors(weights: &CandidateWeights) -> [Tensor; 10] {
    const INPUTS: usize = candidate::INPUTS;
    const HIDDEN: usize = candidate::HIDDEN;
    let cell = &weights.cell;
    [
        Tensor::floats(tensors::CANDIDATE_MEAN, &[INPUTS], &weights.input_mean),
        Tensor::floats(tensors::CANDIDATE_STD, &[INPUTS], &weights.input_std),
        Tensor::floats(tensors::CANDIDATE_W, &[HIDDEN, INPUTS], cell.w.as_flattened()),
        Tensor::floats(tensors::CANDIDATE_U, &[HIDDEN, HIDDEN], cell.u.as_flattened()),
        Tensor::floats(tensors::CANDIDATE_BIAS_GATE, &[1, HIDDEN], &cell.bias_gate),
        Tensor::floats(tensors::CANDIDATE_BIAS_UPDATE, &[1, HIDDEN], &cell.bias_update),
        Tensor::floats(tensors::CANDIDATE_ZETA, &[1, 1], [&cell.zeta]),
        Tensor::floats(tensors::CANDIDATE_NU, &[1, 1], [&cell.nu]),
        Tensor::floats(
            tensors::CANDIDATE_HEAD_WEIGHT,
            &[candidate::HEADS, HIDDEN],
            weights.head_weight.as_flattened(),
        ),
        Tensor::floats(tensors::CANDIDATE_HEAD_BIAS, &[candidate::HEADS], &weights.head_bias),
    ]
}

fn network_tensors(network: &NetworkWeights, precision: Precision) -> Vec<Tensor> {
    let cell = &network.cell;
    let mut tensors = vec![
        Tensor::floats(tensors::STATISTICS_MEAN, &[STATISTICS], &network.statistics_mean),
        Tensor::floats(tensors::STATISTICS_STD, &[STATISTICS], &network.statistics_std),
        Tensor::floats(tensors::H0_BIAS, &[HIDDEN], &network.h0_bias),
        Tensor::floats(tensors::CELL_BIAS_GATE, &[1, HIDDEN], &cell.bias_gate),
        Tensor::floats(tensors::CELL_BIAS_UPDATE, &[1, HIDDEN], &cell.bias_update),
        Tensor::floats(tensors::CELL_ZETA, &[1, 1], [&cell.zeta]),
        Tensor::floats(tensors::CELL_NU, &[1, 1], [&cell.nu]),
        Tensor::floats(tensors::HEAD_BIAS, &[HEADS], &network.head_bias),
    ];
    tensors.extend(matrix(tensors::H0_MATRIX, &network.h0_weight, precision));
    tensors.extend(matrix(tensors::W_MATRIX, &cell.w, precision));
    tensors.extend(matrix(tensors::U_MATRIX, &cell.u, precision));
    tensors.extend(matrix(tensors::HEAD_MATRIX, &network.head_weight, precision));
    tensors
}

/// A matrix as it is, or in bytes with one scale a row.
fn matrix<const N: usize, const M: usize>(
    matrix: Matrix,
    rows: &[[f32; N]; M],
    precision: Precision,
) -> Vec<Tensor> {
    match precision {
        Precision::F32 => vec![Tensor::floats(matrix.name, &[M, N], rows.as_flattened())],
        Precision::Int8 => {
            let rows = rows.map(|row| QuantisedRow::of(&row));
            let bytes = rows.iter().flat_map(|row| &row.bytes);
            let scales = rows.iter().map(|row| &row.scale);
            vec![Tensor::table(matrix.name, &[M, N], bytes), Tensor::floats(matrix.scale, &[M], scales)]
        }
    }
}

/// The JSON header: metadata, then the tensors in the order of their data.
struct Header<'a> {
    metadata: &'a [(&'static str, String)],
    tensors: &'a [Tensor],
}

impl Serialize for Header<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("__metadata__", &Entries(self.metadata))?;
        let mut start = 0;
        for tensor in self.tensors {
            let end = start + tensor.data.len();
            let info = TensorInfo { dtype: tensor.dtype, shape: &tensor.shape, data_offsets: [start, end] };
            map.serialize_entry(tensor.name, &info)?;
            start = end;
        }
        map.end()
    }
}

struct Entries<'a>(&'a [(&'static str, String)]);

impl Serialize for Entries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

#[derive(Serialize)]
struct TensorInfo<'a> {
    dtype: &'static str,
    shape: &'a [usize],
    data_offsets: [usize; 2],
}
