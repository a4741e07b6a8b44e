//! Rows as the engine's extractor sees them.

use tinydancer_engine::Features;
use tinydancer_engine::features::STATISTICS;

use crate::data::Row;
use crate::embeddings::Embeddings;

/// The features of one row with its outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// Statistics of the prompt, not normalised.
    pub statistics: [f32; STATISTICS],
    /// Distinct n-gram buckets.
    pub buckets: Vec<u16>,
    /// Hashes of the distinct words.
    pub words: Vec<u64>,
    /// Buckets of the tags.
    pub tags: Vec<u64>,
    /// Of length 1; empty for a row without one, and for a model that reads none.
    pub embedding: Vec<f32>,
    /// What each head should say: Lightweight right, Powerful right, Lightweight good enough.
    pub targets: [f64; 3],
    /// `q_P - q_L`.
    pub gain: f64,
}

/// Reads the features of every row, with the extractor that serves.
pub fn extract(rows: &[Row]) -> Vec<Example> {
    let mut features = Features::default();
    rows.iter()
        .map(|row| {
            features.extract_into(&row.prompt, row.tags());
            Example {
                statistics: *features.statistics(),
                buckets: features.ngrams().to_vec(),
                words: features.words().to_vec(),
                tags: features.tags().to_vec(),
                embedding: Vec::new(),
                targets: row.targets(),
                gain: row.gain(),
            }
        })
        .collect()
}

/// As [`extract`], each row with its embedding; `embeddings` are theirs, in the same order.
pub fn extract_with(rows: &[Row], embeddings: &Embeddings) -> Vec<Example> {
    let mut examples = extract(rows);
    for (row, example) in examples.iter_mut().enumerate() {
        example.embedding = embeddings.known(row).map(<[f32]>::to_vec).unwrap_or_default();
    }
    examples
}

/// How statistics are brought to mean 0 and standard deviation 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normalisation {
    /// Mean of each statistic.
    pub mean: [f32; STATISTICS],
    /// Standard deviation of each statistic; 1 for one that never changes.
    pub std: [f32; STATISTICS],
}

impl Normalisation {
    /// Means and standard deviations of the examples.
    pub fn fit(examples: &[Example]) -> Self {
        let count = examples.len().max(1) as f64;
        let mean: [f64; STATISTICS] = std::array::from_fn(|index| {
            examples.iter().map(|example| f64::from(example.statistics[index])).sum::<f64>() / count
        });
        let std = std::array::from_fn(|index| {
            let squares =
                examples.iter().map(|example| (f64::from(example.statistics[index]) - mean[index]).powi(2));
            let deviation = (squares.sum::<f64>() / count).sqrt() as f32;
            if deviation > 1e-6 { deviation } else { 1.0 }
        });
        Self { mean: mean.map(|value| value as f32), std }
    }

    /// The statistics, normalised.
    pub fn apply(&self, statistics: &[f32; STATISTICS]) -> [f64; STATISTICS] {
        std::array::from_fn(|index| f64::from((statistics[index] - self.mean[index]) / self.std[index]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(prompt: &str) -> Row {
        Row { task: "t".into(), subject: "s".into(), prompt: prompt.into(), lightweight: 0.0, powerful: 1.0 }
    }

    #[test]
    fn normalised_statistics_have_mean_zero_and_deviation_one_unless_they_never_change() {
        let examples = extract(&[row("one two three"), row("A longer text, of 2 sentences. Is it?")]);
        let normalisation = Normalisation::fit(&examples);
        let [first, second] = [0, 1].map(|index: usize| normalisation.apply(&examples[index].statistics));
        assert!((first[0] + 1.0).abs() < 1e-5 && (second[0] - 1.0).abs() < 1e-5);
        assert_eq!(normalisation.std[14], 1.0);
        assert_eq!((first[14], second[14]), (0.0, 0.0));
    }

    #[test]
    fn features_of_a_row_are_those_of_the_engine() {
        let example = &extract(&[row("Write a function")])[0];
        let features = Features::extract("Write a function", [("task", "t"), ("subject", "s")]);
        assert_eq!(&example.statistics, features.statistics());
        assert_eq!((&example.buckets[..], &example.tags[..]), (features.ngrams(), features.tags()));
        assert_eq!((example.gain, example.targets), (1.0, [0.0, 1.0, 0.0]));
    }
}
