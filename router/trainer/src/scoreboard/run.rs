//! One run: deal the rows, fit and ask every router, take the figures.

use std::collections::BTreeMap;

use serde::Serialize;
use tinydancer_engine::Model;

use super::bootstrap::Figure;
use super::embeddings::Embeddings;
use super::partition::{Folds, Partition, PartitionError};
use super::routers::{
    Artifact, Chance, Corpus, FiveFeatures, Fold, Judged, Length, NGrams, Neighbours, Network, Oracle,
    Router, RouterError,
};
use super::section::{Section, Subset};
use crate::corpus::extract;
use crate::data::{self, Row};
use crate::progress::Progress;
use crate::random::Random;

/// Neighbours of the baseline that looks at the nearest known prompts.
const NEIGHBOURS: usize = 100;
/// Points of a quality curve besides the first.
const CURVE_POINTS: usize = 100;
/// The promise by which left-out topics are summed up, thousandths of regret.
const LEFT_OUT_PROMISE: u16 = 50;

/// What is put on the board beside the baselines.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// Artifacts that are trained in each fold: one a view.
    Trained {
        /// Whether it is shown tags, for each.
        views: &'a [bool],
    },
    /// One artifact that exists.
    Artifact {
        /// It.
        model: &'a Model,
        /// Whether it is shown tags.
        tags: bool,
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

/// How the rows were dealt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Each row by routers that were fitted without its random fold.
    OutOfFold,
    /// Each row by routers that have seen no row with its value of this tag.
    LeaveOut(String),
}

/// A whole evaluation.
#[derive(Debug, Clone, Serialize)]
pub struct Scoreboard {
    /// Rows that were asked about.
    pub rows: usize,
    /// Rows in all, with those that were only learned from.
    pub rows_known: usize,
    /// Digest of all rows.
    pub data: String,
    /// How rows were dealt.
    pub method: Method,
    /// Outer folds.
    pub folds: usize,
    /// Seeds.
    pub seeds: Vec<u64>,
    /// What a call to Powerful costs, in calls to Lightweight.
    pub price_ratio: f64,
    /// Mean quality with every call to Lightweight.
    pub always_lightweight: f64,
    /// Mean quality with every call to Powerful.
    pub always_powerful: f64,
    /// The routers: those measured first, then the baselines, the oracle last.
    pub routers: Vec<RouterFigures>,
}

/// The figures of one router.
#[derive(Debug, Clone, Serialize)]
pub struct RouterFigures {
    /// Which.
    pub router: String,
    /// What it is.
    pub about: String,
    /// On every row that was asked about.
    pub all: Section,
    /// By task, where rows have tasks.
    pub tasks: BTreeMap<String, Section>,
    /// APGR above that of baselines, sample by sample; for the subjects only.
    pub above: Vec<Gain>,
    /// What became of left-out topics under one promise; for subjects with thresholds only.
    pub left_out: Option<LeftOutFigures>,
    /// Mean quality at evenly spread shares of calls to Powerful, 0 to 1.
    pub curve: Vec<f64>,
}

/// A paired difference.
#[derive(Debug, Clone, Serialize)]
pub struct Gain {
    /// The baseline.
    pub over: String,
    /// APGR of the router minus that of the baseline.
    pub apgr: Figure,
}

/// Topics nobody had seen.
#[derive(Debug, Clone, Serialize)]
pub struct LeftOutFigures {
    /// Thousandths of regret that were promised.
    pub permille: u16,
    /// Mean regret over the folds of all seeds.
    pub mean: f64,
    /// The worst fold's regret.
    pub worst: f64,
    /// Mean share of calls to Lightweight.
    pub lightweight: f64,
    /// Mean share of rows too new to be judged.
    pub novel: f64,
    /// Each fold of each seed.
    pub folds: Vec<FoldFigures>,
}

/// One fold of one seed.
#[derive(Debug, Clone, Serialize)]
pub struct FoldFigures {
    /// The seed.
    pub seed: u64,
    /// The fold.
    pub fold: usize,
    /// Its figures.
    pub figures: Section,
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
    let hall = Hall { rows, tested: &tested, dealt: &dealt, settings, judged: &judged, subjects, progress };
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
            views.iter().map(|tags| Box::new(Network { tags: *tags }) as Box<dyn Router>).collect(),
            views.contains(&true),
        ),
        Subject::Artifact { model, tags } => (vec![Box::new(Artifact { model, tags, in_sample })], tags),
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

/// Everything that was said, with what is needed to judge it.
struct Hall<'a> {
    rows: &'a [Row],
    tested: &'a [usize],
    dealt: &'a [Folds],
    settings: &'a Settings,
    /// By router, seed and row.
    judged: &'a [Vec<Vec<Option<Judged>>>],
    /// The first so many routers are subjects.
    subjects: usize,
    progress: &'a Progress,
}

