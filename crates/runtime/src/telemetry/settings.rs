//! What OpenTelemetry's variables say
//! (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>), read from
//! whatever tells their values.
//!
//! A variable that cannot be followed is a sentence, never an end.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};
use opentelemetry::KeyValue;
use opentelemetry_sdk::trace::Sampler;

use super::traces::TraceLimits;

/// How long a request to the collector may take (the specification's default).
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest that is believed.
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
/// Headers and resource attributes that are taken of one variable.
const PAIRS_MAX: usize = 64;
const NAMESPACE: &str = "shieldx";

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
}

/// A collector that understands OTLP over HTTP.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Complete, with its path.
    pub uri: Uri,
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

impl Default for Sampling {
    fn default() -> Self {
        Self { parent_based: true, ratio: 1.0 }
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
        let mut settings = Self { resource: reading.resource(), ..Self::default() };
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
        let (yes, no) = (value.eq_ignore_ascii_case("true"), value.eq_ignore_ascii_case("false"));
        if !yes && !no {
            self.warn(NAME, &value, "neither true nor false; taken as false");
        }
        yes
    }

    fn endpoint(&mut self) -> Option<Endpoint> {
        if !self.exported() {
            return None;
        }
        let (name, text, whole) = match self.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") {
            Some(text) => ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", text.clone(), text),
            None => {
                let text = self.get("OTEL_EXPORTER_OTLP_ENDPOINT")?;
                let whole = format!("{}/v1/traces", text.trim_end_matches('/'));
                ("OTEL_EXPORTER_OTLP_ENDPOINT", text, whole)
            }
        };
        let Some(uri) = uri(&whole) else {
            let why = "no http:// or https:// address; no traces are sent";
            self.warn(name, &text, why);
            return None;
        };
        if let Some((name, value)) = self.signal("PROTOCOL")
            && value != "http/protobuf"
        {
            let why = "only http/protobuf is spoken here; that is used, at the same address";
            self.warn(&name, &value, why);
        }
        Some(Endpoint { uri, headers: self.headers(), timeout: self.timeout() })
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
                (Ok(key), Ok(mut value)) => {
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
                self.warn(NAME, &value, "no sampler known here; taken as parentbased_always_on");
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
        for part in ["CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE", "COMPRESSION"] {
            if let Some((name, value)) = self.signal(part)
                && value != "none"
            {
                self.warn(&name, &value, "not supported here");
            }
        }
        if let Some(value) = self.get("OTEL_PROPAGATORS")
            && !value.split(',').any(|name| name.trim() == "tracecontext")
        {
            self.warn("OTEL_PROPAGATORS", &value, "only tracecontext is spoken here");
        }
    }
}

