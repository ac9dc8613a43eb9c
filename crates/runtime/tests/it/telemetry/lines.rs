//! Log lines.

use std::fs::File;
use std::io;

use runtime::telemetry::{self, LogSettings};
use serde_json::Value;
use tracing::{debug, error, info, info_span, warn};

use super::{Logged, SERVICES, log, settings};

/// What is logged under these settings.
fn logged(log: LogSettings, work: impl FnOnce()) -> String {
    let logged = Logged::default();
    let (_telemetry, subscriber) =
        telemetry::subscriber(settings(&[]), log, SERVICES, logged.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, work);
    logged.text()
}

#[test]
fn a_json_line_names_its_service_and_its_place_in_the_trace() {
    let mut ids = (None, None);
    let text = logged(log(true), || {
        info!(target: "shieldx::up", port = 8080, "outside");
        info_span!(target: "gateway", "decide").in_scope(|| {
            ids = (telemetry::current_trace_id(), telemetry::current_traceparent());
            warn!(target: "store::sqlite", error = %"disk\nfull", service = "forged", "within");
        });
        let error = io::Error::other(io::Error::other("the cause"));
        error!(target: "ingress", error = &error as &dyn std::error::Error, "told with its causes");
    });
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [outside, within, chain] = &lines[..] else { panic!("{text}") };
    assert_eq!((&outside["message"], &outside["level"]), (&"outside".into(), &"INFO".into()));
    assert_eq!(outside["fields"]["port"], 8080);
    for absent in ["service", "trace_id", "span_id", "span"] {
        assert!(outside.get(absent).is_none(), "{absent}");
    }
    assert!(outside["timestamp"].as_str().unwrap().ends_with('Z'));
    assert_eq!((&within["service"], &within["span"]), (&"gateway".into(), &"decide".into()));
    assert_eq!(within["trace_id"].as_str(), ids.0.as_deref());
    assert!(ids.1.unwrap().contains(within["span_id"].as_str().unwrap()));
    assert_eq!(within["fields"]["error"], "disk\nfull");
    assert_eq!(within["fields"]["service"], "forged", "a field is no key of ours");
    assert_eq!(chain["service"], "ingress");
    assert_eq!(chain["fields"]["error"], "the cause");
}

#[test]
fn a_text_line_is_one_line_without_control_characters_whatever_is_said() {
    let text = logged(log(false), || {
        info!(target: "gateway", path = "a\r\nb\x1b[31m", "said \u{202e}\n{}", "twice");
    });
    assert_eq!(text.lines().count(), 1);
    assert!(
        text.contains(" INFO gateway said \u{202e}\\ntwice path=a\\r\\nb\\u{1b}[31m"),
        "{text}"
    );
}

#[test]
fn colours_are_only_where_they_are_wanted() {
    let with = |color| logged(LogSettings { color, ..log(false) }, || error!("broken"));
    assert!(with(true).contains("\x1b[31mERROR\x1b[0m") && !with(false).contains('\x1b'));
}

#[test]
fn the_filter_says_what_is_logged_and_not_what_is_traced() {
    let filter = |filter: &str| LogSettings { filter: filter.to_owned(), ..log(true) };
    let say = || {
        info_span!(target: "gateway", "decide").in_scope(|| {
            debug!(target: "gateway", "gateway's detail");
            debug!(target: "ingress", "ingress' detail");
            warn!(target: "runtime", "a warning");
            assert!(telemetry::current_trace_id().is_some());
        });
    };
    let text = logged(filter("warn,gateway=debug"), say);
    assert!(text.contains("gateway's") && !text.contains("ingress'"), "{text}");
    let warning = text.lines().last().unwrap();
    let warning: Value = serde_json::from_str(warning).unwrap();
    assert_eq!(warning["service"], "gateway", "though its span is below the filter");
    assert!(warning["trace_id"].is_string());
    assert_eq!(logged(filter("off"), say), "");
}

#[test]
fn a_filter_that_is_none_is_said_with_an_example() {
    let log = LogSettings { filter: "gateway=loud".to_owned(), ..log(true) };
    let Err(error) = telemetry::subscriber(settings(&[]), log, SERVICES, io::sink) else {
        panic!("it was taken");
    };
    assert!(error.to_string().contains("gateway=loud"), "{error}");
}

#[test]
fn a_log_that_cannot_be_written_ends_nothing() {
    // Every write fails: it was opened for reading.
    let file = || File::open("/dev/null").unwrap();
    let (telemetry, subscriber) =
        telemetry::subscriber(settings(&[]), log(true), SERVICES, file).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        info_span!("work").in_scope(|| error!("nobody reads this"));
    });
    assert_eq!(telemetry.traces().len(), 1);
}
