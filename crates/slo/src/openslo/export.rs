//! A catalog as OpenSLO v1 documents.

use std::collections::{BTreeMap, BTreeSet};

use super::Carried;
use crate::spec::emit::Yaml;
use crate::spec::{
    Calendar, Catalog, DataLoss, Pair, Severity, Sli, Slo, Window, span_text, write as written,
};

const DATA_SOURCE: &str = "shieldx-prometheus";
/// The Monday that began a week, a month, a quarter and a year.
const CALENDAR_START: &str = "2024-01-01 00:00:00";

/// All documents, each objective's own after those that are shared.
#[must_use]
pub fn export(catalog: &Catalog) -> Carried {
    let mut documents = vec![data_source(catalog)];
    let services: BTreeSet<&str> = catalog.slos.iter().map(|slo| slo.service.as_str()).collect();
    documents.extend(
        services.into_iter().map(|name| object("Service", name, Vec::new(), Yaml::Map(Vec::new()))),
    );
    let policies = policies(catalog);
    let severities: BTreeSet<Severity> = policies.values().map(|(pair, _)| pair.severity).collect();
    documents.extend(severities.into_iter().map(|severity| {
        let target = vec![("target", Yaml::text(severity.as_str()))];
        object("AlertNotificationTarget", severity.as_str(), Vec::new(), Yaml::Map(target))
    }));
    for (name, (pair, no_data)) in &policies {
        documents.push(condition(name, *pair));
        documents.push(policy(name, *pair, *no_data));
    }
    let mut left_out = Vec::new();
    for slo in &catalog.slos {
        documents.push(indicator(slo));
        documents.push(objective(slo));
        left_out.extend(differs(slo));
    }
    let texts: Vec<String> = documents.iter().map(Yaml::document).collect();
    Carried { text: texts.join("---\n"), left_out }
}