fn uri(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    let known = matches!(uri.scheme_str(), Some("http" | "https"));
    let host = uri.host().is_some_and(|host| !host.is_empty());
    (known && host).then_some(uri)
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
mod tests {
    use std::time::Duration;

    use super::{Sampling, Settings};

    fn read(variables: &[(&str, &str)]) -> (Settings, Vec<String>) {
        let get =
            |name: &str| variables.iter().find(|pair| pair.0 == name).map(|pair| pair.1.to_owned());
        Settings::from_env(&get)
    }

    fn resource(settings: &Settings, key: &str) -> String {
        let mut found = settings.resource.iter().filter(|pair| pair.key.as_str() == key);
        let value = found.next().map(|pair| pair.value.to_string()).unwrap_or_default();
        assert!(found.next().is_none(), "{key} twice");
        value
    }

    #[test]
    fn nothing_set_sends_nothing_and_keeps_all() {
        let (settings, warnings) = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]);
        assert_eq!(warnings, Vec::<String>::new());
        assert!(settings.endpoint.is_none());
        assert_eq!(settings.sampling, Sampling { parent_based: true, ratio: 1.0 });
        assert_eq!(resource(&settings, "service.namespace"), "shieldx");
    }

    #[test]
    fn the_variable_for_traces_goes_before_the_one_for_all() {
        let (settings, warnings) = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4318"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://traces/x"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1000"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2500"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=1"),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "b=%5b2%5D, c = x=y ,"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ]);
        assert_eq!(warnings, Vec::<String>::new());
        let endpoint = settings.endpoint.unwrap();
        assert_eq!(endpoint.uri, "https://traces/x");
        assert_eq!(endpoint.timeout, Duration::from_millis(2500));
        let headers = endpoint.headers.iter();
        let headers: Vec<_> =
            headers.map(|pair| (pair.0.as_str(), pair.1.to_str().unwrap())).collect();
        assert_eq!(headers, [("b", "[2]"), ("c", "x=y")]);
        assert!(!format!("{:?}", endpoint.headers).contains("x=y"), "they may be secret");
    }

    #[test]
    fn the_base_address_gets_the_path_whether_or_not_it_ends_in_a_slash() {
        for base in ["http://c:4318", "http://c:4318/"] {
            let (settings, _) = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", base)]);
            assert_eq!(settings.endpoint.unwrap().uri, "http://c:4318/v1/traces");
        }
    }

    #[test]
    fn each_variable_that_cannot_be_followed_is_one_sentence_and_nothing_more() {
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");
        for wrong in [
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "not a url"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "localhost:4318"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "ftp://c/"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http:///v1"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "-1"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "86400000"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "nonsense"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a b=c"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=%0a"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
            ("OTEL_SDK_DISABLED", "yes"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("OTEL_TRACES_SAMPLER", "xray"),
            ("OTEL_RESOURCE_ATTRIBUTES", "a=1,b"),
            ("OTEL_RESOURCE_ATTRIBUTES", "a=%ff"),
            ("OTEL_PROPAGATORS", "b3"),
        ] {
            let (settings, warnings) = read(&[base, wrong]);
            assert_eq!(warnings.len(), 1, "{wrong:?}: {warnings:?}");
            assert!(warnings[0].starts_with(wrong.0), "{warnings:?}");
            let gone = wrong.0 == "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
            assert_eq!(settings.endpoint.is_none(), gone, "{wrong:?}");
        }
        let sampler = ("OTEL_TRACES_SAMPLER", "traceidratio");
        for wrong in ["half", "NaN", "-0.1", "1.5"] {
            let (settings, warnings) = read(&[sampler, ("OTEL_TRACES_SAMPLER_ARG", wrong)]);
            assert_eq!((warnings.len(), settings.sampling.ratio), (1, 1.0), "{wrong}");
        }
    }

    #[test]
    fn a_secret_that_is_written_wrong_is_not_shown() {
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");
        for wrong in ["hunter2", "a=hunter2%0a", "b b=hunter2"] {
            let (_, warnings) = read(&[base, ("OTEL_EXPORTER_OTLP_HEADERS", wrong)]);
            assert!(warnings.iter().all(|text| !text.contains("hunter2")), "{warnings:?}");
        }
    }

    #[test]
    fn what_would_name_the_only_service_names_the_namespace_of_all() {
        let given = "service.name=one,service.instance.id=i-1,team=a%2Cb";
        let (settings, _) = read(&[("OTEL_RESOURCE_ATTRIBUTES", given)]);
        assert_eq!(resource(&settings, "service.namespace"), "one");
        assert_eq!(resource(&settings, "service.name"), "");
        assert_eq!(resource(&settings, "service.instance.id"), "i-1");
        assert_eq!(resource(&settings, "team"), "a,b");
        let given = [("OTEL_RESOURCE_ATTRIBUTES", given), ("OTEL_SERVICE_NAME", "two")];
        assert_eq!(resource(&read(&given).0, "service.namespace"), "two");
    }

    #[test]
    fn samplers_are_known_by_their_names() {
        let sampling = |name: &str| {
            let arg = ("OTEL_TRACES_SAMPLER_ARG", "0.25");
            let (settings, warnings) = read(&[("OTEL_TRACES_SAMPLER", name), arg]);
            assert_eq!(warnings, Vec::<String>::new());
            (settings.sampling.parent_based, settings.sampling.ratio)
        };
        assert_eq!(sampling("always_on"), (false, 1.0));
        assert_eq!(sampling("always_off"), (false, 0.0));
        assert_eq!(sampling("traceidratio"), (false, 0.25));
        assert_eq!(sampling("parentbased_always_on"), (true, 1.0));
        assert_eq!(sampling("parentbased_always_off"), (true, 0.0));
        assert_eq!(sampling("parentbased_traceidratio"), (true, 0.25));
    }
}
