use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use super::*;

/// What a test server does with a request: what it writes, and whether it then keeps the connection open.
type Answer = fn(path: &str, port: u16) -> (Vec<u8>, bool);

struct Server {
    port: u16,
    authority: String,
    connects: Arc<AtomicUsize>,
}

async fn serve(address: &str, answer: Answer) -> Server {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let tls = ServerConfig::builder().with_no_client_auth();
    let tls = tls.with_single_cert(vec![certificate.der().clone()], private).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connects = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connects);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut request = [0; 4096];
                let length = stream.read(&mut request).await.unwrap_or(0);
                let text = String::from_utf8_lossy(&request[..length]).into_owned();
                let (bytes, hold) = answer(text.split(' ').nth(1).unwrap_or("/"), port);
                let _ = stream.write_all(&bytes).await;
                let _ = stream.flush().await;
                if hold {
                    std::future::pending::<()>().await;
                }
                let _ = stream.shutdown().await;
            });
        }
    });
    Server { port, authority: certificate.pem(), connects }
}

fn source(server: &Server, allowed: &[&str]) -> HttpsSource {
    let allowed: Vec<IpNet> = allowed.iter().map(|range| range.parse().unwrap()).collect();
    let mut source = HttpsSource::new(&allowed, Some(server.authority.as_bytes())).unwrap();
    source.total_time = Duration::from_millis(1500);
    source
}

