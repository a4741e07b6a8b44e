//! Which namespaces are looked at.

use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

/// The whole cluster, or one namespace.
#[derive(Clone, Debug)]
pub struct Scope(Option<String>);

impl Scope {
    /// One namespace, or all of them.
    pub fn new(namespace: Option<String>) -> Self {
        Self(namespace)
    }

    /// What is listed and watched.
    pub fn api<K>(&self, client: &Client) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + DeserializeOwned,
    {
        match &self.0 {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        }
    }
}
