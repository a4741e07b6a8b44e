//! What holds whatever happens.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tinydancer_crds::{
    ABORT_ANNOTATION, APPROVE_ANNOTATION, PROMOTE_ANNOTATION, RETRY_ANNOTATION, RoutingPolicyStatus,
    routing_policy::{Approval, RolloutState},
    valid::DecisionRule,
};
use tinydancer_plan::{Plan, Record, Rollout, rollout::PauseReason};
use tinydancer_protocol::{Assignment, accept};

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
    Approve(u64, u8),
    AskApproval(usize, bool),
    Watch(i32),
    Split(usize, bool),
    Pause(bool),
    Configure,
    AskForAudits(bool),
    Promise(i32),
    Audited(u64, u64),
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
        2 => ((1_u64..5), (1_u8..4)).prop_map(|(attempt, step)| Happening::Approve(attempt, step)),
        1 => ((0_usize..3), any::<bool>()).prop_map(|(step, manual)| Happening::AskApproval(step, manual)),
        1 => prop_oneof![Just(0), Just(20)].prop_map(Happening::Watch),
        1 => ((0_usize..2), any::<bool>()).prop_map(|(pod, even)| Happening::Split(pod, even)),
        2 => any::<bool>().prop_map(Happening::Pause),
        1 => Just(Happening::Configure),
        2 => prop_oneof![3 => Just(true), 1 => Just(false)].prop_map(Happening::AskForAudits),
        1 => prop_oneof![Just(50), Just(0), Just(300)].prop_map(Happening::Promise),
        4 => (prop_oneof![Just(7_u64), Just(130), Just(600)], prop_oneof![Just(20_u64), Just(4), Just(1)])
            .prop_map(|(pairs, lossy)| Happening::Audited(pairs, lossy)),
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
        Happening::Approve(attempt, step) => {
            let step = if *step == 3 { "promote".to_owned() } else { step.to_string() };
            world.annotate(APPROVE_ANNOTATION, &format!("{attempt}/{step}"));
        }
        Happening::AskApproval(step, manual) => {
            let asked = if *manual { Approval::Manual } else { Approval::Automatic };
            let rollout = &mut world.policy.spec.rollout;
            let place =
                rollout.steps.get_mut(*step).map_or(&mut rollout.promotion, |step| &mut step.approval);
            *place = asked;
        }
        Happening::Watch(seconds) => world.policy.spec.rollout.watch_seconds = *seconds,
        Happening::Split(pod, even) => world.pods[*pod].buckets = (!even).then_some((3, 1000)),
        Happening::Pause(paused) => world.policy.spec.paused = *paused,
        Happening::Configure => world.policy.spec.history.retention_days += 1,
        Happening::AskForAudits(asked) => world.ask_for_audits(i32::from(*asked)),
        Happening::Promise(permille) => {
            world.policy.spec.decision.risk.as_mut().unwrap().permille = *permille;
        }
        Happening::Audited(pairs, lossy) => world.audit(*pairs, *lossy),
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

/// What every look has to keep to.
#[derive(Default)]
struct Oracle {
    contents: BTreeMap<u64, String>,
    epoch: u64,
}

impl Oracle {
    fn check(&mut self, world: &World) {
        let record = world.recorded();
        assert!(record.assignment.epoch >= self.epoch, "an epoch never falls");
        self.epoch = record.assignment.epoch;
        for assignment in [&record.assignment, &record.boot] {
            assert_eq!(accept(None, assignment), Ok(()), "a router takes it");
            let content = serde_json::to_string(assignment).unwrap();
            let held = self.contents.entry(assignment.epoch).or_insert_with(|| content.clone());
            assert_eq!(*held, content, "an epoch names one content");
            let serving = assignment.stable.iter().map(|model| model.digest);
            let trial = assignment.trial.iter().map(|trial| trial.model.digest);
            let armed = assignment.watch.iter().map(|watch| watch.previous.digest);
            let quarantined = serving.chain(trial).chain(armed).find(|digest| record.is_quarantined(*digest));
            assert_eq!(quarantined, None, "a quarantined digest serves");
            check_threshold(assignment);
        }
        let watches = record.rollout == Rollout::Watching;
        assert_eq!(
            record.boot.watch.is_some(),
            watches,
            "a pod boots into the watch while the fleet is in it"
        );
        let begins = record.rollout == Rollout::Promoting
            && record.stable.is_some()
            && record.trial.as_ref().is_some_and(|trial| trial.watch_seconds > 0);
        let has_way_back = record.assignment.watch.is_some();
        assert_eq!(has_way_back, watches || begins, "no pod serves a promoted model without its way back");
        if let Some(trial) = &record.assignment.trial {
            let decides = matches!(record.rollout, Rollout::Canary(_) | Rollout::Paused { .. });
            assert!(trial.weight.get() == 0 || decides, "{:?}", record.rollout);
        }
    }

