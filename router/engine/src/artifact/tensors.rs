//! The tensors of the format: names, and the numbers inside a container.

use safetensors::{Dtype, SafeTensors};

use super::LoadError;
use super::error::excerpt;
use super::precision::QuantisedRow;

pub(crate) const STATISTICS_MEAN: &str = "statistics.mean";
pub(crate) const STATISTICS_STD: &str = "statistics.std";
pub(crate) const H0_WEIGHT: &str = "h0.weight";
pub(crate) const H0_BIAS: &str = "h0.bias";
pub(crate) const CELL_W: &str = "cell.W";
pub(crate) const CELL_U: &str = "cell.U";
pub(crate) const CELL_BIAS_GATE: &str = "cell.bias_gate";
pub(crate) const CELL_BIAS_UPDATE: &str = "cell.bias_update";
pub(crate) const CELL_ZETA: &str = "cell.zeta";
pub(crate) const CELL_NU: &str = "cell.nu";
pub(crate) const HEAD_WEIGHT: &str = "head.weight";
pub(crate) const HEAD_BIAS: &str = "head.bias";
pub(crate) const NGRAM_LIGHTWEIGHT: &str = "ngram.lightweight";
pub(crate) const NGRAM_POWERFUL: &str = "ngram.powerful";
pub(crate) const NGRAM_SCALE: &str = "ngram.scale";
pub(crate) const NGRAM_OFFSET: &str = "ngram.offset";
pub(crate) const TAG_BUCKETS: &str = "tag.buckets";
pub(crate) const TAG_COUNTS: &str = "tag.counts";
pub(crate) const TAG_OVERALL: &str = "tag.overall";
pub(crate) const TAG_PRIOR: &str = "tag.prior";
pub(crate) const NOVELTY_WORDS: &str = "novelty.words";
pub(crate) const PROTOTYPE_CENTRES: &str = "prototype.centres";
pub(crate) const PROTOTYPE_SCALE: &str = "prototype.scale";
pub(crate) const PROTOTYPE_COUNTS: &str = "prototype.counts";
pub(crate) const PROTOTYPE_OVERALL: &str = "prototype.overall";
pub(crate) const PROTOTYPE_PRIOR: &str = "prototype.prior";
pub(crate) const READOUT_WEIGHT: &str = "readout.weight";
pub(crate) const READOUT_SCALE: &str = "readout.scale";
pub(crate) const READOUT_OFFSET: &str = "readout.offset";
pub(crate) const CANDIDATE_MEAN: &str = "candidate.input.mean";
pub(crate) const CANDIDATE_STD: &str = "candidate.input.std";
pub(crate) const CANDIDATE_W: &str = "candidate.cell.W";
pub(crate) const CANDIDATE_U: &str = "candidate.cell.U";
pub(crate) const CANDIDATE_BIAS_GATE: &str = "candidate.cell.bias_gate";
pub(crate) const CANDIDATE_BIAS_UPDATE: &str = "candidate.cell.bias_update";
pub(crate) const CANDIDATE_ZETA: &str = "candidate.cell.zeta";
pub(crate) const CANDIDATE_NU: &str = "candidate.cell.nu";
pub(crate) const CANDIDATE_HEAD_WEIGHT: &str = "candidate.head.weight";
pub(crate) const CANDIDATE_HEAD_BIAS: &str = "candidate.head.bias";

/// A matrix of the network, which may be kept in bytes with one scale a row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matrix {
    pub(crate) name: &'static str,
    pub(crate) scale: &'static str,
}

pub(crate) const MATRICES: [Matrix; 4] = [H0_MATRIX, W_MATRIX, U_MATRIX, HEAD_MATRIX];
pub(crate) const H0_MATRIX: Matrix = Matrix { name: H0_WEIGHT, scale: "h0.weight.scale" };
pub(crate) const W_MATRIX: Matrix = Matrix { name: CELL_W, scale: "cell.W.scale" };
pub(crate) const U_MATRIX: Matrix = Matrix { name: CELL_U, scale: "cell.U.scale" };
pub(crate) const HEAD_MATRIX: Matrix = Matrix { name: HEAD_WEIGHT, scale: "head.weight.scale" };

