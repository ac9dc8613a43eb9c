//! Reports in both forms.

use axum::body::Body;
use http::StatusCode;
use types::ports::ExecuteError;
use verifier_pool::Config;

use crate::lab::{Lab, request};

#[tokio::test]
async fn a_report_is_json_or_a_page_that_can_do_nothing() {
    let lab = Lab::new();
    let site = lab.site(Config::default());
    site.pool.start();
    let id = site.accepted("").await;
    site.ended(&id).await;
    let path = format!("/v1/verifications/{id}/report");
    let json = site.get(&path).await;
    assert_eq!(json.header("content-type"), "application/json");
    assert_eq!(json.json()["run"], id);
    assert_eq!(json.header("x-content-type-options"), "nosniff");
    assert!(json.header("cache-control").starts_with("private"));

    let browser = |etag: &str| {
        let request = request("GET", &path, "acme-reader");
        let accept = "text/html,application/xhtml+xml,*/*;q=0.8";
        let request = request.header("accept", accept).header("if-none-match", etag.to_owned());
        site.send(request.body(Body::empty()).unwrap())
    };
    let page = browser("\"unknown\"").await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.body.starts_with(b"<!DOCTYPE html>"));
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    assert!(!policy.contains("script-src"));
    assert_eq!(page.header("vary"), "accept");
    assert_ne!(page.header("etag"), json.header("etag"));
    let known = browser(page.header("etag")).await;
    assert_eq!(known.status, StatusCode::NOT_MODIFIED);
    assert!(known.body.is_empty());
    site.stop().await;
}

#[tokio::test]
async fn a_verification_that_failed_says_why_there_is_no_report() {
    let lab = Lab::new();
    let site = lab.site(Config::default());
    lab.sandbox.play(async |_, _| {
        Err(ExecuteError::Unrunnable { reason: "node is not installed".to_owned() })
    });
    site.pool.start();
    let id = site.accepted("").await;
    let ended = site.ended(&id).await;
    assert_eq!(ended["state"], "failed");
    assert_eq!(ended["attempts"], 1, "trying again is useless");
    assert!(ended["failure"].as_str().unwrap().contains("node is not installed"));
    let report = site.get(&format!("/v1/verifications/{id}/report")).await;
    assert_eq!((report.status, report.problem().as_str()), (StatusCode::CONFLICT, "failed"));
    assert!(report.text("detail").contains("node is not installed"));
    // What cannot be run is no failure of ours: else anybody who may submit could burn a budget.
    site.counted("runs_total{verdict=\"unrunnable\"}", 1.0).await;
    site.counted("runs_total{verdict=\"failed\"}", 0.0).await;
    site.stop().await;
}
