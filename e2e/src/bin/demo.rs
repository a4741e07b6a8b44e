//! Plays the demo on the cluster that `KUBECONFIG` names; `cargo xtask demo` prepares it and calls this.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    match tinydancer_e2e::demo::run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
