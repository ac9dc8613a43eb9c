//! Logs and traces: one subscriber per process, OTLP where an endpoint is set, and the newest traces
//! kept in memory.
//!
//! Everything of OpenTelemetry is in this room: its crates are versioned apart and mixing them
//! breaks propagation without a word. Nothing here reads the environment; variables are handed in.
//! A collector that is missing, dead or slow costs spans, which are counted, and never time.

mod export;
mod log;
mod settings;
mod traces;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState, TracerProvider as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, ParseError, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, Registry};

pub use export::SpanCounts;
pub use log::LogSettings;
pub use settings::Settings;
pub use traces::{SpanDocument, TraceDocument, Traces};

/// W3C Trace Context.
pub const TRACEPARENT: &str = "traceparent";
/// What the end of a process waits for spans to reach a collector.
const FLUSH_DEADLINE: Duration = Duration::from_secs(3);

/// Why there are no logs and traces.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    #[error("the log filter {text:?} is none: write `info` or `info,gateway=debug`")]
    Filter {
        text: String,
        #[source]
        source: ParseError,
    },
    #[error("another subscriber was installed before")]
    Installed,
}

/// The process's telemetry; [`Telemetry::shutdown`] sends what is left.
#[derive(Debug)]
pub struct Telemetry {
    provider: SdkTracerProvider,
    traces: Arc<Traces>,
    counts: SpanCounts,
}

/// Installs the process's subscriber. `variable` answers for `OTEL_…` variables; the second value
/// are warnings about values that cannot be used, one sentence each: the process goes on without.
///
/// # Errors
/// A log filter that is none, or a second call.
pub fn init_tracing_from_env(
    variable: &dyn Fn(&str) -> Option<String>,
    log: LogSettings,
) -> Result<(Telemetry, Vec<String>), InitError> {
    let (settings, warnings) = Settings::read(variable);
    let (telemetry, subscriber) = build(settings, log, io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| InitError::Installed)?;
    Ok((telemetry, warnings))
}

/// The same without installing it: for tests, and for whoever has a subscriber already.
///
/// # Errors
/// A log filter that is none.
pub fn build<W>(
    settings: Settings,
    log: LogSettings,
    writer: W,
) -> Result<(Telemetry, impl Subscriber + Send + Sync), InitError>
where
    W: for<'a> tracing_subscriber::fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&log.filter)
        .map_err(|source| InitError::Filter { text: log.filter.clone(), source })?;
    let traces = Arc::new(Traces::default());
    let counts = SpanCounts::default();
    let mut provider = SdkTracerProvider::builder()
        .with_resource(Resource::builder_empty().build())
        .with_sampler(settings.sampler.clone())
        .with_span_processor(traces::Keeper(Arc::clone(&traces)));
    if let Some(processor) = export::processor(&settings, &counts) {
        provider = provider.with_span_processor(processor);
    }
    let provider = provider.build();
    let spans = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("shieldx"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_target(true)
        .with_filter(LevelFilter::INFO.and(filter_fn(|meta| ours(meta.target()))));
    let lines = log::layer(&log, writer).with_filter(filter);
    // Logs lie inside: a line asks for the trace that the layer of spans has made current.
    let subscriber = Registry::default().with(spans).with(lines);
    Ok((Telemetry { provider, traces, counts }, subscriber))
}

/// Spans of the libraries are theirs; only ours tell of phases.
fn ours(target: &str) -> bool {
    export::service_of_target(target).is_some()
        || matches!(crate_of(target), "runtime" | "store" | "shieldx")
        || cfg!(test)
}

fn crate_of(target: &str) -> &str {
    target.split("::").next().unwrap_or(target)
}

impl Telemetry {
    /// The newest traces.
    #[must_use]
    pub fn traces(&self) -> &Arc<Traces> {
        &self.traces
    }

    /// What became of spans for the collector.
    #[must_use]
    pub fn counts(&self) -> &SpanCounts {
        &self.counts
    }

    /// Sends what is left, and does not wait longer than three seconds for it. Blocks.
    pub fn shutdown(self) {
        // What could not be sent is counted; there is nobody left to tell.
        let _ = self.provider.shutdown_with_timeout(FLUSH_DEADLINE);
    }
}

/// The trace id of the current span, 32 hexadecimal digits; `None` outside a trace.
#[must_use]
pub fn current_trace_id() -> Option<String> {
    let context = Context::current();
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| span.trace_id().to_string())
}

/// `traceparent` of the current span (W3C Trace Context), to hand to somebody else.
#[must_use]
pub fn current_traceparent() -> Option<String> {
    let context = Context::current();
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| {
        let flags = span.trace_flags().to_u8() & 1;
        format!("00-{}-{}-{flags:02x}", span.trace_id(), span.span_id())
    })
}

/// Puts the current span's `traceparent` in place of whatever stood there.
pub fn inject(headers: &mut HeaderMap) {
    headers.remove(TRACEPARENT);
    let value = current_traceparent().and_then(|text| HeaderValue::try_from(text).ok());
    if let Some(value) = value {
        headers.insert(HeaderName::from_static(TRACEPARENT), value);
    }
}

/// Makes `span` a child of the remote span that `traceparent` names; a malformed one is ignored.
pub fn continue_trace(span: &tracing::Span, traceparent: &str) {
    if let Some(remote) = parse(traceparent) {
        // Fails where the span was entered before or nobody listens: then there is no trace to join.
        let _ = span.set_parent(Context::new().with_remote_span_context(remote));
    }
}

/// The trace id of a well-formed `traceparent`.
#[must_use]
pub fn trace_id(traceparent: &str) -> Option<String> {
    parse(traceparent).map(|remote| remote.trace_id().to_string())
}

/// Reads `traceparent` strictly: <https://www.w3.org/TR/trace-context/#traceparent-header>. A later
/// version may be longer; its first four fields mean the same.
fn parse(traceparent: &str) -> Option<SpanContext> {
    let hex = |text: &str, len: usize| {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        text.len() == len && text.bytes().all(digit)
    };
    let mut fields = traceparent.split('-');
    let (version, trace, span, flags) =
        (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let good = hex(version, 2) && hex(trace, 32) && hex(span, 16) && hex(flags, 2);
    if !good || version == "ff" || (version == "00" && fields.next().is_some()) {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()? & 1);
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let remote = SpanContext::new(trace, span, flags, true, TraceState::default());
    remote.is_valid().then_some(remote)
}

#[cfg(test)]
mod tests;
