//! Clients that do not behave: what they say is no HTTP or too much of it, or they say nothing and
//! stay. Each bound by itself is proved where it is (`crates/runtime/tests`, `crates/ingress/tests`);
//! here the whole server has all of them at once and goes on answering others.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;

use tokio::net::TcpSocket;

use super::super::{Stack, resident_kib};
use super::{PATIENCE, address, assert_healthy, assert_told, connect, head, heard, said};
use crate::lab::skip;

const IDLE: usize = 950;
const SLOW: usize = 60;
/// Descriptors that this test has open at most.
const DESCRIPTORS: u64 = 2_048;
/// A thousand connections, each with what one may buffer here.
const GROWTH_MAX_KIB: u64 = 96 * 1024;

#[test]
fn what_is_no_http_is_refused_at_the_door() {
    let stack = Stack::start();
    let get = |target: &str, lines: &str| head(&stack.key, "GET", target, lines);
    let many: String = (0..200).map(|n| format!("x-{n}: a\r\n")).collect();
    let cases = [
        ("no HTTP", "nonsense\r\n\r\n".to_owned(), 400),
        (
            "a large header",
            get("/v1/verifications", &format!("x: {}\r\n", "a".repeat(70_000))),
            431,
        ),
        ("many headers", get("/v1/verifications", &many), 431),
        ("a header without a name", get("/v1/verifications", ": a\r\n"), 400),
        ("a NUL", get("/v1/verifications", "x: \0\r\n"), 400),
        ("a long target", get(&format!("/{}", "a".repeat(70_000)), ""), 414),
    ];
    for (what, request, status) in cases {
        let answer = said(&stack, request);
        // The parser answers these itself, without a body, and closes.
        let expected = answer.status == status || (status == 414 && answer.status == 431);
        assert!(expected, "{what}: {} {}", answer.status, answer.text());
    }
    let told: [(&str, String, u16, &[&str]); 5] = [
        ("no host", "GET / HTTP/1.1\r\n\r\n".to_owned(), 400, &["Host"]),
        ("two hosts", get("/", "host: other\r\n"), 400, &["Host"]),
        (
            "two lengths",
            get("/", "transfer-encoding: gzip, chunked\r\n") + "0\r\n\r\n",
            400,
            &["length"],
        ),
        ("TRACE", head(&stack.key, "TRACE", "/", ""), 405, &["TRACE"]),
        ("a wish", get("/", "expect: miracle\r\n"), 417, &["100-continue"]),
    ];
    for (what, request, status, words) in told {
        assert_told(what, &said(&stack, request), status, words);
    }
    assert_healthy(&stack);
}

/// A connection from another address of this machine.
fn elsewhere(stack: &Stack) -> TcpStream {
    let connecting = async {
        let socket = TcpSocket::new_v4()?;
        socket.bind(([127, 0, 0, 2], 0).into())?;
        socket.connect(address(stack)).await?.into_std()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let stream = runtime.expect("a runtime").block_on(connecting).expect("a connection");
    stream.set_nonblocking(false).expect("a blocking connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    stream
}

fn descriptors() -> u64 {
    let limits = fs::read_to_string("/proc/self/limits").expect("limits");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("a limit");
    line.split_whitespace().nth(3).and_then(|word| word.parse().ok()).unwrap_or(u64::MAX)
}

#[test]
fn a_thousand_clients_that_stay_do_not_keep_another_from_being_served() {
    if descriptors() < DESCRIPTORS {
        skip("a thousand idle clients", "the limit of open files is too low (ulimit -n)");
        return;
    }
    let stack = Stack::start();
    let ask = |stack: &Stack| {
        let mut stream = elsewhere(stack);
        stream
            .write_all(head(&stack.key, "GET", "/v1/verifications", "").as_bytes())
            .expect("sent");
        heard(&mut stream)
    };
    assert_eq!(ask(&stack).status, 200);
    let before_kib = resident_kib(stack.pid());

    let mut all: Vec<TcpStream> = (0..IDLE).map(|_| connect(&stack)).collect();
    let slow_header = "GET /v1/verifications HTTP/1.1\r\nhost: a\r\nx: ";
    let slow = stack.tenant_key("slow", "member");
    let slow_body = head(&slow, "POST", "/v1/verifications", "content-length: 1000000\r\n");
    for number in 0..SLOW {
        let mut stream = connect(&stack);
        let said = if number % 2 == 0 { slow_header } else { &slow_body };
        stream.write_all(said.as_bytes()).expect("sent");
        all.push(stream);
    }
    for _ in 0..50 {
        // Those that were told to go meanwhile are gone, and the others say a little more.
        for stream in all.iter_mut().skip(IDLE) {
            let _ = stream.write_all(b"a");
        }
        let answer = ask(&stack);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let id = {
        let mut stream = elsewhere(&stack);
        let script = "#!/bin/sh\necho still here\n";
        let lines = format!("content-length: {}\r\n", script.len());
        let request = head(&stack.key, "POST", "/v1/verifications?file_name=a.sh", &lines) + script;
        stream.write_all(request.as_bytes()).expect("sent");
        let accepted = heard(&mut stream);
        assert_eq!(accepted.status, 202, "{}", accepted.text());
        accepted.json()["id"].as_str().expect("an id").to_owned()
    };
    let growth_kib = resident_kib(stack.pid()).saturating_sub(before_kib);
    assert!(growth_kib < GROWTH_MAX_KIB, "{growth_kib} KiB more");
    drop(all);
    assert_eq!(stack.finished(&stack.key, &id)["verdict"], "benign");
    assert_healthy(&stack);
}
