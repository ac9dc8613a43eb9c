//! Objectives of a whole server: counted, kept over restarts, told to a real Alertmanager, and asked
//! whether to deploy.
#![expect(clippy::unwrap_used, reason = "what fails here should fail the test")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use serde_json::Value;

use super::observability::Beside;
use super::{Stack, until};
use crate::lab::have;

/// One objective on the gateway, quick to page.
const QUICK: &str = "\
version: 1
slos:
  - name: gateway-availability
    service: gateway
    description: The gateway hands requests on.
    target: 99
    window: 30d
    minimum_events: 1
    coverage_min: 0
    availability: {}
gate:
  freeze_below: 10
  reopen_at: 15
  slow_below: 25
  exempt: [security]
";

fn with_file(text: &str, settings: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::Builder::new().prefix("slo-").tempdir().unwrap();
    let file = folder.path().join("slo.yaml");
    fs::write(&file, text).unwrap();
    let shown = file.display();
    let text = format!("[ledger]\ninterval_ms = 1000\nfile = \"{shown}\"\n{settings}");
    (folder, text)
}

fn status(stack: &Stack, name: &str) -> Value {
    let answer = stack.get(&stack.key, &format!("/v1/slos/{name}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn gate(stack: &Stack, arguments: &[&str]) -> (Option<i32>, Value) {
    let mut all = vec!["slo", "gate", "--json"];
    all.extend(arguments);
    let asked = stack.shieldx(&all);
    let text = String::from_utf8_lossy(&asked.stdout);
    let value = serde_json::from_str(&text)
        .unwrap_or_else(|_| panic!("{text} {}", String::from_utf8_lossy(&asked.stderr)));
    (asked.status.code(), value)
}

#[test]
fn a_denial_burns_nothing_and_what_is_counted_outlives_a_restart() {
    let mut stack = Stack::with("[ledger]\ninterval_ms = 1000\n", &[]);
    let reader = stack.tenant_key("default", "reader");
    for _ in 0..20 {
        assert_eq!(stack.get(&stack.key, "/v1/verifications?limit=1").status, 200);
        assert_eq!(stack.get("sx_0000000000000000_0", "/v1/verifications").status, 401);
        assert_eq!(stack.post(&reader, "/v1/verifications", &[], b"#!/bin/sh\n").status, 403);
    }
    let counted = |stack: &Stack| status(stack, "gateway-availability")["events"].clone();
    until("all are counted", || counted(&stack)["good"].as_u64().unwrap() >= 60);
    let before = counted(&stack);
    assert_eq!(before["bad"], 0, "{before}");
    // The next interval makes them durable, also for a kill.
    std::thread::sleep(std::time::Duration::from_millis(2_500));
    let before = counted(&stack);
    stack.kill();

    let offline = stack.shieldx(&["slo", "status", "--json"]);
    assert!(offline.status.success(), "{}", String::from_utf8_lossy(&offline.stderr));
    let statuses: Value = serde_json::from_slice(&offline.stdout).unwrap();
    let of_gateway =
        statuses.as_array().unwrap().iter().find(|s| s["slo"] == "gateway-availability").unwrap();
    let (good, kept) = (before["good"].as_u64().unwrap(), &of_gateway["events"]["good"]);
    assert!(kept.as_u64().unwrap() + 5 >= good, "{good} counted, {kept} kept");

    stack.begin();
    until("the history is there again", || {
        counted(&stack)["good"].as_u64().unwrap() >= kept.as_u64().unwrap()
    });
    let after = status(&stack, "gateway-availability");
    assert!(after["coverage"].as_f64().unwrap() < 0.1, "the days before are not covered: {after}");
}

/// An application that answers everything with 500, and says what only ShieldX says. It ends with the
/// test's process.
fn failing_application() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 65_536]);
            let _ = stream.write_all(
                b"HTTP/1.1 500 Internal Server Error\r\nx-shieldx-note: delayed\r\n\
                  content-length: 0\r\nconnection: close\r\n\r\n",
            );
        }
    });
    url
}

#[test]
fn an_application_that_fails_burns_nothing_at_either_door_and_one_that_is_down_does() {
    let route = |name: &str, upstream: &str| {
        format!(
            "[[gateway.routes]]\nname = \"{name}\"\npath_prefix = \"/{name}\"\nupstream = \"{upstream}\"\n"
        )
    };
    let settings = format!(
        "[ledger]\ninterval_ms = 1000\n{}{}{}",
        Stack::GATEWAY,
        route("fails", &failing_application()),
        route("down", "http://127.0.0.1:1")
    );
    let stack = Stack::with(&settings, &[]);
    let counted = || {
        ["ingress-availability", "gateway-availability"].map(|name| {
            let events = status(&stack, name)["events"].clone();
            ["bad", "excluded"].map(|key| events[key].as_u64().unwrap())
        })
    };
    let send = |path: &str, status: u16| {
        for _ in 0..10 {
            // Nor may a client say whose failure it was.
            let note = [("x-shieldx-note", "applications")];
            let answer = stack.get_with(&stack.key, path, &note);
            assert_eq!((answer.status, answer.header("x-shieldx-note")), (status, None));
        }
    };
    send("/fails", 500);
    until("they are excluded at both", || counted() == [[0, 10]; 2]);
    send("/down", 502);
    until("they are bad at both", || counted() == [[10, 10]; 2]);
}

