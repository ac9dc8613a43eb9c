//! Traces against a collector nobody here wrote: Python's opentelemetry-proto on grpcio, and over HTTP.
//! `cargo xtask test` installs it; without it these tests are skipped.
//!
//! That nothing waits for a collector is shown by order and not by the clock: while it still hangs,
//! spans end and shutdown returns.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use runtime::telemetry::{self, Exported, Settings};
use serde_json::Value;
use tracing::info_span;

use super::{settings, within};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const NONE: Exported = Exported { exported: 0, rejected: 0, failed: 0, dropped: 0 };

/// The Python that has what is needed: beside the profiles of the target folder.
fn python() -> Option<PathBuf> {
    let program = std::env::current_exe().unwrap();
    let target = program.ancestors().nth(3).unwrap();
    let python = target.join("otlp-receiver/bin/python");
    python.exists().then_some(python)
}

/// Past the harness, which would keep it to itself.
fn skip(what: &str) {
    let _ = writeln!(std::io::stderr(), "SKIP {what}");
}

/// A collector that runs until it is dropped.
struct Receiver {
    child: Child,
    /// What it printed, read at once: a full pipe would be one more collector that hangs.
    lines: mpsc::Receiver<String>,
    port: u16,
}

impl Receiver {
    fn start(protocol: &str, answers: &str, files: &[&Path]) -> Option<Self> {
        let Some(python) = python() else {
            skip("a real OTLP receiver: Python with opentelemetry-proto and grpcio is missing");
            return None;
        };
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/telemetry/otlp_receiver.py");
        let mut child = Command::new(python)
            .arg(script)
            .args([protocol, answers])
            .args(files)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let printed = BufReader::new(child.stdout.take().unwrap());
        let (told, lines) = mpsc::channel();
        std::thread::spawn(move || {
            printed.lines().map_while(Result::ok).try_for_each(|line| told.send(line))
        });
        let mut receiver = Self { child, lines, port: 0 };
        receiver.port = receiver.line().unwrap().parse().expect("it tells its port");
        Some(receiver)
    }

    /// The next line; none when it has ended.
    fn line(&self) -> Option<String> {
        self.lines.recv().ok()
    }

    /// The next request it was sent; it waits for one.
    fn request(&self) -> Value {
        serde_json::from_str(&self.line().expect("a request")).unwrap()
    }

    /// What it was sent and was not asked for; it ends.
    fn rest(mut self) -> Vec<Value> {
        drop(self.child.stdin.take());
        let lines = std::iter::from_fn(|| self.line());
        lines.map(|line| serde_json::from_str(&line).unwrap()).collect()
    }

    fn settings(&self, protocol: &str) -> Settings {
        to(&format!("http://127.0.0.1:{}", self.port), protocol)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Settings for a collector at this address.
fn to(address: &str, protocol: &str) -> Settings {
    let protocol = if protocol == "grpc" { "grpc" } else { "http/protobuf" };
    settings(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", address),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-team=blue,authorization=Bearer%20secret"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
    ])
}

/// One trace through two services, with a link to a third.
fn trace() {
    let server = info_span!(parent: None, "request", service.name = "ingress",
        otel.name = "POST /v1/x", otel.kind = "server");
    telemetry::continue_trace(&server, PARENT);
    let traceparent = server.in_scope(|| telemetry::current_traceparent().unwrap());
    let server = info_span!(parent: None, "request", service.name = "gateway");
    telemetry::continue_trace(&server, &traceparent);
    telemetry::link(&server, &PARENT.replace("4bf9", "aaaa"));
    server.in_scope(|| info_span!(target: "sandbox::run", "run").in_scope(|| {}));
}

/// Ends so many spans that a request is sent at once.
fn batch() {
    (0..512).for_each(|_| info_span!("work").in_scope(|| {}));
}

fn spans_arrive(protocol: &str) {
    let Some(receiver) = Receiver::start(protocol, "ok", &[]) else { return };
    let (telemetry, ()) = within(receiver.settings(protocol), |_| trace());
    assert_eq!(telemetry.shutdown(), Exported { exported: 3, ..NONE });
    let request = receiver.request();
    assert_eq!(request["headers"]["x-team"], "blue", "{request}");
    assert_eq!(request["headers"]["authorization"], "Bearer secret");
    let agent = request["headers"]["user-agent"].as_str().unwrap();
    assert!(agent.starts_with("OTel-OTLP-Exporter-shieldx/"), "{agent}");
    if protocol == "grpc" {
        assert_eq!(request["headers"]["deadline"], true);
    } else {
        assert_eq!(request["headers"][":path"], "/v1/traces");
    }
    let find = |name: &str| {
        let mut spans = request["spans"].as_array().unwrap().iter();
        spans.find(|span| span["name"] == name).unwrap()
    };
    let expected = [("POST /v1/x", "ingress"), ("request", "gateway"), ("run", "verifier-pool")];
    for (name, service) in expected {
        let span = find(name);
        assert_eq!(span["resource"]["service.name"], service);
        assert_eq!(span["resource"]["service.namespace"], "shieldx");
        assert_eq!(span["resource"]["deployment.environment.name"], "test");
        assert_eq!(span["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(span["scope"], "shieldx");
    }
    assert_eq!(find("POST /v1/x")["parent_id"], "00f067aa0ba902b7");
    assert_eq!(find("request")["parent_id"], find("POST /v1/x")["span_id"]);
    assert_eq!(find("run")["parent_id"], find("request")["span_id"]);
    let link = &find("request")["links"][0];
    assert_eq!(
        (&link[0], &link[1]),
        (&"aaaa2f3577b34da6a3ce929d0e0e4736".into(), &"00f067aa0ba902b7".into())
    );
    assert_eq!(receiver.rest(), Vec::<Value>::new(), "one request for all services");
}

#[test]
fn spans_arrive_over_grpc_under_the_resources_of_their_services() {
    spans_arrive("grpc");
}

#[test]
fn spans_arrive_over_http_under_the_resources_of_their_services() {
    spans_arrive("http");
}

#[test]
fn over_tls_spans_arrive_where_the_certificate_is_trusted_and_nowhere_else() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let files = [folder.path().join("server.pem"), folder.path().join("key.pem")];
    std::fs::write(&files[0], made.cert.pem()).unwrap();
    std::fs::write(&files[1], made.signing_key.serialize_pem()).unwrap();
    let Some(receiver) = Receiver::start("grpc", "ok", &[&files[0], &files[1]]) else { return };
    let address = format!("https://localhost:{}", receiver.port);
    let given = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*address),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", files[0].to_str().unwrap()),
    ];
    for (variables, expected) in [
        (&given[..], Exported { exported: 3, ..NONE }),
        (&given[..2], Exported { failed: 3, ..NONE }),
    ] {
        let (telemetry, ()) = within(settings(variables), |_| trace());
        assert_eq!(telemetry.shutdown(), expected);
    }
    assert_eq!(receiver.rest().len(), 1);
}

