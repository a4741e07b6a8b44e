//! Processes that outlive this program: started into their own session,
//! remembered by process id and start time, and ended for certain.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::layout::Layout;

/// The variable in the environment of everything that belongs to a cluster; its
/// value is the cluster's state folder. It finds processes that were started
/// and not yet recorded when this program died.
const MARKER: &str = "TINYDANCER_CLUSTER_STATE";

/// A process, told from a later one with the same id by its start time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pid: i32,
    /// Field 22 of /proc/PID/stat: clock ticks after boot.
    start_time: u64,
}

impl Process {
    /// Looks a running process up; none if there is none or it is a zombie.
    pub(crate) fn find(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let start_time = start_time(&stat)?;
        Some(Self { pid, start_time })
    }

    /// The process id.
    pub(crate) fn pid(self) -> i32 {
        self.pid
    }

    /// Whether this very process still runs.
    pub(crate) fn is_alive(self) -> bool {
        Self::find(self.pid) == Some(self)
    }

    /// Ends the process at once. One that is gone already is no error.
    pub(crate) fn kill(self) {
        if self.is_alive() {
            // It may end between the two: nothing is lost then.
            let _ = kill(Pid::from_raw(self.pid), Signal::SIGKILL);
        }
    }
}

/// The start time in a line of /proc/PID/stat; none for a zombie.
fn start_time(stat: &str) -> Option<u64> {
    // The name, in brackets, may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// What a process sees of the machine.
pub(crate) enum Place {
    /// The host itself.
    Host,
    /// The cluster's network namespace.
    Network,
    /// The network namespace and the mounts of another process of the cluster.
    NetworkAndMountsOf(Process),
}

/// A program to be started and left running.
pub(crate) struct Launch {
    /// What it is called in records and logs.
    pub(crate) name: &'static str,
    /// What it sees.
    pub(crate) place: Place,
    /// The program and its arguments.
    pub(crate) command: Vec<OsString>,
    /// Its standard input, if it needs one.
    pub(crate) input: Option<OwnedFd>,
}

impl Launch {
    /// Starts the program and records it.
    pub(crate) fn start(self, layout: &Layout) -> Result<Process> {
        let log = layout.log(self.name);
        let log = File::create(&log).with_context(|| format!("failed to create {}", log.display()))?;
        let input = self.input.map_or_else(Stdio::null, Stdio::from);
        // setsid and nsenter become the program: the process id stays.
        let mut command = Command::new("setsid");
        mark(&mut command, layout);
        let child = command
            .args(entering(layout, &self.place))
            .args(&self.command)
            .current_dir(layout.state())
            .stdin(input)
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("failed to start {}", self.name))?;
        let process = Process::find(child.id().cast_signed())
            .with_context(|| format!("{} ended as soon as it was started", self.name))?;
        let record = record_path(layout, self.name);
        fs::write(&record, serde_json::to_vec(&process)?)
            .with_context(|| format!("failed to write {}", record.display()))?;
        Ok(process)
    }
}

/// Gives a program the cluster's environment: the marker, and nothing of the
/// user's shell (proxies, tuning).
pub(crate) fn mark(command: &mut Command, layout: &Layout) {
    command
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env(MARKER, layout.state());
}

/// The words before a command that bring it to its place.
pub(crate) fn entering(layout: &Layout, place: &Place) -> Vec<OsString> {
    let mut network = OsString::from("--net=");
    network.push(layout.network_namespace());
    // Not `ip netns exec`: it mounts a /sys without the cgroups.
    match place {
        Place::Host => Vec::new(),
        Place::Network => vec!["nsenter".into(), network, "--".into()],
        Place::NetworkAndMountsOf(process) => {
            let mounts = format!("--mount=/proc/{}/ns/mnt", process.pid);
            vec!["nsenter".into(), network, mounts.into(), "--".into()]
        }
    }
}

/// Where a component is recorded.
pub(crate) fn record_path(layout: &Layout, name: &str) -> PathBuf {
    layout.state().join("run").join(format!("{name}.json"))
}

/// The process that was recorded under a name.
pub(crate) fn recorded(layout: &Layout, name: &str) -> Option<Process> {
    let record = fs::read(record_path(layout, name)).ok()?;
    serde_json::from_slice(&record).ok()
}

/// Everything that carries the cluster's marker: its components, their shims
/// and whatever these started outside of pods.
pub(crate) fn marked(state: &Path) -> Vec<Process> {
    let mut marker = format!("{MARKER}=").into_bytes();
    marker.extend_from_slice(state.as_os_str().as_encoded_bytes());
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|entry| entry == marker))
        })
        .filter_map(Process::find)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_a_later_one_with_its_id() {
        let this = Process::find(std::process::id().cast_signed()).unwrap();
        assert!(this.is_alive());
        let earlier = Process { start_time: this.start_time - 1, ..this };
        assert!(!earlier.is_alive());
    }

    #[test]
    fn the_start_time_is_read_past_any_process_name() {
        let fields = "S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9";
        assert_eq!(start_time(&format!("12 (a b) ) {fields}")), Some(4711));
        assert_eq!(start_time(&format!("12 (a) {}", fields.replacen('S', "Z", 1))), None);
        assert_eq!(start_time("nonsense"), None);
    }

    #[test]
    fn a_marked_process_is_found_and_ended() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new("sleep").arg("60").env(MARKER, folder.path()).spawn().unwrap();
        let mut found = marked(folder.path());
        // The environment is there once the child has become `sleep`.
        while found.is_empty() {
            found = marked(folder.path());
        }
        assert_eq!(found.len(), 1);
        found[0].kill();
        child.wait().unwrap();
        assert_eq!(marked(folder.path()), []);
    }
}
