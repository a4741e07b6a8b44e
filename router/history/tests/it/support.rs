//! Records to store, and where.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::time::{SystemTime, UNIX_EPOCH};

use tempfile::TempDir;
use tinydancer_guards::Arm;
use tinydancer_history::{
    Decision, Feedback, FeedbackOutcome, FeedbackSource, History, HistoryError, IdempotencyKey, LabelSet,
    Options, Outcome, Pair, PairSums, Scored, Shadow, Tier,
};

pub(crate) const DIGEST: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

pub(crate) struct Folder {
    folder: TempDir,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("history.db")
    }

    pub(crate) fn beside(&self, suffix: &str) -> PathBuf {
        self.folder.path().join(format!("history.db{suffix}"))
    }

    pub(crate) fn open(&self) -> History {
        self.open_with(&Options::default())
    }

    pub(crate) fn open_with(&self, options: &Options) -> History {
        History::open(&self.file(), options).unwrap().0
    }
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub(crate) fn decision(id: &str, at: u64) -> Decision {
    Decision {
        id: id.to_owned(),
        at,
        arm: Arm::Candidate,
        digest: Some(DIGEST.to_owned()),
        tier: Tier::Lightweight,
        upstream: Some("small".to_owned()),
        score: Some(0.25),
        uncertainty: Some(0.125),
        good_enough: Some(0.875),
        statistics: vec![1.5, -2.0, 0.0, f32::MAX],
        shadow: Some(Shadow { digest: "sha256:00".to_owned(), score: None, uncertainty: Some(0.5) }),
        propensity: 0.875,
        explored: true,
    }
}

pub(crate) fn outcome(decision_id: &str) -> Outcome {
    Outcome {
        decision_id: decision_id.to_owned(),
        succeeded: true,
        latency_ms: 120,
        prompt_tokens: Some(10),
        completion_tokens: Some(20),
        cost_micro_dollars: Some(7),
    }
}

pub(crate) fn feedback(decision_id: &str, key: &str) -> Feedback {
    Feedback {
        decision_id: decision_id.to_owned(),
        idempotency_key: IdempotencyKey::new(decision_id, key),
        outcome: FeedbackOutcome::Good,
        score: Some(1.0),
        source: FeedbackSource::User,
        at: now(),
    }
}

pub(crate) fn pair(decision_id: &str, at: u64) -> Pair {
    let set = LabelSet { good_enough: true, not_good_enough: false };
    Pair {
        decision_id: decision_id.to_owned(),
        at,
        decided: Scored { digest: DIGEST.to_owned(), score: 0.25, good_enough: 0.875, set: Some(set) },
        tier: Tier::Lightweight,
        propensity: 0.875,
        lightweight: 0.5,
        powerful: 1.0,
        beside: Some(Scored { digest: "sha256:00".to_owned(), score: -0.25, good_enough: 0.5, set: None }),
    }
}

pub(crate) fn sums(digest: &str, sums: &str) -> PairSums {
    PairSums { digest: digest.to_owned(), sums: sums.to_owned() }
}

/// Records feedback and waits for the answer.
pub(crate) fn give(history: &History, feedback: Feedback) -> Result<(), HistoryError> {
    let answered = give_later(history, feedback);
    answered.recv().unwrap()
}

pub(crate) fn give_later(history: &History, feedback: Feedback) -> Receiver<Result<(), HistoryError>> {
    let (answer, answered) = channel();
    history.record_feedback(feedback, move |result| {
        let _ = answer.send(result);
    });
    answered
}
