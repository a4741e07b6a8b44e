//! The figures of an evaluation with bootstrap intervals, beside what anybody gets without a model.

use serde::Serialize;

use crate::data::{self, Row};
use crate::metrics::{Estimate, Ranking, Recovery, calibration_error, resample};
use crate::random::Random;

/// Bootstrap samples behind an interval.
const RESAMPLES: usize = 1000;
/// The promises that are tried out, thousandths of regret.
pub const PROMISES: [u16; 4] = [20, 50, 80, 100];

/// What a model said about one row, with the calibration it decided by.
#[derive(Debug, Clone, Copy)]
pub struct Prediction {
    /// Higher: more reason for Powerful.
    pub score: f64,
    /// P(Lightweight good enough).
    pub confidence: f64,
    /// Whether Lightweight was chosen under each of [`PROMISES`].
    pub lightweight: [bool; PROMISES.len()],
}

/// How rows were predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Each by an artifact that was made without its fold.
    OutOfFold,
    /// By an artifact that was trained on exactly these rows.
    InSample,
    /// By an artifact that was trained on other rows, as a whole: some of these may have been among them.
    OtherRows,
}

/// The figures of one way to rank prompts.
#[derive(Debug, Clone, Serialize)]
pub struct RouterFigures {
    /// Which.
    pub router: &'static str,
    /// Area under the recovery curve.
    pub apgr: Estimate,
    /// Call share that recovers half the gap.
    pub cpt50: Estimate,
    /// Call share that recovers 80 % of the gap.
    pub cpt80: Estimate,
    /// Calibration error of P(Lightweight good enough), where the router gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ece: Option<Estimate>,
}

/// What happened under one promise.
#[derive(Debug, Clone, Serialize)]
pub struct PromiseFigures {
    /// Thousandths of regret that were promised.
    pub permille: u16,
    /// Mean loss of quality where Lightweight answered and Powerful was better.
    pub regret: Estimate,
    /// Share of calls to Powerful.
    pub powerful_share: Estimate,
    /// Mean quality.
    pub quality: Estimate,
}

/// A whole evaluation.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Rows scored.
    pub rows: usize,
    /// Digest of the rows.
    pub data: String,
    /// How they were predicted.
    pub method: Method,
    /// Mean quality with every call to Lightweight.
    pub always_lightweight: f64,
    /// Mean quality with every call to Powerful.
    pub always_powerful: f64,
    /// Ways to rank.
    pub routers: Vec<RouterFigures>,
    /// APGR of the network minus that of prompt length, over the same bootstrap samples.
    pub gain_over_length: Estimate,
    /// What the network's thresholds kept.
    pub promises: Vec<PromiseFigures>,
}

/// The figures of `predictions`, one a row; nothing if Powerful is not better on average.
pub fn report(rows: &[Row], predictions: &[Prediction], method: Method, seed: u64) -> Option<Report> {
    let mut random = Random::stream(seed, 3);
    let network: Vec<f64> = predictions.iter().map(|prediction| prediction.score).collect();
    let length: Vec<f64> = rows.iter().map(|row| row.prompt.chars().count() as f64).collect();
    let chance: Vec<f64> = rows.iter().map(|_| random.uniform()).collect();
    let samples: Vec<Vec<u32>> = (0..RESAMPLES).map(|_| resample(rows.len(), &mut random)).collect();
    let bootstrap = Bootstrap { rows, samples };
    let routers = [("tier network", network), ("prompt length", length), ("random", chance)];
    let curves: Vec<Curve> =
        routers.iter().map(|(_, scores)| bootstrap.curve(scores)).collect::<Option<_>>()?;
    let ece = bootstrap.calibration(predictions);
    let figures = |(index, (router, _)): (usize, &(&'static str, Vec<f64>))| RouterFigures {
        router,
        apgr: curves[index].estimate(|recovery| recovery.apgr),
        cpt50: curves[index].estimate(|recovery| recovery.cpt50),
        cpt80: curves[index].estimate(|recovery| recovery.cpt80),
        ece: (index == 0).then_some(ece),
    };
    let mean = |quality: fn(&Row) -> f64| rows.iter().map(quality).sum::<f64>() / rows.len() as f64;
    Some(Report {
        rows: rows.len(),
        data: data::digest(rows).to_string(),
        method,
        always_lightweight: mean(|row| row.lightweight),
        always_powerful: mean(|row| row.powerful),
        routers: routers.iter().enumerate().map(figures).collect(),
        gain_over_length: curves[0].apgr_over(&curves[1]),
        promises: bootstrap.promises(predictions),
    })
}

/// The rows with the samples that every figure is taken on, so that figures can be compared sample by sample.
struct Bootstrap<'a> {
    rows: &'a [Row],
    samples: Vec<Vec<u32>>,
}

