//! More than two models: what routing between each pair of them costs and gives, and which points nobody beats.

use serde::Serialize;

use super::run::{ScoreboardError, Settings, Subject, View, scoreboard};
use crate::data::{Graded, Row};
use crate::progress::Progress;

/// A model that can be routed to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Candidate {
    /// As rows grade it.
    pub name: String,
    /// What a call costs, in one unit for all.
    pub price: f64,
}

/// A point that no other has both less cost and more quality than.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// The cheaper model of the pair.
    pub cheaper: String,
    /// The dearer one.
    pub dearer: String,
    /// Share of calls to the dearer one.
    pub share: f64,
    /// Mean cost of a call.
    pub cost: f64,
    /// Mean quality, out-of-fold.
    pub quality: f64,
}

/// The frontier of routing among pairs.
#[derive(Debug, Clone, Serialize)]
pub struct Frontier {
    /// Rows that every candidate has answered.
    pub rows: usize,
    /// Pairs in which the dearer model is better on average; the others are no choice.
    pub pairs: usize,
    /// By rising cost.
    pub points: Vec<Point>,
}

/// Why there is no frontier.
#[derive(Debug, thiserror::Error)]
pub enum FrontierError {
    /// A pair could not be measured.
    #[error("failed to measure routing between {cheaper} and {dearer}")]
    Pair {
        /// The cheaper model.
        cheaper: String,
        /// The dearer one.
        dearer: String,
        /// Why.
        source: Box<ScoreboardError>,
    },
    /// No pair in which more money buys more quality.
    #[error(
        "the candidates must hold a pair of which the dearer is better, on at least {fewest} rows graded for all"
    )]
    NoPair {
        /// The fewest rows a model can be made of.
        fewest: usize,
    },
}

/// Trains a router for each pair, out-of-fold, with tags or without, and keeps the points that nobody beats.
///
/// # Errors
/// If there is no pair to route between, or a pair cannot be measured.
pub fn frontier(
    graded: &[Graded],
    candidates: &[Candidate],
    tags: bool,
    settings: &Settings,
    progress: &Progress,
) -> Result<Frontier, FrontierError> {
    let answered: Vec<&Graded> = graded
        .iter()
        .filter(|graded| candidates.iter().all(|candidate| graded.quality(&candidate.name).is_some()))
        .collect();
    let settings = Settings { baselines: false, ..settings.clone() };
    let (mut points, mut pairs) = (Vec::new(), 0);
    for cheaper in candidates {
        for dearer in candidates.iter().filter(|dearer| dearer.price > cheaper.price) {
            let rows: Vec<Row> =
                answered.iter().filter_map(|graded| graded.between(&cheaper.name, &dearer.name)).collect();
            let gap: f64 = rows.iter().map(Row::gain).sum();
            if rows.len() < crate::data::FEWEST_ROWS || gap <= 0.0 {
                continue;
            }
            pairs += 1;
            let subject = Subject::Trained { views: &[View { tags, embedding: false }] };
            let board = scoreboard(&rows, None, subject, &settings, progress).map_err(|source| {
                FrontierError::Pair {
                    cheaper: cheaper.name.clone(),
                    dearer: dearer.name.clone(),
                    source: Box::new(source),
                }
            })?;
            points.extend(
                board.routers.first().into_iter().flat_map(|router| along(&router.curve, cheaper, dearer)),
            );
        }
    }
    if pairs == 0 {
        return Err(FrontierError::NoPair { fewest: crate::data::FEWEST_ROWS });
    }
    Ok(Frontier { rows: answered.len(), pairs, points: unbeaten(points) })
}

/// The points of a quality curve.
fn along(curve: &[f64], cheaper: &Candidate, dearer: &Candidate) -> Vec<Point> {
    let last = curve.len().saturating_sub(1).max(1) as f64;
    let point = |(index, quality): (usize, &f64)| {
        let share = index as f64 / last;
        Point {
            cheaper: cheaper.name.clone(),
            dearer: dearer.name.clone(),
            share,
            cost: cheaper.price + share * (dearer.price - cheaper.price),
            quality: *quality,
        }
    };
    curve.iter().enumerate().map(point).collect()
}

fn unbeaten(mut points: Vec<Point>) -> Vec<Point> {
    // By rising cost; the best of those that cost the same comes first.
    points.sort_by(|one, other| one.cost.total_cmp(&other.cost).then(other.quality.total_cmp(&one.quality)));
    let mut best = f64::NEG_INFINITY;
    points.retain(|point| {
        let better = point.quality > best;
        best = best.max(point.quality);
        better
    });
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(cost: f64, quality: f64) -> Point {
        Point { cheaper: String::new(), dearer: String::new(), share: 0.0, cost, quality }
    }

    #[test]
    fn points_that_cost_more_and_give_no_more_are_dropped() {
        let kept = unbeaten(vec![
            point(2.0, 0.7),
            point(1.0, 0.5),
            point(1.0, 0.6),
            point(3.0, 0.7),
            point(4.0, 0.8),
        ]);
        let kept: Vec<(f64, f64)> = kept.iter().map(|point| (point.cost, point.quality)).collect();
        assert_eq!(kept, [(1.0, 0.6), (2.0, 0.7), (4.0, 0.8)]);
    }

    #[test]
    fn a_curve_runs_from_one_price_to_the_other() {
        let [cheaper, dearer] =
            [("a", 1.0), ("b", 5.0)].map(|(name, price)| Candidate { name: name.to_owned(), price });
        let points = along(&[0.5, 0.8, 0.9], &cheaper, &dearer);
        let costs: Vec<f64> = points.iter().map(|point| point.cost).collect();
        assert_eq!((costs, points[1].share), (vec![1.0, 3.0, 5.0], 0.5));
    }
}
