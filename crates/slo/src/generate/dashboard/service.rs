//! A service's dashboard: its objectives in numbers, the golden signals, then how each budget burns.

use std::time::Duration;

use serde_json::Value;

use super::panel::{Kind, Panel, Query, Step};
use super::{document, signals, variable};
use crate::generate::{Settings, burn, names, promql};
use crate::spec::{Catalog, Slo, Window};

pub(super) fn dashboard(catalog: &Catalog, settings: &Settings, service: &str) -> Value {
    let slos: Vec<&Slo> = catalog.slos.iter().filter(|slo| slo.service == service).collect();
    let mut rows: Vec<Vec<Panel>> = slos.iter().map(|slo| top(slo, settings)).collect();
    rows.push(signals::of(catalog, service).into_iter().map(|signal| signal.panel).collect());
    for slo in &slos {
        rows.push(vec![burn_chart(slo, settings), burn_down(slo, settings)]);
        let views = views(slo);
        if !views.is_empty() {
            rows.push(views);
        }
    }
    let of_job =
        |metric: &str, label: &str| format!("label_values({metric}{{job=\"{service}\"}}, {label})");
    let mut variables = vec![variable(
        "instance",
        "Instance",
        "Replicas of the service; objectives are over all of them",
        &of_job("up", "instance"),
    )];
    if signals::counts(catalog, service, |views| views.route_groups) {
        variables.push(variable(
            "route_group",
            "Route group",
            "Routes that objectives look at together",
            &of_job(names::ROUTE_GROUP_EVENTS, "route_group"),
        ));
    }
    if signals::counts(catalog, service, |views| views.tenants) {
        variables.push(variable(
            "tenant",
            "Tenant",
            "Whose events",
            &of_job(names::EVENTS, "tenant"),
        ));
    }
    let about = format!(
        "Objectives and golden signals of {service}. Written by `shieldx slo generate`; change slo.yaml instead."
    );
    let uid = format!("shieldx-{service}");
    // Grafana takes up to 40 characters.
    let uid: String = uid.chars().take(40).collect();
    document(&uid, &format!("ShieldX / {service}"), &about, variables, rows, settings)
}

fn link(panel: Panel, slo: &Slo, settings: &Settings) -> Panel {
    panel.link("In the console", format!("{}/slo/{}", settings.console(), slo.name))
}

/// What an objective is at, at a glance.
fn top(slo: &Slo, settings: &Settings) -> Vec<Panel> {
    let name = &slo.name;
    let window = names::period_text(slo.window);
    let target = slo.target.as_f64();
    let left = promql::recorded(slo, "slo:period_error_budget_remaining:ratio");
    let budget = promql::recorded(slo, "slo:error_budget:ratio");
    let days = promql::recorded(slo, "slo:time_period:days");
    let stat = |title: &str, about: &str, unit, expr: String, steps: &[Step]| {
        let title = format!("{name}: {title}");
        let about = format!("{} {about}", slo.description);
        let panel =
            Panel::new(Kind::Stat, &title, &about, unit).query(Query::new(expr, title.as_str()));
        link(panel.steps(steps), slo, settings)
    };
    let left_steps: [Step; 4] =
        [(None, "red"), (Some(0.1), "orange"), (Some(0.25), "yellow"), (Some(0.5), "green")];
    vec![
        stat(
            &format!("SLI, target {} %", slo.target.percent()),
            &format!("Share of good events over {window}."),
            "percentunit",
            format!("1 - {}", promql::recorded_period(slo)),
            &[(None, "red"), (Some(target), "green")],
        )
        .decimals(3),
        stat(
            "budget left",
            &format!(
                "Of the {} % that may be bad over {window}; below nought it is overspent.",
                slo.budget().percent()
            ),
            "percentunit",
            left.clone(),
            &left_steps,
        )
        .decimals(1),
        stat(
            "minutes left",
            "Of total outage at constant traffic, over the whole window.",
            "m",
            format!("{left}\n* on (sloth_id) {days}\n* on (sloth_id) {budget}\n* 1440"),
            &[(None, "red"), (Some(0.0), "green")],
        )
        .decimals(1),
        stat(
            "burn in the last hour",
            "How many times too fast: 1 uses the budget up exactly within the window.",
            "none",
            format!(
                "{}\n/ on (sloth_id) group_left ()\n{budget}",
                promql::recorded(slo, &names::ratio_rate(Duration::from_secs(3600)))
            ),
            &burn_steps(slo),
        )
        .decimals(2),
    ]
}

