//! Our own documents come back as the same catalog; others' as far as they go, which is said.

use super::{export, import};
use crate::decimal::Share;
use crate::spec::{
    Alerting, Calendar, Catalog, DataLoss, OnUnknown, OverrideKey, Pair, ProbeTarget, RatioEvents,
    Refused, Requests, RouteGroup, RouteMatch, SHIPPED, Severity, Sli, Slo, SloName, TenantBound,
    Views, Window, read, write,
};
use std::time::Duration;

fn back(catalog: &Catalog) -> Catalog {
    let documents = export(catalog).text;
    let carried = import(&documents).unwrap_or_else(|refused| panic!("{refused}\n{documents}"));
    assert_eq!(carried.left_out, Vec::<String>::new(), "{documents}");
    read(&carried.text).unwrap_or_else(|refused| panic!("{refused}\n{}", carried.text))
}

#[test]
fn the_shipped_catalog_comes_back() {
    let catalog = read(SHIPPED).unwrap();
    assert_eq!(read(&write(&catalog)).unwrap(), catalog);
    assert_eq!(back(&catalog), catalog);
}

/// What OpenSLO has words for counts, whatever the annotations say.
#[test]
fn an_edited_export_is_what_it_says_now() {
    let catalog = read(SHIPPED).unwrap();
    let documents = export(&catalog).text.replace("targetPercent: 99.95", "targetPercent: 99.5");
    let edited = read(&import(&documents).unwrap().text).unwrap();
    assert_eq!(edited.get("verifier-pool-availability").unwrap().target.percent(), "99.5");
    assert_eq!(edited.get("gateway-latency"), catalog.get("gateway-latency"));
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(self.0 >> 33).unwrap() % bound
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(u32::try_from(of.len()).unwrap()) as usize].clone()
    }

    fn some<T: Clone>(&mut self, of: &[T]) -> Vec<T> {
        of.iter().filter(|_| self.coin()).cloned().collect()
    }

    /// Texts that are hard on YAML.
    fn text(&mut self) -> String {
        let parts =
            ["a", "true", "#", ": ", "- ", "\"", "\\", "'", "{", "]", "é", "1.0", "*", "%", " x"];
        let count = self.below(6);
        let text: String = (0..count).map(|_| self.pick(&parts)).collect();
        format!("t{text}.")
    }

    fn catalog(&mut self) -> Catalog {
        let group = |random: &mut Self, name: &str| RouteGroup {
            name: name.to_owned(),
            routes: vec![RouteMatch {
                service: random.coin().then(|| "gateway".to_owned()),
                methods: random.some(&["GET".to_owned(), "POST".to_owned()]),
                route: random.pick(&["/v1/{*rest}", "/a*", "*", "_unmatched"]).to_owned(),
            }],
        };
        let names = ["uploads", "true", "other"].map(str::to_owned);
        let route_groups: Vec<RouteGroup> =
            self.some(&names).iter().map(|name| group(self, name)).collect();
        let known: Vec<String> = route_groups.iter().map(|group| group.name.clone()).collect();
        let slos = (0..=self.below(4)).map(|index| self.slo(index, &known)).collect();
        let tenants = if self.coin() {
            TenantBound::First(self.below(100) as usize)
        } else {
            TenantBound::Listed(self.some(&["t".to_owned(), "no".to_owned(), "a: b".to_owned()]))
        };
        let mut catalog = read(SHIPPED).unwrap();
        catalog.gate.on_unknown = self.pick(&[OnUnknown::Allow, OnUnknown::Freeze]);
        catalog.gate.slow_below = Share::from_percent(self.pick(&["15", "33.3333333"])).unwrap();
        catalog.gate.exempt = self.some(&["security".to_owned(), "null".to_owned()]);
        catalog.gate.revoked = self.some(&["1".to_owned(), "o-1".to_owned()]);
        if self.coin() {
            let public = [u8::try_from(self.below(256)).unwrap(); 32];
            catalog.gate.override_keys = vec![OverrideKey { name: self.text(), public }];
        }
        let runbook_base_url = self.coin().then(|| "https://books.example/x".to_owned());
        Catalog { slos, route_groups, tenants, runbook_base_url, gate: catalog.gate }
    }

    fn slo(&mut self, index: u32, groups: &[String]) -> Slo {
        let sli = self.sli(groups);
        let counted = matches!(sli, Sli::Availability { .. } | Sli::Latency { .. });
        let pairs = self.some(&[
            Pair {
                severity: Severity::Page,
                long: hours(1),
                short: hours(1) / 12,
                factor_tenths: 144,
            },
            Pair { severity: Severity::Page, long: hours(6), short: hours(1), factor_tenths: 1 },
            Pair {
                severity: Severity::Ticket,
                long: hours(72),
                short: hours(6),
                factor_tenths: 10,
            },
        ]);
        Slo {
            name: SloName::try_from(format!("slo-{index}")).unwrap(),
            service: self.pick(&["gateway", "contauth"]).to_owned(),
            description: if self.coin() { self.text() } else { String::new() },
            team: self.coin().then(|| self.text()),
            target: Share::from_percent(self.pick(&["99.95", "99", "94.9999999"])).unwrap(),
            window: self.pick(&[
                Window::Rolling { days: 28 },
                Window::Rolling { days: 400 },
                Window::Calendar(Calendar::Week),
                Window::Calendar(Calendar::Month),
                Window::Calendar(Calendar::Quarter),
                Window::Calendar(Calendar::Year),
            ]),
            sli,
            minimum_events: u64::from(self.below(1000)),
            data_loss: self.pick(&[DataLoss::Freeze, DataLoss::Alert, DataLoss::Ignore]),
            coverage_min: Share::from_percent(self.pick(&["0", "90", "99.9"])).unwrap(),
            alerting: Alerting { pairs, bad_events_min: u64::from(self.below(20)) },
            gated: self.coin(),
            views: Views { tenants: counted && self.coin(), route_groups: counted && self.coin() },
            revision: 0,
        }
    }

    fn sli(&mut self, groups: &[String]) -> Sli {
        let mut requests = Requests { only: self.some(groups), except: Vec::new() };
        if self.coin() {
            std::mem::swap(&mut requests.only, &mut requests.except);
        }
        let selector = |text: &str| text.parse().unwrap();
        let total = selector("a_total{b!=\"\",c=~\"[2-3]..\"}");
        match self.below(5) {
            0 => Sli::Availability { requests },
            1 => Sli::Latency {
                requests,
                threshold: Duration::from_millis(self.pick(&crate::spec::LATENCY_BOUNDS_MS)),
                le: self.coin(),
            },
            2 => Sli::Freshness { timestamp: selector("a{b=\"c\\\"\\n\"}"), max_age: hours(2) },
            3 => {
                let events = selector("a_total{b=\"c\",d=\"[e]\"}");
                let good = self.coin();
                let events =
                    if good { RatioEvents::Good(events) } else { RatioEvents::Bad(events) };
                Sli::Ratio { events, total }
            }
            _ => Sli::Probe {
                target: self.pick(&[
                    ProbeTarget::Ingress,
                    ProbeTarget::Url("https://shop.example:8443/health?q=1#x".to_owned()),
                ]),
                interval: Duration::from_secs(15),
                timeout: Duration::from_millis(1500),
            },
        }
    }
}

fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}

#[test]
fn any_catalog_comes_back() {
    let mut random = Random(1);
    for round in 0..100 {
        let made = random.catalog();
        // Reading gives the revision, which nobody writes down.
        let catalog = read(&write(&made)).unwrap_or_else(|refused| {
            panic!("round {round}: {refused}\n{}", write(&made));
        });
        let mut plain = catalog.clone();
        plain.slos.iter_mut().for_each(|slo| slo.revision = 0);
        assert_eq!(plain, made, "round {round}");
        assert_eq!(read(&write(&catalog)), Ok(catalog.clone()), "round {round}");
        assert_eq!(back(&catalog), catalog, "round {round}");
    }
}

const FOREIGN: &str = "\
apiVersion: openslo/v1
kind: DataSource
metadata: {name: metrics}
spec: {type: Prometheus, connectionDetails: {url: 'http://prometheus.example'}}
---
apiVersion: openslo/v1
kind: SLO
metadata:
  name: checkout
  displayName: Checkout works
  labels: {team: shop, tier: '1'}
spec:
  service: shop
  indicator:
    metadata: {name: checkout-errors}
    spec:
      ratioMetric:
        counter: true
        bad:
          metricSource:
            metricSourceRef: metrics
            spec: {query: 'sum(rate(checkout_requests_total{outcome=\"failed\"}[5m]))'}
        total:
          metricSource:
            metricSourceRef: metrics
            spec: {query: checkout_requests_total}
  timeWindow:
    - duration: 1M
      calendar: {startTime: '2024-05-15 00:00:00', timeZone: Europe/Rome}
  budgetingMethod: Occurrences
  objectives:
    - {target: 0.995}
    - {targetPercent: 99.0, displayName: relaxed}
  alertPolicies:
    - alertPolicyRef: fast
    - kind: AlertPolicy
      metadata: {name: odd}
      spec:
        alertWhenBreaching: true
        conditions:
          - kind: AlertCondition
            metadata: {name: odd}
            spec: {severity: sev1, condition: {kind: burnrate, op: gt, threshold: 2, lookbackWindow: 1h}}
---
apiVersion: openslo/v1
kind: AlertPolicy
metadata: {name: fast}
spec:
  alertWhenNoData: true
  alertWhenBreaching: true
  conditions: [{conditionRef: fast}]
  notificationTargets: [{targetRef: mail}]
---
apiVersion: openslo/v1
kind: AlertCondition
metadata: {name: fast}
spec:
  severity: page
  condition: {kind: burnrate, op: gte, threshold: 10, lookbackWindow: 2h, alertAfter: 5m}
";

