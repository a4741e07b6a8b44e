//! The network namespace that a cluster lives in: it has a node address, a
//! route for the kernel's sake, and no way out.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, anyhow};
use nix::sched::{CloneFlags, setns};

use super::layout::{Layout, NODE_ADDRESS};
use crate::command;
use crate::unavailable::Unavailable;

/// How many ports are tried before giving up.
const PORTS_TRIED: u16 = 50;

/// Creates the namespace.
pub(crate) fn create(layout: &Layout) -> Result<()> {
    let namespace = layout.identity();
    ip(&["netns", "add", namespace])?;
    ip(&["-n", namespace, "link", "set", "lo", "up"])?;
    // A bridge without ports carries the address: dummy links need a module.
    ip(&["-n", namespace, "link", "add", "node0", "type", "bridge"])?;
    ip(&["-n", namespace, "addr", "add", &format!("{NODE_ADDRESS}/24"), "dev", "node0"])?;
    ip(&["-n", namespace, "link", "set", "node0", "up"])?;
    // Nobody has this address; some components refuse to run without a route.
    ip(&["-n", namespace, "route", "add", "default", "via", "192.0.2.254"])?;
    inside(&layout.network_namespace(), || {
        fs::write("/proc/sys/net/ipv4/ip_forward", "1").context("failed to switch forwarding on")
    })
}

/// Removes the namespace; one that is not there is no error.
pub(crate) fn remove(layout: &Layout) -> Result<()> {
    if layout.network_namespace().exists() {
        ip(&["netns", "del", layout.identity()])?;
    }
    Ok(())
}

fn ip(arguments: &[&str]) -> Result<()> {
    command::output(Command::new("ip").args(arguments))?;
    Ok(())
}

/// Runs something on a thread of its own inside a network namespace.
pub(crate) fn inside<T: Send>(namespace: &Path, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            enter(namespace)?;
            work()
        });
        worker.join().map_err(|_| anyhow!("a thread inside the namespace must not panic"))?
    })
}

/// Moves the calling thread into a network namespace, for good.
pub(crate) fn enter(namespace: &Path) -> Result<()> {
    let file = File::open(namespace).with_context(|| format!("failed to open {}", namespace.display()))?;
    setns(file, CloneFlags::CLONE_NEWNET).with_context(|| format!("failed to enter {}", namespace.display()))
}

/// Takes the first free loopback port from `first` on.
pub(crate) fn listen(first: u16) -> Result<(TcpListener, u16)> {
    let last = first + PORTS_TRIED - 1;
    for port in first..=last {
        if let Ok(listener) = TcpListener::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)) {
            return Ok((listener, port));
        }
    }
    Err(Unavailable::NoPort { first, last }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_passed_over() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let first = taken.local_addr().unwrap().port().min(u16::MAX - PORTS_TRIED);
        let (_listener, port) = listen(first).unwrap();
        assert_ne!(port, taken.local_addr().unwrap().port());
        assert!(port >= first);
    }
}
