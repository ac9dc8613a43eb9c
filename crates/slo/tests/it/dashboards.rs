//! Dashboards, held against the rules of Grafana's dashboard-linter, written anew here; their queries
//! are PromQL.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use slo::generate::{File, panel_queries};

use crate::catalogs::{files, odd, shipped};
use crate::programs::{accepts, has};

/// Units of Grafana that are used here.
const UNITS: [&str; 9] = ["percentunit", "s", "m", "none", "short", "ops", "reqps", "Bps", "bytes"];

fn dashboards(files: &[File]) -> Vec<Value> {
    let dashboards: Vec<_> = files
        .iter()
        .filter(|file| file.path.starts_with("grafana/dashboards/"))
        .map(|file| serde_json::from_str(&file.text).expect("JSON"))
        .collect();
    assert!(dashboards.len() > 1);
    dashboards
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Everything that is wrong with a dashboard.
fn complaints(dashboard: &Value) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut check = |good: bool, what: String| {
        if !good {
            complaints.push(what);
        }
    };
    check(dashboard["editable"] == false, "it can be edited, and edits are lost".to_owned());
    check(
        text(&dashboard["uid"]).len() <= 40 && !text(&dashboard["uid"]).is_empty(),
        "uid".to_owned(),
    );
    let variables = list(&dashboard["templating"]["list"]);
    let sources: Vec<_> =
        variables.iter().filter(|variable| variable["type"] == "datasource").collect();
    check(
        matches!(sources.as_slice(), [one] if one["name"] == "datasource" && one["query"] == "prometheus"),
        "there is not one templated data source".to_owned(),
    );
    for variable in variables.iter().filter(|variable| variable["type"] == "query") {
        let name = text(&variable["name"]);
        check(variable["refresh"] == 2, format!("{name}: not renewed when the time changes"));
        check(variable["datasource"]["uid"] == "${datasource}", format!("{name}: data source"));
        check(
            variable["multi"] == true && variable["includeAll"] == true,
            format!("{name}: several cannot be chosen"),
        );
        check(
            text(&variable["query"]["query"]).starts_with("label_values("),
            format!("{name}: is not made of labels"),
        );
    }
    let queries: String = list(&dashboard["panels"])
        .iter()
        .flat_map(|panel| list(&panel["targets"]))
        .map(|target| text(&target["expr"]))
        .collect();
    for variable in variables.iter().filter(|variable| variable["type"] == "query") {
        let name = text(&variable["name"]);
        check(queries.contains(&format!("\"${name}\"")), format!("{name}: changes nothing"));
    }
    for panel in list(&dashboard["panels"]) {
        complaints.extend(complaints_of(panel));
    }
    complaints
}

fn complaints_of(panel: &Value) -> Vec<String> {
    let title = text(&panel["title"]);
    let mut complaints = Vec::new();
    let mut check = |good: bool, what: &str| {
        if !good {
            complaints.push(format!("{title:?}: {what}"));
        }
    };
    check(!title.is_empty(), "no title");
    check(text(&panel["description"]).ends_with('.'), "no description");
    check(panel["datasource"]["uid"] == "${datasource}", "not the templated data source");
    check(UNITS.contains(&text(&panel["fieldConfig"]["defaults"]["unit"])), "no known unit");
    check(!list(&panel["targets"]).is_empty(), "no query");
    for target in list(&panel["targets"]) {
        let expr = text(&target["expr"]);
        check(target["datasource"]["uid"] == "${datasource}", "not the templated data source");
        check(!text(&target["legendFormat"]).is_empty(), "a series without a name");
        for range in expr.split('[').skip(1) {
            check(range.starts_with("$__rate_interval]"), "a rate over a time of its own");
        }
        for selector in selectors(expr) {
            let recorded = selector.name.contains(':')
                || selector.name == "ALERTS"
                || selector.name.is_empty();
            check(recorded || selector.labels.contains("job="), "no job");
            check(recorded || selector.labels.contains("instance="), "no instance");
            let counter = ["_total", "_count", "_sum", "_bucket"]
                .iter()
                .any(|ending| selector.name.ends_with(ending));
            check(!counter || selector.rated, "a counter without a rate");
        }
    }
    complaints
}

struct Selector<'a> {
    name: &'a str,
    labels: &'a str,
    /// It stands in a function that takes a range.
    rated: bool,
}

/// The selectors of an expression; all of ours have braces.
fn selectors(expr: &str) -> Vec<Selector<'_>> {
    let mut selectors = Vec::new();
    for (open, _) in expr.match_indices('{') {
        let close = expr[open..].find('}').map_or(expr.len(), |at| open + at);
        let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
        let start = expr[..open].rfind(|c| !part(c)).map_or(0, |at| at + 1);
        let before = &expr[..start];
        let rated = ["rate(", "increase("].iter().any(|call| before.ends_with(call));
        selectors.push(Selector { name: &expr[start..open], labels: &expr[open..close], rated });
    }
    selectors
}

