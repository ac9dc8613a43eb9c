//! Metrics over prometheus-client: one registry per service, handles resolved once and kept.
//!
//! Label values come from closed sets (enums, route templates), never from a caller; where that is
//! not certain, a [`Family`] has a bound.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family as Unbounded;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

mod dependency;
mod describe;
pub mod exposition;
mod family;
mod histogram;
mod process;
mod reading;
mod traced;
mod workers;

pub use dependency::Dependency;
pub use describe::describe;
pub use exposition::Format;
pub use family::{Described, Family, LABEL_BYTES_MAX, OVERFLOW, Shown};
pub use histogram::TracedHistogram;
pub use reading::Read;
pub use traced::TracedCounter;

pub(crate) use family::Tell;

/// Upper bounds in seconds: OpenTelemetry's for `http.server.request.duration`, with 0.35 and 2
/// added because objectives stand there.
pub const DURATION_BUCKETS_S: [f64; 16] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.35, 0.5, 0.75, 1.0, 2.0, 2.5, 5.0, 7.5, 10.0];

/// The metrics of one service. Cloning gives another handle to the same.
#[derive(Clone)]
pub struct Metrics {
    service: &'static str,
    registry: Arc<Mutex<Registry>>,
    own: Arc<Mutex<Vec<Box<dyn Tell>>>>,
    folded: Unbounded<[(&'static str, String); 1], Counter>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("service", &self.service).finish_non_exhaustive()
    }
}

impl Metrics {
    #[must_use]
    pub fn new(service: &'static str) -> Self {
        let registry = Arc::new(Mutex::new(Registry::default()));
        let metrics = Self { service, registry, own: Arc::default(), folded: Unbounded::default() };
        let help = "Events counted in a metric's overflow series, since it has as many as it may.";
        metrics.register("shieldx_metrics_folded", help, metrics.folded.clone());
        metrics
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

    /// Counts what a metric folds into its overflow series; there from the start.
    #[must_use]
    pub fn folded(&self, metric: &str) -> Counter {
        self.folded.get_or_create_owned(&[("metric", metric.to_owned())])
    }

    /// A counter for each value of a label, all of them there from the start: a counter that is born
    /// at 1 has not increased, and a rate of errors that does not exist is not nought.
    #[must_use]
    pub fn counter_family<const N: usize>(
        &self,
        name: &str,
        help: &str,
        label: &'static str,
        values: [&'static str; N],
    ) -> [Counter; N] {
        let family = self.register(name, help, Unbounded::<[(&str, &str); 1], Counter>::default());
        values.map(|value| family.get_or_create_owned(&[(label, value)]))
    }

    /// A histogram for each value of a label, with these upper bounds.
    #[must_use]
    pub fn histogram_family<const N: usize>(
        &self,
        name: &str,
        help: &str,
        label: &'static str,
        values: [&'static str; N],
        bounds: &'static [f64],
    ) -> [Histogram; N] {
        let make = move || Histogram::new(bounds.iter().copied());
        let family = Unbounded::<[(&str, &str); 1], Histogram, _>::new_with_constructor(make);
        let family = self.register(name, help, family);
        values.map(|value| family.get_or_create_owned(&[(label, value)]))
    }

    /// Adds what is known of the process and of the runtime it is called in, and `shieldx_build_info`.
    pub fn register_process(&self) {
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.register("shieldx_build", "What runs", build);
        registry.register_collector(Box::new(process::Process));
        drop(registry);
        if let Some(workers) = workers::Workers::here() {
            self.tell(workers);
        }
    }

    /// A family with a bound; `M` is a counter, a gauge or a [`TracedHistogram`].
    #[must_use]
    pub fn family<const N: usize, M: Shown + Clone + Default>(
        &self,
        what: Described<'_, N>,
    ) -> Family<N, M> {
        self.add_family(what, self.folded(what.name), M::default)
    }

    /// Histograms with these upper bounds.
    #[must_use]
    pub fn histograms<const N: usize>(
        &self,
        what: Described<'_, N>,
        bounds: &'static [f64],
    ) -> Family<N, TracedHistogram> {
        self.add_family(what, self.folded(what.name), move || TracedHistogram::new(bounds))
    }

    fn add_family<const N: usize, M: Shown + Clone>(
        &self,
        what: Described<'_, N>,
        folded: Counter,
        make: impl Fn() -> M + Send + Sync + 'static,
    ) -> Family<N, M> {
        let family = Family::new(what, folded, make);
        self.tell(family.clone());
        family
    }

    /// One metric without labels that the library does not know.
    #[must_use]
    pub fn own<M: Shown + Clone + Default>(&self, name: &str, help: &str) -> M {
        let what = Described { name, help, labels: [], series_max: 1 };
        self.add_family(what, Counter::default(), M::default).get([])
    }

    pub(crate) fn tell(&self, what: impl Tell + 'static) {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(what));
    }

    /// Everything there is now, by name.
    #[must_use]
    pub fn families(&self) -> Vec<exposition::Family> {
        let families = self.look();
        crate::telemetry::exemplars_read(exposition::traces(&families));
        families
    }

    /// The same for who shows it to nobody: what exemplars point to need not be kept for it.
    #[must_use]
    pub fn look(&self) -> Vec<exposition::Family> {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing into a string does not fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
        drop(registry);
        let mut families = exposition::read(&text);
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        families.extend(own.iter().flat_map(|own| own.tell()));
        families.sort_by(|a, b| a.name.cmp(&b.name));
        families
    }

    /// OpenMetrics 1.0 text.
    #[must_use]
    pub fn text(&self) -> String {
        exposition::open_metrics(&self.families())
    }
}

#[cfg(test)]
mod tests;
