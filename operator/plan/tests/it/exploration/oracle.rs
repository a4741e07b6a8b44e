//! What may be. The oracle keeps its own books: what was committed and when, what pods were really sent, who tripped. It
//! asks the plan for nothing but the verdict on evidence, and knows of every model what it is worth.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tinydancer_crds::{
    ABORT_ANNOTATION, APPROVE_ANNOTATION, Digest, PROMOTE_ANNOTATION, ValidPolicy,
    routing_policy::{Approval, OnDeadline},
    valid::validate,
};
use tinydancer_guards::{GuardSettings, Verdict, judge};
use tinydancer_plan::{
    Record, Rollout,
    rollout::{Cause, Halt},
};
use tinydancer_protocol::{Assignment, Report, StepProgress};

use super::happenings::nature;
use crate::world::{LEASE_SECONDS, Pod, Traffic, World, digest};

/// Seconds that a weight may outlive the assignment it came with: the lease, and what was on its way.
const OUTLIVES_SECONDS: i64 = LEASE_SECONDS as i64 + 6;
/// Seconds of silence after which a candidate has no weight any more.
const BLIND_SECONDS: i64 = 63;

/// A pod that joined during a promotion never had the model before. If the promotion is rolled back, it goes on serving
/// until it has been handed the bytes: within so many looks in which it can be reached (and an operator may crash in one).
const CATCH_UP_LOOKS: u32 = 4;

/// An assignment that was committed.
struct Told {
    assignment: Assignment,
    since: Timestamp,
    /// Since when another one holds.
    until: Option<Timestamp>,
    /// What pods that held it were really sent.
    pairs: u64,
    candidate_decisions: u64,
}

pub(super) struct Oracle {
    told: Vec<Told>,
    /// Digests that became stable in a way that may be.
    trusted: BTreeSet<Digest>,
    /// Digests in quarantine, and since when.
    banned: BTreeMap<Digest, Timestamp>,
    /// The largest share that the running attempt has passed for.
    granted: u8,
    tripped: BTreeSet<(Digest, u64)>,
    refused: BTreeSet<Digest>,
    heard: Timestamp,
    /// Pods that an operator had to count when it looked last, and what they had verified.
    counted: Vec<(String, BTreeSet<Digest>)>,
    /// Looks since which a pod, by uid, still serves a model that was rolled back because it lacks the one before.
    behind: BTreeMap<String, u32>,
    /// Reports of processes, to be repeated later.
    reports: Vec<Report>,
}

type Checked = Result<(), String>;

fn check(holds: bool, otherwise: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(otherwise()) }
}

impl Oracle {
    pub(super) fn new(world: &World) -> Self {
        let mut oracle = Self {
            told: Vec::new(),
            trusted: world.policy.spec.stable.iter().map(|stable| digest(&stable.name)).collect(),
            banned: BTreeMap::new(),
            granted: 0,
            tripped: BTreeSet::new(),
            refused: BTreeSet::new(),
            heard: world.now,
            counted: Vec::new(),
            behind: BTreeMap::new(),
            reports: Vec::new(),
        };
        oracle.book(world);
        oracle
    }

    /// The record was exchanged by hand: what it says is a person's word.
    pub(super) fn begin_anew(&mut self, world: &World) {
        self.banned.clear();
        for told in self.told.iter_mut().filter(|told| told.until.is_none()) {
            told.until = Some(world.now);
        }
        let Some((record, _)) = &world.record else { return };
        self.granted = record.rollout.weight_percent();
        self.trusted.extend(record.stable.iter().map(|stable| stable.model.digest));
        if record.rollout == Rollout::Promoting {
            self.trusted.extend(record.trial.iter().map(|trial| trial.model.digest));
        }
    }

    /// Somebody reports, or is not expected to yet.
    pub(super) fn hears(&mut self, now: Timestamp) {
        self.heard = now;
    }

    /// Takes down what a pod was really sent.
    pub(super) fn count(&mut self, pod: &Pod, before: StepProgress) {
        let Some(held) = &pod.held else { return };
        if let Some(told) = self.told.iter_mut().rev().find(|told| told.assignment == *held) {
            told.pairs += pod.step.pairs - before.pairs;
            told.candidate_decisions += pod.step.candidate_decisions - before.candidate_decisions;
        }
    }

    /// Takes down what pods have verified before the operator looks.
    pub(super) fn prepare(&mut self, world: &World) {
        let silent = |pod: &Pod| world.now.duration_since(pod.heard).as_secs();
        let counted = world.pods.iter().filter(|pod| pod.ready && silent(pod) <= i64::from(LEASE_SECONDS));
        self.counted = counted.map(|pod| (pod.name.clone(), pod.models.clone())).collect();
    }

