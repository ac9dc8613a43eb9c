//! What receivers of alerts hear, and what becomes of it when they do not listen.

use std::time::Duration;

use ledger::{Config, ReceiverKind, SIGNATURE_HEADER};

use crate::door::Door;
use crate::support::{ONE, Process, clock};

const SLO: &str = "gateway-availability";

/// A total outage for ten minutes, after ten quiet ones: with few pages, every page is one.
async fn outage(process: &Process) {
    process.tick(1).await;
    process.count(SLO, 10_000, 0);
    for _ in 0..60 {
        process.tick(10).await;
    }
    process.count(SLO, 0, 5_000);
    process.tick(10).await;
}

/// Until nothing fires any more: a week in steps of ten seconds would be long, so days pass at once,
/// and then there is quiet time that is covered.
async fn recovery(process: &Process) {
    for _ in 0..3 {
        process.count(SLO, 10_000_000, 0);
        process.tick(10).await;
    }
}

fn told_of_page(process: &Process) -> bool {
    let statuses = process.ledger.statuses().borrow().clone();
    statuses.iter().flat_map(|status| &status.alerts).any(|alert| {
        alert.severity == slo::spec::Severity::Page
            && alert.state == slo::status::AlertState::Firing
    })
}

#[tokio::test]
async fn a_webhook_hears_of_the_beginning_and_the_end_signed() {
    let folder = tempfile::tempdir().unwrap();
    let door = Door::open(200);
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "swordfish\n").unwrap();
    let config = Config {
        interval_ms: 10_000,
        webhooks: vec![format!("{}/hook?token=hidden", door.url())],
        webhook_secret_file: Some(secret),
        ..Config::default()
    };
    let process = Process::with(&folder.path().join("ledger"), ONE, &clock(), config).unwrap();
    process.ledger.tell();
    outage(&process).await;
    assert!(told_of_page(&process));
    let asked = door.wait(2).await;
    let page = asked.iter().find(|asked| asked.json()["severity"] == "page").unwrap();
    let body = page.json();
    assert_eq!(page.what, "POST /hook?token=hidden");
    for (field, expected) in [
        ("status", "firing"),
        ("alert", "SloBurnsFast"),
        ("slo", SLO),
        ("service", "gateway"),
        ("url", "http://127.0.0.1:8088/slo/gateway-availability"),
        ("runbook_url", "http://127.0.0.1:8088/runbooks/gateway-availability-page"),
        ("starts_at", "2026-01-01T00:10:11Z"),
    ] {
        assert_eq!(body[field], expected, "{field}");
    }
    assert_eq!((&body["version"], &body["team"], &body["ends_at"]).0, 1);
    check_signature(page.header(SIGNATURE_HEADER).unwrap(), &page.body);
    let before = door.asked().len();
    process.tick(10).await;
    recovery(&process).await;
    assert!(!told_of_page(&process));
    let asked = door.wait(before + 1).await;
    let over: Vec<_> =
        asked[before..].iter().filter(|asked| asked.json()["severity"] == "page").collect();
    assert_eq!(over.len(), 1, "what goes on is not told again");
    assert_eq!(over[0].json()["status"], "resolved");
    let status = &process.ledger.receivers()[0];
    assert_eq!((status.kind, status.url.as_str()), (ReceiverKind::Webhook, door.url().as_str()));
    assert_eq!(status.last_error, None);
}

/// As a receiver would check it, with openssl where there is one: not with our own code.
fn check_signature(header: &str, body: &[u8]) {
    let (at, signature) = header.split_once(",v1=").unwrap();
    let at = at.strip_prefix("t=").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("signed");
    std::fs::write(&file, [at.as_bytes(), b".", body].concat()).unwrap();
    let openssl = std::process::Command::new("openssl")
        .args(["dgst", "-sha256", "-hmac", "swordfish", "-r"])
        .arg(&file)
        .output();
    let Ok(openssl) = openssl else {
        eprintln!("SKIP openssl is not there to check a signature");
        return;
    };
    let said = String::from_utf8(openssl.stdout).unwrap();
    assert_eq!(said.split(' ').next(), Some(signature), "{said}");
}

