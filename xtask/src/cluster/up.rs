//! Bringing a cluster up.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::components::{self, CONTAINERD};
use super::health::{Health, Ready};
use super::layout::{Layout, NODE_ADDRESS};
use super::process::{self, Launch, Place, Process, entering};
use super::{Cluster, binary, cgroup, down, network, pki, settings};
use crate::command::last_lines;
use crate::image;
use crate::step::Step;
use crate::tools;
use crate::workspace::Workspace;

/// Room for images, volumes and logs.
const SPACE_MIB: u64 = 1024;
/// The longest that any one wait takes before the start is given up.
const PATIENCE: Duration = Duration::from_mins(2);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Brings the cluster up unless it is. What is left of one that was killed or
/// not brought up to the end is removed first. The caller holds the lock.
pub(crate) fn up(workspace: &Workspace, layout: Layout) -> Result<Cluster> {
    tools::ensure(tools::FOR_CLUSTER)?;
    let kube = binary::ensure(workspace)?;
    let pause = image::pause(workspace)?;
    match Health::of(&layout) {
        Health::Up(_) => return Ok(Cluster { layout, kube }),
        Health::Unfinished => println!("  an earlier start was not finished; starting afresh"),
        Health::Broken(dead) => {
            println!("  not running any more: {}; starting afresh", dead.join(", "));
        }
        Health::Absent => {}
    }
    down::remove(&layout)?;
    tools::ensure_space(workspace.root(), SPACE_MIB)?;

    let step = Step::start(format!("starting cluster {}", layout.name()));
    let (listener, port) = network::listen(layout.first_port())?;
    prepare(&layout, port)?;
    start(&layout, &kube, &pause, listener)?;
    Ready { port }.save(&layout)?;
    step.done();
    Ok(Cluster { layout, kube })
}

/// Makes everything that the components find when they start.
fn prepare(layout: &Layout, port: u16) -> Result<()> {
    if let Some(link) = layout.link() {
        symlink(layout.state(), link).with_context(|| format!("failed to create {}", link.display()))?;
    }
    for folder in
        ["run", "kernel", "log", "pki", "cni", "shims", "networks", "volumes", "pod-logs", "kubelet"]
    {
        fs::create_dir_all(layout.state().join(folder))
            .with_context(|| format!("failed to create {}", layout.state().display()))?;
    }
    let plugins = tools::find("ptp").and_then(|plugin| plugin.parent().map(Path::to_path_buf));
    let plugins = plugins.context("the CNI plugins must be installed")?;
    settings::write(layout, &plugins)?;
    pki::create(layout, port)?;
    network::create(layout)?;
    cgroup::create(layout.identity())
}

fn start(layout: &Layout, kube: &Path, pause: &Path, listener: TcpListener) -> Result<()> {
    let mut started = Vec::new();
    for launch in components::first(layout, kube) {
        started.push((launch.name, launch.start(layout)?));
    }
    started.push(("forwarder", forwarder(layout, listener).start(layout)?));

    wait_for_socket(layout, &started)?;
    image::import_archive(&layout.socket(), pause)?;
    await_ready(layout, kube, "apiserver", &started)?;

    let containerd = process::recorded(layout, CONTAINERD).context("containerd must be recorded")?;
    for launch in components::second(layout, kube, containerd) {
        started.push((launch.name, launch.start(layout)?));
    }
    await_ready(layout, kube, "cluster", &started)
}

/// The program that carries connections from the host into the namespace: this
/// one, run again.
fn forwarder(layout: &Layout, listener: TcpListener) -> Launch {
    // Not current_exe: a build that goes on beside may replace that file.
    let this = format!("/proc/{}/exe", std::process::id());
    let command = vec![this.into(), "cluster".into(), "forward".into(), layout.network_namespace().into()];
    Launch { name: "forwarder", place: Place::Host, command, input: Some(listener.into()) }
}

fn wait_for_socket(layout: &Layout, started: &[(&'static str, Process)]) -> Result<()> {
    let begin = Instant::now();
    while UnixStream::connect(layout.socket()).is_err() {
        ensure_alive(layout, started)?;
        if begin.elapsed() > PATIENCE {
            bail!(
                "containerd must answer within {} s; see {}",
                PATIENCE.as_secs(),
                layout.log(CONTAINERD).display()
            );
        }
        thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}

/// Waits for `apiserver` or for the whole `cluster`, or until a component ends.
fn await_ready(layout: &Layout, kube: &Path, what: &str, started: &[(&'static str, Process)]) -> Result<()> {
    let mut waiting = Command::new("nsenter");
    process::mark(&mut waiting, layout);
    let mut waiting = waiting
        .args(entering(layout, &Place::Network).into_iter().skip(1))
        .arg(kube)
        .args(["await", what, "--dns", &format!("{NODE_ADDRESS}:53"), "--kubeconfig"])
        .arg(layout.component_kubeconfig("admin"))
        .args(["--timeout", &format!("{}s", PATIENCE.as_secs())])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("failed to start nsenter")?;
    loop {
        if let Some(status) = waiting.try_wait()? {
            if status.success() {
                return Ok(());
            }
            let said = waiting.wait_with_output()?.stderr;
            bail!(
                "the {what} must become ready: {}; see {}",
                last_lines(&String::from_utf8_lossy(&said), 1),
                layout.state().join("log").display()
            );
        }
        if let Err(error) = ensure_alive(layout, started) {
            waiting.kill()?;
            waiting.wait()?;
            return Err(error);
        }
        thread::sleep(POLL_INTERVAL);
    }
}

fn ensure_alive(layout: &Layout, started: &[(&'static str, Process)]) -> Result<()> {
    for (name, process) in started {
        if !process.is_alive() {
            let log = layout.log(name);
            let said = fs::read_to_string(&log).unwrap_or_default();
            bail!(
                "{name} ended while the cluster was starting: {}; see {}",
                last_lines(&said, 2),
                log.display()
            );
        }
    }
    Ok(())
}
