//! The artifact door: a file goes in, a verdict, a report and one trace come out.
#![expect(clippy::unwrap_used, reason = "what fails here should fail the test")]

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use serde_json::Value;

use super::{Stack, until};

const SCRIPT: &[u8] = b"import os\nprint('hello from', os.getcwd())\n";
const HOSTILE: &[u8] = b"#!/bin/sh\ncat /etc/shadow ~/.ssh/id_rsa\n\
    echo '* * * * * root /tmp/.u' > /etc/cron.d/u\ncp /bin/sh ./.h && chmod 4755 ./.h\n";

#[test]
fn a_python_script_gets_a_verdict_and_a_page_and_a_hostile_one_is_malicious() {
    let stack = Stack::start();
    let accepted = stack.submit(&stack.key, "hello.py", SCRIPT);
    let id = accepted["id"].as_str().unwrap();
    let found = stack.finished(&stack.key, id);
    assert_eq!(
        (found["state"].as_str(), found["verdict"].as_str()),
        (Some("done"), Some("benign"))
    );
    let report = stack.get(&stack.key, &format!("/v1/verifications/{id}/report")).json();
    assert_eq!(report["schema"], "shieldx.report/1");
    assert!(report["output"]["stdout"].to_string().contains("hello from"), "{report}");
    let page = [("accept", "text/html,*/*;q=0.5")];
    let page = stack.get_with(&stack.key, &format!("/v1/verifications/{id}/report"), &page);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    assert!(page.text().contains("<html") && page.text().contains("benign"), "{}", page.text());

    let hostile = stack.submit(&stack.key, "install.sh", HOSTILE);
    let found = stack.finished(&stack.key, hostile["id"].as_str().unwrap());
    assert_eq!(found["verdict"], "malicious", "{found}");
}

#[test]
fn what_the_command_line_says_of_a_submission_is_what_the_server_has() {
    let stack = Stack::start();
    let file = stack.path("hello.py");
    std::fs::write(&file, SCRIPT).unwrap();
    let submitted = stack.shieldx(&["submit", file.to_str().unwrap()]);
    let (out, err) =
        (String::from_utf8_lossy(&submitted.stdout), String::from_utf8_lossy(&submitted.stderr));
    assert!(submitted.status.success() && out.contains("BENIGN"), "{out}{err}");
    let listed = stack.shieldx(&["list"]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("hello.py") && listed.contains("benign"), "{listed}");
    let id = listed.split_whitespace().next().unwrap();
    let got = stack.shieldx(&["get", "--json", id]);
    let report: Value = serde_json::from_slice(&got.stdout).unwrap();
    assert_eq!(report["verdict"]["verdict"], "benign");
    let trace = stack.shieldx(&["trace", id]);
    let trace = String::from_utf8_lossy(&trace.stdout).into_owned();
    for service in ["ingress", "gateway", "verifier-pool", "ml-service"] {
        assert!(trace.contains(service), "{trace}");
    }
    let health = stack.shieldx(&["health"]);
    assert_eq!(health.status.code(), Some(0), "{}", String::from_utf8_lossy(&health.stdout));
}

#[test]
fn the_same_file_of_another_tenant_is_another_thing() {
    let stack = Stack::start();
    let other = stack.tenant_key("other", "admin");
    let first = stack.submit(&stack.key, "hello.py", SCRIPT);
    let second = stack.submit(&other, "hello.py", SCRIPT);
    assert_ne!(first["id"], second["id"]);
    let id = first["id"].as_str().unwrap();
    stack.finished(&stack.key, id);
    stack.finished(&other, second["id"].as_str().unwrap());
    for path in ["", "/report", "/events"] {
        let answer = stack.get(&other, &format!("/v1/verifications/{id}{path}"));
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
    }
    let listed = stack.get(&other, "/v1/verifications").json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
    let files = |tenant: &str| {
        let folder = stack.data().join("artifacts").join(tenant);
        walk(&folder)
    };
    assert_eq!((files("default"), files("other")), (1, 1), "one copy each, none shared");
}

fn walk(folder: &std::path::Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries.flatten().map(|entry| if entry.path().is_dir() { walk(&entry.path()) } else { 1 }).sum()
}

/// A collector that keeps what it is sent: OTLP over HTTP, protobuf.
struct Collector {
    address: String,
    requests: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || serve(stream, &kept));
            }
        });
        Self { address, requests }
    }

    /// Service names and span names of one trace.
    fn spans(&self, trace_id: &str) -> Vec<(String, String)> {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = Vec::new();
        for resource in requests.iter().flat_map(|request| &request.resource_spans) {
            let service = resource
                .resource
                .iter()
                .flat_map(|resource| &resource.attributes)
                .find(|attribute| attribute.key == "service.name")
                .map(|attribute| format!("{:?}", attribute.value))
                .unwrap_or_default();
            for span in resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
                let id: String = span.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
                if id == trace_id {
                    found.push((service.clone(), span.name.clone()));
                }
            }
        }
        found
    }
}

