//! Clients that hinder.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{
    Router, Setup, pair,
    upstream::{Behaviour, Upstream},
};
use tinydancer_server::data::Limits;

async fn impatient() -> Router {
    let up = Upstream::start(Behaviour::Answer).await;
    let limits = Limits {
        headers_within: Duration::from_millis(500),
        body_within: Duration::from_millis(500),
        idle: Duration::from_millis(1500),
        small_body: 1000,
        ..Setup::default().limits
    };
    Router::with(pair(&up, &up), Setup { limits, ..Setup::default() }).await
}

/// Sends bytes and reads until the router closes.
async fn exchange(router: &Router, pieces: &[&[u8]]) -> String {
    let mut stream = TcpStream::connect(router.address).await.unwrap();
    for piece in pieces {
        // The router may have closed already.
        let _ = stream.write_all(piece).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut answer = Vec::new();
    let read = timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
    // A reset is closed as well.
    assert!(read.is_ok(), "the router keeps the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_headers_is_closed() {
    let router = impatient().await;
    for pieces in [&[&b"POST /v1/route HTTP/1.1\r\nhost: a\r\n"[..]][..], &[b"PRI * HTT"], &[b""]] {
        assert_eq!(exchange(&router, pieces).await, "");
    }
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_second_request_is_closed() {
    let router = impatient().await;
    let answer = exchange(&router, &[b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n", b"GET /li"]).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("ok\n"), "{answer}");
}

#[tokio::test]
async fn an_idle_client_is_closed() {
    let router = impatient().await;
    let answer = exchange(&router, &[b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n"]).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_body_that_is_too_slow_too_large_or_broken_is_refused() {
    let router = impatient().await;
    let head = "POST /v1/route HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: ";
    let slow = exchange(&router, &[format!("{head}10\r\n\r\n{{").as_bytes()]).await;
    assert!(slow.starts_with("HTTP/1.1 408"), "{slow}");
    let body = "x".repeat(1001);
    let large = exchange(&router, &[format!("{head}1001\r\n\r\n{body}").as_bytes()]).await;
    assert!(large.starts_with("HTTP/1.1 413"), "{large}");
}

#[tokio::test]
async fn headers_that_are_too_many_too_long_or_ambiguous_are_refused() {
    let router = impatient().await;
    let body = "d\r\n{\"text\":\"hi\"}\r\n0\r\n\r\n";
    let many = "x: y\r\n".repeat(101);
    let long = format!("x: {}\r\n", "y".repeat(40_000));
    for (headers, status) in [
        ("transfer-encoding: chunked\r\n", "200"),
        (&format!("transfer-encoding: chunked\r\n{many}"), "431"),
        (&format!("transfer-encoding: chunked\r\n{long}"), "431"),
        ("content-length: 13\r\ncontent-length: 14\r\n", "400"),
        ("transfer-encoding: chunked, x\r\n", "400"),
        ("transfer-encoding: chunked\r\n folded: x\r\n", "400"),
    ] {
        let request =
            format!("POST /v1/route HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{headers}\r\n{body}");
        let answer = exchange(&router, &[request.as_bytes()]).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{headers:.40} {answer}");
    }
    let path = "a".repeat(9_000);
    let request = format!("GET /v1/models?{path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    let answer = exchange(&router, &[request.as_bytes()]).await;
    assert!(answer.starts_with("HTTP/1.1 414"), "{answer}");
}

#[tokio::test]
async fn others_are_served_while_some_hinder() {
    let router = impatient().await;
    let mut stuck = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(router.address).await.unwrap();
        stream.write_all(b"POST /v1/ro").await.unwrap();
        stuck.push(stream);
    }
    assert_eq!(router.chat().await.status(), 200);
    router.stop().await;
}
