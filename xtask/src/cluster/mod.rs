//! A real Kubernetes cluster of one node on this machine, without Docker.
//!
//! Everything runs in a network namespace with no way out; all state is in
//! `.cluster/NAME` of the checkout. See docs/local-cluster.md.

mod binary;
mod cgroup;
mod components;
mod down;
mod forward;
mod layout;
mod network;
mod pki;
mod process;
mod settings;
mod up;

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command as Program, ExitCode};

use anyhow::{Context, Result};
use clap::Subcommand;
use serde::{Deserialize, Serialize};

pub(crate) use self::layout::{ClusterName, Layout};
use crate::workspace::Workspace;

/// The name of the cluster that people use by hand.
pub(crate) const DEFAULT_NAME: &str = "dev";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Start the cluster, if it is not running
    Up(Which),
    /// Stop the cluster and remove everything of it
    Down(Which),
    /// Say what runs; succeeds only if the cluster is up
    Status(Which),
    /// Run kubectl against the cluster
    Kubectl {
        #[command(flatten)]
        which: Which,
        /// What kubectl is to do
        #[arg(last = true)]
        arguments: Vec<OsString>,
    },
    /// Carry connections into a network namespace
    #[command(hide = true)]
    Forward {
        /// The network namespace
        namespace: PathBuf,
    },
}

/// Which cluster of this checkout.
#[derive(clap::Args)]
pub(crate) struct Which {
    /// The cluster's name; clusters of different names run side by side
    #[arg(long, default_value = DEFAULT_NAME)]
    name: ClusterName,
}

/// A cluster that is up.
pub(crate) struct Cluster {
    layout: Layout,
    kube: PathBuf,
}

impl Cluster {
    fn new(layout: Layout, kube: PathBuf) -> Self {
        Self { layout, kube }
    }

    /// The file that kubectl and clients take their credentials from.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.layout.kubeconfig()
    }

    /// kubectl, ready for its arguments.
    pub(crate) fn kubectl(&self) -> Program {
        let mut program = Program::new(&self.kube);
        program.arg("kubectl").env("KUBECONFIG", self.kubeconfig());
        program
    }

    /// Where its names and paths come from.
    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }
}

/// Written when a cluster has come up: what cannot be derived from its name.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Ready {
    /// The loopback port of the API server.
    port: u16,
}

impl Ready {
    fn save(self, layout: &Layout) -> Result<()> {
        let path = layout.state().join("ready.json");
        fs::write(&path, serde_json::to_vec(&self)?)
            .with_context(|| format!("failed to write {}", path.display()))
    }

    fn load(layout: &Layout) -> Option<Self> {
        serde_json::from_slice(&fs::read(layout.state().join("ready.json")).ok()?).ok()
    }
}

/// How a cluster is.
enum Health {
    /// There is none.
    Absent,
    /// It did not come up, or these components have ended since.
    Broken { dead: Vec<&'static str> },
    /// It is up.
    Up(Ready),
}

impl Health {
    fn of(layout: &Layout) -> Self {
        if !layout.state().exists() {
            return Self::Absent;
        }
        let alive = |name: &str| process::recorded(layout, name).is_some_and(process::Process::is_alive);
        let dead: Vec<_> = components::ALL.iter().copied().filter(|name| !alive(name)).collect();
        match Ready::load(layout) {
            Some(ready) if dead.is_empty() => Self::Up(ready),
            Some(_) => Self::Broken { dead },
            None => Self::Broken { dead: Vec::new() },
        }
    }
}

/// Runs one of the cluster's commands.
pub(crate) fn run(workspace: &Workspace, command: Command) -> Result<ExitCode> {
    match command {
        Command::Up(which) => {
            let cluster = up(workspace, &which.name)?;
            println!("cluster {} is up; to use it from this shell:", which.name);
            println!("  export KUBECONFIG={}", cluster.kubeconfig().display());
        }
        Command::Down(which) => down(workspace, &which.name)?,
        Command::Status(which) => return Ok(status(&Layout::new(workspace.root(), &which.name))),
        Command::Kubectl { which, arguments } => return kubectl(workspace, &which.name, arguments),
        Command::Forward { namespace } => {
            forward::serve(&namespace, SocketAddr::from((Ipv4Addr::LOCALHOST, 6443)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Brings a cluster up, unless it is.
pub(crate) fn up(workspace: &Workspace, name: &ClusterName) -> Result<Cluster> {
    up::ensure_root()?;
    let layout = Layout::new(workspace.root(), name);
    let _lock = lock(&layout)?;
    up::up(workspace, &layout)
}

/// Takes a cluster down and says so; one that is not there is no error.
pub(crate) fn down(workspace: &Workspace, name: &ClusterName) -> Result<()> {
    up::ensure_root()?;
    let layout = Layout::new(workspace.root(), name);
    let _lock = lock(&layout)?;
    let existed = down::exists(&layout)?;
    // Also when nothing is seen: an empty cgroup may be left.
    down::remove(&layout)?;
    println!("cluster {name} is {}", if existed { "down" } else { "not there: nothing to do" });
    Ok(())
}

/// Only one command at a time changes a cluster. Released when dropped.
fn lock(layout: &Layout) -> Result<File> {
    let folder = layout.clusters();
    fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))?;
    let path: &Path = &folder.join(format!("{}.lock", layout.name()));
    let file = File::create(path).with_context(|| format!("failed to create {}", path.display()))?;
    file.lock().with_context(|| format!("failed to lock {}", path.display()))?;
    Ok(file)
}

fn status(layout: &Layout) -> ExitCode {
    for name in components::ALL {
        let Some(process) = process::recorded(layout, name) else {
            println!("{name:<24} {:>8}  not started", "-");
            continue;
        };
        let state = if process.is_alive() { "running" } else { "dead" };
        println!("{name:<24} {:>8}  {state}", process.pid());
    }
    if let Health::Up(ready) = Health::of(layout) {
        println!("cluster {} is up: https://127.0.0.1:{}", layout.name(), ready.port);
        println!("KUBECONFIG={}", layout.kubeconfig().display());
        ExitCode::SUCCESS
    } else {
        println!("cluster {} is not up: cargo xtask cluster up --name {}", layout.name(), layout.name());
        ExitCode::FAILURE
    }
}

fn kubectl(workspace: &Workspace, name: &ClusterName, arguments: Vec<OsString>) -> Result<ExitCode> {
    let layout = Layout::new(workspace.root(), name);
    let Health::Up(_) = Health::of(&layout) else {
        anyhow::bail!("cluster {name} must be up: cargo xtask cluster up --name {name}");
    };
    let cluster = Cluster::new(layout, binary::path(workspace));
    // Only returns if it could not be started.
    Err(cluster.kubectl().args(arguments).exec()).context("failed to start kubectl")
}
