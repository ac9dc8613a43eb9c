//! All objectives on one page, the worst budget first.

use serde_json::Value;

use super::panel::{Kind, Panel, Query, Step};
use super::{document, variable};
use crate::generate::{Settings, names};
use crate::spec::Catalog;

const LEFT: [Step; 4] =
    [(None, "red"), (Some(0.1), "orange"), (Some(0.25), "yellow"), (Some(0.5), "green")];

fn recorded(name: &str) -> String {
    format!("{name}{{sloth_service=~\"$service\"}}")
}

/// Counters of the chosen services' jobs.
fn rate(metric: &str, matchers: &str) -> String {
    format!("rate({metric}{{job=~\"$service\",instance=~\".+\"{matchers}}}[$__rate_interval])")
}

pub(super) fn dashboard(catalog: &Catalog, settings: &Settings) -> Value {
    let services = names::services(catalog);
    let jobs = services.join("|");
    let of_jobs =
        |metric: &str, label: &str| format!("label_values({metric}{{job=~\"{jobs}\"}}, {label})");
    let variables = vec![
        variable(
            "service",
            "Service",
            "Whose objectives",
            "label_values(slo:objective:ratio, sloth_service)",
        ),
        variable(
            "route_group",
            "Route group",
            "Routes that objectives look at together",
            &of_jobs(names::ROUTE_GROUP_EVENTS, "route_group"),
        ),
        variable("tenant", "Tenant", "Whose events", &of_jobs(names::EVENTS, "tenant")),
    ];
    let rows = vec![numbers(), budgets(settings), burning(settings), whose(), traffic()];
    document(
        "shieldx-overview",
        "ShieldX / Overview",
        "All objectives, the worst budget first. Written by `shieldx slo generate`; change slo.yaml instead.",
        variables,
        rows,
        settings,
    )
}

fn numbers() -> Vec<Panel> {
    let stat = |title: &str, about: &str, unit, expr: &str, steps: &[Step]| {
        Panel::new(Kind::Stat, title, about, unit).query(Query::new(expr, title)).steps(steps)
    };
    let alerts = |severity: &str| {
        format!(
            "count(ALERTS{{alertstate=\"firing\",severity=\"{severity}\",slo=~\".+\",service=~\"$service\"}}) or vector(0)"
        )
    };
    let left = recorded("slo:period_error_budget_remaining:ratio");
    vec![
        stat(
            "Pages",
            "Alerts that fire now and wake somebody.",
            "short",
            &alerts("page"),
            &[(None, "green"), (Some(1.0), "red")],
        ),
        stat(
            "Tickets",
            "Alerts that fire now and can wait for the day.",
            "short",
            &alerts("ticket"),
            &[(None, "green"), (Some(1.0), "orange")],
        ),
        stat(
            "Worst budget",
            "The least that is left of any objective's error budget.",
            "percentunit",
            &format!("min({left})"),
            &LEFT,
        )
        .decimals(1),
        stat(
            "Overspent",
            "Objectives whose error budget is used up.",
            "short",
            &format!("count({left} < 0) or vector(0)"),
            &[(None, "green"), (Some(1.0), "red")],
        ),
    ]
}

fn budgets(settings: &Settings) -> Vec<Panel> {
    let console = settings.console().to_owned();
    let left = recorded("slo:period_error_budget_remaining:ratio");
    vec![
        Panel::new(
            Kind::BarGauge,
            "Budget left, worst first",
            "Error budget that is left of each objective's window; below nought it is overspent.",
            "percentunit",
        )
        .query(Query::new(format!("sort({left})"), "{{sloth_slo}}"))
        .steps(&LEFT)
        .between(Some(0.0), Some(1.0))
        .decimals(1)
        .link("In the console", format!("{console}/")),
        Panel::new(
            Kind::TimeSeries,
            "Budgets over time",
            "Error budgets going down, and coming back as old failures leave their windows.",
            "percentunit",
        )
        .query(Query::new(left, "{{sloth_slo}}"))
        .steps(&[(None, "red"), (Some(0.0), "green")])
        .lines()
        .between(None, Some(1.0)),
    ]
}

fn burning(settings: &Settings) -> Vec<Panel> {
    let budget = recorded("slo:error_budget:ratio");
    let burn = |window: &str| {
        let ratio = recorded(&format!("slo:sli_error:ratio_rate{window}"));
        format!("{ratio}\n/ on (sloth_id) group_left ()\n{budget}")
    };
    let steps: [Step; 5] = [
        (None, "green"),
        (Some(1.0), "yellow"),
        (Some(3.0), "orange"),
        (Some(6.0), "red"),
        (Some(14.4), "dark-red"),
    ];
    let chart = |title: &str, about: &str, window: &str| {
        Panel::new(Kind::TimeSeries, title, about, "none")
            .query(Query::new(burn(window), "{{sloth_slo}}"))
            .steps(&steps)
            .lines()
            .between(Some(0.0), None)
            .logarithmic()
            .link("In the console", format!("{}/", settings.console()))
    };
    vec![
        chart(
            "Burn over an hour",
            "How many times too fast budgets burn: pages come at 14.4 by default.",
            "1h",
        ),
        chart(
            "Burn over six hours",
            "How many times too fast budgets burn: pages come at 6 by default.",
            "6h",
        ),
    ]
}

fn whose() -> Vec<Panel> {
    let bad = rate(names::EVENTS, ",outcome=\"bad\",tenant=~\"$tenant\"");
    let group = |outcome: &str| {
        rate(names::ROUTE_GROUP_EVENTS, &format!(",outcome{outcome},route_group=~\"$route_group\""))
    };
    vec![
        Panel::new(
            Kind::TimeSeries,
            "Bad events by tenant",
            "In a second, of the ten tenants with most, over all objectives. Dots are events with a trace.",
            "ops",
        )
        .query(
            Query::new(format!("topk(10, sum by (tenant) ({bad}))"), "{{tenant}}").with_exemplars(),
        ),
        Panel::new(
            Kind::TimeSeries,
            "Bad events by route group",
            "Share of events that are bad, over all objectives; none where nothing happened.",
            "percentunit",
        )
        .query(Query::new(
            format!(
                "sum by (route_group) ({})\n/\n(sum by (route_group) ({}) > 0)",
                group("=\"bad\""),
                group("=~\"good|bad\"")
            ),
            "{{route_group}}",
        )),
    ]
}

fn traffic() -> Vec<Panel> {
    let count = rate("http_server_request_duration_seconds_count", "");
    let seconds = rate("http_server_request_duration_seconds_bucket", "");
    vec![
        Panel::new(Kind::TimeSeries, "Requests by service", "Answers in a second.", "reqps")
            .query(Query::new(format!("sum by (job) ({count})"), "{{job}}")),
        Panel::new(
            Kind::TimeSeries,
            "Latency by service",
            "99th percentile, interpolated within buckets. Dots are requests with a trace.",
            "s",
        )
        .query(
            Query::new(
                format!("histogram_quantile(0.99, sum by (le, job) ({seconds}))"),
                "{{job}}",
            )
            .with_exemplars(),
        ),
    ]
}
