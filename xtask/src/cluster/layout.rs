//! Every name and path of a cluster, derived from the checkout and the
//! cluster's name, so that two checkouts or two names never meet.

use std::fmt::{self, Display};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sha2::{Digest, Sha256};
use thiserror::Error;

/// The kernel's limit for the path of a Unix socket, without the final zero.
const SOCKET_PATH_LIMIT: usize = 107;
/// The longest path of a socket below the state folder.
const LONGEST_SOCKET: &str = "kubelet/pod-resources/kubelet.sock";

/// The node's address; the network is one that documentation uses, and exists
/// only inside the cluster's network namespace.
pub(crate) const NODE_ADDRESS: &str = "192.0.2.1";
/// The one node's name.
pub(crate) const NODE_NAME: &str = "node1";

/// What a cluster is called: it tells clusters of one checkout apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClusterName(String);

/// A cluster name that cannot be one.
#[derive(Debug, Error)]
#[error("a cluster's name must be 1 to 16 of the characters a-z, 0-9 and -, and start with a letter")]
pub(crate) struct ClusterNameError;

impl FromStr for ClusterName {
    type Err = ClusterNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let starts_well = text.starts_with(|c: char| c.is_ascii_lowercase());
        if starts_well && text.len() <= 16 && text.chars().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ClusterNameError)
        }
    }
}

impl Display for ClusterName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Where everything of one cluster is.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    name: ClusterName,
    identity: String,
    hash: u32,
    clusters: PathBuf,
    state: PathBuf,
    base: PathBuf,
}

impl Layout {
    /// Lays out a cluster of the checkout at `root`.
    pub(crate) fn new(root: &Path, name: &ClusterName) -> Self {
        let mut digest = Sha256::new();
        digest.update(root.as_os_str().as_bytes());
        digest.update([0]);
        digest.update(name.0.as_bytes());
        let digest = digest.finalize();
        let hash = digest.iter().take(4).fold(0, |sum, byte| sum << 8 | u32::from(*byte));
        let identity = format!("tinydancer-{name}-{hash:08x}");
        let clusters = root.join(".cluster");
        let state = clusters.join(&name.0);
        let fits = state.join(LONGEST_SOCKET).as_os_str().len() <= SOCKET_PATH_LIMIT;
        let base = if fits { state.clone() } else { Path::new("/run").join(&identity) };
        Self { name: name.clone(), identity, hash, clusters, state, base }
    }

    /// The cluster's name.
    pub(crate) fn name(&self) -> &ClusterName {
        &self.name
    }

    /// A name that no other cluster on the machine has: it is the network
    /// namespace's, the cgroup's and the pod network's.
    pub(crate) fn identity(&self) -> &str {
        &self.identity
    }

    /// The folder of all this checkout's clusters.
    pub(crate) fn clusters(&self) -> &Path {
        &self.clusters
    }

    /// The folder that holds everything of the cluster.
    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    /// The link to the state folder that stands in for it where its own path
    /// is too long for a Unix socket; none if it is short enough.
    pub(crate) fn link(&self) -> Option<&Path> {
        (self.base != self.state).then_some(self.base.as_path())
    }

    /// A path below the state folder, short enough for sockets.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.base.join(relative)
    }

    /// The network namespace that everything runs in.
    pub(crate) fn network_namespace(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.identity)
    }

    /// containerd's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.path("containerd.sock")
    }

    /// A key or certificate.
    pub(crate) fn pki(&self, file: &str) -> PathBuf {
        self.path("pki").join(file)
    }

    /// The credentials of a component inside the namespace.
    pub(crate) fn component_kubeconfig(&self, user: &str) -> PathBuf {
        self.path("pki").join(format!("{user}.kubeconfig"))
    }

    /// The administrator's credentials for use on the host.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.state.join("kubeconfig")
    }

    /// What a component printed.
    pub(crate) fn log(&self, component: &str) -> PathBuf {
        self.state.join("log").join(format!("{component}.log"))
    }

    /// The first loopback port to try for the API server. Below the kernel's
    /// own range for outgoing connections.
    pub(crate) fn first_port(&self) -> u16 {
        20_000 + (self.hash % 10_000) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(root: &str, name: &str) -> Layout {
        Layout::new(Path::new(root), &name.parse().unwrap())
    }

    #[test]
    fn names_follow_the_checkout_and_the_cluster() {
        let one = layout("/home/one/checkout", "dev");
        assert_eq!(one.identity(), layout("/home/one/checkout", "dev").identity());
        assert_ne!(one.identity(), layout("/home/two/checkout", "dev").identity());
        assert_ne!(one.identity(), layout("/home/one/checkout", "test").identity());
        assert!((20_000..30_000).contains(&one.first_port()));
    }

    #[test]
    fn state_stays_in_the_checkout() {
        let one = layout("/home/one/checkout", "dev");
        assert_eq!(one.state(), Path::new("/home/one/checkout/.cluster/dev"));
        assert_eq!(one.link(), None);
        assert!(one.socket().starts_with(one.state()));
    }

    #[test]
    fn sockets_of_a_checkout_deep_down_have_short_paths() {
        let deep = layout(&format!("/home/{}", "deep/".repeat(40)), "dev");
        assert!(deep.link().is_some());
        assert!(deep.path(LONGEST_SOCKET).as_os_str().len() <= SOCKET_PATH_LIMIT);
        assert!(deep.kubeconfig().starts_with("/home"));
    }

    #[test]
    fn a_name_that_is_no_plain_word_is_refused() {
        for name in ["", "-a", "1a", "UP", "a/b", "a.b", "seventeen-letters"] {
            assert!(name.parse::<ClusterName>().is_err(), "{name}");
        }
        assert!("demo-2".parse::<ClusterName>().is_ok());
    }
}
