//! One walk: things happen, the operator looks, and the oracle looks at both.

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash, Hasher},
};

use jiff::{SignedDuration, Timestamp};
use tinydancer_crds::ABORT_ANNOTATION;
use tinydancer_plan::{Plan, Record, Rollout};

use super::{
    Tally,
    happenings::{Happening, MODELS, break_spec, nature},
    oracle::Oracle,
    random::Random,
};
use crate::world::{LEASE_SECONDS, Traffic, World, digest};

/// Things that happen on a walk before it has to end.
const HAPPENINGS: usize = 60;
/// Looks after which a candidate that somebody aborted is out of traffic everywhere, whatever pods can be reached.
const ROLLBACK_LOOKS: usize = LEASE_SECONDS as usize + 4;
/// Looks after which a good model is stable once people let it.
const PROMOTION_LOOKS: usize = 200;
/// Looks without a word from any pod: a blind candidate loses its weight on the way.
const DARK_LOOKS: usize = 70;
/// What was to be sent later than this is never sent.
const LATE_SECONDS: i64 = 5;

/// Breaks nothing.
pub(super) fn no_sabotage(_: &mut World) {}

/// How much of a plan the operator gets to.
#[derive(Clone, Copy)]
enum Carried {
    All,
    Nothing,
    /// The commit and so many actions.
    Part(usize),
}

pub(super) struct Walk {
    seed: u64,
    random: Random,
    world: World,
    oracle: Oracle,
    sabotage: fn(&mut World),
    requests: u64,
    carried: Carried,
    late: VecDeque<(Timestamp, Plan)>,
    backup: Option<Record>,
    happened: Vec<Happening>,
}

impl Walk {
    pub(super) fn begin(seed: u64, sabotage: fn(&mut World)) -> Self {
        let mut random = Random::new(seed);
        let mut world = if random.once_in(5) { unsettled() } else { World::settled() };
        for (name, _) in MODELS {
            world.add_model(name, digest(name));
        }
        let oracle = Oracle::new(&world);
        Self {
            seed,
            random,
            world,
            oracle,
            sabotage,
            requests: 300,
            carried: Carried::All,
            late: VecDeque::new(),
            backup: None,
            happened: Vec::new(),
        }
    }

    /// Walks to the end; what was unsafe, or kept the walk from ending.
    pub(super) fn run(mut self, tally: &mut Tally) -> Result<(), String> {
        tally.walks += 1;
        self.walk(tally).map_err(|found| {
            format!("{found}; in {:?} at {} after {:?}", self.world.rollout(), self.world.now, self.happened)
        })
    }

