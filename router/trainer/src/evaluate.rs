//! Predictions for graded rows: out-of-fold, or by a model that exists.

use tinydancer_engine::artifact::WriteError;
use tinydancer_engine::{DecisionRule, Features, Model, ScoreError, Tier};

use crate::assemble::{Identity, assemble};
use crate::corpus::extract;
use crate::data::{self, Row};
use crate::fit::{Recipe, fit};
use crate::folds::{FOLDS, assign};
use crate::progress::Progress;
use crate::random::Random;
use crate::report::{Method, PROMISES, Prediction, Report, report};

/// Why rows could not be predicted.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// A fold makes no artifact.
    #[error("failed to write the artifact of a fold")]
    Write(#[from] WriteError),
    /// The model failed on a row.
    #[error("failed to score row {row}")]
    Score {
        /// Which row, from 0.
        row: usize,
        /// What happened.
        source: ScoreError,
    },
    /// There is nothing to gain by routing.
    #[error("the rows must hold a quality gap: Powerful is not better on average")]
    NoGap,
}

/// Trains in each outer fold without it, all steps from tables to calibration, and scores it with the artifact made.
///
/// # Errors
/// If an artifact would not load, or Powerful is not better on average.
pub fn out_of_fold(rows: &[Row], recipe: Recipe, progress: &Progress) -> Result<Report, EvaluateError> {
    let examples = extract(rows);
    let folds = assign(rows.len(), &mut Random::stream(recipe.seed, 2));
    let mut predictions: Vec<Option<Prediction>> = vec![None; rows.len()];
    for fold in 0..FOLDS {
        let known: Vec<_> = examples
            .iter()
            .zip(&folds)
            .filter(|(_, other)| **other != fold)
            .map(|(example, _)| example.clone())
            .collect();
        let fitted = fit(&known, recipe, progress);
        let identity = Identity {
            name: "fold".to_owned(),
            version: fold.to_string(),
            data: data::digest(&[]),
            seed: recipe.seed,
            parent: None,
        };
        let model = Model::from_bytes(&assemble(&fitted, identity)?).map_err(WriteError::from)?;
        for row in (0..rows.len()).filter(|row| folds[*row] == fold) {
            predictions[row] = Some(predict(&model, &rows[row], recipe.tags, row)?);
        }
    }
    let predictions: Vec<Prediction> = predictions.into_iter().flatten().collect();
    report(rows, &predictions, Method::OutOfFold, recipe.seed).ok_or(EvaluateError::NoGap)
}

/// Scores rows with a model that exists, with or without their tags.
///
/// # Errors
/// If the model fails on a row, or Powerful is not better on average.
pub fn with_model(rows: &[Row], model: &Model, tags: bool, seed: u64) -> Result<Report, EvaluateError> {
    let own = data::digest(rows) == model.metadata().data;
    let method = if own { Method::InSample } else { Method::OtherRows };
    let predictions: Result<Vec<Prediction>, EvaluateError> =
        rows.iter().enumerate().map(|(row, request)| predict(model, request, tags, row)).collect();
    report(rows, &predictions?, method, seed).ok_or(EvaluateError::NoGap)
}

fn predict(model: &Model, row: &Row, tags: bool, index: usize) -> Result<Prediction, EvaluateError> {
    let features = Features::extract(&row.prompt, row.tags().filter(|_| tags));
    let score = model.score(&features).map_err(|source| EvaluateError::Score { row: index, source })?;
    let lightweight =
        |permille| model.decide(&score, &DecisionRule::Risk { permille }).tier == Tier::Lightweight;
    Ok(Prediction {
        score: f64::from(score.score),
        confidence: f64::from(score.confidence()),
        lightweight: PROMISES.map(lightweight),
    })
}
