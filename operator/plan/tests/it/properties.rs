//! What holds whatever happens.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tinydancer_crds::{
    ABORT_ANNOTATION, PROMOTE_ANNOTATION, RETRY_ANNOTATION, RoutingPolicyStatus, routing_policy::RolloutState,
};
use tinydancer_plan::{Rollout, rollout::PauseReason};

use crate::world::{Traffic, World, digest};

/// One thing that happens to a fleet.
#[derive(Clone, Debug)]
enum Happening {
    Traffic(Traffic, u64),
    Name(u8),
    Trip(usize),
    Restart(usize),
    Unreachable(usize),
    Reachable(usize),
    Abort(u64),
    Promote(u64),
    Retry(u8),
    Pause(bool),
    Configure,
    BreakSpec(bool),
    WipeStatus,
    RestartOperator,
    Wait(usize),
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let pod = 0_usize..2;
    let happening = prop_oneof![
        8 => (prop_oneof![6 => Just(Traffic::Harmless), 1 => Just(Traffic::OverConfident), 1 => Just(Traffic::Failing)],
              prop_oneof![Just(0_u64), Just(300), Just(900)]).prop_map(|(traffic, count)| Happening::Traffic(traffic, count)),
        2 => (1_u8..4).prop_map(Happening::Name),
        1 => pod.clone().prop_map(Happening::Trip),
        1 => pod.clone().prop_map(Happening::Restart),
        1 => pod.clone().prop_map(Happening::Unreachable),
        2 => pod.prop_map(Happening::Reachable),
        1 => (1_u64..5).prop_map(Happening::Abort),
        1 => (1_u64..5).prop_map(Happening::Promote),
        1 => (0_u8..3).prop_map(Happening::Retry),
        2 => any::<bool>().prop_map(Happening::Pause),
        1 => Just(Happening::Configure),
        1 => any::<bool>().prop_map(Happening::BreakSpec),
        1 => Just(Happening::WipeStatus),
        1 => Just(Happening::RestartOperator),
        6 => (1_usize..6).prop_map(Happening::Wait),
    ];
    proptest::collection::vec(happening, 1..60)
}

fn happen(world: &mut World, happening: &Happening) {
    match happening {
        Happening::Traffic(traffic, requests) => world.send(*requests, *traffic),
        Happening::Name(number) => world.name_model(&format!("support-v{number}")),
        Happening::Trip(pod) => world.trip(*pod),
        Happening::Restart(pod) => world.restart_pod(*pod),
        Happening::Unreachable(pod) => world.pods[*pod].reachable = false,
        Happening::Reachable(pod) => world.pods[*pod].reachable = true,
        Happening::Abort(attempt) => world.annotate(ABORT_ANNOTATION, &attempt.to_string()),
        Happening::Promote(attempt) => world.annotate(PROMOTE_ANNOTATION, &attempt.to_string()),
        Happening::Retry(token) => world.annotate(RETRY_ANNOTATION, &format!("token-{token}")),
        Happening::Pause(paused) => world.policy.spec.paused = *paused,
        Happening::Configure => world.policy.spec.history.retention_days += 1,
        Happening::BreakSpec(broken) => {
            world.policy.spec.decision.thresholds = broken.then(|| {
                tinydancer_crds::yaml::from_str("{ confidencePermille: 850, fallbackPermille: 700 }").unwrap()
            });
        }
        Happening::WipeStatus => world.status = RoutingPolicyStatus::default(),
        Happening::RestartOperator => world.restart_operator(),
        Happening::Wait(_) => {}
    }
}

/// The share that the candidate of this rollout has.
fn weight(rollout: Rollout) -> u8 {
    match rollout {
        Rollout::Promoting | Rollout::Watching | Rollout::Stable => 0,
        other => other.weight_percent(),
    }
}

/// Whether a share may grow in this move: by a step that was passed, or back to one that had been.
fn may_grow(before: Rollout, after: Rollout) -> bool {
    match (before, after) {
        (Rollout::Shadow, Rollout::Canary(step)) => step.step == 0,
        (Rollout::Canary(before), Rollout::Canary(after)) => after.step == before.step + 1,
        (
            Rollout::Paused { reason: PauseReason::Blind | PauseReason::InsufficientData, at },
            Rollout::Canary(_),
        ) => at.resumed() == after,
        _ => false,
    }
}

