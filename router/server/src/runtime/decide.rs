//! One request: features once, every arm scores, one decision counts, all of them are remembered.

use std::{sync::Arc, time::Instant};

use tinydancer_crds::routing_policy::Tier;
use tinydancer_engine::{Decision, Tier as EngineTier};
use tinydancer_guards::{Arm as Bucketed, BasisPoints, Bucket, Observation};
use tinydancer_history as history;
use uuid::Uuid;

use super::{
    Arm, DecisionId, DecisionInput, ModelRole, RoutingDecision, Runtime, Stages,
    arms::Arms,
    audits::{AuditedDecision, ModelScore},
    beside::{Beside, TrialArm},
    draw::Draw,
    feedback::seconds_since_1970,
    ledger::Ledger,
    opinions::{Opinion, Opinions, compared, in_trial, micros, opinions},
};

/// Whose decision counts.
#[derive(Clone, Copy)]
struct Counting<'o, 'a> {
    arm: Arm,
    opinion: Option<&'o Opinion<'a>>,
    /// Of the request's key, where the weight of a canary sorted it into an arm.
    bucket: Option<Bucket>,
}

impl<'o, 'a> Counting<'o, 'a> {
    fn without_trial(opinion: Option<&'o Opinion<'a>>) -> Self {
        let arm = if opinion.is_some() { Arm::Stable } else { Arm::Unclassified };
        Self { arm, opinion, bucket: None }
    }

    /// Whose share of the requests it belongs to: what no model decided is the share of what serves without the candidate.
    fn share(&self) -> Bucketed {
        if self.arm == Arm::Candidate { Bucketed::Candidate } else { Bucketed::Stable }
    }
}

impl Runtime {
    /// Decides on one request: microseconds, no disk, never an error. Without a model, or if it fails on this request,
    /// the answer is Powerful and `classified` is false.
    pub fn decide(&self, input: &DecisionInput<'_>) -> RoutingDecision {
        let begin = Instant::now();
        let arms = self.arms.load();
        let opinions = opinions(&arms, input, self.token_table.get());
        let unique = Uuid::now_v7();
        let counting = self.counting(&arms, &opinions, input.sticky_key.unwrap_or(unique.as_bytes()));
        self.learn(&arms, &opinions, counting);
        let scored = counting.opinion.and_then(|opinion| opinion.scored);
        let decision = scored.map_or(Decision::UNCLASSIFIED, |(_, decision)| decision);
        let taken = Taken::of(&arms, decision, unique);
        let digest = counting.opinion.map(|opinion| opinion.model.digest());
        let id = self.keys.load().current().name(&self.pod, counting.arm, digest.as_ref(), unique);
        let decided = RoutingDecision {
            audit: audited(&arms, &id, &opinions, counting, taken),
            id,
            tier: taken.tier,
            fallback: decision.fallback && !taken.explored,
            arm: counting.arm,
            digest,
            score: scored.map(|(score, _)| score.score),
            confidence: scored.map(|(score, _)| score.confidence()),
            uncertainty: scored.map(|(score, _)| score.uncertainty),
            novelty: scored.and_then(|(score, _)| score.novelty),
            set: scored.and_then(|(score, _)| score.set),
            known_tags: counting.opinion.and_then(|opinion| opinion.known_tags),
            abstained: decision.abstained,
            reason: decision.reason.as_str(),
            classified: scored.is_some(),
            explored: taken.explored,
            scoring: opinions.times(),
            latency: Stages { total_us: micros(begin), ..opinions.latency },
        };
        self.remember(&decided, taken.propensity, opinions);
        decided
    }

    /// In a trial the candidate's for the keys of its share, in a watch the promoted model's; where that model failed on
    /// this request, the other one's.
    fn counting<'o, 'a>(&self, arms: &Arms, opinions: &'o Opinions<'a>, key: &[u8]) -> Counting<'o, 'a> {
        let gave_one = |opinion: Option<&'o Opinion<'a>>| opinion.filter(|opinion| opinion.scored.is_some());
        let (serving, beside) = (gave_one(opinions.serving.as_ref()), gave_one(opinions.beside.as_ref()));
        match (&arms.beside, beside) {
            (Some(Beside::Trial(trial)), Some(candidate)) => self.drawn(trial, candidate, serving, key),
            (Some(Beside::Watch(_)), previous) => Counting::without_trial(serving.or(previous)),
            (Some(Beside::Trial(_)), None) | (None, _) => Counting::without_trial(serving),
        }
    }

    fn drawn<'o, 'a>(
        &self,
        trial: &TrialArm,
        candidate: &'o Opinion<'a>,
        stable: Option<&'o Opinion<'a>>,
        key: &[u8],
    ) -> Counting<'o, 'a> {
        let weight = trial.effective_weight(self.clock.now());
        if weight == BasisPoints::ZERO {
            return Counting::without_trial(stable);
        }
        let bucket = trial.salt.bucket(key);
        let counting = match bucket.arm(weight) {
            Bucketed::Candidate => Counting { arm: Arm::Candidate, opinion: Some(candidate), bucket: None },
            Bucketed::Stable => Counting::without_trial(stable),
        };
        Counting { bucket: Some(bucket), ..counting }
    }

