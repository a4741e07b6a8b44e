use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::*;
use crate::{artifacts::HttpsSource, certificates::Authority};

/// An API server in memory: objects by path, and every write in the order it came.
#[derive(Clone, Default)]
struct Api(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    writes: Vec<String>,
    versions: u64,
    refuse_conflict: Option<&'static str>,
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
        if parts.method != Method::GET {
            state.writes.push(format!("{} {path}", parts.method));
        }
        let refused =
            state.refuse_conflict.is_some_and(|kind| path.contains(kind)) && parts.method != Method::GET;
        let (status, value) = match parts.method {
            _ if refused => (StatusCode::CONFLICT, Value::Null),
            Method::GET if path.ends_with("/pods") => (
                StatusCode::OK,
                json!({ "apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": [] }),
            ),
            Method::GET => match state.objects.get(&path) {
                Some(object) => (StatusCode::OK, object.clone()),
                None => (StatusCode::NOT_FOUND, Value::Null),
            },
            Method::POST => {
                let name =
                    sent.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("event").to_owned();
                state.store(&format!("{path}/{name}"), sent)
            }
            Method::PUT => state.store(&path, sent),
            _ => {
                let path = path.trim_end_matches("/status").to_owned();
                let mut standing = state.objects.get(&path).cloned().unwrap_or_else(|| json!({}));
                merge(&mut standing, &sent);
                state.store(&path, standing)
            }
        };
        let value = if value.is_null() {
            json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status.as_u16(),
                "reason": if status == StatusCode::CONFLICT { "Conflict" } else { "NotFound" }, "message": "no" })
        } else {
            value
        };
        Response::builder().status(status).body(Body::from(value.to_string().into_bytes())).unwrap()
    }

    fn writes(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().writes)
    }

    fn policy(&self) -> RoutingPolicy {
        serde_json::from_value(self.0.lock().unwrap().objects[POLICY].clone()).unwrap()
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

fn world(api: &Api) -> PolicyWorld {
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
    PolicyWorld::new(parts, reflector::store().0)
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
    api.0.lock().unwrap().objects.get_mut(path).unwrap()["spec"]["ports"][0]["port"] = json!(81);
    look(&world, &api.policy()).await.unwrap();
    assert_eq!(api.writes(), [format!("PATCH {path}")]);
}

#[tokio::test]
async fn where_the_record_is_refused_nothing_else_is_done() {
    let api = Api::default();
    let world = world(&api);
    api.0.lock().unwrap().refuse_conflict = Some("/configmaps");
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
