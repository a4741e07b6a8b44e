//! One request: features once, every arm scores, one decision counts, all of them are remembered.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use tinydancer_crds::routing_policy::Tier;
use tinydancer_engine::{Decision, DecisionRule, Features, Score, Tier as EngineTier};
use tinydancer_guards::{Arm as Bucketed, Observation};
use tinydancer_history as history;
use uuid::Uuid;

use super::{
    Arm, DecisionInput, RoutingDecision, Runtime, Stages,
    arms::{Arms, TrialArm},
    feedback::seconds_since_1970,
    model::LoadedModel,
};

thread_local! {
    /// Buffers that each request of a thread uses again.
    static FEATURES: RefCell<Features> = RefCell::default();
}

/// One model's word on the request. Without a score, the model failed.
struct Opinion<'a> {
    model: &'a LoadedModel,
    scored: Option<(Score, Decision)>,
}

impl<'a> Opinion<'a> {
    fn of(model: &'a LoadedModel, features: &Features, rule: DecisionRule) -> Self {
        let scored = model.score(features).ok().map(|score| (score, model.engine().decide(&score, &rule)));
        Self { model, scored }
    }
}

/// What all arms say.
struct Opinions<'a> {
    stable: Option<Opinion<'a>>,
    candidate: Option<Opinion<'a>>,
    statistics: Vec<f32>,
    latency: Stages,
}

impl Runtime {
    /// Decides on one request: microseconds, no disk, never an error. Without a model, or if it fails on this request,
    /// the answer is Powerful and `classified` is false.
    pub fn decide(&self, input: &DecisionInput<'_>) -> RoutingDecision {
        let begin = Instant::now();
        let arms = self.arms.load();
        let opinions = opinions(&arms, input);
        let unique = Uuid::now_v7();
        let arm = self.counting_arm(&arms, &opinions, input.sticky_key.unwrap_or(unique.as_bytes()));
        self.learn(&arms, &opinions, arm);
        let counting = match arm {
            Arm::Stable => opinions.stable.as_ref(),
            Arm::Candidate => opinions.candidate.as_ref(),
            Arm::Unclassified => None,
        };
        let scored = counting.and_then(|opinion| opinion.scored);
        let decision = scored.map_or(Decision::UNCLASSIFIED, |(_, decision)| decision);
        let digest = counting.map(|opinion| opinion.model.digest());
        let decided = RoutingDecision {
            id: self.keys.load().current().name(&self.pod, arm, digest.as_ref(), unique),
            tier: tier(decision.tier),
            fallback: decision.fallback,
            arm,
            digest,
            score: scored.map(|(score, _)| score.score),
            confidence: scored.map(|(score, _)| score.confidence()),
            uncertainty: scored.map(|(score, _)| score.uncertainty),
            abstained: decision.abstained,
            reason: decision.reason.as_str(),
            classified: scored.is_some(),
            latency: Stages { total_us: micros(begin), ..opinions.latency },
        };
        self.remember(&decided, opinions);
        decided
    }

    /// Whose decision counts: the candidate's for the keys of its share, unless it failed on this request.
    fn counting_arm(&self, arms: &Arms, opinions: &Opinions<'_>, key: &[u8]) -> Arm {
        let gave_one =
            |opinion: &Option<Opinion<'_>>| opinion.as_ref().is_some_and(|opinion| opinion.scored.is_some());
        let drawn = |trial: &TrialArm| {
            trial.salt.bucket(key).arm(trial.effective_weight(self.clock.now())) == Bucketed::Candidate
        };
        if gave_one(&opinions.candidate) && arms.trial.as_ref().is_some_and(drawn) {
            Arm::Candidate
        } else if gave_one(&opinions.stable) {
            Arm::Stable
        } else {
            Arm::Unclassified
        }
    }

