//! What OpenTelemetry's variables say
//! (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>), read from
//! whatever tells their values.
//!
//! A variable that cannot be followed is a sentence, never an end.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri, header};
use opentelemetry::KeyValue;
use opentelemetry_sdk::trace::Sampler;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::traces::TraceLimits;

/// How long a request to the collector may take (the specification's default).
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest that is believed.
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
/// Headers and resource attributes that are taken of one variable.
const PAIRS_MAX: usize = 64;
const NAMESPACE: &str = "shieldx";
/// Headers that are the connection's and the message's own: to set them would make neither work.
const OURS: [HeaderName; 7] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::HOST,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// How traces are made, kept and sent.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where spans are sent; `None` sends nothing.
    pub endpoint: Option<Endpoint>,
    pub sampling: Sampling,
    /// What all services' resources have in common, `service.namespace`, `.version` and
    /// `.instance.id` included.
    pub resource: Vec<KeyValue>,
    /// What is kept in memory.
    pub traces: TraceLimits,
    /// Whether a caller's trace is continued and told to others (W3C Trace Context).
    pub propagate: bool,
}

/// How a collector is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    HttpProtobuf,
    Grpc,
}

/// A collector that understands OTLP.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub protocol: Protocol,
    /// Complete, with its path; over gRPC without one.
    pub uri: Uri,
    /// The authorities that may vouch for it; `None` for those browsers trust.
    pub roots: Option<Arc<[CertificateDer<'static>]>>,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// For one request.
    pub timeout: Duration,
}

/// Which traces are kept and sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Do as the caller does, where there is one.
    pub parent_based: bool,
    /// Share of the traces that begin here, 0 to 1.
    pub ratio: f64,
}

/// All, whatever a caller's `traceparent` says: OpenTelemetry's own default follows it, and then any
/// client could keep its failures out of sight with one flag.
impl Default for Sampling {
    fn default() -> Self {
        Self { parent_based: false, ratio: 1.0 }
    }
}

impl Sampling {
    pub(super) fn sampler(self) -> Sampler {
        let root = match self.ratio {
            ratio if ratio >= 1.0 => Sampler::AlwaysOn,
            ratio if ratio > 0.0 => Sampler::TraceIdRatioBased(ratio),
            _ => Sampler::AlwaysOff,
        };
        if self.parent_based { Sampler::ParentBased(Box::new(root)) } else { root }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            endpoint: None,
            sampling: Sampling::default(),
            resource: common(NAMESPACE.to_owned()),
            traces: TraceLimits::default(),
            propagate: true,
        }
    }
}

fn common(namespace: String) -> Vec<KeyValue> {
    vec![
        KeyValue::new("service.namespace", namespace),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", uuid::Uuid::now_v7().to_string()),
    ]
}

impl Settings {
    /// Follows the variables as far as possible; the sentences say where it was not.
    #[must_use]
    pub fn from_env(variables: &dyn Fn(&str) -> Option<String>) -> (Self, Vec<String>) {
        let mut reading = Reading { variables, warnings: Vec::new() };
        let (resource, propagate) = (reading.resource(), reading.propagates());
        let mut settings = Self { resource, propagate, ..Self::default() };
        if reading.disabled() {
            // Traces are still continued and told to others, as the specification wants.
            settings.sampling = Sampling { parent_based: false, ratio: 0.0 };
            settings.traces.traces_max = 0;
        } else {
            settings.sampling = reading.sampling();
            settings.endpoint = reading.endpoint();
            reading.unsupported();
        }
        (settings, reading.warnings)
    }
}

struct Reading<'a> {
    variables: &'a dyn Fn(&str) -> Option<String>,
    warnings: Vec<String>,
}

