//! What is put on the board: the figures of every router, taken from what it said.

use std::collections::BTreeMap;

use serde::Serialize;

use super::bootstrap::Figure;
use super::partition::{Folds, Partition};
use super::routers::{Judged, Router};
use super::run::{ScoreboardError, Settings};
use super::section::{Section, Subset};
use crate::data::{self, Row};
use crate::progress::Progress;

/// Points of a quality curve besides the first.
const CURVE_POINTS: usize = 100;
/// The promise by which left-out topics are summed up, thousandths of regret.
const LEFT_OUT_PROMISE: u16 = 50;

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
    /// Whether the first router is an artifact that was given; it is judged as it is, whatever the folds.
    pub given: bool,
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

/// Everything that was said, with what is needed to judge it.
pub(super) struct Hall<'a> {
    pub(super) rows: &'a [Row],
    /// Rows that were asked about.
    pub(super) tested: &'a [usize],
    /// The folds of each seed.
    pub(super) dealt: &'a [Folds],
    pub(super) settings: &'a Settings,
    /// By router, seed and row.
    pub(super) judged: &'a [Vec<Vec<Option<Judged>>>],
    /// The first so many routers are subjects.
    pub(super) subjects: usize,
    /// Whether the subject is an artifact that was given.
    pub(super) given: bool,
    pub(super) progress: &'a Progress,
}

impl Hall<'_> {
    /// Takes every figure.
    pub(super) fn board(&self, routers: &[Box<dyn Router + '_>]) -> Result<Scoreboard, ScoreboardError> {
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
            given: self.given,
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
