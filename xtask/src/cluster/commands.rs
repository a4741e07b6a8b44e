//! `cargo xtask cluster`: the commands that people type.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Subcommand;

use super::health::Health;
use super::layout::Layout;
use super::{Cluster, ClusterName, DEFAULT_NAME, binary, components, down, forward, process, up};
use crate::workspace::Workspace;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The cluster's name; clusters of different names run side by side
    #[arg(long, global = true, default_value = DEFAULT_NAME)]
    name: ClusterName,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Start the cluster, if it is not running
    Up,
    /// Stop the cluster and remove everything of it
    Down,
    /// Say what runs; succeeds only if the cluster is up
    Status,
    /// Run kubectl against the cluster
    Kubectl {
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

/// Runs one of the commands.
pub(crate) fn run(workspace: &Workspace, arguments: Arguments) -> Result<ExitCode> {
    let name = &arguments.name;
    match arguments.action {
        Action::Up => {
            let cluster = up(workspace, name)?;
            println!("cluster {name} is up; to use it from this shell:");
            println!("  export KUBECONFIG={}", cluster.kubeconfig().display());
        }
        Action::Down if down(workspace, name)? => println!("cluster {name} is down"),
        Action::Down => println!("cluster {name} was not there"),
        Action::Status => return Ok(status(&Layout::new(workspace.root(), name))),
        Action::Kubectl { arguments } => return kubectl(workspace, name, arguments),
        Action::Forward { namespace } => {
            forward::serve(&namespace, SocketAddr::from((Ipv4Addr::LOCALHOST, 6443)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
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
    let name = layout.name();
    if let Health::Up(ready) = Health::of(layout) {
        println!("cluster {name} is up: https://127.0.0.1:{}", ready.port);
        println!("KUBECONFIG={}", layout.kubeconfig().display());
        ExitCode::SUCCESS
    } else {
        println!("cluster {name} is not up: cargo xtask cluster up --name {name}");
        ExitCode::FAILURE
    }
}

fn kubectl(workspace: &Workspace, name: &ClusterName, arguments: Vec<OsString>) -> Result<ExitCode> {
    let layout = Layout::new(workspace.root(), name);
    let Health::Up(_) = Health::of(&layout) else {
        bail!("cluster {name} must be up: cargo xtask cluster up --name {name}");
    };
    let cluster = Cluster { layout, kube: binary::path(workspace) };
    // Only returns if it could not be started.
    Err(cluster.kubectl().args(arguments).exec()).context("failed to start kubectl")
}
