//! One request to a collector, and what its answer means.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri, header};
use opentelemetry::KeyValue;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;
use prost::Message as _;
use ureq::Agent;

use super::span::Ended;

/// Bytes of an answer that are looked at.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// Where spans go.
#[derive(Debug)]
pub(super) struct Collector {
    agent: Agent,
    endpoint: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    timeout: Duration,
    /// By service.
    resources: HashMap<&'static str, ResourceAttributesWithSchema>,
}

/// What became of a request.
#[derive(Debug)]
pub(super) enum Sent {
    /// It was taken, all but so many spans.
    Taken { rejected: u64 },
    /// It was answered, and will always be answered so.
    Refused { reason: String },
    /// It was not answered, or the answer was *not now*.
    Unreachable { reason: String, retry: bool, after: Option<Duration> },
}

impl Collector {
    /// `attributes` is what all services' resources have in common.
    pub(super) fn new(
        endpoint: Uri,
        headers: Vec<(HeaderName, HeaderValue)>,
        timeout: Duration,
        services: impl Iterator<Item = &'static str>,
        attributes: &[KeyValue],
    ) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            // It would be read from the environment.
            .proxy(None)
            .user_agent(concat!("OTel-OTLP-Exporter-shieldx/", env!("CARGO_PKG_VERSION")))
            .build();
        let resource = |service: &'static str| {
            let resource = Resource::builder_empty()
                .with_attributes(attributes.iter().cloned())
                .with_service_name(service)
                .build();
            (service, ResourceAttributesWithSchema::from(&resource))
        };
        let resources = services.map(resource).collect();
        Self { agent: config.new_agent(), endpoint, headers, timeout, resources }
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The spans, those of each service under its resource.
    pub(super) fn encode(&self, spans: Vec<Arc<Ended>>) -> Vec<u8> {
        let mut services: BTreeMap<&'static str, Vec<SpanData>> = BTreeMap::new();
        for ended in spans {
            let Ended { service, data } = Arc::unwrap_or_clone(ended);
            services.entry(service).or_default().push(data);
        }
        let none = ResourceAttributesWithSchema::default();
        let resource_spans = services.into_iter().flat_map(|(service, spans)| {
            let resource = self.resources.get(service).unwrap_or(&none);
            group_spans_by_resource_and_scope(spans, resource)
        });
        ExportTraceServiceRequest { resource_spans: resource_spans.collect() }.encode_to_vec()
    }

    pub(super) fn send(&self, body: &[u8], timeout: Duration) -> Sent {
        let mut request = self
            .agent
            .post(self.endpoint.clone())
            .header(header::CONTENT_TYPE, "application/x-protobuf");
        for (name, value) in &self.headers {
            request = request.header(name.clone(), value.clone());
        }
        // Nought would mean for ever.
        let timeout = timeout.max(Duration::from_millis(1));
        let request = request.config().timeout_global(Some(timeout)).build();
        match request.send(body) {
            Ok(mut response) => {
                let status = response.status();
                let after = response.headers().get(header::RETRY_AFTER);
                let after = after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
                let reader = response.body_mut().with_config().limit(ANSWER_BYTES_MAX);
                let answer = reader.read_to_vec().unwrap_or_default();
                match status.as_u16() {
                    200..300 => Sent::Taken { rejected: rejected(&answer) },
                    429 | 502..=504 => Sent::Unreachable {
                        reason: format!("it answers {status}"),
                        retry: true,
                        after: after.map(Duration::from_secs),
                    },
                    _ => Sent::Refused { reason: format!("it answers {status}") },
                }
            }
            // A collector that takes connections and does not answer is not asked the same again: it
            // may have taken the spans, and it costs its whole timeout.
            Err(error) => Sent::Unreachable {
                retry: !matches!(error, ureq::Error::Timeout(_)),
                reason: error.to_string(),
                after: None,
            },
        }
    }
}

/// How many spans a collector says it has not taken (`partial_success`). What is no such answer says
/// nothing.
fn rejected(answer: &[u8]) -> u64 {
    ExportTraceServiceResponse::decode(answer)
        .ok()
        .and_then(|answer| answer.partial_success)
        .map_or(0, |partial| u64::try_from(partial.rejected_spans).unwrap_or(0))
}
