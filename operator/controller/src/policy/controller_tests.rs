use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use futures::{FutureExt as _, future::BoxFuture};
use http::{Method, Request, Response, StatusCode};
use kube::{client::Body, core::DeserializeGuard};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tinydancer_crds::Digest;
use tinydancer_engine::testing;

use super::*;
use crate::{artifacts::HttpsSource, certificates::Authority, policy::watched::Versions};

/// An API server in memory: objects by path, and every read and write in the order it came.
#[derive(Clone, Default)]
struct Api(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    reads: Vec<String>,
    writes: Vec<String>,
    versions: u64,
    /// Writes to paths with this in them are answered so.
    refuse: Option<(&'static str, StatusCode)>,
}

impl Api {
    fn client(&self) -> Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let api = api.clone();
            async move { Ok::<_, Infallible>(api.answer(request).await) }
        });
        Client::new(service, "default")
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        let bytes = body.collect_bytes().await.unwrap();
        let sent: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let mut state = self.0.lock().unwrap();
        let refusal = state.refuse.filter(|(kind, _)| path.contains(kind)).map(|(_, status)| status);
        if parts.method == Method::GET {
            state.reads.push(path.clone());
        } else {
            state.writes.push(format!("{} {path}", parts.method));
        }
        let (status, value) = match (parts.method, refusal) {
            (Method::GET, _) => match state.objects.get(&path) {
                Some(object) => (StatusCode::OK, object.clone()),
                None => (StatusCode::NOT_FOUND, Value::Null),
            },
            (_, Some(status)) => (status, Value::Null),
            (Method::POST, None) => {
                let name = sent.pointer("/metadata/name").and_then(Value::as_str).unwrap();
                let path = format!("{path}/{name}");
                if state.objects.contains_key(&path) {
                    (StatusCode::CONFLICT, Value::Null)
                } else {
                    state.store(&path, sent)
                }
            }
            (Method::PUT, None) => state.store(&path, sent),
            _ => {
                let path = path.trim_end_matches("/status").to_owned();
                let mut standing = state.objects.get(&path).cloned().unwrap_or_else(|| json!({}));
                merge(&mut standing, &sent);
                state.store(&path, standing)
            }
        };
        let value = if value.is_null() {
            json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status.as_u16(),
                "reason": if status == StatusCode::CONFLICT { "AlreadyExists" } else { "NotFound" }, "message": "no" })
        } else {
            value
        };
        Response::builder().status(status).body(Body::from(value.to_string().into_bytes())).unwrap()
    }

    fn writes(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().writes)
    }

    fn reads(&self) -> Vec<String> {
        let mut reads = std::mem::take(&mut self.0.lock().unwrap().reads);
        reads.sort();
        reads
    }

    /// Reasons of the events that regard objects of a kind, in no order.
    fn events(&self, kind: &str) -> Vec<String> {
        let state = self.0.lock().unwrap();
        let events = state.objects.values().filter(|object| object["regarding"]["kind"] == kind);
        events.map(|event| event["reason"].as_str().unwrap().to_owned()).collect()
    }

    fn policy(&self) -> RoutingPolicy {
        serde_json::from_value(self.0.lock().unwrap().objects[POLICY].clone()).unwrap()
    }
}

/// The watch over a kind, never behind.
struct Watch(Api, &'static str);

impl Versions for Watch {
    fn version(&self, _: &str, name: &str) -> Option<String> {
        let Self(api, kind) = self;
        let state = api.0.lock().unwrap();
        let mut objects = state.objects.values();
        let object = objects.find(|object| object["kind"] == *kind && object["metadata"]["name"] == name)?;
        Some(object["metadata"]["resourceVersion"].as_str().unwrap().to_owned())
    }

    fn filled(&self) -> BoxFuture<'_, ()> {
        std::future::ready(()).boxed()
    }
}

impl State {
    fn store(&mut self, path: &str, mut object: Value) -> (StatusCode, Value) {
        self.versions += 1;
        let metadata = object["metadata"].as_object_mut().unwrap();
        metadata.insert("resourceVersion".into(), self.versions.to_string().into());
        metadata.entry("uid").or_insert_with(|| format!("uid-{path}").into());
        self.objects.insert(path.to_owned(), object.clone());
        (StatusCode::OK, object)
    }
}

