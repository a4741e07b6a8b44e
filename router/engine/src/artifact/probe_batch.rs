//! Requests that every model must be able to score before it may take another's place.
//!
//! The known answers say that the weights are the ones that were trained, but the artifact itself chooses their
//! texts. These are the engine's own: one of each kind of request, of ordinary length. A model that fails on rare ones
//! is left to the replay of a pod's past and to the guards.

use super::LoadError;
use super::known_answers::features;
use crate::model::Model;

/// A text, and tags. For a model that reads embeddings every other request comes with one.
const REQUESTS: [(&str, &[(&str, &str)]); 12] = [
    ("", &[]),
    ("Hi", &[]),
    ("What is the capital of France?", &[("task", "questions")]),
    ("WHY IS IT NOT 12.5 % OF 3,200 = 400? NEVER MIND!!!", &[]),
    ("def area(width, height):\n    return width * height\n\n\nassert area(2, 3) == 6", &[("task", "code")]),
    (
        "Which is a bird?\nA) bat\nB) robin\nC) shark\nD) None of these",
        &[("task", "choice"), ("subject", "biology")],
    ),
    ("The cat ____ on the mat, and the dog ____ under it.", &[]),
    ("∑ x² ≤ 4 ∧ x ≠ 0 ⇒ |x| < 3 √2 ± 1", &[]),
    ("请把“早上好”翻译成法语。", &[("language", "zh")]),
    ("🦀🦀🦀 \u{200b}\u{202e} \0 \u{fffd}", &[("", "")]),
    ("Antidisestablishmentarianism", &[("task", ""), ("task", "words")]),
    ("   \t\r\n   ", &[]),
];

/// Scores them all.
pub(crate) fn check(model: &Model) -> Result<(), LoadError> {
    for (index, (text, tags)) in REQUESTS.iter().enumerate() {
        let score = model.score(&features(model, index, text, tags.iter().copied()));
        // A share of nothing is no number, and no number is in a range.
        if !score.is_ok_and(|score| score.score.is_finite() && (0.0..=0.5).contains(&score.uncertainty)) {
            return Err(LoadError::Unscored { index });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::{self, Precision, Probe, WriteError};
    use crate::testing;

    #[test]
    fn a_model_that_knows_its_answers_and_fails_on_ordinary_requests_is_refused() {
        let mut parts = testing::parts(7);
        // The logs of characters and of words, turned against each other: infinite less infinite.
        for statistic in [0, 1] {
            parts.network.statistics_mean[statistic] = 0.0;
            parts.network.statistics_std[statistic] = 2e-38;
        }
        parts.network.h0_weight[0] = [0.0; 15];
        parts.network.h0_weight[0][0] = 100.0;
        parts.network.h0_weight[0][1] = -100.0;
        let mut metadata = testing::metadata("1.0.0", 7);
        let easy = Probe { text: String::new(), tags: std::collections::BTreeMap::new() };
        metadata.probes = vec![easy; artifact::LEAST_KNOWN_ANSWERS];
        let refused = artifact::write(&parts, &metadata, Precision::F32).expect_err("must be refused");
        assert!(matches!(refused, WriteError::Refused(LoadError::Unscored { index: 1 })), "{refused:?}");
    }

    #[test]
    fn models_that_work_score_them_all_with_and_without_embeddings() {
        let plain = Model::from_bytes(&testing::artifact("1.0.0", 7).expect("must write"));
        assert!(check(&plain.expect("must load")).is_ok());
        let mut parts = testing::parts(7);
        parts.embedding = Some(testing::embedding(7));
        let bytes = artifact::write(&parts, &testing::metadata("1.0.0", 7), Precision::Int8);
        let model = Model::from_bytes(&bytes.expect("must write")).expect("must load");
        assert!(check(&model).is_ok());
        let embedded = features(&model, 1, "Hi", [("", ""); 0]);
        assert!(embedded.embedding().is_some(), "every other request comes with one");
    }
}
