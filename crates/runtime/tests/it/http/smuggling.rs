//! Requests that two readers could understand differently, said byte by byte to a forwarding server
//! whose upstream records what arrives. A case is good when the upstream hears nothing, or exactly
//! one request that means the same, and nothing of what was hidden behind it.
//!
//! The cases follow the HTTP Garden's mutations and RFC 9112 §11.2.

use runtime::http::forward::Config;

use super::support::{OK, Recorder, Reply, Server, client};

/// What may become of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Answered with this status; the upstream hears nothing.
    Refused(u16),
    /// The upstream hears it in one meaning; the hidden request is not heard.
    Cleaned,
}

/// What is hidden in the bodies; were it heard as a request, it was smuggled.
const HIDDEN: &str = "GET /hidden HTTP/1.1";

async fn check(name: &str, request: &[u8], fate: Fate) {
    let recorder = Recorder::start(Reply::Always(OK)).await;
    let server = Server::forwarding(client(Config::default()), recorder.upstream()).await;
    let mut raw = server.connect().await;
    raw.say(request).await;
    let answer = raw.rest().await;
    let heard = recorder.all();
    let as_request = heard.lines().any(|line| line.starts_with(HIDDEN));
    match fate {
        Fate::Refused(status) => {
            assert!(answer[8..].starts_with(&format!(" {status} ")), "{name}: {answer}");
            assert_eq!(answer.matches("HTTP/1.").count(), 1, "{name}: {answer}");
            assert_eq!(heard, "", "{name}: refused and forwarded");
        }
        Fate::Cleaned => {
            assert!(answer.starts_with("HTTP/1.1 200 "), "{name}: {answer}");
            assert!(!as_request, "{name}: smuggled: {heard}");
            assert_eq!(heard.matches("\r\nx-forwarded-for: ").count(), 1, "{name}: {heard}");
            let (length, coding) =
                (heard.contains("content-length: "), heard.contains("transfer-encoding: "));
            assert!(!(length && coding), "{name}: two lengths: {heard}");
        }
    }
}

/// A POST with these header lines, and a body.
fn post(lines: &str, body: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nhost: a\r\n{lines}\r\n{body}").into_bytes()
}

#[tokio::test]
async fn lengths() {
    use Fate::{Cleaned, Refused};
    let hidden = format!("{HIDDEN}\r\nhost: a\r\n\r\n");
    // RFC 9112 §6.3: `chunked` counts, the length is dropped, and the connection ends behind it.
    let chunked = format!("0\r\n\r\n{hidden}");
    for lines in [
        "content-length: 4\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 4\r\n",
    ] {
        check(lines, &post(lines, &chunked), Cleaned).await;
    }
    for (lines, status) in [
        ("content-length: 1\r\ncontent-length: 2\r\n", 400),
        ("content-length: +1\r\n", 400),
        ("content-length: -1\r\n", 400),
        ("content-length: 0x1\r\n", 400),
        ("content-length: 1, 2\r\n", 400),
        ("content-length: 1 1\r\n", 400),
        ("content-length: \r\n", 400),
        ("content-length: 99999999999999999999999\r\n", 400),
        ("content-length : 1\r\n", 400),
        ("content-length\t: 1\r\n", 400),
        (" content-length: 1\r\n", 400),
        ("x: y\r\n content-length: 1\r\n", 400),
        ("content-length: 1\rx\r\n", 400),
        ("content-length: 1\0\r\n", 400),
    ] {
        check(lines, &post(lines, &hidden), Refused(status)).await;
    }
}

#[tokio::test]
async fn codings() {
    use Fate::Refused;
    let hidden = format!("0\r\n\r\n{HIDDEN}\r\nhost: a\r\n\r\n");
    for lines in [
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding: identity\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: chunked, chunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: x\r\n",
        "transfer-encoding: ,chunked\r\n",
        "transfer-encoding: \"chunked\"\r\n",
        "transfer-encoding: \u{b}chunked\r\n",
        "transfer-encoding:\r\n chunked\r\n",
        "transfer-encoding : chunked\r\n",
        "transfer-encoding: chunked;x=y\r\n",
    ] {
        check(lines, &post(lines, &hidden), Refused(400)).await;
    }
    // No chunks existed in HTTP/1.0 (CVE-2026-2835).
    let old = format!("POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{hidden}");
    check("HTTP/1.0 with chunks", old.as_bytes(), Refused(400)).await;
}

