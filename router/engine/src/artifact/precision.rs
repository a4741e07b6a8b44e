//! In which numbers the matrices of the network are kept.

use super::parts::ModelParts;
use crate::network::NetworkWeights;

/// The largest byte that is used; -128 is not, so that both signs reach equally far.
const LARGEST: f32 = 127.0;

/// How the matrices of the network are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// As they are.
    F32,
    /// In bytes, with one scale a row.
    Int8,
}

/// A row in bytes: a number is `byte * scale`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct QuantisedRow<const N: usize> {
    pub(super) bytes: [i8; N],
    pub(super) scale: f32,
}

impl<const N: usize> QuantisedRow<N> {
    /// The nearest bytes, a half going to the even one. Zero stays exactly zero, and the largest number
    /// becomes the largest byte.
    pub(super) fn of(row: &[f32; N]) -> Self {
        let largest = row.iter().fold(0.0_f32, |largest, number| largest.max(number.abs()));
        let scale = if largest / LARGEST > 0.0 { largest / LARGEST } else { 1.0 };
        let byte = |number: f32| (number / scale).round_ties_even().clamp(-LARGEST, LARGEST) as i8;
        Self { bytes: row.map(byte), scale }
    }

    /// The numbers that the bytes stand for.
    pub(super) fn numbers(&self) -> [f32; N] {
        self.bytes.map(|byte| f32::from(byte) * self.scale)
    }
}

impl Precision {
    /// The weights as whoever reads the file will have them.
    pub(super) fn stored(self, parts: &ModelParts) -> ModelParts {
        match self {
            Self::F32 => parts.clone(),
            Self::Int8 => ModelParts { network: rounded(&parts.network), ..parts.clone() },
        }
    }
}

fn rounded(network: &NetworkWeights) -> NetworkWeights {
    let mut rounded = *network;
    rounded.h0_weight = rounded_rows(&network.h0_weight);
    rounded.cell.w = rounded_rows(&network.cell.w);
    rounded.cell.u = rounded_rows(&network.cell.u);
    rounded.head_weight = rounded_rows(&network.head_weight);
    rounded
}

fn rounded_rows<const N: usize, const M: usize>(rows: &[[f32; N]; M]) -> [[f32; N]; M] {
    rows.map(|row| QuantisedRow::of(&row).numbers())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_half_goes_to_the_even_byte_and_zero_stays_zero() {
        let row = QuantisedRow::of(&[127.0, 0.5, 1.5, 2.5, -0.5, -1.5, 0.0]);
        assert_eq!((row.bytes, row.scale), ([127, 0, 2, 2, 0, -2, 0], 1.0));
        assert_eq!(row.numbers()[6].to_bits(), 0);
    }

    #[test]
    fn a_row_of_zeros_or_of_numbers_too_small_to_divide_is_zero() {
        for size in [0.0, f32::from_bits(1), f32::from_bits(60)] {
            assert_eq!(QuantisedRow::of(&[size, -size]).numbers(), [0.0; 2]);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_number_moves_by_half_a_byte_at_most(row in any::<[i16; 8]>(), size in 1e-6_f32..1e6) {
            let row = row.map(|number| f32::from(number) * size);
            let quantised = QuantisedRow::of(&row);
            for (kept, number) in quantised.numbers().iter().zip(row) {
                prop_assert!((kept - number).abs() <= quantised.scale * 0.500_01);
            }
            let largest = row.iter().fold(0.0_f32, |largest, number| largest.max(number.abs()));
            prop_assert!(largest == 0.0 || quantised.bytes.iter().any(|byte| byte.unsigned_abs() == 127));
        }
    }
}