impl Hall<'_> {
    fn board(&self, routers: &[Box<dyn Router + '_>]) -> Result<Scoreboard, ScoreboardError> {
        let subsets: Vec<Subset> =
            (0..routers.len()).map(|router| self.subset(router, self.tested)).collect();
        let figures = (0..routers.len())
            .map(|index| {
                let figures = self.figures(index, routers, &subsets);
                self.progress.advance(self.settings.seeds.len());
                figures
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mean = |quality: fn(&Row) -> f64| {
            let sum: f64 = self.tested.iter().map(|row| quality(&self.rows[*row])).sum();
            sum / self.tested.len().max(1) as f64
        };
        Ok(Scoreboard {
            rows: self.tested.len(),
            rows_known: self.rows.len(),
            data: data::digest(self.rows).to_string(),
            method: match &self.settings.partition {
                Partition::Random => Method::OutOfFold,
                Partition::LeaveOut(tag) => Method::LeaveOut(tag.clone()),
            },
            folds: self.settings.folds,
            seeds: self.settings.seeds.clone(),
            price_ratio: self.settings.price_ratio,
            always_lightweight: mean(|row| row.lightweight),
            always_powerful: mean(|row| row.powerful),
            routers: figures,
        })
    }

    fn figures(
        &self,
        index: usize,
        routers: &[Box<dyn Router + '_>],
        subsets: &[Subset],
    ) -> Result<RouterFigures, ScoreboardError> {
        let all = subsets[index].measure();
        if all.recovery.is_none() {
            return Err(ScoreboardError::NoGap);
        }
        let subject = index < self.subjects;
        Ok(RouterFigures {
            router: routers[index].name(),
            about: routers[index].about(),
            all,
            tasks: self.tasks(index),
            above: if subject { above(index, self.subjects, subsets, routers) } else { Vec::new() },
            left_out: if subject { self.left_out(index) } else { None },
            curve: subsets[index].curve(CURVE_POINTS),
        })
    }

    fn subset(&self, router: usize, rows: &[usize]) -> Subset<'_> {
        let seeds: Vec<&[Option<Judged>]> = self.judged[router].iter().map(Vec::as_slice).collect();
        self.subset_of(&seeds, rows)
    }

    fn subset_of(&self, seeds: &[&[Option<Judged>]], rows: &[usize]) -> Subset<'_> {
        let judged = seeds.iter().map(|seed| rows.iter().filter_map(|row| seed[*row]).collect()).collect();
        let rows = rows.iter().map(|row| &self.rows[*row]).collect();
        Subset::new(rows, judged, self.settings.price_ratio, self.settings.threads)
    }

    fn tasks(&self, router: usize) -> BTreeMap<String, Section> {
        let mut tasks: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for row in self.tested {
            tasks.entry(&self.rows[*row].task).or_default().push(*row);
        }
        let named = tasks.into_iter().filter(|(task, _)| !task.is_empty());
        named.map(|(task, rows)| (task.to_owned(), self.subset(router, &rows).measure())).collect()
    }

    fn left_out(&self, router: usize) -> Option<LeftOutFigures> {
        if self.settings.partition == Partition::Random {
            return None;
        }
        let mut folds = Vec::new();
        for ((seed, dealt), said) in self.settings.seeds.iter().zip(self.dealt).zip(&self.judged[router]) {
            for fold in 0..self.settings.folds {
                let rows: Vec<usize> = (0..self.rows.len()).filter(|row| dealt[*row] == Some(fold)).collect();
                let figures = self.subset_of(&[said.as_slice()], &rows).measure();
                folds.push(FoldFigures { seed: *seed, fold, figures });
            }
        }
        LeftOutFigures::new(folds)
    }
}

impl LeftOutFigures {
    /// Sums up; nothing for a router that promises nothing.
    fn new(folds: Vec<FoldFigures>) -> Option<Self> {
        let kept = |fold: &FoldFigures| {
            let promise =
                fold.figures.promises.iter().find(|promise| promise.permille == LEFT_OUT_PROMISE)?;
            Some((promise.regret.value, promise.lightweight.value, fold.figures.novel.as_ref()?.value))
        };
        let values: Vec<(f64, f64, f64)> = folds.iter().map(kept).collect::<Option<_>>()?;
        let mean = |part: fn(&(f64, f64, f64)) -> f64| {
            values.iter().map(part).sum::<f64>() / values.len().max(1) as f64
        };
        Some(Self {
            permille: LEFT_OUT_PROMISE,
            mean: mean(|value| value.0),
            worst: values.iter().fold(0.0, |worst, value| worst.max(value.0)),
            lightweight: mean(|value| value.1),
            novel: mean(|value| value.2),
            folds,
        })
    }
}

/// How far a subject is above each baseline; the oracle is none.
fn above(index: usize, subjects: usize, subsets: &[Subset], routers: &[Box<dyn Router + '_>]) -> Vec<Gain> {
    let baselines = subjects..routers.len().saturating_sub(1).max(subjects);
    baselines
        .filter_map(|other| {
            Some(Gain { over: routers[other].name(), apgr: subsets[index].apgr_over(&subsets[other])? })
        })
        .collect()
}
