//! Smaller networks: matrices with few numbers other than 0, or of low rank, held so while they learn.

mod low_rank;
mod sparse;

pub use low_rank::{Factors, truncate};
pub use sparse::{Phase, Support};

use std::ops::Range;

/// Batches between two choices of what stays (Kusupati et al., arXiv 1901.02358).
pub const THRESHOLD_EVERY: usize = 15;

/// A matrix in a flat slice of parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    /// Where its numbers are, row by row.
    pub place: Range<usize>,
    /// Numbers of a row.
    pub columns: usize,
}

/// What a network's matrices may be.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Constraint {
    /// Anything.
    #[default]
    Free,
    /// At most this share of the numbers of each matrix is not 0, in three equal thirds of the epochs: free, chosen
    /// anew every [`THRESHOLD_EVERY`] batches, and as chosen last.
    Sparse(f64),
    /// Of at most this rank.
    LowRank(usize),
}

/// Keeps matrices as a constraint says, batch by batch.
#[derive(Debug, Clone)]
pub struct Keeper {
    constraint: Constraint,
    matrices: Vec<Matrix>,
    support: Option<Support>,
    /// Batches since what stays was first chosen.
    batches: usize,
}

impl Keeper {
    /// For these matrices.
    pub fn new(constraint: Constraint, matrices: Vec<Matrix>) -> Self {
        Self { constraint, matrices, support: None, batches: 0 }
    }

    /// After a step of the optimiser in epoch `epoch` of `epochs`.
    pub fn hold(&mut self, values: &mut [f64], epoch: usize, epochs: usize) {
        match self.constraint {
            Constraint::Free => {}
            Constraint::Sparse(share) => self.hold_sparse(values, share, Phase::of(epoch, epochs)),
            Constraint::LowRank(rank) => {
                for matrix in &self.matrices {
                    truncate(&mut values[matrix.place.clone()], matrix.columns, rank);
                }
            }
        }
    }

    fn hold_sparse(&mut self, values: &mut [f64], share: f64, phase: Phase) {
        if phase == Phase::Dense {
            return;
        }
        let places = || self.matrices.iter().map(|matrix| matrix.place.clone());
        let chosen = match self.support.take() {
            Some(support) if phase == Phase::Frozen || !self.batches.is_multiple_of(THRESHOLD_EVERY) => {
                support
            }
            _ => Support::largest(values, places(), share),
        };
        chosen.keep(values);
        self.support = Some(chosen);
        self.batches += 1;
    }
}