fn object(kind: &str, name: &str, annotations: Vec<(&'static str, Yaml)>, spec: Yaml) -> Yaml {
    let mut metadata = vec![("name", Yaml::text(name))];
    if !annotations.is_empty() {
        metadata.push(("annotations", Yaml::Map(annotations)));
    }
    Yaml::Map(vec![
        ("apiVersion", Yaml::text("openslo/v1")),
        ("kind", Yaml::text(kind)),
        ("metadata", Yaml::Map(metadata)),
        ("spec", spec),
    ])
}

/// An annotation is a text, whatever it holds: numbers need quotes, too.
fn annotation(value: impl ToString) -> Yaml {
    Yaml::Text(value.to_string())
}

fn data_source(catalog: &Catalog) -> Yaml {
    let mut annotations = vec![
        (super::ROUTE_GROUPS, annotation(written::route_groups(&catalog.route_groups).inline())),
        (super::TENANTS, annotation(written::tenants(&catalog.tenants).inline())),
        (super::GATE_POLICY, annotation(written::gate(&catalog.gate).inline())),
    ];
    if let Some(url) = &catalog.runbook_base_url {
        annotations.push((super::RUNBOOK_BASE_URL, annotation(url)));
    }
    let spec = vec![
        ("description", Yaml::text("The Prometheus that scrapes ShieldX")),
        ("type", Yaml::text("Prometheus")),
        ("connectionDetails", Yaml::Map(Vec::new())),
    ];
    object("DataSource", DATA_SOURCE, annotations, Yaml::Map(spec))
}

/// Every pair there is, by the name of its documents.
fn policies(catalog: &Catalog) -> BTreeMap<String, (Pair, bool)> {
    let pairs = catalog.slos.iter().flat_map(|slo| {
        slo.alerting.pairs.iter().map(|pair| {
            let no_data = slo.data_loss == DataLoss::Alert;
            (policy_name(*pair, no_data), (*pair, no_data))
        })
    });
    pairs.collect()
}

/// `page-1h-5m-14-4`
fn policy_name(pair: Pair, no_data: bool) -> String {
    let (long, short) = (span_text(pair.long), span_text(pair.short));
    let (severity, factor) = (pair.severity.as_str(), pair.factor().replace('.', "-"));
    let suffix = if no_data { "-no-data" } else { "" };
    format!("{severity}-{long}-{short}-{factor}{suffix}")
}

fn condition(name: &str, pair: Pair) -> Yaml {
    let condition = vec![
        ("kind", Yaml::text("burnrate")),
        ("op", Yaml::text("gt")),
        ("threshold", Yaml::plain(pair.factor())),
        ("lookbackWindow", Yaml::plain(span_text(pair.long))),
        ("alertAfter", Yaml::plain("0m")),
    ];
    let spec =
        vec![("severity", Yaml::text(pair.severity.as_str())), ("condition", Yaml::Map(condition))];
    let annotations = vec![(super::SHORT_WINDOW, annotation(span_text(pair.short)))];
    object("AlertCondition", name, annotations, Yaml::Map(spec))
}

fn policy(name: &str, pair: Pair, no_data: bool) -> Yaml {
    let one = |key, value: &str| Yaml::List(vec![Yaml::Map(vec![(key, Yaml::text(value))])]);
    let spec = vec![
        ("alertWhenNoData", Yaml::plain(no_data)),
        ("alertWhenResolved", Yaml::plain(true)),
        ("alertWhenBreaching", Yaml::plain(true)),
        ("conditions", one("conditionRef", name)),
        ("notificationTargets", one("targetRef", pair.severity.as_str())),
    ];
    object("AlertPolicy", name, Vec::new(), Yaml::Map(spec))
}

/// All kinds of objectives are counted alike, so they are two counters.
fn indicator(slo: &Slo) -> Yaml {
    let metric = |outcome: &str| {
        let query = format!("sum(shieldx_slo_events_total{{slo=\"{}\",{outcome}}})", slo.name);
        let spec = Yaml::Map(vec![("query", Yaml::text(query))]);
        let source = vec![
            ("metricSourceRef", Yaml::text(DATA_SOURCE)),
            ("type", Yaml::text("Prometheus")),
            ("spec", spec),
        ];
        Yaml::Map(vec![("metricSource", Yaml::Map(source))])
    };
    let ratio = vec![
        ("counter", Yaml::plain(true)),
        ("good", metric("outcome=\"good\"")),
        ("total", metric("outcome=~\"good|bad\"")),
    ];
    let (kind, sli) = written::sli(&slo.sli);
    let made_of = Yaml::Map(vec![(kind, sli)]).inline();
    let annotations = vec![(super::INDICATOR, annotation(made_of))];
    let spec = Yaml::Map(vec![("ratioMetric", Yaml::Map(ratio))]);
    object("SLI", slo.name.as_str(), annotations, spec)
}

fn objective(slo: &Slo) -> Yaml {
    let mut annotations = vec![
        (super::MINIMUM_EVENTS, annotation(slo.minimum_events)),
        (super::DATA_LOSS, annotation(written::data_loss(slo.data_loss))),
        (super::COVERAGE_MIN, annotation(slo.coverage_min.percent())),
        (super::BAD_EVENTS_MIN, annotation(slo.alerting.bad_events_min)),
        (super::GATE, annotation(slo.gated)),
        (super::VIEWS, annotation(written::views(slo.views).inline())),
    ];
    if let Some(team) = &slo.team {
        annotations.insert(0, (super::TEAM, annotation(team)));
    }
    let no_data = slo.data_loss == DataLoss::Alert;
    let policies =
        slo.alerting.pairs.iter().map(|pair| {
            Yaml::Map(vec![("alertPolicyRef", Yaml::text(policy_name(*pair, no_data)))])
        });
    let mut spec = Vec::new();
    if !slo.description.is_empty() {
        spec.push(("description", Yaml::text(&slo.description)));
    }
    spec.extend([
        ("service", Yaml::text(&slo.service)),
        ("indicatorRef", Yaml::text(slo.name.as_str())),
        ("timeWindow", Yaml::List(vec![window(slo.window)])),
        ("budgetingMethod", Yaml::text("Occurrences")),
        (
            "objectives",
            Yaml::List(vec![Yaml::Map(vec![("targetPercent", Yaml::plain(slo.target.percent()))])]),
        ),
        ("alertPolicies", Yaml::List(policies.collect())),
    ]);
    object("SLO", slo.name.as_str(), annotations, Yaml::Map(spec))
}

fn window(window: Window) -> Yaml {
    let calendar = match window {
        Window::Rolling { days } => {
            let duration = Yaml::plain(format!("{days}d"));
            return Yaml::Map(vec![("duration", duration), ("isRolling", Yaml::plain(true))]);
        }
        Window::Calendar(calendar) => calendar,
    };
    let duration = match calendar {
        Calendar::Week => "1w",
        Calendar::Month => "1M",
        Calendar::Quarter => "1Q",
        Calendar::Year => "1Y",
    };
    let start = vec![("startTime", Yaml::text(CALENDAR_START)), ("timeZone", Yaml::text("UTC"))];
    Yaml::Map(vec![
        ("duration", Yaml::plain(duration)),
        ("calendar", Yaml::Map(start)),
        ("isRolling", Yaml::plain(false)),
    ])
}

/// What other readers of the documents will not see.
fn differs(slo: &Slo) -> Vec<String> {
    let mut said = Vec::new();
    let name = &slo.name;
    if !slo.alerting.pairs.is_empty() {
        said.push(format!(
            "{name}: OpenSLO's conditions have one window; the short ones and bad_events_min are in \
             annotations that only ShieldX reads"
        ));
    }
    for pair in slo.alerting.pairs.iter().filter(|pair| pair.long.as_secs() % 60 != 0) {
        let long = span_text(pair.long);
        said.push(format!("{name}: {long} has no unit in OpenSLO, which has none below a minute"));
    }
    if let Sli::Latency { threshold, le, .. } = &slo.sli {
        let sign = if *le { "≤" } else { "<" };
        said.push(format!(
            "{name}: the threshold ({sign} {}) is in an annotation; its events are counted as good and \
             bad by ShieldX",
            span_text(*threshold)
        ));
    }
    if slo.views.tenants || slo.views.route_groups {
        said.push(format!("{name}: views by tenant and route group are in an annotation"));
    }
    said
}
