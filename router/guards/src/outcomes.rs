//! Which answers are compared: one of the candidate's arm with one of stable's arm that ended next to it.

use serde::{Deserialize, Serialize};

use crate::bucket::Arm;

/// How many requests of each arm were sent on, and how many of them got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutcomeCounts {
    /// Sent on by the candidate's decision.
    pub candidate: u64,
    /// Of them, without an answer.
    pub candidate_failures: u64,
    /// Sent on by stable's decision.
    pub stable: u64,
    /// Of them, without an answer.
    pub stable_failures: u64,
}

impl OutcomeCounts {
    pub(crate) fn count(&mut self, arm: Arm, failed: bool) {
        let (all, failures) = match arm {
            Arm::Candidate => (&mut self.candidate, &mut self.candidate_failures),
            Arm::Stable => (&mut self.stable, &mut self.stable_failures),
        };
        *all = all.saturating_add(1);
        *failures = failures.saturating_add(u64::from(failed));
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            candidate: self.candidate.saturating_add(other.candidate),
            candidate_failures: self.candidate_failures.saturating_add(other.candidate_failures),
            stable: self.stable.saturating_add(other.stable),
            stable_failures: self.stable_failures.saturating_add(other.stable_failures),
        }
    }
}

/// Who is compared with whom: the first answer to end with the second, the third with the fourth, and so on, where the
/// two are of different arms.
///
/// The arm of a request is drawn by its bucket, whatever becomes of it, so "candidate first" and "stable first" are
/// equally probable in each couple. Where the arm makes no difference the mean of the difference is therefore exactly 0,
/// given everything before the couple and both answers: upstreams may come and go, and failures may take longer to end
/// than successes. (A queue of answers that wait for a partner does not have this property: what waits tells which arm
/// comes first.) The price is that couples of one arm are not used: of the candidate's answers, a share of its weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Matching {
    /// The first answer of a couple.
    first: Option<(Arm, bool)>,
}

impl Matching {
    /// Takes one answer; with the second of a couple of both arms, the candidate's failure minus stable's.
    pub(crate) fn pair(&mut self, arm: Arm, failed: bool) -> Option<f64> {
        let Some((first_arm, first_failed)) = self.first.take() else {
            self.first = Some((arm, failed));
            return None;
        };
        let (candidate, stable) = match (first_arm, arm) {
            (Arm::Stable, Arm::Candidate) => (failed, first_failed),
            (Arm::Candidate, Arm::Stable) => (first_failed, failed),
            (Arm::Stable, Arm::Stable) | (Arm::Candidate, Arm::Candidate) => return None,
        };
        Some(f64::from(i8::from(candidate) - i8::from(stable)))
    }
}

#[cfg(test)]
mod tests;