fn plain(body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

fn answers(path: &str, port: u16) -> (Vec<u8>, bool) {
    let redirect = |to: String| {
        format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n").into_bytes()
    };
    match path {
        "/model" => (plain(b"weights"), false),
        "/edge" => (plain(&vec![7; 180 * 1024]), false),
        "/large" => (plain(&vec![7; 180 * 1024 + 1]), false),
        // Says nothing of its length and does not end.
        "/endless" => ([b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &vec![7; 400 * 1024]].concat(), true),
        "/short" => (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nweights".to_vec(), false),
        "/slow" => (b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nw".to_vec(), true),
        "/silent" => (Vec::new(), true),
        "/gzip" => {
            (b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 7\r\n\r\nweights".to_vec(), false)
        }
        "/missing" => (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec(), false),
        "/loop" => (redirect("/loop".to_owned()), false),
        "/3" => (redirect("/2".to_owned()), false),
        "/2" => (redirect("/1".to_owned()), false),
        "/1" => (redirect("/model".to_owned()), false),
        "/to-plain" => (redirect(format!("http://127.0.0.1:{port}/model")), false),
        "/to-user" => (redirect(format!("https://user:secret@127.0.0.1:{port}/model")), false),
        "/to-nowhere" => (b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n".to_vec(), false),
        to => match to.strip_prefix("/to-port-") {
            Some(private) => (redirect(format!("https://127.0.0.2:{private}/model")), false),
            None => (Vec::new(), false),
        },
    }
}

#[tokio::test]
async fn a_file_is_fetched_from_an_allowed_range_by_name_and_by_address() {
    let server = serve("127.0.0.1", answers).await;
    let source = source(&server, &["127.0.0.1/32", "::1/128"]);
    let by_address = source.fetch(&format!("https://127.0.0.1:{}/model", server.port)).await.unwrap();
    assert_eq!(by_address, "weights");
    let by_name = source.fetch(&format!("https://localhost:{}/model", server.port)).await.unwrap();
    assert_eq!(by_name, "weights");
    let at_most = source.fetch(&format!("https://127.0.0.1:{}/edge", server.port)).await.unwrap();
    assert_eq!(at_most.len(), 180 * 1024);
}

#[tokio::test]
async fn an_address_that_is_not_public_is_never_connected_to_however_it_is_written() {
    let server = serve("127.0.0.1", answers).await;
    let source = source(&server, &[]);
    let port = server.port;
    let hosts = [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "017700000001",
        "0",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "127。0。0。1",
        "①②⑦.0.0.1",
        "%31%32%37.0.0.1",
        "169.254.169.254",
        "10.0.0.1",
        "100.64.0.1",
        "[fd00::1]",
        "[fe80::1]",
        "224.0.0.1",
    ];
    for host in hosts {
        let error = source.fetch(&format!("https://{host}:{port}/model")).await.unwrap_err();
        assert!(
            matches!(error, HttpsError::Address | HttpsError::Resolve(_) | HttpsError::Url),
            "{host}: {error:?}"
        );
    }
    assert_eq!(server.connects.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn other_schemes_and_credentials_are_not_fetched() {
    let server = serve("127.0.0.1", answers).await;
    let source = source(&server, &["127.0.0.1/32"]);
    let port = server.port;
    for url in [
        format!("http://127.0.0.1:{port}/model"),
        format!("https://user@127.0.0.1:{port}/model"),
        format!("https://user:secret@127.0.0.1:{port}/model"),
        format!("https://8.8.8.8:{port}@127.0.0.1:{port}/model"),
        "file:///etc/passwd".to_owned(),
        "ftp://127.0.0.1/model".to_owned(),
        "https://".to_owned(),
        "nonsense".to_owned(),
        String::new(),
    ] {
        assert!(matches!(source.fetch(&url).await, Err(HttpsError::Url)), "{url}");
    }
    assert_eq!(server.connects.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_redirect_to_an_address_that_is_not_allowed_is_not_followed() {
    let server = serve("127.0.0.1", answers).await;
    let private = serve("127.0.0.2", answers).await;
    let source = source(&server, &["127.0.0.1/32"]);
    let url = format!("https://127.0.0.1:{}/to-port-{}", server.port, private.port);
    assert!(matches!(source.fetch(&url).await, Err(HttpsError::Address)));
    assert_eq!(server.connects.load(Ordering::SeqCst), 1);
    assert_eq!(private.connects.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn redirects_are_bounded_and_stay_with_https() {
    let server = serve("127.0.0.1", answers).await;
    let source = source(&server, &["127.0.0.1/32"]);
    let fetch = async |path: &str| source.fetch(&format!("https://127.0.0.1:{}{path}", server.port)).await;
    assert_eq!(fetch("/3").await.unwrap(), "weights");
    assert!(matches!(fetch("/loop").await, Err(HttpsError::Redirects)));
    assert!(matches!(fetch("/to-nowhere").await, Err(HttpsError::Redirects)));
    assert!(matches!(fetch("/to-plain").await, Err(HttpsError::Url)));
    assert!(matches!(fetch("/to-user").await, Err(HttpsError::Url)));
}

#[tokio::test]
async fn size_time_length_and_encoding_are_bounded() {
    let server = serve("127.0.0.1", answers).await;
    let source = source(&server, &["127.0.0.1/32"]);
    let fetch = async |path: &str| source.fetch(&format!("https://127.0.0.1:{}{path}", server.port)).await;
    assert!(matches!(fetch("/large").await, Err(HttpsError::TooLarge(_))));
    assert!(matches!(fetch("/endless").await, Err(HttpsError::TooLarge(_))));
    assert!(matches!(fetch("/short").await, Err(HttpsError::Transfer(_))));
    assert!(matches!(fetch("/gzip").await, Err(HttpsError::Encoded)));
    assert!(matches!(fetch("/missing").await, Err(HttpsError::Status(StatusCode::NOT_FOUND))));
    assert!(matches!(fetch("/slow").await, Err(HttpsError::Timeout)));
    assert!(matches!(fetch("/silent").await, Err(HttpsError::Timeout)));
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_is_not_believed() {
    let server = serve("127.0.0.1", answers).await;
    let source = HttpsSource::new(&["127.0.0.1/32".parse().unwrap()], None).unwrap();
    let error = source.fetch(&format!("https://127.0.0.1:{}/model", server.port)).await.unwrap_err();
    assert!(matches!(error, HttpsError::Transfer(_)), "{error:?}");
}

#[test]
fn what_a_tenant_reads_says_nothing_of_urls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    assert!(
        HttpsSource::new(&[], Some(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
            .is_err()
    );
    assert!(!HttpsError::Address.to_string().contains("127"));
}