fn serve(mut stream: TcpStream, kept: &Mutex<Vec<ExportTraceServiceRequest>>) {
    let mut buffer = Vec::new();
    let mut chunk = [0; 65536];
    loop {
        let end = loop {
            if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            match stream.read(&mut chunk) {
                Ok(0) | Err(_) => return,
                Ok(read) => buffer.extend_from_slice(&chunk[..read]),
            }
        };
        let head = String::from_utf8_lossy(&buffer[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.expect("a length").trim().parse().expect("a number");
        while buffer.len() < end + length {
            match stream.read(&mut chunk) {
                Ok(0) | Err(_) => return,
                Ok(read) => buffer.extend_from_slice(&chunk[..read]),
            }
        }
        let request = ExportTraceServiceRequest::decode(&buffer[end..end + length]).expect("OTLP");
        kept.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        buffer.drain(..end + length);
        let answer =
            "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

#[test]
fn one_trace_runs_from_ingress_through_every_service_to_a_real_collector() {
    let collector = Collector::start();
    let stack = Stack::with("", &[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.address)]);
    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let headers = [("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")];
    let path = "/v1/verifications?file_name=hello.py";
    let answer = stack.post(&stack.key, path, &headers, SCRIPT);
    assert_eq!(answer.status, 202, "{}", answer.text());
    stack.finished(&stack.key, answer.json()["id"].as_str().unwrap());
    let wanted = ["ingress", "gateway", "contauth", "verifier-pool", "ml-service"];
    let services = || -> BTreeSet<&str> {
        let spans = collector.spans(trace_id);
        let seen = |service: &&&str| spans.iter().any(|(name, _)| name.contains(**service));
        wanted.iter().filter(seen).copied().collect()
    };
    until("every service in one trace", || services().len() == wanted.len());
    let names: Vec<String> = collector.spans(trace_id).into_iter().map(|(_, name)| name).collect();
    for name in ["decide", "run", "assess"] {
        assert!(names.iter().any(|span| span.contains(name)), "no span {name} in {names:?}");
    }
}

#[test]
fn a_collector_that_is_dead_or_never_answers_slows_nothing() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    for endpoint in ["http://127.0.0.1:9", &silent, "not a url"] {
        let mut stack = Stack::with("", &[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)]);
        let accepted = stack.submit(&stack.key, "hello.py", SCRIPT);
        let found = stack.finished(&stack.key, accepted["id"].as_str().unwrap());
        assert_eq!(found["verdict"], "benign");
        assert_eq!(stack.stop(), Some(0), "{endpoint}: {}", stack.log());
    }
}

/// A container has no interpreter of this host: without an image a script is refused with the key that
/// names one, and with it the script runs there.
#[cfg(feature = "sandbox-docker")]
#[test]
fn a_script_runs_in_the_configured_image_and_is_refused_where_there_is_none() {
    let Some(daemon) = crate::daemon::Daemon::start() else { return };
    let host = format!("unix://{}", daemon.socket().display());
    let variables = [("DOCKER_HOST", host.as_str())];
    let post = |stack: &Stack, query: &str, artifact: &[u8]| {
        stack.post(&stack.key, &format!("/v1/verifications?runner=docker&{query}"), &[], artifact)
    };
    // Until the daemon was tried every submission is answered with 409.
    let tried = |stack: &Stack| {
        let trying = shieldx::executor::BEING_TRIED;
        until("docker", || !post(stack, "file_name=a.sh", b"").text().contains(trying));
    };
    let script = b"#!/bin/sh\necho in; echo x > made; ls /bin/busybox /usr\n";
    let stack = Stack::with("", &variables);
    tried(&stack);
    for (query, artifact) in
        [("file_name=a.sh", &script[..]), ("file_name=a.py", SCRIPT), ("interpreter=sh", b"ls\n")]
    {
        let refused = post(&stack, query, artifact);
        assert_eq!(refused.status, 409, "{query}: {}", refused.text());
        let said = refused.text();
        assert!(said.contains("docker_image") && !said.contains("--image"), "{said}");
    }
    drop(stack);

    let settings = format!(
        "[verifier-pool]\naddress = \"127.0.0.1:0\"\ndocker_image = \"{}\"\n",
        crate::daemon::BUSYBOX
    );
    let stack = Stack::with(&settings, &variables);
    tried(&stack);
    for (query, artifact, expected) in [
        ("file_name=a.sh", &script[..], "in\n/bin/busybox\n"),
        ("file_name=b.sh&argument=x%20y", b"echo \"$1\"; pwd\n", "x y\n/artifact\n"),
    ] {
        let accepted = post(&stack, query, artifact);
        assert_eq!(accepted.status, 202, "{query}: {}", accepted.text());
        let id = accepted.json()["id"].as_str().unwrap().to_owned();
        let found = stack.finished(&stack.key, &id);
        assert_eq!(found["state"], "done", "{query}: {found}");
        let report = stack.get(&stack.key, &format!("/v1/verifications/{id}/report")).json();
        assert_eq!(report["output"]["stdout"], expected, "{query}: {report}");
        assert_eq!(report["run"]["engine"]["image"], crate::daemon::BUSYBOX);
    }
    // What the image does not have is the artifact's matter, and said in its own words.
    let accepted = post(&stack, "file_name=c.py", SCRIPT);
    let found = stack.finished(&stack.key, accepted.json()["id"].as_str().unwrap());
    assert_eq!(found["state"], "failed", "{found}");
    let said = found.to_string();
    assert!(said.contains("python3") && !said.contains("--image"), "{said}");
    drop(stack);
    assert_eq!(daemon.leftovers(), Vec::<String>::new());
}
