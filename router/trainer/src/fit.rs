//! One whole fit: tables, network, calibration, thresholds, and what the model did out-of-fold.

use std::convert::Infallible;

use tinydancer_engine::Reference;
use tinydancer_engine::calibration::SCORE_BINS;

use crate::calibrate::{HIGHEST_SCORE, Platt, escalation, risk_threshold};
use crate::corpus::{Example, Normalisation};
use crate::distil;
use crate::folds::{FOLDS, LeftOut, assign, parallel};
use crate::learn::visible;
use crate::network::{Parameters, Sample};
use crate::novelty::Novelty;
use crate::progress::Progress;
use crate::random::Random;
use crate::sets::{self, COVERAGES, SetLimits};
use crate::tables::{CrossFitted, Tables};

/// The promises for which an artifact holds a threshold, thousandths of regret.
pub const PERMILLES: [u16; 26] = [
    5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 100, 110, 120, 130, 140, 160,
    200,
];

/// How a model is made.
#[derive(Debug, Clone, Copy)]
pub struct Recipe {
    /// Whether tag counts are evidence beside n-grams.
    pub tags: bool,
    /// The same seed gives the same model.
    pub seed: u64,
    /// Share of each n-gram table's weights that stay, from 0 to 1; all without it.
    pub ngrams_kept: Option<f64>,
    /// How soft the teachers' answers are to the student; 1 as they are.
    pub temperature: f64,
    /// Threads to work on; the result does not depend on it.
    pub threads: usize,
}

impl Recipe {
    /// Units of [`Progress`] that one fit advances by.
    pub fn units() -> usize {
        LeftOut::all().len() + FOLDS + 1
    }
}

/// A threshold for one promise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// Thousandths of regret promised.
    pub permille: u16,
    /// Lightweight answers where the score is at most this.
    pub lambda: f64,
    /// Share sent to Powerful out-of-fold.
    pub escalation: f64,
}

/// A fitted model in the numbers of the trainer.
pub struct Fitted {
    /// Of the statistics.
    pub normalisation: Normalisation,
    /// Of the network.
    pub parameters: Parameters,
    /// Fitted on every row.
    pub tables: Tables,
    /// One a head, from out-of-fold logits.
    pub calibration: [Platt; 3],
    /// Ascending in permille.
    pub thresholds: Vec<Threshold>,
    /// Ascending in coverage.
    pub sets: Vec<SetLimits>,
    /// What prompts are too new for it.
    pub novelty: Novelty,
    /// Shares of the score out-of-fold, by [`Reference::score_bin`].
    pub scores: [f64; SCORE_BINS],
    /// Mean uncertainty out-of-fold.
    pub uncertainty: f64,
    /// Rows behind it.
    pub samples: usize,
}

/// Calibrated probabilities of one prompt and the numbers made of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judgement {
    /// `(p2 - p1) + (1 - p3)`.
    pub score: f64,
    /// `p3`, probability that Lightweight is good enough.
    pub confidence: f64,
}

impl Judgement {
    /// From uncalibrated logits.
    pub fn new(logits: [f64; 3], calibration: &[Platt; 3]) -> Self {
        let [p1, p2, p3] = [0, 1, 2].map(|head| calibration[head].probability(logits[head]));
        Self { score: (p2 - p1) + (1.0 - p3), confidence: p3 }
    }

    /// `min(p3, 1 - p3)`.
    pub fn uncertainty(self) -> f64 {
        self.confidence.min(1.0 - self.confidence)
    }
}

/// Fits a model to the examples.
pub fn fit(examples: &[Example], recipe: Recipe, progress: &Progress) -> Fitted {
    match fit_keeping(examples, recipe, progress, |_, make| Ok::<_, Infallible>(make())) {
        Ok(fitted) => fitted,
        Err(never) => match never {},
    }
}

/// As [`fit`]; `keep` is asked for each network by its number and may have it from an earlier run instead of making it.
///
/// # Errors
/// The first that `keep` gives.
pub fn fit_keeping<E: Send>(
    examples: &[Example],
    recipe: Recipe,
    progress: &Progress,
    keep: impl Fn(usize, &dyn Fn() -> Parameters) -> Result<Parameters, E> + Sync,
) -> Result<Fitted, E> {
    let folds = assign(examples.len(), &mut Random::stream(recipe.seed, 1));
    let normalisation = Normalisation::fit(examples);
    let tables = CrossFitted::fit(examples, &folds, recipe, progress);
    let run = Run { examples, folds: &folds, normalisation, tables: &tables, recipe };
    // One network for each fold, to see what the model says about rows it does not know; then the one that is kept.
    let results = parallel(FOLDS + 1, recipe.threads, |index| {
        let tested = (index < FOLDS).then_some(index);
        let parameters = keep(index, &|| run.network(tested))?;
        let logits = tested.map_or_else(Vec::new, |fold| run.out_of_fold(&parameters, fold));
        progress.advance(1);
        Ok((parameters, logits))
    });
    let mut results = results.into_iter().collect::<Result<Vec<_>, E>>()?;
    let (parameters, _) = results.swap_remove(FOLDS);
    let logits: Vec<RowLogits> = results.into_iter().flat_map(|(_, logits)| logits).collect();
    Ok(run.finish(parameters, logits))
}

/// What a fold's network said about a row: once a kind of evidence it may come with.
struct RowLogits {
    row: usize,
    views: Vec<[f64; 3]>,
}