    /// An old report comes again, from a process that may have ended.
    pub(super) fn repeat_report(&self, world: &mut World, pod: usize) {
        if let Some(pod) = world.pods.get_mut(pod)
            && let Some(report) = self.reports.iter().find(|report| report.pod == pod.name)
        {
            pod.seen = Some(report.clone());
        }
    }

    /// Holds the world against what may be, after a look of the operator.
    pub(super) fn look(&mut self, world: &World, before: Option<&Record>, complete: bool) -> Checked {
        let Some((record, _)) = &world.record else { return Ok(()) };
        self.book(world);
        if complete && world.pods.iter().any(|pod| pod.reachable) {
            self.heard = world.now;
        }
        self.check_record(world, record)?;
        if let Some(before) = before {
            self.check_move(world, before, record)?;
        }
        self.follow(world);
        world
            .pods
            .iter()
            .try_for_each(|pod| self.check_pod(world, pod).map_err(|found| format!("{}: {found}", pod.name)))
    }

    /// Takes down what was committed and what pods did by themselves.
    fn book(&mut self, world: &World) {
        for pod in &world.pods {
            self.tripped.extend(pod.trips.iter().map(|trip| (trip.digest, trip.attempt)));
            self.refused.extend(&pod.refuses);
            let is_new =
                |report: &&Report| self.reports.iter().all(|old| old.incarnation != report.incarnation);
            if let Some(report) = pod.seen.as_ref().filter(is_new) {
                self.reports.insert(0, report.clone());
                self.reports.truncate(8);
            }
        }
        let Some((record, _)) = &world.record else { return };
        for entry in &record.quarantine {
            self.banned.entry(entry.digest).or_insert(world.now);
        }
        self.banned.retain(|digest, _| record.is_quarantined(*digest));
        let is_current = |told: &Told| told.until.is_none() && told.assignment == record.assignment;
        if self.told.iter().any(is_current) {
            return;
        }
        for told in self.told.iter_mut().filter(|told| told.until.is_none()) {
            told.until = Some(world.now);
        }
        self.told.push(Told {
            assignment: record.assignment.clone(),
            since: world.now,
            until: None,
            pairs: 0,
            candidate_decisions: 0,
        });
    }

    /// No record that quarantines what it tells pods to serve, and none that leaves weight to what nobody hears of.
    fn check_record(&self, world: &World, record: &Record) -> Checked {
        let assignment = &record.assignment;
        let serving = assignment.stable.iter().chain(&record.boot.stable).map(|model| model.digest);
        let armed = assignment.watch.iter().map(|watch| watch.previous.digest);
        let tried = assignment.trial.iter().map(|trial| trial.model.digest);
        for digest in serving.chain(armed).chain(tried) {
            check(!record.is_quarantined(digest), || "a quarantined digest is assigned".to_owned())?;
        }
        for assignment in [assignment, &record.boot] {
            let calibrated = assignment.calibration.map(|found| found.digest);
            let stable = assignment.stable.as_ref().map(|stable| stable.digest);
            check(calibrated.is_none() || calibrated == stable, || {
                "a threshold is told that was found for another model".to_owned()
            })?;
        }
        let silence = world.now.duration_since(self.heard).as_secs();
        let weight = assignment.trial.as_ref().map_or(0, |trial| trial.weight.get());
        check(silence <= BLIND_SECONDS || weight == 0, || {
            format!("{weight} after {silence} s without a word")
        })
    }

    /// A pod serves and weights only what it has verified, what it was told, no longer than its lease, and nothing that it
    /// could know to be quarantined.
    fn check_pod(&self, world: &World, pod: &Pod) -> Checked {
        if let Some(serves) = pod.serves {
            check(pod.models.contains(&serves), || "it serves what it has not verified".to_owned())?;
            check(self.trusted.contains(&serves), || {
                "it serves as stable what was never promoted".to_owned()
            })?;
            let catches_up = self.behind.get(&pod.uid).is_some_and(|looks| *looks <= CATCH_UP_LOOKS);
            check(catches_up || !self.knows_banned(pod, serves), || {
                "it serves a quarantined digest".to_owned()
            })?;
        }
        let weight = pod.effective_weight(world.now);
        let Some((held, trial)) = pod.held.as_ref().and_then(|held| Some((held, held.trial.as_ref()?)))
        else {
            return check(weight.get() == 0, || "it weights without a trial".to_owned());
        };
        if weight.get() == 0 {
            return Ok(());
        }
        let candidate = trial.model.digest;
        check(pod.models.contains(&candidate) && !pod.refuses.contains(&candidate), || {
            "it weights what it has not verified".to_owned()
        })?;
        let told = self.told.iter().rev().find(|told| told.assignment == *held);
        let told = told.ok_or("it weights what nobody committed")?;
        check(weight == trial.weight, || format!("it weights {weight:?} beyond {:?}", trial.weight))?;
        let outlived = told.until.map_or(0, |until| world.now.duration_since(until).as_secs());
        check(outlived <= OUTLIVES_SECONDS, || {
            format!("its weight outlived its assignment by {outlived} s")
        })?;
        let banned =
            self.banned.get(&candidate).map_or(0, |since| world.now.duration_since(*since).as_secs());
        check(banned <= OUTLIVES_SECONDS && !self.knows_banned(pod, candidate), || {
            format!("it weights a digest that is quarantined for {banned} s")
        })
    }

