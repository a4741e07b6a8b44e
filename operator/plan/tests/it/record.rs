//! The record: authority, memory and guard against a second writer.

use std::collections::BTreeMap;

use tinydancer_crds::{RoutingPolicyStatus, routing_policy::RolloutState};
use tinydancer_plan::{ObservedRecord, RECORD_KEY, Record, RecordError, Rollout, last_event};

use crate::world::{Traffic, World, digest};

fn data(text: String) -> BTreeMap<String, String> {
    [(RECORD_KEY.to_owned(), text)].into()
}

#[test]
fn a_record_of_another_version_or_form_is_refused() {
    let world = World::with_trial_in(RolloutState::Shadow);
    let good = serde_json::to_value(world.recorded()).unwrap();
    let edited = |path: &str, value: serde_json::Value| {
        let mut record = good.clone();
        *record.pointer_mut(path).unwrap() = value;
        Record::read(&data(record.to_string()))
    };
    assert!(matches!(edited("/version", 2.into()), Err(RecordError::Version(2))));
    assert!(matches!(edited("/trial", serde_json::Value::Null), Err(RecordError::Inconsistent)));
    assert!(matches!(
        edited("/rollout", serde_json::json!({ "state": "Watching" })),
        Err(RecordError::Inconsistent)
    ));
    assert!(matches!(edited("/attempt", "x".into()), Err(RecordError::Malformed(_))));
    assert!(matches!(Record::read(&data("{".to_owned())), Err(RecordError::Malformed(_))));
    assert!(matches!(Record::read(&BTreeMap::new()), Err(RecordError::KeyMissing)));
}

#[test]
fn a_record_that_cannot_be_read_stops_every_write_and_is_told() {
    let mut world = World::with_trial_in(RolloutState::Canary);
    world.broken = Some("`version` must be 1, not 2".to_owned());
    let shown = world.status.models.clone();
    let plan = world.tick();
    assert_eq!((plan.commit, plan.actions), (None, Vec::new()));
    assert_eq!(world.condition("Stalled"), ("True".to_owned(), "RecordUnreadable".to_owned()));
    assert_eq!(world.status.models, shown, "what was known is still shown");
}

#[test]
fn a_settled_policy_causes_no_write() {
    let mut world = World::settled();
    world.run(40);
    for _ in 0..40 {
        let plan = world.plan();
        assert_eq!(plan.commit, None);
        assert_eq!(plan.status, world.status);
        assert!(plan.events.is_empty());
        let only_assignments =
            plan.actions.iter().all(|action| matches!(action, tinydancer_plan::Action::PutAssignment { .. }));
        assert!(only_assignments, "{:?}", plan.actions);
        world.run(1);
    }
}

#[test]
fn a_settled_pod_is_asked_every_thirty_seconds() {
    let mut world = World::settled();
    world.run(40);
    let asked = (0..60).map(|_| world.tick().actions.len()).sum::<usize>();
    assert_eq!(asked, 4, "two pods, twice a minute");
}

#[test]
fn a_trial_that_stands_still_is_written_down_every_ten_seconds_at_most() {
    let mut world = World::with_trial_in(RolloutState::Canary);
    world.policy.spec.paused = true;
    world.run(2);
    let commits = (0..60)
        .filter(|_| {
            world.run(1);
            world.plan().commit.is_some()
        })
        .count();
    assert!((4..=7).contains(&commits), "{commits}");
}

#[test]
fn status_that_was_wiped_comes_back_from_the_record() {
    let mut rolled_back = World::with_trial_in(RolloutState::Canary);
    rolled_back.trip(0);
    rolled_back.run_until(10, |world| world.state() == RolloutState::RolledBack);
    let mut watching = World::with_trial_in(RolloutState::Promoting);
    watching.run_until(10, |world| world.rollout() == Some(Rollout::Watching));
    let mut waiting = World::settled();
    waiting.policy.spec.rollout.steps[0].approval = tinydancer_crds::routing_policy::Approval::Manual;
    waiting.name_model("support-v2");
    waiting.run_until(60, |world| world.state() == RolloutState::Paused);
    let (shadow, canary) =
        (World::with_trial_in(RolloutState::Shadow), World::with_trial_in(RolloutState::Canary));
    for mut world in vec![shadow, canary, waiting, rolled_back, watching].into_boxed_slice() {
        world.tick();
        let before = world.plan().status;
        world.status = RoutingPolicyStatus::default();
        let after = world.plan().status;
        assert_eq!(
            (&before.rollout, &before.models, &before.history),
            (&after.rollout, &after.models, &after.history)
        );
    }
}