struct Run<'a> {
    examples: &'a [Example],
    folds: &'a [usize],
    normalisation: Normalisation,
    tables: &'a CrossFitted<'a>,
    recipe: Recipe,
}

impl Run<'_> {
    /// The network trained on all folds but `tested`.
    fn network(&self, tested: Option<usize>) -> Parameters {
        let samples: Vec<Sample> = (0..self.examples.len())
            .filter(|row| Some(self.folds[*row]) != tested)
            .map(|row| Sample {
                statistics: self.normalisation.apply(&self.examples[row].statistics),
                steps: self.tables.steps(row, tested),
                targets: self.examples[row].targets,
            })
            .collect();
        let means = [0, 1, 2].map(|head| {
            samples.iter().map(|sample| sample.targets[head]).sum::<f64>() / samples.len().max(1) as f64
        });
        let mut random = Random::stream(self.recipe.seed, 200 + tested.unwrap_or(FOLDS) as u64);
        distil::network(&samples, means, self.recipe.tags, self.recipe.temperature, &mut random)
    }

    /// Logits of the rows of `fold`, with the evidence of tables that have not seen them.
    fn out_of_fold(&self, parameters: &Parameters, fold: usize) -> Vec<RowLogits> {
        let views: &[bool] = if self.recipe.tags { &[false, true] } else { &[true] };
        (0..self.examples.len())
            .filter(|row| self.folds[*row] == fold)
            .map(|row| {
                let statistics = self.normalisation.apply(&self.examples[row].statistics);
                let steps = self.tables.steps(row, Some(fold));
                let views = views
                    .iter()
                    .map(|hide_tags| parameters.logits(&statistics, visible(&steps, false, *hide_tags)))
                    .collect();
                RowLogits { row, views }
            })
            .collect()
    }

    fn finish(&self, parameters: Parameters, mut logits: Vec<RowLogits>) -> Fitted {
        logits.sort_unstable_by_key(|logits| logits.row);
        let calibration = [0, 1, 2].map(|head| {
            let (seen, targets): (Vec<f64>, Vec<f64>) = logits
                .iter()
                .flat_map(|row| {
                    row.views.iter().map(|view| (view[head], self.examples[row.row].targets[head]))
                })
                .unzip();
            Platt::fit(&seen, &targets)
        });
        let views: Vec<Vec<Judgement>> = (0..logits.first().map_or(0, |row| row.views.len()))
            .map(|view| logits.iter().map(|row| Judgement::new(row.views[view], &calibration)).collect())
            .collect();
        let novelty = Novelty::fit(self.examples, self.folds);
        Fitted {
            normalisation: self.normalisation,
            parameters,
            tables: self.tables.without(LeftOut::NOTHING).clone(),
            calibration,
            thresholds: self.thresholds(&views, &novelty.is_new()),
            sets: self.sets(&views),
            novelty,
            scores: score_shares(&views),
            uncertainty: mean(&views, Judgement::uncertainty),
            samples: self.examples.len(),
        }
    }

    /// The thresholds that keep each promise whichever evidence requests come with. A row that is too new goes to
    /// Powerful whatever its score, so nothing is lost there.
    fn thresholds(&self, views: &[Vec<Judgement>], new: &[bool]) -> Vec<Threshold> {
        let losses: Vec<f64> = self
            .examples
            .iter()
            .zip(new)
            .map(|(example, new)| if *new { 0.0 } else { example.gain.max(0.0) })
            .collect();
        let scores: Vec<Vec<f64>> = views
            .iter()
            .map(|view| {
                let rows = view.iter().zip(new);
                rows.map(|(judgement, new)| if *new { NEVER } else { judgement.score }).collect()
            })
            .collect();
        let mut thresholds = Vec::new();
        for permille in PERMILLES {
            let lambdas: Option<Vec<f64>> =
                scores.iter().map(|scores| risk_threshold(scores, &losses, permille)).collect();
            if let Some(lambda) = lambdas.and_then(|lambdas| lambdas.into_iter().min_by(f64::total_cmp)) {
                let shares = scores.iter().map(|scores| escalation(scores, Some(lambda)));
                let escalation = shares.sum::<f64>() / scores.len() as f64;
                thresholds.push(Threshold { permille, lambda, escalation });
            }
        }
        thresholds
    }

    /// Sets over all views: a row counts once for each kind of evidence it may come with.
    fn sets(&self, views: &[Vec<Judgement>]) -> Vec<SetLimits> {
        let (confidences, outcomes): (Vec<f64>, Vec<bool>) = views
            .iter()
            .flat_map(|view| view.iter().zip(self.examples))
            .map(|(judgement, example)| (judgement.confidence, example.targets[2] > 0.5))
            .unzip();
        COVERAGES.iter().map(|permille| sets::limits(&confidences, &outcomes, *permille)).collect()
    }
}

/// Above every threshold.
const NEVER: f64 = HIGHEST_SCORE + 1.0;

fn mean(views: &[Vec<Judgement>], of: fn(Judgement) -> f64) -> f64 {
    let all = views.iter().flatten();
    all.clone().map(|judgement| of(*judgement)).sum::<f64>() / all.count().max(1) as f64
}

fn score_shares(views: &[Vec<Judgement>]) -> [f64; SCORE_BINS] {
    let mut shares = [0.0; SCORE_BINS];
    let one = 1.0 / views.iter().map(Vec::len).sum::<usize>().max(1) as f64;
    for judgement in views.iter().flatten() {
        shares[Reference::score_bin(judgement.score as f32)] += one;
    }
    shares
}
