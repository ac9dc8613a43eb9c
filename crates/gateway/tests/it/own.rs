//! ShieldX's own APIs behind the gateway, and what the gateway answers itself.

use crate::support::upstream::header;
use crate::support::{Told, start, start_with};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

#[tokio::test]
async fn own_apis_check_the_key_themselves_and_get_no_identity() {
    let stack = start().await;
    for path in ["/v1/verifications/1", "/v1/sessions/s/risk", "/v1/features/runs?limit=1"] {
        let headers = [("authorization", "Bearer sx_member"), ("x-shieldx-tenant", "victim")];
        let reply = stack.send(path, &headers).await;
        assert_eq!((reply.status, reply.body.as_str()), (200, "api"), "{path}");
        let head = stack.api.seen().pop().unwrap();
        assert!(head.starts_with(&format!("GET {path} ")));
        assert_eq!(header(&head, "authorization"), Some("Bearer sx_member"));
        assert!(!head.contains("x-shieldx"), "{head}");
    }
    assert!(stack.application.seen().is_empty());
    assert_eq!(stack.send("/v1/verifications", &[]).await.status, 401);
    assert_eq!(stack.get("/v1/verifications/a%2fb").await.status, 400);
}

#[tokio::test]
async fn a_host_of_an_application_goes_before_own_apis() {
    let stack = start_with(|route| route.host = Some("app.example".to_owned())).await;
    assert_eq!(stack.get("/v1/sessions/s").await.body, "application");
    let elsewhere = [("host", "APP.example.org"), ("x-api-key", "sx_member")];
    assert_eq!(stack.send("/v1/sessions/s", &elsewhere).await.body, "api");
    assert_eq!(stack.send("/", &elsewhere).await.status, 404);
}

#[tokio::test]
async fn telemetry_of_a_session_in_doubt_gets_through() {
    let stack = start().await;
    let headers = [("x-api-key", "sx_member"), ("x-shieldx-session", "high")];
    assert_eq!(stack.send("/v1/sessions/high/telemetry", &headers).await.status, 200);
    assert_eq!(stack.send("/", &headers).await.status, 401);
}

#[tokio::test]
async fn the_description_needs_no_key() {
    let stack = start().await;
    let reply = stack.send("/openapi.json", &[]).await;
    assert_eq!(reply.status, 200);
    let document: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
    let trace = &document["paths"]["/v1/traces/{id}"]["get"]["responses"];
    for status in ["200", "400", "401", "403", "404", "429", "502", "503"] {
        assert!(trace[status].is_object(), "{status}");
    }
    for schema in ["ProblemDocument", "Trace"] {
        assert!(document["components"]["schemas"][schema].is_object(), "{schema}");
    }
    let reply = stack.send("/openapi.json/x", &[]).await;
    assert_eq!(reply.status, 404);
    let post =
        b"POST /openapi.json HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let reply = crate::support::client::send(stack.address, post).await;
    assert_eq!(reply.status, 405);
    assert!(reply.header("allow").is_some_and(|methods| methods.contains("GET")));
}

#[tokio::test]
async fn a_trace_is_for_admins_of_the_tenant_whose_request_it_was() {
    let stack = start().await;
    let parent = format!("00-{TRACE}-b7ad6b7169203331-01");
    let headers = [("x-api-key", "sx_member"), ("traceparent", parent.as_str())];
    assert_eq!(stack.send("/a\u{3b}b", &headers).await.status, 400);
    assert_eq!(stack.send("/shop?secret=1", &headers).await.status, 200);
    let told = header(&stack.application.only(), "traceparent").unwrap().to_owned();
    assert!(told.starts_with(&format!("00-{TRACE}-")) && told != parent);
    let path = format!("/v1/traces/{TRACE}");
    for (key, status) in
        [("sx_admin", 200), ("sx_other", 404), ("sx_member", 403), ("sx_unknown", 401)]
    {
        let reply = stack.send(&path, &[("x-api-key", key)]).await;
        assert_eq!(reply.status, status, "{key}: {reply:?}");
    }
    for (id, status) in [("0af7651916cd43dd8448eb211c80319d", 404), ("x", 400), ("0AF7", 400)] {
        let reply = stack.send(&format!("/v1/traces/{id}"), &[("x-api-key", "sx_admin")]).await;
        assert_eq!(reply.status, status, "{id}");
    }
    let reply = stack.send(&path, &[("x-api-key", "sx_admin")]).await;
    let trace: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(trace["tenant"], "acme");
    let spans = trace["spans"].as_array().unwrap();
    let names: Vec<&str> = spans.iter().map(|span| span["name"].as_str().unwrap()).collect();
    for name in ["admit", "route", "authenticate", "assess", "decide", "policy", "forward"] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    let decide = spans.iter().find(|span| span["name"] == "decide").unwrap();
    assert_eq!(decide["attributes"]["shieldx.decision.action"], "allow");
    assert_eq!(decide["service"], "gateway");
}

/// One line for a decision; what a client controls is escaped, and its query is not there.
#[tokio::test]
async fn every_decision_is_a_line_of_the_log() {
    let stack = start().await;
    assert_eq!(stack.get("/logged/\u{1b}[31m?secret=1").await.status, 400);
    assert_eq!(stack.get("/logged/once?secret=1").await.status, 200);
    let lines = Told::here().lines("/logged/");
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line = lines[0].to_string();
    for part in ["decision_id", "allow", "the caller has a key", "acme", "builtin", "trace"] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
    assert!(!line.contains("secret"), "{line}");
}
