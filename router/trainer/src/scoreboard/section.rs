//! The figures of one router on some rows.

use serde::Serialize;
use tinydancer_engine::calibration::ConformalSet;
use tinydancer_guards::risk::upper_bound;

use super::bootstrap::{Bootstrap, Figure};
use super::metrics::{Outcomes, Ranking, Recovery, SAVINGS, brier_score, calibration_error, weighted_mean};
use super::routers::{Decided, Judged, PROMISES};
use crate::data::Row;

/// An upper bound of the regret is passed by the true regret with this probability.
const BOUND_DELTA: f64 = 0.05;

/// Everything that is measured of one router on one set of rows. What the router does not give is absent.
#[derive(Debug, Clone, Serialize)]
pub struct Section {
    /// Rows behind the figures.
    pub rows: usize,
    /// How well it ranks; absent where Powerful is not better on average.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery: Option<RecoveryFigures>,
    /// How honest P(Lightweight good enough) is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<CalibrationFigures>,
    /// What became of each promise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub promises: Vec<PromiseFigures>,
    /// Share of rows that went to Powerful because they are too new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub novel: Option<Figure>,
    /// How often the conformal sets hold the true label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<CoverageFigures>,
}

/// How well a score ranks.
#[derive(Debug, Clone, Serialize)]
pub struct RecoveryFigures {
    /// Area under the recovery curve.
    pub apgr: Figure,
    /// Call share that recovers half the gap.
    pub cpt50: Figure,
    /// Call share that recovers 80 % of the gap.
    pub cpt80: Figure,
    /// Share of the bill that is saved at 95 % of the quality of always-Powerful.
    pub saving95: Figure,
    /// What is left of the quality of always-Powerful at given savings.
    pub kept: Vec<KeptFigures>,
}

/// Quality at one saving.
#[derive(Debug, Clone, Serialize)]
pub struct KeptFigures {
    /// Share of the bill that is saved.
    pub saving: f64,
    /// Share of the quality of always-Powerful.
    pub quality: Figure,
}

/// How honest a probability is.
#[derive(Debug, Clone, Serialize)]
pub struct CalibrationFigures {
    /// Expected calibration error in 15 bins.
    pub ece: Figure,
    /// Brier score.
    pub brier: Figure,
}

/// What happened under one promise.
#[derive(Debug, Clone, Serialize)]
pub struct PromiseFigures {
    /// Thousandths of regret that were promised.
    pub permille: u16,
    /// Mean loss of quality where Lightweight answered and Powerful was better.
    pub regret: Figure,
    /// The 95 % upper confidence bound of the regret (Hoeffding and Bentkus); the largest over seeds.
    pub regret_bound: f64,
    /// Share of calls to Lightweight.
    pub lightweight: Figure,
    /// Mean quality.
    pub quality: Figure,
}

/// What became of the conformal sets.
#[derive(Debug, Clone, Serialize)]
pub struct CoverageFigures {
    /// Share of sets with the label, where Lightweight was good enough.
    pub good_enough: Figure,
    /// Share of sets with the label, where it was not.
    pub not_good_enough: Figure,
    /// Share of sets with one label: those that say something.
    pub one_label: Figure,
}

/// Rows with what a router said about them, once a seed.
pub(super) struct Subset<'a> {
    rows: Vec<&'a Row>,
    /// By seed, then by row.
    judged: Vec<Vec<Judged>>,
    outcomes: Outcomes,
    good_enough: Vec<bool>,
    bootstrap: Bootstrap,
    price_ratio: f64,
}

impl<'a> Subset<'a> {
    /// `judged` holds, for each seed, what was said about each of `rows`.
    pub(super) fn new(
        rows: Vec<&'a Row>,
        judged: Vec<Vec<Judged>>,
        price_ratio: f64,
        threads: usize,
    ) -> Self {
        Self {
            outcomes: Outcomes {
                lightweight: rows.iter().map(|row| row.lightweight).collect(),
                powerful: rows.iter().map(|row| row.powerful).collect(),
            },
            good_enough: rows.iter().map(|row| row.good_enough()).collect(),
            bootstrap: Bootstrap { rows: rows.len(), seeds: judged.len(), threads },
            rows,
            judged,
            price_ratio,
        }
    }

    /// Takes every figure.
    pub(super) fn measure(&self) -> Section {
        Section {
            rows: self.rows.len(),
            recovery: self.recovery(),
            calibration: self.calibration(),
            promises: (0..PROMISES.len()).filter_map(|promise| self.promise(promise)).collect(),
            novel: self.decided(|decided| f64::from(u8::from(decided.novel))),
            coverage: self.coverage(),
        }
    }

