//! Metrics over prometheus-client: one registry per service, handles resolved once and kept.
//!
//! Label values come from closed sets (enums, route templates), never from a caller.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::registry::{Metric, Registry};

/// Upper bounds in seconds: OpenTelemetry's for `http.server.request.duration`, with 0.35 and 2
/// added because objectives stand there.
pub const DURATION_BUCKETS_S: [f64; 16] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.35, 0.5, 0.75, 1.0, 2.0, 2.5, 5.0, 7.5, 10.0];

/// The metrics of one service. Cloning gives another handle to the same.
#[derive(Clone)]
pub struct Metrics {
    service: &'static str,
    registry: Arc<Mutex<Registry>>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("service", &self.service).finish_non_exhaustive()
    }
}

impl Metrics {
    #[must_use]
    pub fn new(service: &'static str) -> Self {
        Self { service, registry: Arc::new(Mutex::new(Registry::default())) }
    }

    #[must_use]
    pub fn service(&self) -> &'static str {
        self.service
    }

    /// Registers a metric under its full name without unit suffix `_total`, and hands it back.
    pub fn register<M: Metric + Clone>(&self, name: &str, help: &str, metric: M) -> M {
        // The library ends every help text with a period of its own.
        let help = help.strip_suffix('.').unwrap_or(help);
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.register(name, help, metric.clone());
        metric
    }

    /// OpenMetrics 1.0 text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing into a string does not fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
        text
    }
}
