//! Plays the demo on the cluster that `KUBECONFIG` names; `cargo xtask demo` prepares it and calls this.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tinydancer_e2e::demo::run().await
}
