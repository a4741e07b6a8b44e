//! Passes an answer on as it comes, byte by byte. A stream of events that breaks off ends with an error event, so that no
//! client takes half an answer for a whole one; another answer that breaks off breaks the client's connection off.

use std::{io, time::Duration};

use axum::body::Body;
use bytes::Bytes;

use super::{
    account::{Account, End},
    events::Events,
};
use crate::audit::Answer;

const BROKE_OFF: &str = "data: {\"error\":{\"message\":\"the upstream's answer broke off\",\"type\":\"server_error\",\
    \"param\":null,\"code\":\"upstream_truncated\"}}\n\n";

/// The rest of an answer.
struct Relay {
    first: Option<Bytes>,
    rest: reqwest::Response,
    /// Reads along in a stream of events; nothing reads along in another answer.
    events: Option<Events>,
    /// `None` once the answer has ended.
    account: Option<Account>,
    silence: Duration,
}

/// What comes next from an upstream.
enum Next {
    Bytes(Bytes),
    /// The end, as far as HTTP knows.
    End,
    /// An error, or silence for too long.
    Broken,
}

/// The body of an answer whose first bytes are there.
pub(super) fn body(
    first: Bytes,
    rest: reqwest::Response,
    events: bool,
    account: Account,
    silence: Duration,
) -> Body {
    let events = events.then(|| if account.is_audited() { Events::with_text() } else { Events::default() });
    let relay = Relay { first: Some(first), rest, events, account: Some(account), silence };
    Body::from_stream(futures::stream::unfold(relay, Relay::next))
}

impl Relay {
    async fn next(mut self) -> Option<(io::Result<Bytes>, Self)> {
        self.account.as_ref()?;
        let next = self.receive().await;
        if let Next::Bytes(bytes) = next {
            if let Some(events) = &mut self.events {
                events.push(&bytes);
            }
            return Some((Ok(bytes), self));
        }
        let account = self.account.take()?;
        let usage = self.events.as_ref().and_then(Events::usage);
        match (&mut self.events, next) {
            (_, Next::End) if !self.rest.status().is_success() => account.settle(End::Refused, None),
            (Some(events), _) if events.finished() => {
                account.complete(usage, events.take_text().map(Answer::Text));
            }
            (Some(events), _) => {
                account.settle(End::Broken, usage);
                let separator = if events.between() { "" } else { "\n\n" };
                return Some((Ok(Bytes::from(format!("{separator}{BROKE_OFF}"))), self));
            }
            (None, Next::Broken) => {
                account.settle(End::Broken, None);
                return Some((Err(io::Error::other("the upstream's answer broke off")), self));
            }
            (None, _) => account.complete(None, Some(Answer::TooLong)),
        }
        None
    }

    async fn receive(&mut self) -> Next {
        if let Some(first) = self.first.take() {
            return Next::Bytes(first);
        }
        match tokio::time::timeout(self.silence, self.rest.chunk()).await {
            Ok(Ok(Some(bytes))) => Next::Bytes(bytes),
            Ok(Ok(None)) => Next::End,
            Ok(Err(_)) | Err(_) => Next::Broken,
        }
    }
}
