//! Six faults of Argo Rollouts, each as a scenario in which it could happen here, and does not. What happened there is told
//! from the threads of argoproj/argo-rollouts; of #1665 no text was at hand, as its test says.

use tinydancer_crds::{ABORT_ANNOTATION, Digest, routing_policy::RolloutState};
use tinydancer_plan::{
    Action, LiveChild,
    rollout::{CanaryStep, Cause, Rollout},
};

use crate::world::{World, digest};

const LAST_STEP: Rollout = Rollout::Canary(CanaryStep { step: 1, weight: 50 });

/// support-v2 decides half of the requests.
fn at_half() -> World {
    let mut world = World::with_trial_in(RolloutState::Canary);
    world.run_until(60, |world| world.rollout() == Some(LAST_STEP));
    world.tick();
    assert!(world.pods.iter().all(|pod| pod.effective_weight(world.now).get() == 5_000));
    world
}

fn abort(world: &mut World) {
    let attempt = world.recorded().attempt;
    world.annotate(ABORT_ANNOTATION, &attempt.to_string());
}

fn assert_out_of_traffic(world: &World, model: Digest) {
    for pod in &world.pods {
        assert_eq!((pod.effective_weight(world.now).get(), pod.serves), (0, Some(digest("support-v1"))));
        let held = pod.held.as_ref().unwrap();
        assert!(held.trial.is_none() && held.stable.as_ref().is_some_and(|stable| stable.digest != model));
    }
}

/// argo-rollouts #4841: with `dynamicStableScale` and `minPodsPerReplicaSet`, an abort left the canary with a weight above
/// zero for ever, because the weight was computed from the replicas that were to remain. Here a weight is no function of
/// pods, so the odd fleet is one of which a pod is not Ready and another does not answer.
#[test]
fn an_aborted_canary_comes_to_weight_zero_and_stays_there() {
    let mut world = at_half();
    world.add_pod("support-router-2");
    world.run(2);
    world.pods[0].ready = false;
    world.pods[1].reachable = false;
    abort(&mut world);
    world.tick();
    assert!([0, 2].iter().all(|pod| world.pods[*pod].effective_weight(world.now).get() == 0));
    world.run(11);
    assert_eq!(world.pods[1].effective_weight(world.now).get(), 0, "its lease ended");
    assert_eq!(world.rollout(), Some(Rollout::RolledBack { cause: Cause::Aborted }));
    world.pods[1].reachable = true;
    world.run(300);
    assert_out_of_traffic(&world, digest("support-v2"));
}

/// argo-rollouts #1665: its text was not found; it is listed among those in which a canary that had been taken out did not
/// stay out. The nearest thing: out of traffic, it stays out whoever starts again.
#[test]
fn a_rolled_back_canary_stays_out_when_pods_operator_and_status_start_again() {
    let mut world = at_half();
    abort(&mut world);
    world.run_until(5, |world| world.state() == RolloutState::RolledBack);
    for _ in 0..20 {
        world.restart_pod(0);
        world.restart_operator();
        world.status = tinydancer_crds::RoutingPolicyStatus::default();
        world.run(3);
        assert_eq!(world.state(), RolloutState::RolledBack);
        assert_out_of_traffic(&world, digest("support-v2"));
    }
}

/// argo-rollouts #4612: going back to an earlier version while a canary was under way, the weight of the last step was set
/// before the subsets were switched, so a canary that was made for 5 % got 70 % of the traffic. Here digest and weight are
/// one message, and another model begins only after the one before has left every pod.
#[test]
fn another_wish_in_a_canary_gives_no_digest_a_weight_that_it_has_not_passed_for() {
    let mut world = World::with_trial_in(RolloutState::Canary);
    let absent = digest("support-v3");
    world.available.remove(&absent);
    world.name_model("support-v3");
    for _ in 0..40 {
        world.run(1);
        for pod in &world.pods {
            assert_eq!(pod.effective_weight(world.now).get(), 0, "{:?}", world.rollout());
        }
    }
    assert_eq!(world.rollout(), Some(Rollout::Staging { trusted: false }), "no pod has it");
    assert_eq!(world.exposure[&digest("support-v2")], 500, "what it had passed for and no more");
    world.available.insert(absent);
    world.run_until(10, |world| world.state() == RolloutState::Canary);
    assert_eq!(world.exposure[&absent], 500, "it begins with the first step");
}

/// argo-rollouts #4973: after an abort, any increase of `spec.replicas` scaled the aborted version up again until the
/// stable one had caught up. Here new pods never hear of it.
#[test]
fn a_fleet_that_grows_after_an_abort_never_gets_the_aborted_model() {
    let mut world = at_half();
    abort(&mut world);
    world.run_until(5, |world| world.state() == RolloutState::RolledBack);
    world.policy.spec.replicas = 4;
    for name in ["support-router-2", "support-router-3"] {
        world.add_pod(name);
    }
    for _ in 0..60 {
        for action in world.tick().actions {
            assert!(!matches!(action, Action::PutModel { digest: put, .. } if put == digest("support-v2")));
        }
    }
    assert!(world.pods[2..].iter().all(|pod| !pod.models.contains(&digest("support-v2"))));
    assert_out_of_traffic(&world, digest("support-v2"));
}

/// argo-rollouts #2576: after an abort, the canary's Service still selected the aborted pods. Here no object but the
/// record knows of a trial: what stands for it while it runs is what stood before and what stands after.
#[test]
fn no_object_of_the_fleet_points_at_a_candidate_before_in_or_after_a_trial() {
    let fleet = |world: &World| -> Vec<LiveChild> {
        let mut children = world.children.clone();
        children.sort_by(|one, other| (&one.kind, &one.name).cmp(&(&other.kind, &other.name)));
        children.retain(|child| child.kind != "ConfigMap");
        children
    };
    let boots = |world: &World| world.recorded().boot.stable.as_ref().map(|model| model.digest);
    let before = fleet(&World::settled());
    assert!(before.iter().any(|child| child.kind == "Service"));
    let mut world = at_half();
    assert_eq!((fleet(&world), boots(&world)), (before.clone(), Some(digest("support-v1"))));
    abort(&mut world);
    world.run_until(5, |world| world.state() == RolloutState::RolledBack);
    world.run(30);
    assert_eq!((fleet(&world), boots(&world)), (before, Some(digest("support-v1"))));
    assert_out_of_traffic(&world, digest("support-v2"));
}

/// argo-rollouts #1774: with a stable version that could not start, a good canary never got further, because the stable
/// replicas were waited for first. Here a stable model that new pods cannot even load keeps nobody from replacing it.
#[test]
fn a_stable_model_that_cannot_be_loaded_any_more_is_replaced_by_a_good_one() {
    let mut world = World::settled();
    let stable = digest("support-v1");
    world.available.remove(&stable);
    world.delete_model("support-v1");
    world.pods.clear();
    world.add_pod("support-router-0");
    world.add_pod("support-router-1");
    world.run(5);
    assert!(world.pods.iter().all(|pod| pod.serves.is_none()), "nobody has it");
    world.name_model("support-v2");
    world.run_until(60, |world| world.stable() == Some(digest("support-v2")));
    world.run(2);
    assert!(world.pods.iter().all(|pod| pod.serves == Some(digest("support-v2"))));
}