    fn walk(&mut self, tally: &mut Tally) -> Result<(), String> {
        for _ in 0..HAPPENINGS {
            let happening = Happening::draw(&mut self.random, &self.world);
            self.happened.push(happening);
            self.happen(happening);
            let looks = match happening {
                Happening::Wait(looks) => looks,
                Happening::Dark => DARK_LOOKS,
                _ => 1,
            };
            for _ in 0..looks {
                self.look(tally)?;
            }
        }
        if self.seed.is_multiple_of(2) { self.ends_by_abort(tally) } else { self.ends_by_promotion(tally) }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Traffic(requests) => self.requests = requests,
            Happening::CrashOperator(actions) => {
                self.carried = if actions == 0 { Carried::Nothing } else { Carried::Part(actions - 1) };
            }
            Happening::SendLate => self.send_late(),
            Happening::RepeatReport(pod) => self.oracle.repeat_report(&mut self.world, pod),
            Happening::Backup => self.backup = self.world.record.as_ref().map(|(record, _)| record.clone()),
            other => other.happen(&mut self.world, self.backup.as_ref()),
        }
        let restored = matches!(happening, Happening::Restore) && self.backup.is_some();
        if restored || matches!(happening, Happening::LoseRecord | Happening::Rebuild) {
            self.oracle.begin_anew(&self.world);
        }
        if matches!(
            happening,
            Happening::AddPod | Happening::RestartOperator | Happening::CrashOperator(_) | Happening::Rebuild
        ) {
            self.oracle.hears(self.world.now);
        }
    }

    /// What an operator that is gone had put on its way; pods may get it after what its successor sent.
    fn send_late(&mut self) {
        while let Some((at, mut plan)) = self.late.pop_front() {
            if self.world.now.duration_since(at).as_secs() <= LATE_SECONDS {
                plan.commit = None;
                plan.events.clear();
                plan.status = self.world.status.clone();
                self.world.carry_out(&plan);
            }
        }
    }

    /// A second of traffic, one look of the operator, one of the oracle.
    fn look(&mut self, tally: &mut Tally) -> Result<(), String> {
        let now = self.world.now;
        for pod in self.world.pods.iter_mut().filter(|pod| pod.ready) {
            let traffic = pod.compared().map_or(Traffic::Harmless, |(digest, _)| nature(digest));
            let before = pod.step;
            pod.serve(self.requests, traffic, now);
            self.oracle.count(pod, before);
        }
        let before = self.world.record.as_ref().map(|(record, _)| record.clone());
        self.oracle.prepare(&self.world);
        let mut plan = self.world.plan();
        let carried = std::mem::replace(&mut self.carried, Carried::All);
        match carried {
            Carried::All => self.world.carry_out(&plan),
            Carried::Nothing => self.world.restart_operator(),
            Carried::Part(actions) => {
                self.late.push_back((now, plan.clone()));
                plan.actions.truncate(actions);
                self.world.carry_out(&plan);
                self.world.restart_operator();
            }
        }
        self.world.now += SignedDuration::from_secs(1);
        (self.sabotage)(&mut self.world);
        tally.states += 1;
        tally.distinct.insert(self.fingerprint());
        let Some((after, _)) = &self.world.record else { return Ok(()) };
        if let Some(before) = before.as_ref().filter(|before| before.rollout != after.rollout) {
            *tally
                .transitions
                .entry(format!("{}-{}", kind(before.rollout), kind(after.rollout)))
                .or_default() += 1;
        }
        self.oracle.look(&self.world, before.as_ref(), matches!(carried, Carried::All))
    }

    /// Rollback is reached from every state, whoever can be reached and whatever the spec says.
    fn ends_by_abort(&mut self, tally: &mut Tally) -> Result<(), String> {
        *tally.endings.entry("abort").or_default() += 1;
        let Some((record, _)) = &self.world.record else { return Ok(()) };
        let Some(trial) = record.trial.clone() else { return Ok(()) };
        self.world.annotate(ABORT_ANNOTATION, &trial.attempt.to_string());
        for _ in 0..ROLLBACK_LOOKS {
            self.look(tally)?;
        }
        let (record, _) = self.world.record.as_ref().ok_or("the record is gone")?;
        let is_over = match record.rollout {
            Rollout::RolledBack { .. } | Rollout::Stable => true,
            _ => record.attempt > trial.attempt,
        };
        let is_gone = record.stable.as_ref().is_none_or(|stable| stable.model.digest != trial.model.digest)
            || record.rollout == Rollout::Stable;
        let is_unexposed = record.attempt > trial.attempt
            || self.world.pods.iter().all(|pod| pod.effective_weight(self.world.now).get() == 0);
        if !is_unexposed {
            return Err("a weight outlived its assignment, although somebody aborted the trial".to_owned());
        }
        (is_over && is_gone).then_some(()).ok_or_else(|| "an abort did not end the trial".to_owned())
    }

    /// Nothing that happened keeps a good model out for ever, once people let it in.
    fn ends_by_promotion(&mut self, tally: &mut Tally) -> Result<(), String> {
        *tally.endings.entry("promotion").or_default() += 1;
        let fresh = "support-v9";
        break_spec(&mut self.world, false);
        self.world.add_model(fresh, digest(fresh));
        self.world.name_model(fresh);
        self.world.policy.metadata.annotations = None;
        self.world.policy.spec.paused = false;
        for asks in [Happening::Ask(0, false), Happening::Ask(1, false), Happening::AskPromotion(false)] {
            asks.happen(&mut self.world, None);
        }
        // A model that the spec vouches for comes first while nothing is trusted, also from quarantine: whoever wants another
        // one has to take that word back.
        self.world.policy.spec.stable = None;
        for pod in &mut self.world.pods {
            (pod.ready, pod.reachable) = (true, true);
            pod.refuses.clear();
        }
        self.requests = 500;
        for _ in 0..PROMOTION_LOOKS {
            if self.world.stable() == Some(digest(fresh)) {
                return Ok(());
            }
            self.look(tally)?;
        }
        Err(format!("a good model was not promoted within {PROMOTION_LOOKS} looks"))
    }

    /// What tells one state from another; how far evidence and time have come does not.
    fn fingerprint(&self) -> u64 {
        let world = &self.world;
        let mut hasher = DefaultHasher::new();
        let epoch = world.record.as_ref().map_or(0, |(record, _)| record.assignment.epoch);
        if let Some((record, _)) = &world.record {
            let quarantined: Vec<_> = record.quarantine.iter().map(|entry| entry.digest).collect();
            let stable = record.stable.as_ref().map(|stable| stable.model.digest);
            let previous = record.previous.as_ref().map(|previous| previous.model.digest);
            let trial = record.trial.as_ref().map(|trial| trial.model.digest);
            (record.rollout, quarantined, stable, previous, trial).hash(&mut hasher);
        }
        let spec = &world.policy.spec;
        (&spec.model.name, spec.paused, spec.decision.thresholds.is_some()).hash(&mut hasher);
        for pod in &world.pods {
            let behind = pod.held.as_ref().map(|held| epoch.saturating_sub(held.epoch).min(8));
            let weight = pod.effective_weight(world.now).get();
            (pod.ready, pod.reachable, behind, weight, pod.serves, pod.seen.is_some()).hash(&mut hasher);
            (&pod.models, &pod.refuses, pod.trips.len().min(8)).hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// A fleet for whose first model nobody vouches.
fn unsettled() -> World {
    let mut world = World::new();
    world.policy.spec.stable = None;
    world.tick();
    world.add_pod("support-router-0");
    world.add_pod("support-router-1");
    world
}

fn kind(rollout: Rollout) -> String {
    format!("{rollout:?}").chars().take_while(char::is_ascii_alphanumeric).collect()
}
