//! Spans on their way to a collector.

use std::net::TcpListener;

use runtime::metrics::Metrics;
use runtime::telemetry::{self, Exported};
use tracing::{info_span, trace_span};

use super::collector::{Collector, service, value};
use super::{settings, within};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn endpoint(collector: &Collector) -> String {
    format!("http://{}/", collector.address)
}

#[test]
fn a_trace_through_several_services_arrives_with_each_span_under_its_service() {
    let collector = Collector::start();
    let given = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint(&collector)),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20secret,x-team = blue".to_owned()),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test".to_owned()),
    ];
    let given: Vec<(&str, &str)> = given.iter().map(|pair| (pair.0, &*pair.1)).collect();
    let (telemetry, ()) = within(settings(&given), |_| {
        // The HTTP server's spans are made in one crate for all services.
        let server = info_span!(parent: None, "request", service.name = "ingress",
            otel.name = "POST /v1/x", otel.kind = "server");
        telemetry::continue_trace(&server, PARENT);
        let forward = server.in_scope(|| info_span!(target: "ingress::forward", "forward"));
        let traceparent = forward.in_scope(|| telemetry::current_traceparent().unwrap());

        let server = info_span!(parent: None, "request", service.name = "gateway");
        telemetry::continue_trace(&server, &traceparent);
        server.in_scope(|| {
            info_span!(target: "policy::evaluate", "decide").in_scope(|| {});
            info_span!(target: "store::sqlite", "query").in_scope(|| {
                info_span!(target: "sandbox::run", "run").in_scope(|| {});
            });
            trace_span!(target: "gateway", "detail").in_scope(|| {});
        });
        info_span!(target: "store::sqlite", "sweep").in_scope(|| {});
    });
    let exported = telemetry.shutdown();
    assert_eq!(exported, Exported { exported: 7, rejected: 0, failed: 0, dropped: 0 });

    let requests = collector.requests();
    assert_eq!(requests.len(), 1, "one request for all services");
    let head = &requests[0].head;
    assert!(head.starts_with("post /v1/traces http/1.1"), "{head}");
    for line in ["content-type: application/x-protobuf", "x-team: blue", "bearer secret"] {
        assert!(head.contains(line), "{head}");
    }

    let spans = collector.spans();
    let find = |name: &str| spans.iter().find(|(_, span)| span.name == name).unwrap();
    let expected = [
        ("POST /v1/x", "ingress"),
        ("forward", "ingress"),
        ("request", "gateway"),
        ("decide", "gateway"),
        ("query", "gateway"),
        ("run", "verifier-pool"),
        ("sweep", "shieldx"),
    ];
    for (name, of) in expected {
        let (resource, span) = find(name);
        assert_eq!(service(resource), of, "{name}");
        assert_eq!(value(resource, "service.namespace"), "shieldx");
        assert_eq!(value(resource, "deployment.environment.name"), "test");
        assert!(!value(resource, "service.version").is_empty());
        assert_eq!(value(resource, "service.instance.id").len(), 36);
        let same = hex(&span.trace_id) == "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(same, name != "sweep", "{name}");
        assert!(span.attributes.iter().all(|pair| pair.key != "service.name"), "{name}");
    }
    assert_eq!(hex(&find("POST /v1/x").1.parent_span_id), "00f067aa0ba902b7");
    assert_eq!(find("POST /v1/x").1.kind, 2, "a server's");
    for (child, parent) in [
        ("forward", "POST /v1/x"),
        ("request", "forward"),
        ("decide", "request"),
        ("query", "request"),
        ("run", "query"),
    ] {
        assert_eq!(find(child).1.parent_span_id, find(parent).1.span_id, "{child}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_address_for_traces_is_taken_as_it_is() {
    let collector = Collector::start();
    let address = format!("http://{}/custom?x=1", collector.address);
    let (telemetry, ()) =
        within(settings(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &address)]), |_| {
            info_span!("one").in_scope(|| {});
        });
    assert_eq!(telemetry.shutdown().exported, 1);
    assert!(collector.requests()[0].head.starts_with("post /custom?x=1 http/1.1"));
}

/// Ends ten thousand spans against an address and shuts down; every span is accounted for.
fn flood(address: &str) -> Exported {
    const SPANS: u64 = 10_000;
    let (telemetry, ()) = within(settings(&[("OTEL_EXPORTER_OTLP_ENDPOINT", address)]), |_| {
        for _ in 0..SPANS {
            info_span!(target: "gateway", "work").in_scope(|| {});
        }
    });
    let Exported { exported, rejected, failed, dropped } = telemetry.shutdown();
    assert_eq!(exported + rejected + failed + dropped, SPANS);
    Exported { exported, rejected, failed, dropped }
}

