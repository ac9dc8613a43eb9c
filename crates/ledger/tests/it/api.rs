//! The API: who sees what, and that answers are as they are described.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use types::ports::{AuthError, Authenticator};
use types::{Caller, Role};
use utoipa::openapi::OpenApi;

use crate::support::{Process, clock};

const GATED: &str = "
version: 1
slos:
  - name: gateway-availability
    service: gateway
    description: The gateway answers.
    target: 99.9
    window: 30d
    minimum_events: 10
    coverage_min: 0
    availability: {}
gate:
  freeze_on_page: false
  override_keys:
    - name: alice
      public: KEY
";
const SLO: &str = "gateway-availability";

/// A key is a tenant and a role.
#[derive(Debug)]
struct Keys;

#[async_trait]
impl Authenticator for Keys {
    async fn authenticate(&self, key: &str) -> Result<Caller, AuthError> {
        let (tenant, role) = key.split_once('-').ok_or(AuthError::Unknown)?;
        let tenant = tenant.parse().map_err(|_| AuthError::Unknown)?;
        let role: Role = role.parse().map_err(|_| AuthError::Unknown)?;
        Ok(Caller { tenant, role, key_id: format!("id-{key}") })
    }
}

struct Api {
    process: Process,
    router: Router,
    document: OpenApi,
    secret: String,
}

impl Api {
    fn new(folder: &Path) -> Self {
        let (secret, public) = key();
        let process = Process::start(folder, &GATED.replace("KEY", &public), &clock());
        let (router, document) =
            ledger::api::router(Arc::clone(&process.ledger), Arc::new(Keys) as _);
        Self { process, router, document, secret }
    }

    async fn ask(&self, request: Request<Body>) -> (StatusCode, Value) {
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap())
    }

    async fn get(&self, key: &str, path: &str) -> (StatusCode, Value) {
        let request = Request::get(path).header("x-api-key", key).body(Body::empty());
        self.ask(request.unwrap()).await
    }

    async fn post(&self, key: &str, body: &Value) -> (StatusCode, Value) {
        let request = Request::post("/v1/deploys")
            .header("x-api-key", key)
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()));
        self.ask(request.unwrap()).await
    }

    /// Whether an answer is what the document says of it.
    fn check(&self, schema: &str, answer: &Value) {
        let document = serde_json::to_value(&self.document).unwrap();
        let mut root = json!({ "$ref": format!("#/components/schemas/{schema}") });
        root["components"] = document["components"].clone();
        // Whatever is answered has to be described, too.
        for schema in root["components"]["schemas"].as_object_mut().unwrap().values_mut() {
            if schema.get("properties").is_some() {
                schema["additionalProperties"] = json!(false);
            }
        }
        let validator = jsonschema::validator_for(&root).unwrap();
        let wrong: Vec<_> = validator.iter_errors(answer).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{schema}: {wrong:?}\n{answer:#}");
    }
}

fn key() -> (String, String) {
    let made = slo::gate::new_signing_key([7; 32]).unwrap();
    (made.secret, made.public)
}

#[tokio::test]
async fn callers_see_totals_and_their_own_view_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let api = Api::new(folder.path());
    api.process.count(SLO, 990, 10);
    api.process.tick(10).await;
    let (status, list) = api.get("acme-reader", "/v1/slos").await;
    assert_eq!(status, StatusCode::OK);
    api.check("Statuses", &list);
    assert_eq!(list["items"][0]["events"]["bad"], 10);
    for (key, path, expected) in [
        ("acme-reader", "/v1/slos/gateway-availability", 200),
        ("acme-reader", "/v1/slos/gateway-availability?tenant=acme", 200),
        ("acme-admin", "/v1/slos/gateway-availability?tenant=other", 403),
        ("other-reader", "/v1/slos/gateway-availability?tenant=other", 404),
        ("acme-reader", "/v1/slos/gateway-availability?route_group=none", 404),
        ("acme-reader", "/v1/slos/gateway-availability?tenant=acme&route_group=x", 400),
        ("acme-reader", "/v1/slos/gateway-availability?tenants=acme", 400),
        ("acme-reader", "/v1/slos/none", 404),
        ("nobody", "/v1/slos", 401),
        ("acme-member", "/v1/gate/overrides", 403),
    ] {
        let (status, answer) = api.get(key, path).await;
        assert_eq!(status.as_u16(), expected, "{key} {path}: {answer}");
        if expected == 200 {
            api.check("Status", &answer);
            assert_eq!(answer["events"]["good"], 990);
        }
    }
    let (status, steps) = api.get("acme-reader", "/v1/slos/gateway-availability/explain").await;
    assert_eq!(status, StatusCode::OK);
    api.check("Steps", &steps);
    assert!(!steps["items"].as_array().unwrap().is_empty());
    // What is answered is read back by the command line as the same.
    let _: Vec<slo::Status> = serde_json::from_value(list["items"].clone()).unwrap();
}