    /// Counts the looks of pods that were told to leave a model and lack the bytes of the one before.
    fn follow(&mut self, world: &World) {
        let lacks = |pod: &Pod| {
            let stable = pod.held.as_ref().and_then(|held| held.stable.as_ref());
            stable.is_some_and(|stable| !pod.models.contains(&stable.digest))
        };
        let is_behind =
            |pod: &&Pod| lacks(pod) && pod.serves.is_some_and(|serves| self.knows_banned(pod, serves));
        let behind: Vec<(String, bool)> =
            world.pods.iter().filter(is_behind).map(|pod| (pod.uid.clone(), pod.reachable)).collect();
        self.behind.retain(|uid, _| behind.iter().any(|(other, _)| other == uid));
        for (uid, reachable) in behind {
            *self.behind.entry(uid).or_default() += u32::from(reachable);
        }
    }

    /// Whether the pod holds an assignment from when the digest was quarantined, or a later one.
    fn knows_banned(&self, pod: &Pod, digest: Digest) -> bool {
        let (Some(held), Some(banned)) = (&pod.held, self.banned.get(&digest)) else { return false };
        self.told.iter().rev().find(|told| told.assignment == *held).is_some_and(|told| told.since >= *banned)
    }

    /// Exposure grows only by a step that was passed, or a person's word; it falls only for a reason that is there.
    fn check_move(&mut self, world: &World, before: &Record, after: &Record) -> Checked {
        check(after.assignment.epoch >= before.assignment.epoch, || "the epoch fell".to_owned())?;
        for lifted in before.quarantine.iter().filter(|entry| !after.is_quarantined(entry.digest)) {
            let spent = after.spent_tokens.iter().any(|token| before.is_fresh(token));
            check(spent, || format!("{:?} left quarantine without a new token", lifted.digest))?;
        }
        let same = before.attempt == after.attempt && before.assignment.policy == after.assignment.policy;
        let share = if same { before.rollout.weight_percent() } else { 0 };
        if matches!(after.rollout, Rollout::Shadow | Rollout::Staging { .. } | Rollout::Stable) {
            self.granted = 0;
        }
        let is_on_trial = after.rollout.halt().is_some() || after.rollout == Rollout::Promoting;
        if is_on_trial && after.rollout.weight_percent() > share {
            check(same, || "a new trial begins with a share".to_owned())?;
            self.check_growth(world, before, after)
                .map_err(|why| format!("{:?} to {:?}: {why}", before.rollout, after.rollout))?;
        }
        let weight = after.assignment.trial.as_ref().map_or(0, |trial| trial.weight.get());
        let same_configuration = before.assignment.configuration == after.assignment.configuration;
        check(same_configuration || weight == 0, || {
            "a share outlived the configuration it was passed under".to_owned()
        })?;
        self.check_stable(before, after)?;
        check(!after.rollout.is_followed() || before.calibrations == after.calibrations, || {
            "a threshold moved while two models are compared".to_owned()
        })?;
        match after.rollout {
            Rollout::RollingBack { cause } if before.rollout != after.rollout => {
                self.check_cause(world, before, cause)
            }
            _ => Ok(()),
        }
    }

    fn check_growth(&mut self, world: &World, before: &Record, after: &Record) -> Checked {
        let trial = after.trial.as_ref().ok_or("there is no trial")?;
        let candidate = trial.model.digest;
        let valid = validate(&world.policy).map_err(|_| "the spec cannot be used")?;
        for (pod, models) in &self.counted {
            check(models.contains(&candidate), || format!("{pod} has not verified it"))?;
        }
        let by_hand = annotation(world, PROMOTE_ANNOTATION) == Some(trial.attempt.to_string());
        match (before.rollout, after.rollout) {
            (Rollout::Staging { trusted: true }, Rollout::Promoting) => {
                let vouched = world.policy.spec.stable.as_ref().map(|stable| digest(&stable.name));
                check(vouched == Some(candidate), || "nobody vouches for it".to_owned())
            }
            _ if digest(&world.policy.spec.model.name) != candidate => {
                Err("the spec names another model".to_owned())
            }
            (Rollout::Shadow | Rollout::Canary(_) | Rollout::Paused { .. }, Rollout::Promoting)
                if by_hand =>
            {
                Ok(())
            }
            (Rollout::Shadow, Rollout::Canary(_)) => self.check_passed(world, &valid, before, Halt::Shadow),
            (Rollout::Canary(step), Rollout::Canary(_) | Rollout::Promoting) => {
                self.check_passed(world, &valid, before, Halt::Canary(step))
            }
            (Rollout::Paused { at, .. }, resumed) => {
                let share = resumed.weight_percent();
                check(at.resumed() == resumed && share <= self.granted, || {
                    format!("it passed for {}", self.granted)
                })
            }
            _ => Err("this is no step".to_owned()),
        }?;
        self.granted = self.granted.max(after.rollout.weight_percent());
        Ok(())
    }