    /// Adds the request to the evidence.
    fn learn(&self, arms: &Arms, opinions: &Opinions<'_>, arm: Arm) {
        if let Some(Opinion { model, scored: Some((score, _)) }) = &opinions.stable {
            model.count_uncertainty(score.uncertainty);
        }
        // What no model decided is the share of what serves without the candidate.
        let bucketed = if arm == Arm::Candidate { Bucketed::Candidate } else { Bucketed::Stable };
        let counter = match bucketed {
            Bucketed::Candidate => &arms.step.candidate_decisions,
            Bucketed::Stable => &arms.step.stable_decisions,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let (Some(trial), Some(candidate)) = (&arms.trial, &opinions.candidate) else { return };
        arms.step.pairs.fetch_add(1, Ordering::Relaxed);
        let observation = observation(candidate, opinions.stable.as_ref());
        if let Some(cause) = trial.ledger.observe(&observation, bucketed) {
            self.trip(&trial.ledger, cause);
        }
    }

    fn remember(&self, decided: &RoutingDecision, opinions: Opinions<'_>) {
        let shadow = match decided.arm {
            Arm::Candidate => opinions.stable,
            Arm::Stable | Arm::Unclassified => opinions.candidate,
        };
        self.history.record_decision(history::Decision {
            id: decided.id.as_str().to_owned(),
            at: seconds_since_1970(),
            arm: if decided.arm == Arm::Candidate { Bucketed::Candidate } else { Bucketed::Stable },
            digest: decided.digest.map(|digest| digest.to_string()),
            tier: match decided.tier {
                Tier::Lightweight => history::Tier::Lightweight,
                Tier::Powerful => history::Tier::Powerful,
            },
            upstream: None,
            score: decided.score,
            uncertainty: decided.uncertainty,
            good_enough: decided.confidence,
            statistics: opinions.statistics,
            shadow: shadow.map(|opinion| history::Shadow {
                digest: opinion.model.digest().to_string(),
                score: opinion.scored.map(|(score, _)| score.score),
                uncertainty: opinion.scored.map(|(score, _)| score.uncertainty),
            }),
        });
    }
}

/// Reads the features once and lets every arm score them.
fn opinions<'a>(arms: &'a Arms, input: &DecisionInput<'_>) -> Opinions<'a> {
    let nobody =
        Opinions { stable: None, candidate: None, statistics: Vec::new(), latency: Stages::default() };
    if arms.stable.is_none() && arms.trial.is_none() {
        return nobody;
    }
    FEATURES.with_borrow_mut(|features| {
        let begin = Instant::now();
        let tags = input.tags.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        // A panic would be the extractor's, not a model's: the request goes to Powerful and nobody is blamed.
        if catch_unwind(AssertUnwindSafe(|| features.extract_into(input.text, tags))).is_err() {
            return nobody;
        }
        let features_us = micros(begin);
        let begin = Instant::now();
        let rule = arms.rule();
        let opinion = |model: &'a Arc<LoadedModel>| Opinion::of(model, features, rule);
        Opinions {
            stable: arms.stable.as_ref().map(opinion),
            candidate: arms.trial.as_ref().map(|trial| opinion(&trial.candidate)),
            statistics: features.statistics().to_vec(),
            latency: Stages { features_us, inference_us: micros(begin), total_us: 0.0 },
        }
    })
}

/// What the guards see of a request. The first model of a fleet is compared with its own reference, and its escalations with
/// nothing; a failure of the stable model is not the candidate's doing.
fn observation(candidate: &Opinion<'_>, stable: Option<&Opinion<'_>>) -> Observation {
    let Some((score, decision)) = candidate.scored else {
        return Observation { fault: true, ..Observation::default() };
    };
    match stable {
        None => {
            let reference = candidate.model.engine().reference().mean_uncertainty;
            Observation { uncertainty: Some((score.uncertainty, reference)), ..Observation::default() }
        }
        Some(Opinion { scored: None, .. }) => Observation::default(),
        Some(Opinion { scored: Some((stable_score, stable_decision)), .. }) => Observation {
            fault: false,
            uncertainty: Some((score.uncertainty, stable_score.uncertainty)),
            escalation: Some((escalates(decision), escalates(*stable_decision))),
            scoring_nanoseconds: None,
        },
    }
}

fn escalates(decision: Decision) -> bool {
    decision.tier == EngineTier::Powerful
}

fn tier(tier: EngineTier) -> Tier {
    match tier {
        EngineTier::Lightweight => Tier::Lightweight,
        EngineTier::Powerful => Tier::Powerful,
    }
}

fn micros(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e6
}
