//! The machine that is measured on.

use std::fs;

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use serde::Serialize;

/// The cores of what is measured on two threads at once.
pub const BOTH_CORES: [usize; 2] = [0, 1];

/// What a figure is worth nothing without.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// The processor, as it calls itself.
    pub processor: String,
    /// Its features that matter here.
    pub features: Vec<&'static str>,
    /// Cores that the system has; not those that this thread may use.
    pub cores: usize,
    /// The core that was measured on.
    pub core: usize,
    /// The compiler's target.
    pub target: String,
}

impl Machine {
    /// This machine.
    pub fn here(core: usize) -> Self {
        Self {
            processor: processor().unwrap_or_else(|| "unknown".to_owned()),
            features: features(),
            cores: information().matches("processor\t").count().max(1),
            core,
            target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        }
    }
}

/// Keeps the calling thread, and what it starts from now on, on one core.
///
/// # Errors
/// If there is no such core or the kernel refuses.
pub fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core).and_then(|()| sched_setaffinity(Pid::from_raw(0), &set)).with_context(|| {
        format!("failed to keep the measurement on core {core}; name one that exists with --core")
    })
}

fn processor() -> Option<String> {
    let information = information();
    let line = information.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// What Linux says of the processor; nothing elsewhere.
fn information() -> String {
    fs::read_to_string("/proc/cpuinfo").unwrap_or_default()
}

#[cfg(target_arch = "x86_64")]
fn features() -> Vec<&'static str> {
    let known = [
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("f16c", is_x86_feature_detected!("f16c")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512bw", is_x86_feature_detected!("avx512bw")),
        ("avx512vnni", is_x86_feature_detected!("avx512vnni")),
        ("avx512fp16", is_x86_feature_detected!("avx512fp16")),
    ];
    known.into_iter().filter_map(|(name, there)| there.then_some(name)).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn features() -> Vec<&'static str> {
    Vec::new()
}
