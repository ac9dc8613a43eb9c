//! Bad input through the front door: every answer says what is wrong, nothing is half kept, and the
//! server goes on.

mod clients;
mod uploads;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use ureq::http::{HeaderMap, HeaderName, HeaderValue};

use super::{Answer, Stack};

/// A client that waits longer than this has lost its answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The answer is a problem of this status whose detail has all the words.
fn assert_told(what: &str, answer: &Answer, status: u16, words: &[&str]) {
    let text = answer.text();
    assert_eq!(answer.status, status, "{what}: {text}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{what}: {text}");
    let problem = answer.json();
    assert_eq!(problem["status"], status, "{what}: {text}");
    assert!(problem["type"].as_str().is_some_and(|t| t.starts_with("urn:shieldx:problem:")));
    assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{what}: {text}");
    let detail = problem["detail"].as_str().expect("a detail");
    for word in words {
        assert!(detail.contains(word), "{what}: no {word:?} in {detail:?}");
    }
}

/// Every service is ready, and no handler has panicked.
fn assert_healthy(stack: &Stack) {
    for (service, url) in &stack.internal {
        let ready = stack.get("", &format!("{url}/readyz"));
        assert_eq!(ready.status, 200, "{service}: {}", ready.text());
    }
    assert!(!stack.log().contains("panicked"), "a handler panicked");
}

/// Every file below the folder of artifacts, half received ones among them.
fn kept(stack: &Stack) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![stack.data().join("artifacts")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    files
}

/// How many verifications the tenant has.
fn listed(stack: &Stack, key: &str) -> usize {
    let page = stack.get(key, "/v1/verifications").json();
    page["items"].as_array().expect("items").len()
}

fn address(stack: &Stack) -> SocketAddr {
    let server = stack.server.strip_prefix("http://").expect("a URL");
    server.parse().expect("an address")
}

fn connect(stack: &Stack) -> TcpStream {
    let stream = TcpStream::connect(address(stack)).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    stream.set_write_timeout(Some(PATIENCE)).expect("a time limit");
    stream
}

/// The head of a request after which the connection closes. `more` are whole lines.
fn head(key: &str, method: &str, target: &str, more: &str) -> String {
    format!(
        "{method} {target} HTTP/1.1\r\nhost: shieldx\r\nx-api-key: {key}\r\nconnection: close\r\n{more}\r\n"
    )
}

/// Says these bytes on a connection of their own and reads the answer to its end.
fn said(stack: &Stack, bytes: impl AsRef<[u8]>) -> Answer {
    let mut stream = connect(stack);
    // Who is refused early may be cut off while it still sends.
    let _ = stream.write_all(bytes.as_ref());
    heard(&mut stream)
}

fn heard(stream: &mut TcpStream) -> Answer {
    let mut all = Vec::new();
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        all.extend_from_slice(&buffer[..length]);
    }
    let end = all.windows(4).position(|window| window == b"\r\n\r\n");
    let shown = || String::from_utf8_lossy(&all).into_owned();
    let end = end.unwrap_or_else(|| panic!("no answer: {:?}", shown()));
    let text = String::from_utf8_lossy(&all[..end]).into_owned();
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status");
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        let name: HeaderName = name.parse().expect("a name");
        headers.append(name, HeaderValue::from_str(value).expect("a value"));
    }
    let body = all[end + 4..].to_vec();
    Answer { status: status.parse().expect("a number"), headers, body }
}

