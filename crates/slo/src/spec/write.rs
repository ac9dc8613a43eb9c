//! A [`Catalog`] as the file that reads back as the same catalog, with everything said.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::emit::Yaml;
use super::{
    Alerting, Catalog, DataLoss, GatePolicy, OnUnknown, Pair, ProbeTarget, RatioEvents, Requests,
    RouteGroup, RouteMatch, Sli, Slo, TenantBound, Views, span,
};

/// `slo.yaml`. `read(&write(catalog))` is the same catalog.
#[must_use]
pub fn write(catalog: &Catalog) -> String {
    let mut entries = vec![
        ("version", Yaml::plain(1)),
        ("route_groups", route_groups(&catalog.route_groups)),
        ("tenants", tenants(&catalog.tenants)),
    ];
    if let Some(url) = &catalog.runbook_base_url {
        entries.push(("runbook_base_url", Yaml::text(url)));
    }
    entries.push(("slos", Yaml::List(catalog.slos.iter().map(slo).collect())));
    entries.push(("gate", gate(&catalog.gate)));
    Yaml::Map(entries).document()
}

pub(crate) fn route_groups(groups: &[RouteGroup]) -> Yaml {
    let group = |group: &RouteGroup| {
        let routes = Yaml::List(group.routes.iter().map(route).collect());
        Yaml::Map(vec![("name", Yaml::text(&group.name)), ("routes", routes)])
    };
    Yaml::List(groups.iter().map(group).collect())
}

fn route(route: &RouteMatch) -> Yaml {
    let Some(service) = &route.service else {
        let methods = route.methods.join(",");
        let space = if methods.is_empty() { "" } else { " " };
        return Yaml::text(format!("{methods}{space}{}", route.route));
    };
    let mut entries = vec![("service", Yaml::text(service))];
    if !route.methods.is_empty() {
        entries.push(("methods", Yaml::texts(&route.methods)));
    }
    entries.push(("route", Yaml::text(&route.route)));
    Yaml::Inline(entries)
}

pub(crate) fn tenants(bound: &TenantBound) -> Yaml {
    match bound {
        TenantBound::Listed(names) => Yaml::texts(names),
        TenantBound::First(first) => Yaml::Map(vec![("first", Yaml::plain(first))]),
    }
}

fn slo(slo: &Slo) -> Yaml {
    let mut entries =
        vec![("name", Yaml::text(slo.name.as_str())), ("service", Yaml::text(&slo.service))];
    if !slo.description.is_empty() {
        entries.push(("description", Yaml::text(&slo.description)));
    }
    if let Some(team) = &slo.team {
        entries.push(("team", Yaml::text(team)));
    }
    entries.push(("target", Yaml::plain(slo.target.percent())));
    entries.push(("window", Yaml::plain(slo.window)));
    entries.push(sli(&slo.sli));
    entries.push(("minimum_events", Yaml::plain(slo.minimum_events)));
    entries.push(("data_loss", Yaml::plain(data_loss(slo.data_loss))));
    entries.push(("coverage_min", Yaml::plain(slo.coverage_min.percent())));
    entries.push(("alerting", alerting(&slo.alerting)));
    entries.push(("gate", Yaml::plain(slo.gated)));
    entries.push(("views", views(slo.views)));
    Yaml::Map(entries)
}

pub(crate) fn data_loss(data_loss: DataLoss) -> &'static str {
    match data_loss {
        DataLoss::Freeze => "freeze",
        DataLoss::Alert => "alert",
        DataLoss::Ignore => "ignore",
    }
}

/// Under the name of its kind.
pub(crate) fn sli(sli: &Sli) -> (&'static str, Yaml) {
    let span = |span| Yaml::plain(span::text(span));
    match sli {
        Sli::Availability { requests } => ("availability", Yaml::Inline(requests_of(requests))),
        Sli::Latency { requests, threshold, le } => {
            let mut entries = vec![("threshold", span(*threshold)), ("le", Yaml::plain(le))];
            entries.extend(requests_of(requests));
            ("latency", Yaml::Map(entries))
        }
        Sli::Freshness { timestamp, max_age } => {
            let timestamp = Yaml::text(timestamp.to_string());
            ("freshness", Yaml::Map(vec![("timestamp", timestamp), ("max_age", span(*max_age))]))
        }
        Sli::Ratio { events, total } => {
            let (name, events) = match events {
                RatioEvents::Good(good) => ("good", good),
                RatioEvents::Bad(bad) => ("bad", bad),
            };
            let text = |selector: &super::Selector| Yaml::text(selector.to_string());
            ("ratio", Yaml::Map(vec![(name, text(events)), ("total", text(total))]))
        }
        Sli::Probe { target, interval, timeout } => {
            let target = match target {
                ProbeTarget::Ingress => "ingress",
                ProbeTarget::Url(url) => url,
            };
            let target = Yaml::text(target);
            let entries = vec![
                ("target", target),
                ("interval", span(*interval)),
                ("timeout", span(*timeout)),
            ];
            ("probe", Yaml::Map(entries))
        }
    }
}

fn requests_of(requests: &Requests) -> Vec<(&'static str, Yaml)> {
    let named = [("only", &requests.only), ("except", &requests.except)];
    let said = named.into_iter().filter(|(_, groups)| !groups.is_empty());
    said.map(|(name, groups)| (name, Yaml::texts(groups))).collect()
}

pub(crate) fn alerting(alerting: &Alerting) -> Yaml {
    let pair = |pair: &Pair| {
        Yaml::Inline(vec![
            ("severity", Yaml::plain(pair.severity.as_str())),
            ("long", Yaml::plain(span::text(pair.long))),
            ("short", Yaml::plain(span::text(pair.short))),
            ("factor", Yaml::plain(pair.factor())),
        ])
    };
    Yaml::Map(vec![
        ("bad_events_min", Yaml::plain(alerting.bad_events_min)),
        ("pairs", Yaml::List(alerting.pairs.iter().map(pair).collect())),
    ])
}

pub(crate) fn views(views: Views) -> Yaml {
    let named = [("tenants", views.tenants), ("route_groups", views.route_groups)];
    let shown = named.into_iter().filter(|(_, shown)| *shown);
    Yaml::Short(shown.map(|(name, _)| Yaml::plain(name)).collect())
}

pub(crate) fn gate(policy: &GatePolicy) -> Yaml {
    let on = |setting| {
        Yaml::plain(match setting {
            OnUnknown::Unknown => "unknown",
            OnUnknown::Freeze => "freeze",
            OnUnknown::Allow => "allow",
        })
    };
    let keys = policy.override_keys.iter().map(|key| {
        let public = Yaml::text(STANDARD.encode(key.public));
        Yaml::Map(vec![("name", Yaml::text(&key.name)), ("public", public)])
    });
    Yaml::Map(vec![
        ("freeze_below", Yaml::plain(policy.freeze_below.percent())),
        ("reopen_at", Yaml::plain(policy.reopen_at.percent())),
        ("slow_below", Yaml::plain(policy.slow_below.percent())),
        ("freeze_on_page", Yaml::plain(policy.freeze_on_page)),
        ("on_unknown", on(policy.on_unknown)),
        ("on_few_events", on(policy.on_few_events)),
        ("exempt", Yaml::texts(&policy.exempt)),
        ("override_keys", Yaml::List(keys.collect())),
        ("revoked", Yaml::texts(&policy.revoked)),
    ])
}
