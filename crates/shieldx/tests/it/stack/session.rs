//! Continuous authentication through the front door: a new subject is unknown, a known one is low,
//! and hands that change are noticed.

use std::fs;

use serde_json::{Value, json};

use super::Stack;

/// Typing of one person: normal-ish times around their own rhythm, deterministic.
struct Typist {
    state: u64,
    dwell_ms: f64,
    flight_ms: f64,
    spread: f64,
}

impl Typist {
    fn new(seed: u64, dwell_ms: f64, flight_ms: f64, spread: f64) -> Self {
        Self { state: seed, dwell_ms, flight_ms, spread }
    }

    /// About normal: the sum of twelve uniforms.
    fn normal(&mut self) -> f64 {
        let mut uniform = || {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            (self.state >> 11) as f64 / (1_u64 << 53) as f64
        };
        (0..12).map(|_| uniform()).sum::<f64>() - 6.0
    }

    fn keystrokes(&mut self, count: usize) -> Vec<Value> {
        let mut now = 0.0;
        let mut keys = Vec::new();
        for _ in 0..count {
            let dwell = (self.dwell_ms * (self.spread * self.normal()).exp()).max(20.0);
            let flight = (self.flight_ms * (self.spread * self.normal()).exp()).max(5.0);
            keys.push(json!({"down_ms": now, "up_ms": now + dwell}));
            now += dwell + flight;
        }
        keys
    }
}

fn report(stack: &Stack, session: &str, subject: &str, keys: &[Value]) -> Value {
    let body = json!({
        "subject": subject,
        "keystrokes": keys,
        "device": {"user_agent": "Firefox", "platform": "Linux"},
        "address": "192.0.2.7",
    });
    let answer = stack.post_json(&stack.key, &format!("/v1/sessions/{session}/telemetry"), &body);
    assert!(matches!(answer.status, 200 | 202), "{}", answer.text());
    stack.get(&stack.key, &format!("/v1/sessions/{session}/risk")).json()
}

#[test]
fn typing_that_becomes_somebody_elses_raises_the_risk_and_names_typing() {
    let stack = Stack::start();
    let mut alice = Typist::new(7, 95.0, 140.0, 0.25);
    let first = report(&stack, "enrol-0", "alice", &alice.keystrokes(60));
    assert_eq!(first["level"], "unknown", "a new subject is unknown, not trusted: {first}");
    let mut known = first;
    for n in 1..12 {
        known = report(&stack, &format!("enrol-{n}"), "alice", &alice.keystrokes(300));
    }
    let usual = report(&stack, "today", "alice", &alice.keystrokes(200));
    assert_eq!(usual["level"], "low", "{usual} after {known}");
    let mut mallory = Typist::new(99, 150.0, 75.0, 0.45);
    let mut risk = usual.clone();
    for _ in 0..4 {
        risk = report(&stack, "today", "alice", &mallory.keystrokes(100));
    }
    assert!(risk["risk"].as_f64() > usual["risk"].as_f64(), "{risk}");
    assert!(matches!(risk["level"].as_str(), Some("elevated" | "high")), "{risk}");
    let strongest = &risk["signals"][0];
    assert!(strongest["name"].as_str().unwrap().contains("typing"), "{risk}");
}

#[test]
fn the_content_of_keys_is_refused_and_never_kept() {
    let stack = Stack::start();
    let body = json!({
        "subject": "alice",
        "keystrokes": [{"down_ms": 0, "up_ms": 80, "key": "correct-horse-battery"}],
    });
    let answer = stack.post_json(&stack.key, "/v1/sessions/s1/telemetry", &body);
    assert!(matches!(answer.status, 400 | 422), "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    for entry in fs::read_dir(stack.data()).unwrap().flatten() {
        if entry.path().is_file() {
            let bytes = fs::read(entry.path()).unwrap();
            let found = bytes.windows(21).any(|window| window == b"correct-horse-battery");
            assert!(!found, "in {}", entry.path().display());
        }
    }
    assert!(!stack.log().contains("correct-horse-battery"));
}
