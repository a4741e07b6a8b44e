//! Evidence steps: what the recurrent network reads, one step a source that is present.

mod ngrams;
mod prototypes;
mod read_out;
mod tags;

pub use ngrams::NgramTables;
pub use prototypes::{NEAREST, Prototypes};
pub(crate) use prototypes::{Nearest, SHARPNESS};
pub use read_out::ReadOut;
pub use tags::TagTable;

use crate::features::Features;
use crate::numerics::{ln_1p, sigmoid};

/// Numbers a step gives to the cell.
pub const INPUTS: usize = 8;
/// Places of the one-hot source. One is reserved.
pub const SOURCES: usize = 5;
/// Known tags of a request that are read.
pub const TAGS_READ: usize = 16;

/// Where evidence comes from. The discriminant is the place in the one-hot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Scores of hashed n-grams.
    Ngram = 0,
    /// Counted outcomes of the request's tags.
    Tag = 1,
    /// Counted outcomes of prompts with a similar embedding.
    Prototype = 2,
    /// Scores that are linear in the embedding.
    ReadOut = 3,
}

/// What a model knows and looks up for a request.
pub trait EvidenceSource {
    /// Which source it is.
    fn source(&self) -> Source;

    /// What it says about a request; nothing where it knows nothing, and then there is no step.
    fn evidence(&self, features: &Features) -> Option<Evidence>;
}

/// One piece of evidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    /// Where it comes from.
    pub source: Source,
    /// Expected gain of Powerful over Lightweight, about -1 to 1.
    pub value: f32,
    /// Probability that Lightweight is good enough, 0 to 1.
    pub good_enough: f32,
    /// The logarithm of one plus the count that stands behind it.
    pub weight: f32,
}

impl Evidence {
    /// Evidence of the n-gram scores (logits) of both tiers, made of `found` distinct n-grams.
    pub fn of_ngrams(scores: TierScores, found: usize) -> Self {
        Self::of_scores(Source::Ngram, scores, found)
    }

    /// Evidence of a request's counted tags. From the most to the least frequent, each is shrunk by `prior`
    /// pseudo-counts to what the ones before say, the first to the `overall` means (of `q_P - q_L`, of good
    /// enough): a rare tag says what it has seen, and where it has seen little, what its wider one says. Of more
    /// than [`TAGS_READ`] tags the rarest are read. Nothing without a tag.
    pub fn of_tags(tags: impl IntoIterator<Item = Counts>, overall: [f32; 2], prior: f32) -> Option<Self> {
        let mut rarest = [Counts::default(); TAGS_READ];
        let mut read = 0;
        for counts in tags {
            // Insertion from the rare end; what no longer fits is the most frequent.
            let place = rarest[..read].iter().take_while(|other| other.requests < counts.requests).count();
            if place < TAGS_READ {
                read = (read + 1).min(TAGS_READ);
                rarest[place..read].rotate_right(1);
                rarest[place] = counts;
            }
        }
        let mut said = None;
        let mut means = overall;
        for counts in rarest[..read].iter().rev() {
            let evidence = Self::of_counts(Source::Tag, *counts, means, prior);
            means = [evidence.value, evidence.good_enough];
            said = Some(evidence);
        }
        said
    }

    /// Evidence of scores (logits) of both tiers that stand on `found` counted things.
    pub fn of_scores(source: Source, scores: TierScores, found: usize) -> Self {
        let value = sigmoid(scores.powerful) - sigmoid(scores.lightweight);
        Self { source, value, good_enough: (1.0 - value).clamp(0.0, 1.0), weight: ln_1p(found as f32) }
    }

    /// Evidence of added counts, shrunk by `prior` pseudo-counts to the `overall` means (of
    /// `q_P - q_L`, of good enough).
    pub fn of_counts(source: Source, counts: Counts, overall: [f32; 2], prior: f32) -> Self {
        let [gain, good_enough] = overall;
        let total = counts.requests + prior;
        Self {
            source,
            value: (counts.gain + prior * gain) / total,
            good_enough: (counts.good_enough + prior * good_enough) / total,
            weight: ln_1p(counts.requests),
        }
    }

