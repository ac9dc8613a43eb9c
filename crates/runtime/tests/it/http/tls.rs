//! TLS from PEM files.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use http::Request;
use runtime::http::server::{self, Limits, Transport};
use runtime::http::tls::{self, TlsError};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::support::{Raw, Server, loopback, tasks};

struct Files {
    _folder: tempfile::TempDir,
    certificate: PathBuf,
    key: PathBuf,
}

fn files() -> Files {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("server.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    Files { _folder: folder, certificate, key }
}

async fn start(files: &Files, limits: Limits) -> Server {
    let transport = async |request: Request<axum::body::Body>| {
        format!("{:?}", request.extensions().get::<Transport>().unwrap())
    };
    let router = Router::new().route("/", get(transport));
    let config = tls::server(&files.certificate, &files.key).unwrap();
    let listener = server::bind(loopback()).await.unwrap();
    let (address, tasks) = (listener.local_addr().unwrap(), tasks());
    let counters = server::serve(listener, Some(config), router, limits, tasks.clone(), "test");
    Server { address, counters, tasks }
}

async fn connect(server: &Server, files: &Files, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&files.certificate).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let stream = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

#[tokio::test]
async fn http1_is_spoken_where_the_client_wants_it() {
    let files = files();
    let server = start(&files, Limits::default()).await;
    for protocols in [&[&b"http/1.1"[..]][..], &[]] {
        let mut stream = connect(&server, &files, protocols).await;
        let request = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("Tls"), "{answer}");
    }
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the client is no part of the process it tests")]
async fn http2_is_agreed_on_by_alpn() {
    let files = files();
    let server = start(&files, Limits::default()).await;
    let stream = connect(&server, &files, &[b"h2", b"http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let request = Request::get("https://localhost/").body(()).unwrap();
    let (response, _) = client.send_request(request, true).unwrap();
    let mut body = response.await.unwrap().into_body();
    assert_eq!(body.data().await.unwrap().unwrap(), "Tls");
}

#[tokio::test]
async fn a_handshake_that_does_not_come_holds_no_connection() {
    let files = files();
    let limits = Limits { tls_handshake_timeout_ms: 100, ..Limits::default() };
    let server = start(&files, limits).await;
    assert_eq!(Raw::to(server.address).await.rest().await, "");
    // Cleartext is no handshake either, and is not answered as if it were.
    let answer = Raw::to(server.address).await.ask("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(!answer.contains("HTTP"), "{answer}");
    server.open(0).await;
}

#[tokio::test]
async fn files_that_are_no_certificate_and_no_key_are_named() {
    let (files, others) = (files(), files());
    let missing = PathBuf::from("/nowhere/server.pem");
    let check = |certificate: &PathBuf, key: &PathBuf, expect: &str| {
        let error = tls::server(certificate, key).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    };
    check(&missing, &files.key, "cannot read the certificate \"/nowhere/server.pem\"");
    check(&files.certificate, &missing, "cannot read the private key");
    check(&files.key, &files.key, "there is no certificate in");
    check(&files.certificate, &files.certificate, "cannot read the private key");
    let error = tls::server(&files.certificate, &others.key).unwrap_err();
    assert!(matches!(error, TlsError::Pair { .. }), "{error}");
}
