//! The fleet's objects.

use serde_json::{Value, json};
use tinydancer_crds::routing_policy::{OnDelete, RolloutState};
use tinydancer_plan::{Action, Child, build::Names};

use crate::world::{World, digest};

fn created(world: &mut World) -> Vec<Value> {
    let plan = world.plan();
    plan.actions
        .iter()
        .filter_map(|action| match action {
            Action::Create(child) => Some(child.to_value()),
            _ => None,
        })
        .collect()
}

fn stateful_set(world: &mut World) -> Value {
    created(world).into_iter().find(|object| object["kind"] == "StatefulSet").unwrap()
}

#[test]
fn every_object_belongs_to_the_policy_and_carries_the_recommended_labels() {
    let objects = created(&mut World::new());
    let names: Vec<_> = objects
        .iter()
        .map(|object| {
            format!("{} {}", object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        names,
        [
            "ServiceAccount support-router",
            "NetworkPolicy support-router",
            "Service support-routers",
            "Service support",
            "ConfigMap support-router",
            "PodDisruptionBudget support-router",
            "StatefulSet support-router",
        ]
    );
    for object in &objects {
        let owner = &object["metadata"]["ownerReferences"][0];
        assert_eq!((&owner["uid"], &owner["controller"]), (&json!("uid-1"), &json!(true)));
        assert_eq!(object["metadata"]["labels"]["app.kubernetes.io/instance"], "support");
        assert_eq!(object["metadata"]["namespace"], "team-a");
    }
}

#[test]
fn pods_meet_the_restricted_standard() {
    let set = stateful_set(&mut World::new());
    let pod = &set["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(pod["automountServiceAccountToken"], false);
    let container = &pod["containers"][0]["securityContext"];
    assert_eq!(container["allowPrivilegeEscalation"], false);
    assert_eq!(container["readOnlyRootFilesystem"], true);
    assert_eq!(container["capabilities"]["drop"], json!(["ALL"]));
}

#[test]
fn volumes_stay_or_go_as_the_policy_says() {
    let when_deleted = |on_delete| {
        let mut world = World::new();
        world.policy.spec.history.on_delete = on_delete;
        stateful_set(&mut world)["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"].clone()
    };
    assert_eq!(when_deleted(OnDelete::Retain), "Retain");
    assert_eq!(when_deleted(OnDelete::Delete), "Delete");
}

/// The template is made from the policy and the image alone: whatever else an operator is installed with, pods stay.
#[test]
fn another_operator_makes_the_same_pods() {
    let before = stateful_set(&mut World::new())["spec"]["template"].clone();
    let mut world = World::new();
    world.settings.lease_seconds = 60;
    world.settings.poll_interval = std::time::Duration::from_secs(5);
    world.settings.settled_interval = std::time::Duration::from_secs(90);
    world.settings.blind_limit = std::time::Duration::from_mins(10);
    world.settings.operator_namespace = "elsewhere".to_owned();
    assert_eq!(stateful_set(&mut world)["spec"]["template"], before);
    world.settings.router_image = "registry.example/tiny-dancer-router:0.2.0".to_owned();
    assert_ne!(stateful_set(&mut world)["spec"]["template"], before);
    world.policy.spec.template.image = Some(crate::world::IMAGE.to_owned());
    assert_eq!(
        stateful_set(&mut world)["spec"]["template"],
        before,
        "a policy that names its image decides alone"
    );
}

#[test]
fn configuration_is_not_part_of_the_pod_template() {
    let mut world = World::new();
    let before = stateful_set(&mut world)["spec"]["template"].clone();
    world.policy.spec.candidates[0].endpoint = "https://elsewhere.example/v1".to_owned();
    world.policy.spec.history.retention_days = 7;
    world.name_model("support-v2");
    assert_eq!(stateful_set(&mut world)["spec"]["template"], before);
}

#[test]
fn a_changed_template_waits_for_the_end_of_the_trial() {
    let mut world = World::with_trial_in(RolloutState::Canary);
    let image = |world: &World| {
        let set = world.children.iter().find(|child| child.kind == "StatefulSet").unwrap();
        set.object["spec"]["template"]["spec"]["containers"][0]["image"].clone()
    };
    let replicas = |world: &World| {
        let set = world.children.iter().find(|child| child.kind == "StatefulSet").unwrap();
        set.object["spec"]["replicas"].clone()
    };
    world.policy.spec.template.image = Some("other:1".to_owned());
    world.policy.spec.replicas = 3;
    world.run(3);
    assert_eq!((image(&world), replicas(&world)), (json!(crate::world::IMAGE), json!(3)));
    world.run_until(60, |world| world.state() == RolloutState::Stable);
    world.run(1);
    assert_eq!(image(&world), "other:1");
}

#[test]
fn what_somebody_changed_by_hand_is_brought_back() {
    let mut world = World::settled();
    assert!(!world.plan().actions.iter().any(|action| matches!(action, Action::Apply(_))));
    let service = world.children.iter_mut().find(|child| child.name == "support").unwrap();
    service.object["spec"]["selector"]["app.kubernetes.io/instance"] = json!("other");
    service.object["spec"]["clusterIP"] = json!("10.0.0.7");
    let applied: Vec<_> =
        world.plan().actions.into_iter().filter(|action| matches!(action, Action::Apply(_))).collect();
    assert!(matches!(applied.as_slice(), [Action::Apply(Child::Service(_))]), "{applied:?}");
}

#[test]
fn what_the_api_server_adds_is_left_alone() {
    let mut world = World::settled();
    for child in &mut world.children {
        child.object["metadata"]["managedFields"] = json!([{}]);
        child.object["metadata"]["uid"] = json!("1");
        child.object["status"] = json!({ "replicas": 2 });
        if child.kind == "StatefulSet" {
            child.object["spec"]["template"]["spec"]["dnsPolicy"] = json!("ClusterFirst");
            child.object["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] =
                json!("IfNotPresent");
            child.object["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] =
                json!("0.05");
        }
    }
    assert!(
        !world.plan().actions.iter().any(|action| matches!(action, Action::Apply(_) | Action::Create(_)))
    );
}

#[test]
fn the_boot_file_names_a_model_only_with_its_bytes_at_hand() {
    let mut world = World::settled();
    world.children.retain(|child| child.kind != "ConfigMap");
    world.available.clear();
    assert!(created(&mut world).is_empty());
    world.available.insert(digest("support-v1"));
    let plan = world.plan();
    let [Action::Create(Child::Boot { config_map, model }), ..] = plan.actions.as_slice() else {
        panic!("{:?}", plan.actions)
    };
    assert_eq!(*model, Some(digest("support-v1")));
    let boot: Value = serde_json::from_str(&config_map.data.as_ref().unwrap()["assignment.json"]).unwrap();
    assert_eq!(boot["trial"], Value::Null);
}

#[test]
fn no_pod_boots_with_a_model_that_was_rolled_back_even_if_the_one_before_is_not_at_hand() {
    let mut world = World::with_trial_in(RolloutState::Promoting);
    world.run_until(5, |world| world.stable() == Some(digest("support-v2")));
    world.run(2);
    let model = |world: &World| {
        let boot = world.children.iter().find(|child| child.kind == "ConfigMap").unwrap();
        boot.object["metadata"]["annotations"]["routing.tinydancer.dev/model"].clone()
    };
    assert_eq!(model(&world), digest("support-v2").to_string());
    world.delete_model("support-v1");
    world.available.remove(&digest("support-v1"));
    world.trip(0);
    world.run(3);
    assert_eq!(model(&world), Value::Null, "pods take its bytes from their volumes");
    let boot = &world.recorded().boot;
    assert_eq!((boot.stable.as_ref().unwrap().digest, &boot.watch), (digest("support-v1"), &None));
    assert!(!world.plan().actions.iter().any(|action| matches!(action, Action::Apply(_))));
    world.available.insert(digest("support-v1"));
    world.run(1);
    assert_eq!(model(&world), digest("support-v1").to_string());
}

#[test]
fn names_follow_the_policy() {
    let names = Names::of("support");
    assert_eq!(
        [names.record(), names.router(), names.headless(), names.client(), names.tls(), names.credentials()],
        [
            "support-rollout-record",
            "support-router",
            "support-routers",
            "support",
            "support-router-tls",
            "support-router-credentials"
        ]
    );
}
