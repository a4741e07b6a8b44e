//! Reads a policy, decides, and writes guarded by the version that was read.

use kube::{
    Api,
    api::{Patch, PatchParams},
};
use tinydancer_crds::RoutingPolicy;

use crate::command::{Command, Decision, Refusal, decide};

/// Whom the fields belong to that this program writes.
pub(crate) const MANAGER: &str = "kubectl-tinydancer";
/// Times that a policy which changes meanwhile is read again.
const MOST_TRIES: usize = 5;

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    /// There is no such policy.
    #[error(
        "there is no RoutingPolicy '{name}' in namespace '{namespace}': kubectl get routingpolicies -A shows all"
    )]
    NotFound {
        /// Its name.
        name: String,
        /// Where it was looked for.
        namespace: String,
    },
    /// It makes no sense now.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It changed again and again.
    #[error("policy '{0}' changed {MOST_TRIES} times while it was looked at: try again")]
    Busy(String),
    /// No cluster is configured, or not that context.
    #[error("failed to read the kubeconfig")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// The API server refused or did not answer.
    #[error("failed to reach the policy")]
    Api(#[source] Box<kube::Error>),
}

impl From<kube::Error> for ChangeError {
    fn from(error: kube::Error) -> Self {
        Self::Api(Box::new(error))
    }
}

/// The policy.
pub(crate) async fn read(
    policies: &Api<RoutingPolicy>,
    namespace: &str,
    name: &str,
) -> Result<RoutingPolicy, ChangeError> {
    let found = policies.get_opt(name).await?;
    found.ok_or_else(|| ChangeError::NotFound { name: name.to_owned(), namespace: namespace.to_owned() })
}

/// Does what was asked for, and says what that was.
pub(crate) async fn change(
    policies: &Api<RoutingPolicy>,
    namespace: &str,
    name: &str,
    command: Command,
) -> Result<String, ChangeError> {
    for _ in 0..MOST_TRIES {
        let policy = read(policies, namespace, name).await?;
        let (mut patch, done) = match decide(command, &policy)? {
            Decision::Nothing(text) => return Ok(text),
            Decision::Change { patch, done } => (patch, done),
        };
        // A version in the patch is a precondition: what was decided on is what is changed.
        patch["metadata"]["resourceVersion"] = policy.metadata.resource_version.into();
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        match policies.patch(name, &parameters, &Patch::Merge(&patch)).await {
            Ok(_) => return Ok(done),
            Err(kube::Error::Api(status)) if status.is_conflict() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(ChangeError::Busy(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{Arc, Mutex},
    };

    use http::{Method, Request, Response, StatusCode};
    use kube::{Client, client::Body};
    use serde_json::{Value, json};

    use super::*;

    /// What the API server answers to one read after the other; the writes that came.
    #[derive(Clone)]
    struct Server(Arc<Mutex<(Vec<RoutingPolicy>, Vec<Value>)>>);

    impl Server {
        /// Every write is refused while a newer version is still to be read.
        fn with(versions: Vec<RoutingPolicy>) -> (Self, Api<RoutingPolicy>) {
            let server = Self(Arc::new(Mutex::new((versions, Vec::new()))));
            let answering = server.clone();
            let service = tower::service_fn(move |request: Request<Body>| {
                let server = answering.clone();
                async move { Ok::<_, Infallible>(server.answer(request).await) }
            });
            (server, Api::namespaced(Client::new(service, "team"), "team"))
        }

        async fn answer(&self, request: Request<Body>) -> Response<Body> {
            let method = request.method().clone();
            let sent = request.into_body().collect_bytes().await.unwrap();
            let mut state = self.0.lock().unwrap();
            let (status, value) = match (method, state.0.first().cloned()) {
                (_, None) => (StatusCode::NOT_FOUND, failure(404, "NotFound")),
                (Method::GET, Some(policy)) => (StatusCode::OK, json!(policy)),
                (_, Some(policy)) => {
                    state.1.push(serde_json::from_slice(&sent).unwrap());
                    if state.0.len() > 1 {
                        state.0.remove(0);
                        (StatusCode::CONFLICT, failure(409, "Conflict"))
                    } else {
                        (StatusCode::OK, json!(policy))
                    }
                }
            };
            Response::builder().status(status).body(Body::from(value.to_string().into_bytes())).unwrap()
        }

        fn writes(&self) -> Vec<Value> {
            self.0.lock().unwrap().1.clone()
        }
    }

    fn failure(code: u16, reason: &str) -> Value {
        json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": "no" })
    }

    fn at(version: &str, paused: bool) -> RoutingPolicy {
        let text = include_str!("../../../../../crds/tests/fixtures/policy.yaml");
        let mut policy: RoutingPolicy = tinydancer_crds::yaml::from_str(text).unwrap();
        policy.metadata.resource_version = Some(version.to_owned());
        policy.spec.paused = paused;
        policy
    }

    #[tokio::test]
    async fn a_policy_that_changed_meanwhile_is_decided_on_anew() {
        let (server, policies) = Server::with(vec![at("1", false), at("2", false)]);
        change(&policies, "team", "support", Command::Pause).await.unwrap();
        let versions: Vec<_> =
            server.writes().iter().map(|patch| patch["metadata"]["resourceVersion"].clone()).collect();
        assert_eq!(versions, ["1", "2"]);

        let (server, policies) = Server::with(vec![at("1", false), at("2", true)]);
        let text = change(&policies, "team", "support", Command::Pause).await.unwrap();
        assert!(text.contains("already"), "{text}");
        assert_eq!(server.writes().len(), 1);
    }

    #[tokio::test]
    async fn a_policy_that_never_stands_still_is_given_up() {
        let (server, policies) =
            Server::with((0..9).map(|version| at(&version.to_string(), false)).collect());
        let error = change(&policies, "team", "support", Command::Pause).await.unwrap_err();
        assert!(matches!(error, ChangeError::Busy(_)), "{error}");
        assert_eq!(server.writes().len(), MOST_TRIES);
    }

    #[tokio::test]
    async fn a_policy_that_is_not_there_is_named_with_its_namespace() {
        let (_, policies) = Server::with(Vec::new());
        let error = change(&policies, "team", "suport", Command::Abort).await.unwrap_err().to_string();
        assert!(error.contains("'suport'") && error.contains("'team'"), "{error}");
    }
}
