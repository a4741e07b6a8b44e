//! Command line.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Parser;
use ipnet::IpNet;

/// Runs fleets of LLM routers and tries new routing models on them.
#[derive(Parser, Clone, Debug)]
#[command(name = "tiny-dancer-operator", version)]
pub struct Arguments {
    /// Look at this namespace alone; a Role is enough then. Left out: the whole cluster.
    #[arg(long, value_name = "NAMESPACE")]
    pub namespace_scope: Option<String>,

    /// Namespace the operator runs in: its Lease and the authority that signs the control certificates are here.
    #[arg(long, env = "POD_NAMESPACE", default_value = "tiny-dancer-system")]
    pub namespace: String,

    /// Name of this replica, for the Lease and for events.
    #[arg(long, env = "POD_NAME", default_value = "tiny-dancer-operator")]
    pub name: String,

    /// Image of the routers where a policy names none.
    #[arg(long)]
    pub router_image: String,

    /// Private address ranges that `spec.source.https` may point into. Only public addresses otherwise.
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    pub allow_private_sources: Vec<IpNet>,

    /// PEM file of authorities, beside the public ones, that may vouch for the servers of `spec.source.https`.
    #[arg(long, value_name = "FILE")]
    pub source_ca_file: Option<PathBuf>,

    /// Name of the Lease that decides which replica writes.
    #[arg(long, default_value = "tiny-dancer-operator")]
    pub lease_name: String,

    /// Seconds between two calls to the routers while a trial runs.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10))]
    pub poll_seconds_active: u32,

    /// Seconds between two calls to the routers of a settled fleet.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=300))]
    pub poll_seconds_settled: u32,

    /// Address of /livez, /readyz and /metrics.
    #[arg(long, default_value = "0.0.0.0:8080")]
    pub metrics_listen: SocketAddr,

    /// What is logged, as a filter of tracing-subscriber.
    #[arg(long, env = "LOG", default_value = "info")]
    pub log: String,
}

impl Arguments {
    /// Time between two calls while a trial runs.
    pub fn poll_active(&self) -> Duration {
        Duration::from_secs(self.poll_seconds_active.into())
    }

    /// Time between two calls to a settled fleet.
    pub fn poll_settled(&self) -> Duration {
        Duration::from_secs(self.poll_seconds_settled.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_given_as_a_list() {
        let arguments = Arguments::try_parse_from([
            "operator",
            "--router-image=router",
            "--allow-private-sources=10.0.0.0/8,fd00::/8",
        ])
        .unwrap();
        assert_eq!(arguments.allow_private_sources.len(), 2);
        assert_eq!(arguments.poll_active(), Duration::from_secs(1));
    }

    #[test]
    fn a_word_that_is_no_range_is_refused() {
        let parsed =
            Arguments::try_parse_from(["operator", "--router-image=r", "--allow-private-sources=intranet"]);
        assert!(parsed.is_err());
    }
}
