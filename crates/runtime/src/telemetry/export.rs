//! Spans on their way to a collector: split by service, sent by OTLP over HTTP as protobuf, and
//! counted, whatever becomes of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor,
};

use super::crate_of;
use super::settings::{Export, Settings};

/// Spans that wait for the exporter; more are dropped and counted.
const QUEUE_SPANS_MAX: usize = 8_192;
/// Spans in one request.
const BATCH_SPANS_MAX: usize = 512;
const SEND_EVERY: Duration = Duration::from_secs(1);
/// A collector's answer has a few bytes.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// Every service, in the order of a request.
const SERVICES: [&str; 6] =
    ["ingress", "gateway", "contauth", "verifier-pool", "ml-service", "shieldx"];

/// What became of spans. Cloning gives another handle to the same.
#[derive(Debug, Clone, Default)]
pub struct SpanCounts(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Ended, and for the collector.
    ended: AtomicU64,
    exported: AtomicU64,
    failed: AtomicU64,
}

impl SpanCounts {
    #[must_use]
    pub fn exported(&self) -> u64 {
        self.0.exported.load(Ordering::Relaxed)
    }

    /// The collector did not take them.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.0.failed.load(Ordering::Relaxed)
    }

    /// Ended and neither exported nor failed: still queued, or dropped at a full queue. When the
    /// process has sent everything it is what was dropped.
    #[must_use]
    pub fn unsent(&self) -> u64 {
        let ended = self.0.ended.load(Ordering::Relaxed);
        ended.saturating_sub(self.exported() + self.failed())
    }
}

/// The service that a crate belongs to; `None` for one that works for all of them.
pub(super) fn service_of_target(target: &str) -> Option<&'static str> {
    Some(match crate_of(target) {
        "ingress" => "ingress",
        "gateway" | "policy" => "gateway",
        "contauth" => "contauth",
        "verifier_pool" | "sandbox" | "verdict" => "verifier-pool",
        "ml_service" => "ml-service",
        _ => return None,
    })
}

/// The service of a span: what its server span says, else its crate's.
pub(super) fn service_of(span: &SpanData) -> &'static str {
    let text = |name: &str| {
        let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == name);
        found.and_then(|attribute| match &attribute.value {
            Value::String(text) => Some(text.as_str()),
            _ => None,
        })
    };
    let said = text("service.name").and_then(|said| SERVICES.iter().find(|name| **name == said));
    said.copied().or_else(|| text("target").and_then(service_of_target)).unwrap_or("shieldx")
}

/// The processor for what the settings ask for.
pub(super) fn processor(settings: &Settings, counts: &SpanCounts) -> Option<Counting> {
    let export = settings.export.as_ref()?;
    let transport = Arc::new(Transport::new(export.timeout));
    let exporters = SERVICES.map(|service| (service, exporter(export, service, &transport)));
    let exporters: Option<BTreeMap<_, _>> =
        exporters.into_iter().map(|(service, built)| Some((service, built?))).collect();
    let exporter = ByService { exporters: exporters?, counts: counts.clone() };
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE_SPANS_MAX)
        .with_max_export_batch_size(BATCH_SPANS_MAX)
        .with_scheduled_delay(SEND_EVERY)
        .build();
    let batches = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
    Some(Counting { batches, counts: counts.clone() })
}

fn exporter(
    export: &Export,
    service: &'static str,
    transport: &Arc<Transport>,
) -> Option<opentelemetry_otlp::SpanExporter> {
    let built = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_shared_http_client(Arc::clone(transport) as Arc<dyn HttpClient>)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(&export.url)
        .with_timeout(export.timeout)
        .with_headers(export.headers.clone())
        .build();
    // The URL was checked; nothing else can be wrong with it.
    let mut exporter = built.ok()?;
    let instance = uuid::Uuid::now_v7().to_string();
    let attributes =
        export.attributes.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    let resource = Resource::builder_empty()
        .with_attributes(attributes)
        .with_attribute(KeyValue::new("service.name", service))
        .with_attribute(KeyValue::new("service.namespace", export.namespace.clone()))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", instance))
        .build();
    exporter.set_resource(&resource);
    Some(exporter)
}

/// Counts what enters the batches.
#[derive(Debug)]
pub(super) struct Counting {
    batches: BatchSpanProcessor,
    counts: SpanCounts,
}

impl SpanProcessor for Counting {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        self.counts.0.ended.fetch_add(1, Ordering::Relaxed);
        self.batches.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }
}

/// Sends each span under the resource of its service (docs/adr, one process, many names).
#[derive(Debug)]
struct ByService {
    exporters: BTreeMap<&'static str, opentelemetry_otlp::SpanExporter>,
    counts: SpanCounts,
}

impl SpanExporter for ByService {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let mut by_service: BTreeMap<&'static str, Vec<SpanData>> = BTreeMap::new();
        for mut span in batch {
            let service = service_of(&span);
            span.attributes.retain(|attribute| attribute.key.as_str() != "service.name");
            by_service.entry(service).or_default().push(span);
        }
        let mut result = Ok(());
        for (service, spans) in by_service {
            let count = spans.len() as u64;
            let sent = match self.exporters.get(service) {
                Some(exporter) => exporter.export(spans).await,
                None => Err(OTelSdkError::InternalFailure(format!("no exporter for {service}"))),
            };
            let outcome =
                if sent.is_ok() { &self.counts.0.exported } else { &self.counts.0.failed };
            outcome.fetch_add(count, Ordering::Relaxed);
            result = result.and(sent);
        }
        result
    }
}

/// HTTP for the exporter. It blocks, which is right on the exporter's own thread and would be wrong
/// anywhere else.
#[derive(Debug)]
struct Transport {
    agent: ureq::Agent,
}

impl Transport {
    fn new(timeout: Duration) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(timeout))
            .user_agent(concat!("shieldx/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.new_agent() }
    }
}

#[async_trait]
impl HttpClient for Transport {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = request.map(|body| body.to_vec());
        let mut response = self.agent.run(request)?;
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
        let mut answer = Response::new(Bytes::from(body));
        *answer.status_mut() = response.status();
        *answer.headers_mut() = response.headers().clone();
        Ok(answer)
    }
}