#[test]
fn what_is_malformed_is_told_in_words() {
    let stack = Stack::start();
    let key = &stack.key;
    let (telemetry, features) = ("/v1/sessions/s/telemetry", "/v1/features/a_view");
    let deep = "[".repeat(100_000);
    let row = |values: &str, time: &str| {
        format!(r#"{{"rows": [{{"entity": "e", "event_time": "{time}", "values": {values}}}]}}"#)
    };
    let (no_time, no_value) =
        (row("{\"n\": 1}", "yesterday"), row("{\"n\": [1]}", "2026-01-01T00:00:00Z"));
    let posts: [(&str, &[u8], u16, &[&str]); 15] = [
        (telemetry, b"", 400, &["JSON", "EOF"]),
        (telemetry, b"{\"subject\": ", 400, &["JSON", "EOF"]),
        (telemetry, b"{\"subject\": \"\xff\"}", 400, &["JSON", "unicode"]),
        (telemetry, b"{\"subject\": 5}", 422, &["subject", "string"]),
        (telemetry, b"{\"subject\": \"a\", \"keystrokes\": \"x\"}", 422, &["keystroke"]),
        (telemetry, b"{\"subject\": \"a\", \"keys\": [\"x\"]}", 422, &["unknown field `keys`"]),
        (telemetry, b"{\"subject\": \"a\", \"address\": \"here\"}", 422, &["address"]),
        ("/v1/sessions/%ff/telemetry", b"{}", 400, &["UTF-8", "id"]),
        ("/v1/sessions/a%20b/telemetry", b"{}", 400, &["session's id"]),
        (features, b"{\"rows\": [", 400, &["JSON", "EOF"]),
        (features, b"{\"rows\": 7}", 422, &["rows", "sequence"]),
        (features, no_time.as_bytes(), 422, &["event_time", "RFC 3339"]),
        (features, no_value.as_bytes(), 422, &["n:", "sequence"]),
        (features, deep.as_bytes(), 422, &["sequence"]),
        ("/v1/features/9view", b"{\"rows\": []}", 400, &["view's name"]),
    ];
    for (path, body, status, words) in posts {
        let what = format!("{path} {:?}", String::from_utf8_lossy(&body[..body.len().min(80)]));
        let answer = stack.post(key, path, &[("content-type", "application/json")], body);
        assert_told(&what, &answer, status, words);
    }
    for path in [telemetry, features] {
        let answer = stack.post(key, path, &[("content-type", "text/plain")], b"{}");
        assert_told(path, &answer, 415, &["application/json"]);
    }
    let gets: [(&str, u16, &[&str]); 14] = [
        ("/v1/verifications?limit=0", 400, &["limit", "1000"]),
        ("/v1/verifications?limit=many", 400, &["limit", "digit"]),
        ("/v1/verifications?before=then", 400, &["before", "no id"]),
        ("/v1/verifications?state=gone", 400, &["state", "queued"]),
        ("/v1/verifications?nonsense=1", 400, &["nonsense", "limit"]),
        ("/v1/verifications/no-id", 404, &["no such verification"]),
        ("/v1/verifications/%ff", 400, &["UTF-8"]),
        ("/v1/features/a_view/latest", 400, &["entity"]),
        ("/v1/features/a_view/latest?entity=e&max_age_ms=-1", 400, &["max_age_ms"]),
        ("/v1/traces/xyz", 400, &["trace's id"]),
        ("/v1/nothing", 404, &["no route"]),
        ("/v1/verifications/%2e%2e/x", 400, &["%2e"]),
        ("/v1/verifications/a%2fb", 400, &["%2f"]),
        ("/v1/verifications/%00", 400, &["control character"]),
    ];
    for (path, status, words) in gets {
        assert_told(path, &stack.get(key, path), status, words);
    }
    let answer = stack.ask(key, "put", "/v1/verifications");
    assert_told("PUT", &answer, 405, &[]);
    assert!(answer.header("allow").is_some_and(|allow| allow.contains("POST")));
    assert_eq!(stack.get(key, "/v1/features").json()["views"].as_array().expect("views").len(), 0);
    assert_eq!(stack.get(key, "/v1/sessions/s/risk").status, 404, "no session was begun");
    assert_healthy(&stack);
}

#[test]
fn a_key_that_opens_nothing_is_told_why() {
    let stack = Stack::start();
    let path = "/v1/verifications";
    let without = |lines: &str| {
        said(&stack, format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{lines}\r\n"))
    };
    assert_told("no key", &without(""), 401, &["needs an API key", "X-API-Key"]);
    assert_told("Basic", &without("authorization: Basic eDp4\r\n"), 401, &["needs an API key"]);
    assert!(without("").header("www-authenticate").is_some_and(|told| told.starts_with("Bearer")));
    let binary = said(
        &stack,
        [head("", "GET", path, "").replace("x-api-key: ", "x-api-key: \u{1}").as_bytes()].concat(),
    );
    assert_eq!(binary.status, 400, "control characters are no header: {}", binary.text());
    let foreign = stack.key.replace("sx_", "sx_0");
    for key in ["nothing", "sx_0000000000000000_0000", "' OR 1=1 --", foreign.as_str()] {
        assert_told(key, &stack.get(key, path), 401, &["not known"]);
    }
    let reader = stack.tenant_key("readers", "reader");
    let refused = stack.post(&reader, "/v1/verifications?file_name=a.sh", &[], b"#!/bin/sh\n");
    assert_told("a reader", &refused, 403, &["member", "reader"]);
    let id = reader.split('_').nth(1).expect("an id");
    assert!(stack.shieldx(&["key", "revoke", id]).status.success());
    super::until("the key is revoked", || stack.get(&reader, path).status == 401);
    assert_told("revoked", &stack.get(&reader, path), 401, &["revoked"]);

    let other = stack.tenant_key("other", "admin");
    let id =
        stack.submit(&stack.key, "a.sh", b"#!/bin/sh\n")["id"].as_str().expect("an id").to_owned();
    let nobodys = id.replace(|digit: char| digit.is_ascii_digit(), "0");
    let detail = |id: &str, below: &str| {
        let answer = stack.get(&other, &format!("{path}/{id}{below}"));
        assert_told(below, &answer, 404, &["no such verification"]);
        answer.json()["detail"].clone()
    };
    for below in ["", "/report", "/events"] {
        assert_eq!(detail(&id, below), detail(&nobodys, below), "{below}");
    }
    assert_healthy(&stack);
}
