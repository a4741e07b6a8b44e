//! The Lease: all replicas watch, one writes.

mod rule;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{Stream, stream};
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{Api, Client, api::PostParams};
use tokio::sync::watch;

use rule::{Rule, Seen, Step, Timing};

/// Time one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);
/// Without a turn of the loop for this long, the process is stuck.
const STALLED_AFTER: Duration = Duration::from_mins(1);

/// Whether this replica may write. Cloning shares the answer.
#[derive(Clone, Debug)]
pub struct Leadership(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    started: Instant,
    /// Milliseconds since `started` until which writing is allowed; 0 when not holding.
    until: AtomicU64,
    /// Milliseconds since `started` of the loop's last turn.
    turned: AtomicU64,
    holds: watch::Sender<bool>,
}

impl Default for Leadership {
    fn default() -> Self {
        Self(Arc::new(Shared {
            started: Instant::now(),
            until: AtomicU64::new(0),
            turned: AtomicU64::new(0),
            holds: watch::Sender::new(false),
        }))
    }
}

impl Leadership {
    /// Whether a write that is sent now is this replica's to send. Ask before every write.
    pub fn may_write(&self) -> bool {
        self.millis() < self.0.until.load(Ordering::Acquire)
    }

    /// An item each time the Lease is gained, for those who then have to look at everything.
    pub fn gained(&self) -> impl Stream<Item = ()> + Send + 'static {
        stream::unfold(self.0.holds.subscribe(), async |mut holds| {
            loop {
                holds.changed().await.ok()?;
                if *holds.borrow_and_update() {
                    return Some(((), holds));
                }
            }
        })
    }

    /// Whether the loop that renews stands still.
    pub fn is_stalled(&self) -> bool {
        let turned = self.0.turned.load(Ordering::Relaxed);
        self.millis().saturating_sub(turned) > STALLED_AFTER.as_millis() as u64
    }

    /// A leadership that always holds, for tests of what stands behind it.
    #[cfg(test)]
    pub(crate) fn always() -> Self {
        let leadership = Self::default();
        leadership.0.until.store(u64::MAX, Ordering::Release);
        leadership
    }

    fn millis(&self) -> u64 {
        self.0.started.elapsed().as_millis() as u64
    }

    fn now(&self) -> Duration {
        self.0.started.elapsed()
    }

    fn publish(&self, rule: &Rule) {
        let until = rule.holds_until().map_or(0, |until| until.as_millis() as u64);
        self.0.until.store(until, Ordering::Release);
        let holds = self.may_write();
        if self.0.holds.send_if_modified(|standing| std::mem::replace(standing, holds) != holds) {
            tracing::info!(holds, "leadership changed");
        }
    }
}

/// Where the Lease is and who asks for it.
#[derive(Clone, Debug)]
pub struct Place {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Name of this replica; a random part is added, so that a restarted one is somebody else.
    pub replica: String,
}

/// Takes part in the election until `stop` resolves, then gives the Lease back.
pub async fn take_part(client: Client, place: Place, leadership: Leadership, stop: impl Future<Output = ()>) {
    let identity = format!("{}_{:016x}", place.replica, rand::random::<u64>());
    let mut election = Election {
        leases: Api::namespaced(client, &place.namespace),
        rule: Rule::new(identity.clone(), Timing::DEFAULT),
        name: place.name,
        identity,
        leadership,
    };
    let mut stop = std::pin::pin!(stop);
    let mut ticks = tokio::time::interval(Timing::DEFAULT.renew);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = &mut stop => break,
            _ = ticks.tick() => {}
        }
        if let Err(error) = election.turn().await {
            tracing::warn!(%error, "failed to renew the Lease");
        }
        election.leadership.publish(&election.rule);
        election.leadership.0.turned.store(election.leadership.millis(), Ordering::Relaxed);
    }
    election.release().await;
}

struct Election {
    leases: Api<Lease>,
    rule: Rule,
    name: String,
    identity: String,
    leadership: Leadership,
}

/// Why a turn failed.
#[derive(Debug, thiserror::Error)]
enum TurnError {
    #[error("the API server does not answer")]
    Timeout(#[from] tokio::time::error::Elapsed),
    #[error(transparent)]
    Api(#[from] kube::Error),
}

impl Election {
    async fn turn(&mut self) -> Result<(), TurnError> {
        let lease = tokio::time::timeout(CALL_TIMEOUT, self.leases.get_opt(&self.name)).await??;
        let step = self.rule.observe(lease.as_ref().map(seen), self.leadership.now());
        let began = self.leadership.now();
        let post = PostParams::default();
        let written = match (step, lease) {
            (Step::Wait, _) => return Ok(()),
            (_, None) => {
                let lease = self.next(None);
                tokio::time::timeout(CALL_TIMEOUT, self.leases.create(&post, &lease)).await?
            }
            (_, Some(standing)) => {
                let lease = self.next(Some(standing));
                tokio::time::timeout(CALL_TIMEOUT, self.leases.replace(&self.name, &post, &lease)).await?
            }
        };
        match written {
            Ok(lease) => {
                self.rule.wrote(seen(&lease), began);
                Ok(())
            }
            // Somebody was faster; the next turn reads what they wrote.
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The Lease as this replica would have it. The resource version that was read guards the write.
    fn next(&self, standing: Option<Lease>) -> Lease {
        let mut lease = standing.unwrap_or_default();
        lease.metadata.name = Some(self.name.clone());
        let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
        let now = MicroTime(Timestamp::now());
        if spec.holder_identity.as_deref() != Some(&self.identity) {
            spec.holder_identity = Some(self.identity.clone());
            spec.acquire_time = Some(now.clone());
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or(0).saturating_add(1));
        }
        // For people and for other tools only; the rule never reads it as a time.
        spec.renew_time = Some(now);
        spec.lease_duration_seconds = i32::try_from(Timing::DEFAULT.lease.as_secs()).ok();
        lease
    }

    /// Gives the Lease back, so that another replica need not wait.
    async fn release(&mut self) {
        let held = self.leadership.may_write();
        self.leadership.0.until.store(0, Ordering::Release);
        self.leadership.0.holds.send_replace(false);
        if !held {
            return;
        }
        let released = tokio::time::timeout(CALL_TIMEOUT, async {
            let Some(mut lease) = self.leases.get_opt(&self.name).await? else { return Ok(()) };
            if seen(&lease).holder == self.identity {
                if let Some(spec) = &mut lease.spec {
                    spec.holder_identity = Some(String::new());
                }
                self.leases.replace(&self.name, &PostParams::default(), &lease).await?;
            }
            Ok::<_, kube::Error>(())
        });
        match released.await {
            Ok(Ok(())) => tracing::info!("gave the Lease back"),
            Ok(Err(error)) => tracing::warn!(%error, "failed to give the Lease back"),
            Err(_) => tracing::warn!("failed to give the Lease back: the API server does not answer"),
        }
    }
}

fn seen(lease: &Lease) -> Seen {
    let spec = lease.spec.clone().unwrap_or_default();
    Seen {
        holder: spec.holder_identity.unwrap_or_default(),
        renewed: spec.renew_time.map(|time| time.0.to_string()).unwrap_or_default(),
        transitions: spec.lease_transitions.unwrap_or(0),
    }
}
