//! What each route answers when all is well.

use std::collections::HashSet;

use axum::body::Body;
use http::StatusCode;
use runtime::http::ops::{Ops, readiness};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use verifier_pool::{Config, dependencies};

use crate::lab::{Lab, PYTHON, request, until};

#[tokio::test]
async fn a_submission_is_queued_run_judged_and_reported() {
    let lab = Lab::new();
    let site = lab.site(Config::default());
    let query = "file_name=tool.py&argument=--all&argument=b%20c&timeout_ms=5000";
    let accepted = site.submit(query, PYTHON).await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED);
    let id = accepted.text("id");
    assert_eq!(accepted.header("location"), format!("/v1/verifications/{id}"));
    let document = accepted.json();
    assert_eq!(document["state"], "queued");
    assert_eq!(document["kind"], "python");
    assert_eq!(document["interpreter"], "python3");
    assert_eq!(document["size_bytes"], PYTHON.len());
    assert_eq!(document["arguments"], serde_json::json!(["--all", "b c"]));
    assert_eq!(document["links"]["report"], format!("/v1/verifications/{id}/report"));
    assert_eq!(site.get(&format!("/v1/verifications/{id}/report")).await.problem(), "unfinished");

    site.pool.start();
    let ended = site.ended(&id).await;
    assert_eq!(ended["state"], "done");
    assert_eq!(ended["verdict"], "suspicious");
    assert_eq!(ended["score"], 42);
    assert_eq!(ended["evidence"], "full");
    assert_eq!(ended["attempts"], 1);
    let execution = lab.sandbox.seen.lock().unwrap()[0].clone();
    assert_eq!(execution.id, id);
    assert_eq!(execution.arguments, ["--all", "b c"]);
    assert_eq!(execution.timeout_ms, 5000);
    assert_eq!(std::fs::read(&execution.artifact).unwrap(), PYTHON);
    let observed = lab.history.observed.lock().unwrap()[0].clone();
    assert_eq!((observed.workload.as_str(), observed.run_id), ("tool.py:python3", id.clone()));
    site.stop().await;
}

#[tokio::test]
async fn the_same_request_again_is_the_same_verification() {
    let lab = Lab::new();
    let site = lab.site(Config::default());
    let send = |body: &'static [u8]| {
        let request = request("POST", "/v1/verifications?file_name=a.py", "acme-member");
        site.send(request.header("idempotency-key", "ci-7").body(Body::from(body)).unwrap())
    };
    let first = send(PYTHON).await;
    assert_eq!(first.status, StatusCode::ACCEPTED);
    let again = send(PYTHON).await;
    assert_eq!(again.status, StatusCode::OK);
    assert_eq!(again.text("id"), first.text("id"));
    let other = send(b"import os\nprint(os)\n").await;
    assert_eq!(other.status, StatusCode::CONFLICT);
    assert_eq!(other.problem(), "idempotency-conflict");
    assert!(other.text("detail").contains(&first.text("id")));
    assert_eq!(lab.files(), 1, "the other artifact was not kept");
    assert_eq!(site.metric("submissions_total{outcome=\"repeated\"}"), 1.0);
    assert_eq!(site.metric("artifact_bytes_total"), PYTHON.len() as f64);
}

