//! A service with its router, on a log in memory that can be made to fail, or on the real store.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use ml_service::{Config, MlError, MlService};
use runtime::clock::Manual;
use runtime::metrics::Metrics;
use runtime::shutdown::Shutdown;
use runtime::tasks::Tasks;
use serde_json::{Value, json};
use store::StoreError;
use store::domain::{FeatureLog, Segment};
use tokio::sync::Semaphore;
use tower::ServiceExt as _;
use types::ports::{AuthError, Authenticator, RunFeatures};
use types::{Caller, Role, Tenant};
use utoipa::openapi::OpenApi;

/// 2026-11-24T10:00:00Z.
pub(crate) const NOW_US: i64 = 1_795_514_400_000_000;

pub(crate) fn tenant(name: &str) -> Tenant {
    name.parse().unwrap()
}

/// A log in memory. What is in it survives the service, as a file would.
#[derive(Debug)]
pub(crate) struct MemoryLog {
    segments: Mutex<Vec<Segment>>,
    full: AtomicBool,
    /// Every append takes a permit; without one it waits.
    gate: Semaphore,
}

impl Default for MemoryLog {
    fn default() -> Self {
        let (segments, full) = (Mutex::default(), AtomicBool::default());
        Self { segments, full, gate: Semaphore::new(Semaphore::MAX_PERMITS) }
    }
}

impl MemoryLog {
    pub(crate) fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
    }

    pub(crate) fn close_gate(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(crate) fn open_gate(&self) {
        self.gate.add_permits(Semaphore::MAX_PERMITS);
    }

    pub(crate) fn segments(&self) -> Vec<Segment> {
        self.segments.lock().unwrap().clone()
    }

    pub(crate) fn damage(&self) {
        self.segments.lock().unwrap()[0].payload[20] ^= 1;
    }
}

#[async_trait]
impl FeatureLog for MemoryLog {
    async fn append(&self, segment: Segment) -> Result<u64, StoreError> {
        self.gate.acquire().await.unwrap().forget();
        self.gate.add_permits(1);
        if self.full.load(Ordering::SeqCst) {
            return Err(StoreError::Full { place: "memory".to_owned() });
        }
        let mut segments = self.segments.lock().unwrap();
        segments.push(segment);
        Ok(segments.len() as u64)
    }

    async fn read_after(&self, after: u64, limit: u32) -> Result<Vec<(u64, Segment)>, StoreError> {
        let segments = (1..).zip(self.segments());
        Ok(segments.filter(|(at, _)| *at > after).take(limit as usize).collect())
    }

    async fn segments(
        &self,
        tenant: &Tenant,
        view: &str,
        from_us: i64,
        to_us: i64,
    ) -> Result<Vec<(u64, Segment)>, StoreError> {
        let overlaps = |one: &Segment| one.event_max_us >= from_us && one.event_min_us <= to_us;
        let wanted = |one: &Segment| one.tenant == *tenant && one.view == view && overlaps(one);
        Ok((1..).zip(self.segments()).filter(|(_, one)| wanted(one)).collect())
    }
}

/// Keys are `<tenant>.<role>`.
#[derive(Debug)]
struct Keys;

#[async_trait]
impl Authenticator for Keys {
    async fn authenticate(&self, key: &str) -> Result<Caller, AuthError> {
        let (tenant, role) = key.split_once('.').ok_or(AuthError::Unknown)?;
        let role: Role = role.parse().map_err(|_| AuthError::Unknown)?;
        let tenant = tenant.parse().map_err(|_| AuthError::Unknown)?;
        Ok(Caller { tenant, role, key_id: key.to_owned() })
    }
}

