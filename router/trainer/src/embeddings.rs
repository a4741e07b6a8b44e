//! Embeddings of the rows: from a safetensors file beside the data, or made by a token table.

use std::path::{Path, PathBuf};

use half::f16;
use safetensors::{Dtype, SafeTensors};
use simsimd::SpatialSimilarity;
use tinydancer_engine::Digest;
use tinydancer_engine::token_table::TokenTable;

use crate::data::Row;

/// Accumulators of a dot product: independent sums that the processor can take at once, in a fixed order.
const LANES: usize = 8;

/// Why embeddings could not be read.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddingsError {
    /// The file could not be read.
    #[error("failed to read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Not what is expected.
    #[error("{path} must be a safetensors file with one tensor [rows, dimensions] of F16 or F32 ({problem})")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Another number of rows than the data file.
    #[error(
        "{path} must hold one embedding for each line of the data file: it holds {embeddings}, {wanted} is asked for"
    )]
    Rows {
        /// The file.
        path: PathBuf,
        /// How many it holds.
        embeddings: usize,
        /// The line, counted from 1.
        wanted: usize,
    },
}

/// One unit vector a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    name: String,
    dimensions: usize,
    values: Vec<f32>,
}

impl Embeddings {
    /// Reads the embeddings of these lines (from 0) of the data file, in this order, and brings them to length 1. They
    /// are called as the tensor, unless the embedder has a `name`.
    ///
    /// # Errors
    /// If the file is of another form or too short.
    pub fn load(path: &Path, lines: &[usize], name: Option<&str>) -> Result<Self, EmbeddingsError> {
        let bytes =
            std::fs::read(path).map_err(|source| EmbeddingsError::Read { path: path.to_owned(), source })?;
        let (tensor, dimensions, all) =
            parse(&bytes).map_err(|problem| EmbeddingsError::Format { path: path.to_owned(), problem })?;
        let mut values = Vec::with_capacity(lines.len() * dimensions);
        for line in lines {
            let Some(row) = all.get(line * dimensions..(line + 1) * dimensions) else {
                let embeddings = all.len() / dimensions;
                return Err(EmbeddingsError::Rows { path: path.to_owned(), embeddings, wanted: line + 1 });
            };
            values.extend(unit(row));
        }
        Ok(Self { name: name.map_or(tensor, str::to_owned), dimensions, values })
    }

    /// What a token table makes of the prompts; zero for one without a known token.
    pub fn of_tokens(table: &TokenTable, rows: &[Row]) -> Self {
        let mut values = Vec::with_capacity(rows.len() * table.dimensions());
        for row in rows {
            let embedding = table.embed(&row.prompt).unwrap_or_else(|| vec![0.0; table.dimensions()]);
            values.extend(unit(&embedding));
        }
        Self { name: table.name().to_owned(), dimensions: table.dimensions(), values }
    }

    /// The embedder's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Of the embedder's name and every number.
    pub fn digest(&self) -> Digest {
        let numbers = self.values.iter().flat_map(|value| value.to_le_bytes());
        Digest::of(&self.name.bytes().chain([0]).chain(numbers).collect::<Vec<u8>>())
    }

    /// Components of an embedding.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// The unit vector of a row.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.dimensions..(row + 1) * self.dimensions]
    }

    /// As [`Embeddings::row`]; nothing for one without a direction.
    pub fn known(&self, row: usize) -> Option<&[f32]> {
        Some(self.row(row)).filter(|row| row.iter().any(|value| *value != 0.0))
    }

    /// The cosine of two rows, added up in the order of the processor at hand: for baselines, whose figures are shown
    /// to three digits, and not for what ends up in an artifact.
    pub fn cosine(&self, one: usize, other: usize) -> f64 {
        // Rows have the same length.
        f32::dot(self.row(one), self.row(other)).unwrap_or(0.0)
    }
}

