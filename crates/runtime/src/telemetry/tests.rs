//! One process's spans and lines, without a collector.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use tracing::{info, info_span};

use super::*;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn settings(json: bool) -> LogSettings {
    LogSettings { filter: "info".to_owned(), json, color: false }
}

const REMOTE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn a_remote_trace_goes_on_through_spans_lines_and_what_is_sent_on() {
    let lines = Lines::default();
    let writer = lines.clone();
    let (telemetry, subscriber) =
        build(Settings::default(), settings(true), move || writer.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        let outer = info_span!("outer", service.name = "gateway", shieldx.tenant = "acme");
        continue_trace(&outer, REMOTE);
        outer.in_scope(|| {
            info_span!("inner", service.name = "ml-service").in_scope(|| info!(n = 3, "counted"));
            let sent = current_traceparent().unwrap();
            assert!(sent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"), "{sent}");
            assert_ne!(sent, REMOTE, "our own span is the parent of what comes next");
        });
    });
    assert_eq!(current_trace_id(), None);
    let line: serde_json::Value =
        serde_json::from_slice(&lines.0.lock().unwrap()).expect("one line of JSON");
    assert_eq!((line["n"].as_i64(), line["message"].as_str()), (Some(3), Some("counted")));
    assert_eq!(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    let id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let trace = telemetry.traces().get("acme", id).unwrap();
    let spans: Vec<_> = trace.spans.iter().map(|s| (s.service.as_str(), s.name.as_str())).collect();
    assert_eq!(spans, [("ml-service", "inner"), ("gateway", "outer")]);
    assert_eq!(trace.spans[0].parent_id.as_ref(), Some(&trace.spans[1].span_id));
    assert_eq!(trace.spans[1].parent_id.as_deref(), Some("00f067aa0ba902b7"));
    assert_eq!(telemetry.traces().get("other", id), None, "it is not the other tenant's");
    telemetry.shutdown();
}

#[test]
fn a_trace_with_two_tenants_in_it_is_shown_to_neither() {
    let (telemetry, subscriber) = build(Settings::default(), settings(true), io::sink).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        let outer = info_span!("outer", shieldx.tenant = "one");
        continue_trace(&outer, REMOTE);
        outer.in_scope(|| info_span!("inner", shieldx.tenant = "two").in_scope(|| {}));
    });
    for tenant in ["one", "two"] {
        assert_eq!(telemetry.traces().get(tenant, "4bf92f3577b34da6a3ce929d0e0e4736"), None);
    }
}

#[test]
fn only_a_well_formed_traceparent_is_continued() {
    assert!(parse(REMOTE).is_some());
    let later = format!("cc{}-what-comes-later", &REMOTE[2..]);
    assert!(parse(&later).is_some(), "a later version may be longer");
    for bad in [
        "",
        "00",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ] {
        assert!(parse(bad).is_none(), "{bad:?}");
    }
}

#[test]
fn a_line_for_people_has_no_control_characters_of_a_callers() {
    let lines = Lines::default();
    let writer = lines.clone();
    let (_telemetry, subscriber) =
        build(Settings::default(), settings(false), move || writer.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        info!(path = "/\u{1b}[2J\nforged", "asked for \u{7}");
    });
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.matches('\n').count(), 1, "{text:?}");
    assert!(!text.contains(['\u{1b}', '\u{7}']), "{text:?}");
}

#[test]
fn wrong_variables_are_warnings_and_nothing_more() {
    let read = |pairs: &[(&str, &str)]| {
        let variable = |name: &str| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        Settings::read(&variable)
    };
    let (settings, warnings) = read(&[]);
    assert!(settings.export.is_none() && warnings.is_empty());
    let (settings, warnings) = read(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318/"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x,broken"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.name=x"),
    ]);
    let export = settings.export.unwrap();
    assert_eq!(export.url, "http://127.0.0.1:4318/v1/traces");
    assert_eq!(export.headers["authorization"], "Bearer x");
    assert_eq!(export.attributes, [("deployment.environment.name".into(), "test".into())]);
    assert_eq!(warnings.len(), 4, "{warnings:?}");
    let (settings, warnings) = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "not a url")]);
    assert!(settings.export.is_none() && warnings.len() == 1, "{warnings:?}");
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
    let (settings, _) = read(&[endpoint, ("OTEL_SDK_DISABLED", "true")]);
    assert!(settings.export.is_none());
}

#[test]
fn a_dead_collector_costs_spans_and_no_time_of_whoever_makes_them() {
    let variable = |name: &str| {
        (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| "http://127.0.0.1:9".to_owned())
    };
    let (settings_read, _) = Settings::read(&variable);
    let (telemetry, subscriber) = build(settings_read, settings(true), io::sink).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        for n in 0..20_000 {
            info_span!("work", n).in_scope(|| {});
        }
    });
    let counts = telemetry.counts().clone();
    telemetry.shutdown();
    assert_eq!(counts.exported(), 0);
    assert_eq!(counts.failed() + counts.unsent(), 20_000, "every span is accounted for");
}
