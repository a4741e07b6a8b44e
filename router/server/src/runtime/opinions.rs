//! What the models say about one request, and how long each took to say it.

use std::{
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};

use tinydancer_crds::Digest;
use tinydancer_engine::{Decision, DecisionRule, Features, Score, Tier, token_table::TokenTable};
use tinydancer_guards::Observation;

use super::{
    DecisionInput, ModelRole, ScoringTime, Stages, arms::Arms, beside::Beside, model::LoadedModel,
    own_embedding::own_embedding,
};

thread_local! {
    /// Buffers that each request of a thread uses again.
    static FEATURES: RefCell<Features> = RefCell::default();
    /// Whose turn it is to score first: whoever scores second finds features and code in the processor's caches.
    static SECOND_BEGINS: Cell<bool> = const { Cell::new(false) };
}

/// One model's word on the request. Without a score, the model failed.
pub(super) struct Opinion<'a> {
    pub(super) model: &'a LoadedModel,
    pub(super) role: ModelRole,
    pub(super) scored: Option<(Score, Decision)>,
    /// How many of the request's tags it knows; `None` without tags.
    pub(super) known_tags: Option<usize>,
    nanoseconds: u64,
}

impl<'a> Opinion<'a> {
    fn of((model, role): (&'a Arc<LoadedModel>, ModelRole), features: &Features, rule: DecisionRule) -> Self {
        let begin = Instant::now();
        let score = model.score(features);
        let nanoseconds = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let scored = score.ok().map(|score| (score, model.engine().decide(&score, &rule)));
        let tagged = !features.tags().is_empty();
        let known_tags = tagged.then(|| model.engine().known_tags(features));
        Self { model, role, scored, known_tags, nanoseconds }
    }

    fn time(&self) -> ScoringTime {
        ScoringTime { role: self.role, microseconds: self.nanoseconds as f64 / 1e3 }
    }
}

/// What all models say.
pub(super) struct Opinions<'a> {
    /// Of the model that serves.
    pub(super) serving: Option<Opinion<'a>>,
    /// Of the one beside it.
    pub(super) beside: Option<Opinion<'a>>,
    pub(super) statistics: Vec<f32>,
    pub(super) latency: Stages,
}

impl<'a> Opinions<'a> {
    /// The one of the model beside that which decided.
    pub(super) fn other_than(&self, decided: Option<Digest>) -> Option<&Opinion<'a>> {
        let by_the_other = self.beside.as_ref().is_some_and(|beside| decided == Some(beside.model.digest()));
        if by_the_other { self.serving.as_ref() } else { self.beside.as_ref() }
    }

    /// How long each model took.
    pub(super) fn times(&self) -> [Option<ScoringTime>; 2] {
        [&self.serving, &self.beside].map(|opinion| opinion.as_ref().map(Opinion::time))
    }
}

/// A model and what it is to the request.
type Asked<'a> = Option<(&'a Arc<LoadedModel>, ModelRole)>;

/// Who is asked: the model that serves and the one beside it. A promoted model that tripped is asked no more.
fn asked(arms: &Arms) -> (Asked<'_>, Asked<'_>) {
    let stable = arms.stable.as_ref().map(|model| (model, ModelRole::Stable));
    match &arms.beside {
        None => (stable, None),
        Some(Beside::Trial(trial)) => (stable, Some((&trial.candidate, ModelRole::Candidate))),
        Some(Beside::Watch(watch)) => {
            let previous = watch.previous.as_ref().map(|model| (model, ModelRole::Previous));
            if watch.is_left() { (previous, None) } else { (stable, previous) }
        }
    }
}

