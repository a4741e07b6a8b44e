//! One run: deal the rows, fit and ask every router, take the figures.

use tinydancer_engine::Model;

use super::board::{Hall, Scoreboard};
use super::partition::{Folds, Partition, PartitionError};
use super::routers::{
    Artifact, Chance, Corpus, FiveFeatures, Fold, Judged, Length, NGrams, Neighbours, Network, Oracle,
    Router, RouterError,
};
use crate::corpus::extract;
use crate::data::{self, Row};
use crate::embeddings::Embeddings;
use crate::progress::Progress;
use crate::random::Random;

/// Neighbours of the baseline that looks at the nearest known prompts.
const NEIGHBOURS: usize = 100;

/// What a model is shown of a row beside its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// Its tags.
    pub tags: bool,
    /// Its embedding.
    pub embedding: bool,
}

/// What is put on the board beside the baselines.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// Artifacts that are trained in each fold: one a view.
    Trained {
        /// What each is shown.
        views: &'a [View],
    },
    /// One artifact that exists.
    Artifact {
        /// It.
        model: &'a Model,
        /// What it is shown.
        view: View,
    },
}

/// How to measure.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Every seed deals the rows and trains anew.
    pub seeds: Vec<u64>,
    /// Outer folds.
    pub folds: usize,
    /// What is dealt.
    pub partition: Partition,
    /// What a call to Powerful costs, in calls to Lightweight.
    pub price_ratio: f64,
    /// Whether the baselines are measured too.
    pub baselines: bool,
    /// Threads to work on; the result does not depend on it.
    pub threads: usize,
}

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub enum ScoreboardError {
    /// The rows cannot be dealt.
    #[error("failed to deal the rows into folds")]
    Partition(#[from] PartitionError),
    /// A router failed.
    #[error("failed to measure {router}")]
    Router {
        /// Which.
        router: String,
        /// Why.
        source: RouterError,
    },
    /// There is nothing to gain by routing.
    #[error("the rows must hold a quality gap: Powerful is not better on average")]
    NoGap,
}

/// Units of progress that [`scoreboard`] advances by.
pub fn units(subject: Subject, embeddings: Option<&Embeddings>, settings: &Settings) -> usize {
    let routers = field(subject, embeddings, settings, false);
    let one_fold: usize = routers.iter().map(|router| router.units()).sum();
    // To take the figures of a router on one seed takes about as long as a unit.
    (one_fold * settings.folds + routers.len()) * settings.seeds.len()
}

/// Measures the subject and the baselines on `rows`; `embeddings` are theirs, in the same order.
///
/// # Errors
/// If the rows cannot be dealt, a router fails, or Powerful is not better on average.
pub fn scoreboard(
    rows: &[Row],
    embeddings: Option<&Embeddings>,
    subject: Subject,
    settings: &Settings,
    progress: &Progress,
) -> Result<Scoreboard, ScoreboardError> {
    let examples = extract(rows);
    let corpus = Corpus { rows, examples: &examples };
    let own =
        matches!(subject, Subject::Artifact { model, .. } if model.metadata().data == data::digest(rows));
    let routers = field(subject, embeddings, settings, own);
    let dealt = settings
        .seeds
        .iter()
        .map(|seed| settings.partition.deal(rows, settings.folds, &mut Random::stream(*seed, 2)))
        .collect::<Result<Vec<Folds>, _>>()?;
    // The same rows are tested whatever the seed.
    let tested: Vec<usize> =
        (0..rows.len()).filter(|row| dealt.iter().all(|folds| folds[*row].is_some())).collect();
    let mut judged = Vec::with_capacity(routers.len());
    for router in &routers {
        let by_seed = settings
            .seeds
            .iter()
            .zip(&dealt)
            .map(|(seed, folds)| ask(router.as_ref(), corpus, folds, *seed, settings, progress))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| ScoreboardError::Router { router: router.name(), source })?;
        judged.push(by_seed);
    }
    let subjects = match subject {
        Subject::Trained { views } => views.len(),
        Subject::Artifact { .. } => 1,
    };
    let given = matches!(subject, Subject::Artifact { .. });
    let hall =
        Hall { rows, tested: &tested, dealt: &dealt, settings, judged: &judged, subjects, given, progress };
    hall.board(&routers)
}

/// Everybody who takes part, the subjects first.
fn field<'a>(
    subject: Subject<'a>,
    embeddings: Option<&'a Embeddings>,
    settings: &Settings,
    in_sample: bool,
) -> Vec<Box<dyn Router + 'a>> {
    let (mut routers, tags): (Vec<Box<dyn Router + 'a>>, bool) = match subject {
        Subject::Trained { views } => (
            views
                .iter()
                .map(|view| Box::new(Network { view: *view, embeddings }) as Box<dyn Router>)
                .collect(),
            views.iter().any(|view| view.tags),
        ),
        Subject::Artifact { model, view } => {
            (vec![Box::new(Artifact { model, view, embeddings, in_sample })], view.tags)
        }
    };
    if !settings.baselines {
        return routers;
    }
    routers.push(Box::new(NGrams));
    if let Some(embeddings) = embeddings {
        routers.push(Box::new(Neighbours { embeddings, k: NEIGHBOURS }));
    }
    routers.push(Box::new(FiveFeatures { embeddings, tags: false }));
    if tags {
        routers.push(Box::new(FiveFeatures { embeddings, tags: true }));
    }
    routers.push(Box::new(Length));
    routers.push(Box::new(Chance));
    routers.push(Box::new(Oracle));
    routers
}

/// What a router says about every row that is tested, in the order of the rows.
fn ask(
    router: &dyn Router,
    corpus: Corpus,
    folds: &Folds,
    seed: u64,
    settings: &Settings,
    progress: &Progress,
) -> Result<Vec<Option<Judged>>, RouterError> {
    let mut judged = vec![None; corpus.rows.len()];
    for index in 0..settings.folds {
        let (tested, known): (Vec<usize>, Vec<usize>) =
            (0..corpus.rows.len()).partition(|row| folds[*row] == Some(index));
        let fold =
            Fold { corpus, known: &known, tested: &tested, index, seed, threads: settings.threads, progress };
        for (row, said) in tested.iter().zip(router.judge(&fold)?) {
            judged[*row] = Some(said);
        }
    }
    Ok(judged)
}
