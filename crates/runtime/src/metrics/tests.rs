//! What stands in the text.

use tracing::info_span;

use super::{Metrics, TracedCounter, TracedHistogram};
use crate::telemetry::{self, LogSettings, Settings};

fn value(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

#[test]
fn a_family_is_all_there_from_the_start_and_its_handles_count_into_it() {
    let metrics = Metrics::new("test");
    let [good, _bad] = metrics.counter_family("test_events", "Events.", "outcome", ["good", "bad"]);
    let [fast] = metrics.histogram_family("test_s", "Seconds", "kind", ["fast"], &[0.1, 1.0]);
    good.inc();
    fast.observe(0.5);
    let text = metrics.text();
    assert_eq!(value(&text, "test_events_total{outcome=\"good\"}"), 1.0);
    assert_eq!(value(&text, "test_events_total{outcome=\"bad\"}"), 0.0);
    assert_eq!(value(&text, "test_s_bucket{le=\"0.1\",kind=\"fast\"}"), 0.0);
    assert_eq!(value(&text, "test_s_bucket{le=\"1.0\",kind=\"fast\"}"), 1.0);
    assert!(text.contains("# HELP test_events Events.\n"), "{text}");
    assert!(text.contains("# HELP test_s Seconds.\n"), "{text}");
}

#[test]
fn the_process_tells_what_it_uses_and_what_it_is() {
    let metrics = Metrics::new("test");
    metrics.register_process();
    let text = metrics.text();
    assert!(value(&text, "process_resident_memory_bytes") > 100_000.0);
    let resident = value(&text, "process_resident_memory_bytes");
    assert!(value(&text, "process_virtual_memory_bytes") >= resident);
    assert!(value(&text, "process_open_fds") >= 3.0);
    assert!(value(&text, "process_max_fds") >= value(&text, "process_open_fds"));
    assert!(value(&text, "process_threads") >= 1.0);
    assert!(value(&text, "process_cpu_seconds_total") >= 0.0);
    assert!(value(&text, "process_start_time_seconds") > 1.7e9);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(value(&text, &format!("shieldx_build_info{{version=\"{version}\"}}")), 1.0);
    assert!(text.contains("# TYPE process_cpu_seconds counter\n"), "{text}");
    assert!(text.contains("# HELP process_threads Threads.\n"), "{text}");
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn a_bucket_names_the_trace_of_what_fell_into_it_where_that_is_kept() {
    let metrics = Metrics::new("test");
    let duration = metrics.own::<TracedHistogram>("test_seconds", "Seconds.");
    let log = LogSettings { filter: "off".to_owned(), json: true, color: false };
    let (_telemetry, subscriber) =
        telemetry::subscriber(Settings::default(), log, &[], std::io::sink).unwrap();
    let failures = metrics.own::<TracedCounter>("test_failures", "Failures.");
    let ids = tracing::subscriber::with_default(subscriber, || {
        let span = info_span!("slow");
        span.in_scope(|| duration.observe(0.3));
        span.in_scope(|| failures.add_here(3));
        span.in_scope(telemetry::current_sampled_span).unwrap()
    });
    duration.observe(0.003);
    failures.add(4);
    let ids = format!("{{trace_id=\"{}\",span_id=\"{}\"}}", ids.trace_id, ids.span_id);
    let text = metrics.text();
    for start in [
        format!("test_seconds_bucket{{le=\"0.35\"}} 2 # {ids} 0.3 "),
        format!("test_failures_total 7 # {ids} 3 "),
    ] {
        let at_s = text.lines().find_map(|line| line.strip_prefix(&start));
        let at_s: f64 = at_s.unwrap_or_else(|| panic!("{start}{text}")).parse().unwrap();
        assert!((1.7e9..1e11).contains(&at_s), "{at_s}");
    }
    assert_eq!(text.matches("trace_id").count(), 2, "outside a trace none is named");
}
