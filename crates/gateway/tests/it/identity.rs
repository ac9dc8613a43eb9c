//! Who is let in, what of the request the application sees, and what the policy is told.

use std::sync::Arc;

use crate::support::ports::ByPath;
use crate::support::upstream::header;
use crate::support::{Choices, EDGE_SECRET, start, start_with};

#[tokio::test]
async fn without_a_key_or_with_a_bad_one_nobody_passes() {
    let stack = start().await;
    for headers in [
        &[][..],
        &[("x-api-key", "sx_unknown")],
        &[("x-api-key", "\u{e9}")],
        &[("x-api-key", "")],
        &[("authorization", "Bearer sx_unknown")],
        &[("authorization", "Bearer of-the-application")],
        &[("authorization", "Basic sx_member")],
        // The first place counts, so that two readers see the same key.
        &[("x-api-key", "sx_unknown"), ("authorization", "Bearer sx_member")],
    ] {
        let reply = stack.send("/", headers).await;
        assert_eq!(reply.status, 401, "{headers:?}");
        assert_eq!(reply.problem("type"), "urn:shieldx:problem:unauthorized");
    }
    assert!(stack.application.seen().is_empty());
}

#[tokio::test]
async fn an_open_route_lets_everybody_in_but_a_bad_key() {
    let stack = start_with(|route| route.anonymous = true).await;
    assert_eq!(stack.send("/", &[]).await.status, 200);
    let own = [("authorization", "Bearer of-the-application")];
    assert_eq!(stack.send("/", &own).await.status, 200);
    for bad in [("x-api-key", "nobodys"), ("authorization", "Bearer sx_unknown")] {
        assert_eq!(stack.send("/", &[bad]).await.status, 401, "{bad:?}");
    }
    let seen = stack.application.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(header(&seen[0], "x-shieldx-tenant"), None);
    assert_eq!(header(&seen[1], "authorization"), Some("Bearer of-the-application"));
}

#[tokio::test]
async fn the_key_stays_here_and_identity_is_ours_to_tell() {
    let stack = start().await;
    let headers = [
        ("x-api-key", "sx_member"),
        ("authorization", "Bearer of-the-application"),
        ("x-shieldx-tenant", "victim"),
        ("X-ShieldX-Role", "admin"),
        ("x-shieldx-anything", "x"),
        ("x-shieldx-session", "low"),
        ("x-shieldx-risk", "none"),
        // Nothing a caller names here is taken away from what we add.
        ("connection", "x-shieldx-tenant, x-shieldx-risk"),
        ("cookie", "own=1"),
    ];
    let reply = stack.send("/", &headers).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(!reply.head().contains("x-shieldx"), "{}", reply.head());
    let head = stack.application.only();
    for (name, value) in [
        ("authorization", Some("Bearer of-the-application")),
        ("cookie", Some("own=1")),
        ("x-api-key", None),
        ("x-shieldx-tenant", Some("acme")),
        ("x-shieldx-role", Some("member")),
        ("x-shieldx-key-id", Some("member")),
        ("x-shieldx-session", Some("low")),
        ("x-shieldx-risk", Some("low")),
        ("x-shieldx-decision", Some("allow")),
        ("x-shieldx-anything", None),
        ("x-shieldx-edge", None),
    ] {
        assert_eq!(header(&head, name), value, "{name}");
    }
    assert_eq!(head.matches("x-shieldx-tenant").count(), 1);
    assert!(!head.contains("sx_member"));
}

#[tokio::test]
async fn a_key_in_authorization_is_stripped_too() {
    let stack = start().await;
    for key in ["Bearer sx_member", "bearer plain"] {
        assert_eq!(stack.send("/", &[("authorization", key)]).await.status, 200);
    }
    for head in stack.application.seen() {
        assert_eq!(header(&head, "authorization"), None);
    }
}

