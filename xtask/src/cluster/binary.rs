//! The `kube` binary of e2e/cluster: every part of the control plane.

use std::path::PathBuf;

use anyhow::Result;

use crate::go::{self, Program};
use crate::workspace::Workspace;

const PROGRAM: Program<'_> = Program {
    sources: "e2e/cluster",
    binary: "cluster/kube",
    title: "the control plane (Go; 5 minutes the first time)",
    // What the API server says it is; the module version in go.mod.
    flags: "-s -w -X k8s.io/component-base/version.gitVersion=v1.34.4",
};

/// Where the binary is, built or not.
pub(crate) fn path(workspace: &Workspace) -> PathBuf {
    go::path(workspace, &PROGRAM)
}

/// Builds the binary if it is missing or its sources have changed.
pub(crate) fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    go::ensure(workspace, &PROGRAM)
}
