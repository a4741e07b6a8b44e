//! A real Kubernetes cluster of one node on this machine, without Docker.
//!
//! Everything runs in a network namespace with no way out; all state is in
//! `.cluster/NAME` of the checkout. See docs/local-cluster.md.

mod binary;
mod cgroup;
mod commands;
mod components;
mod down;
mod forward;
mod health;
mod layout;
mod network;
mod pki;
mod process;
mod settings;
mod up;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

pub(crate) use self::commands::{Arguments, run};
pub(crate) use self::layout::ClusterName;
use self::layout::Layout;
use self::process::Process;
use crate::unavailable::Unavailable;
use crate::workspace::Workspace;

/// The name of the cluster that people use by hand.
pub(crate) const DEFAULT_NAME: &str = "dev";

/// A cluster that is up.
pub(crate) struct Cluster {
    layout: Layout,
    kube: PathBuf,
}

impl Cluster {
    /// The file that kubectl and clients take their credentials from.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.layout.kubeconfig()
    }

    /// kubectl, ready for its arguments.
    pub(crate) fn kubectl(&self) -> Command {
        let mut command = Command::new(&self.kube);
        command.arg("kubectl").env("KUBECONFIG", self.kubeconfig());
        command
    }

    /// The socket of its containerd, for images.
    pub(crate) fn containerd(&self) -> PathBuf {
        self.layout.socket()
    }

    /// The process id of its API server.
    pub(crate) fn api_server(&self) -> Option<i32> {
        process::recorded(&self.layout, "kube-apiserver").map(Process::pid)
    }

    /// Where it is remembered which images it holds.
    pub(crate) fn images_record(&self) -> PathBuf {
        self.layout.state().join("images.json")
    }
}

/// Brings a cluster up, unless it is.
///
/// # Errors
/// An [`Unavailable`] where this machine lacks something, and otherwise what
/// went wrong, with the log to look into.
pub(crate) fn up(workspace: &Workspace, name: &ClusterName) -> Result<Cluster> {
    ensure_root()?;
    let layout = Layout::new(workspace.root(), name);
    let _lock = lock(&layout)?;
    up::up(workspace, layout)
}

/// Takes a cluster down and says whether there was one.
pub(crate) fn down(workspace: &Workspace, name: &ClusterName) -> Result<bool> {
    ensure_root()?;
    let layout = Layout::new(workspace.root(), name);
    let _lock = lock(&layout)?;
    let existed = down::exists(&layout)?;
    // Also when nothing is seen: an empty cgroup may be left.
    down::remove(&layout)?;
    Ok(existed)
}

/// Refuses early what only root can do.
fn ensure_root() -> Result<()> {
    if nix::unistd::Uid::effective().is_root() { Ok(()) } else { Err(Unavailable::NotRoot.into()) }
}

/// Only one command at a time changes a cluster. Released when dropped.
fn lock(layout: &Layout) -> Result<File> {
    let folder = layout.clusters();
    fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))?;
    let path = folder.join(format!("{}.lock", layout.name()));
    let file = File::create(&path).with_context(|| format!("failed to create {}", path.display()))?;
    file.lock().with_context(|| format!("failed to lock {}", path.display()))?;
    Ok(file)
}
