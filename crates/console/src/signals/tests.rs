//! What is read from a text of metrics, and what is refused.

use super::Signals;
use super::read::rows;

const TEXT: &str = "# HELP http_server_request_duration_seconds Seconds.\n\
# TYPE http_server_request_duration_seconds histogram\n\
http_server_request_duration_seconds_sum{http_route=\"/a\"} 5.0\n\
http_server_request_duration_seconds_count{http_route=\"/a\",http_response_status_code=\"503\"} 4\n\
http_server_request_duration_seconds_bucket{le=\"0.1\",http_route=\"/a\",http_response_status_code=\"503\"} 1\n\
http_server_request_duration_seconds_bucket{le=\"0.25\",http_route=\"/a\",http_response_status_code=\"503\"} 3 # {trace_id=\"abc\",span_id=\"d\"} 0.2 12.5\n\
http_server_request_duration_seconds_bucket{le=\"+Inf\",http_route=\"/a\",http_response_status_code=\"503\"} 4\n\
http_server_active_requests 7\n\
shieldx_verifier_pool_queue_depth 3\n\
# EOF\n";

/// The same with every count a hundred times as large.
fn later() -> String {
    TEXT.replace("} 1\n", "} 100\n").replace("} 3 #", "} 300 #").replace("} 4\n", "} 400\n")
}

#[test]
fn lines_are_read_with_what_their_labels_escape() {
    let text = "a{b=\"x\\\"}\\n\\\\,\",c=\"\"} 1.5\nb 2 3\nnonsense\nc{d=\"e\n";
    let rows: Vec<_> = rows(text).collect();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_eq!((rows[0].label("b").as_ref(), rows[0].label("c").as_ref()), ("x\"}\n\\,", ""));
    assert_eq!((rows[0].value, rows[1].name, rows[1].value), (1.5, "b", 2.0));
}

#[test]
fn what_was_counted_between_two_readings_is_kept_by_bucket_and_outcome() {
    let signals = Signals::new(Vec::new());
    signals.take("gateway", 10_000_000, TEXT);
    signals.take("gateway", 20_000_000, &later());
    let window = signals.window("gateway", &|_| true, (0, 40_000_000), 4);
    let requests: Vec<u64> = window.slots.iter().map(|slot| slot.cell.requests()).collect();
    assert_eq!(requests, [0, 396, 0, 0]);
    let slot = &window.slots[1];
    assert_eq!((slot.cell.server_errors, slot.counted_us), (396, 10_000_000));
    assert_eq!(slot.per_second(396), Some(39.6));
    assert_eq!((slot.active, slot.waiting), (Some(7.0), Some(3.0)));
    // 99 of 396 up to 0.1 s, 198 more up to 0.25 s.
    assert!((slot.cell.quantile(0.5).unwrap() - 0.175).abs() < 1e-9);
    assert_eq!(slot.cell.quantile(0.99), Some(10.0), "above all bounds");
    assert_eq!(window.exemplars.len(), 1);
    let one = &window.exemplars[0];
    assert_eq!(
        (one.trace_id.as_str(), one.seconds, one.at_us, one.failed),
        ("abc", 0.2, 12_500_000, true)
    );
    assert!(signals.window("ingress", &|_| true, (0, 40_000_000), 4).exemplars.is_empty());
}

#[test]
fn a_day_is_kept_in_bounded_room_and_told_the_same_at_every_scale() {
    let signals = Signals::new(Vec::new());
    for step in 0..10_000_i64 {
        let text = TEXT.replace("} 4\n", &format!("}} {}\n", 4 + step * 2));
        signals.take("gateway", step * 10_000_000, &text);
    }
    let now = 9_999 * 10_000_000;
    for (span_s, slots) in [(3_000_i64, 60), (80_000, 100)] {
        let window = signals.window("gateway", &|_| true, (now - span_s * 1_000_000, now), slots);
        let requests: u64 = window.slots.iter().map(|slot| slot.cell.requests()).sum();
        let expected = u64::try_from(span_s / 5).unwrap();
        assert!(requests.abs_diff(expected) <= 24, "{requests} of {expected} in {span_s} s");
    }
}

#[test]
fn lines_beyond_the_bound_are_counted_and_not_kept() {
    let signals = Signals::new(Vec::new());
    for service in 0..super::LINES_MAX + 3 {
        signals.take(&format!("s{service}"), 0, TEXT);
    }
    // One for the counts and one for the exemplar.
    assert_eq!(signals.refused(), 6);
}
