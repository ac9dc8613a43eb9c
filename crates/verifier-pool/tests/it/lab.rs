//! One pool on a store of its own, and a client for its router. Every answer is compared with what
//! the OpenAPI document says can be answered.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use runtime::clock::{Clock, System};
use runtime::metrics::Metrics;
use runtime::shutdown::Shutdown;
use runtime::tasks::Tasks;
use serde_json::Value;
use store::artifacts::Artifacts;
use store::domain::Verifications;
use store::sqlite::Store;
use tower::ServiceExt as _;
use verifier_pool::{Config, Parts, Pool, router};

use crate::played::{Bench, History, Keys, Sandbox};

pub(crate) const PYTHON: &[u8] = b"import sys\nprint(sys.argv)\n";
/// Longer than anything here takes; a test that waits this long fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A folder with a store, and whoever works on it.
#[derive(Debug)]
pub(crate) struct Lab {
    pub(crate) store: Arc<Store>,
    pub(crate) verifications: Arc<dyn Verifications>,
    pub(crate) artifacts: Arc<Artifacts>,
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) judge: Arc<Bench>,
    pub(crate) history: Arc<History>,
    pub(crate) folder: tempfile::TempDir,
}

/// One process's pool.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) pool: Arc<Pool>,
    pub(crate) metrics: Metrics,
    pub(crate) shutdown: Shutdown,
    router: Router,
    openapi: Value,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.json()[name].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The problem's kind; fails when it is no problem document.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let document = self.json();
        assert_eq!(document["status"], self.status.as_u16());
        assert!(document["detail"].as_str().is_some_and(|detail| detail.len() > 10));
        document["type"].as_str().unwrap().replace("urn:shieldx:problem:", "")
    }
}

impl Lab {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("db")).unwrap();
        let artifacts = Artifacts::open(&folder.path().join("artifacts")).unwrap();
        Self {
            verifications: Arc::clone(&store) as Arc<dyn Verifications>,
            store,
            artifacts,
            sandbox: Sandbox::new(),
            judge: Arc::default(),
            history: Arc::default(),
            folder,
        }
    }

    /// A pool that takes submissions and does not work on them before it is started.
    pub(crate) fn site(&self, config: Config) -> Site {
        self.site_at(config, Arc::new(System))
    }

    pub(crate) fn site_at(&self, config: Config, clock: Arc<dyn Clock>) -> Site {
        let metrics = Metrics::new("verifier-pool");
        let shutdown = Shutdown::new();
        let parts = Parts {
            verifications: Arc::clone(&self.verifications),
            artifacts: Arc::clone(&self.artifacts),
            executor: Arc::clone(&self.sandbox) as _,
            judge: Arc::clone(&self.judge) as _,
            anomaly: Arc::clone(&self.history) as _,
            clock,
            metrics: metrics.clone(),
            tasks: Tasks::new(shutdown.clone()),
        };
        let pool = Pool::new(config, parts);
        let (router, openapi) = router(Arc::clone(&pool), Arc::new(Keys));
        let openapi = serde_json::to_value(&openapi).unwrap();
        Site { pool, metrics, shutdown, router, openapi }
    }

    /// Files of artifacts, whole or half.
    pub(crate) fn files(&self) -> usize {
        fn count(folder: &Path) -> usize {
            let entries = std::fs::read_dir(folder).unwrap();
            let of = |path: std::path::PathBuf| if path.is_dir() { count(&path) } else { 1 };
            entries.map(|entry| of(entry.unwrap().path())).sum()
        }
        count(&self.folder.path().join("artifacts"))
    }
}

impl Site {
    pub(crate) async fn call(&self, request: Request<Body>) -> axum::response::Response {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let response = self.router.clone().oneshot(request).await.unwrap();
        self.documented(method.as_str(), &path, response.status());
        response
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.call(request).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(request("GET", path, "acme-reader").body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(request("DELETE", path, "acme-member").body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn submit(&self, query: &str, body: impl Into<Body>) -> Answer {
        let path = format!("/v1/verifications?{query}");
        self.send(request("POST", &path, "acme-member").body(body.into()).unwrap()).await
    }

    /// Submits something that can run; its id.
    pub(crate) async fn accepted(&self, query: &str) -> String {
        let answer = self.submit(query, PYTHON).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
        answer.text("id")
    }

    /// The verification, when it has ended.
    pub(crate) async fn ended(&self, id: &str) -> Value {
        let wait = async {
            loop {
                let answer = self.get(&format!("/v1/verifications/{id}")).await;
                if matches!(answer.text("state").as_str(), "done" | "failed") {
                    return answer.json();
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap()
    }

    /// The value of a metric, by its line without the value.
    pub(crate) fn metric(&self, line: &str) -> f64 {
        let text = self.metrics.text();
        let full = format!("shieldx_verifier_pool_{line} ");
        let found = text.lines().find_map(|known| known.strip_prefix(&full));
        found.unwrap_or_else(|| panic!("{line} is not in\n{text}")).parse().unwrap()
    }

    /// Waits until a metric has a value: a result is in the store before it is counted.
    pub(crate) async fn counted(&self, line: &str, value: f64) {
        until(&format!("{line} {value}"), || self.metric(line) == value).await;
    }

    /// Ends this process's pool in order.
    pub(crate) async fn stop(&self) {
        self.shutdown.begin();
        assert!(self.shutdown.drained(PATIENCE).await, "the pool did not end");
    }

    fn documented(&self, method: &str, path: &str, status: StatusCode) {
        let unrouted = [StatusCode::METHOD_NOT_ALLOWED];
        let template = match path.trim_start_matches("/v1/verifications").trim_matches('/') {
            _ if !path.starts_with("/v1/verifications") || unrouted.contains(&status) => return,
            "" => "/v1/verifications".to_owned(),
            rest => match rest.split_once('/') {
                None => "/v1/verifications/{id}".to_owned(),
                Some((_, what @ ("report" | "events"))) => {
                    format!("/v1/verifications/{{id}}/{what}")
                }
                Some(_) => return,
            },
        };
        let operation = &self.openapi["paths"][&template][method.to_lowercase()];
        let known = &operation["responses"][status.as_str()];
        assert!(known.is_object(), "{method} {template} is not said to answer {status}");
    }

    pub(crate) fn openapi(&self) -> &Value {
        &self.openapi
    }
}

pub(crate) fn request(method: &str, path: &str, key: &str) -> http::request::Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {key}"))
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, so: impl Fn() -> bool) {
    let wait = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "never: {what}");
}
