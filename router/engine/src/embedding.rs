//! Embeddings that a caller supplies with a request.
#![allow(clippy::inline_always, reason = "products are compiled for each level of the processor")]

use serde::{Deserialize, Serialize};

use crate::simd::{LANES, Simd};

/// The most numbers an embedding may have.
pub const MOST_DIMENSIONS: usize = 4_096;

/// What embeddings a model reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddingSpace {
    /// The embedder's name, such as `all-MiniLM-L6-v2`.
    pub name: String,
    /// Numbers of an embedding.
    pub dimensions: usize,
    /// A prompt is novel if it is less similar than this (cosine) to every prototype.
    pub least_similarity: f32,
}

/// Numbers that are no embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EmbeddingError {
    /// There are none, or too many.
    #[error("an embedding must have 1 to {MOST_DIMENSIONS} numbers, this one has {found}")]
    Length {
        /// How many there are.
        found: usize,
    },
    /// A number is infinite or none.
    #[error("an embedding must be finite, number {index} is not")]
    NotFinite {
        /// Which one.
        index: usize,
    },
    /// It has no direction.
    #[error("an embedding must not be zero everywhere")]
    Zero,
}

/// Checks an embedding and keeps it, scaled to length 1, in `kept`; what was kept before is gone.
pub(crate) fn keep(embedding: &[f32], kept: &mut Vec<f32>) -> Result<(), EmbeddingError> {
    kept.clear();
    check(embedding)?;
    kept.extend_from_slice(embedding);
    unit(kept);
    Ok(())
}

/// Whether these numbers are an embedding.
pub(crate) fn check(embedding: &[f32]) -> Result<(), EmbeddingError> {
    if !(1..=MOST_DIMENSIONS).contains(&embedding.len()) {
        return Err(EmbeddingError::Length { found: embedding.len() });
    }
    if let Some(index) = embedding.iter().position(|number| !number.is_finite()) {
        return Err(EmbeddingError::NotFinite { index });
    }
    if embedding.iter().all(|number| *number == 0.0) {
        return Err(EmbeddingError::Zero);
    }
    Ok(())
}

/// Scales numbers to length 1; zeros stay. The squares of f32 neither overflow nor vanish in f64.
pub(crate) fn unit(numbers: &mut [f32]) {
    let square = numbers.iter().fold(0.0, |sum, number| sum + f64::from(*number) * f64::from(*number));
    if square > 0.0 {
        let length = square.sqrt();
        for number in numbers {
            *number = (f64::from(*number) / length) as f32;
        }
    }
}

/// The scalar product. Products are rounded before they are added, and sums are taken in one order, so that all levels
/// give the same bits: training has to give the same bytes anywhere. To be called inside a level's own function.
#[inline(always)]
pub(crate) fn dot<S: Simd>(simd: S, one: &[f32], other: &[f32]) -> f32 {
    let mut sums = [simd.splat(0.0); 2];
    let ((one, one_rest), (other, other_rest)) =
        (one.as_chunks::<{ 2 * LANES }>(), other.as_chunks::<{ 2 * LANES }>());
    for (one, other) in one.iter().zip(other) {
        let ((one, _), (other, _)) = (one.as_chunks::<LANES>(), other.as_chunks::<LANES>());
        for (sum, (one, other)) in sums.iter_mut().zip(one.iter().zip(other)) {
            *sum = simd.add(*sum, simd.mul(simd.load(one), simd.load(other)));
        }
    }
    let mut lanes = simd.store(simd.add(sums[0], sums[1]));
    for (lane, (one, other)) in (0..LANES).cycle().zip(one_rest.iter().zip(other_rest)) {
        lanes[lane] += one * other;
    }
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        let (first, second) = lanes.split_at_mut(width);
        first.iter_mut().zip(second).for_each(|(first, second)| *first += *second);
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Level, Work};
    use proptest::prelude::*;

    struct Product<'a>(&'a [f32], &'a [f32]);

    impl Work for Product<'_> {
        type Output = f32;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> f32 {
            dot(simd, self.0, self.1)
        }
    }

    #[test]
    fn what_is_no_embedding_is_refused_and_what_was_there_before_is_gone() {
        let mut kept = vec![1.0];
        assert_eq!(keep(&[], &mut kept), Err(EmbeddingError::Length { found: 0 }));
        assert!(kept.is_empty());
        let long = vec![1.0; MOST_DIMENSIONS + 1];
        assert_eq!(keep(&long, &mut kept), Err(EmbeddingError::Length { found: MOST_DIMENSIONS + 1 }));
        for number in [f32::NAN, f32::INFINITY] {
            assert_eq!(keep(&[1.0, number], &mut kept), Err(EmbeddingError::NotFinite { index: 1 }));
        }
        assert_eq!(keep(&[0.0, -0.0], &mut kept), Err(EmbeddingError::Zero));
    }

    #[test]
    fn an_embedding_of_any_size_is_kept_with_length_one() {
        for size in [f32::from_bits(1), 1e-30, 1.0, f32::MAX] {
            let mut kept = Vec::new();
            keep(&[size, 0.0, -size], &mut kept).expect("must be kept");
            let half = std::f32::consts::FRAC_1_SQRT_2;
            assert_eq!(kept, [half, 0.0, -half], "{size}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_scalar_product_is_that_of_the_plain_sum_and_the_same_at_every_level(pairs in prop::collection::vec((-1.0_f32..1.0, -1.0_f32..1.0), 0..100)) {
            let (one, other): (Vec<f32>, Vec<f32>) = pairs.iter().copied().unzip();
            let plain: f64 = pairs.iter().map(|(one, other)| f64::from(*one) * f64::from(*other)).sum();
            let products = Level::all().into_iter().map(|level| level.run(Product(&one, &other)));
            let products: Vec<f32> = products.collect();
            prop_assert!((f64::from(products[0]) - plain).abs() < 1e-5);
            prop_assert!(products.iter().all(|product| product.to_bits() == products[0].to_bits()));
        }
    }
}
