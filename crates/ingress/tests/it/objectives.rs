//! What requests are for the ingress' objectives, as the gateway says.

use std::net::SocketAddr;

use axum::Router;
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use ingress::Config;
use runtime::http::server::{self, Limits};
use runtime::shutdown::Shutdown;
use runtime::tasks::Tasks;

use crate::harness::{Stack, get, loopback};

/// A gateway that answers with the status and the note of the target: `/500/applications`.
async fn gateway() -> SocketAddr {
    let answer = async |target: Uri| {
        let mut parts = target.path().split('/').skip(1);
        let status: StatusCode = parts.next().unwrap().parse().unwrap();
        let mut headers = HeaderMap::new();
        if let Some(note) = parts.next() {
            headers.insert("x-shieldx-note", HeaderValue::from_str(note).unwrap());
        }
        headers.insert("x-shieldx-secret", HeaderValue::from_static("inside"));
        (status, headers)
    };
    let listener = server::bind(loopback()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (router, tasks) = (Router::new().fallback(answer), Tasks::new(Shutdown::new()));
    server::serve(listener, None, router, Limits::internal(), tasks, "gateway");
    address
}

#[tokio::test]
async fn what_the_gateway_says_of_a_response_is_counted_and_goes_no_further() {
    let stack = Stack::before(gateway().await, Config::default()).await;
    for (target, available, fast) in [
        ("/200", [1, 0, 0], [1, 0, 0]),
        ("/500/applications", [1, 0, 1], [1, 0, 1]),
        ("/502", [1, 1, 1], [1, 0, 2]),
        ("/403/delayed", [2, 1, 1], [1, 0, 3]),
        ("/404/other", [3, 1, 1], [2, 0, 3]),
    ] {
        let answer = stack.ask(&get(target, "")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {}", &target[1..4])), "{answer}");
        assert!(!answer.contains("x-shieldx"), "{answer}");
        assert_eq!(stack.events("available"), available, "{target}");
        assert_eq!(stack.events("fast"), fast, "{target}");
    }
}

#[tokio::test]
async fn a_gateway_that_is_gone_is_our_failure() {
    let gone = {
        let listener = tokio::net::TcpListener::bind(loopback()).await.unwrap();
        listener.local_addr().unwrap()
    };
    let stack = Stack::before(gone, Config::default()).await;
    assert!(stack.ask(&get("/", "")).await.starts_with("HTTP/1.1 503"));
    assert_eq!(stack.events("available"), [0, 1, 0]);
}
