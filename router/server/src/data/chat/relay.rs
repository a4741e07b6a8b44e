//! Passes a stream of events on, byte by byte as it comes. One that breaks off ends with an error event, so that no
//! client takes half an answer for a whole one.

use std::{convert::Infallible, time::Duration};

use axum::body::Body;
use bytes::Bytes;

use super::{
    account::{Account, End},
    events::Events,
};

const BROKE_OFF: &str = "data: {\"error\":{\"message\":\"the upstream's answer broke off\",\"type\":\"server_error\",\
    \"param\":null,\"code\":\"upstream_truncated\"}}\n\n";

/// The rest of a stream.
struct Relay {
    first: Option<Bytes>,
    rest: reqwest::Response,
    events: Events,
    /// `None` once the stream has ended.
    account: Option<Account>,
    silence: Duration,
}

/// The body of a stream whose first bytes are there.
pub(super) fn body(first: Bytes, rest: reqwest::Response, account: Account, silence: Duration) -> Body {
    let relay =
        Relay { first: Some(first), rest, events: Events::default(), account: Some(account), silence };
    Body::from_stream(futures::stream::unfold(relay, Relay::next))
}

impl Relay {
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        self.account.as_ref()?;
        let bytes = match self.first.take() {
            Some(first) => Some(first),
            // Silence for too long and an error are the same: nothing more comes.
            None => tokio::time::timeout(self.silence, self.rest.chunk())
                .await
                .ok()
                .and_then(Result::ok)
                .flatten(),
        };
        if let Some(bytes) = bytes {
            self.events.push(&bytes);
            return Some((Ok(bytes), self));
        }
        let account = self.account.take()?;
        if self.events.finished() {
            account.settle(End::Complete, self.events.usage());
            return None;
        }
        account.settle(End::Broken, self.events.usage());
        let separator = if self.events.between() { "" } else { "\n\n" };
        Some((Ok(Bytes::from(format!("{separator}{BROKE_OFF}"))), self))
    }
}
