//! `kubectl tinydancer`: what a rollout does and why, and what people may ask of it.

mod arguments;
mod change;
mod command;
mod explanation;
mod table;

use std::process::ExitCode;

use clap::Parser as _;
use k8s_openapi::jiff::Timestamp;
use kube::{
    Api, Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use tinydancer_crds::RoutingPolicy;
use tinydancer_operator::sources::sources;

use arguments::Arguments;
use change::ChangeError;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // The only provider in the program, installed once.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match run(&Arguments::parse()).await {
        Ok(text) => {
            println!("{}", text.trim_end());
            ExitCode::SUCCESS
        }
        Err(error) => {
            let behind = sources(&error);
            eprintln!("error: {error}{}{behind}", if behind.is_empty() { "" } else { ": " });
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<String, ChangeError> {
    let client = client(arguments).await?;
    let namespace = arguments.namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
    let policies: Api<RoutingPolicy> = Api::namespaced(client, &namespace);
    let name = arguments.task.policy();
    match arguments.task.command() {
        None => {
            let policy = change::read(&policies, &namespace, name).await?;
            Ok(explanation::explain(&policy, Timestamp::now()))
        }
        Some(command) => change::change(&policies, &namespace, name, command).await,
    }
}

async fn client(arguments: &Arguments) -> Result<Client, ChangeError> {
    let Some(context) = &arguments.context else { return Ok(Client::try_default().await?) };
    let options = KubeConfigOptions { context: Some(context.clone()), ..KubeConfigOptions::default() };
    let kubeconfig = Kubeconfig::read()?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    Ok(Client::try_from(config)?)
}