#[tokio::test]
async fn a_dead_receiver_stops_nobody_and_hears_the_end_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (dead, well) = (Door::open(500), Door::open(200));
    let config = || Config { webhooks: vec![dead.url(), well.url()], ..Config::default() };
    let clock = clock();
    let first = Process::with(folder.path(), ONE, &clock, config()).unwrap();
    first.ledger.tell();
    outage(&first).await;
    well.wait(2).await;
    dead.wait(1).await;
    // The failure is counted after the answer came.
    let of_dead = loop {
        let of_dead = first.ledger.receivers().remove(0);
        if of_dead.failed > 0 {
            break of_dead;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert!(of_dead.last_error.unwrap().contains("500"));
    assert!(of_dead.owed >= 1);
    recovery(&first).await;
    assert!(!told_of_page(&first));
    first.tasks.shutdown().begin();
    first.tasks.shutdown().drained(Duration::from_secs(60)).await;
    drop(first);
    dead.answer(200);
    let heard = dead.asked().len();
    let second = Process::with(folder.path(), ONE, &clock, config()).unwrap();
    second.ledger.tell();
    second.tick(10).await;
    let asked = dead.wait(heard + 1).await;
    let page = asked[heard..].iter().find(|asked| asked.json()["severity"] == "page").unwrap();
    assert_eq!(page.json()["status"], "resolved", "the newest is told, not what was before");
}

#[tokio::test]
async fn a_receiver_that_never_answers_does_not_hold_up_an_evaluation() {
    let folder = tempfile::tempdir().unwrap();
    let door = Door::open(0);
    let config = Config { alertmanagers: vec![door.url()], ..Config::default() };
    let process = Process::with(folder.path(), ONE, &clock(), config).unwrap();
    process.ledger.tell();
    outage(&process).await;
    // Its timeout is ten seconds: these are evaluated while it is waited for.
    for _ in 0..10 {
        process.tick(10).await;
    }
    assert!(told_of_page(&process));
}

#[test]
fn settings_with_which_nothing_could_be_known_are_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let usual = Config::default;
    let named = |name: &str| Config { instance: Some(name.to_owned()), ..usual() };
    for (config, said) in [
        (Config { interval_ms: 0, ..usual() }, "ledger.interval_ms 0: "),
        (Config { interval_ms: 3_600_000, ..usual() }, "ledger.interval_ms 3600000: "),
        (Config { resend_ms: 0, ..usual() }, "ledger.resend_ms 0: "),
        (Config { resend_ms: u64::MAX, ..usual() }, "ledger.resend_ms 18446744073709551615: "),
        // What comes from instances of these names is never taken for counts.
        (named("backfill"), "ledger.instance backfill: "),
        (named("gone"), "ledger.instance gone: "),
        (named(""), "ledger.instance : "),
    ] {
        let error = Process::with(folder.path(), ONE, &clock(), config).err().unwrap().to_string();
        assert!(error.starts_with(said), "{error}");
    }
}

#[test]
fn what_cannot_be_a_receiver_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    for (config, said) in [
        (Config { webhooks: vec!["example.org".to_owned()], ..Config::default() }, "no URL"),
        (Config { alertmanagers: vec!["ftp://x".to_owned()], ..Config::default() }, "no URL"),
        (
            Config {
                webhooks: vec!["http://127.0.0.1:1".to_owned()],
                webhook_secret_file: Some(folder.path().join("none")),
                ..Config::default()
            },
            "secret",
        ),
    ] {
        let opened = Process::with(folder.path(), ONE, &clock(), config);
        let error = opened.err().unwrap().to_string();
        assert!(error.contains(said), "{error}");
    }
}
