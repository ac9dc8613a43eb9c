//! What counts as what, and that what is exported is what is told.

use std::collections::BTreeMap;

use super::plan::{Group, GroupRoute, Objective, Plan, Rule, Tenants};
use super::{Arc, Duration, Metrics, Note, Outcome, Request, Sli, StatusCode, View};

fn objective(slo: &str, rule: Rule) -> Objective {
    Objective {
        slo: slo.to_owned(),
        service: "test".to_owned(),
        rule,
        only: Vec::new(),
        except: Vec::new(),
        by_tenant: true,
        by_route_group: true,
    }
}

const fn within(ms: u64, le: bool) -> Rule {
    Rule::Latency { threshold: Duration::from_millis(ms), le }
}

fn group(name: &str, service: Option<&str>, route: &str) -> Group {
    let route = GroupRoute {
        service: service.map(str::to_owned),
        methods: Vec::new(),
        route: route.to_owned(),
    };
    Group { name: name.to_owned(), routes: vec![route] }
}

fn plan(objectives: Vec<Objective>, tenants: Tenants) -> Arc<Plan> {
    let groups =
        vec![group("submit", None, "/v1/verifications*"), group("elsewhere", Some("other"), "/x")];
    Arc::new(Plan { objectives, groups, tenants, ..Plan::default() })
}

fn asked<'a>(status: Option<u16>, ms: u64, tenant: Option<&'a str>) -> Request<'a> {
    Request {
        method: "GET",
        route: "/",
        status: status.map(|status| StatusCode::from_u16(status).unwrap()),
        duration: Duration::from_millis(ms),
        tenant,
        note: Note::default(),
    }
}

/// The series of one metric, as exported.
fn exported(metrics: &Metrics, name: &str) -> BTreeMap<String, u64> {
    let text = metrics.text();
    let prefix = format!("{name}_total{{");
    let lines = text.lines().filter_map(|line| line.strip_prefix(&prefix)?.split_once("} "));
    lines.map(|(labels, value)| (labels.to_owned(), value.parse().unwrap())).collect()
}

#[track_caller]
fn counts(sli: &Sli, slo: &str, view: &View) -> [u64; 3] {
    let totals = sli.totals();
    let total = totals.iter().find(|total| total.slo == slo && total.view == *view);
    total.map(|total| [total.good, total.bad, total.excluded]).unwrap()
}

fn none() -> View {
    View::Tenant("__none__".to_owned())
}

#[test]
fn everything_is_there_at_nought_and_only_of_this_service() {
    let metrics = Metrics::new("test");
    let mut elsewhere = objective("other-up", Rule::Availability);
    elsewhere.service = "other".to_owned();
    let mut plain = objective("plain", Rule::ByHand);
    plain.by_tenant = false;
    let up = objective("up", Rule::Availability);
    let tenants = Tenants::Listed(vec!["acme".to_owned()]);
    let sli = Sli::new(plan(vec![elsewhere, plain, up], tenants), &metrics);
    let events = exported(&metrics, "shieldx_slo_events");
    let mut expected: Vec<String> = Vec::new();
    for (slo, tenants) in [("plain", &["__all__"][..]), ("up", &["__none__", "__other__", "acme"])]
    {
        for tenant in tenants {
            for outcome in ["bad", "excluded", "good"] {
                expected.push(format!("slo=\"{slo}\",outcome=\"{outcome}\",tenant=\"{tenant}\""));
            }
        }
    }
    expected.sort();
    assert_eq!(events.keys().cloned().collect::<Vec<_>>(), expected);
    assert!(events.values().all(|value| *value == 0));
    let groups = exported(&metrics, "shieldx_slo_route_group_events");
    let of = |group: &str| format!("slo=\"up\",outcome=\"bad\",route_group=\"{group}\"");
    assert_eq!(groups.len(), 6, "{groups:?}");
    assert!(groups.contains_key(&of("submit")) && groups.contains_key(&of("other")), "{groups:?}");
    assert_eq!(sli.totals().len(), 6);
}

#[test]
fn a_failure_on_our_side_is_bad_and_whatever_else_is_not() {
    let metrics = Metrics::new("test");
    let objectives = vec![
        objective("up", Rule::Availability),
        objective("fast", within(250, true)),
        objective("faster", within(250, false)),
    ];
    let sli = Sli::new(plan(objectives, Tenants::default()), &metrics);
    let applications = Note { applications: true, delayed: false };
    let delayed = Note { applications: false, delayed: true };
    let (good, bad, excluded) = ([1, 0, 0], [0, 1, 0], [0, 0, 1]);
    let mut before = [[0; 3]; 3];
    for (status, ms, note, expect) in [
        (Some(200), 1, Note::default(), [good, good, good]),
        (Some(404), 1, Note::default(), [good, good, good]),
        (Some(403), 250, Note::default(), [good, good, bad]),
        (Some(200), 251, Note::default(), [good, bad, bad]),
        (Some(200), 900, delayed, [good, excluded, excluded]),
        (Some(200), 900, applications, [good, bad, bad]),
        (Some(500), 1, Note::default(), [bad, excluded, excluded]),
        (Some(503), 900, applications, [excluded, excluded, excluded]),
        (Some(599), 1, delayed, [bad, excluded, excluded]),
        (None, 900, Note::default(), [excluded, excluded, excluded]),
    ] {
        let any_bad = sli.request(Request { note, ..asked(status, ms, None) });
        assert_eq!(any_bad, expect.contains(&bad), "{status:?} {ms} {note:?}");
        for (index, slo) in ["up", "fast", "faster"].into_iter().enumerate() {
            let now = counts(&sli, slo, &none());
            let delta: Vec<u64> = now.iter().zip(before[index]).map(|(a, b)| a - b).collect();
            assert_eq!(delta, expect[index], "{slo}: {status:?} {ms} {note:?}");
            before[index] = now;
        }
    }
}

