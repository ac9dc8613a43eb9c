//! For the objectives no decision is a failure, whatever its status, and no failed dependency is
//! anything else, whoever is told what.

use std::sync::Arc;

use gateway::{Config, OnFailure, OnFailures};

use crate::support::ports::ByPath;
use crate::support::{Choices, Stack};

async fn by_path(on_failure: OnFailures) -> Stack {
    let config = Config { tarpit_ms: 1, risk_timeout_ms: 20, on_failure, ..Config::default() };
    Choices { config, decider: Arc::new(ByPath::default()), ..Choices::default() }.start().await
}

/// Availability of everybody's requests.
fn available(stack: &Stack) -> [u64; 3] {
    let [acme, none] = ["acme", "__none__"].map(|tenant| stack.events("available", tenant));
    [acme[0] + none[0], acme[1] + none[1], acme[2] + none[2]]
}

#[tokio::test]
async fn no_decision_is_bad() {
    let stack = by_path(OnFailures::default()).await;
    let decided = [
        ("/", 200),
        ("/block", 403),
        ("/divert", 200),
        ("/step-up", 401),
        ("/tarpit", 403),
        // The application's own word.
        ("/fails", 500),
    ];
    for (target, status) in decided {
        assert_eq!(stack.get(target).await.status, status, "{target}");
    }
    // Refused before anybody decided: no key, a wrong key, a path that is read in two ways.
    assert_eq!(stack.send("/", &[]).await.status, 401);
    assert_eq!(stack.send("/", &[("x-api-key", "sx_nobody")]).await.status, 401);
    assert_eq!(stack.get("/a/%2e%2e/b").await.status, 400);
    assert_eq!(available(&stack), [8, 0, 1]);
}

#[tokio::test]
async fn every_failed_dependency_is_bad() {
    let stack = by_path(OnFailures::default()).await;
    let session = |id| [("x-api-key", "sx_member"), ("x-shieldx-session", id)];
    // contauth gives no answer, or none in time; the policy panics, or says nothing; the keys cannot
    // be checked; the application and the decoy do not answer.
    assert_eq!(stack.send("/", &session("down")).await.status, 503);
    assert_eq!(stack.send("/", &session("slow")).await.status, 503);
    assert_eq!(stack.get("/panic").await.status, 503);
    assert_eq!(stack.get("/undefined").await.status, 503);
    assert_eq!(stack.send("/", &[("x-api-key", "sx_down")]).await.status, 503);
    assert_eq!(stack.get("/silent").await.status, 502);
    assert_eq!(available(&stack), [0, 6, 0]);
    assert_eq!(stack.events("available", "acme"), [0, 5, 0], "whose key it was is known but once");
}

#[tokio::test]
async fn a_failure_that_the_operator_lets_pass_harms_nobody_and_is_counted_elsewhere() {
    let on_failure = OnFailures { risk: OnFailure::Allow, policy: OnFailure::Allow };
    let stack = by_path(on_failure).await;
    let down = [("x-api-key", "sx_member"), ("x-shieldx-session", "down")];
    assert_eq!(stack.send("/", &down).await.status, 200);
    assert_eq!(stack.get("/panic").await.status, 200);
    assert_eq!(available(&stack), [2, 0, 0]);
    for dependency in ["contauth", "policy"] {
        let line =
            format!("shieldx_gateway_dependency_failures_total{{dependency=\"{dependency}\"}}");
        assert_eq!(stack.metric(&line), 1.0, "{dependency}");
    }
}
