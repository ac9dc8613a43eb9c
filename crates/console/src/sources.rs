//! Where what is shown comes from: the ledger, the traces, the services, each behind a trait, so that
//! a page can be looked at without a running server.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ledger::{Ledger, Mark};
use runtime::http::ops::Readiness;
use runtime::telemetry::{Lookup, Summary, TraceFilter, Traces};
use serde::Serialize;
use slo::evaluate::{BurnDown, Step};
use slo::gate::{Ask, Decision};
use slo::status::{Point, Scope};
use slo::{Catalog, Status};
use tokio::sync::watch;

/// What is known of objectives: the ledger.
pub trait Objectives: Send + Sync + Debug {
    fn catalog(&self) -> &Catalog;
    /// All objectives now; changes with each evaluation.
    fn statuses(&self) -> watch::Receiver<Arc<Vec<Status>>>;
    fn status(&self, name: &str, scope: &Scope) -> Option<Status>;
    fn scopes(&self, name: &str) -> Vec<Scope>;
    fn burn_down(&self, name: &str, scope: &Scope, points: u32) -> Option<BurnDown>;
    /// The burn rate over `window` at `points` moments of a span, microseconds since 1970.
    fn burn_series(
        &self,
        name: &str,
        scope: &Scope,
        window: Duration,
        span_us: (i64, i64),
        points: u32,
    ) -> Vec<Point>;
    fn explain(&self, name: &str, scope: &Scope) -> Option<Vec<Step>>;
    fn gate(&self, ask: &Ask) -> Decision;
    fn marks(&self) -> Vec<Mark>;
}

impl Objectives for Ledger {
    fn catalog(&self) -> &Catalog {
        self.catalog()
    }

    fn statuses(&self) -> watch::Receiver<Arc<Vec<Status>>> {
        self.statuses()
    }

    fn status(&self, name: &str, scope: &Scope) -> Option<Status> {
        self.status(name, scope)
    }

    fn scopes(&self, name: &str) -> Vec<Scope> {
        self.scopes(name)
    }

    fn burn_down(&self, name: &str, scope: &Scope, points: u32) -> Option<BurnDown> {
        self.burn_down(name, scope, points)
    }

    fn burn_series(
        &self,
        name: &str,
        scope: &Scope,
        window: Duration,
        span_us: (i64, i64),
        points: u32,
    ) -> Vec<Point> {
        let Some(slo) = self.catalog().get(name) else { return Vec::new() };
        self.with_history(|history| {
            slo::evaluate::burn_series(slo, scope, history, window, span_us, points)
        })
    }

    fn explain(&self, name: &str, scope: &Scope) -> Option<Vec<Step>> {
        self.explain(name, scope)
    }

    fn gate(&self, ask: &Ask) -> Decision {
        self.gate(ask)
    }

    fn marks(&self) -> Vec<Mark> {
        self.marks()
    }
}

/// The traces that are kept.
#[async_trait]
pub trait TraceSource: Send + Sync + Debug {
    async fn lookup(&self, trace_id: &str) -> Lookup;
    /// The newest that are wanted, newest first.
    async fn recent(&self, limit: usize, filter: &TraceFilter) -> Vec<Summary>;
}

/// The traces in memory and in the archive of a process.
#[derive(Debug)]
pub struct KeptTraces(pub Arc<Traces>);

#[async_trait]
impl TraceSource for KeptTraces {
    async fn lookup(&self, trace_id: &str) -> Lookup {
        let (traces, id) = (Arc::clone(&self.0), trace_id.to_owned());
        // A record may have to be read from disk.
        let found = tokio::task::spawn_blocking(move || traces.lookup(&id)).await;
        found.unwrap_or(Lookup::Expired)
    }

    async fn recent(&self, limit: usize, filter: &TraceFilter) -> Vec<Summary> {
        let (traces, filter) = (Arc::clone(&self.0), filter.clone());
        let found = tokio::task::spawn_blocking(move || traces.recent(limit, &filter)).await;
        found.unwrap_or_default()
    }
}

/// How the services are.
#[async_trait]
pub trait ServicesView: Send + Sync + Debug {
    /// Asks each.
    async fn services(&self) -> Vec<Service>;
    fn tasks(&self) -> Vec<Task>;
    fn receivers(&self) -> Vec<Receiver>;
    fn probes(&self) -> Vec<Probe>;
}

/// One service.
#[derive(Debug, Serialize)]
pub struct Service {
    pub name: String,
    /// Where it is, for people.
    pub url: Option<String>,
    pub version: String,
    pub readiness: Readiness,
}

/// Background tasks of one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Task {
    pub name: String,
    pub state: TaskState,
    pub running: u64,
    pub ended: u64,
    pub panicked: u64,
    /// Between repetitions.
    pub period: Option<Duration>,
    /// When it last began, and how long that took.
    pub last_run_us: Option<i64>,
    pub last_took: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskState {
    Running,
    Ended,
    /// Its last repetition, or itself, panicked.
    Panicked,
}

/// Who is told of alerts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Receiver {
    /// `webhook`, `alertmanager`
    pub kind: String,
    /// Without credentials.
    pub url: String,
    /// When it last took something.
    pub last_sent_us: Option<i64>,
    /// Why the last attempt failed, where it did.
    pub failing: Option<String>,
}

/// A request of our own from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Probe {
    pub slo: String,
    pub url: String,
    pub last_run_us: Option<i64>,
    /// `Err`: why it was bad.
    pub last: Option<Result<(), String>>,
}