/// Name of the tensor, dimensions, and the numbers row by row.
fn parse(bytes: &[u8]) -> Result<(String, usize, Vec<f32>), String> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let tensors = file.tensors();
    let [(name, tensor)] = &tensors[..] else { return Err(format!("it has {} tensors", tensors.len())) };
    let [_, dimensions] = *tensor.shape() else { return Err(format!("its shape is {:?}", tensor.shape())) };
    if dimensions == 0 {
        return Err("its rows are empty".to_owned());
    }
    let values: Vec<f32> = match tensor.dtype() {
        Dtype::F16 => {
            tensor.data().as_chunks().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect()
        }
        Dtype::F32 => tensor.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        other => return Err(format!("its numbers are {other:?}")),
    };
    if values.iter().any(|value| !value.is_finite()) {
        return Err("it holds infinite values or some that are no number".to_owned());
    }
    Ok((name.clone(), dimensions, values))
}

fn unit(row: &[f32]) -> impl Iterator<Item = f32> {
    let norm = dot(row, row).sqrt().max(f32::MIN_POSITIVE);
    row.iter().map(move |value| value / norm)
}

/// The scalar product, added up in one fixed order.
pub(crate) fn dot(one: &[f32], other: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    let (one, one_rest) = one.as_chunks::<LANES>();
    let (other, other_rest) = other.as_chunks::<LANES>();
    for (one, other) in one.iter().zip(other) {
        for lane in 0..LANES {
            sums[lane] += one[lane] * other[lane];
        }
    }
    let rest: f32 = one_rest.iter().zip(other_rest).map(|(one, other)| one * other).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::TensorView;

    use super::*;

    fn file(dtype: Dtype, shape: [usize; 2], data: &[u8]) -> tempfile::NamedTempFile {
        let view = TensorView::new(dtype, shape.to_vec(), data).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), safetensors::serialize([("x", view)], None).unwrap()).unwrap();
        file
    }

    #[test]
    fn half_and_single_precision_give_the_same_unit_vectors_of_the_lines_asked_for() {
        let values = [3.0_f32, 4.0, 0.0, 2.0, 5.0, 12.0];
        let single: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let half: Vec<u8> = values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect();
        let (single, half) = (file(Dtype::F32, [3, 2], &single), file(Dtype::F16, [3, 2], &half));
        let embeddings = Embeddings::load(single.path(), &[2, 0], None).unwrap();
        assert_eq!(embeddings, Embeddings::load(half.path(), &[2, 0], None).unwrap());
        assert_eq!((embeddings.row(1), embeddings.dimensions()), (&[0.6_f32, 0.8][..], 2));
        let named = Embeddings::load(single.path(), &[0], Some("mine")).unwrap();
        assert_eq!((embeddings.name(), named.name()), ("x", "mine"));
        assert_ne!(embeddings.digest(), named.digest());
        assert!((embeddings.cosine(0, 1) - (15.0 + 48.0) / 65.0).abs() < 1e-6);
        let error = Embeddings::load(single.path(), &[3], None).unwrap_err().to_string();
        assert!(error.contains("holds 3, 4 is asked for"), "{error}");
    }

    #[test]
    fn what_is_no_table_of_numbers_is_refused() {
        let bytes = file(Dtype::U8, [1, 2], &[1, 2]);
        assert!(Embeddings::load(bytes.path(), &[], None).unwrap_err().to_string().contains("F16 or F32"));
        let empty = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(Embeddings::load(empty.path(), &[], None), Err(EmbeddingsError::Format { .. })));
        let nan = file(Dtype::F32, [1, 1], &f32::NAN.to_le_bytes());
        assert!(Embeddings::load(nan.path(), &[0], None).unwrap_err().to_string().contains("no number"));
    }

    #[test]
    fn a_dot_product_takes_every_component_once() {
        let values: Vec<f32> = (0..21).map(|x| x as f32).collect();
        assert_eq!(dot(&values, &[1.0; 21]), 210.0);
    }
}