    /// Mean quality at evenly spread shares of calls to Powerful; the mean over seeds.
    pub(super) fn curve(&self, points: usize) -> Vec<f64> {
        let curves: Vec<Vec<f64>> =
            self.rankings().iter().map(|ranking| ranking.quality_curve(&self.outcomes, points)).collect();
        let mean = |point: usize| curves.iter().map(|curve| curve[point]).sum::<f64>() / curves.len() as f64;
        (0..=points).map(mean).collect()
    }

    /// The APGR of this router minus that of another one on the same rows, sample by sample.
    pub(super) fn apgr_over(&self, other: &Self) -> Option<Figure> {
        let (own, others) = (self.rankings(), other.rankings());
        let [figure] = self.bootstrap.estimate(|seed, copies| {
            let apgr =
                |ranking: &Ranking| Some(ranking.recovery(&self.outcomes, copies, self.price_ratio)?.apgr);
            Some([apgr(&own[seed])? - apgr(&others[seed])?])
        })?;
        Some(figure)
    }

    fn rankings(&self) -> Vec<Ranking> {
        let scores = |judged: &Vec<Judged>| judged.iter().map(|judged| judged.score).collect::<Vec<f64>>();
        self.judged.iter().map(|judged| Ranking::new(&scores(judged))).collect()
    }

    fn recovery(&self) -> Option<RecoveryFigures> {
        let rankings = self.rankings();
        let [apgr, cpt50, cpt80, saving95, most, more] = self.bootstrap.estimate(|seed, copies| {
            let recovery = rankings[seed].recovery(&self.outcomes, copies, self.price_ratio)?;
            let Recovery { apgr, cpt50, cpt80, saving95, kept: [most, more] } = recovery;
            Some([apgr, cpt50, cpt80, saving95, most, more])
        })?;
        let kept = SAVINGS.into_iter().zip([most, more]);
        let kept = kept.map(|(saving, quality)| KeptFigures { saving, quality }).collect();
        Some(RecoveryFigures { apgr, cpt50, cpt80, saving95, kept })
    }

    fn calibration(&self) -> Option<CalibrationFigures> {
        let confidences = self.of_each(|judged| judged.confidence)?;
        let [ece, brier] = self.bootstrap.estimate(|seed, copies| {
            Some([
                calibration_error(&confidences[seed], &self.good_enough, copies),
                brier_score(&confidences[seed], &self.good_enough, copies),
            ])
        })?;
        Some(CalibrationFigures { ece, brier })
    }

    fn promise(&self, promise: usize) -> Option<PromiseFigures> {
        let lightweight =
            self.of_each(|judged| Some(f64::from(u8::from(judged.decided?.lightweight[promise]))))?;
        let by_row = |value: &dyn Fn(&Row, f64) -> f64| -> Vec<Vec<f64>> {
            let of_seed = |chosen: &Vec<f64>| {
                self.rows.iter().zip(chosen).map(|(row, chosen)| value(row, *chosen)).collect()
            };
            lightweight.iter().map(of_seed).collect()
        };
        let regrets = by_row(&|row, chosen| chosen * row.gain().max(0.0));
        let qualities = by_row(&|row, chosen| chosen * row.lightweight + (1.0 - chosen) * row.powerful);
        let [regret, share, quality] = self.bootstrap.estimate(|seed, copies| {
            Some([
                weighted_mean(&regrets[seed], copies)?,
                weighted_mean(&lightweight[seed], copies)?,
                weighted_mean(&qualities[seed], copies)?,
            ])
        })?;
        let bounds =
            regrets.iter().map(|seed| upper_bound(seed.len() as u64, seed.iter().sum(), BOUND_DELTA));
        Some(PromiseFigures {
            permille: PROMISES[promise],
            regret,
            regret_bound: bounds.fold(0.0, f64::max),
            lightweight: share,
            quality,
        })
    }

