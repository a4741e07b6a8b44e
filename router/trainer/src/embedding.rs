//! What is counted and fitted about embeddings: cells of the space with the outcomes of their rows, and a score for
//! each tier that is linear in the embedding.

mod cells;
mod read_out;

use tinydancer_engine::Features;
use tinydancer_engine::artifact::{EmbeddingParts, PrototypeParts, ReadOutParts};
use tinydancer_engine::embedding::EmbeddingSpace;
use tinydancer_engine::evidence::{Counts, Evidence, EvidenceSource, Prototypes, ReadOut};

use crate::corpus::Example;
use crate::random::Random;

/// Pseudo-counts that draw cells with few rows to the overall means.
const PRIOR: f32 = 10.0;
/// The share of prompts like the training rows that may be too far from every cell; that of unseen words is the same.
const FAR_SHARE: f64 = 0.03;

/// Cells and read-out as the artifact keeps them, in bytes; evidence is what the engine makes of those.
#[derive(Debug, Clone)]
pub struct EmbeddingTables {
    dimensions: usize,
    prototypes: PrototypeParts,
    read_out: ReadOutParts,
    /// A row is novel if it is less similar than this to every cell.
    least_similarity: f32,
    cells: Prototypes,
    linear: ReadOut,
}

impl EmbeddingTables {
    /// Fits on the examples that have an embedding; nothing if none has.
    pub fn fit<'a>(examples: impl Iterator<Item = &'a Example>, random: &mut Random) -> Option<Self> {
        let known: Vec<&Example> = examples.filter(|example| !example.embedding.is_empty()).collect();
        let rows: Vec<&[f32]> = known.iter().map(|example| &example.embedding[..]).collect();
        let dimensions = rows.first()?.len();
        let centres = cells::centres(&rows, random);
        let prototypes = counted(&cells::quantise(&centres), &known);
        let targets: Vec<[f64; 2]> =
            known.iter().map(|example| [example.targets[0], example.targets[1]]).collect();
        let read_out = read_out::fit(&rows, &targets, random);
        let (cells, linear) = (Prototypes::new(&prototypes, dimensions), ReadOut::new(&read_out, dimensions));
        Some(Self { dimensions, prototypes, read_out, least_similarity: -1.0, cells, linear })
    }

    /// The evidence of an embedding: cells, then read-out. Nothing for an empty one.
    pub fn evidence(&self, embedding: &[f32]) -> Vec<Evidence> {
        let Some(features) = features(embedding) else { return Vec::new() };
        let sources: [&dyn EvidenceSource; 2] = [&self.cells, &self.linear];
        sources.into_iter().filter_map(|source| source.evidence(&features)).collect()
    }

    /// The cosine of the nearest cell; nothing for an empty embedding.
    pub fn similarity(&self, embedding: &[f32]) -> Option<f32> {
        self.cells.similarity(&features(embedding)?)
    }

    /// Takes as novel what is less similar than all but few of these: those of rows whose cells have not seen them.
    pub fn limit(&mut self, mut similarities: Vec<f32>) {
        similarities.sort_by(f32::total_cmp);
        let far = (similarities.len() as f64 * FAR_SHARE) as usize;
        self.least_similarity = similarities.get(far).map_or(-1.0, |similarity| similarity.clamp(-1.0, 1.0));
    }

    /// As an artifact keeps them, for the embedder of this name.
    pub fn parts(&self, name: String) -> EmbeddingParts {
        let least_similarity = self.least_similarity;
        EmbeddingParts {
            space: EmbeddingSpace { name, dimensions: self.dimensions, least_similarity },
            prototypes: Some(self.prototypes.clone()),
            read_out: Some(self.read_out.clone()),
        }
    }
}

fn features(embedding: &[f32]) -> Option<Features> {
    let mut features = Features::default();
    features.set_embedding(embedding).ok()?;
    Some(features)
}

