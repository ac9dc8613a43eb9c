//! What must not be taken, and what is said about it.

use axum::body::Body;
use http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::desk::{Desk, get, post, typed};
use crate::typist::Typist;

const MEMBER: &str = "acme:member";

#[tokio::test]
async fn values_of_keys_are_refused_and_neither_kept_nor_repeated() {
    let (desk, shelf) = Desk::new();
    for (name, value) in [("key", "Xq7"), ("code", "Xq7"), ("char", "Xq7"), ("down_ms", "Xq7")] {
        let mut key = json!({"down_ms": 1.0, "up_ms": 2.0});
        key[name] = json!(value);
        let (status, problem) =
            desk.post(MEMBER, "s", &json!({"subject": "ada", "keystrokes": [key]})).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("values of keys are never accepted"), "{detail}");
        assert!(detail.contains(&format!("keystrokes[0].{name}")), "{detail}");
        assert!(!detail.contains("Xq7"), "{detail}");
    }
    assert_eq!(shelf.text(), "");
    assert_eq!(desk.risk(MEMBER, "s").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_report_out_of_its_limits_or_out_of_order_names_the_field() {
    let (desk, shelf) = Desk::new();
    let key = |down: f64, up: f64| json!({"down_ms": down, "up_ms": up});
    let at = |t: f64| json!({"t_ms": t, "x": 1, "y": 1});
    let cases: Vec<(&str, Value)> = vec![
        ("subject", json!({"subject": ""})),
        ("subject", json!({"subject": "a\u{0}b"})),
        ("subject", json!({"subject": "x".repeat(257)})),
        ("subject", json!({})),
        ("subject", json!({"subject": 7})),
        ("keystrokes[0]", json!({"subject": "a", "keystrokes": [key(5.0, 4.0)]})),
        ("keystrokes[1]", json!({"subject": "a", "keystrokes": [key(5.0, 6.0), key(4.0, 9.0)]})),
        ("keystrokes[0].down_ms", json!({"subject": "a", "keystrokes": [key(-1.0, 4.0)]})),
        ("keystrokes[0].up_ms", json!({"subject": "a", "keystrokes": [key(1.0, 1e12)]})),
        ("keystrokes", json!({"subject": "a", "keystrokes": vec![key(1.0, 2.0); 2001]})),
        ("keystrokes", json!({"subject": "a", "keystrokes": null})),
        ("pointer[1]", json!({"subject": "a", "pointer": [at(5.0), at(4.0)]})),
        ("pointer[0]", json!({"subject": "a", "pointer": [{"t_ms": 1, "x": 1e9, "y": 1}]})),
        ("pointer", json!({"subject": "a", "pointer": vec![at(1.0); 5001]})),
        (
            "pointer[0].kind",
            json!({"subject": "a", "pointer": [{"t_ms": 1, "x": 1, "y": 1, "kind": "fly"}]}),
        ),
        ("address", json!({"subject": "a", "address": "example.org"})),
        ("sent_at", json!({"subject": "a", "sent_at": "yesterday"})),
        ("sequence", json!({"subject": "a", "sequence": -1})),
        ("sequence", json!({"subject": "a", "sequence": u64::MAX})),
        ("device.user_agent", json!({"subject": "a", "device": {"user_agent": "x".repeat(1025)}})),
        (
            "device.screen",
            json!({"subject": "a", "device": {"screen": {"width": 1_000_000, "height": 1}}}),
        ),
        ("typed_text", json!({"subject": "a", "typed_text": "secret"})),
    ];
    for (field, body) in cases {
        let (status, problem) = desk.post(MEMBER, "s", &body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{field} {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(field), "{field}: {problem}");
    }
    assert_eq!(shelf.text(), "");
}

#[tokio::test]
async fn requests_that_are_no_reports_are_answered_with_problems() {
    let (desk, _) = Desk::new();
    let body = || json!({"subject": "ada"}).to_string();
    let bare = |kind: Option<&str>, body: String| {
        let mut request = post(MEMBER, "s", body);
        match kind {
            Some(kind) => request.headers_mut().insert(header::CONTENT_TYPE, kind.parse().unwrap()),
            None => request.headers_mut().remove(header::CONTENT_TYPE),
        };
        request
    };
    let mut anonymous = post(MEMBER, "s", body());
    anonymous.headers_mut().remove("X-API-Key");
    let cases = vec![
        (StatusCode::BAD_REQUEST, post(MEMBER, "s", "{\"subject\": ".to_owned())),
        (
            StatusCode::BAD_REQUEST,
            post(MEMBER, "s", "{\"subject\":\"a\",\"sequence\":1e999}".to_owned()),
        ),
        (StatusCode::BAD_REQUEST, post(MEMBER, "a%20b", body())),
        (StatusCode::BAD_REQUEST, post(MEMBER, "a%ffb", body())),
        (StatusCode::BAD_REQUEST, post(MEMBER, &"x".repeat(129), body())),
        (StatusCode::BAD_REQUEST, get(MEMBER, "/v1/sessions/s/risk?address=nowhere")),
        (StatusCode::BAD_REQUEST, get(MEMBER, "/v1/sessions/s/risk?tenant=other")),
        (StatusCode::UNAUTHORIZED, anonymous),
        (StatusCode::UNAUTHORIZED, post("nobody", "s", body())),
        (StatusCode::FORBIDDEN, post("acme:reader", "s", body())),
        (StatusCode::NOT_FOUND, get(MEMBER, "/v1/sessions/s/risk")),
        (StatusCode::NOT_FOUND, get(MEMBER, "/v1/nothing")),
        (StatusCode::METHOD_NOT_ALLOWED, get(MEMBER, "/v1/sessions/s/telemetry")),
        (
            StatusCode::PAYLOAD_TOO_LARGE,
            post(MEMBER, "s", " ".repeat(contauth::TELEMETRY_BODY_MAX_BYTES + 1)),
        ),
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, bare(Some("text/plain"), body())),
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, bare(None, body())),
    ];
    for (expect, request) in cases {
        let what = format!("{} {}", request.method(), request.uri());
        let (status, problem) = desk.send(request).await;
        assert_eq!(status, expect, "{what}: {problem}");
        assert_eq!(problem["status"], expect.as_u16());
    }
    let request = Request::builder().method(Method::PUT).uri("/v1/sessions/s/risk");
    let request = request.body(Body::empty()).unwrap();
    let response = desk.router.clone().oneshot(request).await.unwrap();
    assert!(response.headers()[header::ALLOW].to_str().unwrap().contains("GET"));
}

