//! What audits found, what follows from it, and whether requests still look as they did in training.

use serde::{Deserialize, Serialize};
use tinydancer_crds::{Configuration, Digest, routing_policy::Tier};
use tinydancer_guards::{
    drift::InputDrift,
    risk::{CoverageCounts, RegretHistogram},
};

/// Who answers in each tier, and who grades: grades of other LLMs' answers, or by another grader, say nothing about these, so
/// sums and thresholds belong to them. Names and prices do not count.
pub fn parties(configuration: &Configuration) -> Digest {
    #[derive(Serialize)]
    struct Parties<'a> {
        answer: Vec<(Tier, &'a str, &'a str)>,
        grades: Option<&'a str>,
    }
    let answer = configuration.candidates.iter();
    let answer = answer.map(|candidate| (candidate.tier, &*candidate.endpoint, &*candidate.model)).collect();
    let grades = configuration.audit.as_ref().map(|audit| &*audit.grader.endpoint);
    // Strings always serialise.
    Digest::of(&serde_json::to_vec(&Parties { answer, grades }).unwrap_or_default())
}

/// What audited requests say about one model, over the whole life of the pod's volume. A repeated report replaces it; pods
/// are added up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CalibrationSums {
    /// The model that scored the requests.
    pub digest: Digest,
    /// Audited requests that it scored.
    pub pairs: u64,
    /// What Lightweight would have lost on each of them, `max(0, q_P - q_L)`, by the model's score, whatever was decided.
    pub regret: RegretHistogram,
    /// What was lost by the decisions that were made.
    #[serde(default)]
    pub observed: RegretObserved,
    /// How often the model's sets held the truth.
    #[serde(default)]
    pub coverage: CoverageCounts,
    /// How often they should, by the model's artifact, in thousandths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage_promised_permille: Option<u16>,
}

/// What was lost on audited requests by the decisions that were made: nothing where Powerful answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegretObserved {
    /// Audited requests that the model decided.
    pub pairs: u64,
    /// Sum of the losses, each 0 to 1.
    pub regret: f64,
    /// Of the requests, those that went to Lightweight.
    pub lightweight: u64,
}

/// Far more than any pod audits; sums of such numbers stay exact.
const MOST_PAIRS: u64 = 1 << 40;

impl CalibrationSums {
    /// Nothing seen yet.
    pub fn of(digest: Digest) -> Self {
        Self {
            digest,
            pairs: 0,
            regret: RegretHistogram::default(),
            observed: RegretObserved::default(),
            coverage: CoverageCounts::default(),
            coverage_promised_permille: None,
        }
    }

    /// Adds what another pod has seen of the same model.
    pub fn merge(&mut self, other: &Self) {
        self.pairs = self.pairs.saturating_add(other.pairs);
        self.regret.merge(&other.regret);
        self.observed.pairs = self.observed.pairs.saturating_add(other.observed.pairs);
        self.observed.regret += other.observed.regret;
        self.observed.lightweight = self.observed.lightweight.saturating_add(other.observed.lightweight);
        self.coverage.merge(&other.coverage);
        self.coverage_promised_permille =
            self.coverage_promised_permille.or(other.coverage_promised_permille);
    }

    /// Whether it could have come from counting; what could not is left out of the fleet's sums.
    pub fn is_sound(&self) -> bool {
        let RegretObserved { pairs, regret, lightweight } = self.observed;
        self.pairs <= MOST_PAIRS
            && self.regret.is_sound()
            && self.regret.pairs() == self.pairs
            && self.coverage.is_sound()
            && self.coverage_promised_permille.is_none_or(|permille| permille <= 1000)
            && lightweight <= pairs
            && pairs <= self.pairs
            && (0.0..=lightweight as f64 * (1.0 + 1e-9)).contains(&regret)
    }
}

/// The threshold that the stable model decides by instead of its artifact's, found from the whole fleet's audits. It holds
/// for this model and this promise only: a router whose stable model or `decision.risk` is another leaves it alone.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OnlineCalibration {
    /// The model.
    pub digest: Digest,
    /// Lightweight answers where the score is at most this; -1 is nowhere.
    pub lambda: f32,
    /// The promise it keeps, in thousandths.
    pub permille: u16,
    /// Audited requests it rests on.
    pub pairs: u64,
}

/// How far a test's mean may lie from the reference before it speaks of drift.
pub const DRIFT_MARGIN: f64 = 0.05;

/// Whether requests still look to the stable model as they did where it was trained; since the process started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DriftSums {
    /// The stable model.
    pub digest: Digest,
    /// Requests by score, in equal bins of -1 to 2.
    pub scores: Vec<u64>,
    /// Shares of the same bins in training.
    pub reference: Vec<f64>,
    /// The tests, one for each input that the artifact has a reference of.
    pub tests: Vec<DriftTest>,
}

/// One sequential test of a mean against the artifact's reference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DriftTest {
    /// Of what.
    pub input: DriftInput,
    /// Mean in training.
    pub reference: f64,
    /// How far the mean may lie from it.
    pub margin: f64,
    /// What was seen.
    pub seen: InputDrift,
}

/// What a request looks like in one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DriftInput {
    /// Share of its words that the model was not trained on.
    Novelty,
    /// The model's uncertainty about it.
    Uncertainty,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(pairs: u64) -> CalibrationSums {
        let mut sums = CalibrationSums::of(Digest::of(b"model"));
        for pair in 0..pairs {
            let regret = if pair % 4 == 0 { 0.5 } else { 0.0 };
            sums.regret.add(0.1, regret);
            sums.coverage.add(pair % 4 != 0, pair % 10 != 0);
            sums.coverage_promised_permille = Some(900);
            sums.observed.pairs += 1;
            sums.observed.lightweight += 1;
            sums.observed.regret += regret;
            sums.pairs += 1;
        }
        sums
    }

    #[test]
    fn pods_add_up_in_either_order() {
        let (mut one, mut other) = (sums(12), sums(8));
        one.merge(&sums(8));
        other.merge(&sums(12));
        assert_eq!(one, other);
        assert_eq!((one.pairs, one.observed.regret), (20, sums(20).observed.regret));
        assert!(one.is_sound());
    }

    #[test]
    fn sums_that_no_counting_gives_are_told_from_others() {
        assert!(sums(0).is_sound() && sums(5).is_sound());
        let spoilt = |spoil: fn(&mut CalibrationSums)| {
            let mut sums = sums(5);
            spoil(&mut sums);
            sums
        };
        for sums in [
            spoilt(|sums| sums.pairs = 6),
            spoilt(|sums| sums.observed.regret = 5.1),
            spoilt(|sums| sums.observed.regret = f64::NAN),
            spoilt(|sums| sums.observed.lightweight = 6),
            spoilt(|sums| sums.observed.pairs = 6),
            spoilt(|sums| sums.coverage.good_enough.covered = 9),
            spoilt(|sums| sums.coverage_promised_permille = Some(1001)),
        ] {
            assert!(!sums.is_sound(), "{sums:?}");
        }
    }

    #[test]
    fn sums_read_back_as_they_were_written() {
        let text = serde_json::to_string(&sums(7)).unwrap();
        assert_eq!(serde_json::from_str::<CalibrationSums>(&text).unwrap(), sums(7));
    }
}
