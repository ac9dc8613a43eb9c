//! The newest traces in memory, and where in them one is.

use http::HeaderMap;
use runtime::telemetry::{self, Kind, Settings, SpanStatus, TraceLimits};
use tracing::field::Empty;
use tracing::{Span, error, info, info_span};

use super::{settings, within};

fn keeping(traces: TraceLimits) -> Settings {
    Settings { traces, ..settings(&[]) }
}

/// A trace of one span; its id.
fn one(tenant: &str) -> String {
    info_span!(target: "gateway", "one", shieldx.tenant = tenant)
        .in_scope(|| telemetry::current_trace_id().unwrap())
}

#[test]
fn a_trace_is_kept_with_what_its_spans_say() {
    let (telemetry, id) = within(settings(&[]), |_| {
        let outer = info_span!(target: "ingress", "outer", otel.kind = "server", count = 3, flag = true,
            shieldx.tenant = Empty);
        outer.in_scope(|| {
            Span::current().record("shieldx.tenant", "acme");
            info!(answer = 42, "something happened");
            let inner = info_span!(target: "runtime::http", "inner", text = "é".repeat(5_000));
            inner.in_scope(|| error!("it broke"));
            telemetry::current_trace_id().unwrap()
        })
    });
    let trace = telemetry.traces().get(&id).unwrap();
    assert_eq!((&trace.trace_id, trace.tenant.as_deref()), (&id, Some("acme")));
    let [outer, inner] = &trace.spans[..] else { panic!("{trace:?}") };
    assert_eq!((&*outer.name, &*outer.service, outer.kind), ("outer", "ingress", Kind::Server));
    assert_eq!((&*inner.name, &*inner.service, inner.kind), ("inner", "ingress", Kind::Internal));
    assert_eq!((&outer.parent_id, &inner.parent_id), (&None, &Some(outer.span_id.clone())));
    assert_eq!(
        (outer.attributes["count"].as_i64(), &outer.attributes["flag"]),
        (Some(3), &true.into())
    );
    assert_eq!((outer.status, inner.status), (SpanStatus::Unset, SpanStatus::Error));
    assert!(inner.error && !outer.error);
    assert_eq!(outer.events[0].name, "something happened");
    assert_eq!(outer.events[0].attributes["answer"], 42);
    assert!(outer.start_us > 1_700_000_000_000_000 && inner.start_us >= outer.start_us);
    assert!(inner.attributes["text"].as_str().unwrap().len() < 1_100, "long texts are cut");
    let json = serde_json::to_value(&trace).unwrap();
    assert_eq!(json["spans"][1]["kind"], "internal");
    assert_eq!(json["spans"][1]["status"], "error");
    assert!(json["spans"][0].get("parent_id").is_none());
}

#[test]
fn a_trace_of_which_two_tenants_say_it_is_theirs_is_nobodys() {
    let (telemetry, (one, two)) = within(settings(&[]), |_| {
        let same = one("acme");
        let shared = info_span!("outer", shieldx.tenant = "acme").in_scope(|| one("other"));
        (same, shared)
    });
    let traces = telemetry.traces();
    let tenant = |id: &str| traces.get(id).unwrap().tenant;
    assert_eq!((tenant(&one).as_deref(), tenant(&two)), (Some("acme"), None));
    let of = |tenant| [&one, &two].map(|id| traces.of_tenant(tenant, id).is_some());
    assert_eq!((of("acme"), of("other")), ([true, false], [false, false]));
}

#[test]
fn another_tenant_is_noticed_even_in_a_span_that_finds_no_room() {
    let limits = TraceLimits { spans_per_trace_max: 1, ..TraceLimits::default() };
    let (telemetry, id) = within(keeping(limits), |_| {
        info_span!("outer", shieldx.tenant = "acme").in_scope(|| one("other"))
    });
    let trace = telemetry.traces().get(&id).unwrap();
    assert_eq!((trace.spans.len(), trace.spans_dropped, trace.tenant), (1, 1, None));
}

