//! Abusive clients at the front door, and a large body through all of it.

use std::time::Duration;

use ingress::{Config, Rate};
use runtime::http::server::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{Stack, get};

#[tokio::test]
async fn two_thousand_idle_connections_of_one_address_leave_room_for_another() {
    let limits =
        Limits { connections_per_address_max: 500, connections_max: 600, ..Limits::default() };
    let stack = Stack::start(Config { limits, ..Config::default() }).await;
    let mut idle = Vec::new();
    for _ in 0..2_000 {
        idle.push(stack.connect_from([127, 0, 0, 1]).await);
    }
    let answer = stack.ask_from([127, 0, 0, 2], &get("/", "")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(stack.counters.open() <= 501, "{}", stack.counters.open());
}

#[tokio::test]
async fn slow_bodies_are_answered_with_408_and_leave_the_gateway() {
    let limits = Limits { body_idle_timeout_ms: 100, ..Limits::default() };
    let stack = Stack::start(Config { limits, ..Config::default() }).await;
    let request = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf";
    let answer = stack.ask(request).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert_eq!(stack.heard(), 1);
    assert_eq!(stack.counted("body"), 1);
    assert!(stack.ask(&get("/", "")).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn sixty_four_megabytes_arrive() {
    let stack = Stack::start(Config::default()).await;
    let mut stream = stack.connect_from([127, 0, 0, 1]).await;
    let head =
        "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 67108864\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = vec![7; 64 * 1024];
    for _ in 0..1024 {
        stream.write_all(&chunk).await.unwrap();
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("body 67108864\n"), "{answer}");
}

#[tokio::test]
async fn a_flood_of_keys_is_stopped_at_the_address_and_others_are_served() {
    let rate_per_address = Rate { per_second: 1, burst: 100 };
    let stack = Stack::start(Config { rate_per_address, ..Config::default() }).await;
    let mut stream = stack.connect_from([127, 0, 0, 3]).await;
    let (mut reading, mut writing) = stream.split();
    let flood = async {
        for n in 0..2_000 {
            let request = format!("GET / HTTP/1.1\r\nhost: a\r\nx-api-key: sx_{n}\r\n\r\n");
            writing.write_all(request.as_bytes()).await.unwrap();
        }
        writing.shutdown().await.unwrap();
    };
    let mut sink = Vec::new();
    let listen = async { drop(reading.read_to_end(&mut sink).await) };
    let both = async { tokio::join!(flood, listen) };
    tokio::time::timeout(Duration::from_secs(30), both).await.unwrap();
    assert_eq!(stack.heard(), 100);
    assert!(stack.counted("limited_address") > 1_000);
    assert!(stack.ask_from([127, 0, 0, 4], &get("/", "")).await.starts_with("HTTP/1.1 200"));
}