    fn check_move(&mut self, world: &World, before: &Record, plan: &Plan) {
        self.check(world);
        let record = world.recorded();
        if weight(record.rollout) > weight(before.rollout) {
            assert!(may_grow(before.rollout, record.rollout), "{:?} to {:?}", before.rollout, record.rollout);
        }
        check_approval(world, before, plan);
        check_calibration(before, record);
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
        check_trail(before, plan);
    }
}

/// A threshold is told to the model and under the promise that it was found for, with as many pairs as it takes.
fn check_threshold(assignment: &Assignment) {
    let Some(found) = assignment.calibration else { return };
    assert_eq!(assignment.stable.as_ref().map(|model| model.digest), Some(found.digest));
    assert!(assignment.configuration.audit.is_some() && found.pairs >= 200, "{found:?}");
    let promised = matches!(assignment.configuration.decision, DecisionRule::Risk { permille } if permille.get() == found.permille);
    assert!(promised, "{found:?}");
}

/// While two models are compared no threshold moves, and what was counted once is not forgotten.
fn check_calibration(before: &Record, after: &Record) {
    if after.rollout.is_followed() {
        assert_eq!(before.calibrations, after.calibrations, "{:?} to {:?}", before.rollout, after.rollout);
    }
    for last in &before.calibrations {
        let next = after.calibrations.iter().find(|next| next.digest == last.digest).unwrap();
        let counts = next.permille != last.permille || next.pairs >= last.pairs;
        assert!(counts, "{last:?} to {next:?}");
    }
}

/// What asks for a person never grows by itself.
fn check_approval(world: &World, before: &Record, plan: &Plan) {
    let Some(at) = before.rollout.halt() else { return };
    let by_itself = |reason| ["CanaryStepStarted", "Promoting"].contains(&reason);
    if !plan.events.iter().any(|event| by_itself(event.reason)) {
        return;
    }
    let rollout = &world.policy.spec.rollout;
    let next = rollout.steps.get(usize::try_from(at.next_step()).unwrap());
    let asked = next.map_or(rollout.promotion, |step| step.approval);
    let step = next.map_or_else(|| "promote".to_owned(), |_| (at.next_step() + 1).to_string());
    let annotations = world.policy.metadata.annotations.iter().flatten();
    let mut given = annotations.filter(|(name, _)| *name == APPROVE_ANNOTATION).map(|(_, value)| value);
    let is_given = given.next() == Some(&format!("{}/{step}", before.attempt));
    assert!(asked == Approval::Automatic || is_given, "{:?} grew without its approval", before.rollout);
}

