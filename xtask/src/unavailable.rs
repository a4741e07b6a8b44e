//! Why this machine cannot do what was asked, each with its cure.

use std::path::PathBuf;

use thiserror::Error;

/// Something the machine lacks. Kept apart from failures of the code, so that
/// a test run can say NOT RUN instead of failed.
#[derive(Debug, Error)]
pub(crate) enum Unavailable {
    /// The cluster needs namespaces, mounts and cgroups.
    #[error(
        "the local cluster must be run by root: use sudo, or your own kind or k3d cluster with --context NAME"
    )]
    NotRoot,
    /// The control plane and the GitOps checks are built from Go sources.
    #[error("failed to find go: install Go {needed} or newer from https://go.dev/dl and put it on the PATH")]
    NoGo {
        /// The version that the program's go.mod names.
        needed: String,
    },
    /// Programs are missing and could not be installed.
    #[error(
        "failed to find {programs}: install {packages} (Debian: apt-get install -y --no-install-recommends {packages})"
    )]
    NoTools {
        /// The programs, separated by commas.
        programs: String,
        /// The Debian packages that hold them, separated by spaces.
        packages: String,
    },
    /// Too little room on a disk.
    #[error("{} must have {needed_mib} MiB free and has {free_mib}: make room and try again", path.display())]
    NoSpace {
        /// A folder on the disk.
        path: PathBuf,
        /// What is needed.
        needed_mib: u64,
        /// What is there.
        free_mib: u64,
    },
    /// No loopback port near the usual one is free.
    #[error(
        "ports {first} to {last} on 127.0.0.1 must not all be taken: end what listens on one of them (ss -ltnp)"
    )]
    NoPort {
        /// The first port tried.
        first: u16,
        /// The last port tried.
        last: u16,
    },
}