#[test]
fn the_oldest_traces_make_room_for_newer_ones_by_number_and_by_bytes() {
    let few = TraceLimits { traces_max: 3, ..TraceLimits::default() };
    let (telemetry, ids) = within(keeping(few), |_| (0..5).map(|_| one("a")).collect::<Vec<_>>());
    let traces = telemetry.traces();
    let kept: Vec<bool> = ids.iter().map(|id| traces.get(id).is_some()).collect();
    assert_eq!(kept, [false, false, true, true, true]);

    let small = TraceLimits { bytes_max: 64 << 10, ..TraceLimits::default() };
    let text = "x".repeat(1_000);
    let (telemetry, last) =
        within(keeping(small), |_| (0..1_000).fold(String::new(), |_, _| one(&text)));
    let traces = telemetry.traces();
    assert!((10..64).contains(&traces.len()), "{}", traces.len());
    assert!(traces.get(&last).is_some());
}

#[test]
fn requests_of_nobody_do_not_push_out_the_traces_of_tenants() {
    let few = TraceLimits { traces_max: 8, ..TraceLimits::default() };
    let nobody = || info_span!("probe").in_scope(|| telemetry::current_trace_id().unwrap());
    let (telemetry, (ids, probes)) = within(keeping(few), |_| {
        let ids: Vec<String> = (0..6).map(|_| one("a")).collect();
        (ids, (0..100).map(|_| nobody()).collect::<Vec<_>>())
    });
    let traces = telemetry.traces();
    assert!(ids.iter().all(|id| traces.get(id).is_some()));
    let kept = |ids: &[String]| ids.iter().filter(|id| traces.get(id).is_some()).count();
    assert_eq!((traces.len(), kept(&probes[98..])), (8, 2), "the newest of them are there");
}

#[test]
fn nor_do_few_requests_of_nobody_that_are_large() {
    let small = TraceLimits { bytes_max: 64 << 10, ..TraceLimits::default() };
    let text = "x".repeat(1_000);
    let nobody = || info_span!("probe", text).in_scope(|| telemetry::current_trace_id().unwrap());
    let (telemetry, (ids, probes)) = within(keeping(small), |_| {
        let ids: Vec<String> = (0..10).map(|_| one("a")).collect();
        (ids, (0..200).map(|_| nobody()).collect::<Vec<_>>())
    });
    let traces = telemetry.traces();
    assert!(ids.iter().all(|id| traces.get(id).is_some()));
    let kept = probes.iter().filter(|id| traces.get(id).is_some()).count();
    assert!((1..16).contains(&kept), "a quarter of the room: {kept}");
}

#[test]
fn an_id_that_is_none_or_not_known_is_no_trace() {
    let (telemetry, id) = within(settings(&[]), |_| one("a"));
    let traces = telemetry.traces();
    assert!(traces.get(&id).is_some());
    for id in ["", "x", &id[1..], &format!("{id}0"), &"0".repeat(32), &"g".repeat(32), "é"] {
        assert_eq!(traces.get(id), None, "{id:?}");
    }
}