/// Recovery on the rows and on every sample.
struct Curve {
    value: Recovery,
    resampled: Vec<Recovery>,
}

impl Curve {
    fn estimate(&self, figure: fn(&Recovery) -> f64) -> Estimate {
        Estimate::new(figure(&self.value), self.resampled.iter().map(figure).collect())
    }

    fn apgr_over(&self, other: &Self) -> Estimate {
        let differences =
            self.resampled.iter().zip(&other.resampled).map(|(one, other)| one.apgr - other.apgr);
        Estimate::new(self.value.apgr - other.value.apgr, differences.collect())
    }
}

impl Bootstrap<'_> {
    fn curve(&self, scores: &[f64]) -> Option<Curve> {
        let ranking = Ranking::new(scores);
        let gains: Vec<f64> = self.rows.iter().map(Row::gain).collect();
        let value = ranking.recovery(&gains, &vec![1; gains.len()])?;
        // A sample without a gap has no curve; every router loses the same samples.
        let resampled = self.samples.iter().filter_map(|copies| ranking.recovery(&gains, copies)).collect();
        Some(Curve { value, resampled })
    }

    fn calibration(&self, predictions: &[Prediction]) -> Estimate {
        let confidences: Vec<f64> = predictions.iter().map(|prediction| prediction.confidence).collect();
        let outcomes: Vec<bool> = self.rows.iter().map(Row::good_enough).collect();
        self.estimate(|copies| calibration_error(&confidences, &outcomes, copies))
    }

    fn promises(&self, predictions: &[Prediction]) -> Vec<PromiseFigures> {
        let mean = |figure: &dyn Fn(&Row, bool) -> f64, index: usize| {
            let values: Vec<f64> = self
                .rows
                .iter()
                .zip(predictions)
                .map(|(row, prediction)| figure(row, prediction.lightweight[index]))
                .collect();
            self.estimate(|copies| weighted_mean(&values, copies))
        };
        let figures = |(index, permille): (usize, u16)| PromiseFigures {
            permille,
            regret: mean(&|row, lightweight| if lightweight { row.gain().max(0.0) } else { 0.0 }, index),
            powerful_share: mean(&|_, lightweight| f64::from(u8::from(!lightweight)), index),
            quality: mean(
                &|row, lightweight| if lightweight { row.lightweight } else { row.powerful },
                index,
            ),
        };
        PROMISES.into_iter().enumerate().map(figures).collect()
    }

    fn estimate(&self, figure: impl Fn(&[u32]) -> f64) -> Estimate {
        let resampled = self.samples.iter().map(|copies| figure(copies)).collect();
        Estimate::new(figure(&vec![1; self.rows.len()]), resampled)
    }
}

fn weighted_mean(values: &[f64], copies: &[u32]) -> f64 {
    let sum: f64 = values.iter().zip(copies).map(|(value, copies)| value * f64::from(*copies)).sum();
    sum / copies.iter().map(|copies| f64::from(*copies)).sum::<f64>().max(1.0)
}
