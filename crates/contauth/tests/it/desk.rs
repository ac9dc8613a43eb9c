//! The parts around contauth: keys, a clock that stands, a store in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use contauth::{Config, Contauth};
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use runtime::clock::Manual;
use runtime::metrics::Metrics;
use serde_json::{Value, json};
use store::StoreError;
use store::domain::Sessions;
use tower::ServiceExt as _;
use types::ports::{AuthError, Authenticator};
use types::{Caller, Role, Tenant};

use crate::typist::Sitting;

pub(crate) const SECOND_US: i64 = 1_000_000;
pub(crate) const DAY_US: i64 = 86_400 * SECOND_US;

/// Keys are called `<tenant>:<role>`.
#[derive(Debug)]
struct Keys;

#[async_trait]
impl Authenticator for Keys {
    async fn authenticate(&self, key: &str) -> Result<Caller, AuthError> {
        let (tenant, role) = key.split_once(':').ok_or(AuthError::Unknown)?;
        let tenant: Tenant = tenant.parse().map_err(|_| AuthError::Unknown)?;
        let role: Role = role.parse().map_err(|_| AuthError::Unknown)?;
        Ok(Caller { tenant, role, key_id: key.to_owned() })
    }
}

type Rows = Mutex<BTreeMap<(String, String), (Vec<u8>, i64)>>;

/// A store in memory.
#[derive(Default)]
pub(crate) struct Shelf {
    pub(crate) sessions: Rows,
    pub(crate) profiles: Rows,
    pub(crate) full: AtomicBool,
    pub(crate) down: AtomicBool,
    pub(crate) reads: AtomicU64,
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shelf")
    }
}

impl Shelf {
    /// Everything that is kept, as text.
    pub(crate) fn text(&self) -> String {
        let rows = |rows: &Rows| {
            let rows = rows.lock().unwrap();
            rows.values().map(|row| String::from_utf8(row.0.clone()).unwrap()).collect::<String>()
        };
        rows(&self.sessions) + &rows(&self.profiles)
    }

    fn read(&self, rows: &Rows, tenant: &Tenant, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.up()?;
        let key = (tenant.to_string(), id.to_owned());
        Ok(rows.lock().unwrap().get(&key).map(|row| row.0.clone()))
    }

    fn up(&self) -> Result<(), StoreError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable { reason: "it is down".to_owned() });
        }
        Ok(())
    }
}

#[async_trait]
impl Sessions for Shelf {
    async fn session(&self, tenant: &Tenant, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(&self.sessions, tenant, id)
    }

    async fn profile(&self, tenant: &Tenant, subject: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(&self.profiles, tenant, subject)
    }

    async fn put_session(
        &self,
        tenant: &Tenant,
        id: &str,
        session: Vec<u8>,
        profile: Option<(String, Vec<u8>)>,
        now_us: i64,
    ) -> Result<(), StoreError> {
        // Gives other reports the chance to come in between.
        tokio::task::yield_now().await;
        self.up()?;
        if self.full.load(Ordering::SeqCst) {
            return Err(StoreError::Full { place: "/data".to_owned() });
        }
        if let Some((subject, bytes)) = profile {
            self.profiles.lock().unwrap().insert((tenant.to_string(), subject), (bytes, now_us));
        }
        let key = (tenant.to_string(), id.to_owned());
        self.sessions.lock().unwrap().insert(key, (session, now_us));
        Ok(())
    }

    async fn forget_profile(&self, tenant: &Tenant, subject: &str) -> Result<bool, StoreError> {
        self.up()?;
        let key = (tenant.to_string(), subject.to_owned());
        Ok(self.profiles.lock().unwrap().remove(&key).is_some())
    }

    async fn expire_sessions(&self, before_us: i64) -> Result<u64, StoreError> {
        self.up()?;
        let mut sessions = self.sessions.lock().unwrap();
        let before = sessions.len();
        sessions.retain(|_, row| row.1 >= before_us);
        Ok(u64::try_from(before - sessions.len()).unwrap())
    }
}

/// contauth and what it stands on.
pub(crate) struct Desk {
    pub(crate) router: Router,
    pub(crate) service: Arc<Contauth>,
    pub(crate) clock: Arc<Manual>,
    pub(crate) metrics: Metrics,
}

impl Desk {
    pub(crate) fn on(store: Arc<dyn Sessions>) -> Self {
        let clock = Arc::new(Manual::at(1_700_000_000 * SECOND_US));
        let metrics = Metrics::new("contauth");
        let service = Contauth::new(Config::default(), store, clock.clone(), metrics.clone());
        let (router, _) = contauth::api::router(service.clone(), Arc::new(Keys));
        Self { router, service, clock, metrics }
    }

    pub(crate) fn new() -> (Self, Arc<Shelf>) {
        let shelf = Arc::new(Shelf::default());
        (Self::on(shelf.clone()), shelf)
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        if parts.status == StatusCode::NO_CONTENT {
            return (parts.status, Value::Null);
        }
        let kind = parts.headers[header::CONTENT_TYPE].to_str().unwrap();
        let problem = !parts.status.is_success();
        assert_eq!(kind == "application/problem+json", problem, "{kind} {}", parts.status);
        (parts.status, serde_json::from_slice(&bytes).unwrap())
    }

    pub(crate) async fn post(&self, key: &str, id: &str, body: &Value) -> (StatusCode, Value) {
        self.send(post(key, id, body.to_string())).await
    }

    pub(crate) async fn risk(&self, key: &str, id: &str) -> (StatusCode, Value) {
        self.send(get(key, &format!("/v1/sessions/{id}/risk"))).await
    }

    /// A report of 52 keystrokes, ten seconds after the last.
    pub(crate) async fn types(&self, id: &str, sitting: &mut Sitting) -> Value {
        self.clock.advance_us(10 * SECOND_US);
        let (status, answer) = self.post("acme:member", id, &typed(sitting)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer
    }
}

pub(crate) fn post(key: &str, id: &str, body: String) -> Request<Body> {
    request(Method::POST, key, &format!("/v1/sessions/{id}/telemetry"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body))
        .unwrap()
}

pub(crate) fn get(key: &str, path: &str) -> Request<Body> {
    request(Method::GET, key, path).body(Body::empty()).unwrap()
}

pub(crate) fn delete(key: &str, path: &str) -> Request<Body> {
    request(Method::DELETE, key, path).body(Body::empty()).unwrap()
}

fn request(method: Method, key: &str, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(path).header("X-API-Key", key)
}

/// A report of 52 keystrokes by ada on her laptop.
pub(crate) fn typed(sitting: &mut Sitting) -> Value {
    let keys = sitting.types(52).into_iter();
    let keystrokes: Vec<Value> =
        keys.map(|(down, up)| json!({"down_ms": down, "up_ms": up})).collect();
    json!({
        "subject": "ada",
        "keystrokes": keystrokes,
        "device": laptop(),
        "address": "203.0.113.77",
    })
}

pub(crate) fn laptop() -> Value {
    json!({
        "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        "platform": "Linux x86_64",
        "language": "de-DE",
        "timezone": "Europe/Zurich",
        "screen": {"width": 1920, "height": 1200, "pixel_ratio": 1.5},
        "touch": false,
    })
}

/// The names of an answer's signals.
pub(crate) fn signals(answer: &Value) -> Vec<&str> {
    answer["signals"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect()
}
