//! The state machine of a breaker, without locks.

use std::time::Duration;

use super::settings::Settings;
use super::usual::Usual;
use super::window::{Counts, Ruler, Taken, Window};
use super::{BreakerState, Outcome};

/// What to tell a caller who comes while all probes are under way: the smallest time that a
/// `Retry-After` header can say.
const PROBES_UNDER_WAY: Duration = Duration::from_secs(1);

/// The time between two changes of state of one breaker. A permit belongs to the period that gave
/// it; its outcome says nothing about a later one, nor about another breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Period(
    /// 31 bits for the breaker, 32 that count its changes, one that says whether it is closed.
    u64,
);

impl Period {
    /// The first one of a breaker, closed. `breaker` is not that of any other.
    pub(crate) fn first(breaker: u64) -> Self {
        Self(breaker << 33 | 1)
    }

    /// Whether every call is admitted in it.
    pub(crate) fn is_closed(self) -> bool {
        self.0 & 1 == 1
    }

    /// As one word that threads can share.
    pub(crate) fn to_word(self) -> u64 {
        self.0
    }

    /// From [`Period::to_word`].
    pub(crate) fn of_word(word: u64) -> Self {
        Self(word)
    }

    fn next(self, closed: bool) -> Self {
        Self(((self.0 >> 1) + 1) << 1 | u64::from(closed))
    }
}

/// State, settings and clock of one breaker.
#[derive(Debug)]
pub(crate) struct Core {
    settings: Settings,
    state: State,
    period: Period,
    usual: Usual,
    /// Times it opened.
    opened: u64,
    /// The latest time seen: threads may arrive with times a little out of order.
    latest: Duration,
}

#[derive(Debug)]
enum State {
    Closed {
        failures_in_a_row: u32,
        window: Window,
    },
    Open {
        until: Duration,
        /// How often it had opened since it was last closed.
        attempt: u32,
    },
    HalfOpen {
        under_way: u32,
        succeeded: u32,
        attempt: u32,
    },
}

/// What happens to a breaker, apart from being read.
enum Event<'a> {
    /// A call is to be made.
    Ask,
    /// These calls of this period have succeeded; they were counted elsewhere.
    Succeeded(&'a Taken),
    /// A call of this period has finished.
    Finished(Outcome, /* jitter */ u64),
    /// A call of this period will say nothing.
    Abandoned,
}

/// A breaker as it was at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// The state; an open breaker whose time is over is half-open.
    pub state: BreakerState,
    /// Whether a call would be admitted.
    pub admits: bool,
    /// How long it stays open.
    pub retry_after: Option<Duration>,
    /// Probes under way.
    pub probes_under_way: u32,
    /// Failures in a row while closed.
    pub failures_in_a_row: u32,
    /// Requests within the window while closed.
    pub recent_requests: u32,
    /// Failures within the window while closed.
    pub recent_failures: u32,
    /// Times it opened since it was made.
    pub opened: u64,
}

impl Core {
    pub(crate) fn new(settings: Settings, period: Period) -> Self {
        let (state, usual) = (closed(&settings), Usual::default());
        Self { settings, state, period, usual, opened: 0, latest: Duration::ZERO }
    }

    /// The period it is in.
    pub(crate) fn period(&self) -> Period {
        self.period
    }

    /// The period of a call that may be made, or when to ask again.
    pub(crate) fn admit(&mut self, now: Duration) -> Result<Period, Duration> {
        self.latest = self.latest.max(now);
        if let Some(refused) = self.refusal(self.latest) {
            return Err(refused);
        }
        self.step(&Event::Ask);
        Ok(self.period)
    }

    /// Takes calls of this period that succeeded while it was closed, by `now`.
    pub(crate) fn succeeded(&mut self, successes: &Taken, now: Duration) {
        self.latest = self.latest.max(now);
        self.step(&Event::Succeeded(successes));
    }

    /// Takes the outcome of a call of this period.
    pub(crate) fn record(&mut self, outcome: Outcome, now: Duration, jitter: u64) {
        self.latest = self.latest.max(now);
        self.step(&Event::Finished(outcome, jitter));
    }

    /// Takes back the permit of a call of this period.
    pub(crate) fn abandon(&mut self) {
        self.step(&Event::Abandoned);
    }

