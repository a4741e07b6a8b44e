//! What the operator still waits for before it can work. A missing resource definition is waited for, not a crash.

use std::{sync::Arc, time::Duration};

use kube::{Client, Resource, discovery};
use tinydancer_crds::{RouterModel, RoutingPolicy};
use tokio::sync::watch;

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Time one look may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// Tells what is waited for. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<watch::Sender<Option<String>>>);

impl Default for Readiness {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Some("the API server".to_owned()))))
    }
}

impl Readiness {
    /// What is waited for; `None` when the operator works.
    pub fn waiting_for(&self) -> Option<String> {
        self.0.borrow().clone()
    }

    /// Returns when both resource definitions are served.
    pub async fn wait_for_definitions(&self, client: &Client) {
        loop {
            let missing = match tokio::time::timeout(LOOK_TIMEOUT, missing(client)).await {
                Ok(Ok(missing)) => missing,
                Ok(Err(error)) => Some(format!("the API server: {error}")),
                Err(_) => Some("the API server, which does not answer".to_owned()),
            };
            if self.0.send_if_modified(|standing| std::mem::replace(standing, missing.clone()) != missing) {
                tracing::info!(missing, "readiness changed");
            }
            if missing.is_none() {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// The first definition that is not served. Discovery needs no rights of its own.
async fn missing(client: &Client) -> Result<Option<String>, kube::Error> {
    let wanted = [
        kube::core::GroupVersionKind::gvk(
            &RoutingPolicy::group(&()),
            &RoutingPolicy::version(&()),
            "RoutingPolicy",
        ),
        kube::core::GroupVersionKind::gvk(
            &RouterModel::group(&()),
            &RouterModel::version(&()),
            "RouterModel",
        ),
    ];
    for kind in wanted {
        match discovery::pinned_kind(client, &kind).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() => {
                return Ok(Some(definition(&kind.kind)));
            }
            Err(kube::Error::Discovery(_)) => return Ok(Some(definition(&kind.kind))),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn definition(kind: &str) -> String {
    format!("the definition of {kind}: apply config/crd")
}
