//! Counted outcomes of prompts whose embedding is similar.
#![allow(clippy::inline_always, reason = "the search is compiled for each level of the processor")]

use super::{Counts, Evidence, EvidenceSource, Source};
use crate::artifact::PrototypeParts;
use crate::embedding::{dot, unit};
use crate::features::Features;
use crate::numerics::exp;
use crate::simd::{Level, Simd, Work};

/// Cells that are looked at: the most similar ones.
pub const NEAREST: usize = 8;
/// How fast a cell's weight falls with its similarity, the nearest one having weight 1.
pub(crate) const SHARPNESS: f32 = 10.0;

/// The cells of a space of embeddings, each with what was counted in it.
#[derive(Debug, Clone)]
pub struct Prototypes {
    dimensions: usize,
    /// Centres of length 1, one after the other.
    centres: Vec<f32>,
    counts: Vec<Counts>,
    overall: [f32; 2],
    prior: f32,
}

/// A cell and how similar it is.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Near {
    similarity: f32,
    cell: usize,
}

/// The most similar cells, in descending order; of equal ones the first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Nearest([Option<Near>; NEAREST]);

impl Nearest {
    /// Cosine of the nearest cell, -1 to 1.
    pub(crate) fn similarity(&self) -> Option<f32> {
        let [nearest, ..] = self.0;
        nearest.map(|near| near.similarity)
    }
}

impl Prototypes {
    /// Prepares cells of so many dimensions.
    pub fn new(parts: &PrototypeParts, dimensions: usize) -> Self {
        let mut centres = vec![0.0; parts.counts.len() * dimensions];
        let rows = centres.chunks_exact_mut(dimensions.max(1));
        for ((row, bytes), scale) in rows.zip(parts.centres.chunks_exact(dimensions.max(1))).zip(&parts.scale)
        {
            for (number, byte) in row.iter_mut().zip(bytes) {
                *number = f32::from(*byte) * scale;
            }
            unit(row);
        }
        let counts = parts.counts.iter().map(|row| (*row).into()).collect();
        Self { dimensions, centres, counts, overall: parts.overall, prior: parts.prior }
    }

    /// Cosine of the nearest cell, -1 to 1; nothing without an embedding of these dimensions.
    pub fn similarity(&self, features: &Features) -> Option<f32> {
        self.nearest(features)?.similarity()
    }

    /// The cells that evidence and similarity are taken from; nothing without an embedding of these dimensions.
    pub(crate) fn nearest(&self, features: &Features) -> Option<Nearest> {
        let embedding = features.embedding().filter(|embedding| embedding.len() == self.dimensions)?;
        Some(self.nearest_at(Level::best(), embedding))
    }

    /// What was counted in these cells, the most in the nearest.
    pub(crate) fn evidence_of(&self, nearest: &Nearest) -> Option<Evidence> {
        let best = nearest.similarity()?;
        let mut total = Counts::default();
        for near in nearest.0.iter().flatten() {
            let Some(counts) = self.counts.get(near.cell) else { continue };
            let share = exp(SHARPNESS * (near.similarity - best));
            total += Counts {
                requests: share * counts.requests,
                gain: share * counts.gain,
                good_enough: share * counts.good_enough,
            };
        }
        Some(Evidence::of_counts(Source::Prototype, total, self.overall, self.prior))
    }

    #[inline(always)]
    fn similarities<S: Simd>(&self, simd: S, embedding: &[f32]) -> impl Iterator<Item = f32> {
        self.centres.chunks_exact(self.dimensions.max(1)).map(move |centre| dot(simd, centre, embedding))
    }

    fn nearest_at(&self, level: Level, embedding: &[f32]) -> Nearest {
        level.run(Search { prototypes: self, embedding })
    }

    #[inline(always)]
    fn search<S: Simd>(&self, simd: S, embedding: &[f32]) -> Nearest {
        let mut nearest = [None; NEAREST];
        for (cell, similarity) in self.similarities(simd, embedding).enumerate() {
            let mut carried = Some(Near { similarity, cell });
            for place in &mut nearest {
                if place.is_none_or(|there: Near| carried.is_some_and(|it| it.similarity > there.similarity))
                {
                    std::mem::swap(place, &mut carried);
                }
            }
        }
        Nearest(nearest)
    }
}

