//! A small LLM.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Body, extract::Request, response::Response};
use bytes::Bytes;
use futures::StreamExt as _;
use http::{HeaderMap, StatusCode};
use tokio::net::TcpListener;

/// What an upstream was sent.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// How an upstream answers.
#[derive(Debug, Clone)]
pub(crate) enum Behaviour {
    /// With a whole answer that counts 10 and 20 tokens.
    Answer,
    /// With this status, headers and body.
    Status(u16, Vec<(&'static str, String)>, &'static str),
    /// With events in these pieces; then the stream ends.
    Events(Vec<&'static [u8]>),
    /// With events in these pieces; then the connection breaks.
    BrokenEvents(Vec<&'static [u8]>),
    /// With half an answer; then the connection breaks.
    BrokenAnswer,
    /// With an answer of so many bytes, whole or broken off.
    Large(usize, bool),
    /// Not at all.
    Silence,
}

/// An upstream on a port of its own.
pub(crate) struct Upstream {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    behaviour: Arc<Mutex<Behaviour>>,
}

impl Upstream {
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let behaviour = Arc::new(Mutex::new(behaviour));
        let (log, script) = (Arc::clone(&received), Arc::clone(&behaviour));
        let router = Router::new().fallback(async move |request: Request| {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            assert_eq!(parts.uri.path(), "/v1/chat/completions");
            log.lock().unwrap().push(Received { headers: parts.headers, body });
            let behaviour = script.lock().unwrap().clone();
            Ok::<_, Infallible>(answer(behaviour).await)
        });
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { address, received, behaviour }
    }

    /// An address where nobody listens.
    pub(crate) async fn absent() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { address, received: Arc::default(), behaviour: Arc::new(Mutex::new(Behaviour::Silence)) }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub(crate) fn set(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
    }

    /// Everything it was sent.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.received.lock().unwrap().len()
    }
}

fn broken<T>() -> std::io::Result<T> {
    Err(std::io::Error::other("broken on purpose"))
}

async fn answer(behaviour: Behaviour) -> Response {
    match behaviour {
        Behaviour::Answer => Response::builder()
            .header("content-type", "application/json")
            .header("x-upstream", "kept")
            .body(Body::from(r#"{"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":20}}"#))
            .unwrap(),
        Behaviour::Status(status, headers, body) => {
            let mut response = Response::new(Body::from(body));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            response
        }
        Behaviour::Events(pieces) => events(futures::stream::iter(pieces.into_iter().map(Ok)).boxed()),
        Behaviour::BrokenEvents(pieces) => {
            events(futures::stream::iter(pieces.into_iter().map(Ok).chain([broken()])).boxed())
        }
        Behaviour::BrokenAnswer => {
            let pieces: [std::io::Result<&[u8]>; 2] = [Ok(b"{\"choices\":"), broken()];
            Response::new(Body::from_stream(futures::stream::iter(pieces)))
        }
        Behaviour::Large(bytes, whole) => {
            let pieces = std::iter::repeat_with(|| Ok(vec![b' '; 1000])).take(bytes / 1000);
            let end = (!whole).then(broken);
            Response::new(Body::from_stream(futures::stream::iter(pieces.chain(end))))
        }
        Behaviour::Silence => std::future::pending().await,
    }
}

/// One piece after the other, each for itself on the wire.
fn events(pieces: futures::stream::BoxStream<'static, std::io::Result<&'static [u8]>>) -> Response {
    let paced = pieces.then(async |piece| {
        tokio::time::sleep(Duration::from_millis(2)).await;
        piece
    });
    Response::builder()
        .header("content-type", "text/event-stream")
        .body(Body::from_stream(paced.boxed()))
        .unwrap()
}
