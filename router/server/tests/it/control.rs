//! The control port over real connections on loopback.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, crypto::ring, version};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tinydancer_crds::Digest;
use tinydancer_guards::BasisPoints;
use tinydancer_protocol::{
    ASSIGNMENT_PATH, Assignment, EvidencePhase, MODELS_PATH, ModelState, PEER_FEEDBACK_PATH, Refusal,
    RefusalReason, Report, TrialStage, router_server_name,
};
use tinydancer_server::control::{Certificates, Control};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};
use tokio_rustls::TlsConnector;

use crate::{
    certificates::{Authority, Identified, mounted, write},
    pod::{Disk, Pod, faulty_model, identity, long_prompt, model, on_trial, promoted, settled},
};

/// A pod whose control port is open.
pub(crate) struct OpenPod {
    pub(crate) pod: Pod,
    pub(crate) address: SocketAddr,
    pub(crate) certificates: Arc<Certificates>,
    pub(crate) folder: TempDir,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl OpenPod {
    pub(crate) async fn start(disk: &Disk, authority: &Authority) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let folder = mounted(authority);
        let certificates = Arc::new(Certificates::read(folder.path()).unwrap());
        let pod = disk.start();
        let control = Control {
            identity: identity(&disk.pod),
            certificates: Arc::clone(&certificates),
            runtime: Arc::clone(&pod.runtime),
        };
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(control.serve(listener, async {
            let _ = stopped.await;
        }));
        Self { pod, address, certificates, folder, stop, served }
    }

    pub(crate) async fn close(self) -> Pod {
        self.stop.send(()).unwrap();
        self.served.await.unwrap();
        self.pod
    }

    async fn call(&self, client: &Client, method: Method, path: &str, body: impl Into<Bytes>) -> Answer {
        client.call(self.address, method, path, body).await.unwrap()
    }

    async fn assign(&self, client: &Client, assignment: &Assignment) -> Answer {
        self.call(client, Method::PUT, ASSIGNMENT_PATH, serde_json::to_vec(assignment).unwrap()).await
    }

    async fn put(&self, client: &Client, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let answer = self.call(client, Method::PUT, &format!("{MODELS_PATH}/{digest}"), bytes.to_vec()).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
        digest
    }
}

/// Somebody who calls.
struct Client(TlsConnector);

struct Answer {
    status: StatusCode,
    body: Bytes,
}

impl Answer {
    fn json<Message: DeserializeOwned>(&self) -> Message {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn refusal(&self) -> (u16, RefusalReason) {
        (self.status.as_u16(), self.json::<Refusal>().reason)
    }
}

impl Client {
    fn new(authority: &Authority, own: Option<&Identified>) -> Self {
        Self::with_versions(authority, own, &[&version::TLS13])
    }

    fn with_versions(
        authority: &Authority,
        own: Option<&Identified>,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let certificate = CertificateDer::from_pem_slice(own.certificate.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![certificate], key).unwrap()
            }
        };
        Self(TlsConnector::from(Arc::new(config)))
    }

    /// One call on a connection of its own; an error if the other side does not let it in.
    async fn call(
        &self,
        address: SocketAddr,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Result<Answer, Box<dyn std::error::Error>> {
        let name = ServerName::try_from(router_server_name("demo", "support"))?;
        let stream = self.0.connect(name, TcpStream::connect(address).await?).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "support")
            .body(Full::new(body.into()))?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        Ok(Answer { status, body: response.into_body().collect().await?.to_bytes() })
    }
}

#[tokio::test]
async fn the_operator_assigns_puts_models_and_reads_the_report() {
    let authority = Authority::new();
    let disk = Disk::new("support-0");
    let open = OpenPod::start(&disk, &authority).await;
    let operator = Client::new(&authority, Some(&authority.operator()));
    let (stable, candidate) = (model("stable"), model("candidate"));
    let assignment =
        on_trial(3, Some(Digest::of(&stable)), Digest::of(&candidate), 1, TrialStage::Canary, 25);
    let report: Report = open.assign(&operator, &assignment).await.json();
    assert_eq!((report.epoch, report.effective_weight), (3, BasisPoints::ZERO), "nothing is there yet");
    open.put(&operator, &stable).await;
    open.put(&operator, &candidate).await;
    let answer = open.call(&operator, Method::GET, ASSIGNMENT_PATH, "").await;
    let report: Report = answer.json();
    assert_eq!(report.effective_weight, BasisPoints::from_percent(25));
    assert_eq!(report.pod, "support-0");
    let stale = open.assign(&operator, &settled(2, None)).await;
    assert_eq!(stale.refusal(), (409, RefusalReason::StaleEpoch));
    assert_eq!(stale.json::<Refusal>().epoch, 3);
    assert_eq!(
        open.assign(&operator, &settled(3, None)).await.refusal(),
        (409, RefusalReason::EpochConflict)
    );
    let mut foreign = settled(9, None);
    foreign.policy.namespace = "elsewhere".to_owned();
    assert_eq!(open.assign(&operator, &foreign).await.refusal(), (403, RefusalReason::WrongPolicy));
    let pod = open.close().await;
    assert_eq!(pod.runtime.report().epoch, 3);
}

