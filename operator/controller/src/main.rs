//! The operator: runs fleets of LLM routers and tries new routing models on them.

use std::process::ExitCode;

use clap::Parser as _;
use tinydancer_operator::{arguments::Arguments, run, sources::sources, telemetry};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Err(error) = telemetry::start(&arguments.log) {
        eprintln!("failed to read `--log`: {error}");
        return ExitCode::from(2);
    }
    // The only provider in the program, installed once.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match run::run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, source = sources(&error), "the operator ends");
            ExitCode::FAILURE
        }
    }
}