    /// The input of the cell: value, good enough, weight, one-hot of the source.
    pub fn input(&self) -> [f32; INPUTS] {
        let mut input = [0.0; INPUTS];
        input[0] = self.value;
        input[1] = self.good_enough;
        input[2] = self.weight;
        input[INPUTS - SOURCES + self.source as usize] = 1.0;
        input
    }
}

/// Scores of both tiers, before the logistic function.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TierScores {
    /// Lightweight answers right.
    pub lightweight: f32,
    /// Powerful answers right.
    pub powerful: f32,
}

/// Counted outcomes of one tag or cell, or of several added up.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Counts {
    /// Requests counted.
    pub requests: f32,
    /// Sum of `q_P - q_L`.
    pub gain: f32,
    /// Sum of good enough (`q_L >= q_P`).
    pub good_enough: f32,
}

impl From<[f32; 3]> for Counts {
    fn from([requests, gain, good_enough]: [f32; 3]) -> Self {
        Self { requests, gain, good_enough }
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.gain += other.gain;
        self.good_enough += other.good_enough;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_input_says_value_good_enough_weight_and_the_source() {
        let evidence = Evidence { source: Source::Tag, value: 0.25, good_enough: 0.5, weight: 2.0 };
        assert_eq!(evidence.input(), [0.25, 0.5, 2.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn a_rare_tag_is_drawn_to_what_the_frequent_one_says() {
        let frequent = Counts { requests: 1_000.0, gain: 400.0, good_enough: 600.0 };
        let rare = Counts { requests: 20.0, gain: 0.0, good_enough: 20.0 };
        let alone = Evidence::of_counts(Source::Tag, frequent, [0.1, 0.75], 20.0);
        for tags in [[rare, frequent], [frequent, rare]] {
            let both = Evidence::of_tags(tags, [0.1, 0.75], 20.0).expect("must be evidence");
            assert!((both.value - alone.value / 2.0).abs() < 1e-6);
            assert_eq!(both.weight, ln_1p(20.0));
        }
        assert_eq!(Evidence::of_tags([], [0.1, 0.75], 20.0), None);
    }

    #[test]
    fn of_very_many_tags_the_rarest_are_read() {
        let tags =
            |most: u16| (1..=most).map(|count| Counts { requests: f32::from(count), ..Counts::default() });
        let rarest = Evidence::of_tags(tags(16), [0.5, 0.5], 20.0);
        assert_eq!(Evidence::of_tags(tags(300), [0.5, 0.5], 20.0), rarest);
        assert_eq!(
            Evidence::of_tags(tags(300).collect::<Vec<_>>().into_iter().rev(), [0.5, 0.5], 20.0),
            rarest
        );
    }

    #[test]
    fn few_counts_are_drawn_to_the_overall_mean() {
        let counts = Counts { requests: 20.0, gain: 10.0, good_enough: 5.0 };
        let evidence = Evidence::of_counts(Source::Tag, counts, [0.1, 0.75], 20.0);
        assert!((evidence.value - 0.3).abs() < 1e-6);
        assert!((evidence.good_enough - 0.5).abs() < 1e-6);
        assert!((f64::from(evidence.weight) - 21_f64.ln()).abs() < 1e-6);
    }

    #[test]
    fn equal_ngram_scores_are_no_reason_for_powerful() {
        let scores = TierScores { lightweight: 0.7, powerful: 0.7 };
        let evidence = Evidence::of_ngrams(scores, 9);
        assert_eq!((evidence.value, evidence.good_enough), (0.0, 1.0));
        assert!((f64::from(evidence.weight) - 10_f64.ln()).abs() < 1e-6);
    }
}
