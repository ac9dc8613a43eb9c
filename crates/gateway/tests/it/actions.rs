//! What becomes of a request, by action.

use std::sync::Arc;
use std::time::Duration;

use gateway::{Config, RouteConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::client::request;
use crate::support::ports::ByPath;
use crate::support::{Choices, Stack, start};

async fn by_path(route: fn(&mut RouteConfig)) -> Stack {
    Choices { decider: Arc::new(ByPath::default()), route, ..Choices::default() }.start().await
}

#[tokio::test]
async fn allowed_requests_reach_the_application() {
    let stack = start().await;
    let reply = stack.get("/a/b?c=d").await;
    assert_eq!((reply.status, reply.body.as_str()), (200, "application"));
    assert_eq!(reply.header("x-own"), Some("application"));
    assert!(stack.application.only().starts_with("GET /a/b?c=d HTTP/1.1\r\n"));
    assert_eq!(stack.metric("shieldx_gateway_decisions_total{action=\"allow\"}"), 1.0);
    let forwarded = "shieldx_gateway_forwarded_total{to=\"application\",outcome=\"answered\"}";
    assert_eq!(stack.metric(forwarded), 1.0);
}

#[tokio::test]
async fn blocked_requests_are_told_the_policys_reason_and_reach_nobody() {
    let stack = by_path(|_| {}).await;
    let reply = stack.get("/block").await;
    assert_eq!(reply.status, 403);
    assert_eq!(reply.problem("type"), "urn:shieldx:problem:blocked");
    assert_eq!(reply.problem("detail"), "because of Block");
    assert!(stack.application.seen().is_empty() && stack.decoy.seen().is_empty());
}

#[tokio::test]
async fn a_session_in_doubt_is_asked_to_step_up_and_never_redirected() {
    let stack = start().await;
    for (session, mode) in [("elevated", "cors"), ("high", "navigate")] {
        let headers = [
            ("authorization", "Bearer sx_member"),
            ("x-shieldx-session", session),
            ("sec-fetch-mode", mode),
        ];
        let reply = stack.send("/", &headers).await;
        assert_eq!(reply.status, 401);
        assert_eq!(reply.problem("type"), "urn:shieldx:problem:step-up");
        let challenge = reply.header("www-authenticate").unwrap();
        assert!(challenge.contains("error=\"insufficient_user_authentication\""), "{challenge}");
    }
    assert!(stack.application.seen().is_empty());
    let headers = [("x-api-key", "sx_member"), ("cookie", "a=b; shieldx_session=low")];
    assert_eq!(stack.send("/", &headers).await.status, 200);
    let asked: Vec<String> = stack.risks.asked().into_iter().map(|(_, id, _)| id).collect();
    assert_eq!(asked, ["elevated", "high", "low"]);
}

#[tokio::test]
async fn diverted_requests_get_the_decoys_answer_and_cannot_tell() {
    let stack = start().await;
    let reply = stack.get("/.git/config").await;
    assert_eq!((reply.status, reply.body.as_str()), (200, "decoy"));
    assert!(!reply.head().to_lowercase().contains("shieldx"), "{}", reply.head());
    assert!(stack.application.seen().is_empty());
    let head = stack.decoy.only();
    assert!(head.starts_with("GET /.git/config HTTP/1.1\r\n"));
    assert!(head.contains("x-shieldx-decision: divert\r\n") && !head.contains("sx_member"));
}

#[tokio::test]
async fn without_a_decoy_diverted_requests_are_blocked_without_the_reason() {
    let stack = by_path(|route| route.decoy = None).await;
    let reply = stack.get("/divert").await;
    assert_eq!(reply.status, 403);
    assert_eq!(reply.problem("detail"), "the policy does not allow this request");
    assert!(stack.application.seen().is_empty());
}

#[tokio::test]
async fn the_tarpit_answers_like_a_block_and_has_a_bound() {
    let config = Config { tarpit_ms: 50, tarpit_requests_max: 0, ..Config::default() };
    let decider = Arc::new(ByPath::default());
    let full = Choices { config, decider, ..Choices::default() }.start().await;
    assert_eq!(full.get("/tarpit").await.status, 403);
    assert_eq!(full.metric("shieldx_gateway_tarpit_full_total"), 1.0);
    let stack = by_path(|_| {}).await;
    let reply = stack.get("/tarpit").await;
    assert_eq!(reply.status, 403);
    assert_eq!(reply.problem("detail"), "the policy does not allow this request");
    assert_eq!(stack.metric("shieldx_gateway_tarpit_full_total"), 0.0);
    assert_eq!(stack.metric("shieldx_gateway_tarpitted_requests"), 0.0);
    assert!(stack.application.seen().is_empty());
}

#[tokio::test]
async fn a_client_that_leaves_gives_its_place_in_the_tarpit_back() {
    let config = Config { tarpit_ms: 60_000, ..Config::default() };
    let decider = Arc::new(ByPath::default());
    let stack = Choices { config, decider, ..Choices::default() }.start().await;
    let mut client = TcpStream::connect(stack.address).await.unwrap();
    client.write_all(&request("/tarpit", &[("x-api-key", "sx_member")])).await.unwrap();
    wait_for(&stack, 1.0).await;
    drop(client);
    wait_for(&stack, 0.0).await;
    let abandoned = "shieldx_gateway_phases_total{phase=\"refuse\",outcome=\"abandoned\"}";
    assert_eq!(stack.metric(abandoned), 1.0);
}

pub(crate) async fn wait_for(stack: &Stack, tarpitted: f64) {
    let reached = async {
        while stack.metric("shieldx_gateway_tarpitted_requests") != tarpitted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), reached).await.unwrap();
}

#[tokio::test]
async fn an_application_that_is_down_is_502_and_no_dependency_of_ours() {
    let gone = |route: &mut RouteConfig| {
        // Port 1 of loopback: nothing listens there.
        route.upstream = "http://127.0.0.1:1".parse().unwrap();
    };
    let stack = Choices { route: gone, ..Choices::default() }.start().await;
    let reply = stack.get("/").await;
    assert_eq!(reply.status, 502);
    assert_eq!(reply.problem("type"), "urn:shieldx:problem:bad-gateway");
    let forwarded = "shieldx_gateway_forwarded_total{to=\"application\",outcome=\"failed\"}";
    assert_eq!(stack.metric(forwarded), 1.0);
    for dependency in stack.gateway.dependencies() {
        assert_eq!(dependency.check().await, Ok(()), "{}", dependency.name());
    }
}

/// Half a request, then nothing: the client is still served when it goes on.
#[tokio::test]
async fn a_body_streams_through() {
    let stack = start().await;
    let mut client = TcpStream::connect(stack.address).await.unwrap();
    let head =
        "POST /upload HTTP/1.1\r\nhost: a\r\nx-api-key: sx_member\r\ncontent-length: 6\r\n\r\nabc";
    client.write_all(head.as_bytes()).await.unwrap();
    let reached = async {
        while stack.application.seen().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), reached).await.unwrap();
    client.write_all(b"def").await.unwrap();
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}
