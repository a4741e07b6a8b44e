//! Taking a cluster down, whatever state it is in.

use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::layout::Layout;
use super::{cgroup, components, network, process};

/// How long the kernel may take to end what was killed.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Removes everything of the cluster; the caller holds the lock.
///
/// Nothing is asked to end by itself: all data goes too, so there is nothing to
/// save. The kubelet and containerd are first, so that no new pod is started
/// while the others are ended. Each step may be repeated.
pub(crate) fn remove(layout: &Layout) -> Result<()> {
    for name in components::ALL.iter().rev() {
        if let Some(process) = process::recorded(layout, name) {
            process.kill();
        }
    }
    end_the_rest(layout)?;
    unmount(layout.state())?;
    network::remove(layout)?;
    cgroup::remove(layout.identity())?;
    // The state goes last: until then a second attempt knows what to do.
    absent(fs::remove_dir_all(layout.state()))
        .with_context(|| format!("failed to remove {}", layout.state().display()))?;
    if let Some(link) = layout.link() {
        absent(fs::remove_file(link)).with_context(|| format!("failed to remove {}", link.display()))?;
    }
    Ok(())
}

/// Whether there is anything left of the cluster.
pub(crate) fn exists(layout: &Layout) -> Result<bool> {
    Ok(layout.state().exists()
        || layout.network_namespace().exists()
        || !process::marked(layout.state()).is_empty()
        || !cgroup::processes(layout.identity())?.is_empty())
}

/// Ends shims, the processes of pods, and components that were started and not
/// recorded, until there are none.
fn end_the_rest(layout: &Layout) -> Result<()> {
    let begin = Instant::now();
    loop {
        let marked = process::marked(layout.state());
        let pods = cgroup::processes(layout.identity())?;
        if marked.is_empty() && pods.is_empty() {
            return Ok(());
        }
        if begin.elapsed() > PATIENCE {
            let left: Vec<i32> = marked.iter().map(|process| process.pid()).chain(pods).collect();
            bail!("failed to end the processes {left:?}: the kernel holds them; try again");
        }
        for process in marked {
            process.kill();
        }
        for pid in pods {
            // Read from our own cgroup just now, and gone is as good as ended.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// Unmounts what is mounted below the state folder on the host: nothing, unless
/// somebody mounted it by hand. Removing the folder must not reach through it.
fn unmount(state: &Path) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("failed to read /proc/self/mounts")?;
    for folder in mounts.lines().rev().filter_map(|line| line.split(' ').nth(1)) {
        if Path::new(folder).starts_with(state) {
            nix::mount::umount2(folder, nix::mount::MntFlags::MNT_DETACH)
                .with_context(|| format!("failed to unmount {folder}"))?;
        }
    }
    Ok(())
}

fn absent(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
