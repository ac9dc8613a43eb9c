//! What a decision costs: p50 and p99 in microseconds, of the built-in policy, for three requests.
//! Run it alone: `cargo bench -p policy`.

use std::collections::BTreeMap;
use std::time::Instant;

use policy::{DecisionInput, Policy};
use types::decision::{CallerFacts, RequestFacts, RouteFacts, SessionFacts};
use types::ports::Decider as _;
use types::risk::{RiskLevel, SessionRisk, Signal};

const WARM_UP: usize = 2_000;
const ROUNDS: usize = 20_000;

fn input(path: &str, session: Option<RiskLevel>) -> DecisionInput {
    let headers: BTreeMap<String, String> = [
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("accept-language", "en-GB,en;q=0.5"),
        ("cache-control", "no-cache"),
        ("referer", "https://shop.example/cart"),
        ("sec-fetch-dest", "document"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-site", "same-origin"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:148.0) Gecko/20100101 Firefox/148.0"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let signal = |name: &str| Signal {
        name: name.to_owned(),
        detail: "seen from here for the first time".to_owned(),
        contribution: 0.7,
    };
    DecisionInput {
        request: RequestFacts {
            method: "GET".to_owned(),
            host: "shop.example".to_owned(),
            path: path.to_owned(),
            query: Some("page=2&sort=price".to_owned()),
            headers,
            client_address: "203.0.113.7".to_owned(),
        },
        caller: Some(CallerFacts {
            tenant: "acme".to_owned(),
            role: "member".to_owned(),
            key_id: "k_1".to_owned(),
        }),
        session: session.map(|level| SessionFacts {
            id: "s-1".to_owned(),
            risk: SessionRisk {
                risk: 0.2,
                level,
                subject: Some("ada".to_owned()),
                signals: vec![signal("device"), signal("address")],
                observed_at: Some("2026-11-24T10:00:00Z".to_owned()),
            },
        }),
        route: RouteFacts { name: "shop".to_owned(), kind: "upstream".to_owned(), decoy: false },
    }
}

#[expect(clippy::print_stdout, reason = "a bench reports")]
fn main() {
    let policy = Policy::builtin().expect("the built-in policy compiles");
    for (name, input) in [
        ("allow, without a session", input("/products/17/reviews", None)),
        ("allow, with a session", input("/products/17/reviews", Some(RiskLevel::Low))),
        ("step-up", input("/products/17/reviews", Some(RiskLevel::Elevated))),
        ("block", input("/.git/config", None)),
    ] {
        let mut took_ns: Vec<u128> = Vec::with_capacity(ROUNDS);
        for round in 0..WARM_UP + ROUNDS {
            let begin = Instant::now();
            let decision = policy.decide(&input).expect("a decision");
            let ns = begin.elapsed().as_nanos();
            std::hint::black_box(decision);
            if round >= WARM_UP {
                took_ns.push(ns);
            }
        }
        took_ns.sort_unstable();
        let at = |hundredths: usize| took_ns[ROUNDS * hundredths / 100];
        let us = |ns: u128| format!("{}.{}", ns / 1_000, ns % 1_000 / 100);
        println!("{name:<26} p50 {:>8} µs   p99 {:>8} µs", us(at(50)), us(at(99)));
    }
}