pub(crate) const NETWORK: [&str; 12] = [
    STATISTICS_MEAN,
    STATISTICS_STD,
    H0_WEIGHT,
    H0_BIAS,
    CELL_W,
    CELL_U,
    CELL_BIAS_GATE,
    CELL_BIAS_UPDATE,
    CELL_ZETA,
    CELL_NU,
    HEAD_WEIGHT,
    HEAD_BIAS,
];
/// Where the bytes of sparse tables are: lightweight, powerful.
pub(crate) const NGRAM_PLACES: [&str; 2] = ["ngram.lightweight.places", "ngram.powerful.places"];
pub(crate) const NGRAM: [&str; 4] = [NGRAM_LIGHTWEIGHT, NGRAM_POWERFUL, NGRAM_SCALE, NGRAM_OFFSET];
pub(crate) const TAG: [&str; 4] = [TAG_BUCKETS, TAG_COUNTS, TAG_OVERALL, TAG_PRIOR];
pub(crate) const NOVELTY: [&str; 1] = [NOVELTY_WORDS];
pub(crate) const PROTOTYPE: [&str; 5] =
    [PROTOTYPE_CENTRES, PROTOTYPE_SCALE, PROTOTYPE_COUNTS, PROTOTYPE_OVERALL, PROTOTYPE_PRIOR];
pub(crate) const READOUT: [&str; 3] = [READOUT_WEIGHT, READOUT_SCALE, READOUT_OFFSET];
pub(crate) const CANDIDATE: [&str; 10] = [
    CANDIDATE_MEAN,
    CANDIDATE_STD,
    CANDIDATE_W,
    CANDIDATE_U,
    CANDIDATE_BIAS_GATE,
    CANDIDATE_BIAS_UPDATE,
    CANDIDATE_ZETA,
    CANDIDATE_NU,
    CANDIDATE_HEAD_WEIGHT,
    CANDIDATE_HEAD_BIAS,
];
/// Everything but the scales of matrices.
const KNOWN: [&[&str]; 8] =
    [&NETWORK, &NGRAM, &NGRAM_PLACES, &TAG, &NOVELTY, &PROTOTYPE, &READOUT, &CANDIDATE];

/// The tensors of one container.
pub(crate) struct Tensors<'data>(pub(crate) SafeTensors<'data>);