struct Watch {
    contents: BTreeMap<u64, String>,
    epoch: u64,
}

impl Watch {
    fn check(&mut self, world: &World, before: Option<&tinydancer_plan::Record>) {
        let record = world.recorded();
        assert!(record.assignment.epoch >= self.epoch, "an epoch never falls");
        self.epoch = record.assignment.epoch;
        let content = serde_json::to_string(&record.assignment).unwrap();
        let held = self.contents.entry(self.epoch).or_insert_with(|| content.clone());
        assert_eq!(*held, content, "an epoch names one content");
        if let Some(trial) = &record.assignment.trial {
            assert!(!record.is_quarantined(trial.model.digest), "a quarantined digest is on trial");
            assert!(
                trial.weight.get() == 0
                    || matches!(record.rollout, Rollout::Canary(_) | Rollout::Paused { .. })
            );
        }
        let stable = record.assignment.stable.as_ref();
        assert!(
            !stable.is_some_and(|model| record.is_quarantined(model.digest)),
            "a quarantined digest serves"
        );
        let Some(before) = before else { return };
        if weight(record.rollout) > weight(before.rollout) {
            assert!(may_grow(before.rollout, record.rollout), "{:?} to {:?}", before.rollout, record.rollout);
        }
        for lifted in before.quarantine.iter().filter(|entry| !record.is_quarantined(entry.digest)) {
            let spent = record.spent_tokens.iter().filter(|token| before.is_fresh(token)).count();
            assert!(spent > 0, "{:?} came back without a new token", lifted.digest);
        }
        if before.stable.as_ref().map(|model| &model.model)
            != record.stable.as_ref().map(|model| &model.model)
        {
            let back = before.rollout == Rollout::Watching
                && matches!(record.rollout, Rollout::RollingBack { .. })
                && record.stable == before.previous;
            let on = before.rollout == Rollout::Promoting
                && matches!(record.rollout, Rollout::Stable | Rollout::Watching);
            assert!(back || on, "{:?} to {:?}", before.rollout, record.rollout);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_happens_makes_a_rollout_unsafe_or_keeps_it_from_ending(happenings in happenings()) {
        let mut world = World::settled();
        let mut watch = Watch { contents: BTreeMap::new(), epoch: 0 };
        watch.check(&world, None);
        for happening in &happenings {
            happen(&mut world, happening);
            let mut forgetful = world.observed();
            forgetful.status = RoutingPolicyStatus::default();
            let forgetful = tinydancer_plan::plan(&world.input(), &forgetful, world.now);
            let ticks = if let Happening::Wait(ticks) = happening { *ticks } else { 1 };
            for tick in 0..ticks {
                let before = world.recorded().clone();
                let plan = world.tick();
                watch.check(&world, Some(&before));
                if tick == 0 {
                    prop_assert_eq!(&plan.commit, &forgetful.commit, "status decides nothing");
                    prop_assert_eq!(&plan.actions, &forgetful.actions);
                }
            }
        }
        // Whatever it has come to, a good model that was never tried before gets through once people let it.
        happen(&mut world, &Happening::BreakSpec(false));
        world.policy.spec.paused = false;
        world.policy.metadata.annotations = None;
        for pod in &mut world.pods {
            pod.reachable = true;
        }
        world.add_model("support-v9", digest("support-v9"));
        world.name_model("support-v9");
        world.run_until(120, |world| world.stable() == Some(digest("support-v9")));
    }

    #[test]
    fn a_rollback_is_reached_from_every_state_of_a_trial(state in 0_usize..4, after in 0_usize..3) {
        let state = [RolloutState::Staging, RolloutState::Shadow, RolloutState::Canary, RolloutState::Promoting][state];
        let mut world = World::with_trial_in(state);
        world.run(after);
        if world.stable() == Some(digest("support-v2")) {
            return Ok(());
        }
        let attempt = world.recorded().attempt;
        world.annotate(ABORT_ANNOTATION, &attempt.to_string());
        world.annotate(PROMOTE_ANNOTATION, &attempt.to_string());
        world.run_until(5, |world| world.state() == RolloutState::RolledBack);
        prop_assert_eq!(world.recorded().stable.as_ref().unwrap().model.digest, digest("support-v1"));
    }
}