/// A colour per factor of the objective's pairs.
fn burn_steps(slo: &Slo) -> Vec<Step> {
    let mut factors: Vec<u32> = slo.alerting.pairs.iter().map(|pair| pair.factor_tenths).collect();
    factors.sort_unstable();
    factors.dedup();
    let colors = ["yellow", "orange", "red", "dark-red", "purple"];
    let mut steps = vec![(None, "green")];
    for (factor, color) in factors.into_iter().zip(colors) {
        steps.push((Some(f64::from(factor) / 10.0), color));
    }
    steps
}

fn burn_chart(slo: &Slo, settings: &Settings) -> Panel {
    let pairs: Vec<_> = slo
        .alerting
        .pairs
        .iter()
        .map(|pair| {
            format!(
                "{} at {} over {} and {}",
                pair.severity.as_str(),
                burn::factor(pair.factor_tenths),
                names::duration(pair.long),
                names::duration(pair.short)
            )
        })
        .collect();
    let fires = match pairs.as_slice() {
        [] => "No alert.".to_owned(),
        pairs => {
            format!("An alert fires when both windows of a pair are above: {}.", pairs.join(", "))
        }
    };
    let about = format!("How many times too fast the budget burns, by window. {fires}");
    let panel = Panel::new(Kind::TimeSeries, &format!("{}: burn", slo.name), &about, "none")
        .query(Query::new(promql::burn_rates(slo), "{{sloth_window}}"))
        .steps(&burn_steps(slo))
        .lines()
        .between(Some(0.0), None)
        .logarithmic();
    link(panel, slo, settings)
}

fn burn_down(slo: &Slo, settings: &Settings) -> Panel {
    let window = names::period_text(slo.window);
    let refund = match slo.window {
        Window::Rolling { .. } => "It comes back as old failures leave the window.",
        Window::Calendar(_) => "It is whole again when the next window begins.",
    };
    let about = format!("Error budget that is left of {window}. {refund}");
    let left = promql::recorded(slo, "slo:period_error_budget_remaining:ratio");
    let panel =
        Panel::new(Kind::TimeSeries, &format!("{}: budget left", slo.name), &about, "percentunit")
            .query(Query::new(left, "left"))
            .steps(&[(None, "red"), (Some(0.0), "orange"), (Some(0.25), "green")])
            .lines()
            .between(None, Some(1.0));
    link(panel, slo, settings)
}

/// By whom and where the budget is used.
fn views(slo: &Slo) -> Vec<Panel> {
    let name = &slo.name;
    let mut panels = Vec::new();
    let rate = |metric: &str, matchers: &str| {
        format!(
            "rate({metric}{{job=\"{}\",instance=~\"$instance\",slo=\"{name}\"{matchers}}}[$__rate_interval])",
            slo.service
        )
    };
    if slo.views.tenants {
        let bad = rate(names::EVENTS, ",outcome=\"bad\",tenant=~\"$tenant\"");
        let about =
            "Bad events in a second, of the ten tenants with most. Dots are events with a trace.";
        panels.push(
            Panel::new(Kind::TimeSeries, &format!("{name}: bad by tenant"), about, "ops").query(
                Query::new(format!("topk(10, sum by (tenant) ({bad}))"), "{{tenant}}")
                    .with_exemplars(),
            ),
        );
    }
    if slo.views.route_groups {
        let of = |outcome: &str| {
            rate(
                names::ROUTE_GROUP_EVENTS,
                &format!(",outcome{outcome},route_group=~\"$route_group\""),
            )
        };
        let expr = format!(
            "sum by (route_group) ({})\n/\n(sum by (route_group) ({}) > 0)",
            of("=\"bad\""),
            of("=~\"good|bad\"")
        );
        let about =
            "Share of events that are bad, by the group of the route; none where nothing happened.";
        panels.push(
            Panel::new(
                Kind::TimeSeries,
                &format!("{name}: bad by route group"),
                about,
                "percentunit",
            )
            .query(Query::new(expr, "{{route_group}}")),
        );
    }
    panels
}