#[test]
fn dashboards_keep_to_the_rules() {
    for catalog in [shipped(), odd()] {
        let mut uids = BTreeSet::new();
        for dashboard in dashboards(&files(&catalog)) {
            let title = text(&dashboard["title"]).to_owned();
            assert_eq!(complaints(&dashboard), Vec::<String>::new(), "{title}");
            assert!(uids.insert(text(&dashboard["uid"]).to_owned()), "{title}: its uid is taken");
        }
    }
}

/// The rules see what they are for.
#[test]
fn the_rules_find_fault() {
    let good = dashboards(&files(&shipped())).pop().expect("one");
    let broken: [(&str, &str, Value); 10] = [
        ("/editable", "edited", json!(true)),
        ("/templating/list/0/name", "templated data source", json!("prometheus")),
        ("/templating/list/1/refresh", "not renewed", json!(1)),
        ("/templating/list/1/name", "changes nothing", json!("nobody")),
        ("/panels/0/title", "no title", json!("")),
        ("/panels/0/description", "no description", json!(null)),
        ("/panels/0/fieldConfig/defaults/unit", "no known unit", json!("")),
        ("/panels/0/targets/0/datasource/uid", "templated data source", json!("abc")),
        (
            "/panels/0/targets/0/expr",
            "a counter without a rate",
            json!("sum(x_total{job=\"a\",instance=~\"b\"})"),
        ),
        (
            "/panels/0/targets/0/expr",
            "a rate over a time",
            json!("rate(x_total{job=\"a\",instance=~\"b\"}[5m])"),
        ),
    ];
    for (place, complaint, value) in broken {
        let mut dashboard = good.clone();
        *dashboard.pointer_mut(place).unwrap_or_else(|| panic!("{place}")) = value;
        let found = complaints(&dashboard);
        assert!(found.iter().any(|text| text.contains(complaint)), "{place}: {found:?}");
    }
}

#[test]
fn panels_do_not_overlap() {
    for dashboard in dashboards(&files(&shipped())) {
        let mut cells = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for panel in list(&dashboard["panels"]) {
            let at = |key: &str| panel["gridPos"][key].as_u64().expect("a number");
            assert!(at("x") + at("w") <= 24, "{} is cut off", panel["title"]);
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(cells.insert((x, y)), "{} covers another", panel["title"]);
                }
            }
            assert!(ids.insert(panel["id"].as_u64()), "{} has another's id", panel["title"]);
        }
    }
}

/// promtool reads every query as the expression of a rule.
#[test]
fn every_query_is_promql() {
    if !has("promtool") {
        return;
    }
    for catalog in [shipped(), odd()] {
        let queries = panel_queries(&files(&catalog));
        let rules: Vec<_> = queries
            .iter()
            .enumerate()
            .map(|(index, query)| json!({"record": format!("query_{index}"), "expr": query.expr}))
            .collect();
        assert!(rules.len() > 20);
        let folder = tempfile::tempdir().expect("a folder");
        let groups = json!({"groups": [{"name": "queries", "rules": rules}]});
        std::fs::write(folder.path().join("rules.yaml"), groups.to_string()).expect("a file");
        accepts(folder.path(), "promtool", &["check", "rules", "rules.yaml"]);
    }
}

/// A dashboard has what is said of it: each objective's bar and charts, all four signals, exemplars,
/// and the way to the console; and the data source opens traces.
#[test]
fn a_service_has_its_objectives_and_signals() {
    let catalog = shipped();
    let files = files(&catalog);
    for slo in &catalog.slos {
        let path = format!("grafana/dashboards/{}.json", slo.service);
        let file = files.iter().find(|file| file.path == path).expect("its dashboard");
        let dashboard: Value = serde_json::from_str(&file.text).expect("JSON");
        let panels = list(&dashboard["panels"]);
        let titled = |title: String| {
            panels
                .iter()
                .find(|panel| text(&panel["title"]) == title)
                .unwrap_or_else(|| panic!("{path} has no panel {title:?}"))
        };
        for title in ["budget left", "burn", "minutes left", "burn in the last hour"] {
            let panel = titled(format!("{}: {title}", slo.name));
            let url = text(&panel["links"][0]["url"]);
            assert!(url.ends_with(&format!("/slo/{}", slo.name)), "{url}");
        }
        let burn = titled(format!("{}: burn", slo.name));
        let steps = list(&burn["fieldConfig"]["defaults"]["thresholds"]["steps"]);
        let factors: Vec<_> = steps.iter().filter_map(|step| step["value"].as_f64()).collect();
        assert_eq!(factors, [1.0, 3.0, 6.0, 14.4]);
        let latency = titled("Latency".to_owned());
        assert!(list(&latency["targets"]).iter().all(|target| target["exemplar"] == true));
        for title in ["Requests by status", "Failed requests", "In flight"] {
            titled(title.to_owned());
        }
    }
    let source = files
        .iter()
        .find(|file| file.path == "grafana/provisioning/datasources/shieldx.yaml")
        .expect("a data source");
    let source: Value = yaml_serde::from_str(&source.text).expect("YAML");
    let destination = &source["datasources"][0]["jsonData"]["exemplarTraceIdDestinations"][0];
    assert_eq!(destination["name"], "trace_id");
    assert_eq!(destination["url"], "http://127.0.0.1:8088/traces/$${__value.raw}");
}