#[tokio::test]
async fn an_application_of_a_tenant_lets_in_its_keys_only() {
    let stack = start_with(|route| {
        route.tenant = Some("acme".parse().unwrap());
        route.anonymous = true;
    })
    .await;
    assert_eq!(stack.get("/").await.status, 200);
    let reply = stack.send("/", &[("x-api-key", "sx_other")]).await;
    assert_eq!(reply.status, 403);
    assert_eq!(reply.problem("type"), "urn:shieldx:problem:forbidden");
    // Its visitors' sessions are looked up there.
    let reply = stack.send("/", &[("cookie", "shieldx_session=high")]).await;
    assert_eq!(reply.status, 401);
    let (tenant, session, now) = stack.risks.asked().pop().unwrap();
    assert_eq!((tenant.as_str(), session.as_str()), ("acme", "high"));
    assert_eq!(now.address.as_deref(), Some("127.0.0.1"));
}

#[tokio::test]
async fn a_visitor_of_nobodys_application_has_no_session() {
    let stack = start_with(|route| route.anonymous = true).await;
    assert_eq!(stack.send("/", &[("x-shieldx-session", "high")]).await.status, 200);
    assert!(stack.risks.asked().is_empty());
}

#[tokio::test]
async fn a_session_that_is_none_is_refused() {
    let stack = start().await;
    for session in ["a b", "", "a/../b"] {
        let headers = [("x-api-key", "sx_member"), ("x-shieldx-session", session)];
        let reply = stack.send("/", &headers).await;
        assert_eq!(reply.status, 400, "{session:?}");
        assert_eq!(reply.problem("type"), "urn:shieldx:problem:bad-session-id");
    }
}

#[tokio::test]
async fn the_policy_is_told_everything_but_credentials() {
    let decider = Arc::new(ByPath::default());
    let choices = Choices { decider: Arc::clone(&decider) as _, ..Choices::default() };
    let stack = choices.start().await;
    let headers = [
        ("host", "App.Example.:8080"),
        ("x-api-key", "sx_member"),
        ("authorization", "Basic secret"),
        ("cookie", "secret=1"),
        ("x-shieldx-session", "low"),
        ("x-twice", "a"),
        ("X-Twice", "b"),
        ("x-forwarded-for", "6.6.6.6"),
    ];
    assert_eq!(stack.send("/p%20q?x=%2f", &headers).await.status, 200);
    let input = decider.asked.lock().unwrap().remove(0);
    let request = &input.request;
    assert_eq!(request.method, "GET");
    assert_eq!(request.host, "app.example");
    assert_eq!(request.path, "/p%20q");
    assert_eq!(request.query.as_deref(), Some("x=%2f"));
    assert_eq!(request.client_address, "127.0.0.1");
    assert_eq!(request.headers["x-twice"], "a, b");
    assert!(!format!("{input:?}").contains("secret"));
    assert!(
        !format!("{input:?}").contains("sx_member") && !format!("{input:?}").contains("6.6.6.6")
    );
    assert_eq!(input.caller.unwrap().tenant, "acme");
    assert_eq!(input.session.unwrap().id, "low");
    let route = input.route;
    assert_eq!((route.name.as_str(), route.kind.as_str(), route.decoy), ("app", "upstream", true));
    assert_eq!(header(&stack.application.only(), "host"), Some("App.Example.:8080"));
}

#[tokio::test]
async fn the_clients_address_is_what_the_ingress_says_and_nobody_else() {
    let decider = Arc::new(ByPath::default());
    let choices = Choices { decider: Arc::clone(&decider) as _, ..Choices::default() };
    let stack = choices.start().await;
    let said = [
        ("x-api-key", "sx_member"),
        ("x-forwarded-for", "203.0.113.7"),
        ("x-forwarded-proto", "https"),
    ];
    for secret in [EDGE_SECRET, "a guess"] {
        let mut headers = said.to_vec();
        headers.push(("x-shieldx-edge", secret));
        assert_eq!(stack.send("/", &headers).await.status, 200);
    }
    let addresses: Vec<String> = decider
        .asked
        .lock()
        .unwrap()
        .iter()
        .map(|input| input.request.client_address.clone())
        .collect();
    assert_eq!(addresses, ["203.0.113.7", "127.0.0.1"]);
    let forwarded: Vec<String> = stack
        .application
        .seen()
        .iter()
        .map(|head| header(head, "x-forwarded-for").unwrap().to_owned())
        .collect();
    assert_eq!(forwarded, addresses);
}