#[test]
fn a_caller_cannot_keep_its_failures_out_of_sight() {
    let unsampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    let (telemetry, id) = within(settings(&[]), |_| {
        let span = info_span!("work");
        telemetry::continue_trace(&span, unsampled);
        span.in_scope(telemetry::current_sampled_trace_id)
    });
    assert_eq!(id.as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
    assert!(telemetry.traces().get(&id.unwrap()).is_some());
}

#[test]
fn where_it_is_wanted_a_callers_decision_is_followed_and_handed_on() {
    let unsampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    let wanted = settings(&[("OTEL_TRACES_SAMPLER", "parentbased_always_on")]);
    let (telemetry, ()) = within(wanted, |_| {
        let span = info_span!("work");
        telemetry::continue_trace(&span, unsampled);
        span.in_scope(|| {
            let mut headers = HeaderMap::new();
            telemetry::inject(&mut headers);
            let sent = headers["traceparent"].to_str().unwrap();
            assert!(sent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"), "{sent}");
            assert!(sent.ends_with("-00") && !sent.contains("00f067aa0ba902b7"), "{sent}");
            assert_eq!(telemetry::current_sampled_trace_id(), None);
        });
    });
    assert!(telemetry.traces().is_empty());
}

#[test]
fn unsigned_numbers_are_numbers_whenever_they_are_told_and_text_stays_text() {
    let (telemetry, id) = within(settings(&[]), |_| {
        let outer =
            info_span!("outer", count = 7_u64, later = Empty, code = "200", huge = u64::MAX);
        outer.in_scope(|| {
            info_span!("inner", later = "9").in_scope(|| {});
            Span::current().record("later", 9_usize);
            telemetry::current_trace_id().unwrap()
        })
    });
    let trace = telemetry.traces().get(&id).unwrap();
    let find = |name: &str| trace.spans.iter().find(|span| span.name == name).unwrap();
    let outer = &find("outer").attributes;
    assert_eq!((&outer["count"], &outer["later"]), (&7.into(), &9.into()));
    assert_eq!((&outer["code"], &outer["huge"]), (&"200".into(), &u64::MAX.to_string().into()));
    assert_eq!(find("inner").attributes["later"], "9");
}

#[test]
fn a_span_points_to_what_it_has_to_do_with_and_is_no_part_of_it() {
    let submitter = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let (telemetry, id) = within(settings(&[]), |_| {
        let span = info_span!("job");
        telemetry::link(&span, submitter);
        telemetry::link(&span, "nonsense");
        span.in_scope(|| {
            (0..20).for_each(|_| telemetry::link(&Span::current(), submitter));
            telemetry::current_trace_id().unwrap()
        })
    });
    let trace = telemetry.traces().get(&id).unwrap();
    let [job] = &trace.spans[..] else { panic!("{trace:?}") };
    assert_eq!((job.parent_id.as_deref(), job.links.len()), (None, 8));
    assert_eq!(
        (&*job.links[0].trace_id, &*job.links[0].span_id),
        ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
    );
    let json = serde_json::to_value(&trace).unwrap();
    assert_eq!(
        (&json["root"], &json["kept_because"]),
        (&json["spans"][0]["span_id"], &"recent".into())
    );
    assert!(json["duration_us"].is_i64());
}

#[test]
fn without_propagators_a_trace_is_neither_continued_nor_handed_on() {
    let caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let (telemetry, ()) = within(settings(&[("OTEL_PROPAGATORS", "none")]), |_| {
        let span = info_span!("work");
        telemetry::continue_trace(&span, caller);
        span.in_scope(|| {
            let mut headers = HeaderMap::new();
            telemetry::inject(&mut headers);
            assert!(headers.is_empty());
            assert!(!telemetry::current_traceparent().unwrap().contains("4bf92f35"));
        });
    });
    assert_eq!(telemetry.traces().len(), 1);
}

#[test]
fn outside_a_span_and_without_telemetry_there_is_no_trace() {
    let nowhere = || {
        let mut headers = HeaderMap::new();
        telemetry::inject(&mut headers);
        assert!(headers.is_empty());
        assert_eq!(telemetry::current_trace_id(), None);
        assert_eq!(telemetry::current_traceparent(), None);
    };
    nowhere();
    info_span!("nobody sees").in_scope(nowhere);
    within(settings(&[]), |_| nowhere());
}

#[test]
fn a_share_of_the_traces_is_kept_where_only_a_share_is_wanted() {
    let given = [("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.5")];
    let (telemetry, ()) = within(settings(&given), |_| (0..400).for_each(|_| drop(one("a"))));
    // Further than ten standard deviations from that would be an error.
    assert!((100..300).contains(&telemetry.traces().len()), "{}", telemetry.traces().len());
}

#[tokio::test]
async fn a_trace_follows_its_task_and_not_its_thread() {
    use tracing::Instrument as _;
    let (telemetry, subscriber) =
        telemetry::subscriber(settings(&[]), super::log(true), super::SERVICES, std::io::sink)
            .unwrap();
    let _guard = tracing::subscriber::set_default(subscriber);
    let work = |name: &'static str| {
        async move {
            let before = telemetry::current_trace_id();
            tokio::task::yield_now().await;
            let inner = async { telemetry::current_trace_id() };
            let within = inner.instrument(info_span!("inner")).await;
            assert_eq!((&before, &before), (&within, &telemetry::current_trace_id()), "{name}");
            before.unwrap()
        }
        .instrument(info_span!("outer", name))
    };
    let (one, two) = tokio::join!(work("one"), work("two"));
    assert_ne!(one, two);
    assert_eq!(telemetry::current_trace_id(), None);
    for id in [one, two] {
        assert_eq!(telemetry.traces().get(&id).unwrap().spans.len(), 2);
    }
}