impl Tensors<'_> {
    /// Refuses tensors that the format does not know.
    pub(crate) fn check_names(&self) -> Result<(), LoadError> {
        let scale = |matrix: Matrix, name: &str| matrix.scale == name && self.is_quantised(matrix);
        let known = |name: &&str| {
            KNOWN.iter().any(|group| group.contains(name))
                || MATRICES.iter().any(|matrix| scale(*matrix, name))
        };
        let mut names = self.0.names();
        names.sort_unstable();
        match names.into_iter().find(|name| !known(name)) {
            None => Ok(()),
            Some(name) => Err(LoadError::TensorUnknown { name: excerpt(name) }),
        }
    }

    /// Whether there is one of these.
    pub(crate) fn has_any(&self, names: &[&str]) -> bool {
        self.0.iter().any(|(name, _)| names.contains(&name))
    }

    /// The bytes of a tensor, its type and shape checked.
    fn bytes(&self, name: &'static str, expected: Dtype, shape: &[usize]) -> Result<&[u8], LoadError> {
        let tensor = self.0.tensor(name).map_err(|_| LoadError::TensorMissing { name })?;
        if tensor.dtype() != expected {
            return Err(LoadError::TensorDtype { name, found: tensor.dtype(), expected });
        }
        if tensor.shape() != shape {
            return Err(shape_error(name, tensor.shape(), &format!("{shape:?}")));
        }
        Ok(tensor.data())
    }

    /// The length of a tensor of one dimension, if it has one and is within the limit.
    pub(crate) fn length(&self, name: &'static str, most: usize) -> Result<usize, LoadError> {
        let tensor = self.0.tensor(name).map_err(|_| LoadError::TensorMissing { name })?;
        match *tensor.shape() {
            [length] if (1..=most).contains(&length) => Ok(length),
            ref shape => Err(shape_error(name, shape, &format!("[1 to {most}]"))),
        }
    }

    /// Finite numbers of this shape, row by row.
    pub(crate) fn floats(&self, name: &'static str, shape: &[usize]) -> Result<Vec<f32>, LoadError> {
        let (chunks, _) = self.bytes(name, Dtype::F32, shape)?.as_chunks::<4>();
        let numbers: Vec<f32> = chunks.iter().copied().map(f32::from_le_bytes).collect();
        match numbers.iter().position(|number| !number.is_finite()) {
            None => Ok(numbers),
            Some(index) => Err(LoadError::NotFinite { name, index }),
        }
    }

    /// `N` finite numbers of this shape.
    pub(crate) fn row<const N: usize>(
        &self,
        name: &'static str,
        shape: &[usize],
    ) -> Result<[f32; N], LoadError> {
        let mut row = [0.0; N];
        for (number, found) in row.iter_mut().zip(self.floats(name, shape)?) {
            *number = found;
        }
        Ok(row)
    }

    /// Whether a matrix is kept in bytes.
    pub(crate) fn is_quantised(&self, matrix: Matrix) -> bool {
        self.0.tensor(matrix.name).is_ok_and(|tensor| tensor.dtype() == Dtype::I8)
    }

    /// A matrix of `M` rows of `N` finite numbers, kept as such or in bytes.
    pub(crate) fn matrix<const N: usize, const M: usize>(
        &self,
        matrix: Matrix,
    ) -> Result<[[f32; N]; M], LoadError> {
        if self.is_quantised(matrix) {
            return self.quantised(matrix);
        }
        self.float_matrix(matrix.name)
    }

    /// A matrix of `M` rows of `N` finite numbers.
    pub(crate) fn float_matrix<const N: usize, const M: usize>(
        &self,
        name: &'static str,
    ) -> Result<[[f32; N]; M], LoadError> {
        let numbers = self.floats(name, &[M, N])?;
        let mut matrix = [[0.0; N]; M];
        for (row, found) in matrix.iter_mut().zip(numbers.as_chunks::<N>().0) {
            *row = *found;
        }
        Ok(matrix)
    }

    fn quantised<const N: usize, const M: usize>(&self, matrix: Matrix) -> Result<[[f32; N]; M], LoadError> {
        let bytes = self.bytes_signed(matrix.name, &[M, N])?;
        let scales: [f32; M] = self.row(matrix.scale, &[M])?;
        check_positive(matrix.scale, scales)?;
        let mut rows = [[0.0; N]; M];
        for ((row, &bytes), scale) in rows.iter_mut().zip(bytes.as_chunks::<N>().0).zip(scales) {
            *row = QuantisedRow { bytes, scale }.numbers();
        }
        match rows.as_flattened().iter().position(|number| !number.is_finite()) {
            None => Ok(rows),
            Some(index) => Err(LoadError::NotFinite { name: matrix.name, index }),
        }
    }

    /// Small integers.
    pub(crate) fn bytes_signed(&self, name: &'static str, shape: &[usize]) -> Result<Vec<i8>, LoadError> {
        Ok(self.bytes(name, Dtype::I8, shape)?.iter().map(|&byte| byte.cast_signed()).collect())
    }

    /// `N` bytes.
    pub(crate) fn bytes_unsigned<const N: usize>(&self, name: &'static str) -> Result<[u8; N], LoadError> {
        let mut bytes = [0; N];
        for (byte, found) in bytes.iter_mut().zip(self.bytes(name, Dtype::U8, &[N])?) {
            *byte = *found;
        }
        Ok(bytes)
    }

    /// Large integers, read as unsigned.
    pub(crate) fn words(&self, name: &'static str, length: usize) -> Result<Vec<u64>, LoadError> {
        let (chunks, _) = self.bytes(name, Dtype::I64, &[length])?.as_chunks::<8>();
        Ok(chunks.iter().copied().map(u64::from_le_bytes).collect())
    }
}

/// Refuses numbers that something is divided by and that are not positive.
pub(crate) fn check_positive(
    name: &'static str,
    numbers: impl IntoIterator<Item = f32>,
) -> Result<(), LoadError> {
    match numbers.into_iter().position(|number| number <= 0.0) {
        None => Ok(()),
        Some(index) => Err(LoadError::NotPositive { name, index }),
    }
}

fn shape_error(name: &'static str, found: &[usize], expected: &str) -> LoadError {
    // A shape from a file may have any number of dimensions.
    let found = excerpt(&format!("{found:?}"));
    LoadError::TensorShape { name, found, expected: expected.to_owned() }
}