#[test]
fn what_a_collector_answers_decides_what_spans_count_as_and_how_often_they_are_sent() {
    let all = |protocol, answers| {
        let receiver = Receiver::start(protocol, answers, &[])?;
        let (telemetry, ()) = within(receiver.settings(protocol), |telemetry| {
            batch();
            let settled =
                |outcome: Exported| outcome.exported + outcome.rejected + outcome.failed == 512;
            while !settled(telemetry.exported()) {
                std::thread::yield_now();
            }
        });
        Some((telemetry.shutdown(), receiver.rest().len()))
    };
    let taken = Exported { exported: 512, ..NONE };
    let refused = Exported { rejected: 512, ..NONE };
    let failed = Exported { failed: 512, ..NONE };
    for (protocol, answers, expected) in [
        ("grpc", "partial:12", (Exported { exported: 500, rejected: 12, ..NONE }, 1)),
        ("http", "partial:12", (Exported { exported: 500, rejected: 12, ..NONE }, 1)),
        ("grpc", "UNAVAILABLE,UNAVAILABLE,ok", (taken, 3)),
        ("grpc", "UNAVAILABLE", (failed, 4)),
        ("grpc", "INVALID_ARGUMENT,ok", (refused, 1)),
        ("grpc", "UNAUTHENTICATED,ok", (refused, 1)),
        // It does not say when there will be more.
        ("grpc", "RESOURCE_EXHAUSTED,ok", (refused, 1)),
        ("http", "503,429,ok", (taken, 3)),
    ] {
        let Some(found) = all(protocol, answers) else { return };
        assert_eq!(found, expected, "{protocol} {answers}");
    }
}

/// A request is on its way and never answered; what waits for it would wait for ever.
fn hanging(protocol: &str) {
    let Some(mut receiver) = Receiver::start(protocol, "hang", &[]) else { return };
    let (telemetry, ()) = within(receiver.settings(protocol), |telemetry| {
        batch();
        assert_eq!(receiver.request()["spans"].as_array().unwrap().len(), 512);
        // It hangs now. More spans than the queue holds still end, and their traces are there.
        let id = (0..10_000).fold(String::new(), |_, _| {
            info_span!("work").in_scope(|| telemetry::current_trace_id().unwrap())
        });
        assert!(telemetry.traces().get(&id).is_some());
        let Exported { exported, failed, dropped, .. } = telemetry.exported();
        assert_eq!((exported, failed), (0, 0), "it has not answered, and is still asked");
        assert!(dropped > 0, "what found no room is counted");
    });
    let Exported { exported, rejected, failed, dropped } = telemetry.shutdown();
    assert_eq!((exported, rejected, failed + dropped), (0, 0, 10_512));
    // Shutdown is over, and it hangs yet: there was no second request for it to answer.
    assert!(receiver.child.try_wait().unwrap().is_none(), "it still runs");
    assert_eq!(receiver.rest(), Vec::<Value>::new());
}

#[test]
fn a_grpc_collector_that_hangs_holds_up_neither_spans_nor_shutdown() {
    hanging("grpc");
}

#[test]
fn an_http_collector_that_hangs_holds_up_neither_spans_nor_shutdown() {
    hanging("http");
}

#[test]
fn a_collector_that_is_stopped_and_comes_back_costs_what_was_sent_meanwhile() {
    let Some(first) = Receiver::start("grpc", "ok", &[]) else { return };
    let settings = first.settings("grpc");
    let port = first.port;
    let (telemetry, ()) = within(settings, |telemetry| {
        batch();
        assert_eq!(first.request()["spans"].as_array().unwrap().len(), 512);
        drop(first);
        // Nobody listens there now; the connection that was kept is gone.
        batch();
        while telemetry.exported().failed == 0 {
            std::thread::yield_now();
        }
        let exported = telemetry.exported();
        assert_eq!((exported.exported, exported.failed), (512, 512), "at port {port}");
    });
    assert_eq!(telemetry.shutdown(), Exported { exported: 512, failed: 512, ..NONE });
}
