//! Plans as people would read them, kept as files beside this one.

use serde_json::{Value, json};
use tinydancer_crds::{
    ABORT_ANNOTATION, RouterModel,
    router_model::{RouterModelSpec, SourceSpec},
    routing_policy::{Approval, RolloutState},
};
use tinydancer_plan::{Action, Artifact, Plan, Rollout, model_status};

use crate::world::{Traffic, World, digest};

/// The plan without what only machines read: the record in full, and objects beyond their names.
fn readable(plan: &Plan) -> Value {
    let actions: Vec<Value> = plan.actions.iter().map(action).collect();
    let commit = plan.commit.as_ref().map(|commit| {
        json!({
            "replaces": commit.replaces,
            "rollout": commit.record.rollout,
            "stable": commit.record.stable.as_ref().map(|stable| &stable.model.name),
            "candidate": commit.record.trial.as_ref().map(|trial| &trial.model.name),
            "attempt": commit.record.attempt,
            "epoch": commit.record.assignment.epoch,
            "bootEpoch": commit.record.boot.epoch,
            "quarantine": commit.record.quarantine,
        })
    });
    json!({
        "commit": commit,
        "status": plan.status,
        "events": plan.events,
        "actions": actions,
        "wakeSeconds": plan.wake.as_secs(),
    })
}

fn action(action: &Action) -> Value {
    let object = |verb: &str, object: Value| {
        format!(
            "{verb} {} {}",
            object["kind"].as_str().unwrap(),
            object["metadata"]["name"].as_str().unwrap()
        )
    };
    match action {
        Action::Create(child) => json!(object("create", child.to_value())),
        Action::Apply(child) => json!(object("apply", child.to_value())),
        Action::EnsureTls(request) => json!({ "ensureTls": request.uri }),
        Action::EnsureCredentials(request) => json!({ "ensureCredentials": request.keys }),
        Action::PutModel { pod, digest } => json!(format!("put model {} to {}", digest.short(), pod.name)),
        Action::PutAssignment { pod, assignment } => json!({
            "to": pod.name,
            "epoch": assignment.epoch,
            "stable": assignment.stable.as_ref().map(|model| &model.name),
            "trial": assignment.trial.as_ref().map(|trial| {
                json!({ "model": trial.model.name, "stage": trial.stage, "weight": trial.weight })
            }),
            "watch": assignment.watch.as_ref().map(|watch| &watch.previous.name),
        }),
    }
}

/// The plan by which this state is entered.
fn entering(world: &mut World, state: RolloutState) -> Plan {
    for _ in 0..60 {
        world.send(400, Traffic::Harmless);
        let plan = world.tick();
        if world.state() == state {
            return plan;
        }
    }
    panic!("never in {state:?}: {:?}", world.reasons);
}

#[test]
fn a_new_fleet() {
    insta::assert_yaml_snapshot!(readable(&World::new().plan()));
}

#[test]
fn the_objects_of_a_new_fleet() {
    let plan = World::new().plan();
    let objects: Vec<Value> = plan
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Create(child) => Some(child.to_value()),
            _ => None,
        })
        .collect();
    insta::assert_yaml_snapshot!(objects);
}

#[test]
fn a_trial_through_its_states() {
    let mut world = World::settled();
    world.name_model("support-v2");
    for (name, state) in [
        ("staging", RolloutState::Staging),
        ("shadow", RolloutState::Shadow),
        ("canary", RolloutState::Canary),
        ("promoting", RolloutState::Promoting),
        ("stable", RolloutState::Stable),
    ] {
        insta::assert_yaml_snapshot!(format!("trial_{name}"), readable(&entering(&mut world, state)));
    }
}

#[test]
fn a_rollback() {
    let mut world = World::with_trial_in(RolloutState::Canary);
    world.send(2000, Traffic::Failing);
    world.tick();
    insta::assert_yaml_snapshot!("rolling_back", readable(&entering(&mut world, RolloutState::RollingBack)));
    insta::assert_yaml_snapshot!("rolled_back", readable(&entering(&mut world, RolloutState::RolledBack)));
}

/// support-v2 was promoted and is watched.
fn watching() -> World {
    let mut world = World::with_trial_in(RolloutState::Promoting);
    world.run_until(10, |world| world.rollout() == Some(Rollout::Watching));
    world
}

#[test]
fn a_watch_that_finds_nothing() {
    let mut world = watching();
    world.run(18);
    let plan = std::iter::repeat_with(|| {
        world.send(400, Traffic::Harmless);
        world.tick()
    })
    .take(10)
    .find(|plan| !plan.events.is_empty());
    insta::assert_yaml_snapshot!("watch_ended", readable(&plan.unwrap()));
}

#[test]
fn a_watch_that_finds_harm() {
    let mut world = watching();
    world.run(3);
    world.send(2000, Traffic::OverConfident);
    insta::assert_yaml_snapshot!(
        "watch_rolling_back",
        readable(&entering(&mut world, RolloutState::RollingBack))
    );
    world.run_until(5, |world| world.state() == RolloutState::RolledBack);
    insta::assert_yaml_snapshot!("watch_rolled_back_model", described(&world, "support-v2"));
    insta::assert_yaml_snapshot!("watch_rolled_back_to", described(&world, "support-v1"));
}

/// What `kubectl describe routermodel` shows.
fn described(world: &World, name: &str) -> Value {
    let source = SourceSpec { config_map: None, https: None };
    let spec = RouterModelSpec {
        version: "1.0.0".into(),
        digest: digest(name).to_string(),
        source,
        signature: None,
    };
    let mut policy = world.policy.clone();
    policy.status = Some(world.status.clone());
    let status = model_status(&RouterModel::new(name, spec), &Artifact::Verified, [&policy], world.now);
    serde_json::to_value(status).unwrap()
}

#[test]
fn a_step_that_waits_for_approval() {
    let mut world = World::settled();
    world.policy.spec.rollout.steps[1].approval = Approval::Manual;
    world.name_model("support-v2");
    insta::assert_yaml_snapshot!("awaiting_approval", readable(&entering(&mut world, RolloutState::Paused)));
}

#[test]
fn an_abort() {
    let mut world = World::with_trial_in(RolloutState::Shadow);
    world.annotate(ABORT_ANNOTATION, "2");
    insta::assert_yaml_snapshot!(readable(&world.plan()));
}

#[test]
fn a_name_that_is_taken() {
    let mut world = World::new();
    let mut other = World::settled().children.into_iter().find(|child| child.kind == "StatefulSet").unwrap();
    other.owned = false;
    world.children.push(other);
    insta::assert_yaml_snapshot!(readable(&world.plan()));
}

#[test]
fn a_wrong_spec_over_a_running_fleet() {
    let mut world = World::settled();
    world.policy.spec.candidates.truncate(1);
    insta::assert_yaml_snapshot!(readable(&world.plan()));
}
