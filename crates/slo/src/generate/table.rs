//! The golden signals as a table for people, with the PromQL of each.

use std::fmt::Write as _;
use std::time::Duration;

use super::dashboard::signals::of;
use super::{names, promql};
use crate::spec::Catalog;

/// Markdown: for each service its objectives and its golden signals. What Grafana fills in is filled
/// in with all replicas and five minutes, such that an expression can be pasted into Prometheus.
#[must_use]
pub fn golden_signals(catalog: &Catalog) -> String {
    let mut text = String::new();
    for service in names::services(catalog) {
        let _ = write!(
            text,
            "### {service}\n\n| objective | promise | error ratio of the last hour |\n|---|---|---|\n"
        );
        for slo in catalog.slos.iter().filter(|slo| slo.service == service) {
            let _ = writeln!(
                text,
                "| `{}` | {} % over {} | `{}` |",
                slo.name,
                slo.target.percent(),
                names::period_text(slo.window),
                cell(&promql::error_ratio(slo, Duration::from_secs(3600)))
            );
        }
        text.push_str("\n| signal | panel | PromQL |\n|---|---|---|\n");
        for signal in of(catalog, service) {
            let (title, exprs) = signal.told();
            for expr in exprs {
                let expr = expr
                    .replace(",instance=~\"$instance\"", "")
                    .replace(",route_group=~\"$route_group\"", "")
                    .replace("$__rate_interval", "5m");
                let _ =
                    writeln!(text, "| {} | {title} | `{}` |", signal.golden.as_str(), cell(&expr));
            }
        }
        text.push('\n');
    }
    text.trim_end().to_owned() + "\n"
}

/// One line; a bar would end the cell, in code, too.
fn cell(expr: &str) -> String {
    expr.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
