//! The way in for the host: each connection to a loopback port is made again
//! inside the cluster's network namespace.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::network;

/// Forwards the connections of the listening socket that is this process's
/// standard input. The parent binds it, so the port cannot be lost between the
/// two. Never returns unless that socket is none.
pub(crate) fn serve(namespace: &Path, target: SocketAddr) -> Result<()> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    let listener = TcpListener::from(socket);
    listener.local_addr().context("standard input must be a listening socket")?;
    let namespace: Arc<PathBuf> = Arc::new(namespace.to_path_buf());
    loop {
        let Ok((client, _)) = listener.accept() else {
            // Most likely out of file descriptors: wait until some are free.
            thread::sleep(Duration::from_millis(50));
            continue;
        };
        let namespace = Arc::clone(&namespace);
        thread::spawn(move || {
            if let Err(error) = forward(client, &namespace, target) {
                eprintln!("failed to forward a connection: {error:#}");
            }
        });
    }
}

fn forward(client: TcpStream, namespace: &Path, target: SocketAddr) -> Result<()> {
    network::enter(namespace)?;
    let server = TcpStream::connect(target).with_context(|| format!("failed to connect to {target}"))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (client_reader, server_writer) = (client.try_clone()?, server.try_clone()?);
    let upwards = thread::spawn(move || copy(client_reader, server_writer));
    copy(server, client);
    let _ = upwards.join();
    Ok(())
}

/// Copies until the end of one direction and passes the end on. A connection
/// that breaks ends like one that is closed: either side sees it.
fn copy(mut from: TcpStream, mut to: TcpStream) {
    if io::copy(&mut from, &mut to).is_err() {
        let _ = from.shutdown(Shutdown::Both);
    }
    let _ = to.shutdown(Shutdown::Write);
}
