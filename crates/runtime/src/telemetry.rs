//! Logs and traces: one subscriber per process, OTLP where an endpoint is set, the newest traces in
//! memory and those worth keeping in an archive.
//!
//! ```text
//! tracing span ─▶ attribution (whose it is) ─▶ OpenTelemetry span ─┬─▶ newest traces ─▶ tail ─▶ archive
//!                                                                  └─▶ queue ─▶ collector
//! tracing event ─▶ log line, with service and trace
//! ```
//!
//! Everything that is OpenTelemetry's is in this room: its crates' versions belong together, and a
//! mixture loses traces silently. It reads no environment; what the variables say is handed in. A
//! collector that is missing, dead or slow stops and slows nobody: spans are dropped and counted.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use opentelemetry::InstrumentationScope;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanLimits};
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry};

mod context;
mod counts;
mod export;
mod log;
mod numbers;
mod send;
mod service;
mod settings;
mod span;
mod traces;

pub(crate) use context::{SpanIds, current_sampled_span, exemplars_read};
pub use context::{
    continue_trace, current_sampled_trace_id, current_trace_id, current_traceparent, inject, link,
};
pub use counts::Exported;
pub use log::LogSettings;
pub use service::{Service, Services};
pub use settings::{Endpoint, Protocol, Sampling, Settings};
pub use traces::{
    Archive, ArchiveError, Keeping, KeptBecause, Kind, Lookup, SLO_BAD, Span, SpanEvent, SpanLink,
    SpanStatus, Summary, TENANT, Trace, TraceFilter, TraceKey, TraceLimits, Traces,
};

use counts::Counts;
use export::Exporter;
use log::{Lines, Stderr};
use numbers::Numbers;
use send::Collector;
use service::Attribution;
use span::Taker;
use traces::Settler;

use crate::metrics::Metrics;

/// The service of spans that belong to none: the process.
const PROCESS: &str = "shieldx";
/// How long the last spans may take to reach the collector.
const SHUTDOWN: Duration = Duration::from_secs(3);
/// What one span holds at most; what is more is dropped, and the span says how much.
const LIMITS: SpanLimits = SpanLimits {
    max_attributes_per_span: 64,
    max_events_per_span: 64,
    max_links_per_span: 8,
    max_attributes_per_event: 16,
    max_attributes_per_link: 8,
};

/// Why there is no telemetry.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    #[error("the log filter {filter:?} is none; it looks like info,gateway=debug")]
    Filter {
        filter: String,
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    #[error("the thread that sends traces does not start")]
    Thread {
        #[source]
        source: std::io::Error,
    },
    #[error("TLS to the collector cannot be set up")]
    Tls {
        #[source]
        source: rustls::Error,
    },
    #[error("the thread that archives traces does not start, or there is one already")]
    Archive {
        #[source]
        source: std::io::Error,
    },
    #[error("this process already has a subscriber")]
    AlreadySet {
        #[source]
        source: tracing::subscriber::SetGlobalDefaultError,
    },
}

/// Logs and traces of this process.
pub struct Telemetry {
    traces: Arc<Traces>,
    exporter: Option<Exporter>,
    settler: OnceLock<Settler>,
    counts: Counts,
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").field("exporter", &self.exporter).finish_non_exhaustive()
    }
}

/// Starts logs and traces as OpenTelemetry's environment variables say. They are handed in: `variables`
/// tells the value of one. Also gives a sentence for each variable that could not be followed; those
/// stop nothing.
///
/// # Errors
/// See [`InitError`].
pub fn init_tracing_from_env(
    variables: &dyn Fn(&str) -> Option<String>,
    log: LogSettings,
    services: Services,
) -> Result<(Telemetry, Vec<String>), InitError> {
    let (settings, warnings) = Settings::from_env(variables);
    Ok((init(settings, log, services)?, warnings))
}

/// Starts logs on standard error and traces, for the whole process.
///
/// # Errors
/// See [`InitError`].
pub fn init(
    settings: Settings,
    log: LogSettings,
    services: Services,
) -> Result<Telemetry, InitError> {
    let (telemetry, subscriber) = subscriber(settings, log, services, Stderr)?;
    tracing::subscriber::set_global_default(subscriber)
        .map_err(|source| InitError::AlreadySet { source })?;
    Ok(telemetry)
}

