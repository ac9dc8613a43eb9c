//! HTTP/2 with prior knowledge, in good and in bad faith.

use std::time::Duration;

use http::{Request, StatusCode};
use runtime::http::forward::Config;
use runtime::http::server::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::support::{FOREVER, OK, Raw, Recorder, Reply, Server, client};

type Client = h2::client::SendRequest<bytes::Bytes>;

#[expect(clippy::disallowed_methods, reason = "the client is no part of the process it tests")]
async fn connect(server: &Server) -> (Client, tokio::task::JoinHandle<Result<(), h2::Error>>) {
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    (client, tokio::spawn(connection))
}

fn get(server: &Server) -> Request<()> {
    Request::get(format!("http://{}/", server.address)).body(()).unwrap()
}

async fn hello(server: &Server) {
    let (client, _connection) = connect(server).await;
    let mut client = client.ready().await.unwrap();
    let (response, _) = client.send_request(get(server), true).unwrap();
    let response = response.await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_client_that_knows_it_speaks_http2_without_tls() {
    let server = Server::start(Limits::default()).await;
    hello(&server).await;
}

#[tokio::test]
async fn many_requests_share_a_connection_and_it_says_goodbye_at_the_end() {
    let server = Server::start(Limits::default()).await;
    let (client, connection) = connect(&server).await;
    let mut client = client.ready().await.unwrap();
    let asked: Vec<_> =
        (0..50).map(|_| client.send_request(get(&server), true).unwrap().0).collect();
    for response in asked {
        assert_eq!(response.await.unwrap().status(), StatusCode::OK);
    }
    server.tasks.shutdown().begin();
    tokio::time::timeout(FOREVER, connection).await.unwrap().unwrap().unwrap();
    assert!(server.tasks.shutdown().drained(Duration::from_secs(5)).await);
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const CANCEL: u32 = 8;
/// `GET http://x/` in HPACK.
const GET: &[u8] = &[0x82, 0x86, 0x84, 0x41, 1, b'x'];

async fn greet(server: &Server) -> Raw {
    let mut client = server.connect().await;
    client.say(PREFACE).await;
    client.say(frame(SETTINGS, 0, 0, &[])).await;
    client
}

/// Says the same frame until the server has had enough.
async fn flood(client: &mut Raw, frames: &[u8]) {
    let (mut reading, mut writing) = client.0.split();
    let listening = async {
        let mut sink = [0; 4096];
        while let Ok(1..) = reading.read(&mut sink).await {}
    };
    let saying = async { while writing.write_all(frames).await.is_ok() {} };
    let ended = async {
        tokio::select! { () = listening => {}, () = saying => {} }
    };
    tokio::time::timeout(FOREVER, ended).await.expect("the flood was taken");
}

/// CVE-2023-44487. The frames are said by hand: a client's library does not even send a request that
/// was reset at once.
#[tokio::test]
async fn rapid_reset_ends_the_connection_and_not_the_server() {
    let server = Server::start(Limits::default()).await;
    let mut client = greet(&server).await;
    let mut frames = Vec::new();
    for stream in (1..200_000).step_by(2) {
        frames.extend(frame(HEADERS, END_HEADERS, stream, GET));
        frames.extend(frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes()));
    }
    let (mut reading, mut writing) = client.0.split();
    let mut heard = Vec::new();
    let talking = async {
        let saying = async { drop(writing.write_all(&frames).await) };
        let listening = async { drop(reading.read_to_end(&mut heard).await) };
        tokio::join!(saying, listening);
    };
    tokio::time::timeout(FOREVER, talking).await.expect("a hundred thousand resets were taken");
    let calm = u32::from(h2::Reason::ENHANCE_YOUR_CALM).to_be_bytes();
    assert!(heard.windows(4).any(|four| four == calm), "no GOAWAY that says so in {heard:?}");
    server.open(0).await;
    assert_eq!(server.ended("protocol"), 1);
    hello(&server).await;
}

/// VU#421644.
#[tokio::test]
async fn a_header_that_is_continued_for_ever_ends_the_connection() {
    let server = Server::start(Limits::default()).await;
    for piece in [&[][..], &[0x40; 512]] {
        let mut client = greet(&server).await;
        client.say(frame(HEADERS, 0, 1, &[0x82])).await;
        flood(&mut client, &frame(CONTINUATION, 0, 1, piece)).await;
    }
    server.open(0).await;
    hello(&server).await;
}

#[tokio::test]
async fn a_header_that_is_begun_and_left_holds_no_connection() {
    let limits = Limits { idle_timeout_ms: 100, ..Limits::default() };
    let server = Server::start(limits).await;
    let mut client = greet(&server).await;
    client.say(frame(HEADERS, 0, 1, &[0x82])).await;
    client.rest().await;
    server.open(0).await;
}

#[tokio::test]
async fn pings_keep_no_connection_without_requests() {
    let limits = Limits { idle_timeout_ms: 100, ..Limits::default() };
    let server = Server::start(limits).await;
    let mut client = greet(&server).await;
    let pinging = async {
        while client.0.write_all(&frame(PING, 0, 0, &[7; 8])).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(FOREVER, pinging).await.unwrap();
    server.open(0).await;
}

#[tokio::test]
async fn settings_and_pings_whose_answers_nobody_reads_are_bounded() {
    let limits = Limits { idle_timeout_ms: 1_000, ..Limits::default() };
    let server = Server::start(limits).await;
    for kind in [SETTINGS, PING] {
        let payload: &[u8] = if kind == PING { &[7; 8] } else { &[] };
        let mut client = greet(&server).await;
        let frames = frame(kind, 0, 0, payload).repeat(1_000);
        let saying = async { while client.0.write_all(&frames).await.is_ok() {} };
        tokio::time::timeout(FOREVER, saying).await.expect("the flood was taken");
    }
    server.open(0).await;
    hello(&server).await;
}

#[tokio::test]
async fn streams_whose_window_stays_closed_are_given_up() {
    let limits = Limits { send_idle_timeout_ms: 200, idle_timeout_ms: 100, ..Limits::default() };
    let server = Server::start(limits).await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let handshake = h2::client::Builder::new().initial_window_size(10).handshake(stream);
    let (client, connection): (Client, _) = handshake.await.unwrap();
    let connection = async { drop(connection.await) };
    let asking = async {
        let mut client = client.ready().await.unwrap();
        let request = Request::get(format!("http://{}/endless", server.address)).body(()).unwrap();
        let (response, _) = client.send_request(request, true).unwrap();
        let body = response.await.unwrap().into_body();
        std::future::pending::<()>().await;
        drop((body, client));
    };
    let ended = async {
        tokio::select! { () = connection => {}, () = asking => {} }
    };
    tokio::time::timeout(FOREVER, ended).await.expect("the stream was kept");
    assert_eq!(server.ended("stalled"), 1);
}

#[tokio::test]
async fn what_http1_only_says_between_neighbours_is_no_http2() {
    let server = Server::start(Limits::default()).await;
    for (name, value) in [("connection", "close"), ("transfer-encoding", "chunked")] {
        let (client, _connection) = connect(&server).await;
        let mut client = client.ready().await.unwrap();
        let mut request = get(&server);
        request.headers_mut().insert(name, value.parse().unwrap());
        let refused = match client.send_request(request, true) {
            // The client's own library refuses it; then nothing is left to prove.
            Err(_) => continue,
            Ok((response, _)) => response.await.unwrap_err(),
        };
        assert_eq!(refused.reason(), Some(h2::Reason::PROTOCOL_ERROR), "{name}");
    }
}

/// A request's header in HPACK: literals that no table changes.
fn header(path: &str, authority: &str, lines: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| {
        let mut bytes = vec![u8::try_from(text.len()).unwrap()];
        bytes.extend(text.as_bytes());
        bytes
    };
    let mut block = vec![0x82, 0x86, 0x04];
    block.extend(text(path));
    block.push(0x01);
    block.extend(text(authority));
    for (name, value) in lines {
        block.push(0);
        block.extend(text(name));
        block.extend(text(value));
    }
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &block)
}

#[tokio::test]
async fn what_http2_can_say_and_http1_cannot_reaches_no_upstream() {
    let recorder = Recorder::start(Reply::Always(OK)).await;
    let server = Server::forwarding(client(Config::default()), recorder.upstream()).await;
    let hidden = "a\r\n\r\nGET /hidden HTTP/1.1\r\nhost: a";
    for request in [
        header("/ HTTP/1.1\r\nx: y", "a", &[]),
        header("/\n", "a", &[]),
        header("/ x", "a", &[]),
        header("x", "a", &[]),
        header("", "a", &[]),
        header("/", "a\r\nx: y", &[]),
        header("/", "u@a", &[]),
        header("/", "", &[]),
        header("/", "a", &[("host", "b")]),
        header("/", "a", &[("x", hidden)]),
        header("/", "a", &[("x", "a\0b")]),
        header("/", "a", &[("x: y\r\nz", "1")]),
        header("/", "a", &[("X", "1")]),
        header("/", "a", &[("", "1")]),
        header("/", "a", &[("transfer-encoding", "chunked")]),
        header("/", "a", &[("connection", "close")]),
        header("/", "a", &[("content-length", "5")]),
        header("/", "a", &[("content-length", "+0")]),
        header("/", "a", &[("content-length", "0"), ("content-length", "0")]),
        header("/", "a", &[(":path", "/twice")]),
        header("/", "a", &[("x", "1"), (":late", "1")]),
        header("/%0d%0ax", "a", &[]),
    ] {
        let mut client = greet(&server).await;
        client.say(&request).await;
        client.say(frame(PING, 0, 0, b"the end.")).await;
        // The answer to the ping, or the end of the connection, proves that the request was read.
        let text = String::from_utf8_lossy(&request).into_owned();
        let reading = async {
            let (mut heard, mut buffer) = (Vec::new(), [0; 1024]);
            while let Ok(length @ 1..) = client.0.read(&mut buffer).await {
                heard.extend_from_slice(&buffer[..length]);
                if heard.windows(8).any(|eight| eight == b"the end.") {
                    break;
                }
            }
        };
        tokio::time::timeout(FOREVER, reading).await.expect("it was not read");
        assert_eq!(recorder.all(), "", "{text:?}");
    }
    let mut good = greet(&server).await;
    good.say(header("//a/%2e%2e?b", "shop.test:1", &[("cookie", "a=1"), ("cookie", "b=2")])).await;
    good.until("ok").await;
    let heard = recorder.all();
    assert!(heard.starts_with("GET //a/%2e%2e?b HTTP/1.1\r\n"), "{heard}");
    assert!(
        heard.contains("host: shop.test:1\r\n") && heard.contains("cookie: a=1; b=2\r\n"),
        "{heard}"
    );
}
