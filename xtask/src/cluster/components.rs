//! The cluster's components: what each is started with and what it sees.

use std::ffi::OsString;
use std::path::Path;

use super::layout::{Layout, NODE_ADDRESS, NODE_NAME};
use super::process::{Launch, Place, Process};
use super::settings::POD_NETWORK;

/// The name of containerd, whose mounts the kubelet shares.
pub(crate) const CONTAINERD: &str = "containerd";

/// All components, in the order they are started in.
pub(crate) const ALL: &[&str] = &[
    CONTAINERD,
    "etcd",
    "kube-apiserver",
    "forwarder",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubelet",
    "coredns",
    "provisioner",
];

/// Gives containerd mounts of its own. Whatever it mounts for pods, and the
/// network namespaces it makes for them, end with the last process that sees
/// them: nothing can stay behind on the host, however the cluster ends. The
/// kubelet, which shares them, finds the kernel set as it likes it (see
/// `settings::KERNEL`) and leaves the machine's own settings alone.
const PRIVATE_MOUNTS: &str = r#"set -e
base=$1; shift
mkdir -p /run/containerd /var/lib/cni
mount -t tmpfs -o size=1m tmpfs /run/netns
mount --bind "$base/shims" /run/containerd
mount --bind "$base/networks" /var/lib/cni
for setting in "$base"/kernel/*; do
  mount --bind "$setting" "/proc/sys/$(echo "${setting##*/}" | tr . /)"
done
exec "$@""#;

/// What is needed before the API server answers.
pub(crate) fn first(layout: &Layout, kube: &Path) -> Vec<Launch> {
    vec![containerd(layout), etcd(layout, kube), api_server(layout, kube)]
}

/// What talks to the API server. `containerd` must be up.
pub(crate) fn second(layout: &Layout, kube: &Path, containerd: Process) -> Vec<Launch> {
    vec![
        controller_manager(layout, kube),
        scheduler(layout, kube),
        proxy(layout, kube),
        kubelet(layout, kube, containerd),
        coredns(layout, kube),
        provisioner(layout, kube),
    ]
}

fn containerd(layout: &Layout) -> Launch {
    let mut command: Vec<OsString> =
        ["unshare", "--mount", "--propagation", "slave", "sh", "-c", PRIVATE_MOUNTS, "sh"]
            .map(Into::into)
            .into();
    command.push(layout.path("").into());
    command.extend(["containerd".into(), "--config".into(), layout.path("containerd.toml").into()]);
    Launch { name: CONTAINERD, place: Place::Network, command, input: None }
}

fn etcd(layout: &Layout, kube: &Path) -> Launch {
    let mut part = Part::new("etcd", kube);
    part.path("--data-dir", layout.path("etcd"));
    // Its data ends with the cluster: a power cut may take it too.
    part.words(&["--unsafe-no-fsync", "--log-level=warn"]);
    part.words(&[
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
    ]);
    part.words(&["--listen-peer-urls=http://127.0.0.1:2380"]);
    part.launch(Place::Network)
}

fn api_server(layout: &Layout, kube: &Path) -> Launch {
    let mut part = Part::new("kube-apiserver", kube);
    part.words(&["--etcd-servers=http://127.0.0.1:2379", "--secure-port=6443"]);
    part.words(&["--advertise-address", NODE_ADDRESS]);
    part.words(&["--service-cluster-ip-range=10.96.0.0/16", "--allow-privileged=true"]);
    part.words(&["--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction"]);
    part.path("--tls-cert-file", layout.pki("apiserver.crt"));
    part.path("--tls-private-key-file", layout.pki("apiserver.key"));
    part.path("--client-ca-file", layout.pki("ca.crt"));
    part.words(&["--service-account-issuer=https://kubernetes.default.svc"]);
    part.path("--service-account-key-file", layout.pki("service-accounts.pub"));
    part.path("--service-account-signing-key-file", layout.pki("service-accounts.key"));
    // Without this it would look the node's name up in DNS for exec and logs.
    part.words(&["--kubelet-preferred-address-types=InternalIP"]);
    part.path("--kubelet-certificate-authority", layout.pki("ca.crt"));
    part.path("--kubelet-client-certificate", layout.pki("admin.crt"));
    part.path("--kubelet-client-key", layout.pki("admin.key"));
    part.launch(Place::Network)
}

fn controller_manager(layout: &Layout, kube: &Path) -> Launch {
    let mut part = Part::new("kube-controller-manager", kube);
    part.path("--kubeconfig", layout.component_kubeconfig("controller-manager"));
    part.path("--service-account-private-key-file", layout.pki("service-accounts.key"));
    part.path("--root-ca-file", layout.pki("ca.crt"));
    part.path("--cluster-signing-cert-file", layout.pki("ca.crt"));
    part.path("--cluster-signing-key-file", layout.pki("ca.key"));
    part.words(&["--use-service-account-credentials", "--leader-elect=false", "--allocate-node-cidrs=false"]);
    part.words(&["--cluster-cidr", POD_NETWORK]);
    part.launch(Place::Network)
}

fn scheduler(layout: &Layout, kube: &Path) -> Launch {
    let mut part = Part::new("kube-scheduler", kube);
    part.path("--kubeconfig", layout.component_kubeconfig("scheduler"));
    part.words(&["--leader-elect=false"]);
    part.launch(Place::Network)
}

fn proxy(layout: &Layout, kube: &Path) -> Launch {
    let mut part = Part::new("kube-proxy", kube);
    part.path("--kubeconfig", layout.component_kubeconfig("proxy"));
    part.words(&["--hostname-override", NODE_NAME, "--proxy-mode=nftables", "--cluster-cidr", POD_NETWORK]);
    // 0 leaves the machine's own limit as it is.
    part.words(&["--conntrack-max-per-core=0", "--oom-score-adj=0"]);
    part.launch(Place::Network)
}

fn kubelet(layout: &Layout, kube: &Path, containerd: Process) -> Launch {
    let mut part = Part::new("kubelet", kube);
    part.path("--config", layout.path("kubelet.json"));
    part.path("--kubeconfig", layout.component_kubeconfig("kubelet"));
    part.path("--root-dir", layout.path("kubelet"));
    part.words(&["--hostname-override", NODE_NAME, "--node-ip", NODE_ADDRESS]);
    part.launch(Place::NetworkAndMountsOf(containerd))
}

fn coredns(layout: &Layout, kube: &Path) -> Launch {
    let mut part = Part::new("coredns", kube);
    part.path("-conf", layout.path("Corefile"));
    part.launch(Place::Network)
}

fn provisioner(layout: &Layout, kube: &Path) -> Launch {
    let mut part = Part::new("provisioner", kube);
    part.path("--kubeconfig", layout.component_kubeconfig("admin"));
    part.path("--folder", layout.path("volumes"));
    part.words(&["--node", NODE_NAME]);
    part.launch(Place::Network)
}

/// A part of the `kube` binary and its arguments.
struct Part {
    name: &'static str,
    command: Vec<OsString>,
}

impl Part {
    fn new(name: &'static str, kube: &Path) -> Self {
        Self { name, command: vec![kube.into(), name.into()] }
    }

    fn words(&mut self, words: &[&str]) {
        self.command.extend(words.iter().map(Into::into));
    }

    fn path(&mut self, flag: &str, path: impl Into<OsString>) {
        self.command.push(flag.into());
        self.command.push(path.into());
    }

    fn launch(self, place: Place) -> Launch {
        Launch { name: self.name, place, command: self.command, input: None }
    }
}
