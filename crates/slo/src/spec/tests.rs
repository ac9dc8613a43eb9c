//! Files that are read, and files that are refused.

use std::time::Duration;

use super::{Catalog, OnUnknown, Refused, SHIPPED, Sli, Window, read, span_from, window_from};
use crate::decimal::Share;

/// A file with one objective, whose lines are these.
fn one(lines: &str) -> String {
    let lines: String = lines.lines().map(|line| format!("    {}\n", line.trim_end())).collect();
    format!("version: 1\nslos:\n  - name: a\n{lines}")
}

fn gateway(lines: &str) -> Result<Catalog, Refused> {
    read(&one(&format!("service: gateway\n{lines}")))
}

/// Every problem has to hold one of the texts, in order.
fn refused(text: &str, problems: &[&str]) {
    let refused = read(text).expect_err("this was read");
    let told = &refused.problems;
    assert_eq!(told.len(), problems.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(problems) {
        assert!(told.contains(expected), "{told:?} does not hold {expected:?}");
    }
}

fn percent(text: &str) -> Share {
    Share::from_percent(text).unwrap()
}

#[test]
fn the_shipped_file_has_the_objectives_of_the_design() {
    let catalog = read(SHIPPED).unwrap();
    let target = |name: &str| catalog.get(name).unwrap().target.percent();
    let latency = |name: &str| match &catalog.get(name).unwrap().sli {
        Sli::Latency { requests, threshold, le } => (requests.clone(), threshold.as_millis(), *le),
        other => panic!("{other:?}"),
    };
    for (name, percent) in [
        ("ingress-availability", "99.9"),
        ("ingress-reachable", "99.9"),
        ("gateway-availability", "99.9"),
        ("gateway-latency", "99"),
        ("contauth-availability", "99.9"),
        ("contauth-latency", "95"),
        ("verifier-pool-availability", "99.95"),
        ("ml-service-availability", "99.9"),
        ("ml-service-ingest-latency", "95"),
    ] {
        assert_eq!(target(name), percent, "{name}");
    }
    let (requests, threshold, le) = latency("gateway-latency");
    assert_eq!((threshold, le, &*requests.except), (250, true, &["submissions".to_owned()][..]));
    let (_, threshold, le) = latency("contauth-latency");
    assert_eq!((threshold, le), (350, true));
    let (requests, threshold, le) = latency("ml-service-ingest-latency");
    assert_eq!((threshold, le, &*requests.only), (2000, false, &["ingests".to_owned()][..]));
    assert_eq!(catalog.warnings(), Vec::<String>::new());
    assert!(catalog.slos.iter().all(|slo| slo.window == Window::Rolling { days: 30 }));
    assert_eq!(catalog.gate, super::read::gate_defaults());
}

#[test]
fn routes_are_in_the_first_group_that_has_them() {
    let catalog = read(SHIPPED).unwrap();
    for (service, method, route, group) in [
        ("gateway", "POST", "/v1/verifications/{*rest}", "submissions"),
        ("verifier-pool", "POST", "/v1/verifications", "submissions"),
        ("gateway", "GET", "/v1/verifications/{*rest}", "verifications"),
        ("verifier-pool", "GET", "/v1/verifications/{id}/report", "verifications"),
        ("gateway", "POST", "/v1/sessions/{*rest}", "sessions"),
        ("contauth", "DELETE", "/v1/subjects/{subject}/profile", "sessions"),
        ("ml-service", "POST", "/v1/features/{view}", "ingests"),
        ("ml-service", "GET", "/v1/features/{view}/latest", "features"),
        ("gateway", "GET", "/v1/traces/{*rest}", "traces"),
        ("gateway", "GET", "/openapi.json", "other"),
        ("gateway", "GET", "_unmatched", "other"),
        ("gateway", "PUT", "/{*rest}", "applications"),
        ("gateway", "GET", "shop.example/cart/{*rest}", "applications"),
        ("ingress", "GET", "/{*path}", "other"),
    ] {
        assert_eq!(
            catalog.route_group(service, method, route),
            group,
            "{service} {method} {route}"
        );
    }
}

#[test]
fn little_has_to_be_said() {
    let catalog = gateway("target: 99.95\navailability:").unwrap();
    let slo = &catalog.slos[0];
    assert_eq!(slo.window, Window::Rolling { days: 30 });
    assert_eq!((slo.minimum_events, slo.coverage_min), (2000, percent("90")));
    assert_eq!(slo.alerting.pairs, super::PAIRS);
    assert_eq!(slo.alerting.bad_events_min, 5);
    assert!(slo.gated && slo.views.tenants && slo.views.route_groups);
    assert_eq!(catalog.gate.on_unknown, OnUnknown::Unknown);
    let same = gateway("target: '99.950%'\navailability: {}\nwindow: 720h").unwrap();
    assert_eq!(catalog, same);
    let pairs = "alerting:\n  pairs:\n  - {severity: ticket, long: 1d, short: 2h, factor: 3}\n  \
                 - {severity: page, long: 1h, short: 5m, factor: 14.40}";
    let catalog = gateway(&format!("target: 99\navailability:\n{pairs}")).unwrap();
    assert_eq!(catalog.slos[0].alerting.pairs, [super::PAIRS[0], super::PAIRS[2]]);
    let none = gateway("target: 99\navailability:\nalerting: none\nviews: []").unwrap();
    assert!(none.slos[0].alerting.pairs.is_empty() && !none.slos[0].views.tenants);
}

#[test]
fn everything_wrong_is_told_at_once_with_its_place() {
    let text = "\
version: 2
runbok_base_url: x
tenants: {frist: 5}
route_groups:
  - {name: uploads, routes: [PSOT /v1/x]}
slos:
  - name: gateway-latency
    service: gatway
    target: 99.9.9
    latency: {treshold: 250ms, except: [upload]}
    gate: yes
  - name: Bad
    service: gateway
    target: 99
    availability: {}
    latency: {threshold: 250ms}
gate: {on_unknown: fail}
";
    refused(
        text,
        &[
            "version: \"2\" is not known; it is 1",
            "route_groups[0] uploads: routes[0]: method \"PSOT\" is not known; did you mean \"POST\"?",
            "tenants: \"frist\" is not known; did you mean \"first\"?",
            "tenants: has to be a list",
            "gate: on_unknown: \"fail\" is not known; there are unknown, freeze, allow",
            "slos[0] gateway-latency: latency: threshold is missing",
            "slos[0] gateway-latency: latency: except: route group \"upload\" is not known; did you mean \"uploads\"?",
            "slos[0] gateway-latency: latency: \"treshold\" is not known; did you mean \"threshold\"?",
            "slos[0] gateway-latency: target: \"99.9.9\" is not a percentage",
            "slos[0] gateway-latency: gate: \"yes\" is not true or false",
            "slos[1]: an objective is named with 1 to 63",
            "slos[1] Bad: has to have one of availability, latency, freshness, ratio, probe; it has availability and latency",
            "\"runbok_base_url\" is not known; did you mean \"runbook_base_url\"?",
        ],
    );
}

#[test]
fn services_that_are_not_known_are_named_with_the_nearest() {
    refused(&one("service: gatway\ntarget: 99\navailability:"), &["did you mean \"gateway\"?"]);
    let probe = "service: shop\ntarget: 99\nprobe: {target: 'https://shop.example/health'}";
    let catalog = read(&one(probe)).unwrap();
    assert_eq!(catalog.warnings(), ["a: service \"shop\" is none of ShieldX's own"]);
}

#[test]
fn alerts_that_can_never_fire_are_refused_with_the_arithmetic() {
    let place = "slos[0] a: page pair 1h/5m × 14.4: 14.4 × (1 − 0.9) = 1.44 ≥ 1";
    let refusal = gateway("target: 90\navailability:").unwrap_err();
    assert_eq!(refusal.problems.len(), 1, "{refusal}");
    assert!(refusal.problems[0].starts_with(place), "{refusal}");
    // The ways out are ways out, and what is a step nearer is not.
    let pair = |target: &str, factor: &str| {
        let pair = format!("{{severity: page, long: 1h, short: 5m, factor: {factor}}}");
        gateway(&format!("target: {target}\navailability:\nalerting: {{pairs: [{pair}]}}")).is_ok()
    };
    assert!(refusal.problems[0].contains("lower the factor to 9.9 or less"), "{refusal}");
    assert!(refusal.problems[0].contains("raise the target to 93.06% or more"), "{refusal}");
    assert!(pair("90", "9.9") && !pair("90", "10"));
    assert!(pair("93.06", "14.4") && !pair("93.05", "14.4"));
}

#[test]
fn impossible_objectives_are_refused() {
    let cases = [
        ("target: 0\navailability:", "target 0%: nothing has to be good"),
        ("target: 100\navailability:", "target 100%: 1 − 1 leaves no budget"),
        ("target: 101\navailability:", "\"101\" is not a percentage"),
        ("target: 99.99999999\navailability:", "at most seven decimals"),
        ("target: 99\nlatency: {threshold: 300ms}", "take 250ms or 350ms"),
        ("target: 99\nlatency: {threshold: 1m}", "take 10s"),
        ("target: 99\nlatency: {threshold: 0.25}", "a time with its unit"),
        ("target: 99\nwindow: 401d\navailability:", "401 d is longer than counts are kept (400 d)"),
        ("target: 99\nwindow: 36h\navailability:", "\"36h\" is not a number of days"),
        ("target: 99\nwindow: calendar fortnight\navailability:", "is not a number of days"),
        (
            "target: 99\nwindow: 2d\navailability:",
            "3d is longer than the objective's window (2d, 2 d)",
        ),
        ("target: 99\navailability: {only: [a]}", "route group \"a\" is not known"),
        ("target: 99\navailability: {only: [other], except: [other]}", "both"),
        ("target: 99\ncoverage_min: 100\navailability:", "coverage_min 100%"),
        ("target: 99\nminimum_events: -1\navailability:", "a whole number"),
        ("target: 99\nratio: {bad: 'a', good: 'b', total: 'c'}", "either good or bad"),
        ("target: 99\nratio: {bad: 'rate(a[5m])', total: 'c'}", "selects no series"),
        ("target: 99\nratio: {bad: a, total: b}\nviews: [tenants]", "views: has to be []"),
        ("target: 99\nprobe: {target: ftp://x}", "an http:// or https:// URL"),
        (
            "target: 99\nprobe: {target: ingress, interval: 5s, timeout: 5s}",
            "timeout 5s ≥ interval 5s",
        ),
        ("target: 99\nprobe: {target: ingress, interval: 3m}", "5m has to hold two probes"),
        ("target: 99\nprobe: {target: ingress}\nminimum_events: 300000", "30 d hold 259200 events"),
        (
            "target: 99\nprobe: {target: ingress}\nalerting: {bad_events_min: 361}",
            "1h holds 360 events",
        ),
        ("target: 99\nfreshness: {timestamp: a, max_age: 5s}", "looked at every 10s"),
        ("target: 99\navailability:\nalerting: off", "has to be none, or a mapping"),
        ("target: 99\navailability: []", "has to be a mapping"),
        ("target: [99]\navailability:", "has to be one value"),
        ("target: 99\ndescription: \"a\\nb\"\navailability:", "one line"),
    ];
    for (lines, expected) in cases {
        let refusal = gateway(lines).expect_err(lines);
        assert!(refusal.to_string().contains(expected), "{lines}\n{refusal}");
        assert!(refusal.problems.iter().all(|text| text.starts_with("slos[0]")), "{refusal}");
    }
}

#[test]
fn pairs_have_to_make_sense() {
    for (pair, expected) in [
        ("{severity: page, long: 5m, short: 1h, factor: 1}", "1h is not shorter than 5m"),
        ("{severity: page, long: 1h, short: 30s, factor: 1}", "30s is too short"),
        ("{severity: page, long: 1h, short: 5m, factor: 14.45}", "at most one decimal"),
        ("{severity: page, long: 1h, short: 5m, factor: 0}", "a factor from 0.1"),
        ("{severity: email, long: 1h, short: 5m, factor: 1}", "\"email\" is not known"),
        ("{long: 1h, short: 5m}", "severity is missing"),
    ] {
        let text = format!("target: 99\navailability:\nalerting: {{pairs: [{pair}]}}");
        let refusal = gateway(&text).expect_err(pair);
        assert!(refusal.to_string().contains(expected), "{pair}\n{refusal}");
    }
}

#[test]
fn gate_thresholds_have_an_order() {
    let with = |gate: &str| {
        read(&format!("{}gate: {gate}\n", one("service: gateway\ntarget: 99\navailability:")))
    };
    assert!(with("{freeze_below: 10, reopen_at: 10, slow_below: 10}").is_ok());
    assert!(with("{freeze_below: 20}").unwrap_err().to_string().contains("reopen_at 15%"));
    assert!(with("{slow_below: 12}").unwrap_err().to_string().contains("slow_below 12%"));
    let key = "{override_keys: [{name: a, public: AAAA}]}";
    assert!(with(key).unwrap_err().to_string().contains("32 bytes"), "{key}");
}

#[test]
fn names_are_there_once() {
    let slo = "{name: a, service: gateway, target: 99, availability: {}}";
    refused(&format!("version: 1\nslos: [{slo}, {slo}]"), &["two objectives are named a"]);
    refused("version: 1\nslos: []\nslos: []", &["slos is there twice"]);
    refused("version: 1", &["slos is missing"]);
    refused("", &["version is missing", "slos is missing"]);
    refused(
        "apiVersion: openslo/v1\nkind: SLO",
        &["reads OpenSLO", "version is", "slos is", "kind"],
    );
}

#[test]
fn a_revision_is_what_counts_mean() {
    let of = |lines: &str| gateway(lines).unwrap().slos[0].revision;
    let base = of("target: 99\nlatency: {threshold: 250ms}");
    for same in [
        "target: 99.0\nlatency: {threshold: 250ms}\ndescription: other words",
        "target: 99\nlatency: {threshold: 250ms, le: true}\nalerting: none\ngate: false",
    ] {
        assert_eq!(of(same), base, "{same}");
    }
    for other in [
        "target: 99.1\nlatency: {threshold: 250ms}",
        "target: 99\nlatency: {threshold: 350ms}",
        "target: 99\nlatency: {threshold: 250ms, le: false}",
        "target: 99\nlatency: {threshold: 250ms, only: [other]}",
        "target: 99\nlatency: {threshold: 250ms}\nwindow: 28d",
        "target: 99\navailability:",
    ] {
        assert_ne!(of(other), base, "{other}");
    }
    // Written down: an upgrade must not forget counts.
    assert_eq!(read(SHIPPED).unwrap().get("gateway-latency").unwrap().revision, 3_160_402_972);
}

#[test]
fn a_revision_follows_the_groups_it_is_about() {
    let of = |groups: &str| {
        let slo = "{name: a, service: gateway, target: 99, availability: {only: [b]}}";
        let text = format!("version: 1\nroute_groups: {groups}\nslos: [{slo}]");
        read(&text).unwrap().slos[0].revision
    };
    let base = of("[{name: b, routes: [/b]}]");
    assert_eq!(of("[{name: b, routes: [/b]}, {name: c, routes: [/c]}]"), base);
    assert_ne!(of("[{name: c, routes: [/b]}, {name: b, routes: [/b]}]"), base);
    assert_ne!(of("[{name: b, routes: [/b*]}]"), base);
}

#[test]
fn late_pages_are_warned_of_unless_something_else_pages() {
    let late = gateway("target: 95\nlatency: {threshold: 350ms}").unwrap().warnings();
    assert_eq!(late.len(), 1, "{late:?}");
    assert!(late[0].contains("a total outage takes 43 min to reach 14.4×"), "{late:?}");
    let few = gateway("target: 99.9\navailability:\nminimum_events: 10\nalerting: none").unwrap();
    let warnings = few.warnings();
    assert!(warnings[0].contains("below 1 / 0.001 = 1000 events"), "{warnings:?}");
    assert!(warnings[1].contains("nobody is told"), "{warnings:?}");
}

#[test]
fn windows_are_read_and_written() {
    for text in ["30d", "1d", "400d", "calendar week", "calendar month", "calendar year"] {
        assert_eq!(window_from(text).unwrap().to_string(), text);
    }
    assert_eq!(window_from("4w"), Some(Window::Rolling { days: 28 }));
    assert_eq!(window_from("25h"), None);
    assert_eq!(span_from("90m"), Some(Duration::from_secs(5400)));
}

/// Whatever is done to a file, it is read or refused.
#[test]
fn damaged_files_are_refused_and_nothing_worse() {
    let pieces =
        ["99.95", "- ", ": ", "{", "}", "[", "&a ", "*a", "\"", "'", "#", "\t", "\n", "~", "é"];
    let mut state: u64 = 7;
    let mut random = move |bound: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % bound
    };
    let lines: Vec<&str> =
        SHIPPED.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let mut read_anyway = 0;
    for _ in 0..1500 {
        let mut damaged: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        for _ in 0..=random(3) {
            let at = random(damaged.len());
            match random(3) {
                0 => drop(damaged.remove(at)),
                1 => damaged.swap(at, random(lines.len() - 3)),
                _ => {
                    let piece = pieces[random(pieces.len())];
                    let line = &mut damaged[at];
                    let mut middle = random(line.len() + 1);
                    while !line.is_char_boundary(middle) {
                        middle -= 1;
                    }
                    line.insert_str(middle, piece);
                }
            }
        }
        match read(&damaged.join("\n")) {
            Ok(catalog) => {
                read_anyway += 1;
                assert_eq!(read(&super::write(&catalog)), Ok(catalog));
            }
            Err(Refused { problems }) => {
                assert!(!problems.is_empty() && problems.len() <= 201);
            }
        }
        let _ = crate::openslo::import(&damaged.join("\n"));
    }
    assert!((50..1450).contains(&read_anyway), "{read_anyway}");
}
