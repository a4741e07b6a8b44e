//! A candidate scores this pod's own past before it has any traffic. Of a past request the history keeps the statistics alone,
//! never a text or a tag, so n-gram and tag evidence is missing: this finds a model that breaks on the traffic this pod
//! sees, and says nothing about how well it would have decided.

use std::time::{Duration, Instant};

use tinydancer_engine::Features;
use tinydancer_history::History;
use tinydancer_protocol::Replay;

use super::model::LoadedModel;

/// Decisions that are scored again, the newest.
const DECISIONS: u32 = 2_000;
/// How long that may take; what was not scored by then is not.
const WITHIN: Duration = Duration::from_secs(1);
/// Of a hundred decisions, a model may fail on this many...
const FAULTS_PERMITTED: u64 = 1;
/// ...and never on this many in a row.
const FAULTS_IN_A_ROW: u32 = 5;

/// The candidate fails on past traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "replay: the model failed on {faults} of {decisions} past decisions of this pod, and must not fail on more than \
     {FAULTS_PERMITTED} % or on {FAULTS_IN_A_ROW} in a row"
)]
pub struct ReplayError {
    /// Decisions scored before it was clear.
    pub decisions: u64,
    /// Of them, those on which the model failed.
    pub faults: u64,
}

/// Waits for the disk, and at most a second for the model. Without a history nothing is scored, and that is no error.
pub(super) fn replay(model: &LoadedModel, history: &History) -> Result<Replay, ReplayError> {
    let past = history.recent_decisions(DECISIONS).unwrap_or_else(|error| {
        tracing::warn!(%error, "failed to read past decisions; the candidate is not tried on them");
        Vec::new()
    });
    // Requests that no model looked at have no statistics.
    let past = past.iter().filter_map(|decision| <[f32; _]>::try_from(decision.statistics.as_slice()).ok());
    let begin = Instant::now();
    replayed(past.take_while(|_| begin.elapsed() < WITHIN).map(|statistics| {
        let score = model.score(&Features::of_statistics(statistics));
        score.is_ok_and(|score| (0.0..=0.5).contains(&score.uncertainty))
    }))
}

/// Counts decisions by whether the model could score them.
fn replayed(scored: impl Iterator<Item = bool>) -> Result<Replay, ReplayError> {
    let (mut replay, mut in_a_row) = (Replay::default(), 0);
    for scored in scored {
        replay.decisions += 1;
        replay.faults += u64::from(!scored);
        in_a_row = if scored { 0 } else { in_a_row + 1 };
        if in_a_row == FAULTS_IN_A_ROW {
            break;
        }
    }
    let Replay { decisions, faults } = replay;
    if in_a_row == FAULTS_IN_A_ROW || 100 * faults > FAULTS_PERMITTED * decisions {
        return Err(ReplayError { decisions, faults });
    }
    Ok(replay)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Scores that are right but at these places.
    fn with_faults_at(faults: &[usize], decisions: usize) -> Result<Replay, ReplayError> {
        replayed((0..decisions).map(|place| !faults.contains(&place)))
    }

    #[test]
    fn one_in_a_hundred_is_permitted_and_more_are_not() {
        assert_eq!(with_faults_at(&[], 0), Ok(Replay { decisions: 0, faults: 0 }));
        assert_eq!(with_faults_at(&[7], 100), Ok(Replay { decisions: 100, faults: 1 }));
        assert_eq!(with_faults_at(&[7], 99), Err(ReplayError { decisions: 99, faults: 1 }));
        assert_eq!(with_faults_at(&[7, 70], 199), Err(ReplayError { decisions: 199, faults: 2 }));
    }

    #[test]
    fn five_in_a_row_end_it_however_many_succeeded() {
        let four = with_faults_at(&[900, 901, 902, 903], 2_000);
        assert_eq!(four, Ok(Replay { decisions: 2_000, faults: 4 }));
        let five = with_faults_at(&[900, 901, 902, 903, 904], 2_000);
        assert_eq!(five, Err(ReplayError { decisions: 905, faults: 5 }));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_passes_has_no_more_faults_than_permitted(scored in prop::collection::vec(prop::bool::weighted(0.99), 0..400)) {
            let faults = scored.iter().filter(|scored| !**scored).count();
            let in_a_row = scored.windows(5).any(|five| five.iter().all(|scored| !scored));
            let passes = 100 * faults <= scored.len() && !in_a_row;
            prop_assert_eq!(replayed(scored.into_iter()).is_ok(), passes);
        }
    }
}