#[test]
fn what_is_exported_is_what_is_told() {
    let metrics = Metrics::new("test");
    let objectives = vec![objective("up", Rule::Availability), objective("hand", Rule::ByHand)];
    let sli = Sli::new(plan(objectives, Tenants::First(2)), &metrics);
    for n in 0..40 {
        let tenant = ["a", "b", "c", "d"][n % 4];
        let status = if n % 5 == 0 { 500 } else { 200 };
        let route = ["/v1/verifications/{id}", "/x", "/y"][n % 3];
        sli.request(Request { route, ..asked(Some(status), 1, Some(tenant)) });
    }
    sli.add("hand", Outcome::Good, None, 7);
    sli.add("hand", Outcome::Bad, Some("c"), 1 << 40);
    sli.add("unknown", Outcome::Bad, None, 1);
    let mut told = BTreeMap::new();
    for total in sli.totals() {
        let (metric, view) = match &total.view {
            View::Tenant(tenant) => ("events", format!("tenant=\"{tenant}\"")),
            View::RouteGroup(group) => ("groups", format!("route_group=\"{group}\"")),
        };
        for (outcome, count) in
            [("good", total.good), ("bad", total.bad), ("excluded", total.excluded)]
        {
            let labels = format!("slo=\"{}\",outcome=\"{outcome}\",{view}", total.slo);
            told.insert((metric, labels), count);
        }
    }
    let mut scraped = BTreeMap::new();
    for (metric, name) in
        [("events", "shieldx_slo_events"), ("groups", "shieldx_slo_route_group_events")]
    {
        let series = exported(&metrics, name);
        scraped.extend(series.into_iter().map(|(labels, value)| ((metric, labels), value)));
    }
    assert_eq!(told, scraped);
    let sum = |metric: &str, slo: &str| -> u64 {
        let of = told.iter().filter(|((m, labels), _)| {
            *m == metric && labels.starts_with(&format!("slo=\"{slo}\""))
        });
        of.map(|(_, count)| count).sum()
    };
    assert_eq!((sum("events", "up"), sum("groups", "up")), (40, 40));
    assert_eq!(sum("events", "hand"), 7 + (1 << 40));
    assert_eq!(counts(&sli, "up", &View::Tenant("__other__".to_owned())), [16, 4, 0]);
    let folded = exported(&metrics, "shieldx_metrics_folded");
    assert_eq!(folded["metric=\"shieldx_slo_events\""], 20 + (1 << 40));
}

#[test]
fn all_services_of_a_process_fold_the_same_tenants() {
    let mut there = objective("there", Rule::Availability);
    there.service = "there".to_owned();
    let plan = plan(vec![objective("here", Rule::Availability), there], Tenants::First(2));
    let here = Sli::new(Arc::clone(&plan), &Metrics::new("test"));
    let there = Sli::new(Arc::clone(&plan), &Metrics::new("there"));
    for (sli, tenant) in [(&here, "a"), (&there, "b"), (&here, "c"), (&there, "a"), (&there, "c")] {
        sli.request(asked(Some(200), 1, Some(tenant)));
    }
    let tenants = |sli: &Sli| -> Vec<(String, u64)> {
        let good = |total: super::Total| match total.view {
            View::Tenant(tenant) if total.good > 0 => Some((tenant, total.good)),
            _ => None,
        };
        sli.totals().into_iter().filter_map(good).collect()
    };
    assert_eq!(tenants(&here), [("__other__".to_owned(), 1), ("a".to_owned(), 1)]);
    let expected = [("__other__", 1), ("a", 1), ("b", 1)].map(|(name, n)| (name.to_owned(), n));
    assert_eq!(tenants(&there), expected);
}

#[test]
fn tenants_that_were_introduced_begin_at_nought() {
    let plan = plan(vec![objective("up", Rule::Availability)], Tenants::First(1));
    plan.introduce(["acme", "late"]);
    let sli = Sli::new(plan, &Metrics::new("test"));
    assert_eq!(counts(&sli, "up", &View::Tenant("acme".to_owned())), [0; 3]);
    assert!(!sli.totals().iter().any(|total| total.view == View::Tenant("late".to_owned())));
}

#[test]
fn route_groups_choose_which_requests_are_an_objectives() {
    let mut only = objective("only", Rule::Availability);
    only.only = vec!["submit".to_owned()];
    let mut except = objective("except", Rule::Availability);
    except.except = vec!["submit".to_owned()];
    let sli = Sli::new(plan(vec![only, except], Tenants::default()), &Metrics::new("test"));
    sli.request(Request { route: "/v1/verifications/{id}", ..asked(Some(200), 1, None) });
    for _ in 0..2 {
        sli.request(asked(Some(200), 1, None));
    }
    assert_eq!(counts(&sli, "only", &none()), [1, 0, 0]);
    assert_eq!(counts(&sli, "except", &none()), [2, 0, 0]);
    assert_eq!(&*sli.group("GET", "/v1/verifications/{id}"), "submit");
    assert_eq!(&*sli.group("GET", "/x"), "other", "another service's");
    let groups = sli.totals();
    let names: Vec<&View> = groups.iter().map(|total| &total.view).collect();
    assert!(names.contains(&&View::RouteGroup("submit".to_owned())), "{names:?}");
}

#[test]
fn without_a_plan_nothing_is_counted() {
    let sli = Sli::default();
    assert!(!sli.request(asked(Some(500), 1, None)));
    sli.add("up", Outcome::Bad, None, 1);
    assert_eq!(sli.totals(), []);
    assert_eq!(&*sli.group("GET", "/"), "other");
}