#[tokio::test]
async fn an_override_lets_a_deploy_go_on_and_is_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let api = Api::new(folder.path());
    api.process.count(SLO, 0, 1000);
    api.process.tick(10).await;
    let (status, answer) = api.get("acme-reader", "/v1/gate?service=gateway&change=feature").await;
    assert_eq!(status, StatusCode::OK);
    api.check("Decision", &answer);
    assert_eq!(answer["answer"], "freeze", "{answer:#}");
    let (status, answer) = api.get("acme-reader", "/v1/gate?service=gatewy").await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
    let asked = |token: String| {
        Request::get("/v1/gate?service=gateway")
            .header("x-api-key", "acme-reader")
            .header("deploy-override", token)
            .body(Body::empty())
            .unwrap()
    };
    let (status, answer) = api.ask(asked("forged.token".to_owned())).await;
    assert_eq!((status, &answer["answer"]), (StatusCode::OK, &json!("freeze")));
    assert!(answer["override_refused"].is_string(), "{answer}");
    assert_eq!(api.process.ledger.overrides(), []);
    let token = sign(&api);
    let (_, answer) = api.ask(asked(token)).await;
    api.check("Decision", &answer);
    assert_ne!(answer["answer"], "freeze", "{answer}");
    assert!(answer["lifted_by"].as_str().unwrap().contains("alice"), "{answer}");
    let (status, used) = api.get("acme-admin", "/v1/gate/overrides").await;
    assert_eq!(status, StatusCode::OK);
    api.check("Overrides", &used);
    assert_eq!(used["items"][0]["key_id"], "id-acme-reader");
    assert_eq!(used["items"].as_array().unwrap().len(), 1);
    // And it is there after a restart.
    let catalog = api.process.ledger.catalog().clone();
    let read = ledger::read(folder.path(), &catalog, crate::support::BEGIN_US).unwrap();
    assert_eq!(read.overrides, api.process.ledger.overrides());
}

fn sign(api: &Api) -> String {
    let claims = slo::gate::Claims {
        who: "alice".to_owned(),
        id: "1".to_owned(),
        service: None,
        not_before_us: crate::support::BEGIN_US,
        expires_us: crate::support::BEGIN_US + 3_600_000_000,
        reason: "a fix".to_owned(),
    };
    slo::gate::sign_override(&api.secret, &claims).unwrap()
}

#[tokio::test]
async fn deploys_are_marked_by_admins_and_shown_to_all() {
    let folder = tempfile::tempdir().unwrap();
    let api = Api::new(folder.path());
    let good = json!({ "service": "gateway", "text": "1.2.3" });
    let (status, mark) = api.post("acme-admin", &good).await;
    assert_eq!(status, StatusCode::CREATED, "{mark}");
    api.check("Mark", &mark);
    let long = "x".repeat(201);
    for (key, body, expected) in [
        ("acme-member", good.clone(), 403),
        ("acme-admin", json!({ "text": "" }), 422),
        ("acme-admin", json!({ "text": long }), 422),
        ("acme-admin", json!({ "text": "a\u{1b}[2J" }), 422),
        ("acme-admin", json!({ "text": "x", "service": "none" }), 422),
        ("acme-admin", json!({ "text": "x", "srvice": "gateway" }), 422),
    ] {
        let (status, answer) = api.post(key, &body).await;
        assert_eq!(status.as_u16(), expected, "{body}: {answer}");
    }
    let (_, list) = api.get("acme-reader", "/v1/deploys").await;
    api.check("Deploys", &list);
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(list["items"][0]["text"], "1.2.3");
}