#[tokio::test]
async fn the_list_is_paged_newest_first_and_filtered() {
    let lab = Lab::new();
    let site = lab.site(Config::default());
    let mut ids = Vec::new();
    for number in 0..7 {
        ids.push(site.accepted(&format!("file_name={number}.py")).await);
    }
    ids.reverse();
    let mut seen = Vec::new();
    let mut path = "/v1/verifications?limit=3".to_owned();
    loop {
        let page = site.get(&path).await.json();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 3);
        assert!(items.iter().all(|item| item.get("arguments").is_none()));
        seen.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => path = format!("/v1/verifications?limit=3&before={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ids);
    site.pool.start();
    for id in &ids {
        site.ended(id).await;
    }
    let count = async |state: &str| {
        let page = site.get(&format!("/v1/verifications?state={state}")).await;
        page.json()["items"].as_array().unwrap().len()
    };
    assert_eq!((count("queued").await, count("done").await, count("failed").await), (0, 7, 0));
    site.stop().await;
}

#[tokio::test]
async fn a_deleted_verification_takes_its_artifact_along_unless_another_needs_it() {
    let lab = Lab::new();
    let site = lab.site(Config::default());
    let (first, second) = (site.accepted("file_name=a.py").await, site.accepted("").await);
    assert_eq!(lab.files(), 1, "the same bytes are kept once");
    assert_eq!(site.delete(&format!("/v1/verifications/{first}")).await.status, 204);
    assert_eq!(lab.files(), 1);
    assert_eq!(site.delete(&format!("/v1/verifications/{second}")).await.status, 204);
    assert_eq!(lab.files(), 0);
    for id in [first, second] {
        assert_eq!(site.get(&format!("/v1/verifications/{id}")).await.problem(), "not-found");
        assert_eq!(site.delete(&format!("/v1/verifications/{id}")).await.problem(), "not-found");
    }
}

#[tokio::test]
async fn what_runs_is_not_deleted() {
    let lab = Lab::new();
    let site = lab.site(Config::default());
    lab.sandbox.play(|_, _| std::future::pending());
    let id = site.accepted("").await;
    site.pool.start();
    until("it runs", || lab.sandbox.running.load(Ordering::SeqCst) == 1).await;
    let refused = site.delete(&format!("/v1/verifications/{id}")).await;
    assert_eq!((refused.status, refused.problem().as_str()), (StatusCode::CONFLICT, "running"));
    assert_eq!(lab.files(), 1);
    site.stop().await;
}

#[tokio::test]
async fn the_document_describes_every_operation() {
    let lab = Lab::new();
    let site = lab.site(Config::default());
    let openapi = site.openapi();
    let mut operations = HashSet::new();
    for (path, item) in openapi["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            operations.insert(format!("{method} {path}"));
            for (status, response) in operation["responses"].as_object().unwrap() {
                let content = response["content"].as_object();
                if status.starts_with(['4', '5']) {
                    let schema = &content.unwrap()["application/problem+json"]["schema"];
                    assert_eq!(schema["$ref"], "#/components/schemas/ProblemDocument");
                }
            }
        }
    }
    let expected = [
        "post /v1/verifications",
        "get /v1/verifications",
        "get /v1/verifications/{id}",
        "delete /v1/verifications/{id}",
        "get /v1/verifications/{id}/report",
        "get /v1/verifications/{id}/events",
    ];
    assert_eq!(operations, expected.map(str::to_owned).into());
    let schemas = openapi["components"]["schemas"].as_object().unwrap();
    let text = openapi.to_string();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name}");
    }
    let form = &schemas["SubmissionForm"];
    assert_eq!(form["additionalProperties"], false);
    assert_eq!(form["properties"]["timeout_ms"]["maximum"], 600_000);
    let parameters =
        openapi["paths"]["/v1/verifications"]["post"]["parameters"].as_array().unwrap();
    let timeout = parameters.iter().find(|known| known["name"] == "timeout_ms").unwrap();
    assert_eq!(timeout["schema"]["maximum"], 600_000);
    let kinds: Vec<&Value> =
        openapi["components"]["securitySchemes"].as_object().unwrap().values().collect();
    assert_eq!(kinds.len(), 2);
}

#[tokio::test]
async fn unknown_routes_and_methods_are_problems() {
    let lab = Lab::new();
    let site = lab.site(Config::default());
    for path in ["/", "/v1", "/v1/verifications/x/y", "/v1/verifications/x/report/z"] {
        let answer = site.get(path).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::NOT_FOUND, "not-found")
        );
    }
    for (method, path, allowed) in [
        ("PUT", "/v1/verifications", "GET,HEAD,POST"),
        ("POST", "/v1/verifications/x", "DELETE,GET,HEAD"),
        ("DELETE", "/v1/verifications/x/report", "GET,HEAD"),
        ("PATCH", "/v1/verifications/x/events", "GET,HEAD"),
    ] {
        let answer =
            site.send(request(method, path, "acme-admin").body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        assert_eq!(answer.problem(), "method-not-allowed");
        let mut allow: Vec<_> = answer.header("allow").split(',').map(str::trim).collect();
        allow.sort_unstable();
        assert_eq!(allow.join(","), allowed, "{method} {path}");
    }
}

#[tokio::test]
async fn readiness_names_what_is_missing() {
    let lab = Lab::new();
    let site = lab.site(Config::default());
    let sandbox = Arc::clone(&lab.sandbox);
    let found = dependencies(lab.store.clone(), lab.artifacts.clone(), sandbox.clone());
    let ops = Ops { metrics: site.metrics.clone(), dependencies: Arc::new(found) };
    assert!(readiness(&ops).await.ready);
    sandbox.available.store(false, Ordering::SeqCst);
    let not = readiness(&ops).await;
    assert!(!not.ready);
    let runner = not.dependencies.iter().find(|found| found.name == "runner").unwrap();
    assert!(runner.reason.as_deref().unwrap().contains("process: no user namespaces"));
    let refused = site.submit("file_name=a.py", PYTHON).await;
    assert_eq!(
        (refused.status, refused.problem().as_str()),
        (StatusCode::CONFLICT, "runner-unavailable")
    );
    assert!(refused.text("detail").contains("no user namespaces"));
}