#[test]
fn another_operator_goes_on_where_the_last_one_stopped() {
    for state in [RolloutState::Staging, RolloutState::Shadow, RolloutState::Canary, RolloutState::Promoting]
    {
        let mut world = World::with_trial_in(state);
        world.restart_operator();
        world.status = RoutingPolicyStatus::default();
        let attempt = world.recorded().attempt;
        world.run_until(80, |world| world.stable() == Some(digest("support-v2")));
        assert_eq!(world.recorded().attempt, attempt, "{state:?}");
    }
}

#[test]
fn an_older_record_from_a_backup_overtakes_the_pods_again() {
    let mut world = World::with_trial_in(RolloutState::Canary);
    let old = World::settled().record;
    let newest = world.recorded().assignment.epoch;
    world.record = old.map(|(record, _)| (record, world.record.as_ref().unwrap().1));
    world.tick();
    assert!(world.recorded().assignment.epoch > newest);
    world.run_until(80, |world| world.stable() == Some(digest("support-v2")));
}

#[test]
fn a_policy_made_anew_takes_up_its_record_and_starts_the_trial_again() {
    let mut world = World::with_trial_in(RolloutState::Canary);
    world.uid = "uid-2".to_owned();
    world.children.clear();
    world.status = RoutingPolicyStatus::default();
    world.tick();
    assert_eq!(world.recorded().stable.as_ref().unwrap().model.digest, digest("support-v1"));
    assert_eq!(world.rollout(), Some(Rollout::Staging { trusted: false }), "the trial begins from the start");
    assert_eq!(world.recorded().trial.as_ref().unwrap().evidence.merged().pairs, 0);
    world.run_until(80, |world| world.stable() == Some(digest("support-v2")));
}

#[test]
fn a_rebuilt_cluster_without_record_starts_with_the_model_the_spec_vouches_for() {
    let mut world = World::with_trial_in(RolloutState::Canary);
    world.record = None;
    world.uid = "uid-2".to_owned();
    world.exposure.clear();
    world.tick();
    world.run_until(20, |world| world.recorded().stable.is_some());
    assert_eq!(world.recorded().stable.as_ref().unwrap().model.digest, digest("support-v1"));
    assert!(!world.exposure.contains_key(&digest("support-v2")));
}

#[test]
fn the_record_outlives_the_policy_unless_nothing_is_to_stay() {
    let mut world = World::settled();
    assert!(!world.record_owned);
    world.policy.spec.history.on_delete = tinydancer_crds::routing_policy::OnDelete::Delete;
    world.tick();
    assert!(world.record_owned);
    assert_eq!(world.plan().commit, None);
    let ObservedRecord::Present { owned, .. } = world.observed().record else { panic!("there is a record") };
    assert!(owned);
}

#[test]
fn an_epoch_never_names_two_contents() {
    let mut world = World::settled();
    let mut contents: BTreeMap<u64, String> = BTreeMap::new();
    let mut check = |world: &World| {
        for assignment in [&world.recorded().assignment, &world.recorded().boot] {
            let content = serde_json::to_string(assignment).unwrap();
            let held = contents.entry(assignment.epoch).or_insert_with(|| content.clone());
            assert_eq!(*held, content, "epoch {}", assignment.epoch);
        }
    };
    check(&world);
    for round in 0..40 {
        match round % 8 {
            0 => world.name_model("support-v2"),
            3 => world.policy.spec.history.retention_days += 1,
            5 => world.trip(0),
            6 => world.name_model("support-v3"),
            7 => world.name_model("support-v1"),
            _ => {}
        }
        for _ in 0..4 {
            world.run(1);
            check(&world);
        }
    }
}

#[test]
fn an_event_that_nobody_told_is_found_in_the_record() {
    let mut world = World::settled();
    let mut told = std::collections::BTreeSet::new();
    for round in 0..40 {
        match round % 8 {
            0 => world.name_model("support-v2"),
            5 => world.trip(0),
            6 => world.name_model("support-v3"),
            7 => world.name_model("support-v1"),
            _ => {}
        }
        for _ in 0..4 {
            world.send(400, Traffic::Harmless);
            let plan = world.tick();
            let Some(event) = plan.events.last() else { continue };
            let commit = plan.commit.expect("a transition is committed");
            assert_eq!(last_event(&commit.record).as_ref(), Some(event));
            told.insert(event.reason);
        }
    }
    assert!(told.len() > 4, "{told:?}");
}
