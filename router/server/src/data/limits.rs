//! What a router takes on, so that no client can make it cost more.

use std::time::Duration;

/// Limits of the data plane.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections that are open at once; more wait to be accepted.
    pub connections: usize,
    /// Requests in flight; more are refused at once.
    pub in_flight: usize,
    /// Bytes of a body for `/v1/route` and `/v1/feedback`.
    pub small_body: usize,
    /// Bytes of a body for `/v1/chat/completions`.
    pub chat_body: usize,
    /// Bytes of all bodies in flight together.
    pub all_bodies: usize,
    /// Bytes up to which an answer that is no stream is held back until it is whole; a larger one is passed on as it comes.
    pub held_back: usize,
    /// Time for a request's headers to arrive.
    pub headers_within: Duration,
    /// Time for a request's body to arrive.
    pub body_within: Duration,
    /// Time a connection may be without a request.
    pub idle: Duration,
    /// Time one upstream has to answer: to the first byte of a stream, to the last byte otherwise.
    pub upstream_within: Duration,
    /// Time for all upstreams of one request together, up to the first byte for the client.
    pub chain_within: Duration,
    /// Longest silence inside a stream.
    pub stream_silence: Duration,
    /// Time between "not ready" and the end of accepting, so that nobody is sent here any more.
    pub notice: Duration,
    /// Time open requests have after that.
    pub drain_within: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            in_flight: 1_000,
            small_body: 1024 * 1024,
            chat_body: 8 * 1024 * 1024,
            all_bodies: 32 * 1024 * 1024,
            held_back: 1024 * 1024,
            headers_within: Duration::from_secs(5),
            body_within: Duration::from_secs(30),
            idle: Duration::from_mins(1),
            upstream_within: Duration::from_mins(1),
            chain_within: Duration::from_mins(2),
            stream_silence: Duration::from_mins(1),
            notice: Duration::ZERO,
            drain_within: Duration::from_secs(20),
        }
    }
}
