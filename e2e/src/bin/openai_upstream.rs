//! The test parts in one image: `openai-upstream serve` answers like an LLM, `openai-upstream send` is a steady client.

use std::net::SocketAddr;

use clap::Parser;
use tinydancer_e2e::{
    traffic,
    upstream::{self, Behaviour},
};

/// An upstream and a client for tests.
#[derive(Parser)]
enum Part {
    /// Answers chat completions; `PUT /behaviour` sets delays and faults.
    Serve {
        /// Address to listen on.
        #[arg(long, default_value = "0.0.0.0:8080")]
        listen: SocketAddr,
        /// Milliseconds before each answer.
        #[arg(long, default_value_t = Behaviour::default().delay_millis)]
        delay_millis: u64,
    },
    /// Sends chat completions; `PUT /wish` says what and how fast.
    Send {
        /// Address to listen on.
        #[arg(long, default_value = "0.0.0.0:8080")]
        listen: SocketAddr,
        /// Base URL of the fleet.
        #[arg(long, default_value = "")]
        target: String,
        /// Requests a second.
        #[arg(long, default_value_t = 0)]
        rate: u32,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Only fails where a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (listen, router) = match Part::parse() {
        Part::Serve { listen, delay_millis } => {
            (listen, upstream::router(Behaviour { delay_millis, ..Behaviour::default() }))
        }
        Part::Send { listen, target, rate } => (
            listen,
            traffic::router(traffic::Wish { target, rate_per_second: rate, ..traffic::Wish::default() }),
        ),
    };
    let listener = tokio::net::TcpListener::bind(listen).await?;
    axum::serve(listener, router).with_graceful_shutdown(terminated()).await?;
    Ok(())
}

async fn terminated() {
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}
