//! Grafana: an overview of all objectives, a dashboard per service, and what provisions them with
//! their data source, so that an exemplar's dot opens its trace.

mod overview;
mod panel;
mod queries;
mod service;
pub(super) mod signals;

use serde_json::{Value, json};

use self::panel::{Panel, placed};
pub use self::queries::{PanelQuery, panel_queries};
use super::{File, Settings, names, yaml};
use crate::spec::Catalog;

/// The provisioned data source's id; dashboards name the variable instead.
const DATASOURCE_UID: &str = "shieldx-prometheus";
/// What dashboards of ShieldX are found by.
const TAG: &str = "shieldx";

pub(super) fn files(catalog: &Catalog, settings: &Settings) -> Vec<File> {
    let file = |path: String, text: String| File { path, text };
    let mut files = vec![
        file(
            "grafana/dashboards/overview.json".to_owned(),
            text(&overview::dashboard(catalog, settings)),
        ),
        file("grafana/provisioning/datasources/shieldx.yaml".to_owned(), data_source(settings)),
        file("grafana/provisioning/dashboards/shieldx.yaml".to_owned(), PROVIDER.to_owned()),
    ];
    for service in names::services(catalog) {
        let dashboard = service::dashboard(catalog, settings, service);
        files.push(file(format!("grafana/dashboards/{service}.json"), text(&dashboard)));
    }
    files
}

const PROVIDER: &str = "\
# Where Grafana finds the dashboards. Written by `shieldx slo generate`.
#
# Mount `grafana/dashboards` of this folder at the path below, or change it.
apiVersion: 1
providers:
  - name: shieldx
    folder: ShieldX
    type: file
    allowUiUpdates: false
    options:
      path: /etc/grafana/shieldx/dashboards
";

fn data_source(settings: &Settings) -> String {
    format!(
        "# Prometheus as Grafana's data source. Written by `shieldx slo generate`.\n#\n\
         # An exemplar carries the label trace_id: its dot in a graph opens that trace in the console.\n\
         apiVersion: 1\ndatasources:\n  - name: ShieldX Prometheus\n    uid: {DATASOURCE_UID}\n    \
         type: prometheus\n    access: proxy\n    url: {}\n    jsonData:\n      httpMethod: POST\n      \
         timeInterval: {}s\n      exemplarTraceIdDestinations:\n        - name: trace_id\n          \
         url: {}\n          urlDisplayLabel: Open the trace\n",
        yaml::quoted(&format!("http://{}", settings.prometheus)),
        settings.scrape_interval_s.max(1),
        // Grafana fills in environment variables in provisioning: a dollar sign is written twice.
        yaml::quoted(&format!("{}/traces/$${{__value.raw}}", settings.console())),
    )
}

/// A variable whose values come from labels of series.
fn variable(name: &str, label: &str, description: &str, query: &str) -> Value {
    json!({
        "name": name, "label": label, "description": description, "type": "query",
        "datasource": panel::data_source(),
        "definition": query,
        "query": {"query": query, "refId": name, "qryType": 1},
        "refresh": 2, "sort": 1, "multi": true, "includeAll": true, "allValue": ".*",
        "current": {"selected": true, "text": ["All"], "value": ["$__all"]},
        "hide": 0, "options": [], "regex": "",
    })
}

fn data_source_variable() -> Value {
    json!({
        "name": "datasource", "label": "Data source", "description": "A Prometheus that scrapes ShieldX",
        "type": "datasource", "query": "prometheus", "refresh": 1, "regex": "",
        "current": {"selected": true, "text": "ShieldX Prometheus", "value": DATASOURCE_UID},
        "hide": 0, "includeAll": false, "multi": false, "options": [],
    })
}

/// A dashboard around its panels.
fn document(
    uid: &str,
    title: &str,
    about: &str,
    variables: Vec<Value>,
    rows: Vec<Vec<Panel>>,
    settings: &Settings,
) -> Value {
    let mut list = vec![data_source_variable()];
    list.extend(variables);
    json!({
        "uid": uid, "title": title, "description": about, "tags": [TAG, "slo"],
        "schemaVersion": 39, "version": 1, "editable": false, "graphTooltip": 1, "fiscalYearStartMonth": 0,
        "refresh": "30s", "time": {"from": "now-6h", "to": "now"}, "timezone": "browser",
        "timepicker": {}, "liveNow": false, "weekStart": "",
        "annotations": {"list": [alerts_annotation()]},
        "links": [
            {"type": "dashboards", "tags": [TAG], "title": "ShieldX", "asDropdown": true, "keepTime": true,
             "includeVars": false, "targetBlank": false, "icon": "external link", "tooltip": "", "url": ""},
            {"type": "link", "title": "Console", "url": format!("{}/", settings.console()), "targetBlank": true,
             "icon": "dashboard", "tooltip": "Budgets, traces and runbooks", "keepTime": false,
             "includeVars": false, "asDropdown": false, "tags": []},
        ],
        "templating": {"list": list},
        "panels": placed(rows),
    })
}

/// Marks when an alert began to fire.
fn alerts_annotation() -> Value {
    json!({
        "name": "Alerts", "enable": true, "hide": false, "iconColor": "red",
        "datasource": panel::data_source(), "step": "60s", "useValueForTime": false,
        "expr": "ALERTS{alertstate=\"firing\",severity=~\"page|ticket\",slo=~\".+\"}",
        "titleFormat": "{{alertname}}", "textFormat": "{{slo}}", "tagKeys": "severity",
    })
}

/// JSON with keys in the order of the alphabet, whichever map serde_json was built with.
fn text(document: &Value) -> String {
    let mut text = String::new();
    write(&mut text, document, 0);
    text.push('\n');
    text
}

fn write(text: &mut String, value: &Value, depth: usize) {
    let indent = |text: &mut String, depth: usize| {
        text.push('\n');
        text.extend(std::iter::repeat_n("  ", depth));
    };
    match value {
        Value::Object(map) if !map.is_empty() => {
            let mut keys: Vec<_> = map.iter().collect();
            keys.sort_by_key(|(key, _)| *key);
            text.push('{');
            for (index, (key, value)) in keys.into_iter().enumerate() {
                text.push_str(if index == 0 { "" } else { "," });
                indent(text, depth + 1);
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push_str(": ");
                write(text, value, depth + 1);
            }
            indent(text, depth);
            text.push('}');
        }
        Value::Array(list) if list.iter().any(|value| value.is_object() || value.is_array()) => {
            text.push('[');
            for (index, value) in list.iter().enumerate() {
                text.push_str(if index == 0 { "" } else { "," });
                indent(text, depth + 1);
                write(text, value, depth + 1);
            }
            indent(text, depth);
            text.push(']');
        }
        Value::Array(list) => {
            let list: Vec<_> = list.iter().map(Value::to_string).collect();
            text.push_str(&format!("[{}]", list.join(", ")));
        }
        other => text.push_str(&other.to_string()),
    }
}
