//! What requests are for the gateway's objectives: whose failure it was, and whose tenant.

use std::sync::Arc;

use gateway::Config;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::client::request;
use crate::support::ports::ByPath;
use crate::support::{Choices, EDGE_SECRET, Stack};

async fn by_path(tarpit_ms: u64) -> Stack {
    let config = Config { tarpit_ms, ..Config::default() };
    Choices { config, decider: Arc::new(ByPath::default()), ..Choices::default() }.start().await
}

#[tokio::test]
async fn an_applications_failure_is_its_own_and_not_to_reach_it_is_ours() {
    let stack = by_path(1).await;
    assert_eq!(stack.get("/").await.status, 200);
    assert_eq!(stack.events("available", "acme"), [1, 0, 0]);
    assert_eq!(stack.get("/fails").await.status, 500);
    assert_eq!(stack.events("available", "acme"), [1, 0, 1]);
    assert_eq!(stack.get("/silent").await.status, 502);
    assert_eq!(stack.events("available", "acme"), [1, 1, 1]);
    assert_eq!(stack.events("fast", "acme"), [1, 0, 2], "what failed has no latency");
    // A denial is a decision.
    assert_eq!(stack.get("/block").await.status, 403);
    assert_eq!(stack.events("available", "acme"), [2, 1, 1]);
    assert_eq!(stack.send("/", &[]).await.status, 401);
    assert_eq!(stack.events("available", "__none__"), [1, 0, 0]);
}

#[tokio::test]
async fn a_failure_of_our_own_apis_is_ours_whatever_it_says_of_itself() {
    let stack = by_path(1).await;
    let told = [("x-api-key", "sx_member"), ("x-shieldx-edge", EDGE_SECRET)];
    let reply = stack.send("/v1/verifications/fails", &told).await;
    assert_eq!(reply.status, 500);
    assert_eq!(stack.events("available", "acme"), [0, 1, 0]);
    assert_eq!(reply.header("x-shieldx-note"), None, "only the gateway says it");
    assert_eq!(stack.send("/v1/verifications/silent", &told).await.status, 502);
    assert_eq!(stack.events("available", "acme"), [0, 2, 0]);
}

#[tokio::test]
async fn a_delay_that_was_decided_on_is_no_latency() {
    let stack = by_path(1).await;
    assert_eq!(stack.get("/tarpit").await.status, 403);
    assert_eq!(stack.events("available", "acme"), [1, 0, 0]);
    assert_eq!(stack.events("fast", "acme"), [0, 0, 1]);
}

#[tokio::test]
async fn only_the_ingress_is_told_whose_failure_it_was() {
    let stack = by_path(1).await;
    for (target, note) in [("/fails", "applications"), ("/tarpit", "delayed")] {
        let told = [("x-api-key", "sx_member"), ("x-shieldx-edge", EDGE_SECRET)];
        let reply = stack.send(target, &told).await;
        assert_eq!(reply.header("x-shieldx-note"), Some(note), "{target}");
        let forged = [("x-api-key", "sx_member"), ("x-shieldx-edge", "forged")];
        assert_eq!(stack.send(target, &forged).await.header("x-shieldx-note"), None);
        assert_eq!(stack.get(target).await.header("x-shieldx-note"), None, "{target}");
    }
    let silent = [("x-api-key", "sx_member"), ("x-shieldx-edge", EDGE_SECRET)];
    assert_eq!(stack.send("/silent", &silent).await.header("x-shieldx-note"), None);
}

#[tokio::test]
async fn a_client_that_leaves_says_nothing_of_us() {
    let stack = by_path(60_000).await;
    let mut client = TcpStream::connect(stack.address).await.unwrap();
    client.write_all(&request("/tarpit", &[("x-api-key", "sx_member")])).await.unwrap();
    crate::actions::wait_for(&stack, 1.0).await;
    drop(client);
    crate::actions::wait_for(&stack, 0.0).await;
    let counted = async {
        while stack.events("available", "acme") != [0, 0, 1] {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), counted).await.unwrap();
    assert_eq!(stack.events("fast", "acme"), [0, 0, 1]);
}
