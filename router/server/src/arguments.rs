//! The command line.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

use crate::data::Limits;

/// Where a router in a pod listens.
const POD_LISTEN: &str = "0.0.0.0:8080";
/// Where a router that runs alone listens.
const STANDALONE_LISTEN: &str = "127.0.0.1:8080";
/// How long a pod goes on after it stopped to be ready: until the cluster's proxies know. With the sleep before it and the
/// drain after it, it fits into the pod's 30 seconds.
const POD_NOTICE: Duration = Duration::from_secs(2);

/// Routes LLM requests: a cheap model where it is good enough, a strong one where it is not.
#[derive(Debug, Parser)]
#[command(name = "tiny-dancer-router", version)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serves requests until SIGTERM or Ctrl-C.
    Serve(Box<Serve>),
}

/// How to serve: alone with `--policy`, or in a pod of a fleet with `--boot`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("mode").required(true).args(["policy", "boot"]))]
pub struct Serve {
    /// RoutingPolicy manifest of a router that runs alone.
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Artifact of the model that decides; without one everything goes to Powerful.
    #[arg(long, value_name = "FILE", conflicts_with = "boot")]
    pub model: Option<PathBuf>,
    /// Folder with the assignment and model a pod boots from.
    #[arg(long, value_name = "FOLDER", requires = "tls", requires = "credentials", requires = "data")]
    pub boot: Option<PathBuf>,
    /// Folder with ca.crt, tls.crt and tls.key of the control port.
    #[arg(long, value_name = "FOLDER", conflicts_with = "policy")]
    pub tls: Option<PathBuf>,
    /// Folder with a file upstream.NAME for the key of each candidate that needs one.
    #[arg(long, value_name = "FOLDER")]
    pub credentials: Option<PathBuf>,
    /// Folder for the history; alone the default is in the user's state folder.
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    /// Folder with model.safetensors and vocab.txt, a static embedder for requests that come without an embedding. The model
    /// must be trained with it.
    #[arg(long, value_name = "FOLDER")]
    pub token_table: Option<PathBuf>,
    /// Address of the data port [default: 127.0.0.1:8080, in a pod 0.0.0.0:8080].
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Address of the control port.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9443", conflicts_with = "policy")]
    pub control_listen: SocketAddr,
    /// Bytes the history may take on its volume.
    #[arg(long, value_name = "BYTES", default_value_t = 512 << 20)]
    pub history_bytes: u64,
    /// Requests in flight; more are refused at once.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_in_flight: u32,
    /// Seconds one upstream has to answer.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub upstream_seconds: u64,
    /// How logs are written [default: human, in a pod json].
    #[arg(long, value_enum)]
    pub log_format: Option<LogFormat>,
    /// What is logged, such as `debug` or `tinydancer_server=debug`.
    #[arg(long, value_name = "FILTER", default_value = "info", env = "LOG")]
    pub log: String,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line of JSON each.
    Json,
    /// For a terminal.
    Human,
}

impl Serve {
    /// Whether this is a pod of a fleet.
    pub fn in_pod(&self) -> bool {
        self.boot.is_some()
    }

    /// Address of the data port.
    pub fn listen(&self) -> String {
        let default = if self.in_pod() { POD_LISTEN } else { STANDALONE_LISTEN };
        self.listen.map_or_else(|| default.to_owned(), |address| address.to_string())
    }

    /// How logs are written.
    pub fn log_format(&self) -> LogFormat {
        self.log_format.unwrap_or(if self.in_pod() { LogFormat::Json } else { LogFormat::Human })
    }

    /// Folder with the upstreams' keys.
    pub fn credentials(&self) -> Option<&Path> {
        self.credentials.as_deref()
    }

    /// Limits of the data plane.
    pub fn limits(&self) -> Limits {
        let limits = Limits::default();
        let upstream_within = Duration::from_secs(self.upstream_seconds);
        Limits {
            in_flight: self.max_in_flight as usize,
            upstream_within,
            chain_within: limits.chain_within.max(upstream_within * 2),
            notice: if self.in_pod() { POD_NOTICE } else { Duration::ZERO },
            ..limits
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(arguments.split_whitespace())
    }

    #[test]
    fn alone_and_in_a_pod_exclude_each_other_and_one_is_needed() {
        assert!(read("router serve --policy p.yaml --model m.safetensors").is_ok());
        assert!(read("router serve --boot b --tls t --credentials c --data d").is_ok());
        for wrong in [
            "router serve",
            "router serve --policy p --boot b",
            "router serve --boot b",
            "router serve --boot b --tls t --credentials c --data d --model m",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