#[tokio::test]
async fn chunks() {
    let lines = "transfer-encoding: chunked\r\nconnection: close\r\n";
    let hidden = format!("{HIDDEN}\r\nhost: a\r\n\r\n");
    // Well-formed, and said again by us in the one plain way.
    for body in [
        "0\r\n\r\n".to_owned(),
        "2;ext=\"a\"\r\nhi\r\n0\r\n\r\n".to_owned(),
        "00002\r\nhi\r\n0\r\n\r\n".to_owned(),
        format!("{:x}\r\n-{hidden}\r\n0\r\n\r\n", hidden.len() + 1),
        "2\r\nhi\r\n0\r\nx-trailer: 1\r\ncontent-length: 5\r\n\r\n".to_owned(),
    ] {
        check(&body, &post(lines, &body), Fate::Cleaned).await;
    }
    // Broken in the middle: the request has begun, so it breaks off; nothing of the rest is heard
    // as a request.
    for body in [
        format!("2\nhi\n0\n\n{hidden}"),
        format!("2\r\nhixx0\r\n\r\n{hidden}"),
        format!("0x2\r\nhi\r\n0\r\n\r\n{hidden}"),
        format!("-1\r\nhi\r\n0\r\n\r\n{hidden}"),
        format!("+2\r\nhi\r\n0\r\n\r\n{hidden}"),
        format!("fffffffffffffffff\r\nhi\r\n0\r\n\r\n{hidden}"),
        format!("2;a\nb\r\nhi\r\n0\r\n\r\n{hidden}"),
        format!(" 2\r\nhi\r\n0\r\n\r\n{hidden}"),
        format!("2_0\r\nhi\r\n0\r\n\r\n{hidden}"),
        format!("\r\n2\r\nhi\r\n0\r\n\r\n{hidden}"),
    ] {
        let recorder = Recorder::start(Reply::Nothing).await;
        let config = Config { response_timeout_ms: 500, ..Config::default() };
        let server = Server::forwarding(client(config), recorder.upstream()).await;
        let answer = server.connect().await.ask(post(lines, &body)).await;
        assert!(!answer.starts_with("HTTP/1.1 2"), "{body:?}: {answer}");
        let heard = recorder.all();
        assert!(!heard.lines().any(|line| line.starts_with(HIDDEN)), "{body:?}: {heard}");
    }
}

#[tokio::test]
async fn hosts_and_targets() {
    use Fate::{Cleaned, Refused};
    let get = |line: &str, headers: &str| {
        format!("{line}\r\n{headers}connection: close\r\n\r\n").into_bytes()
    };
    for (line, headers, fate) in [
        ("GET / HTTP/1.1", "", Refused(400)),
        ("GET / HTTP/1.0", "", Refused(400)),
        ("GET / HTTP/1.1", "host:\r\n", Refused(400)),
        ("GET / HTTP/1.1", "host: a\r\nhost: a\r\n", Refused(400)),
        ("GET / HTTP/1.1", "host: a\r\nHost: b\r\n", Refused(400)),
        ("GET / HTTP/1.1", "host: a b\r\n", Refused(400)),
        ("GET / HTTP/1.1", "host: a@b\r\n", Refused(400)),
        ("GET / HTTP/1.1", "host: a/b\r\n", Refused(400)),
        ("GET / HTTP/1.1", "host: a:x\r\n", Refused(400)),
        ("GET / HTTP/1.1", "host: a:\r\n", Refused(400)),
        ("GET / HTTP/1.1", "host: a?b\r\n", Refused(400)),
        ("GET http://b/ HTTP/1.1", "host: a\r\n", Refused(400)),
        ("GET http://a@b/ HTTP/1.1", "host: b\r\n", Refused(400)),
        ("GET ftp://a/ HTTP/1.1", "host: a\r\n", Refused(400)),
        ("GET http://A/ HTTP/1.1", "host: a\r\n", Cleaned),
        ("GET / HTTP/1.1", "host: A:80\r\n", Cleaned),
        ("GET a HTTP/1.1", "host: a\r\n", Refused(400)),
        ("GET * HTTP/1.1", "host: a\r\n", Refused(400)),
        ("GET /%00 HTTP/1.1", "host: a\r\n", Refused(400)),
        ("GET /a%0d%0ab HTTP/1.1", "host: a\r\n", Refused(400)),
        ("GET /%7f HTTP/1.1", "host: a\r\n", Refused(400)),
        ("GET /a b HTTP/1.1", "host: a\r\n", Refused(400)),
        ("GET\t/ HTTP/1.1", "host: a\r\n", Refused(400)),
        ("GET / HTTP/1.1\r\nx", "host: a\r\n", Refused(400)),
        ("CONNECT a:80 HTTP/1.1", "host: a:80\r\n", Refused(405)),
        ("TRACE / HTTP/1.1", "host: a\r\n", Refused(405)),
        ("GET / HTTP/1.1", "host: a\r\nexpect: 200-ok\r\n", Refused(417)),
        ("GET / HTTP/9.9", "host: a\r\n", Refused(400)),
    ] {
        check(&format!("{line} {headers}"), &get(line, headers), fate).await;
    }
}

/// A server that answers before it reads a body must not take the body for the next request.
#[tokio::test]
async fn a_body_that_was_not_asked_for_is_no_request() {
    let body = format!("{HIDDEN}\r\nhost: a\r\n\r\n");
    for lines in [
        format!("content-length: {}\r\nexpect: 200-ok\r\n", body.len()),
        format!("content-length: {}\r\nhost: b\r\n", body.len()),
    ] {
        let recorder = Recorder::start(Reply::Always(OK)).await;
        let server = Server::forwarding(client(Config::default()), recorder.upstream()).await;
        let mut raw = server.connect().await;
        raw.say(post(&lines, &body)).await;
        let answer = raw.rest().await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        assert_eq!(recorder.all(), "");
    }
}
