use std::sync::{Arc, Mutex};

use tinydancer_protocol::{PROTOCOL_VERSION, RefusalReason, StepProgress};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::certificates::{Authority, tests::router_server};

fn certificates() -> Certificates {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Certificates::new(Authority::make(OffsetDateTime::now_utc()).unwrap())
}

pub(crate) fn a_report(pod: &str) -> Report {
    Report {
        protocol_version: PROTOCOL_VERSION,
        pod: pod.to_owned(),
        incarnation: "0198c0de-0000-7000-8000-000000000001".parse().unwrap(),
        policy_uid: None,
        epoch: 0,
        configuration_digest: None,
        stable: None,
        classified: false,
        models: Vec::new(),
        effective_weight: tinydancer_guards::BasisPoints::ZERO,
        lease_remaining_millis: None,
        step: StepProgress::default(),
        evidence: None,
        stable_uncertainty: None,
        trips: Vec::new(),
        upstreams: Vec::new(),
        history_writable: true,
        calibration: Vec::new(),
        drift: None,
    }
}

/// A router of `policy` that gives every request this answer and notes the request lines.
async fn router(
    certificates: &Certificates,
    policy: &str,
    status: &str,
    body: Vec<u8>,
) -> (u16, Arc<Mutex<Vec<String>>>) {
    let acceptor = TlsAcceptor::from(Arc::new(router_server(certificates, "team", policy)));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = vec![0; 65536];
            let length = stream.read(&mut request).await.unwrap_or(0);
            let text = String::from_utf8_lossy(&request[..length]).into_owned();
            noted.lock().unwrap().push(text.lines().next().unwrap_or_default().to_owned());
            let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
            let _ = stream.shutdown().await;
        }
    });
    (port, seen)
}

fn of(policy: &str) -> Router {
    Router { namespace: "team".into(), policy: policy.into(), address: [127, 0, 0, 1].into() }
}

#[tokio::test]
async fn a_router_is_asked_by_its_fleets_name_at_its_own_address() {
    let certificates = certificates();
    let report = a_report("support-router-0");
    let (port, seen) = router(&certificates, "support", "200 OK", serde_json::to_vec(&report).unwrap()).await;
    let routers = Routers::new(certificates, Metrics::default()).on_port(port);
    assert_eq!(routers.report(&of("support")).await.unwrap(), report);
    assert_eq!(*seen.lock().unwrap(), ["GET /v1/assignment HTTP/1.1"]);
}

#[tokio::test]
async fn a_pod_of_another_policy_cannot_answer_in_its_place() {
    let certificates = certificates();
    let (port, seen) =
        router(&certificates, "sales", "200 OK", serde_json::to_vec(&a_report("x")).unwrap()).await;
    let routers = Routers::new(certificates, Metrics::default()).on_port(port);
    let error = routers.report(&of("support")).await.unwrap_err();
    assert!(matches!(error, RouterError::Call(_)), "{error:?}");
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_router_of_another_installation_is_not_believed() {
    let (port, seen) =
        router(&certificates(), "support", "200 OK", serde_json::to_vec(&a_report("x")).unwrap()).await;
    let routers = Routers::new(certificates(), Metrics::default()).on_port(port);
    assert!(matches!(routers.report(&of("support")).await, Err(RouterError::Call(_))));
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_refusal_is_heard_with_its_reason() {
    let certificates = certificates();
    let refusal = Refusal { reason: RefusalReason::DigestMismatch, message: "other bytes".into(), epoch: 3 };
    let body = serde_json::to_vec(&refusal).unwrap();
    let (port, seen) = router(&certificates, "support", "422 Unprocessable Entity", body).await;
    let routers = Routers::new(certificates, Metrics::default()).on_port(port);
    let digest = Digest::of(b"weights");
    let error = routers.put_model(&of("support"), &digest, Bytes::from_static(b"weights")).await.unwrap_err();
    assert!(matches!(error, RouterError::Refused { refusal: heard, .. } if *heard == refusal));
    assert_eq!(*seen.lock().unwrap(), [format!("PUT /v1/models/{digest} HTTP/1.1")]);
}

#[tokio::test]
async fn an_answer_that_is_no_message_or_has_no_end_is_foreign() {
    let certificates = certificates();
    for body in [b"<html>".to_vec(), vec![b' '; MOST_BYTES + 1]] {
        let (port, _) = router(&certificates, "support", "200 OK", body).await;
        let routers = Routers::new(certificates.clone(), Metrics::default()).on_port(port);
        assert!(matches!(routers.report(&of("support")).await, Err(RouterError::Foreign(_))));
    }
}