    /// Adds the request to the evidence.
    fn learn(&self, arms: &Arms, opinions: &Opinions<'_>, counting: Counting<'_, '_>) {
        if let Some(Opinion { model, scored: Some((score, _)), .. }) = &opinions.serving {
            model.count(score);
        }
        arms.step.count_decision(counting.share());
        if let Some(bucket) = counting.bucket {
            arms.step.see(bucket, counting.share());
        }
        if opinions.beside.is_some() {
            arms.step.count_pair();
        }
        match (&arms.beside, &opinions.serving, &opinions.beside) {
            (Some(Beside::Trial(trial)), stable, Some(candidate)) => {
                self.observe(&trial.ledger, &in_trial(candidate, stable.as_ref()), counting.share());
            }
            (Some(Beside::Watch(watch)), Some(promoted), previous) if promoted.role == ModelRole::Stable => {
                let decided = counting.opinion.map(|opinion| opinion.role);
                let arm =
                    if decided == Some(ModelRole::Stable) { Bucketed::Candidate } else { Bucketed::Stable };
                self.observe(&watch.ledger, &compared(promoted, previous.as_ref()), arm);
            }
            _ => {}
        }
    }

    /// Takes what the guards see, and the model out of traffic if this request shows that it must leave.
    fn observe(&self, ledger: &Ledger, observation: &Observation, decided: Bucketed) {
        if let Some(cause) = ledger.observe(observation, decided) {
            self.trip(ledger, cause);
        }
    }

    fn remember(&self, decided: &RoutingDecision, propensity: f32, opinions: Opinions<'_>) {
        let shadow = opinions.other_than(decided.digest);
        self.history.record_decision(history::Decision {
            id: decided.id.as_str().to_owned(),
            at: seconds_since_1970(),
            arm: if decided.arm == Arm::Candidate { Bucketed::Candidate } else { Bucketed::Stable },
            digest: decided.digest.map(|digest| digest.to_string()),
            tier: stored_tier(decided.tier),
            upstream: None,
            score: decided.score,
            uncertainty: decided.uncertainty,
            good_enough: decided.confidence,
            shadow: shadow.map(|opinion| history::Shadow {
                digest: opinion.model.digest().to_string(),
                score: opinion.scored.map(|(score, _)| score.score),
                uncertainty: opinion.scored.map(|(score, _)| score.uncertainty),
            }),
            statistics: opinions.statistics,
            propensity,
            explored: decided.explored,
        });
    }
}

/// Where a request goes, and how probable that was.
#[derive(Clone, Copy)]
struct Taken {
    tier: Tier,
    explored: bool,
    propensity: f32,
}

impl Taken {
    /// The decided tier, or for a share of the requests the other one. What the engine could not judge is not experimented
    /// with.
    fn of(arms: &Arms, decision: Decision, unique: Uuid) -> Self {
        let decided = match decision.tier {
            EngineTier::Lightweight => Tier::Lightweight,
            EngineTier::Powerful => Tier::Powerful,
        };
        let permille = if decision.abstained { 0 } else { arms.explore_permille() };
        let probability = f32::from(permille) / 1000.0;
        if !Draw::Explore.picks(unique, permille) {
            return Self { tier: decided, explored: false, propensity: 1.0 - probability };
        }
        let other = match decided {
            Tier::Lightweight => Tier::Powerful,
            Tier::Powerful => Tier::Lightweight,
        };
        Self { tier: other, explored: true, propensity: probability }
    }
}

/// What an audit needs to know, for the share of requests that is audited.
fn audited(
    arms: &Arms,
    id: &DecisionId,
    opinions: &Opinions<'_>,
    counting: Counting<'_, '_>,
    taken: Taken,
) -> Option<Box<AuditedDecision>> {
    if !Draw::Audit.picks(id.unique(), arms.audit_permille()) {
        return None;
    }
    let configuration = Arc::clone(arms.configuration.as_ref()?);
    let decided = ModelScore::of(counting.opinion?)?;
    let beside = opinions.other_than(Some(decided.digest)).and_then(ModelScore::of);
    let Taken { tier, propensity, .. } = taken;
    let id = id.clone();
    Some(Box::new(AuditedDecision { id, configuration, taken: tier, propensity, decided, beside }))
}

/// A tier in the words of the history.
pub(super) fn stored_tier(tier: Tier) -> history::Tier {
    match tier {
        Tier::Lightweight => history::Tier::Lightweight,
        Tier::Powerful => history::Tier::Powerful,
    }
}
