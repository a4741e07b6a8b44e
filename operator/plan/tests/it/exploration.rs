//! Random walks through everything that can happen to a fleet. After every look of the operator, every pod and the record
//! are held against what may be, by an [`Oracle`] that keeps its own books and does not believe the plan's.
//!
//! `cargo test` visits a few thousand states; `TINYDANCER_STATES=1000000` says how many are to be visited at least.

mod happenings;
mod oracle;
mod random;
mod walk;

use std::collections::{BTreeMap, HashSet};

use tinydancer_plan::{Rollout, rollout::CanaryStep};

use crate::world::World;

use self::walk::{Walk, no_sabotage};

/// States that an ordinary test run visits.
const STATES: u64 = 1_500;

/// What was seen on all walks.
#[derive(Default)]
struct Tally {
    states: u64,
    distinct: HashSet<u64>,
    walks: u64,
    transitions: BTreeMap<String, u64>,
    endings: BTreeMap<&'static str, u64>,
}

impl Tally {
    fn summary(&self) -> String {
        let kinds = |counts: &mut dyn Iterator<Item = (&str, u64)>| {
            counts.map(|(kind, count)| format!("{kind} {count}")).collect::<Vec<_>>().join(", ")
        };
        format!(
            "exploration: {} states visited, {} distinct, {} walks, unsafe = 0; transitions {}: {}; endings: {}",
            self.states,
            self.distinct.len(),
            self.walks,
            self.transitions.values().sum::<u64>(),
            kinds(&mut self.transitions.iter().map(|(kind, count)| (kind.as_str(), *count))),
            kinds(&mut self.endings.iter().map(|(kind, count)| (*kind, *count))),
        )
    }
}

#[test]
fn exploration_finds_no_unsafe_state_and_every_walk_ends() {
    let states = std::env::var("TINYDANCER_STATES").map_or(STATES, |states| states.parse().unwrap());
    let first: u64 = std::env::var("TINYDANCER_WALK").map_or(0, |walk| walk.parse().unwrap());
    let mut tally = Tally::default();
    while tally.states < states {
        let seed = first + tally.walks;
        if let Err(found) = Walk::begin(seed, no_sabotage).run(&mut tally) {
            panic!("walk {seed} (again with TINYDANCER_WALK={seed}): {found}");
        }
    }
    println!("{}", tally.summary());
    assert!(tally.distinct.len() as u64 > tally.states / 50, "the walks go in circles");
}

/// Something is broken after each look: walks must end with these words, and none may end otherwise first.
fn is_found_out(words: &str, sabotage: fn(&mut World)) {
    let found = (0..60).find_map(|seed| Walk::begin(seed, sabotage).run(&mut Tally::default()).err());
    let found = found.expect("no walk found it out");
    assert!(found.contains(words), "{found}");
}

#[test]
fn exploration_finds_a_step_that_nobody_passed() {
    is_found_out("to Canary(CanaryStep { step: 0, weight: 5 })", |world| {
        if let Some((record, _)) =
            world.record.as_mut().filter(|(record, _)| record.rollout == Rollout::Shadow)
        {
            record.rollout = Rollout::Canary(CanaryStep { step: 0, weight: 5 });
        }
    });
}

#[test]
fn exploration_finds_a_quarantine_that_is_forgotten() {
    is_found_out("left quarantine without a new token", |world| {
        let settled = |rollout: Rollout| matches!(rollout, Rollout::RolledBack { .. });
        if let Some((record, _)) = world.record.as_mut().filter(|(record, _)| settled(record.rollout)) {
            record.quarantine.clear();
        }
    });
}

#[test]
fn exploration_finds_a_weight_that_outlives_its_lease() {
    is_found_out("outlived its assignment", |world| {
        for pod in world.pods.iter_mut().filter(|pod| pod.effective_weight(world.now).get() > 0) {
            pod.lease_until = world.now + jiff::SignedDuration::from_hours(1);
            pod.reachable = false;
        }
    });
}

#[test]
fn exploration_finds_samples_that_are_counted_twice() {
    is_found_out("requests were sent", |world| {
        for report in world.pods.iter_mut().filter_map(|pod| pod.seen.as_mut()) {
            report.step.pairs = report.step.pairs.saturating_mul(2);
            report.step.candidate_decisions = report.step.candidate_decisions.saturating_mul(2);
        }
    });
}

#[test]
fn exploration_finds_a_pod_that_serves_what_it_never_verified() {
    is_found_out("it serves what it has not verified", |world| {
        let candidate = world.pods.iter().find_map(|pod| pod.held.as_ref()?.trial.clone());
        if let Some(trial) = candidate
            && let Some(pod) = world.pods.first_mut()
        {
            pod.serves = Some(trial.model.digest);
        }
    });
}