#[tokio::test]
async fn what_is_malformed_too_large_or_not_a_model_is_refused_each_with_its_own_reason() {
    let authority = Authority::new();
    let disk = Disk::new("support-0");
    let open = OpenPod::start(&disk, &authority).await;
    let operator = Client::new(&authority, Some(&authority.operator()));
    let answer = open.call(&operator, Method::PUT, ASSIGNMENT_PATH, "{\"epoch\": 1}").await;
    assert_eq!(answer.refusal(), (400, RefusalReason::Malformed));
    let answer = open.call(&operator, Method::PUT, ASSIGNMENT_PATH, vec![b' '; 2 << 20]).await;
    assert_eq!(answer.refusal(), (413, RefusalReason::TooLarge));
    let path = |digest: Digest| format!("{MODELS_PATH}/{digest}");
    let answer = open.call(&operator, Method::PUT, &path(Digest::of(b"a")), "b").await;
    assert_eq!(answer.refusal(), (422, RefusalReason::DigestMismatch));
    let answer = open.call(&operator, Method::PUT, &path(Digest::of(b"a")), "a").await;
    assert_eq!(answer.refusal(), (422, RefusalReason::ArtifactInvalid));
    let large = vec![0; 180 * 1024 + 1];
    let answer = open.call(&operator, Method::PUT, &path(Digest::of(&large)), large).await;
    assert_eq!(answer.refusal(), (413, RefusalReason::TooLarge));
    let answer = open.call(&operator, Method::PUT, &format!("{MODELS_PATH}/latest"), "a").await;
    assert_eq!(answer.refusal(), (400, RefusalReason::Malformed));
    let answer = open.call(&operator, Method::GET, "/v1/secrets", "").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_watch_is_taken_over_the_wire_and_beside_a_trial_it_is_refused() {
    let authority = Authority::new();
    let disk = Disk::new("support-0");
    let open = OpenPod::start(&disk, &authority).await;
    let operator = Client::new(&authority, Some(&authority.operator()));
    let (stable, previous) = (Digest::of(&model("stable")), Digest::of(&model("previous")));
    let watched = promoted(1, stable, previous, 1);
    let report: Report = open.assign(&operator, &watched).await.json();
    let missing = report.models.iter().map(|model| model.digest).collect::<Vec<_>>();
    assert_eq!(missing, [stable, previous]);
    open.put(&operator, &model("stable")).await;
    open.put(&operator, &model("previous")).await;
    open.pod.decide("hello", "key");
    let report: Report = open.call(&operator, Method::GET, ASSIGNMENT_PATH, "").await.json();
    let evidence = report.evidence.unwrap();
    assert_eq!((evidence.owner.phase, evidence.snapshot.pairs), (EvidencePhase::Watch, 1));
    let trial = on_trial(2, Some(stable), previous, 2, TrialStage::Shadow, 0).trial;
    let both = Assignment { trial, epoch: 2, ..watched };
    assert_eq!(open.assign(&operator, &both).await.refusal(), (400, RefusalReason::Malformed));
}

#[tokio::test]
async fn a_candidate_that_fails_on_the_pods_past_is_refused_in_answer_and_report() {
    let authority = Authority::new();
    let disk = Disk::new("support-0");
    let open = OpenPod::start(&disk, &authority).await;
    let operator = Client::new(&authority, Some(&authority.operator()));
    let stable = open.put(&operator, &model("stable")).await;
    open.assign(&operator, &settled(1, Some(stable))).await;
    open.pod.decide(&long_prompt(), "key");
    open.pod.history.flush().unwrap();
    let bytes = faulty_model();
    let digest = Digest::of(&bytes);
    open.assign(&operator, &on_trial(2, Some(stable), digest, 1, TrialStage::Staging, 0)).await;
    let answer = open.call(&operator, Method::PUT, &format!("{MODELS_PATH}/{digest}"), bytes).await;
    assert_eq!(answer.refusal(), (422, RefusalReason::ArtifactInvalid));
    let why = answer.json::<Refusal>().message;
    assert!(why.starts_with("replay: the model failed on 1 of 1 past decisions"), "{why}");
    let report: Report = open.call(&operator, Method::GET, ASSIGNMENT_PATH, "").await.json();
    assert_eq!(report.models[1].state, ModelState::Refused(why));
}

#[tokio::test]
async fn a_wrong_or_missing_certificate_gets_nothing() {
    let authority = Authority::new();
    let disk = Disk::new("support-0");
    let open = OpenPod::start(&disk, &authority).await;
    let foreign = Authority::new().operator();
    let operator = authority.operator();
    for client in [
        Client::new(&authority, None),
        Client::new(&authority, Some(&foreign)),
        Client::with_versions(&authority, Some(&operator), &[&version::TLS12]),
    ] {
        assert!(client.call(open.address, Method::GET, ASSIGNMENT_PATH, "").await.is_err());
    }
    let answer =
        Client::new(&authority, Some(&operator)).call(open.address, Method::GET, ASSIGNMENT_PATH, "").await;
    assert_eq!(answer.unwrap().status, StatusCode::OK, "the right one is let in");
}

#[tokio::test]
async fn each_certificate_may_make_its_own_calls_only() {
    let authority = Authority::new();
    let disk = Disk::new("support-0");
    let open = OpenPod::start(&disk, &authority).await;
    let two = ["tinydancer://operator", "tinydancer://demo/support"];
    let forbidden = (403, RefusalReason::Forbidden);
    for (own, who) in [
        (authority.router("support"), "a router of this policy"),
        (authority.router("other"), "a router of another policy"),
        (authority.issue(vec!["x".to_owned()], &[]), "nobody"),
        (authority.issue(Vec::new(), &two), "two at once"),
    ] {
        let client = Client::new(&authority, Some(&own));
        assert_eq!(open.assign(&client, &settled(1, None)).await.refusal(), forbidden, "{who}");
        let answer = open.call(&client, Method::GET, ASSIGNMENT_PATH, "").await;
        assert_eq!(answer.refusal(), forbidden, "{who}");
        let path = format!("{MODELS_PATH}/{}", Digest::of(b"a"));
        assert_eq!(open.call(&client, Method::PUT, &path, "a").await.refusal(), forbidden, "{who}");
    }
    for own in [authority.operator(), authority.router("other")] {
        let client = Client::new(&authority, Some(&own));
        assert_eq!(open.call(&client, Method::POST, PEER_FEEDBACK_PATH, "{}").await.refusal(), forbidden);
    }
    let peer = Client::new(&authority, Some(&authority.router("support")));
    let answer = open.call(&peer, Method::POST, PEER_FEEDBACK_PATH, "{}").await;
    assert_eq!(answer.refusal(), (400, RefusalReason::Malformed), "let in, but it is no feedback");
    assert_eq!(open.pod.runtime.report().epoch, 0);
}

#[tokio::test]
async fn while_a_ca_is_replaced_both_are_trusted_and_new_connections_get_the_new_certificate() {
    let (old, new) = (Authority::new(), Authority::new());
    let disk = Disk::new("support-0");
    let open = OpenPod::start(&disk, &old).await;
    let with_old = Client::new(&old, Some(&old.operator()));
    let with_new = Client::new(&new, Some(&new.operator()));
    let crossed = Client::new(&new, Some(&old.operator()));
    let get =
        async |client: &Client| client.call(open.address, Method::GET, ASSIGNMENT_PATH, "").await.is_ok();
    assert!(get(&with_old).await && !get(&with_new).await);
    write(open.folder.path(), &format!("{}{}", old.pem, new.pem), &new.router("support"));
    assert!(open.certificates.reload().unwrap());
    assert!(get(&crossed).await, "the old CA's client is trusted beside the new CA's certificate");
    assert!(get(&with_new).await);
    std::fs::write(open.folder.path().join("tls.key"), "half a key").unwrap();
    assert!(open.certificates.reload().is_err());
    assert!(get(&with_new).await, "what was read before stays");
    write(open.folder.path(), &new.pem, &new.router("support"));
    assert!(open.certificates.reload().unwrap());
    assert!(!get(&crossed).await, "the old CA is trusted no more");
}