/// Reads the features once and lets every model score them, by turns the one or the other first. Where the request comes
/// without an embedding, the token table makes one for models that read its own.
pub(super) fn opinions<'a>(
    arms: &'a Arms,
    input: &DecisionInput<'_>,
    token_table: Option<&TokenTable>,
) -> Opinions<'a> {
    let nobody = Opinions { serving: None, beside: None, statistics: Vec::new(), latency: Stages::default() };
    let (serving, beside) = asked(arms);
    if serving.is_none() && beside.is_none() {
        return nobody;
    }
    FEATURES.with_borrow_mut(|features| {
        let begin = Instant::now();
        let tags = input.tags.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        // A panic would be the extractor's, not a model's: the request goes to Powerful and nobody is blamed.
        if catch_unwind(AssertUnwindSafe(|| features.extract_into(input.text, tags))).is_err() {
            return nobody;
        }
        let fits = |embedding: &&[f32]| {
            [serving, beside].into_iter().flatten().all(|(model, _)| model.reads(embedding))
        };
        let models = [serving, beside].into_iter().flatten().map(|(model, _)| model);
        let own = token_table.filter(|_| input.embedding.is_none());
        let own = own.and_then(|table| own_embedding(table, models, input.text));
        if let Some(embedding) = input.embedding.filter(fits).or(own.as_deref()) {
            // Where it has no direction there is none: the request was checked before.
            let _ = features.set_embedding(embedding);
        }
        let features_us = micros(begin);
        let begin = Instant::now();
        let ask =
            |asked: Asked<'a>| asked.map(|asked| Opinion::of(asked, features, arms.rule(asked.0.digest())));
        let (serving, beside) = by_turns(|| ask(serving), || ask(beside));
        let latency = Stages { features_us, inference_us: micros(begin), total_us: 0.0 };
        Opinions { serving, beside, statistics: features.statistics().to_vec(), latency }
    })
}

/// Does both, and what comes second this time first the next time.
fn by_turns<One, Other>(one: impl FnOnce() -> One, other: impl FnOnce() -> Other) -> (One, Other) {
    if SECOND_BEGINS.replace(!SECOND_BEGINS.get()) {
        let other = other();
        (one(), other)
    } else {
        (one(), other())
    }
}

/// What the guards see of a request in a trial. The first model of a fleet is compared with its own reference, and its
/// decisions with nothing.
pub(super) fn in_trial(candidate: &Opinion<'_>, stable: Option<&Opinion<'_>>) -> Observation {
    match (candidate.scored, stable) {
        (Some((score, _)), None) => {
            let reference = candidate.model.engine().reference().mean_uncertainty;
            Observation {
                uncertainty: Some((score.uncertainty, reference)),
                scoring_nanoseconds: Some((candidate.nanoseconds, 0)),
                ..Observation::default()
            }
        }
        _ => compared(candidate, stable),
    }
}

/// What the guards see of a request that two models scored. A failure of the reference is not the candidate's doing, and
/// without a reference nothing but the candidate's failures is seen.
pub(super) fn compared(candidate: &Opinion<'_>, reference: Option<&Opinion<'_>>) -> Observation {
    let Some((score, decision)) = candidate.scored else {
        return Observation { fault: true, ..Observation::default() };
    };
    let Some(reference) = reference else { return Observation::default() };
    let Some((reference_score, reference_decision)) = reference.scored else { return Observation::default() };
    Observation {
        fault: false,
        uncertainty: Some((score.uncertainty, reference_score.uncertainty)),
        escalation: Some((escalates(decision), escalates(reference_decision))),
        scoring_nanoseconds: Some((candidate.nanoseconds, reference.nanoseconds)),
    }
}

fn escalates(decision: Decision) -> bool {
    decision.tier == Tier::Powerful
}

/// Microseconds since then.
pub(super) fn micros(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_model_is_always_the_first_to_score() {
        let order = RefCell::new(String::new());
        for _ in 0..3 {
            let both = by_turns(|| order.borrow_mut().push('a'), || order.borrow_mut().push('b'));
            assert_eq!(both, ((), ()));
        }
        assert_eq!(order.into_inner(), "abbaab");
    }
}
