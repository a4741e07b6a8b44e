//! The configuration files of the components.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::layout::{Layout, NODE_ADDRESS};
use crate::image;

/// The addresses that pods get.
pub(crate) const POD_NETWORK: &str = "10.244.0.0/24";

/// What the kubelet would set in the kernel, for the whole machine. It is shown
/// files with these values instead.
const KERNEL: &[(&str, &str)] = &[
    ("kernel.keys.root_maxbytes", "25000000"),
    ("kernel.keys.root_maxkeys", "1000000"),
    ("kernel.panic", "10"),
    ("kernel.panic_on_oops", "1"),
    ("vm.overcommit_memory", "1"),
    ("vm.panic_on_oom", "0"),
];

/// Writes all configuration files. `plugins` is the folder of the CNI plugins.
pub(crate) fn write(layout: &Layout, plugins: &Path) -> Result<()> {
    let save = |relative: &str, content: String| {
        let path = layout.path(relative);
        fs::write(&path, content).with_context(|| format!("failed to write {}", path.display()))
    };
    save("containerd.toml", containerd(layout, plugins, snapshotter(layout)))?;
    save("cni/10-pods.conflist", pods(layout).to_string())?;
    save("kubelet.json", kubelet(layout).to_string())?;
    for (setting, value) in KERNEL {
        save(&format!("kernel/{setting}"), (*value).to_owned())?;
    }
    save("Corefile", corefile(layout))
}

/// Overlays cannot be stacked: where the disk is one (in a container), layers
/// are copied instead.
fn snapshotter(layout: &Layout) -> &'static str {
    match nix::sys::statfs::statfs(layout.state()) {
        Ok(disk) if disk.filesystem_type() == nix::sys::statfs::OVERLAYFS_SUPER_MAGIC => "native",
        _ => "overlayfs",
    }
}

fn containerd(layout: &Layout, plugins: &Path, snapshotter: &str) -> String {
    let base = layout.path("");
    let base = base.display();
    format!(
        r#"version = 2
root = "{base}containerd/root"
state = "{base}containerd/state"
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # A small machine refuses to lower the score, and every pod would fail.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{base}cni"
"#,
        socket = layout.socket().display(),
        pause = image::PAUSE,
        plugins = plugins.display(),
    )
}

/// Point-to-point links and no bridge: every packet is routed by the node, so
/// a reply to a Service's address takes the same way back.
fn pods(layout: &Layout) -> Value {
    json!({
        "cniVersion": "0.4.0",
        "name": layout.identity(),
        "plugins": [{
            "type": "ptp",
            "ipMasq": false,
            "ipam": {
                "type": "host-local",
                "ranges": [[{ "subnet": POD_NETWORK }]],
                "routes": [{ "dst": "0.0.0.0/0" }],
                "dataDir": layout.path("addresses"),
            },
        }],
    })
}

fn kubelet(layout: &Layout) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": true },
            "x509": { "clientCAFile": layout.pki("ca.crt") },
        },
        "authorization": { "mode": "Webhook" },
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", layout.identity()),
        "clusterDNS": [NODE_ADDRESS],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": format!("unix://{}", layout.socket().display()),
        "evictionHard": { "memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%" },
        "failCgroupV1": false,
        "failSwapOn": false,
        // The machine is the user's: its oom scores and kernel settings stay.
        "oomScoreAdj": 0,
        "imageGCHighThresholdPercent": 100,
        "podLogsDir": layout.path("pod-logs"),
        "resolvConf": "",
        "tlsCertFile": layout.pki("kubelet.crt"),
        "tlsPrivateKeyFile": layout.pki("kubelet.key"),
    })
}

fn corefile(layout: &Layout) -> String {
    format!(
        ".:53 {{
  bind {NODE_ADDRESS}
  errors
  ready {NODE_ADDRESS}:8181
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {}
    pods insecure
  }}
  cache 5
}}
",
        layout.component_kubeconfig("admin").display()
    )
}
