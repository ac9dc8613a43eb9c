//! A whole server and a collector that nobody here wrote (Python's opentelemetry-proto on grpcio), over
//! both protocols: it gets one trace through every service, and when it hangs, refuses or is stopped,
//! nobody notices.
#![expect(clippy::unwrap_used, reason = "what fails here should fail the test")]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::{Stack, until};
use crate::lab::skip;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const SCRIPT: &[u8] = b"#!/bin/sh\necho hello\n";
const SERVICES: [&str; 5] = ["ingress", "gateway", "contauth", "verifier-pool", "ml-service"];

/// A collector that runs until it is dropped.
struct Receiver {
    child: Child,
    url: String,
    /// What it was sent, a line for each request.
    seen: Arc<Mutex<Vec<Value>>>,
}

impl Receiver {
    fn start(protocol: &str, answers: &str) -> Option<Self> {
        let program = std::env::current_exe().unwrap();
        let python = program.ancestors().nth(3).unwrap().join("otlp-receiver/bin/python");
        if !python.exists() {
            skip(
                "a whole server and a real OTLP receiver",
                "opentelemetry-proto and grpcio are missing",
            );
            return None;
        }
        let script = "../runtime/tests/it/telemetry/otlp_receiver.py";
        let mut child = Command::new(python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(script))
            .args([protocol, answers])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut port = String::new();
        lines.read_line(&mut port).unwrap();
        let seen = Arc::default();
        let kept = Arc::clone(&seen);
        std::thread::spawn(move || keep(lines, &kept));
        Some(Self { child, url: format!("http://127.0.0.1:{}", port.trim()), seen })
    }

    /// The services that spans of the trace came from.
    fn services(&self) -> BTreeSet<String> {
        let seen = self.seen.lock().unwrap();
        let spans = seen.iter().flat_map(|request| request["spans"].as_array().unwrap());
        let of_trace = spans.filter(|span| span["trace_id"] == TRACE);
        let name = |span: &Value| span["resource"]["service.name"].as_str().unwrap().to_owned();
        of_trace.map(name).collect()
    }
}

fn keep(lines: BufReader<ChildStdout>, seen: &Mutex<Vec<Value>>) {
    for line in lines.lines().map_while(Result::ok) {
        seen.lock().unwrap().push(serde_json::from_str(&line).unwrap());
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn stack(url: &str, protocol: &str) -> Stack {
    let protocol = if protocol == "grpc" { "grpc" } else { "http/protobuf" };
    let variables =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", url), ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)];
    Stack::with("", &variables)
}

fn submit(stack: &Stack) {
    let headers = [("traceparent", PARENT)];
    let answer = stack.post(&stack.key, "/v1/verifications?file_name=x.sh", &headers, SCRIPT);
    assert_eq!(answer.status, 202, "{}", answer.text());
    let found = stack.finished(&stack.key, answer.json()["id"].as_str().unwrap());
    assert_eq!(found["state"], "done", "{found}");
}

#[test]
fn a_real_receiver_gets_one_trace_through_every_service_over_both_protocols() {
    for protocol in ["grpc", "http"] {
        let Some(receiver) = Receiver::start(protocol, "ok") else { return };
        let stack = stack(&receiver.url, protocol);
        submit(&stack);
        until("every service in one trace", || receiver.services().len() >= SERVICES.len());
        let wanted: BTreeSet<String> = SERVICES.map(str::to_owned).into();
        assert_eq!(receiver.services(), wanted, "{protocol}");
        let health = stack.shieldx(&["health"]);
        let text = String::from_utf8_lossy(&health.stdout);
        assert!(health.status.success() && text.contains("collector"), "{text}");
    }
}

/// By order and not by the clock: while the receiver still hangs, requests are answered, runs end and
/// the server shuts down.
#[test]
fn a_receiver_that_hangs_refuses_or_is_stopped_is_noticed_by_nobody() {
    for protocol in ["grpc", "http"] {
        let refusal = if protocol == "grpc" { "UNAVAILABLE" } else { "503" };
        for answers in ["hang", refusal, "stopped"] {
            let stopped = answers == "stopped";
            let Some(receiver) = Receiver::start(protocol, if stopped { "ok" } else { answers })
            else {
                return;
            };
            let url = receiver.url.clone();
            let kept = (!stopped).then_some(receiver);
            let mut stack = stack(&url, protocol);
            submit(&stack);
            if let Some(receiver) = &kept {
                until("it was sent something", || !receiver.seen.lock().unwrap().is_empty());
            }
            submit_again(&stack);
            assert_eq!(stack.stop(), Some(0), "{protocol} {answers}: {}", stack.log());
            drop(kept);
        }
    }
}

fn submit_again(stack: &Stack) {
    for _ in 0..20 {
        assert_eq!(stack.get(&stack.key, "/v1/verifications?limit=1").status, 200);
    }
    submit(stack);
}