/// The service and everything around it.
pub(crate) struct House {
    pub(crate) service: Arc<MlService>,
    pub(crate) clock: Arc<Manual>,
    pub(crate) metrics: Metrics,
    pub(crate) shutdown: Shutdown,
    tasks: Tasks,
    router: Router,
    document: Value,
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::over(Arc::new(MemoryLog::default())).await
    }

    pub(crate) async fn over(log: Arc<dyn FeatureLog>) -> Self {
        Self::open(&Config::default(), log).await.unwrap()
    }

    pub(crate) async fn open(config: &Config, log: Arc<dyn FeatureLog>) -> Result<Self, MlError> {
        let clock = Arc::new(Manual::at(NOW_US));
        let metrics = Metrics::new("ml-service");
        let shutdown = Shutdown::new();
        let tasks = Tasks::new(shutdown.clone());
        let service = MlService::open(config, log, clock.clone(), &metrics, &tasks).await?;
        let (router, api): (Router, OpenApi) =
            ml_service::api::router(Arc::clone(&service), Arc::new(Keys));
        let document = serde_json::to_value(api).unwrap();
        Ok(Self { service, clock, metrics, shutdown, tasks, router, document })
    }

    /// Sends a request; what comes back is checked against the description of the API.
    pub(crate) async fn send(&self, request: Request<Body>) -> (StatusCode, HeaderMap, Value) {
        let method = request.method().as_str().to_lowercase();
        let path = request.uri().path().to_owned();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let json: Value = serde_json::from_slice(&bytes).unwrap();
        if parts.status.is_success() {
            assert_eq!(parts.headers[header::CONTENT_TYPE], "application/json");
        } else {
            assert_eq!(parts.headers[header::CONTENT_TYPE], "application/problem+json");
            assert_eq!(json["status"], parts.status.as_u16());
            assert!(!json["detail"].as_str().unwrap().is_empty());
        }
        self.check_documented(&method, &path, parts.status);
        (parts.status, parts.headers, json)
    }

    fn check_documented(&self, method: &str, path: &str, status: StatusCode) {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let template = match parts.as_slice() {
            ["v1", "features"] => "/v1/features".to_owned(),
            ["v1", "features", _] => "/v1/features/{view}".to_owned(),
            ["v1", "features", _, last] => format!("/v1/features/{{view}}/{last}"),
            _ => return,
        };
        let Some(operation) = self.document["paths"][&template].get(method) else { return };
        let documented = &operation["responses"];
        assert!(documented.get(status.as_str()).is_some(), "{method} {template}: {status}");
    }

    /// Writes that are under way.
    pub(crate) fn running(&self) -> u64 {
        self.tasks.status().values().map(|status| status.running).sum()
    }

    pub(crate) fn document(&self) -> &Value {
        &self.document
    }

    pub(crate) async fn get(&self, key: &str, path: &str) -> (StatusCode, Value) {
        let request = Request::get(path).header("x-api-key", key).body(Body::empty()).unwrap();
        let (status, _, json) = self.send(request).await;
        (status, json)
    }

    /// What must be answered with 200.
    pub(crate) async fn read(&self, key: &str, path: &str) -> Value {
        let (status, json) = self.get(key, path).await;
        assert_eq!(status, 200, "{path}: {json}");
        json
    }

    pub(crate) async fn post(&self, key: &str, view: &str, body: &str) -> (StatusCode, Value) {
        let request = Request::post(format!("/v1/features/{view}"))
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json")
            .body(Body::from(body.to_owned()))
            .unwrap();
        let (status, _, json) = self.send(request).await;
        (status, json)
    }

    /// Writes rows of (entity, time of day, values) as tenant a's member.
    pub(crate) async fn write(&self, view: &str, rows: &[(&str, &str, Value)]) -> Value {
        self.write_as("a.member", view, rows).await
    }

    pub(crate) async fn write_as(
        &self,
        key: &str,
        view: &str,
        rows: &[(&str, &str, Value)],
    ) -> Value {
        let (status, json) = self.post(key, view, &batch(rows)).await;
        assert_eq!(status, 200, "{json}");
        assert_eq!(json["accepted"], rows.len());
        json
    }
}

pub(crate) fn batch(rows: &[(&str, &str, Value)]) -> String {
    let row = |(entity, time, values): &(&str, &str, Value)| json!({"entity": entity, "event_time": at(time), "values": values});
    json!({"rows": rows.iter().map(row).collect::<Vec<_>>()}).to_string()
}

/// `10:30` on 24 November 2026.
pub(crate) fn at(time: &str) -> String {
    format!("2026-11-24T{time}:00Z")
}

pub(crate) fn run(workload: &str, id: &str, values: &[(&str, f64)]) -> RunFeatures {
    let values: BTreeMap<String, f64> =
        values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    let (run_id, workload) = (id.to_owned(), workload.to_owned());
    RunFeatures { tenant: tenant("a"), run_id, workload, event_time_us: NOW_US, values }
}
