//! One request to a collector, over the protocol it is to be asked in, and what its answer means.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;
use prost::Message as _;

use super::settings::{Endpoint, Protocol};
use super::span::Ended;

mod answer;
mod grpc;
mod http;

/// Bytes of an answer that are looked at.
const ANSWER_BYTES_MAX: u64 = 64 << 10;
const USER_AGENT: &str = concat!("OTel-OTLP-Exporter-shieldx/", env!("CARGO_PKG_VERSION"));

/// Where spans go.
#[derive(Debug)]
pub(super) struct Collector {
    transport: Transport,
    timeout: Duration,
    /// By service.
    resources: HashMap<&'static str, ResourceAttributesWithSchema>,
}

#[derive(Debug)]
enum Transport {
    Http(http::Http),
    Grpc(Box<grpc::Grpc>),
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
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(super) fn new(
        endpoint: Endpoint,
        services: impl Iterator<Item = &'static str>,
        attributes: &[KeyValue],
    ) -> Result<Self, rustls::Error> {
        let resource = |service: &'static str| {
            let resource = Resource::builder_empty()
                .with_attributes(attributes.iter().cloned())
                .with_service_name(service)
                .build();
            (service, ResourceAttributesWithSchema::from(&resource))
        };
        let resources = services.map(resource).collect();
        let timeout = endpoint.timeout;
        let transport = match endpoint.protocol {
            Protocol::HttpProtobuf => Transport::Http(http::Http::new(endpoint)),
            Protocol::Grpc => Transport::Grpc(Box::new(grpc::Grpc::new(endpoint)?)),
        };
        Ok(Self { transport, timeout, resources })
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

    pub(super) fn send(&mut self, body: &[u8], timeout: Duration) -> Sent {
        // Nought would mean for ever.
        let timeout = timeout.max(Duration::from_millis(1));
        match &mut self.transport {
            Transport::Http(http) => http.send(body, timeout),
            Transport::Grpc(grpc) => grpc.send(body, timeout),
        }
    }
}
