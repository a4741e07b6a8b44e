//! The product itself: an artifact that is trained in the fold, or one that exists.

use tinydancer_engine::artifact::WriteError;
use tinydancer_engine::{DecisionRule, Features, Model, Tier};

use super::{Decided, Fold, Judged, PROMISES, Router, RouterError};
use crate::assemble::{Identity, assemble};
use crate::corpus::Example;
use crate::data;
use crate::embeddings::Embeddings;
use crate::fit::{Recipe, fit};
use crate::scoreboard::run::View;

/// Trained in each fold, all steps from tables to calibration, and judged by the bytes that would be shipped.
pub(in crate::scoreboard) struct Network<'a> {
    /// What it reads.
    pub(in crate::scoreboard) view: View,
    /// Of every row, for a model that reads them.
    pub(in crate::scoreboard) embeddings: Option<&'a Embeddings>,
}

impl Router for Network<'_> {
    fn name(&self) -> String {
        format!("tiny dancer, {}", name(self.view))
    }

    fn about(&self) -> String {
        "the artifact that `train` makes: FastGRNN over prompt statistics and evidence, calibrated".to_owned()
    }

    fn units(&self) -> usize {
        Recipe::units()
    }

    fn judge(&self, fold: &Fold) -> Result<Vec<Judged>, RouterError> {
        let recipe = Recipe {
            tags: self.view.tags,
            seed: fold.seed,
            ngrams_kept: None,
            temperature: 1.0,
            threads: fold.threads,
        };
        let embeddings = self.embeddings.filter(|_| self.view.embedding);
        let known: Vec<Example> = fold
            .known
            .iter()
            .map(|row| Example {
                embedding: embeddings
                    .and_then(|embeddings| embeddings.known(*row))
                    .map(<[f32]>::to_vec)
                    .unwrap_or_default(),
                ..fold.corpus.examples[*row].clone()
            })
            .collect();
        let fitted = fit(&known, recipe, fold.progress);
        let identity = Identity {
            name: "fold".to_owned(),
            version: fold.index.to_string(),
            data: data::digest(&[]),
            seed: fold.seed,
            parent: None,
            embedder: embeddings.map(|embeddings| embeddings.name().to_owned()).unwrap_or_default(),
        };
        let model = Model::from_bytes(&assemble(&fitted, identity)?).map_err(WriteError::from)?;
        fold.tested
            .iter()
            .map(|row| judge(&model, &features(fold, *row, self.view, embeddings), *row))
            .collect()
    }
}

/// An artifact as it is.
pub(in crate::scoreboard) struct Artifact<'a> {
    /// The model.
    pub(in crate::scoreboard) model: &'a Model,
    /// What it is shown.
    pub(in crate::scoreboard) view: View,
    /// Of every row, for a model that reads them.
    pub(in crate::scoreboard) embeddings: Option<&'a Embeddings>,
    /// Whether it was trained on exactly these rows.
    pub(in crate::scoreboard) in_sample: bool,
}

impl Router for Artifact<'_> {
    fn name(&self) -> String {
        let sample = if self.in_sample { ", IN-SAMPLE" } else { "" };
        format!("{}, {}{sample}", self.model.metadata().name, name(self.view))
    }

    fn about(&self) -> String {
        if self.in_sample {
            "trained on exactly these rows, so its figures flatter it".to_owned()
        } else {
            "not trained on these rows as a whole; whether on some is not known".to_owned()
        }
    }

    fn judge(&self, fold: &Fold) -> Result<Vec<Judged>, RouterError> {
        fold.progress.advance(self.units());
        // A model that reads no embeddings is given none, so that those of another model may be given to baselines.
        let reads = self.view.embedding && self.model.embedding_space().is_some();
        let embeddings = self.embeddings.filter(|_| reads);
        fold.tested
            .iter()
            .map(|row| judge(self.model, &features(fold, *row, self.view, embeddings), *row))
            .collect()
    }
}

fn features(fold: &Fold, row: usize, view: View, embeddings: Option<&Embeddings>) -> Features {
    let shown = &fold.corpus.rows[row];
    let mut features = Features::extract(&shown.prompt, shown.tags().filter(|_| view.tags));
    if let Some(embedding) = embeddings.and_then(|embeddings| embeddings.known(row)) {
        // It has a direction and is finite.
        let _ = features.set_embedding(embedding);
    }
    features
}

fn name(View { tags, embedding }: View) -> &'static str {
    match (tags, embedding) {
        (false, false) => "text",
        (true, false) => "text + tags",
        (false, true) => "text + embedding",
        (true, true) => "text + tags + embedding",
    }
}

fn judge(model: &Model, features: &Features, row: usize) -> Result<Judged, RouterError> {
    let score = model.score(features).map_err(|source| RouterError::Score { row, source })?;
    let decide = |permille| model.decide(&score, &DecisionRule::Risk { permille });
    Ok(Judged {
        score: f64::from(score.score),
        confidence: Some(f64::from(score.confidence())),
        decided: Some(Decided {
            lightweight: PROMISES.map(|permille| decide(permille).tier == Tier::Lightweight),
            novel: score.novel,
            set: score.set,
        }),
    })
}
