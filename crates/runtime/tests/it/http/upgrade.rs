//! WebSocket through the forwarding server.

use std::time::Duration;

use runtime::http::forward::Config;
use runtime::http::server::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::support::{OK, Raw, Recorder, Reply, Server, client, loopback, tasks};

const ASK: &str = "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, Upgrade\r\n\
    upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const AGREE: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\n\
    upgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// An upstream whose side of one connection is the test's.
async fn upstream() -> (tokio::net::TcpListener, Server) {
    let listener = tokio::net::TcpListener::bind(loopback()).await.unwrap();
    let to = super::support::upstream(listener.local_addr().unwrap());
    let client = client(Config::default());
    (listener, Server::forwarding(client, to).await)
}

#[tokio::test]
async fn bytes_pass_both_ways_after_both_agreed() {
    let (listener, server) = upstream().await;
    let mut browser = server.connect().await;
    browser.say(ASK).await;
    let mut application = Raw(listener.accept().await.unwrap().0);
    let asked = application.until("\r\n\r\n").await;
    assert!(asked.contains("connection: upgrade\r\n") && asked.contains("upgrade: websocket\r\n"));
    assert!(asked.contains("sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), "{asked}");
    application.say(AGREE).await;
    let agreed = browser.until("\r\n\r\n").await;
    assert!(agreed.starts_with("HTTP/1.1 101"), "{agreed}");
    assert!(agreed.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{agreed}");
    for n in 0..50 {
        let (ping, pong) = (format!("ping {n};"), format!("pong {n};"));
        browser.say(&ping).await;
        application.until(&ping).await;
        application.say(&pong).await;
        browser.until(&pong).await;
    }
    // The end of one side reaches the other.
    browser.0.shutdown().await.unwrap();
    assert_eq!(application.rest().await, "");
    drop(application);
    assert_eq!(browser.rest().await, "");
    server.open(0).await;
}

/// CVE-2026-2833: bytes behind the request reached the upstream before it had agreed.
#[tokio::test]
async fn nothing_passes_before_the_upstream_agreed() {
    let (listener, server) = upstream().await;
    let mut browser = server.connect().await;
    browser.say(format!("{ASK}early")).await;
    let mut application = Raw(listener.accept().await.unwrap().0);
    let asked = application.until("\r\n\r\n").await;
    assert!(asked.ends_with("\r\n\r\n"), "{asked}");
    let mut byte = [0];
    let early = tokio::time::timeout(Duration::from_millis(200), application.0.read(&mut byte));
    assert!(early.await.is_err(), "a byte came before the 101");
    application.say(AGREE).await;
    application.until("early").await;
}

#[tokio::test]
async fn what_follows_a_refused_upgrade_is_a_request_of_its_own() {
    let refusal = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
    let recorder = Recorder::start(Reply::Always(refusal)).await;
    let server = Server::forwarding(client(Config::default()), recorder.upstream()).await;
    // Were it tunnelled, nobody would have decided on it, and the host would be the attacker's.
    let hidden = "GET /hidden HTTP/1.1\r\nhost: b\r\nx-shieldx-tenant: a\r\nhost: c\r\n\r\n";
    let answer = server.connect().await.ask(format!("{ASK}{hidden}")).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert!(answer.contains("HTTP/1.1 400"), "{answer}");
    assert!(!recorder.all().contains("hidden"), "{}", recorder.all());
}

#[tokio::test]
async fn only_websocket_is_a_reason_to_switch() {
    let recorder = Recorder::start(Reply::Always(OK)).await;
    let server = Server::forwarding(client(Config::default()), recorder.upstream()).await;
    for upgrade in ["h2c", "TLS/1.0", "websocket, h2c", "foo"] {
        let request = ASK.replace("upgrade: websocket", &format!("upgrade: {upgrade}"));
        let mut client = server.connect().await;
        client.say(request).await;
        client.until("ok").await;
    }
    let heard = recorder.all();
    assert!(!heard.contains("upgrade"), "{heard}");
}

#[tokio::test]
async fn an_upgrade_has_no_body_and_is_a_get() {
    let recorder = Recorder::start(Reply::Always(OK)).await;
    let server = Server::forwarding(client(Config::default()), recorder.upstream()).await;
    for request in [
        ASK.replace("GET", "POST"),
        ASK.replace("host: a", "host: a\r\ncontent-length: 5") + "hello",
        ASK.replace("host: a", "host: a\r\ntransfer-encoding: chunked") + "0\r\n\r\n",
    ] {
        let mut client = server.connect().await;
        client.say(&request).await;
        let answer = client.rest().await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{request}: {answer}");
    }
    // Upgrades came with HTTP/1.1; before, it is a header like any other.
    let answer = server.connect().await.ask(ASK.replace("HTTP/1.1", "HTTP/1.0")).await;
    assert!(answer.starts_with("HTTP/1.0 400"), "{answer}");
    assert_eq!(recorder.all(), "");
}

#[tokio::test]
async fn tunnels_end_with_the_process() {
    let listener = tokio::net::TcpListener::bind(loopback()).await.unwrap();
    let to = super::support::upstream(listener.local_addr().unwrap());
    let tasks = tasks();
    let client = runtime::http::forward::Client::new(Config::default(), tasks.clone());
    let server = Server::forwarding(client, to).await;
    let mut browser = server.connect().await;
    browser.say(ASK).await;
    let mut application = Raw(listener.accept().await.unwrap().0);
    application.until("\r\n\r\n").await;
    application.say(AGREE).await;
    browser.until("\r\n\r\n").await;
    tasks.shutdown().begin();
    assert_eq!(browser.rest().await, "");
    assert_eq!(application.rest().await, "");
    assert!(tasks.shutdown().drained(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn a_silent_tunnel_is_ended_and_a_talking_one_is_not() {
    let listener = tokio::net::TcpListener::bind(loopback()).await.unwrap();
    let to = super::support::upstream(listener.local_addr().unwrap());
    let config = Config { tunnel_idle_timeout_ms: 300, ..Config::default() };
    // Short limits of the listener are for requests, not for tunnels.
    let limits = Limits { idle_timeout_ms: 50, send_idle_timeout_ms: 50, ..Limits::default() };
    let client = client(config);
    let forward = async move |request: http::Request<axum::body::Body>| {
        client.forward(request, &to).await.unwrap()
    };
    let server = Server::serve(axum::Router::new().fallback(forward), limits).await;
    let mut browser = server.connect().await;
    browser.say(ASK).await;
    let mut application = Raw(listener.accept().await.unwrap().0);
    application.until("\r\n\r\n").await;
    application.say(AGREE).await;
    browser.until("\r\n\r\n").await;
    for n in 0..20 {
        application.say(format!("still {n};")).await;
        browser.until(&format!("still {n};")).await;
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    assert_eq!(browser.rest().await, "");
    assert_eq!(application.rest().await, "");
}

/// hyper hands an upgradable connection over when its client is done, agreed or not.
#[tokio::test]
async fn a_client_that_asked_to_switch_and_leaves_holds_nothing() {
    let recorder = Recorder::start(Reply::Always(OK)).await;
    let server = Server::forwarding(client(Config::default()), recorder.upstream()).await;
    let mut client = server.connect().await;
    client.say(ASK).await;
    client.until("ok").await;
    client.0.shutdown().await.unwrap();
    assert_eq!(client.rest().await, "");
    server.open(0).await;
}