/// The same for whoever sets the subscriber on its own, as tests do; log lines go to `writer`.
///
/// # Errors
/// See [`InitError`].
pub fn subscriber<W>(
    settings: Settings,
    log: LogSettings,
    services: Services,
    writer: W,
) -> Result<(Telemetry, impl Subscriber + Send + Sync + use<W>), InitError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&log.filter)
        .map_err(|source| InitError::Filter { filter: log.filter, source })?;
    let propagate = settings.propagate;
    let (telemetry, provider) = Telemetry::start(settings, services)?;
    let scope = InstrumentationScope::builder(PROCESS).with_version(env!("CARGO_PKG_VERSION"));
    let spans = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer_with_scope(scope.build()))
        .with_location(false)
        .with_target(false)
        .with_threads(false)
        .with_tracked_inactivity(false);
    let traces = Attribution { services, propagate, traces: telemetry.traces() };
    let traces = traces.and_then(Numbers).and_then(spans).with_filter(LevelFilter::INFO);
    // The lines' layer also sees spans it would not log, since they know their service.
    let is_span =
        filter_fn(|metadata| metadata.is_span() && *metadata.level() <= tracing::Level::INFO);
    let is_span = is_span.with_max_level_hint(LevelFilter::INFO);
    let lines = Lines { services, json: log.json, color: log.color, writer };
    let subscriber = Registry::default().with(traces).with(lines.with_filter(is_span.or(filter)));
    Ok((telemetry, subscriber))
}

impl Telemetry {
    fn start(
        settings: Settings,
        services: Services,
    ) -> Result<(Self, SdkTracerProvider), InitError> {
        let counts = Counts::new();
        let traces = Arc::new(Traces::new(settings.traces, counts.clone()));
        let names = services.iter().map(|service| service.name).chain([PROCESS]);
        let exporter = settings.endpoint.map(|endpoint| {
            let collector = Collector::new(endpoint, names, &settings.resource)
                .map_err(|source| InitError::Tls { source })?;
            Exporter::start(collector, counts.clone())
                .map_err(|source| InitError::Thread { source })
        });
        let exporter = exporter.transpose()?;
        let queue = exporter.as_ref().map(Exporter::queue);
        let provider = SdkTracerProvider::builder()
            .with_sampler(settings.sampling.sampler())
            .with_span_limits(LIMITS)
            // Spans get their services' when they are sent.
            .with_resource(Resource::builder_empty().build())
            .with_span_processor(Taker { process: PROCESS, traces: Arc::clone(&traces), queue })
            .build();
        Ok((Self { traces, exporter, settler: OnceLock::new(), counts }, provider))
    }

    /// From now on decides which traces are worth keeping, and keeps those in `archive`. Once for a
    /// process; whoever ends spans waits for none of it.
    ///
    /// # Errors
    /// [`InitError::Archive`].
    pub fn archive(&self, archive: Arc<dyn Archive>, keeping: Keeping) -> Result<(), InitError> {
        let settler = Settler::start(&self.traces, archive, keeping)
            .map_err(|source| InitError::Archive { source })?;
        // There is none: a second one does not start.
        let _ = self.settler.set(settler);
        Ok(())
    }

    /// The traces that are kept.
    #[must_use]
    pub fn traces(&self) -> Arc<Traces> {
        Arc::clone(&self.traces)
    }

    /// Adds the metrics of telemetry to a service's. They are the process's: give them one place.
    pub fn register(&self, metrics: &Metrics) {
        self.counts.register(metrics);
    }

    /// What became of the spans so far that were to be exported.
    #[must_use]
    pub fn exported(&self) -> Exported {
        self.counts.exported()
    }

    /// Sends the last spans and archives the last traces, for three seconds at most; spans that end
    /// later are counted as dropped.
    /// It blocks: call it outside of, or after, the asynchronous runtime. Tells what
    /// became of all spans.
    pub fn shutdown(self) -> Exported {
        let deadline = Instant::now() + SHUTDOWN;
        if let Some(settler) = self.settler.get() {
            // It works while the last spans are sent.
            settler.finish(Instant::now());
        }
        if let Some(exporter) = self.exporter {
            exporter.shutdown(deadline.saturating_duration_since(Instant::now()));
        }
        if let Some(settler) = self.settler.get() {
            settler.finish(deadline);
        }
        self.counts.exported()
    }
}