#[test]
fn a_dead_collector_costs_spans_and_nothing_else() {
    // Taken and given back: nobody listens there now.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let outcome = flood(&format!("http://{address}"));
    assert_eq!(outcome.exported, 0);
    assert!(outcome.failed > 0 && outcome.dropped > 0, "{outcome:?}");
}

#[test]
fn a_collector_that_takes_connections_and_never_answers_costs_spans_and_nothing_else() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let outcome = flood(&format!("http://{}", silent.local_addr().unwrap()));
    assert_eq!(outcome.exported, 0);
    assert!(outcome.failed > 0 && outcome.dropped > 0, "{outcome:?}");
}

#[test]
fn a_healthy_collector_loses_only_what_comes_faster_than_the_queue_holds() {
    let collector = Collector::start();
    let outcome = flood(&endpoint(&collector));
    assert_eq!((outcome.failed, outcome.rejected), (0, 0));
    assert!(outcome.exported >= 4096, "{outcome:?}");
    assert_eq!(collector.spans().len() as u64, outcome.exported);
}

#[test]
fn what_a_collector_answers_decides_what_the_spans_count_as() {
    let one = |answers| {
        let collector = Collector::answering(answers);
        let address = endpoint(&collector);
        let (telemetry, ()) =
            within(settings(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &address)]), |_| {
                for _ in 0..512 {
                    info_span!("work").in_scope(|| {});
                }
            });
        // A full batch goes at once, so that it is sent and tried again before shutdown.
        let settled = |outcome: Exported| outcome.exported + outcome.rejected + outcome.failed;
        while settled(telemetry.exported()) == 0 {
            std::thread::yield_now();
        }
        (telemetry.shutdown(), collector.requests().len())
    };
    let none = Exported { exported: 0, rejected: 0, failed: 0, dropped: 0 };
    let later = (503, "retry-after: 0\r\n", 0);
    assert_eq!(one(vec![later, later]), (Exported { exported: 512, ..none }, 3));
    assert_eq!(one(vec![later; 9]), (Exported { failed: 512, ..none }, 4));
    assert_eq!(one(vec![(400, "", 0)]), (Exported { rejected: 512, ..none }, 1));
    assert_eq!(one(vec![(200, "", 12)]), (Exported { exported: 500, rejected: 12, ..none }, 1));
    // A redirect is not followed: headers with credentials would go along.
    let elsewhere = (307, "location: http://127.0.0.1:9/\r\n", 0);
    assert_eq!(one(vec![elsewhere]), (Exported { rejected: 512, ..none }, 1));
}

#[test]
fn what_became_of_spans_is_a_metric() {
    let collector = Collector::start();
    let metrics = Metrics::new("test");
    let address = endpoint(&collector);
    let (telemetry, ()) =
        within(settings(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &address)]), |telemetry| {
            telemetry.register(&metrics);
            info_span!("work").in_scope(|| {});
        });
    let _ = telemetry.shutdown();
    let text = metrics.text();
    for line in [
        "shieldx_telemetry_spans_total{outcome=\"exported\"} 1\n",
        "shieldx_telemetry_spans_total{outcome=\"dropped\"} 0\n",
        "shieldx_telemetry_traces_kept 1\n",
        "shieldx_telemetry_traces_evicted_total 0\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
}

#[test]
fn without_an_address_or_with_exporting_off_nothing_is_sent() {
    let collector = Collector::start();
    let address = endpoint(&collector);
    let off = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*address), ("OTEL_TRACES_EXPORTER", "none")];
    for variables in [&[][..], &off[..]] {
        let (telemetry, id) = within(settings(variables), |_| {
            info_span!("work").in_scope(|| telemetry::current_trace_id().unwrap())
        });
        assert!(telemetry.traces().get(&id).is_some(), "it is kept in memory all the same");
        let none = Exported { exported: 0, rejected: 0, failed: 0, dropped: 0 };
        assert_eq!(telemetry.shutdown(), none);
    }
    assert_eq!(collector.requests().len(), 0);
}

#[test]
fn a_disabled_sdk_keeps_and_sends_nothing_and_still_hands_traces_on() {
    let collector = Collector::start();
    let address = endpoint(&collector);
    let given = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*address), ("OTEL_SDK_DISABLED", "true")];
    let (telemetry, traceparent) = within(settings(&given), |_| {
        let span = info_span!("work");
        telemetry::continue_trace(&span, PARENT);
        span.in_scope(|| telemetry::current_traceparent().unwrap())
    });
    assert!(traceparent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"), "{traceparent}");
    assert!(telemetry.traces().is_empty());
    let _ = telemetry.shutdown();
    assert_eq!(collector.requests().len(), 0);
}