    fn coverage(&self) -> Option<CoverageFigures> {
        let sets = self.of_each(|judged| judged.decided?.set)?;
        let shares = |seed: usize, copies: &[u32]| {
            // Of the rows with each label: how many, and how many sets hold it.
            let (mut rows, mut covered, mut single) = ([0.0; 2], [0.0; 2], 0.0);
            for ((set, good_enough), copies) in sets[seed].iter().zip(&self.good_enough).zip(copies) {
                let ConformalSet { good_enough: yes, not_good_enough: no } = *set;
                let (label, held) = if *good_enough { (0, yes) } else { (1, no) };
                let copies = f64::from(*copies);
                rows[label] += copies;
                covered[label] += if held { copies } else { 0.0 };
                single += if yes == no { 0.0 } else { copies };
            }
            let all: f64 = rows.iter().sum();
            (rows[0] > 0.0 && rows[1] > 0.0)
                .then(|| [covered[0] / rows[0], covered[1] / rows[1], single / all])
        };
        let [good_enough, not_good_enough, one_label] = self.bootstrap.estimate(shares)?;
        Some(CoverageFigures { good_enough, not_good_enough, one_label })
    }

    fn decided(&self, value: impl Fn(Decided) -> f64) -> Option<Figure> {
        let values = self.of_each(|judged| judged.decided.map(&value))?;
        let [figure] =
            self.bootstrap.estimate(|seed, copies| Some([weighted_mean(&values[seed], copies)?]))?;
        Some(figure)
    }

    /// A value of every judgement, by seed and row; nothing unless every one has it.
    fn of_each<T>(&self, value: impl Fn(&Judged) -> Option<T>) -> Option<Vec<Vec<T>>> {
        self.judged.iter().map(|seed| seed.iter().map(&value).collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(lightweight: f64, powerful: f64) -> Row {
        Row { task: String::new(), subject: String::new(), prompt: String::new(), lightweight, powerful }
    }

    fn judged(score: f64, confidence: f64, lightweight: bool, set: (bool, bool)) -> Judged {
        let set = ConformalSet { good_enough: set.0, not_good_enough: set.1 };
        let decided = Decided { lightweight: [lightweight; 4], novel: !lightweight, set: Some(set) };
        Judged { score, confidence: Some(confidence), decided: Some(decided) }
    }

    fn measured(rows: &[Row], judged: &[Judged]) -> Section {
        Subset::new(rows.iter().collect(), vec![judged.to_vec()], 100.0, 1).measure()
    }

    #[test]
    fn figures_of_a_case_worked_by_hand() {
        // Lightweight takes the first three rows: it loses 1 on the second. Powerful takes the last.
        let rows = [row(1.0, 1.0), row(0.0, 1.0), row(1.0, 0.5), row(0.0, 1.0)];
        let section = measured(
            &rows,
            &[
                judged(0.1, 0.9, true, (true, false)),
                judged(0.2, 0.8, true, (true, false)),
                judged(0.0, 0.9, true, (true, true)),
                judged(0.9, 0.2, false, (false, true)),
            ],
        );
        let promise = &section.promises[1];
        assert_eq!(promise.permille, 50);
        assert_eq!((promise.regret.value, promise.lightweight.value), (0.25, 0.75));
        assert_eq!(promise.quality.value, 0.75);
        assert_eq!(promise.regret_bound, upper_bound(4, 1.0, 0.05));
        let coverage = section.coverage.unwrap();
        // Two rows are good enough, both covered; of the other two the second is not.
        assert_eq!((coverage.good_enough.value, coverage.not_good_enough.value), (1.0, 0.5));
        assert_eq!(coverage.one_label.value, 0.75);
        assert_eq!(section.novel.unwrap().value, 0.25);
        // Bins of .9 (two of two), .8 (0 of 1), .2 (0 of 1).
        let calibration = section.calibration.unwrap();
        assert!((calibration.ece.value - (0.2 + 0.8 + 0.2) / 4.0).abs() < 1e-12);
        assert!((calibration.brier.value - (0.01 + 0.64 + 0.01 + 0.04) / 4.0).abs() < 1e-12);
        // Gains in order of score: 1, 1, 0, -.5 of a gap of 1.5.
        let apgr = section.recovery.unwrap().apgr.value;
        let curve = [0.0, 2.0 / 3.0, 4.0 / 3.0, 4.0 / 3.0, 1.0];
        let area: f64 = curve.windows(2).map(|pair| (pair[0] + pair[1]) / 8.0).sum();
        assert!((apgr - area).abs() < 1e-12);
    }

    #[test]
    fn what_a_router_does_not_say_is_absent() {
        let rows = [row(0.0, 1.0), row(1.0, 1.0)];
        let section = measured(&rows, &[Judged::score(1.0), Judged::score(0.0)]);
        assert!(section.calibration.is_none() && section.promises.is_empty() && section.coverage.is_none());
        assert!(section.recovery.is_some() && section.novel.is_none());
        let json = serde_json::to_value(&section).unwrap();
        assert!(json.get("promises").is_none() && json.get("coverage").is_none());
    }
}
