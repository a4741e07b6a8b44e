//! Scores that are linear in the embedding.
#![allow(clippy::inline_always, reason = "products are compiled for each level of the processor")]

use super::{Evidence, EvidenceSource, Source, TierScores};
use crate::artifact::ReadOutParts;
use crate::embedding::dot;
use crate::features::Features;
use crate::simd::{Level, Simd, Work};

/// One weight a dimension for each tier: the score of a tier is `offset + scale * weight . embedding`.
#[derive(Debug, Clone)]
pub struct ReadOut {
    lightweight: Vec<f32>,
    powerful: Vec<f32>,
    offset: [f32; 2],
}

impl ReadOut {
    /// Prepares weights of so many dimensions.
    pub fn new(parts: &ReadOutParts, dimensions: usize) -> Self {
        let [first, second] = parts.scale;
        let scaled =
            |bytes: &[i8], scale: f32| bytes.iter().map(|byte| f32::from(*byte) * scale).collect::<Vec<_>>();
        let (lightweight, powerful) = parts.weight.split_at(dimensions.min(parts.weight.len()));
        Self {
            lightweight: scaled(lightweight, first),
            powerful: scaled(powerful, second),
            offset: parts.offset,
        }
    }
}

struct Products<'a> {
    read_out: &'a ReadOut,
    embedding: &'a [f32],
}

impl Work for Products<'_> {
    type Output = TierScores;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> TierScores {
        let ReadOut { lightweight, powerful, offset } = self.read_out;
        TierScores {
            lightweight: offset[0] + dot(simd, lightweight, self.embedding),
            powerful: offset[1] + dot(simd, powerful, self.embedding),
        }
    }
}

impl EvidenceSource for ReadOut {
    fn source(&self) -> Source {
        Source::ReadOut
    }

    /// Nothing without an embedding of these dimensions. Nothing is counted, so its weight is 0.
    fn evidence(&self, features: &Features) -> Option<Evidence> {
        let embedding = features.embedding().filter(|embedding| embedding.len() == self.lightweight.len())?;
        let scores = Level::best().run(Products { read_out: self, embedding });
        Some(Evidence::of_scores(Source::ReadOut, scores, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_out_is_linear_in_the_embedding_of_length_one() {
        let parts = ReadOutParts { weight: vec![10, 20, -5, 0], scale: [0.1, 0.5], offset: [0.25, -0.5] };
        let read_out = ReadOut::new(&parts, 2);
        let mut features = Features::extract("x", []);
        assert_eq!(read_out.evidence(&features), None);
        features.set_embedding(&[3.0, 4.0]).expect("must be an embedding");
        let evidence = read_out.evidence(&features).expect("must be there");
        let scores = TierScores { lightweight: 0.25 + 0.6 + 1.6, powerful: -0.5 - 1.5 };
        let expected = Evidence::of_scores(Source::ReadOut, scores, 0);
        assert!((evidence.value - expected.value).abs() < 1e-6);
        assert_eq!((evidence.source, evidence.weight), (Source::ReadOut, 0.0));
        features.set_embedding(&[1.0, 0.0, 0.0]).expect("must be an embedding");
        assert_eq!(read_out.evidence(&features), None);
    }
}
