//! A subject becomes known; somebody else sits down; what is kept of it all.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use types::RiskLevel;
use types::ports::{RiskSource as _, Surroundings};

use crate::desk::{DAY_US, Desk, SECOND_US, delete, laptop, signals, typed};
use crate::typist::Typist;

/// Three days, a session each.
async fn enrol(desk: &Desk, typist: &Typist) {
    for day in 0..3u64 {
        desk.clock.advance_us(DAY_US);
        let mut sitting = typist.session(day);
        for _ in 0..12 {
            let answer = desk.types(&format!("day-{day}"), &mut sitting).await;
            assert!(day > 1 || answer["level"] == "unknown", "{answer}");
        }
    }
    desk.clock.advance_us(DAY_US);
}

#[tokio::test]
async fn a_new_subject_is_unknown_becomes_low_and_rises_when_somebody_else_types() {
    let (desk, _) = Desk::new();
    let (ada, eve) = (Typist::new(1), Typist::new(3));
    let mut report = typed(&mut Typist::new(2).session(100));
    report["subject"] = json!("grace");
    let (_, first) = desk.post("acme:member", "first", &report).await;
    assert_eq!(first["level"], "unknown");
    assert!(signals(&first).contains(&"enrolment"), "{first}");
    assert!(first["risk"].as_f64().unwrap() > 0.009, "unknown is not trusted: {first}");

    enrol(&desk, &ada).await;
    let mut sitting = ada.session(50);
    let mut answer = Value::Null;
    for _ in 0..6 {
        answer = desk.types("today", &mut sitting).await;
    }
    assert_eq!(answer["level"], "low", "{answer}");
    assert!(answer["risk"].as_f64().unwrap() < 0.01, "{answer}");

    let mut sitting = eve.session(51);
    let mut windows = 0;
    while answer["level"] == "low" {
        answer = desk.types("today", &mut sitting).await;
        windows += 2;
        assert!(windows <= 12, "300 keystrokes of somebody else: {answer}");
    }
    assert_eq!(answer["level"], "elevated", "{answer}");
    assert_eq!(signals(&answer)[0], "typing", "{answer}");
    let detail = answer["signals"][0]["detail"].as_str().unwrap();
    assert!(detail.starts_with("unlike the subject's own"), "{detail}");
    println!("found after {windows} windows: {answer:#}");

    let mut stolen = typed(&mut sitting);
    stolen["device"]["user_agent"] = json!("HeadlessChrome/131");
    let (_, answer) = desk.post("acme:member", "today", &stolen).await;
    assert_eq!(answer["level"], "high", "{answer}");
    assert!(signals(&answer).contains(&"device"), "{answer}");
    let sum: f64 = answer["signals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["contribution"].as_f64().unwrap())
        .sum();
    let risk = answer["risk"].as_f64().unwrap();
    assert!((sum - (risk / (1.0 - risk)).ln()).abs() < 1e-6, "{answer}");
}

#[tokio::test]
async fn what_is_kept_has_no_keys_no_devices_no_addresses_and_no_text() {
    let (desk, shelf) = Desk::new();
    enrol(&desk, &Typist::new(1)).await;
    let text = shelf.text();
    assert!(text.len() > 3_000, "{text}");
    for told in ["Mozilla", "Firefox", "Linux", "Zurich", "de-DE", "203.0.113.77", "1920"] {
        assert!(!text.contains(told), "{told}");
    }
    for name in ["\"key\"", "\"code\"", "down_ms", "up_ms"] {
        assert!(!text.contains(name), "{name}");
    }
    let sessions = shelf.sessions.lock().unwrap();
    for (bytes, _) in sessions.values() {
        let session: Value = serde_json::from_slice(bytes).unwrap();
        assert!(session["strokes"].as_array().unwrap().len() < 75);
    }
}

#[tokio::test]
async fn a_request_from_elsewhere_is_not_vouched_for_by_the_typing_at_home() {
    let (desk, _) = Desk::new();
    let ada = Typist::new(1);
    enrol(&desk, &ada).await;
    let mut sitting = ada.session(60);
    for _ in 0..4 {
        desk.types("today", &mut sitting).await;
    }
    let tenant = "acme".parse().unwrap();
    let ask = async |agent: &str, address: &str| {
        let surroundings =
            Surroundings { address: Some(address.to_owned()), user_agent: Some(agent.to_owned()) };
        desk.service.risk(&tenant, "today", &surroundings).await.unwrap()
    };
    let agent = laptop()["user_agent"].as_str().unwrap().replace("128.0", "129.0");
    assert_eq!(ask(&agent, "203.0.113.9").await.level, RiskLevel::Low);
    assert_eq!(ask(&agent, "127.0.0.1").await.level, RiskLevel::Low, "behind a proxy");
    assert_eq!(ask("curl/8.5", "203.0.113.9").await.level, RiskLevel::Elevated);
    let moved = ask(&agent, "198.51.100.1").await;
    assert_eq!(moved.signals[0].name, "request-address");
}

#[tokio::test]
async fn a_risk_is_told_from_memory_and_an_unheard_of_session_is_unknown() {
    let (desk, shelf) = Desk::new();
    let tenant = "acme".parse().unwrap();
    let nobody = desk.service.risk(&tenant, "never", &Surroundings::default()).await.unwrap();
    assert_eq!((nobody.level, nobody.subject), (RiskLevel::Unknown, None));
    desk.types("today", &mut Typist::new(1).session(1)).await;
    desk.service.risk(&tenant, "never", &Surroundings::default()).await.unwrap();
    let reads = shelf.reads.load(Ordering::SeqCst);
    for id in ["today", "never", "today", "never"] {
        desk.service.risk(&tenant, id, &Surroundings::default()).await.unwrap();
    }
    assert_eq!(shelf.reads.load(Ordering::SeqCst), reads, "memory answers");
    desk.types("never", &mut Typist::new(1).session(2)).await;
    let heard = desk.service.risk(&tenant, "never", &Surroundings::default()).await.unwrap();
    assert_eq!(heard.subject.as_deref(), Some("ada"), "a session may begin after it was asked for");
}

#[tokio::test]
async fn a_recording_played_again_is_named_and_teaches_nothing() {
    let (desk, _) = Desk::new();
    enrol(&desk, &Typist::new(1)).await;
    let report = typed(&mut Typist::new(1).session(0));
    let (_, answer) = desk.post("acme:member", "replayed", &report).await;
    assert!(signals(&answer).contains(&"replay"), "{answer}");
    assert_eq!(answer["level"], "unknown", "a recording shows nobody: {answer}");
}

#[tokio::test]
async fn silence_makes_a_session_unknown_and_then_forgotten() {
    let (desk, shelf) = Desk::new();
    let ada = Typist::new(1);
    enrol(&desk, &ada).await;
    let mut sitting = ada.session(70);
    for _ in 0..4 {
        desk.types("today", &mut sitting).await;
    }
    assert_eq!(desk.risk("acme:reader", "today").await.1["level"], "low");
    desk.clock.advance_us(15 * 60 * SECOND_US);
    assert_eq!(desk.risk("acme:reader", "today").await.1["level"], "unknown");
    desk.clock.advance_us(DAY_US);
    assert_eq!(desk.risk("acme:reader", "today").await.0, 404);
    let kept = u64::try_from(shelf.sessions.lock().unwrap().len()).unwrap();
    assert_eq!(desk.service.expire().await.unwrap(), kept);
    assert!(!shelf.profiles.lock().unwrap().is_empty(), "who somebody is outlives their sessions");
}

#[tokio::test]
async fn a_subject_can_be_forgotten_and_is_unknown_again() {
    let (desk, shelf) = Desk::new();
    let ada = Typist::new(1);
    enrol(&desk, &ada).await;
    let path = "/v1/subjects/ada/profile";
    assert_eq!(desk.send(delete("globex:admin", path)).await.0, 404, "another tenant's ada");
    assert_eq!(desk.send(delete("acme:reader", path)).await.0, 403);
    assert_eq!(desk.send(delete("acme:member", "/v1/subjects/a%00b/profile")).await.0, 400);
    assert_eq!(desk.send(delete("acme:member", path)).await.0, 204);
    assert_eq!(desk.send(delete("acme:member", path)).await.0, 404);
    assert!(shelf.profiles.lock().unwrap().is_empty());
    let answer = desk.types("today", &mut ada.session(4)).await;
    assert_eq!(answer["level"], "unknown", "{answer}");
    assert!(answer.to_string().contains("50 of 200 keystrokes"), "{answer}");
}

#[tokio::test]
async fn every_metric_that_is_declared_is_touched() {
    let (desk, shelf) = Desk::new();
    enrol(&desk, &Typist::new(1)).await;
    let mut report = typed(&mut Typist::new(1).session(0));
    report["sequence"] = json!(5);
    desk.post("acme:member", "again", &report).await;
    desk.post("acme:member", "again", &report).await;
    let mut sitting = Typist::new(3).session(9);
    for _ in 0..8 {
        desk.types("eve", &mut sitting).await;
    }
    let mut stolen = typed(&mut sitting);
    stolen["device"]["platform"] = json!("Win32");
    let (_, answer) = desk.post("acme:member", "eve", &stolen).await;
    assert_eq!(answer["level"], "high", "{answer}");
    desk.post("acme:member", "eve", &json!({"subject": "bob"})).await;
    let one_by_one = json!({"keystrokes": [{"down_ms": 1, "up_ms": 90}], "subject": "bob"});
    for _ in 0..75 {
        desk.post("acme:member", "slow", &one_by_one).await;
    }
    for day in 0..3u32 {
        desk.clock.advance_us(DAY_US / 2);
        let points: Vec<Value> = (0..1800u32).map(|n| point(n, day)).collect();
        let report = json!({"subject": "carl", "pointer": points});
        desk.post("acme:member", &format!("mouse-{day}"), &report).await;
    }
    desk.risk("acme:reader", "eve").await;
    shelf.down.store(true, Ordering::SeqCst);
    desk.risk("acme:reader", "lost").await;
    shelf.down.store(false, Ordering::SeqCst);
    desk.clock.advance_us(3 * DAY_US);
    desk.service.expire().await.unwrap();
    desk.send(delete("acme:member", "/v1/subjects/carl/profile")).await;
    let text = desk.metrics.text();
    let sessions = "shieldx_contauth_cache_entries{cache=\"sessions\"} ";
    assert!(text.lines().any(|line| line.starts_with(sessions) && !line.ends_with(" 0.0")));
    let untouched: Vec<&str> = text.lines().filter(|line| line.ends_with(" 0")).collect();
    // Carl's hand is steady and nobody plays it again; both are counted where typing's are.
    let carl = ["unusual", "replayed"].map(|o| format!("{{kind=\"pointer\",outcome=\"{o}\"}}"));
    // Nobody hangs up on the store here, and memory is large enough; see `cache`.
    let rest = |line: &&str| {
        carl.iter().any(|c| line.contains(c))
            || ["_bucket", "outcome=\"abandoned\"", "_cache_evicted_"]
                .iter()
                .any(|c| line.contains(c))
    };
    assert_eq!(untouched.iter().filter(|line| !rest(line)).count(), 0, "{untouched:#?}");
}

fn point(n: u32, day: u32) -> Value {
    let at = f64::from(n) * 0.07 + f64::from(day);
    let wobble = f64::from((n * 7919 + day * 31) % 97);
    json!({
        "t_ms": f64::from(n) * 9.0 + wobble / 20.0,
        "x": 500.0 + 200.0 * at.cos() + wobble,
        "y": 400.0 + 150.0 * (at * 1.3).sin() + wobble / 2.0,
    })
}
