//! The operator: runs fleets of LLM routers and tries new routing models on them.

mod arguments;
mod artifacts;
mod backoff;
mod certificates;
mod credentials;
mod events;
mod leader;
mod metrics;
mod model;
mod policy;
mod readiness;
mod routers;
mod run;
mod scope;
mod telemetry;
mod writer;

use std::process::ExitCode;

use clap::Parser as _;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = arguments::Arguments::parse();
    if let Err(error) = telemetry::start(&arguments.log) {
        eprintln!("failed to read `--log`: {error}");
        return ExitCode::from(2);
    }
    // The only provider in the program; a second call cannot happen.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match run::run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, source = policy::controller::sources(&error), "the operator ends");
            ExitCode::FAILURE
        }
    }
}