    /// The step that ends has really been passed: by this model, with so many requests, for so long.
    fn check_passed(&self, world: &World, valid: &ValidPolicy, before: &Record, at: Halt) -> Checked {
        let trial = before.trial.as_ref().ok_or("there was no trial")?;
        check(nature(trial.model.digest) == Traffic::Harmless, || "the model is bad".to_owned())?;
        check(!world.policy.spec.paused, || "the policy is paused".to_owned())?;
        let merged = trial.evidence.merged();
        let verdict = judge(&merged, &GuardSettings::default(), &trial.guards).verdict;
        check(verdict != Verdict::Fail, || "the recorded evidence speaks against it".to_owned())?;
        let told = self.told.iter().rev().find(|told| told.assignment == before.assignment);
        let told = told.ok_or("nobody was told the step that ends")?;
        let steps = &valid.rollout.steps;
        let (seen, samples, seconds) = match at {
            Halt::Shadow => (told.pairs, valid.rollout.shadow.min_samples, valid.rollout.shadow.min_seconds),
            Halt::Canary(step) => {
                let step = &steps[usize::try_from(step.step).unwrap()];
                (told.candidate_decisions, step.min_samples, step.min_seconds)
            }
        };
        check(seen >= samples, || format!("{seen} of {samples} requests were sent"))?;
        let lasted = world.now.duration_since(told.since).as_secs();
        check(lasted >= i64::try_from(seconds).unwrap(), || format!("it lasted {lasted} of {seconds} s"))?;
        let next = usize::try_from(at.next_step()).unwrap();
        let (asked, name) = match steps.get(next) {
            Some(step) => (step.approval, (next + 1).to_string()),
            None => (valid.rollout.promotion, "promote".to_owned()),
        };
        let approved = annotation(world, APPROVE_ANNOTATION) == Some(format!("{}/{name}", trial.attempt));
        check(asked == Approval::Automatic || approved, || "nobody approved it".to_owned())
    }

    /// The trusted model changes only by a promotion that ends, or in the watch back to the one before.
    fn check_stable(&mut self, before: &Record, after: &Record) -> Checked {
        let digest = |record: &Record| record.stable.as_ref().map(|stable| stable.model.digest);
        if after.rollout == Rollout::Promoting
            && let Some(trial) = &after.trial
        {
            self.trusted.insert(trial.model.digest);
        }
        if digest(before) == digest(after) {
            return Ok(());
        }
        let previous = before.previous.as_ref().map(|previous| previous.model.digest);
        let may = match (before.rollout, after.rollout) {
            (Rollout::Promoting, Rollout::Stable | Rollout::Watching) => {
                digest(after) == before.trial.as_ref().map(|trial| trial.model.digest)
            }
            (Rollout::Watching, Rollout::RollingBack { .. }) => digest(after) == previous,
            _ => false,
        };
        check(may, || format!("stable changed from {:?} to {:?}", before.rollout, after.rollout))
    }

    /// A trial ends for a reason that is there; missing data is none.
    fn check_cause(&self, world: &World, before: &Record, cause: Cause) -> Checked {
        let Some(trial) = &before.trial else { return Err("there was no trial to roll back".to_owned()) };
        let named = digest(&world.policy.spec.model.name);
        let (model, attempt) = (trial.model.digest, trial.attempt);
        let way_back = if before.rollout == Rollout::Watching { &before.previous } else { &before.stable };
        let is_there = match cause {
            Cause::GuardCrossed => nature(model) != Traffic::Harmless,
            Cause::PodTripped => self.tripped.contains(&(model, attempt)),
            Cause::CandidateRefused => self.refused.contains(&model),
            Cause::Aborted => annotation(world, ABORT_ANNOTATION) == Some(attempt.to_string()),
            Cause::Reverted => way_back.as_ref().is_some_and(|back| back.model.digest == named),
            Cause::DeadlineExceeded => world.policy.spec.rollout.on_deadline == OnDeadline::RollBack,
        };
        check(is_there, || format!("it is rolled back for {cause:?}, which is not so"))
    }
}

fn annotation(world: &World, name: &str) -> Option<String> {
    world.policy.metadata.annotations.as_ref()?.get(name).cloned()
}