/// The outcomes of the rows nearest to each cell; cells without a row are left out.
fn counted(cells: &[cells::Quantised], known: &[&Example]) -> PrototypeParts {
    let centres: Vec<Vec<f32>> = cells.iter().map(cells::Quantised::centre).collect();
    let mut counts = vec![Counts::default(); cells.len()];
    let mut all = Counts::default();
    for example in known {
        let good_enough = f32::from(u8::from(example.targets[2] > 0.5));
        let one = Counts { requests: 1.0, gain: example.gain as f32, good_enough };
        all += one;
        if let Some(counts) =
            cells::nearest(&centres, &example.embedding).and_then(|cell| counts.get_mut(cell))
        {
            *counts += one;
        }
    }
    let kept = || cells.iter().zip(&counts).filter(|(_, counts)| counts.requests > 0.0);
    PrototypeParts {
        centres: kept().flat_map(|(cell, _)| cell.bytes.iter().copied()).collect(),
        scale: kept().map(|(cell, _)| cell.scale).collect(),
        counts: kept().map(|(_, counts)| [counts.requests, counts.gain, counts.good_enough]).collect(),
        overall: [all.gain, all.good_enough].map(|sum| sum / all.requests.max(1.0)),
        prior: PRIOR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two bundles of directions; Lightweight fails on the rows of the second.
    fn examples() -> Vec<Example> {
        let mut random = Random::stream(8, 8);
        (0..400)
            .map(|row| {
                let hard = row % 2 == 1;
                let near = [if hard { 0.0 } else { 3.0 }, if hard { 3.0 } else { 0.0 }, 0.0, 0.0];
                let embedding = near.map(|number: f64| (number + random.normal()) as f32);
                let right = f64::from(u8::from(!hard));
                Example {
                    statistics: [0.0; 15],
                    buckets: Vec::new(),
                    words: Vec::new(),
                    tags: Vec::new(),
                    embedding: features(&embedding).unwrap().embedding().unwrap().to_vec(),
                    targets: [right, 1.0, right],
                    gain: 1.0 - right,
                }
            })
            .collect()
    }

    fn fit(examples: &[Example]) -> EmbeddingTables {
        EmbeddingTables::fit(examples.iter(), &mut Random::stream(1, 1)).unwrap()
    }

    #[test]
    fn where_the_lightweight_model_fails_cells_and_read_out_say_so() {
        let examples = examples();
        let tables = fit(&examples);
        let [easy, hard] = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]].map(|it| tables.evidence(&it));
        assert_eq!((easy.len(), hard.len()), (2, 2));
        for (easy, hard) in easy.iter().zip(&hard) {
            assert!(hard.value > easy.value + 0.5 && hard.good_enough < easy.good_enough - 0.5);
        }
        assert!(tables.evidence(&[]).is_empty());
    }

    #[test]
    fn every_row_is_counted_in_one_cell_and_no_cell_is_empty() {
        let counts = fit(&examples()).prototypes.counts;
        assert_eq!(counts.iter().map(|counts| counts[0]).sum::<f32>(), 400.0);
        assert!(counts.iter().all(|counts| counts[0] > 0.0));
    }

    #[test]
    fn rows_without_an_embedding_are_passed_over_and_none_with_one_is_no_table() {
        let mut examples = examples();
        let parts = fit(&examples).parts("made".to_owned());
        let silent = Example { embedding: Vec::new(), ..examples[0].clone() };
        examples.extend(vec![silent.clone(); 10]);
        assert_eq!(fit(&examples).parts("made".to_owned()), parts);
        assert!(EmbeddingTables::fit([&silent].into_iter(), &mut Random::stream(1, 1)).is_none());
    }

    #[test]
    fn three_in_a_hundred_are_less_similar_than_the_limit() {
        let mut tables = fit(&examples());
        tables.limit((0..1000_u16).rev().map(|row| f32::from(row) / 1000.0).collect());
        assert_eq!(tables.least_similarity, 0.03);
        tables.limit(Vec::new());
        assert_eq!(tables.least_similarity, -1.0);
    }
}
