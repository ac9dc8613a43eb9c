//! What dashboards ask Prometheus, for whoever wants to ask it without Grafana.

use serde_json::Value;

use crate::generate::File;

/// One query of one panel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PanelQuery {
    /// The dashboard's title.
    pub dashboard: String,
    pub panel: String,
    /// Variables are filled in as Grafana does where everything is chosen; rates are over a minute.
    pub expr: String,
}

/// Every query of every panel of generated dashboards.
#[must_use]
pub fn panel_queries(files: &[File]) -> Vec<PanelQuery> {
    files
        .iter()
        .filter(|file| file.path.starts_with("grafana/dashboards/"))
        .filter_map(|file| serde_json::from_str::<Value>(&file.text).ok())
        .flat_map(|dashboard| of(&dashboard))
        .collect()
}

fn of(dashboard: &Value) -> Vec<PanelQuery> {
    let title = text(&dashboard["title"]);
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut queries = Vec::new();
    for panel in list(&dashboard["panels"]) {
        for target in list(&panel["targets"]) {
            let (panel, expr) = (text(&panel["title"]), filled(&text(&target["expr"])));
            queries.push(PanelQuery { dashboard: title.clone(), panel, expr });
        }
    }
    queries
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// As if *All* was chosen everywhere.
fn filled(expr: &str) -> String {
    let expr = expr.replace("$__rate_interval", "1m").replace("$__range", "1h");
    ["$route_group", "$instance", "$service", "$tenant"]
        .iter()
        .fold(expr, |expr, variable| expr.replace(variable, ".*"))
}
