//! From arguments to a running operator.

use std::time::Duration;

use kube::Client;
use tinydancer_plan::Settings;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinHandle,
};

use crate::{
    arguments::Arguments,
    artifacts::{Artifacts, HttpsSource, TrustError},
    certificates::Certificates,
    events::Events,
    leader::{self, Leadership, Place},
    metrics::{self, Metrics},
    model::controller::ModelParts,
    policy::controller::PolicyParts,
    readiness::Readiness,
    scope::Scope,
    sources::sources,
    writer::Writer,
};

/// Without a report for this long, a candidate with weight is paused.
const BLIND_LIMIT: Duration = Duration::from_mins(1);
/// A candidate's weight holds for at least this many intervals between two calls.
const LEASE_INTERVALS: u32 = 5;
/// And for at least this many seconds: a call that is a little late takes nothing away.
const LEAST_LEASE_SECONDS: u32 = 10;
/// Wait before the authority is asked for again.
const AUTHORITY_RETRY: Duration = Duration::from_secs(2);

/// Why the operator cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No way to the API server is configured.
    #[error("failed to find out how to reach the API server")]
    Client(#[from] kube::Error),
    /// The file of additional authorities.
    #[error("failed to read `--source-ca-file`")]
    SourceAuthorities(#[source] std::io::Error),
    /// What is in it.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// Signals cannot be waited for.
    #[error("failed to wait for signals")]
    Signals(#[source] std::io::Error),
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// Where the operator cannot start. What can get better by itself is waited for.
pub async fn run(arguments: Arguments) -> Result<(), RunError> {
    let client = Client::try_default().await?;
    let extra = arguments.source_ca_file.as_ref().map(std::fs::read).transpose();
    let extra = extra.map_err(RunError::SourceAuthorities)?;
    let https = HttpsSource::new(&arguments.allow_private_sources, extra.as_deref())?;
    let metrics = Metrics::default();
    let (readiness, leadership) = (Readiness::default(), Leadership::default());
    let stop = stop_on_signal()?;
    let page =
        metrics::serve(arguments.metrics_listen, metrics.clone(), readiness.clone(), leadership.clone());
    tokio::spawn(async move {
        if let Err(error) = page.await {
            tracing::error!(%error, "failed to serve probes and metrics");
        }
    });
    let mut stopped = stop.clone();
    let ready = async {
        readiness.wait_for_definitions(&client).await;
        certificates(&client, &arguments.namespace).await
    };
    let certificates = tokio::select! {
        certificates = ready => certificates,
        _ = stopped.wait_for(|stop| *stop) => return Ok(()),
    };
    work(&arguments, client, https, metrics, leadership, certificates, stop).await;
    Ok(())
}

/// The election and both loops, until `stop` changes; the Lease is given back last.
async fn work(
    arguments: &Arguments,
    client: Client,
    https: HttpsSource,
    metrics: Metrics,
    leadership: Leadership,
    certificates: Certificates,
    stop: watch::Receiver<bool>,
) {
    let scope = Scope::new(arguments.namespace_scope.clone());
    let events = Events::new(client.clone(), arguments.name.clone(), metrics.clone());
    let writer = Writer::new(client.clone(), leadership.clone(), metrics.clone());
    let artifacts = Artifacts::new(client.clone(), https, metrics.clone());
    let models = crate::model::controller::run(
        ModelParts {
            client: client.clone(),
            leadership: leadership.clone(),
            metrics: metrics.clone(),
            events: events.clone(),
            writer: writer.clone(),
            artifacts: artifacts.clone(),
        },
        scope.clone(),
        stop.clone(),
    );
    let settings = settings(arguments);
    let policies = crate::policy::controller::run(
        PolicyParts {
            client: client.clone(),
            leadership: leadership.clone(),
            metrics,
            events,
            writer,
            artifacts,
            certificates,
            settings,
        },
        scope,
        stop,
    );
    let (ended, end) = tokio::sync::oneshot::channel::<()>();
    let place = Place {
        namespace: arguments.namespace.clone(),
        name: arguments.lease_name.clone(),
        replica: arguments.name.clone(),
    };
    let election: JoinHandle<()> = tokio::spawn(leader::take_part(client, place, leadership, async {
        let _ = end.await;
    }));
    tokio::join!(models, policies);
    drop(ended);
    let _ = election.await;
}

fn settings(arguments: &Arguments) -> Settings {
    Settings {
        router_image: arguments.router_image.clone(),
        operator_namespace: arguments.namespace.clone(),
        lease_seconds: (arguments.poll_seconds_active * LEASE_INTERVALS).max(LEAST_LEASE_SECONDS),
        poll_interval: arguments.poll_active(),
        settled_interval: arguments.poll_settled(),
        blind_limit: BLIND_LIMIT,
    }
}

/// The authority; waited for, because the API server may be on its way.
async fn certificates(client: &Client, namespace: &str) -> Certificates {
    loop {
        match Certificates::read_or_make(client, namespace).await {
            Ok(certificates) => return certificates,
            Err(error) => {
                let source = sources(&error);
                tracing::warn!(%error, source, "no authority for the control certificates yet");
                tokio::time::sleep(AUTHORITY_RETRY).await;
            }
        }
    }
}

fn stop_on_signal() -> Result<watch::Receiver<bool>, RunError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Signals)?;
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("told to stop");
        sender.send_replace(true);
    });
    Ok(receiver)
}