#[test]
fn a_fault_pages_a_real_alertmanager_and_is_resolved_when_it_is_over() {
    if !have("alerts to Alertmanager", &["prometheus-alertmanager"]) {
        return;
    }
    let folder = tempfile::Builder::new().prefix("am-").tempdir().unwrap();
    let configuration = folder.path().join("alertmanager.yml");
    fs::write(&configuration, "route: { receiver: none }\nreceivers: [{ name: none }]\n").unwrap();
    let alertmanager = Beside::alertmanager(&configuration);
    let more = format!(
        "alertmanagers = [\"{}\"]\n[[gateway.routes]]\nname = \"broken\"\npath_prefix = \"/broken\"\nupstream = \"http://127.0.0.1:1\"\n",
        alertmanager.url
    );
    let (_files, settings) = with_file(
        QUICK,
        &more.replace("[[gateway.routes]]", &format!("{}[[gateway.routes]]", Stack::GATEWAY)),
    );
    let stack = Stack::with(&settings, &[]);
    let alerts = || {
        let answer = stack.get("", &format!("{}/api/v2/alerts", alertmanager.url));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json().as_array().unwrap().clone()
    };
    assert!(alerts().is_empty());
    // Below a hundred events a single failure would be a page: the guard waits for more.
    for _ in 0..60 {
        stack.get(&stack.key, "/broken");
        stack.get(&stack.key, "/v1/verifications?limit=1");
    }
    until("a page arrives", || {
        alerts().iter().any(|alert| {
            let labels = &alert["labels"];
            labels["severity"] == "page" && labels["slo"] == "gateway-availability"
        })
    });
    let (code, decision) = gate(&stack, &["--service", "gateway"]);
    assert_eq!(code, Some(20), "{decision}");
    // Only good ones from now on: the share of bad ones falls below what pages.
    until("the page is resolved", || {
        for _ in 0..300 {
            stack.get(&stack.key, "/v1/verifications?limit=1");
        }
        !alerts().iter().any(|alert| alert["labels"]["severity"] == "page")
    });
}

#[test]
fn the_gate_says_each_of_its_answers_with_its_exit_code() {
    let key_folder = tempfile::Builder::new().prefix("key-").tempdir().unwrap();
    let private = key_folder.path().join("ops.key");
    let shown = private.display().to_string();
    let bare = Stack::start();
    let made = bare.shieldx(&["slo", "override-key", "--name", "ops", "--out", &shown]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let made = String::from_utf8(made.stdout).unwrap();
    let keys = made.split_once("gate:\n").unwrap().1;
    let (code, decision) = gate(&bare, &["--service", "gateway"]);
    assert_eq!((code, &decision["answer"]), (Some(30), &"unknown".into()), "{decision}");
    drop(bare);

    let yaml = format!("{QUICK}{keys}");
    let more = format!(
        "{}[[gateway.routes]]\nname = \"broken\"\npath_prefix = \"/broken\"\nupstream = \"http://127.0.0.1:1\"\n",
        Stack::GATEWAY
    );
    let (_files, settings) = with_file(&yaml, &more);
    let stack = Stack::with(&settings, &[]);
    let send = |path: &str, times: u32| {
        for _ in 0..times {
            stack.get(&stack.key, path);
        }
    };
    send("/v1/verifications?limit=1", 20);
    until("it opens", || gate(&stack, &["--service", "gateway"]).0 == Some(0));
    // Eight bad of a thousand: a fifth of the 1 % is left, and nothing burns fast.
    send("/v1/verifications?limit=1", 972);
    send("/broken", 8);
    until("it is slow", || gate(&stack, &["--service", "gateway"]).0 == Some(10));
    send("/broken", 30);
    until("it freezes", || gate(&stack, &["--service", "gateway"]).0 == Some(20));
    let (code, decision) = gate(&stack, &["--change", "security"]);
    assert_eq!(code, Some(0), "{decision}");
    assert_eq!(decision["answer_of_budgets"], "freeze");

    let sign = |who: &str, lasts: &str| {
        let arguments =
            ["slo", "override", "--key", &shown, "--who", who, "--for", lasts, "--reason", "test"];
        let signed = stack.shieldx(&arguments);
        assert!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));
        String::from_utf8(signed.stdout).unwrap().trim().to_owned()
    };
    let good = sign("ops", "1h");
    let (code, decision) = gate(&stack, &["--override", &good]);
    assert_eq!(code, Some(0), "{decision}");
    assert!(decision["lifted_by"].as_str().unwrap().contains("ops"), "{decision}");
    let mut forged = good.clone().into_bytes();
    forged[10] = if forged[10] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    let expired = sign("ops", "1s");
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    for token in [forged, expired, sign("nobody", "1h"), "nonsense".to_owned()] {
        let (code, decision) = gate(&stack, &["--override", &token]);
        assert_eq!(code, Some(20), "{decision}");
        assert!(decision["override_refused"].is_string(), "{decision}");
    }
    let log = stack.log();
    assert!(log.contains("override"), "its use is logged: {log}");
    // A server that is not there is no answer about deploying.
    let arguments = ["slo", "gate", "--server", "http://127.0.0.1:1"];
    assert_eq!(stack.shieldx(&arguments).status.code(), Some(30));
    assert_eq!(stack.shieldx(&["slo", "gate", "--nonsense"]).status.code(), Some(64));
}
