//! The data plane over real connections: small upstreams, a router, a client.

#![expect(clippy::float_cmp, reason = "counts are whole numbers")]

mod alone;
mod audit;
mod audited_alone;
mod explore;
mod failover;
mod feedback;
mod hostile;
mod metrics;
mod models;
mod outcomes;
mod own_errors;
mod reload;
mod route;
mod secrets;
mod streams;
mod token_table;
mod upstream;

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use tempfile::TempDir;
use tinydancer_crds::{
    Configuration,
    routing_policy::Tier,
    valid::{Audit, BreakerSettings, Candidate, Cost, DecisionRule, GuardMargins, MicroDollars, Permille},
};
use tinydancer_engine::testing;
use tinydancer_history::{History, Options};
use tinydancer_server::{
    data::{self, DataPlane, Limits},
    metrics::Metrics,
    runtime::Runtime,
    upstream::{Client, Credentials, Upstreams},
};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use upstream::Upstream;

/// Sends everything to Lightweight.
pub(crate) const LIGHTWEIGHT: DecisionRule =
    DecisionRule::Thresholds { confidence: permille(0), fallback: permille(0) };
/// Sends everything to Lightweight, with Powerful as fallback.
pub(crate) const WITH_FALLBACK: DecisionRule =
    DecisionRule::Thresholds { confidence: permille(1000), fallback: permille(0) };
/// Sends everything to Powerful.
pub(crate) const POWERFUL: DecisionRule =
    DecisionRule::Thresholds { confidence: permille(1000), fallback: permille(1000) };

pub(crate) const fn permille(value: u16) -> Permille {
    match Permille::new(value) {
        Some(permille) => permille,
        None => panic!("at most 1000"),
    }
}

/// A router that runs alone.
pub(crate) struct Router {
    address: SocketAddr,
    client: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) history: Arc<History>,
    _folder: TempDir,
}

/// What a test changes.
pub(crate) struct Setup<'a> {
    pub(crate) rule: DecisionRule,
    pub(crate) limits: Limits,
    pub(crate) breaker: BreakerSettings,
    pub(crate) credentials: Option<&'a Path>,
    pub(crate) audit: Option<Audit>,
    pub(crate) explore_permille: u16,
}

impl Default for Setup<'_> {
    fn default() -> Self {
        let breaker = BreakerSettings {
            consecutive_failures: 3,
            failure_rate: permille(1000),
            adaptive: false,
            minimum_requests: 1000,
            open_seconds: 1,
            max_open_seconds: 1,
            half_open_probes: 1,
        };
        let limits = Limits { upstream_within: Duration::from_secs(5), ..Limits::default() };
        Self { rule: LIGHTWEIGHT, limits, breaker, credentials: None, audit: None, explore_permille: 0 }
    }
}

/// A candidate at an upstream; what it costs follows from the tier.
pub(crate) fn candidate(name: &str, tier: Tier, upstream: &Upstream) -> Candidate {
    let (input, output) = if tier == Tier::Powerful { (10_000_000, 30_000_000) } else { (100_000, 300_000) };
    Candidate {
        name: name.to_owned(),
        tier,
        endpoint: upstream.endpoint(),
        model: format!("{name}-model"),
        cost: Cost {
            input_per_million_tokens: MicroDollars(input),
            output_per_million_tokens: MicroDollars(output),
        },
        api_key: false,
    }
}

/// One Lightweight and one Powerful.
pub(crate) fn pair(small: &Upstream, large: &Upstream) -> Vec<Candidate> {
    vec![candidate("small", Tier::Lightweight, small), candidate("large", Tier::Powerful, large)]
}

/// What the fleet is to do.
pub(crate) fn configuration(candidates: Vec<Candidate>, setup: &Setup<'_>) -> Configuration {
    Configuration {
        candidates,
        decision: setup.rule,
        breaker: setup.breaker,
        guards: GuardMargins {
            uncertainty: permille(50),
            escalation: permille(100),
            error_rate: permille(10),
            flip_rate: permille(300),
            latency_budget_microseconds: 500_000,
            slow_rate: permille(10),
            upstream: permille(50),
            alpha: permille(10),
        },
        retention_days: 1,
        audit: setup.audit.clone(),
        explore_permille: setup.explore_permille,
    }
}

impl Router {
    /// A router with a model, sending everything to Lightweight.
    pub(crate) async fn start(candidates: Vec<Candidate>) -> Self {
        Self::with(candidates, Setup::default()).await
    }

    pub(crate) async fn with(candidates: Vec<Candidate>, setup: Setup<'_>) -> Self {
        let model = testing::artifact("1.0.0", 1).unwrap();
        Self::deciding_with(Some(&model), candidates, setup).await
    }

    /// A router with this model, or without one.
    pub(crate) async fn deciding_with(
        model: Option<&[u8]>,
        candidates: Vec<Candidate>,
        setup: Setup<'_>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (history, _) = History::open(&folder.path().join("history.db"), &Options::default()).unwrap();
        let history = Arc::new(history);
        let configuration = configuration(candidates, &setup);
        let runtime =
            Runtime::standalone(configuration.clone(), model, Arc::clone(&history), [7; 32]).unwrap();
        Self::before(runtime, history, &configuration, setup, folder).await
    }

    /// A data plane with a heart that is already there.
    pub(crate) async fn before(
        runtime: Arc<Runtime>,
        history: Arc<History>,
        configuration: &Configuration,
        setup: Setup<'_>,
        folder: TempDir,
    ) -> Self {
        // Another test may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let credentials = Credentials::open(setup.credentials);
        let upstreams = Arc::new(Upstreams::new(configuration, Arc::clone(&credentials)));
        tokio::spawn(credentials.follow());
        let client = Client::new(setup.limits.held_back).unwrap();
        let plane = DataPlane::new(
            runtime,
            Arc::clone(&history),
            Arc::clone(&upstreams),
            client,
            Arc::new(Metrics::new()),
            setup.limits,
            "support".to_owned(),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(data::serve(listener, Arc::new(plane), async {
            let _ = stopped.await;
        }));
        let client = reqwest::Client::new();
        Self { address, client, stop: Some(stop), served, upstreams, history, _folder: folder }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        self.client.get(self.url(path)).send().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> reqwest::Response {
        self.client.post(self.url(path)).body(body).send().await.unwrap()
    }

    /// Asks `auto`.
    pub(crate) async fn chat(&self) -> reqwest::Response {
        self.post("/v1/chat/completions", r#"{"model":"auto","messages":[{"role":"user","content":"Hi"}]}"#)
            .await
    }

    /// Asks `auto` for a stream.
    pub(crate) async fn stream(&self) -> reqwest::Response {
        let body = r#"{"model":"auto","stream":true,"messages":[{"role":"user","content":"Hi"}]}"#;
        self.post("/v1/chat/completions", body).await
    }

    /// One sample of `/metrics`; 0 where there is none yet.
    pub(crate) async fn metric(&self, sample: &str) -> f64 {
        let text = self.get("/metrics").await.text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Tells it to stop and waits until it has.
    pub(crate) async fn stop(mut self) {
        self.tell_to_stop();
        self.served.await.unwrap();
    }

    pub(crate) fn tell_to_stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }
}

/// A header of an answer as text; empty without it.
pub(crate) fn header<'r>(response: &'r reqwest::Response, name: &str) -> &'r str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// The body as JSON.
pub(crate) async fn json(response: reqwest::Response) -> serde_json::Value {
    let text = response.text().await.unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
