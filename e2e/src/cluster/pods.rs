//! Pods and what they say, reached through the API server, so that it works on any cluster.

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{DeleteParams, ListParams},
};
use serde::{Serialize, de::DeserializeOwned};

use super::Cluster;

impl Cluster {
    /// Asks a pod over HTTP.
    ///
    /// # Errors
    /// Where the pod does not answer or not with 2xx.
    pub async fn ask_pod(
        &self,
        namespace: &str,
        pod: &str,
        method: http::Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<String> {
        let uri = format!("/api/v1/namespaces/{namespace}/pods/{pod}:8080/proxy/{path}");
        let request = http::Request::builder()
            .method(method)
            .uri(uri)
            .header("content-type", "application/json")
            .body(body)?;
        self.client.request_text(request).await.with_context(|| format!("failed to ask pod {pod} for {path}"))
    }

    /// Reads JSON from a pod.
    ///
    /// # Errors
    /// As [`Cluster::ask_pod`], or where it is not what was expected.
    pub async fn get_from_pod<T: DeserializeOwned>(
        &self,
        namespace: &str,
        pod: &str,
        path: &str,
    ) -> Result<T> {
        let text = self.ask_pod(namespace, pod, http::Method::GET, path, Vec::new()).await?;
        serde_json::from_str(&text).with_context(|| format!("failed to read what pod {pod} said to {path}"))
    }

    /// Puts JSON to a pod.
    ///
    /// # Errors
    /// As [`Cluster::ask_pod`].
    pub async fn put_to_pod<T: Serialize>(
        &self,
        namespace: &str,
        pod: &str,
        path: &str,
        body: &T,
    ) -> Result<()> {
        self.ask_pod(namespace, pod, http::Method::PUT, path, serde_json::to_vec(body)?).await.map(|_| ())
    }

    /// Pods with a label.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn pods(&self, namespace: &str, selector: &str) -> Result<Vec<Pod>> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        Ok(api.list(&ListParams::default().labels(selector)).await?.items)
    }

    /// Ends a pod at once, as a lost node would.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn kill_pod(&self, namespace: &str, pod: &str) -> Result<()> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        api.delete(pod, &at_once).await?;
        Ok(())
    }
}
