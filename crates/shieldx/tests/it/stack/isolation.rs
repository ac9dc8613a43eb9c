//! Nothing of one tenant is reachable with another's key, on any route of any API.

use serde_json::{Value, json};

use super::Stack;

#[test]
fn every_documented_route_keeps_tenants_apart() {
    let stack = Stack::start();
    let (alice, bob) = (stack.tenant_key("alice", "admin"), stack.tenant_key("bob", "admin"));
    // What Alice has, with a mark that must not turn up at Bob's.
    let mark = "alices-own-mark";
    let accepted =
        stack.submit(&alice, &format!("{mark}.sh"), b"#!/bin/sh\necho alices-own-mark\n");
    let id = accepted["id"].as_str().unwrap().to_owned();
    let done = stack.finished(&alice, &id);
    let telemetry = json!({"subject": mark, "keystrokes": [{"down_ms": 0, "up_ms": 90}]});
    let kept = stack.post_json(&alice, "/v1/sessions/alices-session/telemetry", &telemetry);
    assert!(matches!(kept.status, 200 | 202), "{}", kept.text());
    let rows = json!({"rows": [{
        "entity": mark, "event_time": "2026-01-01T00:00:00Z", "values": {"n": 1.0}}]});
    let kept = stack.post_json(&alice, "/v1/features/alices_view", &rows);
    assert!(matches!(kept.status, 200 | 202), "{}", kept.text());

    let trace = done["trace_id"].as_str().unwrap_or("00000000000000000000000000000001");
    let fill = |path: &str| {
        path.replace("{view}", "alices_view")
            .replace("{trace_id}", trace)
            .replace("{subject}", mark)
            .replace("/v1/sessions/{id}", "/v1/sessions/alices-session")
            .replace("/v1/traces/{id}", &format!("/v1/traces/{trace}"))
            .replace("{name}", "gateway-availability")
            .replace("{id}", &id)
    };
    let document = stack.get(&alice, "/openapi.json").json();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 8, "{:?}", paths.keys());
    for (template, operations) in paths {
        if !template.starts_with("/v1/") {
            continue;
        }
        let path = fill(template);
        assert!(!path.contains('{'), "a parameter that this test does not know: {template}");
        for method in operations.as_object().unwrap().keys() {
            let answer = match method.as_str() {
                "get" => stack.get(&bob, &with_query(&path, mark)),
                "delete" => stack.delete(&bob, &path),
                "post" | "put" => stack.post_json(&bob, &path, &json!({"rows": []})),
                _ => continue,
            };
            let shown = answer.text();
            assert!(!shown.contains(mark), "{method} {path} shows Alice's: {shown}");
            // Objectives over all tenants are nobody's; a tenant's own view is below.
            if template.starts_with("/v1/slos/") {
                assert_eq!(answer.status, 200, "{method} {path}: {shown}");
            } else if template.contains('{') && method != "post" && !template.contains("{view}") {
                assert!(matches!(answer.status, 403 | 404), "{method} {path}: {shown}");
            }
        }
    }
    for path in ["/v1/slos/gateway-availability", "/v1/slos/gateway-availability/explain"] {
        let answer = stack.get(&bob, &format!("{path}?tenant=alice"));
        assert_eq!(answer.status, 403, "{path}: {}", answer.text());
    }
    // Nothing of Bob's tries has changed what Alice has.
    assert_eq!(stack.finished(&alice, &id)["verdict"], done["verdict"]);
    let latest = format!("/v1/features/alices_view/latest?entity={mark}");
    let latest: Value = stack.get(&alice, &latest).json();
    assert!(latest.to_string().contains(mark), "{latest}");
    let risk = stack.get(&alice, "/v1/sessions/alices-session/risk");
    assert_eq!(risk.status, 200, "{}", risk.text());
}

fn with_query(path: &str, mark: &str) -> String {
    if path.ends_with("/latest") || path.ends_with("/history") {
        return format!("{path}?entity={mark}");
    }
    path.to_owned()
}

#[test]
fn no_key_a_wrong_key_and_a_revoked_key_open_nothing() {
    let stack = Stack::start();
    let key = stack.tenant_key("carol", "reader");
    assert_eq!(stack.get(&key, "/v1/verifications").status, 200);
    let refused = stack.post(&key, "/v1/verifications?file_name=x.sh", &[], b"#!/bin/sh\n");
    assert_eq!(refused.status, 403, "a reader does not submit: {}", refused.text());
    let id = key.split('_').nth(1).unwrap();
    assert!(stack.shieldx(&["key", "revoke", id]).status.success());
    super::until("the key is revoked", || stack.get(&key, "/v1/verifications").status == 401);
    for key in ["", "sx_nobody_0000", "Bearer", "' OR 1=1 --"] {
        let answer = stack.get(key, "/v1/verifications");
        assert_eq!(answer.status, 401, "{key:?}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }
    let expired = stack.shieldx(&["key", "create", "--tenant", "dave", "--expires-in", "1s"]);
    let text = String::from_utf8(expired.stdout).unwrap();
    let key = text.split_whitespace().find(|word| word.starts_with("sx_")).unwrap();
    super::until("the key expires", || {
        let answer = stack.get(key, "/v1/verifications");
        answer.status == 401 && answer.text().contains("expired")
    });
}