/// A transition has one event and one entry of the history, with the same reason; nothing else has any.
fn check_trail(before: &Record, plan: &Plan) {
    let Some(record) = plan.commit.as_ref().map(|commit| &commit.record) else {
        assert!(plan.events.is_empty(), "{:?}", plan.events);
        return;
    };
    let moved = record.rollout != before.rollout && record.assignment.policy == before.assignment.policy;
    assert!(!moved || plan.events.len() == 1, "{:?} to {:?}", before.rollout, record.rollout);
    let Some(event) = plan.events.first() else {
        assert_eq!(record.history, before.history);
        return;
    };
    let entry = record.history.last().unwrap();
    assert_eq!((event.reason, &event.message), (entry.reason.as_str(), &entry.message));
    let added = record.history.len() - before.history.len();
    assert!(added == 1 || (added == 0 && record.history[..9] == before.history[1..]), "one entry");
    if let Some(evidence) = &entry.evidence {
        assert!(evidence.samples > 0 && (1..=2).contains(&evidence.pods), "{evidence:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_happens_makes_a_rollout_unsafe_or_keeps_it_from_ending(happenings in happenings()) {
        let mut world = World::settled();
        let mut oracle = Oracle::default();
        oracle.check(&world);
        for happening in &happenings {
            happen(&mut world, happening);
            let mut forgetful = world.observed();
            forgetful.status = RoutingPolicyStatus::default();
            let forgetful = tinydancer_plan::plan(&world.input(), &forgetful, world.now);
            let ticks = if let Happening::Wait(ticks) = happening { *ticks } else { 1 };
            for tick in 0..ticks {
                let before = world.recorded().clone();
                let plan = world.tick();
                oracle.check_move(&world, &before, &plan);
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
        for step in 0..3 {
            happen(&mut world, &Happening::AskApproval(step, false));
        }
        for pod in &mut world.pods {
            pod.reachable = true;
            pod.buckets = None;
        }
        world.add_model("support-v9", digest("support-v9"));
        world.name_model("support-v9");
        world.run_until(120, |world| world.stable() == Some(digest("support-v9")));
    }

    #[test]
    fn a_rollback_is_reached_from_every_state_of_a_trial(state in 0_usize..6, after in 0_usize..3) {
        let mut world = trials().swap_remove(state);
        world.run(after);
        let attempt = world.recorded().attempt;
        world.annotate(ABORT_ANNOTATION, &attempt.to_string());
        world.annotate(PROMOTE_ANNOTATION, &attempt.to_string());
        world.run_until(5, |world| world.state() == RolloutState::RolledBack);
        prop_assert_eq!(world.recorded().stable.as_ref().unwrap().model.digest, digest("support-v1"));
    }
}

/// A trial in each state in which somebody may abort it, the watch after it among them.
fn trials() -> Vec<World> {
    let mut waiting = World::settled();
    waiting.policy.spec.rollout.steps[0].approval = Approval::Manual;
    waiting.name_model("support-v2");
    waiting.run_until(60, |world| world.state() == RolloutState::Paused);
    let mut watching = World::with_trial_in(RolloutState::Promoting);
    watching.run_until(5, |world| world.rollout() == Some(Rollout::Watching));
    let states = [RolloutState::Staging, RolloutState::Shadow, RolloutState::Canary, RolloutState::Promoting];
    let mut worlds: Vec<World> = states.into_iter().map(World::with_trial_in).collect();
    worlds.extend([waiting, watching]);
    worlds
}

/// The bar on people: whatever comes first, and whatever happens in between, an abort wins over a promotion, also over one
/// that is done already.
#[test]
fn in_a_thousand_interleavings_an_abort_wins_over_a_promotion() {
    let mut bases = trials();
    for world in &mut bases {
        world.policy.spec.rollout.watch_seconds = 3600;
    }
    let mut late = 0;
    for seed in 0..1000_u64 {
        let mut world = bases[seed as usize % bases.len()].clone();
        let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut draw = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let attempt = world.recorded().attempt.to_string();
        let mut commands = vec![ABORT_ANNOTATION, PROMOTE_ANNOTATION];
        commands.rotate_left(draw(2) as usize);
        while !commands.is_empty() {
            match draw(7) {
                0..3 => world.annotate(commands.remove(0), &attempt),
                3 => world.restart_operator(),
                4 => world.pods[draw(2) as usize].reachable = draw(2) == 0,
                _ => drop(world.tick()),
            }
        }
        late += usize::from(world.rollout() == Some(Rollout::Watching));
        for pod in &mut world.pods {
            pod.reachable = true;
        }
        for _ in 0..15 {
            if world.state() == RolloutState::RolledBack {
                break;
            }
            world.tick();
        }
        let record = world.recorded();
        assert_eq!(world.state(), RolloutState::RolledBack, "seed {seed}: {:?}", world.reasons);
        assert!(record.is_quarantined(digest("support-v2")), "seed {seed}");
        assert_eq!(record.stable.as_ref().unwrap().model.digest, digest("support-v1"), "seed {seed}");
    }
    assert!(late > 100, "many came after the promotion: {late}");
}