    /// The state at `now`; `successes` are those that it has not taken yet.
    pub(crate) fn snapshot(&self, now: Duration, successes: &Taken) -> Snapshot {
        let now = self.latest.max(now);
        let refusal = self.refusal(now);
        let mut snapshot = Snapshot {
            state: BreakerState::HalfOpen,
            admits: refusal.is_none(),
            retry_after: refusal,
            probes_under_way: 0,
            failures_in_a_row: 0,
            recent_requests: 0,
            recent_failures: 0,
            opened: self.opened,
        };
        match &self.state {
            State::Closed { failures_in_a_row, window } => {
                let (mut failures_in_a_row, mut window) = (*failures_in_a_row, window.clone());
                take(&mut failures_in_a_row, &mut window, successes);
                let Counts { requests, failures } = window.counts(now);
                snapshot.state = BreakerState::Closed;
                snapshot.failures_in_a_row = failures_in_a_row;
                snapshot.recent_requests = requests;
                snapshot.recent_failures = failures;
            }
            State::Open { .. } if refusal.is_some() => snapshot.state = BreakerState::Open,
            State::Open { .. } => {}
            State::HalfOpen { under_way, .. } => snapshot.probes_under_way = *under_way,
        }
        snapshot
    }

    /// How long a call would be refused, if it would be.
    fn refusal(&self, now: Duration) -> Option<Duration> {
        match self.state {
            State::Closed { .. } => None,
            State::Open { until, .. } => until.checked_sub(now).filter(|left| !left.is_zero()),
            State::HalfOpen { under_way, succeeded, .. } => {
                (under_way + succeeded >= self.probes()).then_some(PROBES_UNDER_WAY)
            }
        }
    }

    fn step(&mut self, event: &Event<'_>) {
        let now = self.latest;
        match (&mut self.state, event) {
            // An open period gives no permits, so none of it can come back; what closed ones count
            // elsewhere is nothing to probes.
            (State::Closed { .. }, Event::Ask | Event::Abandoned)
            | (State::Open { .. }, Event::Finished(..) | Event::Abandoned)
            | (State::Open { .. } | State::HalfOpen { .. }, Event::Succeeded(_)) => {}
            (State::Closed { failures_in_a_row, window }, Event::Succeeded(successes)) => {
                take(failures_in_a_row, window, successes);
                self.usual.count(successes.all, 0, now);
            }
            (State::Closed { failures_in_a_row, window }, Event::Finished(Outcome::Success, _)) => {
                *failures_in_a_row = 0;
                window.count(false, now);
                self.usual.count(1, 0, now);
            }
            (State::Closed { failures_in_a_row, window }, Event::Finished(Outcome::Failure, jitter)) => {
                *failures_in_a_row = failures_in_a_row.saturating_add(1);
                window.count(true, now);
                self.usual.count(1, 1, now);
                if must_open(&self.settings, *failures_in_a_row, window.counts(now), &self.usual) {
                    self.open(0, *jitter);
                }
            }
            // Asked only when its time is over.
            (State::Open { attempt, .. }, Event::Ask) => {
                let attempt = *attempt;
                self.enter(State::HalfOpen { under_way: 1, succeeded: 0, attempt });
            }
            (State::HalfOpen { under_way, .. }, Event::Ask) => *under_way += 1,
            (State::HalfOpen { under_way, .. }, Event::Abandoned) => *under_way = under_way.saturating_sub(1),
            (State::HalfOpen { under_way, succeeded, .. }, Event::Finished(Outcome::Success, _)) => {
                *under_way = under_way.saturating_sub(1);
                *succeeded += 1;
                if *succeeded >= self.settings.half_open_probes.max(1) {
                    self.enter(closed(&self.settings));
                }
            }
            (State::HalfOpen { attempt, .. }, Event::Finished(Outcome::Failure, jitter)) => {
                let next = attempt.saturating_add(1);
                self.open(next, *jitter);
            }
        }
    }

    fn open(&mut self, attempt: u32, jitter: u64) {
        let until = self.latest.saturating_add(self.settings.open_for(attempt, jitter));
        self.opened += 1;
        self.enter(State::Open { until, attempt });
    }

    fn enter(&mut self, state: State) {
        self.period = self.period.next(matches!(state, State::Closed { .. }));
        self.state = state;
    }

    fn probes(&self) -> u32 {
        self.settings.half_open_probes.max(1)
    }
}

fn closed(settings: &Settings) -> State {
    State::Closed { failures_in_a_row: 0, window: Window::new(Ruler::new(settings.window)) }
}

/// A success since the last failure ends the row; it does not matter which.
fn take(failures_in_a_row: &mut u32, window: &mut Window, successes: &Taken) {
    if successes.all > 0 {
        *failures_in_a_row = 0;
        window.merge(&successes.recent);
    }
}

/// Only a failure asks this: a success never opens a breaker.
fn must_open(settings: &Settings, failures_in_a_row: u32, recent: Counts, usual: &Usual) -> bool {
    let too_many = failures_in_a_row >= settings.consecutive_failures.max(1);
    let enough = recent.requests >= settings.minimum_requests.max(1);
    let permille = settings.failure_rate_permille.max(1);
    let share_is_too_high = if settings.adaptive {
        usual.is_exceeded_by(recent, f64::from(permille) / 1000.0)
    } else {
        u64::from(recent.failures) * 1000 >= u64::from(recent.requests) * u64::from(permille)
    };
    too_many || (enough && share_is_too_high)
}
