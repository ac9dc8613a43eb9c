//! Slow, silent and greedy clients with HTTP/1.1. The limits are short here; no test measures time.

use std::time::Duration;

use runtime::http::server::Limits;

use super::support::{FOREVER, Server};

fn quick() -> Limits {
    Limits {
        header_read_timeout_ms: 100,
        idle_timeout_ms: 200,
        body_idle_timeout_ms: 100,
        send_idle_timeout_ms: 200,
        ..Limits::default()
    }
}

#[tokio::test]
async fn a_client_that_connects_and_says_nothing_is_closed() {
    let server = Server::start(quick()).await;
    assert_eq!(server.connect().await.rest().await, "");
    assert_eq!(server.ended("slow_header"), 1);
}

#[tokio::test]
async fn a_header_that_comes_byte_by_byte_does_not_hold_a_connection() {
    let server = Server::start(quick()).await;
    let mut client = server.connect().await;
    let dripping = async {
        for byte in b"GET / HTTP/1.1\r\nhost: x\r\nx-slow: ".iter().chain(std::iter::repeat(&b'y'))
        {
            if tokio::io::AsyncWriteExt::write_all(&mut client.0, &[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(FOREVER, dripping).await.is_ok());
    assert_eq!(server.ended("slow_header"), 1);
}

#[tokio::test]
async fn the_second_header_of_a_connection_is_watched_like_the_first() {
    let server = Server::start(Limits { idle_timeout_ms: 60_000, ..quick() }).await;
    let mut client = server.connect().await;
    client.say("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    client.until("hello").await;
    client.say("GET / HTT").await;
    assert_eq!(client.rest().await, "");
    assert_eq!(server.ended("slow_header"), 1);
}

#[tokio::test]
async fn a_connection_without_requests_is_closed_after_its_time() {
    let server = Server::start(quick()).await;
    let mut client = server.connect().await;
    client.say("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    client.until("hello").await;
    assert_eq!(client.rest().await, "");
    server.open(0).await;
    assert_eq!(server.ended("idle"), 1);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_answered_with_408() {
    let server = Server::start(quick()).await;
    let answer = server
        .connect()
        .await
        .ask("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf")
        .await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
    assert_eq!(server.ended("slow_body"), 1);
}

#[tokio::test]
async fn a_body_that_comes_byte_by_byte_uses_up_its_time() {
    let server = Server::start(Limits { body_rate_min_bytes_per_second: 10_000, ..quick() }).await;
    let mut client = server.connect().await;
    client.say("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n").await;
    let dripping = async {
        while tokio::io::AsyncWriteExt::write_all(&mut client.0, b"z").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(FOREVER, dripping).await.is_ok());
    assert_eq!(server.ended("slow_body"), 1);
}

#[tokio::test]
async fn headers_without_end_are_answered_with_431() {
    let server = Server::start(Limits { headers_max_bytes: 16 * 1024, ..Limits::default() }).await;
    let mut client = server.connect().await;
    client.say("GET / HTTP/1.1\r\nhost: x\r\n").await;
    let flooding = async {
        let line = format!("x-more: {}\r\n", "z".repeat(1000));
        while tokio::io::AsyncWriteExt::write_all(&mut client.0, line.as_bytes()).await.is_ok() {}
    };
    assert!(tokio::time::timeout(FOREVER, flooding).await.is_ok());
    let mut client = server.connect().await;
    client.say(format!("GET / HTTP/1.1\r\nhost: x\r\nx-long: {}", "z".repeat(16 * 1024))).await;
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let many = "x: y\r\n".repeat(101);
    let answer = server.connect().await.ask(format!("GET / HTTP/1.1\r\n{many}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert_eq!(server.ended("protocol"), 3);
}

#[tokio::test]
async fn a_target_without_end_is_answered_with_414_or_431() {
    let limits = Limits { headers_max_bytes: 256 * 1024, ..Limits::default() };
    let server = Server::start(limits).await;
    let target = "z".repeat(70_000);
    let answer = server.connect().await.ask(format!("GET /{target} HTTP/1.1\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 414 "), "{answer}");
}

#[tokio::test]
async fn a_client_that_reads_nothing_of_its_answer_is_closed() {
    let server = Server::start(quick()).await;
    let mut client = server.connect().await;
    client.say("GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await;
    server.open(1).await;
    server.open(0).await;
    assert_eq!(server.ended("stalled"), 1);
}

#[tokio::test]
async fn two_thousand_idle_connections_of_one_address_leave_room_for_another() {
    let limits =
        Limits { connections_max: 1_200, connections_per_address_max: 1_000, ..Limits::default() };
    let server = Server::start(limits).await;
    let mut idle = Vec::new();
    for _ in 0..2_000 {
        idle.push(server.connect_from([127, 0, 0, 1]).await.unwrap());
    }
    server.open(1_000).await;
    let mut other = server.connect_from([127, 0, 0, 2]).await.unwrap();
    other.say("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    other.until("hello").await;
    assert_eq!(server.ended("address_full"), 1_000);
    drop(idle);
    server.open(1).await;
}

#[tokio::test]
async fn idle_connections_of_many_addresses_make_room_for_somebody_who_asks() {
    let limits = Limits { connections_max: 50, ..Limits::default() };
    let server = Server::start(limits).await;
    let mut idle = Vec::new();
    for n in 0..200_u8 {
        idle.push(server.connect_from([127, 0, 1 + n % 5, 1]).await.unwrap());
    }
    // One of them works: it is not idle and not ended.
    let mut busy = server.connect_from([127, 0, 0, 3]).await.unwrap();
    busy.say("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n")
        .await;
    busy.until("100 Continue").await;
    for _ in 0..100 {
        idle.push(server.connect_from([127, 0, 9, 1]).await.unwrap());
    }
    let mut other = server.connect_from([127, 0, 0, 2]).await.unwrap();
    other.say("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    other.until("hello").await;
    busy.say("busy").await;
    busy.until("busy").await;
    assert!(server.ended("evicted") > 0);
    assert!(server.counters.open() <= 50);
}

#[tokio::test]
async fn a_thousand_bad_clients_do_not_stop_a_good_one() {
    let limits = Limits { header_read_timeout_ms: 2_000, ..Limits::default() };
    let server = Server::start(limits).await;
    let mut bad = Vec::new();
    for n in 0..1_000 {
        let mut client = server.connect_from([127, 0, 0, 4]).await.unwrap();
        client.say(if n % 2 == 0 { "GET / HTTP/1.1\r\nx: " } else { "\0\0\u{1}" }).await;
        bad.push(client);
    }
    for _ in 0..100 {
        let mut good = server.connect().await;
        good.say("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        good.until("hello").await;
    }
}
