//! Whether a connection is of use: a client that sends its headers drop by drop, never reads its answer or asks nothing
//! does not keep it.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use http::Version;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Limits;

/// What has happened on a connection.
#[derive(Debug)]
pub(super) struct Activity(Mutex<State>);

#[derive(Debug)]
struct State {
    in_flight: usize,
    /// On HTTP/2, bytes between requests are frames of the connection itself.
    http2: bool,
    /// Since when no request is in flight.
    quiet_since: Instant,
    /// Since when there are bytes that are no request yet; on a new connection since the beginning.
    headers_since: Option<Instant>,
    /// Since when the client takes no bytes.
    blocked_since: Option<Instant>,
}

/// What to do with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Keep it.
    Keep,
    /// Nothing has been asked for long: close it in good order.
    Idle,
    /// Its client hinders: drop it.
    Stuck,
}

impl Default for Activity {
    fn default() -> Self {
        let now = Instant::now();
        Self(Mutex::new(State {
            in_flight: 0,
            http2: false,
            quiet_since: now,
            headers_since: Some(now),
            blocked_since: None,
        }))
    }
}

impl Activity {
    /// A request has come whole; it lasts as long as the guard.
    pub(super) fn request(this: &Arc<Self>, version: Version) -> RequestGuard {
        let mut state = this.lock();
        state.http2 = version == Version::HTTP_2;
        state.in_flight += 1;
        state.headers_since = None;
        drop(state);
        RequestGuard(Arc::clone(this))
    }

    /// What to do with the connection now.
    pub(super) fn verdict(&self, limits: &Limits) -> Verdict {
        let state = self.lock();
        let longer =
            |since: Option<Instant>, limit: Duration| since.is_some_and(|since| since.elapsed() > limit);
        if longer(state.blocked_since, limits.idle) {
            Verdict::Stuck
        } else if state.in_flight > 0 {
            Verdict::Keep
        } else if longer(state.headers_since, limits.headers_within) {
            Verdict::Stuck
        } else if longer(Some(state.quiet_since), limits.idle) {
            Verdict::Idle
        } else {
            Verdict::Keep
        }
    }

    fn has_read(&self) {
        let mut state = self.lock();
        if state.in_flight == 0 && !state.http2 && state.headers_since.is_none() {
            state.headers_since = Some(Instant::now());
        }
    }

    fn has_written(&self, ready: bool) {
        let mut state = self.lock();
        state.blocked_since = if ready { None } else { state.blocked_since.or_else(|| Some(Instant::now())) };
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request in flight.
#[derive(Debug)]
pub(super) struct RequestGuard(Arc<Activity>);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
        state.quiet_since = Instant::now();
    }
}

/// A stream whose reads and writes are noted.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S> Watched<S> {
    /// Notes what happens on `stream`.
    pub(super) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, activity }
    }

    fn noted<T>(&self, written: Poll<T>) -> Poll<T> {
        self.activity.has_written(written.is_ready());
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.activity.has_read();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.noted(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.noted(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
