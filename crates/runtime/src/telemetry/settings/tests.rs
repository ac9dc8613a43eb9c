//! Variables that are followed, and those that cannot be.

use std::time::Duration;

use super::{Protocol, Sampling, Settings};

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
    assert_eq!(settings.sampling, Sampling { parent_based: false, ratio: 1.0 });
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
    let headers: Vec<_> = headers.map(|pair| (pair.0.as_str(), pair.1.to_str().unwrap())).collect();
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
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:99999"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:/v1"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "GRPC"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "-1"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "86400000"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "nonsense"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a b=c"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=%0a"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "host=elsewhere"),
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

#[test]
fn over_grpc_an_address_is_taken_as_it_is_and_has_no_path() {
    let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let uri = |name, address, insecure| {
        let insecure = ("OTEL_EXPORTER_OTLP_INSECURE", insecure);
        let (settings, warnings) = read(&[grpc, (name, address), insecure]);
        let endpoint = settings.endpoint.unwrap();
        assert_eq!(endpoint.protocol, Protocol::Grpc);
        (endpoint.uri.to_string(), warnings.len())
    };
    let (all, traces) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    for name in [all, traces] {
        assert_eq!(uri(name, "http://c:4317", ""), ("http://c:4317/".to_owned(), 0));
        assert_eq!(uri(name, "https://c", "true"), ("https://c/".to_owned(), 0));
        assert_eq!(uri(name, "c:4317", ""), ("https://c:4317/".to_owned(), 0));
        assert_eq!(uri(name, "c:4317", "true"), ("http://c:4317/".to_owned(), 0));
        assert_eq!(uri(name, "c:4317", "no"), ("https://c:4317/".to_owned(), 1));
        assert_eq!(uri(name, "http://c:4317/v1/traces", "").1, 1);
    }
    let (settings, warnings) = read(&[grpc]);
    assert!(settings.endpoint.is_none() && warnings.is_empty(), "no address, nothing is sent");
}

#[test]
fn traces_are_handed_on_unless_that_is_switched_off() {
    let propagates = |value| {
        let (settings, warnings) = read(&[("OTEL_PROPAGATORS", value)]);
        (settings.propagate, warnings.len())
    };
    assert_eq!(propagates(""), (true, 0));
    assert_eq!(propagates("tracecontext,baggage"), (true, 0));
    assert_eq!(propagates("none"), (false, 0));
    assert_eq!(propagates("baggage"), (false, 0));
    assert_eq!(propagates("b3"), (true, 1));
    assert_eq!(propagates("none,tracecontext"), (true, 1));
}