struct Search<'a> {
    prototypes: &'a Prototypes,
    embedding: &'a [f32],
}

impl Work for Search<'_> {
    type Output = Nearest;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Nearest {
        self.prototypes.search(simd, self.embedding)
    }
}

impl EvidenceSource for Prototypes {
    fn source(&self) -> Source {
        Source::Prototype
    }

    fn evidence(&self, features: &Features) -> Option<Evidence> {
        self.evidence_of(&self.nearest(features)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twelve cells around the circle, 30 degrees apart, with as many requests as their number.
    fn prototypes() -> Prototypes {
        let angles = (0..12).map(|cell| f64::from(cell) * std::f64::consts::PI / 6.0);
        let centres = angles.flat_map(|angle| [(angle.cos() * 100.0) as i8, (angle.sin() * 100.0) as i8]);
        let parts = PrototypeParts {
            centres: centres.collect(),
            scale: vec![0.01; 12],
            counts: (0..12).map(|cell| [1.0 + cell as f32, cell as f32 / 2.0, 1.0]).collect(),
            overall: [0.1, 0.8],
            prior: 10.0,
        };
        Prototypes::new(&parts, 2)
    }

    fn features(embedding: &[f32]) -> Features {
        let mut features = Features::extract("x", []);
        features.set_embedding(embedding).expect("must be an embedding");
        features
    }

    #[test]
    fn the_eight_most_similar_cells_count_and_the_nearest_counts_most() {
        let prototypes = prototypes();
        let near = prototypes.nearest_at(Level::best(), &[1.0, 0.0]).0;
        let cells: Vec<usize> = near.iter().flatten().map(|near| near.cell).collect();
        assert_eq!(cells.len(), NEAREST);
        assert_eq!(cells[0], 0);
        assert!([1, 2, 3, 9, 10, 11].iter().all(|cell| cells.contains(cell)), "{cells:?}");
        let evidence = prototypes.evidence(&features(&[2.0, 0.0])).expect("must be there");
        let mut total = Counts::default();
        for near in near.iter().flatten() {
            let share = exp(10.0 * (near.similarity - near_best(&prototypes)));
            let cell = near.cell as f32;
            total +=
                Counts { requests: share * (1.0 + cell), gain: share * (cell / 2.0), good_enough: share };
        }
        assert_eq!(evidence, Evidence::of_counts(Source::Prototype, total, [0.1, 0.8], 10.0));
    }

    #[test]
    fn every_level_finds_the_same_to_the_bit() {
        let numbers = |seed: u32, count: usize| {
            let number =
                |place: usize| ((place as u32 + seed).wrapping_mul(2_654_435_761) >> 8) as f32 / 8e6 - 1.0;
            (0..count).map(number).collect::<Vec<f32>>()
        };
        let parts = PrototypeParts {
            centres: numbers(1, 20 * 131).iter().map(|number| (number * 100.0) as i8).collect(),
            scale: vec![0.01; 20],
            counts: vec![[1.0, 0.5, 1.0]; 20],
            overall: [0.1, 0.8],
            prior: 10.0,
        };
        let (prototypes, embedding) = (Prototypes::new(&parts, 131), numbers(7, 131));
        let plain = prototypes.nearest_at(Level::all()[0], &embedding);
        for level in Level::all() {
            assert_eq!(prototypes.nearest_at(level, &embedding), plain, "{}", level.name());
        }
    }

    fn near_best(prototypes: &Prototypes) -> f32 {
        prototypes.similarity(&features(&[1.0, 0.0])).expect("must be there")
    }

    #[test]
    fn similarity_is_the_cosine_of_the_nearest_centre() {
        assert!((near_best(&prototypes()) - 1.0).abs() < 1e-6);
        let between = prototypes().similarity(&features(&[0.965_925_8, 0.258_819_04])).unwrap();
        assert!((between - 0.965_925_8).abs() < 0.01, "{between}");
    }

    #[test]
    fn without_an_embedding_of_these_dimensions_there_is_no_evidence() {
        let prototypes = prototypes();
        for features in [Features::extract("x", []), features(&[1.0, 0.0, 0.0])] {
            assert_eq!(prototypes.evidence(&features), None);
            assert_eq!(prototypes.similarity(&features), None);
        }
    }
}
