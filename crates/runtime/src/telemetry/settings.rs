//! What the `OTEL_…` variables ask for:
//! <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>. A value that
//! cannot be used is a warning, and the process goes on without it.

use std::collections::HashMap;
use std::time::Duration;

use http::Uri;
use opentelemetry_sdk::trace::Sampler;

/// What a collector may take for one batch.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How spans are sampled, and where they are sent.
#[derive(Debug, Clone)]
pub struct Settings {
    pub sampler: Sampler,
    /// Absent: nothing is sent.
    pub export: Option<Export>,
}

/// Where spans are sent.
#[derive(Debug, Clone)]
pub struct Export {
    /// The whole URL, `/v1/traces` and all.
    pub url: String,
    pub headers: HashMap<String, String>,
    pub timeout: Duration,
    /// Attributes of every resource beside `service.name`.
    pub attributes: Vec<(String, String)>,
    /// `service.namespace`.
    pub namespace: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { sampler: Sampler::ParentBased(Box::new(Sampler::AlwaysOn)), export: None }
    }
}

type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Settings {
    /// Reads the variables; the second value are the warnings.
    #[must_use]
    pub fn read(variable: Variable<'_>) -> (Self, Vec<String>) {
        let variable = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let mut warnings = Vec::new();
        let off = variable("OTEL_SDK_DISABLED").is_some_and(|v| v.eq_ignore_ascii_case("true"))
            || variable("OTEL_TRACES_EXPORTER").is_some_and(|v| v.trim() == "none");
        let sampler = sampler(&variable, &mut warnings);
        let export = if off { None } else { export(&variable, &mut warnings) };
        (Self { sampler, export }, warnings)
    }
}

fn sampler(variable: Variable<'_>, warnings: &mut Vec<String>) -> Sampler {
    let parent_based = |sampler| Sampler::ParentBased(Box::new(sampler));
    let default = parent_based(Sampler::AlwaysOn);
    let Some(name) = variable("OTEL_TRACES_SAMPLER") else { return default };
    let mut ratio = || {
        let text = variable("OTEL_TRACES_SAMPLER_ARG").unwrap_or_else(|| "1".to_owned());
        let ratio = text.trim().parse::<f64>().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
        ratio.unwrap_or_else(|| {
            warnings.push(format!(
                "OTEL_TRACES_SAMPLER_ARG={text:?} is no number from 0 to 1; every trace is kept"
            ));
            1.0
        })
    };
    match name.trim() {
        "always_on" => Sampler::AlwaysOn,
        "always_off" => Sampler::AlwaysOff,
        "traceidratio" => Sampler::TraceIdRatioBased(ratio()),
        "parentbased_always_on" => default,
        "parentbased_always_off" => parent_based(Sampler::AlwaysOff),
        "parentbased_traceidratio" => parent_based(Sampler::TraceIdRatioBased(ratio())),
        other => {
            warnings.push(format!(
                "OTEL_TRACES_SAMPLER={other:?} is not known here; parentbased_always_on is used"
            ));
            default
        }
    }
}

fn export(variable: Variable<'_>, warnings: &mut Vec<String>) -> Option<Export> {
    // The variable for traces is the whole URL; the general one is a base.
    let url = match variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") {
        Some(url) => url.trim().to_owned(),
        None => {
            let base = variable("OTEL_EXPORTER_OTLP_ENDPOINT")?;
            format!("{}/v1/traces", base.trim().trim_end_matches('/'))
        }
    };
    let parsed: Option<Uri> = url.parse().ok();
    let good = parsed.is_some_and(|url| {
        matches!(url.scheme_str(), Some("http" | "https")) && url.authority().is_some()
    });
    if !good {
        warnings.push(format!(
            "OTLP endpoint {url:?} is no http:// or https:// URL; no traces are sent"
        ));
        return None;
    }
    let protocol = variable("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
        .or_else(|| variable("OTEL_EXPORTER_OTLP_PROTOCOL"));
    if let Some(protocol) = protocol.filter(|protocol| protocol.trim() != "http/protobuf") {
        warnings.push(format!(
            "OTLP protocol {protocol:?} is not spoken here; http/protobuf is used (port 4318 of a \
             collector)"
        ));
    }
    Some(Export {
        url,
        headers: headers(variable, warnings),
        timeout: timeout(variable, warnings),
        attributes: attributes(variable, warnings),
        namespace: variable("OTEL_SERVICE_NAME").unwrap_or_else(|| "shieldx".to_owned()),
    })
}

fn timeout(variable: Variable<'_>, warnings: &mut Vec<String>) -> Duration {
    let text = variable("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT")
        .or_else(|| variable("OTEL_EXPORTER_OTLP_TIMEOUT"));
    let Some(text) = text else { return TIMEOUT };
    match text.trim().parse::<u64>().ok().filter(|&ms| ms > 0) {
        Some(ms) => Duration::from_millis(ms),
        None => {
            warnings.push(format!("OTLP timeout {text:?} is no number of milliseconds"));
            TIMEOUT
        }
    }
}

/// `name=value,name2=value2`, values percent-encoded.
fn pairs(text: &str, name: &str, warnings: &mut Vec<String>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                found.push((key.trim().to_owned(), decode(value.trim())));
            }
            _ => warnings.push(format!("{name}: {pair:?} is not name=value and is left out")),
        }
    }
    found
}

fn headers(variable: Variable<'_>, warnings: &mut Vec<String>) -> HashMap<String, String> {
    let name = "OTEL_EXPORTER_OTLP_HEADERS";
    let text = variable("OTEL_EXPORTER_OTLP_TRACES_HEADERS").or_else(|| variable(name));
    let all = text.map(|text| pairs(&text, name, warnings)).unwrap_or_default();
    let good = |(key, value): &(String, String)| {
        http::HeaderName::try_from(key).is_ok() && http::HeaderValue::try_from(value).is_ok()
    };
    let (good, bad): (Vec<_>, Vec<_>) = all.into_iter().partition(good);
    warnings.extend(bad.iter().map(|(key, _)| format!("{name}: {key:?} is no header")));
    good.into_iter().collect()
}

fn attributes(variable: Variable<'_>, warnings: &mut Vec<String>) -> Vec<(String, String)> {
    let name = "OTEL_RESOURCE_ATTRIBUTES";
    let all = variable(name).map(|text| pairs(&text, name, warnings)).unwrap_or_default();
    // A span's service is the one that made it.
    all.into_iter().filter(|(key, _)| key != "service.name").collect()
}

/// Percent-decoding; what does not decode stays as it is.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let code = tail
            .get(..2)
            .filter(|_| first == b'%')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match code {
            Some(code) => {
                bytes.push(code);
                rest = &tail[2..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}
