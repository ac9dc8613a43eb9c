//! Everything a submission or a question can have wrong: a problem that names it, and nothing kept.

use axum::body::Body;
use http::{HeaderValue, StatusCode};
use verifier_pool::Config;

use crate::lab::{Lab, PYTHON, request};

#[tokio::test]
async fn parameters_that_cannot_be_are_named() {
    let lab = Lab::new();
    let site = lab.site(Config::default());
    for (query, word) in [
        ("file_name=", "file_name"),
        ("file_name=..", "file_name"),
        ("file_name=a%2Fb.py", "file_name"),
        ("file_name=%FF%FE.py", "UTF-8"),
        ("file_name=a%0Ab", "control characters"),
        ("timeout_ms=0", "timeout_ms"),
        ("timeout_ms=600001", "600000"),
        ("timeout_ms=soon", "timeout_ms"),
        ("interpreter=ruby", "python3, node, sh, bash"),
        ("argument=a%00b", "NUL"),
        ("runner=Process", "runner"),
        ("colour=red", "colour"),
    ] {
        let answer = site.submit(query, PYTHON).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        assert_eq!(answer.problem(), "invalid-parameter", "{query}");
        assert!(answer.text("detail").contains(word), "{query}: {}", answer.text("detail"));
    }
    for key in [&b""[..], b"caf\xe9", &[b'x'; 256]] {
        let request = request("POST", "/v1/verifications", "acme-member");
        let key = HeaderValue::from_bytes(key).unwrap();
        let request = request.header("idempotency-key", key).body(Body::from(PYTHON)).unwrap();
        let answer = site.send(request).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::BAD_REQUEST, "invalid-parameter")
        );
    }
    nothing_kept(&lab, &site).await;
    assert!(site.metric("submissions_total{outcome=\"refused\"}") >= 15.0);
}

#[tokio::test]
async fn runners_that_are_not_there_say_why() {
    let lab = Lab::new();
    let site = lab.site(Config::default());
    for (query, word) in
        [("runner=docker", "no socket answers"), ("runner=vm", "it has: process, docker")]
    {
        let answer = site.submit(query, PYTHON).await;
        assert_eq!(answer.status, StatusCode::CONFLICT);
        assert_eq!(answer.problem(), "runner-unavailable");
        assert!(answer.text("detail").contains(word), "{}", answer.text("detail"));
    }
    nothing_kept(&lab, &site).await;
}

#[tokio::test]
async fn what_cannot_be_executed_is_refused_as_what_it_is() {
    let lab = Lab::new();
    let site = lab.site(Config::default());
    let mut arm = std::fs::read("/bin/true").unwrap();
    arm[18] = 40;
    for (body, word) in [
        (Vec::new(), "empty"),
        (arm, "arm (32-bit)"),
        (b"MZ\x90\0".to_vec(), "Windows program"),
        (b"PK\x03\x04".to_vec(), "ZIP"),
        (b"#!/bin/sh\r\necho\r\n".to_vec(), "CR LF"),
        (b"Dear Sir or Madam".to_vec(), "text"),
    ] {
        let answer = site.submit("", body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{word}");
        assert_eq!(answer.problem(), "not-executable");
        assert!(answer.text("detail").contains(word), "{}", answer.text("detail"));
    }
    nothing_kept(&lab, &site).await;
}

#[tokio::test]
async fn questions_that_cannot_be_are_named() {
    let lab = Lab::new();
    let site = lab.site(Config::default());
    for query in [
        "limit=0",
        "limit=1001",
        "limit=-1",
        "limit=x",
        "before=x",
        "state=gone",
        "x=1",
        "limit=1&limit=2",
    ] {
        let answer = site.get(&format!("/v1/verifications?{query}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        answer.problem();
    }
    for id in ["x", "0198f0c2-0000-7000-8000-000000000000", "%00", "..%2f"] {
        for path in [id.to_owned(), format!("{id}/report"), format!("{id}/events")] {
            let answer = site.get(&format!("/v1/verifications/{path}")).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
            assert_eq!(answer.problem(), "not-found");
        }
    }
    let answer = site.get("/v1/verifications/%FF").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    answer.problem();
}

#[tokio::test]
async fn credentials_and_roles_are_asked_for_on_every_route() {
    let lab = Lab::new();
    let site = lab.site(Config::default());
    let id = site.accepted("").await;
    let routes = [
        ("POST", "/v1/verifications".to_owned()),
        ("GET", "/v1/verifications".to_owned()),
        ("GET", format!("/v1/verifications/{id}")),
        ("GET", format!("/v1/verifications/{id}/report")),
        ("GET", format!("/v1/verifications/{id}/events")),
        ("DELETE", format!("/v1/verifications/{id}")),
    ];
    for (method, path) in routes {
        let bare = http::Request::builder().method(method).uri(&path).body(Body::empty()).unwrap();
        let answer = site.send(bare).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::UNAUTHORIZED, "unauthorized")
        );
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
        let unknown = request(method, &path, "nonsense").body(Body::empty()).unwrap();
        assert_eq!(site.send(unknown).await.status, StatusCode::UNAUTHORIZED);
        if method != "GET" {
            let reader = request(method, &path, "acme-reader").body(Body::from(PYTHON)).unwrap();
            let answer = site.send(reader).await;
            assert_eq!(
                (answer.status, answer.problem().as_str()),
                (StatusCode::FORBIDDEN, "forbidden")
            );
        }
    }
    assert_eq!(site.get(&format!("/v1/verifications/{id}")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_full_queue_refuses_and_keeps_nothing() {
    let lab = Lab::new();
    let config = Config { queue_max_tenant: 2, queue_max_all: 3, ..Config::default() };
    let site = lab.site(config);
    site.accepted("file_name=1.py").await;
    site.accepted("file_name=2.py").await;
    let full = site.submit("", &b"import os\nprint(1)\n"[..]).await;
    assert_eq!(
        (full.status, full.problem().as_str()),
        (StatusCode::TOO_MANY_REQUESTS, "queue-full")
    );
    assert_eq!(full.header("retry-after"), "5");
    assert_eq!(lab.files(), 1, "the refused artifact was not kept");
    let other = |name: &str| {
        let path = format!("/v1/verifications?file_name={name}.py");
        site.send(request("POST", &path, "other-member").body(Body::from(PYTHON)).unwrap())
    };
    assert_eq!(other("a").await.status, StatusCode::ACCEPTED);
    let everybody = other("b").await;
    assert_eq!(everybody.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(everybody.problem(), "queue-full");
    assert_eq!(everybody.header("retry-after"), "5");
    assert_eq!(site.metric("submissions_total{outcome=\"full\"}"), 2.0);
}

async fn nothing_kept(lab: &Lab, site: &crate::lab::Site) {
    assert_eq!(lab.files(), 0);
    let list = site.get("/v1/verifications").await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 0);
}
