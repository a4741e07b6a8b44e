//! The upstreams of the configuration that holds, each with its breaker.

use std::{sync::Arc, time::Instant};

use arc_swap::ArcSwap;
use http::HeaderValue;
use tinydancer_crds::{
    Configuration,
    valid::{BreakerSettings, Candidate},
};
use tinydancer_engine::breaker::{Admission, Breaker, BreakerState, Outcome, Permit, Settings, Snapshot};
use tinydancer_protocol::UpstreamReport;
use tokio::sync::watch;

use super::{Standing, credentials::Credentials};

/// One LLM and how it does.
#[derive(Debug)]
pub struct Upstream {
    /// As the policy names it.
    pub candidate: Candidate,
    breaker: Breaker,
    settings: Settings,
}

/// All upstreams, cheapest first: by the price of output, then by name. Shared behind an `Arc`.
#[derive(Debug)]
pub struct Upstreams {
    current: ArcSwap<Vec<Arc<Upstream>>>,
    credentials: Arc<Credentials>,
    started: Instant,
}

impl Upstreams {
    /// The upstreams of a configuration, all breakers closed.
    pub fn new(configuration: &Configuration, credentials: Arc<Credentials>) -> Self {
        let upstreams = Self { current: ArcSwap::default(), credentials, started: Instant::now() };
        upstreams.apply(configuration);
        upstreams
    }

    /// Applies every configuration that comes, until there can be no more.
    pub async fn follow(self: Arc<Self>, mut changes: watch::Receiver<Arc<Configuration>>) {
        loop {
            let configuration = Arc::clone(&changes.borrow_and_update());
            self.apply(&configuration);
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Takes over a configuration. A breaker goes on where name, endpoint and breaker settings stay.
    pub fn apply(&self, configuration: &Configuration) {
        let settings = breaker_settings(&configuration.breaker);
        let before = self.current.load();
        let mut upstreams: Vec<_> = configuration
            .candidates
            .iter()
            .map(|candidate| {
                let same = before.iter().find(|upstream| {
                    upstream.candidate.name == candidate.name
                        && upstream.candidate.endpoint == candidate.endpoint
                        && upstream.settings == settings
                });
                let breaker =
                    same.map_or_else(|| Breaker::new(settings), |upstream| upstream.breaker.clone());
                Arc::new(Upstream { candidate: candidate.clone(), breaker, settings })
            })
            .collect();
        upstreams
            .sort_by(|left, right| price_and_name(&left.candidate).cmp(&price_and_name(&right.candidate)));
        self.current.store(Arc::new(upstreams));
    }

    /// The upstreams that hold, cheapest first.
    pub fn current(&self) -> Arc<Vec<Arc<Upstream>>> {
        self.current.load_full()
    }

    /// Whether an upstream has its key and its breaker admits a call; takes no probe.
    pub fn standing(&self, upstream: &Upstream) -> Standing {
        let available = self.has_key(upstream) && upstream.breaker.admits(self.started.elapsed());
        Standing { tier: upstream.candidate.tier, available }
    }

    /// Whether the key that an upstream needs is there.
    pub fn has_key(&self, upstream: &Upstream) -> bool {
        !upstream.candidate.api_key || self.credentials.has(&upstream.candidate.name)
    }

    /// The key to send, where the upstream needs one.
    pub fn key(&self, upstream: &Upstream) -> Option<HeaderValue> {
        if upstream.candidate.api_key { self.credentials.header(&upstream.candidate.name) } else { None }
    }

    /// The key to send to the grader, where it is there.
    pub fn grader_key(&self) -> Option<HeaderValue> {
        self.credentials.grader()
    }

    /// Asks an upstream's breaker for a call.
    pub fn admit(&self, upstream: &Upstream) -> Admission {
        upstream.breaker.admit(self.started.elapsed())
    }

    /// Tells an upstream's breaker how a call that it admitted has ended.
    pub fn record(&self, upstream: &Upstream, permit: Permit, outcome: Outcome) {
        upstream.breaker.record(permit, outcome, self.started.elapsed(), rand::random());
    }

    /// State of an upstream's breaker now.
    pub fn snapshot(&self, upstream: &Upstream) -> Snapshot {
        upstream.breaker.snapshot(self.started.elapsed())
    }

    /// The upstreams as the operator is told about them.
    pub fn report(&self) -> Vec<UpstreamReport> {
        let report = |upstream: &Arc<Upstream>| UpstreamReport {
            name: upstream.candidate.name.clone(),
            breaker: state_name(self.snapshot(upstream).state).to_owned(),
            key_present: self.has_key(upstream),
        };
        self.current().iter().map(report).collect()
    }
}

/// A breaker's state as reports name it.
pub(crate) fn state_name(state: BreakerState) -> &'static str {
    match state {
        BreakerState::Closed => "Closed",
        BreakerState::Open => "Open",
        BreakerState::HalfOpen => "HalfOpen",
    }
}

fn price_and_name(candidate: &Candidate) -> (u64, &str) {
    (candidate.cost.output_per_million_tokens.0, &candidate.name)
}

fn breaker_settings(settings: &BreakerSettings) -> Settings {
    Settings {
        consecutive_failures: settings.consecutive_failures,
        failure_rate_permille: settings.failure_rate.get(),
        adaptive: settings.adaptive,
        minimum_requests: settings.minimum_requests,
        open_seconds: settings.open_seconds,
        max_open_seconds: settings.max_open_seconds,
        half_open_probes: settings.half_open_probes,
        ..Settings::default()
    }
}
