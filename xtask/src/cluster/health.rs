//! Whether a cluster is up, as far as its records and processes tell.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::components;
use super::layout::Layout;
use super::process::{self, Process};

/// Written when a cluster has come up: what cannot be derived from its name.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    /// The loopback port of the API server.
    pub(crate) port: u16,
}

impl Ready {
    /// Remembers that the cluster came up.
    pub(crate) fn save(self, layout: &Layout) -> Result<()> {
        let path = Self::path(layout);
        fs::write(&path, serde_json::to_vec(&self)?)
            .with_context(|| format!("failed to write {}", path.display()))
    }

    fn load(layout: &Layout) -> Option<Self> {
        serde_json::from_slice(&fs::read(Self::path(layout)).ok()?).ok()
    }

    fn path(layout: &Layout) -> PathBuf {
        layout.state().join("ready.json")
    }
}

/// How a cluster is.
pub(crate) enum Health {
    /// There is none.
    Absent,
    /// An earlier start was not finished.
    Unfinished,
    /// It was up, and these components have ended since.
    Broken(Vec<&'static str>),
    /// It is up.
    Up(Ready),
}

impl Health {
    /// Looks at the records and at the processes.
    pub(crate) fn of(layout: &Layout) -> Self {
        if !layout.state().exists() {
            return Self::Absent;
        }
        let Some(ready) = Ready::load(layout) else {
            return Self::Unfinished;
        };
        let alive = |name: &str| process::recorded(layout, name).is_some_and(Process::is_alive);
        let dead: Vec<&str> = components::ALL.iter().copied().filter(|name| !alive(name)).collect();
        if dead.is_empty() { Self::Up(ready) } else { Self::Broken(dead) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_up_only_if_it_came_up_and_every_component_runs() {
        let checkout = tempfile::tempdir().unwrap();
        let layout = Layout::new(checkout.path(), &"dev".parse().unwrap());
        assert!(matches!(Health::of(&layout), Health::Absent));

        fs::create_dir_all(layout.state().join("run")).unwrap();
        assert!(matches!(Health::of(&layout), Health::Unfinished));

        Ready { port: 1 }.save(&layout).unwrap();
        let Health::Broken(dead) = Health::of(&layout) else { panic!() };
        assert_eq!(dead, components::ALL);

        let this = serde_json::to_vec(&Process::find(std::process::id().cast_signed()).unwrap()).unwrap();
        for name in components::ALL {
            fs::write(process::record_path(&layout, name), &this).unwrap();
        }
        assert!(matches!(Health::of(&layout), Health::Up(Ready { port: 1 })));
    }
}
