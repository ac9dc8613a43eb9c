//! Dependencies that fail: denied unless the operator said otherwise, and counted.

use std::sync::Arc;

use gateway::{Config, OnFailure, OnFailures};

use crate::support::ports::ByPath;
use crate::support::{Choices, Stack};

const CONTAUTH: &str = "shieldx_gateway_dependency_failures_total{dependency=\"contauth\"}";
const POLICY: &str = "shieldx_gateway_dependency_failures_total{dependency=\"policy\"}";
const KEYS: &str = "shieldx_gateway_dependency_failures_total{dependency=\"keys\"}";

async fn with(on_failure: OnFailures, decider: &Arc<ByPath>) -> Stack {
    let config = Config { on_failure, risk_timeout_ms: 20, ..Config::default() };
    Choices { config, decider: Arc::clone(decider) as _, ..Choices::default() }.start().await
}

fn in_session(id: &str) -> [(&str, &str); 2] {
    [("x-api-key", "sx_member"), ("x-shieldx-session", id)]
}

#[tokio::test]
async fn without_a_risk_the_request_is_denied() {
    let decider = Arc::new(ByPath::default());
    let stack = with(OnFailures::default(), &decider).await;
    for session in ["down", "slow"] {
        let reply = stack.send("/", &in_session(session)).await;
        assert_eq!(reply.status, 503);
        assert_eq!(reply.header("retry-after"), Some("1"));
        assert!(reply.problem("detail").contains("risk"));
    }
    assert_eq!(stack.metric(CONTAUTH), 2.0);
    assert!(stack.application.seen().is_empty() && decider.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn where_the_operator_allows_it_the_policy_decides_without_a_session() {
    let decider = Arc::new(ByPath::default());
    let on_failure = OnFailures { risk: OnFailure::Allow, policy: OnFailure::Deny };
    let stack = with(on_failure, &decider).await;
    assert_eq!(stack.send("/", &in_session("down")).await.status, 200);
    assert_eq!(stack.metric(CONTAUTH), 1.0);
    assert_eq!(decider.asked.lock().unwrap()[0].session, None);
    let head = stack.application.only();
    assert!(head.contains("x-shieldx-session: down\r\n") && !head.contains("x-shieldx-risk"));
}

#[tokio::test]
async fn a_policy_that_panics_or_says_nothing_denies() {
    let decider = Arc::new(ByPath::default());
    let stack = with(OnFailures::default(), &decider).await;
    for path in ["/panic", "/undefined"] {
        let reply = stack.get(path).await;
        assert_eq!(reply.status, 503, "{path}");
        assert!(reply.problem("detail").contains("decided"));
    }
    assert_eq!(stack.metric(POLICY), 2.0);
    assert!(stack.application.seen().is_empty());
    assert_eq!(stack.get("/").await.status, 200);
}

#[tokio::test]
async fn a_policy_that_fails_lets_pass_where_the_operator_allows_it() {
    let decider = Arc::new(ByPath::default());
    let on_failure = OnFailures { risk: OnFailure::Deny, policy: OnFailure::Allow };
    let stack = with(on_failure, &decider).await;
    assert_eq!(stack.get("/panic").await.status, 200);
    assert_eq!(stack.metric(POLICY), 1.0);
    // Who may call is not the policy's to say.
    assert_eq!(stack.send("/undefined", &[]).await.status, 401);
}

#[tokio::test]
async fn keys_that_cannot_be_checked_deny_whatever_is_allowed() {
    let decider = Arc::new(ByPath::default());
    let on_failure = OnFailures { risk: OnFailure::Allow, policy: OnFailure::Allow };
    let stack = with(on_failure, &decider).await;
    assert_eq!(stack.send("/", &[("x-api-key", "sx_down")]).await.status, 503);
    assert_eq!(stack.metric(KEYS), 1.0);
    assert!(stack.application.seen().is_empty());
}

#[tokio::test]
async fn a_denial_is_no_failure() {
    let decider = Arc::new(ByPath::default());
    let stack = with(OnFailures::default(), &decider).await;
    assert_eq!(stack.get("/block").await.status, 403);
    let done = "shieldx_gateway_phases_total{phase=\"decide\",outcome=\"done\"}";
    assert_eq!(stack.metric(done), 1.0);
    assert_eq!(stack.metric(POLICY), 0.0);
}
