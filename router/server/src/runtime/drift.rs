//! Whether requests still look to a model as they did where it was trained. Counts only; the operator says what follows.

use tinydancer_crds::Digest;
use tinydancer_engine::{Model, Reference, Score, calibration::SCORE_BINS};
use tinydancer_guards::drift::InputDrift;
use tinydancer_protocol::{DRIFT_MARGIN, DriftInput, DriftSums, DriftTest};

/// What one model has seen as the stable one since the process started.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    scores: [u64; SCORE_BINS],
    uncertainty: InputDrift,
    novelty: InputDrift,
}

impl Seen {
    /// Takes a request that the model scored.
    pub(super) fn count(&mut self, score: &Score, model: &Model) {
        let reference = model.reference();
        if let Some(bin) = self.scores.get_mut(Reference::score_bin(score.score)) {
            *bin += 1;
        }
        self.uncertainty.observe(score.uncertainty.into(), reference.mean_uncertainty.into(), DRIFT_MARGIN);
        if let Some(novelty) = score.novelty {
            self.novelty.observe(novelty.into(), reference.mean_novelty.into(), DRIFT_MARGIN);
        }
    }

    /// Mean uncertainty, and of how many requests.
    pub(super) fn mean_uncertainty(&self) -> Option<(f64, u64)> {
        self.uncertainty.mean()
    }

    /// As it is reported; `None` where the artifact has no shares of scores.
    pub(super) fn report(&self, digest: Digest, model: &Model) -> Option<DriftSums> {
        let reference = model.reference();
        if reference.scores.iter().all(|share| *share <= 0.0) {
            return None;
        }
        let test =
            |input, mean: f32, seen| DriftTest { input, reference: mean.into(), margin: DRIFT_MARGIN, seen };
        let novelty = test(DriftInput::Novelty, reference.mean_novelty, self.novelty);
        let novelty = model.metadata().novelty.map(|_| novelty);
        let uncertainty = test(DriftInput::Uncertainty, reference.mean_uncertainty, self.uncertainty);
        Some(DriftSums {
            digest,
            scores: self.scores.to_vec(),
            reference: reference.scores.iter().map(|share| f64::from(*share)).collect(),
            tests: novelty.into_iter().chain([uncertainty]).collect(),
        })
    }
}