fn merge(standing: &mut Value, sent: &Value) {
    match (standing, sent) {
        (Value::Object(standing), Value::Object(sent)) => {
            for (key, value) in sent {
                merge(standing.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (standing, sent) => *standing = sent.clone(),
    }
}

const POLICY: &str = "/apis/routing.tinydancer.dev/v1alpha1/namespaces/team/routingpolicies/support";

/// A policy whose RouterModel does not exist.
fn world(api: &Api) -> PolicyWorld {
    world_with(api, reflector::store().0)
}

fn world_with(api: &Api, models: Store<GuardedModel>) -> PolicyWorld {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut policy: Value =
        tinydancer_crds::yaml::from_str(include_str!("../../../../crds/tests/fixtures/policy.yaml")).unwrap();
    merge(
        &mut policy,
        &json!({ "metadata": { "namespace": "team", "uid": "u1", "generation": 1, "resourceVersion": "1" } }),
    );
    api.0.lock().unwrap().objects.insert(POLICY.to_owned(), policy);
    let (client, metrics, leadership) = (api.client(), Metrics::default(), Leadership::always());
    let https = HttpsSource::new(&[], None).unwrap();
    let parts = PolicyParts {
        leadership: leadership.clone(),
        events: Events::new(client.clone(), "test".into(), metrics.clone()),
        writer: Writer::new(client.clone(), leadership, metrics.clone()),
        artifacts: Artifacts::new(client.clone(), https, metrics.clone()),
        certificates: Certificates::new(Authority::make(OffsetDateTime::now_utc()).unwrap()),
        settings: Settings {
            router_image: "router".into(),
            operator_namespace: "system".into(),
            lease_seconds: 10,
            poll_interval: Duration::from_secs(1),
            settled_interval: Duration::from_secs(30),
            blind_limit: Duration::from_mins(1),
        },
        client,
        metrics,
    };
    let mut watched = Watched::new(reflector::store().0);
    watched.add::<StatefulSet>(Watch(api.clone(), "StatefulSet"));
    watched.add::<Service>(Watch(api.clone(), "Service"));
    watched.add::<ServiceAccount>(Watch(api.clone(), "ServiceAccount"));
    watched.add::<PodDisruptionBudget>(Watch(api.clone(), "PodDisruptionBudget"));
    watched.add::<NetworkPolicy>(Watch(api.clone(), "NetworkPolicy"));
    PolicyWorld::new(parts, models, watched)
}

/// The RouterModel that the policy names exists and its bytes are at hand: the next look begins a trial.
fn world_with_model(api: &Api) -> PolicyWorld {
    let bytes = testing::artifact("2.0.0", 1).unwrap();
    let world = world_with(api, model_of(&bytes));
    world.artifacts.adopt("team", &Digest::of(&bytes), &bytes);
    world
}

/// The RouterModel that the policy names, with the digest of these bytes.
fn model_of(bytes: &[u8]) -> Store<GuardedModel> {
    let source = json!({ "configMap": { "name": "artifact", "key": "m" } });
    let spec = json!({ "version": "2.0.0", "digest": Digest::of(bytes), "source": source });
    let mut model = RouterModel::new("support-v2", serde_json::from_value(spec).unwrap());
    (model.metadata.namespace, model.metadata.uid) = (Some("team".into()), Some("m1".into()));
    let (store, mut writer) = reflector::store();
    writer.apply_watcher_event(&watcher::Event::Apply(DeserializeGuard(Ok(model))));
    store
}

fn transitions(world: &PolicyWorld) -> Vec<String> {
    let text = world.metrics.text().unwrap();
    let lines = text.lines().filter(|line| line.starts_with("tinydancer_rollout_transitions_total{"));
    lines.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_settled_policy_causes_no_writes() {
    let api = Api::default();
    let world = world(&api);
    let mut writes = Vec::new();
    for _ in 0..4 {
        look(&world, &api.policy()).await.unwrap();
        writes.push(api.writes());
    }
    assert!(
        writes[0].iter().any(|write| write.ends_with("POST /api/v1/namespaces/team/configmaps")),
        "{writes:?}"
    );
    assert!(writes.iter().flatten().any(|write| write.ends_with("/statefulsets")), "{writes:?}");
    assert_eq!(writes[3], Vec::<String>::new(), "{writes:?}");
}

#[tokio::test]
async fn a_field_that_somebody_changed_is_brought_back_and_nothing_else_is_written() {
    let api = Api::default();
    let world = world(&api);
    for _ in 0..4 {
        look(&world, &api.policy()).await.unwrap();
    }
    api.writes();
    let path = "/api/v1/namespaces/team/services/support";
    let mut changed = api.0.lock().unwrap().objects[path].clone();
    changed["spec"]["ports"][0]["port"] = json!(81);
    api.0.lock().unwrap().store(path, changed);
    look(&world, &api.policy()).await.unwrap();
    assert_eq!(api.writes(), [format!("PATCH {path}")]);
}

#[tokio::test]
async fn where_the_record_is_refused_nothing_else_is_done() {
    let api = Api::default();
    let world = world(&api);
    api.0.lock().unwrap().refuse = Some(("/configmaps", StatusCode::CONFLICT));
    let error = look(&world, &api.policy()).await.unwrap_err();
    assert_eq!(error.class(), "conflict");
    assert_eq!(api.writes(), ["POST /api/v1/namespaces/team/configmaps"]);
}

#[tokio::test]
async fn nothing_is_written_without_the_lease() {
    let api = Api::default();
    let mut world = world(&api);
    let metrics = world.metrics.clone();
    world.writer = Writer::new(api.client(), Leadership::default(), metrics);
    let error = look(&world, &api.policy()).await.unwrap_err();
    assert_eq!(error.class(), "standby");
    assert_eq!(api.writes(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_look_at_a_fleet_that_stands_reads_its_record_and_now_and_then_what_no_watch_tells_of() {
    let api = Api::default();
    let world = world(&api);
    let keys = json!({ "metadata": { "name": "llm-keys" }, "data": { "small": "c2VjcmV0" } });
    api.0.lock().unwrap().store("/api/v1/namespaces/team/secrets/llm-keys", keys);
    for _ in 0..4 {
        look(&world, &api.policy()).await.unwrap();
    }
    api.reads();
    let record = "/api/v1/namespaces/team/configmaps/support-rollout-record";
    look(&world, &api.policy()).await.unwrap();
    assert_eq!(api.reads(), [record]);

    tokio::time::advance(Duration::from_secs(5)).await;
    look(&world, &api.policy()).await.unwrap();
    let unwatched = [
        record,
        "/api/v1/namespaces/team/configmaps/support-router",
        "/api/v1/namespaces/team/secrets/llm-keys",
        "/api/v1/namespaces/team/secrets/support-router-credentials",
        "/api/v1/namespaces/team/secrets/support-router-tls",
    ];
    assert_eq!(api.reads(), unwatched);
}

#[tokio::test]
async fn a_transition_has_one_event_on_each_of_its_objects_and_one_count() {
    let api = Api::default();
    let world = world_with_model(&api);
    for _ in 0..3 {
        look(&world, &api.policy()).await.unwrap();
    }
    assert_eq!(api.events("RoutingPolicy"), ["TrialStarted"]);
    assert_eq!(api.events("RouterModel"), ["TrialStarted"]);
    let labels = r#"{namespace="team",policy="support",from="Stable",to="Staging",reason="TrialStarted"}"#;
    assert_eq!(transitions(&world), [format!("tinydancer_rollout_transitions_total{labels} 1")]);
}

#[tokio::test]
async fn an_event_that_could_not_be_told_is_told_by_the_next_look_or_the_next_operator_once() {
    let api = Api::default();
    let killed = world_with_model(&api);
    api.0.lock().unwrap().refuse = Some(("/events", StatusCode::SERVICE_UNAVAILABLE));
    look(&killed, &api.policy()).await.unwrap();
    assert_eq!(api.events("RoutingPolicy"), Vec::<String>::new());
    api.0.lock().unwrap().refuse = None;

    let next = world_with_model(&api);
    for world in [&next, &next, &killed, &killed] {
        look(world, &api.policy()).await.unwrap();
    }
    assert_eq!(api.events("RoutingPolicy"), ["TrialStarted"]);
    assert_eq!(api.events("RouterModel"), ["TrialStarted"]);
    assert_eq!(transitions(&next).len(), 1);
}

#[tokio::test]
async fn a_policy_made_anew_does_not_tell_what_the_one_before_it_did() {
    let api = Api::default();
    let change = |change: Value| merge(api.0.lock().unwrap().objects.get_mut(POLICY).unwrap(), &change);
    let world = world_with_model(&api);
    change(json!({ "metadata": { "annotations": { (tinydancer_crds::ABORT_ANNOTATION): "1" } } }));
    for _ in 0..4 {
        look(&world, &api.policy()).await.unwrap();
    }
    let told = api.events("RoutingPolicy").len();
    assert_eq!((told, transitions(&world).len()), (3, 3));

    let next = world_with_model(&api);
    change(json!({ "metadata": { "uid": "u2", "creationTimestamp": "2999-01-01T00:00:00Z" } }));
    look(&next, &api.policy()).await.unwrap();
    assert_eq!(api.events("RoutingPolicy").len(), told);
    assert_eq!(transitions(&next), Vec::<String>::new());
}

#[tokio::test]
async fn bytes_that_the_record_names_are_fetched_whatever_is_wrong_with_the_spec() {
    let api = Api::default();
    look(&world_with_model(&api), &api.policy()).await.unwrap();
    let restarted = world_with(&api, model_of(&testing::artifact("2.0.0", 1).unwrap()));
    let wrong = json!({ "spec": { "decision": { "risk": { "permille": -1 } } } });
    merge(api.0.lock().unwrap().objects.get_mut(POLICY).unwrap(), &wrong);
    api.reads();
    look(&restarted, &api.policy()).await.unwrap();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let reads = api.reads();
    assert!(reads.iter().any(|path| path.ends_with("/configmaps/artifact")), "{reads:?}");
}

#[tokio::test]
async fn a_threshold_is_told_once_by_whichever_operator_comes_to_it() {
    let api = Api::default();
    let world = world(&api);
    let grader = json!({ "endpoint": "http://grader.llm.svc/grade" });
    let audits = json!({ "spec": { "audit": { "permille": 20, "grader": grader } } });
    let ask = || merge(api.0.lock().unwrap().objects.get_mut(POLICY).unwrap(), &audits);
    ask();
    look(&world, &api.policy()).await.unwrap();
    {
        let mut state = api.0.lock().unwrap();
        let path = "/api/v1/namespaces/team/configmaps/support-rollout-record";
        let mut object = state.objects[path].clone();
        let mut record: Value =
            serde_json::from_str(object["data"]["record.json"].as_str().unwrap()).unwrap();
        let (digest, now) = (Digest::of(b"v1"), Timestamp::now());
        record["stable"] = json!({
            "model": { "name": "support-v1", "version": "1.4.0", "digest": digest }, "attempt": 0, "verdict": null,
            "uncertainty": null, "pairs": 0, "since": now, "message": "m"
        });
        let covered = json!({ "pairs": 0, "covered": 0 });
        let configuration = serde_json::from_value(record["assignment"]["configuration"].clone()).unwrap();
        record["calibrations"] = json!([{
            "digest": digest, "permille": 50, "parties": tinydancer_protocol::parties(&configuration), "pairs": 600, "threshold": { "Kept": 0.35 }, "since": now,
            "observed": { "pairs": 600, "regret": 18.0, "lightweight": 300 },
            "coverage": { "goodEnough": covered, "notGoodEnough": covered }
        }]);
        object["data"]["record.json"] = record.to_string().into();
        state.refuse = Some(("/events", StatusCode::SERVICE_UNAVAILABLE));
        state.store(path, object);
    }
    look(&world, &api.policy()).await.unwrap();
    assert_eq!(api.events("RoutingPolicy"), Vec::<String>::new());
    api.0.lock().unwrap().refuse = None;
    let next = world_with(&api, reflector::store().0);
    ask();
    for world in [&next, &next, &world] {
        look(world, &api.policy()).await.unwrap();
    }
    assert_eq!(api.events("RoutingPolicy"), ["Calibrated"]);
    let condition =
        api.policy().status.unwrap().conditions.into_iter().find(|it| it.type_ == "OnlineCalibration");
    let message = condition.unwrap().message;
    assert!(message.contains("up to 0.350") && message.contains("seen 30 (95 % upper bound"), "{message}");
    api.writes();
    look(&next, &api.policy()).await.unwrap();
    assert_eq!(api.writes(), Vec::<String>::new());
}