#[tokio::test]
async fn a_session_stays_with_its_subject_and_a_tenant_with_its_sessions() {
    let (desk, _) = Desk::new();
    let mut sitting = Typist::new(1).session(1);
    desk.types("s", &mut sitting).await;
    let (status, problem) = desk.post(MEMBER, "s", &json!({"subject": "eve"})).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(!problem.to_string().contains("ada"), "{problem}");
    let mut later = typed(&mut sitting);
    later.as_object_mut().unwrap().remove("subject");
    assert_eq!(desk.post(MEMBER, "s", &later).await.0, StatusCode::OK);

    let missing = desk.risk("globex:admin", "never").await;
    assert_eq!(desk.risk("globex:admin", "s").await, missing, "as if it did not exist");
    let theirs = desk.post("globex:member", "s", &json!({"subject": "eve"})).await;
    assert_eq!((theirs.0, &theirs.1["subject"]), (StatusCode::OK, &json!("eve")));
    assert_eq!(desk.risk(MEMBER, "s").await.1["subject"], "ada");
}

#[tokio::test]
async fn a_report_sent_twice_is_counted_once() {
    let (desk, shelf) = Desk::new();
    let mut report = typed(&mut Typist::new(1).session(1));
    report["sequence"] = json!(7);
    let (_, first) = desk.post(MEMBER, "s", &report).await;
    let kept = shelf.text();
    let (status, second) = desk.post(MEMBER, "s", &report).await;
    assert_eq!(
        (status, &first["counted"], &second["counted"]),
        (StatusCode::OK, &json!(true), &json!(false))
    );
    assert_eq!((&first["risk"], &first["signals"]), (&second["risk"], &second["signals"]));
    assert_eq!(shelf.text(), kept);
}

#[tokio::test]
async fn the_description_names_every_answer_and_every_route() {
    let (desk, _) = Desk::new();
    let keys = std::sync::Arc::new(NoKeys);
    let (_, api) = contauth::api::router(desk.service.clone(), keys);
    let api: Value = serde_json::to_value(api).unwrap();
    let operation = &api["paths"]["/v1/sessions/{id}/telemetry"]["post"];
    for status in ["200", "400", "401", "403", "409", "413", "415", "422", "503", "507"] {
        assert!(operation["responses"][status].is_object(), "{status}");
    }
    assert!(api["paths"]["/v1/sessions/{id}/risk"]["get"]["responses"]["404"].is_object());
    assert!(
        api["paths"]["/v1/subjects/{subject}/profile"]["delete"]["responses"]["204"].is_object()
    );
    let schemas = &api["components"]["schemas"];
    for name in ["Telemetry", "Keystroke", "PointerEvent", "Device", "Screen"] {
        assert_eq!(schemas[name]["additionalProperties"], json!(false), "{name}");
    }
    assert_eq!(schemas["Telemetry"]["properties"]["keystrokes"]["maxItems"], 2000);
}

#[derive(Debug)]
struct NoKeys;

#[async_trait::async_trait]
impl types::ports::Authenticator for NoKeys {
    async fn authenticate(&self, _: &str) -> Result<types::Caller, types::ports::AuthError> {
        Err(types::ports::AuthError::Unknown)
    }
}
