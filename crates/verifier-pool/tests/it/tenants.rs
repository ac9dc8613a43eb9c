//! Nothing of one tenant is reachable, visible or even noticeable with another's key.

use axum::body::Body;
use http::StatusCode;
use verifier_pool::Config;

use crate::lab::{Lab, PYTHON, request};

#[tokio::test]
async fn another_tenants_verification_is_like_none_on_every_route() {
    let lab = Lab::new();
    let site = lab.site(Config::default());
    site.pool.start();
    let id = site.accepted("").await;
    site.ended(&id).await;
    let nobody = "0198f0c2-0000-7000-8000-000000000000";
    for (method, what) in [("GET", ""), ("GET", "/report"), ("GET", "/events"), ("DELETE", "")] {
        let ask = |id: &str| {
            let path = format!("/v1/verifications/{id}{what}");
            site.send(request(method, &path, "other-admin").body(Body::empty()).unwrap())
        };
        let (theirs, none) = (ask(&id).await, ask(nobody).await);
        assert_eq!(theirs.status, StatusCode::NOT_FOUND, "{method} {what}");
        assert_eq!(theirs.body, none.body, "{method} {what}");
    }
    let list = request("GET", "/v1/verifications", "other-admin").body(Body::empty()).unwrap();
    assert_eq!(site.send(list).await.json()["items"].as_array().unwrap().len(), 0);
    let after = request("GET", &format!("/v1/verifications?before={id}"), "other-admin");
    assert_eq!(
        site.send(after.body(Body::empty()).unwrap()).await.json()["items"],
        serde_json::json!([])
    );
    assert_eq!(site.get(&format!("/v1/verifications/{id}/report")).await.status, StatusCode::OK);
    site.stop().await;
}

#[tokio::test]
async fn the_same_file_and_key_of_two_tenants_are_two_things() {
    let lab = Lab::new();
    let site = lab.site(Config::default());
    let send = |tenant: &str| {
        let key = format!("{tenant}-member");
        let request = request("POST", "/v1/verifications", &key).header("idempotency-key", "1");
        site.send(request.body(Body::from(PYTHON)).unwrap())
    };
    let (ours, theirs) = (send("acme").await, send("other").await);
    assert_eq!((ours.status, theirs.status), (StatusCode::ACCEPTED, StatusCode::ACCEPTED));
    assert_ne!(ours.text("id"), theirs.text("id"));
    assert_eq!(lab.files(), 2, "the same bytes of two tenants are two files");
    let delete = site.delete(&format!("/v1/verifications/{}", ours.text("id"))).await;
    assert_eq!(delete.status, StatusCode::NO_CONTENT);
    assert_eq!(lab.files(), 1);
    site.pool.start();
    let theirs = theirs.text("id");
    let path = format!("/v1/verifications/{theirs}");
    crate::lab::until("theirs runs", || !lab.sandbox.seen.lock().unwrap().is_empty()).await;
    let answer =
        site.send(request("GET", &path, "other-reader").body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::OK);
    site.stop().await;
}
