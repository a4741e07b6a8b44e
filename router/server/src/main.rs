//! `tiny-dancer-router`: decides for each LLM request whether a cheap or a strong model answers it.

use std::process::ExitCode;

use clap::Parser as _;
use tinydancer_server::{
    arguments::{Arguments, Command, Serve},
    embedder, logging, pod, serve, standalone,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let Command::Serve(arguments) = Arguments::parse().command;
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tiny-dancer-router: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Serve) -> anyhow::Result<()> {
    logging::start(arguments.log_format(), &arguments.log)?;
    // Fails only where one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let router = match &arguments.policy {
        Some(policy) => standalone::prepare(arguments, policy)?,
        None => pod::prepare(arguments)?,
    };
    embedder::prepare(&router.runtime, arguments)?;
    runtime.block_on(serve::serve(router, arguments))?;
    Ok(())
}
