//! Artifacts from a ConfigMap in the model's namespace.

use bytes::Bytes;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use tinydancer_crds::routing_policy::KeyReference;

/// Why an artifact was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConfigMapError {
    /// It is not there.
    #[error("ConfigMap '{0}' must exist in the model's namespace")]
    NotFound(String),
    /// The key is not there.
    #[error("ConfigMap '{name}' must have the key '{key}' in `binaryData`")]
    Key {
        /// Name of the ConfigMap.
        name: String,
        /// The key that is missing.
        key: String,
    },
    /// The API server did not give it.
    #[error("failed to read ConfigMap '{name}'")]
    Api {
        /// Name of the ConfigMap.
        name: String,
        /// What the API server said.
        #[source]
        source: Box<kube::Error>,
    },
}

/// Reads one key.
///
/// # Errors
/// Where ConfigMap or key are not there or cannot be read.
pub(super) async fn read(
    client: &Client,
    namespace: &str,
    reference: &KeyReference,
) -> Result<Bytes, ConfigMapError> {
    let KeyReference { name, key } = reference;
    let found = Api::<ConfigMap>::namespaced(client.clone(), namespace).get_opt(name).await;
    let config_map = found
        .map_err(|source| ConfigMapError::Api { name: name.clone(), source: Box::new(source) })?
        .ok_or_else(|| ConfigMapError::NotFound(name.clone()))?;
    let bytes = config_map.binary_data.and_then(|mut data| data.remove(key));
    bytes
        .map(|bytes| Bytes::from(bytes.0))
        .ok_or_else(|| ConfigMapError::Key { name: name.clone(), key: key.clone() })
}
