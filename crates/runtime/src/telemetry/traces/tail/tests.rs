//! What is kept, and why, and what is let go.

use std::time::SystemTime;

use opentelemetry::trace::{SpanContext, SpanId, Status, TraceFlags, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::{Arc, Due, Duration, Instant, Keeping, KeptBecause, Outcome, SLOT, SpanKind, Tail};
use super::{TraceId, chosen};
use crate::telemetry::span::Ended;

/// Nothing is kept only because it is there.
const NONE: Keeping = Keeping {
    quiet_ms: 0,
    sampled_ratio: 0.0,
    sampled_per_minute_max: 60,
    exemplars_per_minute_max: 2,
};

/// A trace of one request.
fn request(id: u8, service: &'static str, route: &str, ms: u64) -> Due {
    let start_time = SystemTime::UNIX_EPOCH;
    let id = TraceId::from_bytes([id.max(1); 16]);
    let context = SpanContext::new(
        id,
        SpanId::from_bytes([1; 8]),
        TraceFlags::SAMPLED,
        false,
        TraceState::default(),
    );
    let data = SpanData {
        span_context: context,
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Server,
        name: "request".into(),
        start_time,
        end_time: start_time + Duration::from_millis(ms),
        attributes: vec![KeyValue::new("http.route", route.to_owned())],
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::default(),
    };
    let spans = vec![Arc::new(Ended { service, data })];
    let (tenant, dropped, bytes) = (None, 0, 1_000);
    Due { id, spans, dropped, bytes, tenant, error: false, bad: false, shown: false }
}

fn kept(outcome: &Outcome) -> Vec<(u8, KeptBecause)> {
    outcome.keep.iter().map(|(due, why)| (due.id.to_bytes()[0], *why)).collect()
}

#[test]
fn what_failed_and_what_was_bad_is_kept_always_and_at_once() {
    let mut tail = Tail::new(NONE);
    let now = Instant::now();
    for id in 1..=200 {
        let due = Due { error: true, bad: true, ..request(id, "a", "/", 1) };
        assert_eq!(kept(&tail.decide(due, false, now)), [(id, KeptBecause::Error)]);
        let due = Due { bad: true, ..request(id, "a", "/", 1) };
        assert_eq!(kept(&tail.decide(due, false, now)), [(id, KeptBecause::SloBad)]);
    }
    assert_eq!(kept(&tail.close(now, true)), [], "and not a second time for being the slowest");
}

#[test]
fn of_each_route_and_minute_the_slowest_is_kept_and_each_of_the_others_is_dropped_once() {
    let mut tail = Tail::new(NONE);
    let now = Instant::now();
    let mut dropped = 0;
    for (id, service, route, ms) in [
        (1, "a", "/x", 10),
        (2, "a", "/x", 30),
        (3, "a", "/x", 20),
        (4, "a", "/y", 1),
        (5, "b", "/x", 2),
    ] {
        let outcome = tail.decide(request(id, service, route, ms), false, now);
        assert_eq!(kept(&outcome), []);
        dropped += outcome.dropped;
    }
    assert_eq!(dropped, 2);
    assert_eq!(kept(&tail.close(now + SLOT / 2, false)), [], "the minute is not over");
    let slowest = tail.close(now + SLOT, false);
    assert_eq!(kept(&slowest), [2, 4, 5].map(|id| (id, KeptBecause::Slowest)));
    // Another minute, in which less is slow.
    assert_eq!(tail.decide(request(6, "a", "/x", 1), false, now + SLOT).dropped, 0);
    assert_eq!(kept(&tail.close(now + SLOT * 2, false)), [(6, KeptBecause::Slowest)]);
    assert_eq!(tail.held_bytes, 0);
}

#[test]
fn a_trace_that_goes_on_is_not_its_own_rival_and_one_that_fails_later_is_kept_for_that() {
    let mut tail = Tail::new(NONE);
    let now = Instant::now();
    assert_eq!(tail.decide(request(1, "a", "/x", 10), false, now).dropped, 0);
    assert_eq!(tail.decide(request(1, "a", "/x", 10), false, now).dropped, 0);
    assert_eq!(tail.held_bytes, 1_000);
    let due = Due { error: true, ..request(1, "a", "/x", 10) };
    assert_eq!(kept(&tail.decide(due, false, now)), [(1, KeptBecause::Error)]);
    assert_eq!((kept(&tail.close(now, true)), tail.held_bytes), (vec![], 0));
}

#[test]
fn what_a_metric_names_is_kept_within_a_bound_by_the_minute() {
    let mut tail = Tail::new(NONE);
    let now = Instant::now();
    let mut shown = |id, now| {
        // Faster than nothing: it is in no slot.
        let due = Due { shown: true, spans: Vec::new(), ..request(id, "a", "/x", 0) };
        tail.decide(due, false, now)
    };
    assert_eq!(kept(&shown(1, now)), [(1, KeptBecause::Exemplar)]);
    assert_eq!(kept(&shown(2, now)), [(2, KeptBecause::Exemplar)]);
    assert_eq!((kept(&shown(3, now)), shown(4, now).dropped), (vec![], 1));
    assert_eq!(kept(&shown(5, now + SLOT)), [(5, KeptBecause::Exemplar)]);
}

#[test]
fn a_trace_of_which_a_part_is_kept_is_kept_whole() {
    let mut tail = Tail::new(NONE);
    let outcome = tail.decide(request(1, "a", "/x", 1), true, Instant::now());
    assert_eq!(kept(&outcome), [(1, KeptBecause::Recent)], "why is said where the part is");
}

#[test]
fn the_share_of_the_rest_is_what_it_says_and_always_the_same_traces() {
    // SplitMix64 itself, so that the ids are of every kind.
    let ids = (1..=20_000_u64).map(|n| {
        let low = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        TraceId::from_bytes(((u128::from(n) << 64) | u128::from(low)).to_be_bytes())
    });
    for ratio in [0.0, 0.05, 0.5, 1.0] {
        let count = ids.clone().filter(|id| chosen(*id, ratio)).count();
        let expected = 20_000.0 * ratio;
        // Six standard deviations of a binomial.
        let off = 6.0 * (20_000.0 * ratio * (1.0 - ratio)).sqrt();
        let count = f64::from(u32::try_from(count).unwrap());
        assert!((count - expected).abs() <= off, "{ratio}: {count}");
    }
    let smaller: Vec<TraceId> = ids.clone().filter(|id| chosen(*id, 0.05)).collect();
    assert!(smaller.iter().all(|id| chosen(*id, 0.5)), "a larger share has the smaller one in it");
}

#[test]
fn more_routes_than_there_are_slots_share_one_and_bytes_have_a_bound() {
    let mut tail = Tail::new(NONE);
    let now = Instant::now();
    for number in 0..2_000 {
        let due = request(u8::try_from(number % 250).unwrap(), "a", &format!("/{number}"), 1);
        tail.decide(due, false, now);
    }
    assert!(tail.slots.len() <= super::SLOTS_MAX + 1, "{}", tail.slots.len());
    let mut tail = Tail::new(NONE);
    for number in 1..=100 {
        let due = Due { bytes: 1 << 20, ..request(number, "a", &format!("/{number}"), 1) };
        tail.decide(due, false, now);
    }
    assert!(tail.held_bytes <= super::HELD_BYTES_MAX);
    assert_eq!(tail.close(now, true).keep.len(), 16);
}