impl Reading<'_> {
    /// An empty variable is one that is not set, says the specification.
    fn get(&self, name: &str) -> Option<String> {
        let value = (self.variables)(name)?.trim().to_owned();
        (!value.is_empty()).then_some(value)
    }

    /// The variable for traces, or the one for all signals; with the name that was found.
    fn signal(&self, part: &str) -> Option<(String, String)> {
        [format!("OTEL_EXPORTER_OTLP_TRACES_{part}"), format!("OTEL_EXPORTER_OTLP_{part}")]
            .into_iter()
            .find_map(|name| self.get(&name).map(|value| (name, value)))
    }

    fn warn(&mut self, name: &str, value: &str, why: &str) {
        self.warnings.push(format!("{name}={value:?}: {why}"));
    }

    fn disabled(&mut self) -> bool {
        const NAME: &str = "OTEL_SDK_DISABLED";
        let Some(value) = self.get(NAME) else { return false };
        self.truth(NAME, &value)
    }

    fn truth(&mut self, name: &str, value: &str) -> bool {
        let (yes, no) = (value.eq_ignore_ascii_case("true"), value.eq_ignore_ascii_case("false"));
        if !yes && !no {
            self.warn(name, value, "neither true nor false; taken as false");
        }
        yes
    }

    fn endpoint(&mut self) -> Option<Endpoint> {
        if !self.exported() {
            return None;
        }
        let of_all = self.get("OTEL_EXPORTER_OTLP_ENDPOINT");
        let of_traces = self.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        let given = of_traces.is_some() || of_all.is_some();
        let protocol = if given { self.protocol() } else { return None };
        let (name, text) = match (of_traces, of_all) {
            (Some(text), _) => ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", text),
            (None, text) => ("OTEL_EXPORTER_OTLP_ENDPOINT", text?),
        };
        let whole = match (protocol, name) {
            (Protocol::Grpc, _) if !text.contains("://") => {
                format!("{}://{text}", if self.insecure() { "http" } else { "https" })
            }
            (Protocol::HttpProtobuf, "OTEL_EXPORTER_OTLP_ENDPOINT") => {
                format!("{}/v1/traces", text.trim_end_matches('/'))
            }
            _ => text.clone(),
        };
        let Some(uri) = uri(&whole) else {
            let why = "no http:// or https:// address; no traces are sent";
            self.warn(name, &text, why);
            return None;
        };
        if protocol == Protocol::Grpc && (uri.path() != "/" || uri.query().is_some()) {
            self.warn(name, &text, "gRPC has no use for a path; only host and port are taken");
        }
        let (roots, headers, timeout) = (self.roots(), self.headers(), self.timeout());
        Some(Endpoint { protocol, uri, roots, headers, timeout })
    }

    fn protocol(&mut self) -> Protocol {
        let Some((name, value)) = self.signal("PROTOCOL") else { return Protocol::HttpProtobuf };
        match &*value {
            "grpc" => Protocol::Grpc,
            "http/protobuf" => Protocol::HttpProtobuf,
            _ => {
                let why = "known are grpc and http/protobuf; taken as http/protobuf";
                self.warn(&name, &value, why);
                Protocol::HttpProtobuf
            }
        }
    }

    /// Only asked where an address for gRPC does not say it itself.
    fn insecure(&mut self) -> bool {
        let Some((name, value)) = self.signal("INSECURE") else { return false };
        self.truth(&name, &value)
    }

    fn roots(&mut self) -> Option<Arc<[CertificateDer<'static>]>> {
        let (name, path) = self.signal("CERTIFICATE")?;
        let read =
            CertificateDer::pem_file_iter(&path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        match read {
            Ok(roots) if !roots.is_empty() => Some(roots.into()),
            Ok(_) => {
                self.warn(
                    &name,
                    &path,
                    "there is no certificate in it; the usual ones are trusted",
                );
                None
            }
            Err(error) => {
                let why = format!("{error}; the usual certificates are trusted");
                self.warn(&name, &path, &why);
                None
            }
        }
    }

    fn exported(&mut self) -> bool {
        const NAME: &str = "OTEL_TRACES_EXPORTER";
        let Some(value) = self.get(NAME) else { return true };
        let mut exporters = value.split(',').map(str::trim);
        if value == "none" {
            return false;
        }
        if value != "otlp" {
            self.warn(NAME, &value, "known are otlp and none; taken as otlp");
        }
        exporters.any(|exporter| !exporter.is_empty())
    }

    fn headers(&mut self) -> Vec<(HeaderName, HeaderValue)> {
        let Some((name, value)) = self.signal("HEADERS") else { return Vec::new() };
        let mut headers = Vec::new();
        for (key, value) in self.pairs(&name, &value, true) {
            match (HeaderName::try_from(&key), HeaderValue::try_from(&value)) {
                (Ok(key), Ok(mut value)) if !OURS.contains(&key) => {
                    // They carry credentials.
                    value.set_sensitive(true);
                    headers.push((key, value));
                }
                _ => self.warnings.push(format!("{name}: {key:?} is not sent: no valid header")),
            }
        }
        headers
    }

    fn timeout(&mut self) -> Duration {
        let Some((name, value)) = self.signal("TIMEOUT") else { return TIMEOUT };
        match value.parse::<u64>() {
            Ok(0) | Err(_) => {
                self.warn(&name, &value, "no number of milliseconds above 0; taken as 10000");
                TIMEOUT
            }
            Ok(ms) if Duration::from_millis(ms) > TIMEOUT_MAX => {
                self.warn(&name, &value, "more than a minute; taken as 60000");
                TIMEOUT_MAX
            }
            Ok(ms) => Duration::from_millis(ms),
        }
    }

    fn sampling(&mut self) -> Sampling {
        const NAME: &str = "OTEL_TRACES_SAMPLER";
        let Some(value) = self.get(NAME) else { return Sampling::default() };
        let (parent_based, kind) = match value.strip_prefix("parentbased_") {
            Some(kind) => (true, kind),
            None => (false, value.as_str()),
        };
        match kind {
            "always_on" => Sampling { parent_based, ratio: 1.0 },
            "always_off" => Sampling { parent_based, ratio: 0.0 },
            "traceidratio" => Sampling { parent_based, ratio: self.ratio() },
            _ => {
                self.warn(NAME, &value, "no sampler known here; taken as always_on");
                Sampling::default()
            }
        }
    }

    fn ratio(&mut self) -> f64 {
        const NAME: &str = "OTEL_TRACES_SAMPLER_ARG";
        let Some(value) = self.get(NAME) else { return 1.0 };
        match value.parse::<f64>() {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => ratio,
            _ => {
                self.warn(NAME, &value, "no number from 0 to 1; taken as 1");
                1.0
            }
        }
    }

    /// `service.name` is not taken from the variables, since there are several: what would name the
    /// only service names the namespace of all.
    fn resource(&mut self) -> Vec<KeyValue> {
        const NAME: &str = "OTEL_RESOURCE_ATTRIBUTES";
        let given = match self.get(NAME) {
            Some(value) => self.pairs(NAME, &value, false),
            None => Vec::new(),
        };
        let named = given.iter().find(|(key, _)| key == "service.name");
        let namespace = self
            .get("OTEL_SERVICE_NAME")
            .or_else(|| named.map(|(_, value)| value.clone()))
            .unwrap_or_else(|| NAMESPACE.to_owned());
        let mut resource = common(namespace);
        for (key, value) in given {
            if key != "service.name" {
                resource.retain(|pair| pair.key.as_str() != key);
                resource.push(KeyValue::new(key, value));
            }
        }
        resource
    }

    /// `key=value,key=value`, values percent-encoded. What is wrong is not shown where it is secret.
    fn pairs(&mut self, name: &str, value: &str, secret: bool) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        let mut wrong = 0;
        for member in value.split(',').map(str::trim).filter(|member| !member.is_empty()) {
            let pair = member.split_once('=').and_then(|(key, value)| {
                let key = key.trim();
                (!key.is_empty()).then_some((key.to_owned(), decode(value.trim())?))
            });
            match pair {
                Some(pair) if pairs.len() < PAIRS_MAX => pairs.push(pair),
                _ => wrong += 1,
            }
        }
        if wrong > 0 {
            let shown = if secret { "…".to_owned() } else { format!("{value:?}") };
            self.warnings.push(format!("{name}={shown}: {wrong} of its entries are no key=value"));
        }
        pairs
    }

    fn unsupported(&mut self) {
        for part in ["CLIENT_KEY", "CLIENT_CERTIFICATE", "COMPRESSION"] {
            if let Some((name, value)) = self.signal(part)
                && value != "none"
            {
                self.warn(&name, &value, "not supported here");
            }
        }
    }

    fn propagates(&mut self) -> bool {
        const NAME: &str = "OTEL_PROPAGATORS";
        let Some(value) = self.get(NAME) else { return true };
        let names: Vec<&str> = value.split(',').map(str::trim).collect();
        // Baggage belongs to the specification's default; there is none here to be handed on.
        let known = |name: &&str| ["tracecontext", "baggage", "none"].contains(name);
        let none = names.contains(&"none");
        if !names.iter().all(known) || (none && names.len() > 1) {
            self.warn(NAME, &value, "known are tracecontext, or none; taken as tracecontext");
            return true;
        }
        names.contains(&"tracecontext")
    }
}

fn uri(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    let known = matches!(uri.scheme_str(), Some("http" | "https"));
    let authority = uri.authority().filter(|authority| !authority.host().is_empty())?;
    // A port that is none would be taken for the usual one.
    let port = authority.as_str().ends_with(authority.host()) || authority.port_u16().is_some();
    (known && port).then_some(uri)
}

/// Percent-decoding; `None` when that is no text.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'%').then(|| after.split_at_checked(2)).flatten();
        let escaped = escaped.and_then(|(digits, after)| {
            let digits = std::str::from_utf8(digits).ok()?;
            let hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            hex.then(|| Some((u8::from_str_radix(digits, 16).ok()?, after)))?
        });
        let (byte, after) = escaped.unwrap_or((*first, after));
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests;
