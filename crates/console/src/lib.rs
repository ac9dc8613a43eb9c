//! Web pages over the services: budgets, objectives, traces, health.
//!
//! ```text
//! ledger ───────▶ sources ─┐
//! traces ───────▶ sources ─┤            ┌─▶ pages (maud, chart: SVG) ─▶ access (host, token, headers) ─▶ browser
//! services ─────▶ sources ─┼─▶ Shared ──┼─▶ api (JSON)
//! /metrics text ─▶ signals ┘            └─▶ live (server-sent events: "look again")
//! ```
//!
//! It computes no budget, keeps no trace and checks no dependency: it shows what it is handed. The only
//! numbers of its own are the golden signals of the last day, read from the services' metrics. A page is
//! complete without its script, asks nobody else for anything, and whatever a caller could have chosen is
//! escaped in it. **Invariant:** nothing here changes anything.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use runtime::clock::Clock;
use runtime::http::ops::{self, Ops};
use runtime::metrics::{Metrics, describe};
use runtime::tasks::Tasks;
use serde::{Deserialize, Serialize};

mod access;
mod api;
mod chart;
mod counts;
mod live;
mod pages;
mod show;
mod signals;
mod sources;

pub use access::AccessError;
pub use signals::{SAMPLE_EVERY, Signals};
pub use sources::{
    KeptTraces, Objectives, Probe, Receiver, Service, ServicesView, Task, TaskState, TraceSource,
};

use access::Access;
use counts::Counts;
use live::Streams;
use pages::Generated;

/// The console's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the pages are. Other than on loopback a token is required.
    pub address: SocketAddr,
    /// Names it is reached by, besides IP addresses and `localhost`: a request for any other is
    /// refused, since a page of somebody else could have pointed that name here (DNS rebinding).
    pub names: Vec<String>,
    /// A file whose first line is the token that visitors need.
    pub token_file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 8088));
        Self { address, names: Vec::new(), token_file: None }
    }
}

/// What it is built from.
#[derive(Debug)]
pub struct Parts {
    /// A [`ledger::Ledger`].
    pub ledger: Arc<dyn Objectives>,
    /// `runtime::telemetry::Traces`, or something that also knows those on disk.
    pub traces: Arc<dyn TraceSource>,
    pub services: Arc<dyn ServicesView>,
    /// The metrics of every service, for the golden signals.
    pub metrics: Vec<Metrics>,
    /// The console's own metrics and what it needs.
    pub ops: Ops,
    /// Where things are, for what is generated: rules, runbooks.
    pub settings: slo::generate::Settings,
    /// What visitors have to know; at least 16 characters.
    pub token: Option<String>,
    pub clock: Arc<dyn Clock>,
    pub tasks: Tasks,
}

/// The console of a process.
#[derive(Debug)]
pub struct Console {
    shared: Arc<Shared>,
    metrics: Vec<Metrics>,
    ops: Ops,
}

/// What every page has at hand.
#[derive(Debug)]
struct Shared {
    ledger: Arc<dyn Objectives>,
    traces: Arc<dyn TraceSource>,
    services: Arc<dyn ServicesView>,
    signals: Arc<Signals>,
    generated: Generated,
    access: Access,
    counts: Counts,
    streams: Streams,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
}

impl Console {
    /// Builds it; nothing runs yet.
    ///
    /// # Errors
    /// Without a token on an address others can reach, or with one that can be guessed.
    pub fn build(config: &Config, parts: Parts) -> Result<Self, AccessError> {
        let access = Access::new(config, parts.token.as_deref())?;
        let catalog = parts.ledger.catalog();
        let counts = Counts::new(&parts.ops.metrics);
        let shared = Shared {
            signals: Arc::new(Signals::new(catalog.route_groups.clone())),
            generated: Generated::new(catalog, &parts.settings),
            streams: Streams::default(),
            ledger: parts.ledger,
            traces: parts.traces,
            services: parts.services,
            access,
            counts,
            clock: parts.clock,
            tasks: parts.tasks,
        };
        Ok(Self { shared: Arc::new(shared), metrics: parts.metrics, ops: parts.ops })
    }

    /// Begins to read the services' metrics, each ten seconds.
    pub fn start(&self) {
        let (shared, metrics) = (Arc::clone(&self.shared), self.metrics.clone());
        self.shared.tasks.every("console-signals", SAMPLE_EVERY, move || {
            let (shared, metrics) = (Arc::clone(&shared), metrics.clone());
            async move {
                for service in &metrics {
                    let now_us = shared.clock.now_us();
                    shared.signals.take(service.service(), now_us, &service.text());
                    // Reading thousands of lines takes a while; others may have their turn.
                    tokio::task::yield_now().await;
                }
                shared.counts.lines_refused(shared.signals.refused());
            }
        });
    }

    /// The golden signals, for whoever feeds them otherwise.
    #[must_use]
    pub fn signals(&self) -> Arc<Signals> {
        Arc::clone(&self.shared.signals)
    }

    /// Everything it answers: pages, JSON, events, `/metrics`, `/healthz` and `/readyz`.
    pub fn router(&self) -> Router {
        self.beside(Router::new())
    }

    /// The same with other routes on its listener, which go before its own. They are asked under
    /// the console's names only, too; whether they need a key is theirs to say.
    pub fn beside(&self, others: Router) -> Router {
        let host = from_fn_with_state(Arc::clone(&self.shared), access::known_host);
        others.fallback_service(self.pages()).layer(host)
    }

    fn pages(&self) -> Router {
        let (shared, metrics) = (Arc::clone(&self.shared), self.metrics.clone());
        Router::new()
            .route("/", get(pages::overview))
            .route("/slo/{name}", get(pages::objective))
            .route("/traces", get(pages::traces))
            .route("/traces/{id}", get(pages::trace))
            .route("/services", get(pages::services))
            .route("/runbooks/{alert}", get(pages::runbook))
            .route("/events", get(live::events))
            .route("/login", get(access::login_page).post(access::login))
            .route("/favicon.svg", get(pages::favicon))
            .route("/api/slos", get(api::slos))
            .route("/api/slos/{name}", get(api::slo))
            .route("/api/gate", get(api::gate))
            .route("/api/traces", get(api::traces))
            .route("/api/traces/{id}", get(api::trace))
            .route("/api/metrics", get(async move || describe(&metrics)))
            .fallback(pages::no_such_page)
            .with_state(Arc::clone(&shared))
            .merge(ops::routes(self.ops.clone()))
            .layer(from_fn_with_state(shared, access::guard))
    }
}

/// How long a browser may keep what never changes.
const ICON_KEPT: Duration = Duration::from_secs(86_400);