#[test]
fn what_others_write_is_carried_as_far_as_it_goes() {
    let carried = import(FOREIGN).unwrap();
    let catalog = read(&carried.text).unwrap();
    assert_eq!(catalog.slos.len(), 2);
    let slo = catalog.get("checkout").unwrap();
    assert_eq!((slo.target.percent().as_str(), slo.service.as_str()), ("99.5", "shop"));
    assert_eq!(catalog.get("checkout-2").unwrap().target.percent(), "99");
    assert_eq!((slo.description.as_str(), slo.team.as_deref()), ("Checkout works", Some("shop")));
    assert_eq!(slo.window, Window::Calendar(Calendar::Month));
    assert_eq!(slo.data_loss, DataLoss::Alert);
    let Sli::Ratio { events: RatioEvents::Bad(bad), total } = &slo.sli else { panic!("{slo:?}") };
    assert_eq!(bad.to_string(), "checkout_requests_total{outcome=\"failed\"}");
    assert_eq!(total.to_string(), "checkout_requests_total");
    let pair = Pair {
        severity: Severity::Page,
        long: hours(2),
        short: Duration::from_secs(600),
        factor_tenths: 100,
    };
    assert_eq!(slo.alerting.pairs, [pair]);
    let expected = [
        "midnight UTC here, not Europe/Rome",
        "begins on the first at midnight, not \"2024-05-15 00:00:00\"",
        "checkout_requests_total is no metric of ShieldX: nothing is counted for it, nor in the generated",
        "checkout_requests_total is no metric of ShieldX",
        "fires above its threshold here",
        "alertAfter is not carried",
        "a short window of 10m is added",
        "notification target mail is not carried",
        "alertPolicies[1]: left out: severity sev1",
        "label tier is not carried",
        "2 targets become objectives of their own",
    ];
    assert_eq!(carried.left_out.len(), expected.len(), "{:#?}", carried.left_out);
    for (said, expected) in carried.left_out.iter().zip(expected) {
        assert!(said.contains(expected), "{said:?} does not hold {expected:?}");
    }
}

#[test]
fn what_cannot_be_carried_is_said_and_not_dropped() {
    let cases = [
        (
            "budgetingMethod: Occurrences",
            "budgetingMethod: Timeslices",
            "budgetingMethod Timeslices",
        ),
        ("budgetingMethod: Occurrences", "budgetingMethod: RatioTimeslices", "only Occurrences"),
        ("ratioMetric:", "thresholdMetric:", "a thresholdMetric is no count of events"),
        ("counter: true", "counter: false", "no counters"),
        ("        bad:\n", "        raw:\n", "computed already (raw)"),
        ("{target: 0.995}", "{target: 0.995, indicatorRef: x}", "it is composite"),
        ("type: Prometheus", "type: Datadog", "it is a query to Datadog"),
        ("metricSourceRef: metrics", "metricSourceRef: other", "no DataSource says it (other)"),
        (
            "query: checkout_requests_total",
            "query: 'sum by (a) (b)'",
            "total: \"sum by (a) (b)\" is no counter",
        ),
        ("duration: 1M", "duration: 2M", "timeWindow 2M: a calendar window is"),
        ("service: shop", "service: TheShop", "a service is named alike"),
        ("service: shop", "team: shop", "it names no service"),
        ("openslo/v1\nkind: SLO", "openslo/v1alpha\nkind: SLO", "only openslo/v1 is read"),
        ("kind: SLO", "kind: Dashboard", "kind Dashboard is none of OpenSLO v1"),
        ("target: 0.995", "target: 1.0", "leaves no budget"),
    ];
    for (from, to, expected) in cases {
        assert!(FOREIGN.contains(from), "{from}");
        let text = FOREIGN
            .replace(from, to)
            .replace("    - {targetPercent: 99.0, displayName: relaxed}\n", "");
        let Refused { problems } = import(&text).expect_err(to);
        assert!(problems.iter().any(|said| said.contains(expected)), "{to}: {problems:#?}");
        assert!(problems.last().unwrap().contains("there is no SLO"), "{problems:#?}");
    }
    for (from, to, expected) in [
        ("  alertPolicies:\n    - alertPolicyRef: fast\n", "  alertPolicies:\n", "severity sev1"),
        ("alertPolicyRef: fast", "alertPolicyRef: gone", "there is no AlertPolicy gone"),
        ("op: gte", "op: lte", "op lte"),
        ("threshold: 10", "threshold: 10.25", "threshold 10.25 has more than one decimal"),
        ("  service: shop\n", "  service: shop\n  priority: high\n", "priority is not carried"),
        ("{target: 0.995}", "{target: 0.995, op: lte, value: 5}", "op is not carried"),
    ] {
        let said = import(&FOREIGN.replace(from, to)).expect(to).left_out;
        assert!(said.iter().any(|said| said.contains(expected)), "{to}: {said:#?}");
    }
    for nothing in ["", "version: 1\nslos: []", "[", "a", "- a\n- b"] {
        assert!(import(nothing).is_err(), "{nothing}");
    }
}
