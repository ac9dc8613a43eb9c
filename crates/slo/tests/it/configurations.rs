//! What Prometheus, Alertmanager and the Collector are configured with: their own programs accept it.

use std::collections::BTreeMap;

use serde_json::Value;
use slo::Catalog;
use slo::generate::{File, Settings};

use crate::catalogs::{files, odd, shipped};
use crate::programs::{accepts, has, write};

fn both() -> [Catalog; 2] {
    [shipped(), odd()]
}

fn one<'a>(files: &'a [File], path: &str) -> &'a str {
    &files.iter().find(|file| file.path == path).unwrap_or_else(|| panic!("no {path}")).text
}

#[test]
fn promtool_accepts_the_configuration_of_prometheus() {
    if !has("promtool") {
        return;
    }
    for catalog in both() {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), &files(&catalog));
        accepts(folder.path(), "promtool", &["check", "config", "prometheus/prometheus.yml"]);
    }
}

#[test]
fn amtool_accepts_the_configuration_of_alertmanager_and_routes_by_it() {
    if !has("amtool") {
        return;
    }
    let path = "alertmanager/alertmanager.yml";
    for catalog in both() {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), &files(&catalog));
        accepts(folder.path(), "amtool", &["check-config", path]);
        let config = format!("--config.file={path}");
        for (labels, receiver) in [
            (["severity=page", "slo=x"], "page"),
            (["severity=ticket", "slo=x"], "ticket"),
            (["severity=none", "slo=x"], "ticket"),
        ] {
            let test = ["config", "routes", "test", &config];
            let arguments: Vec<_> = test.into_iter().chain(labels).collect();
            let said = accepts(folder.path(), "amtool", &arguments);
            assert_eq!(said.lines().next(), Some(receiver));
        }
    }
}

/// Two alerts that lack a label are equal in it: somebody else's page must not silence their tickets.
#[test]
fn only_alerts_of_objectives_inhibit_and_are_inhibited() {
    for catalog in both() {
        let files = files(&catalog);
        let config: Value =
            yaml_serde::from_str(one(&files, "alertmanager/alertmanager.yml")).expect("YAML");
        let rules = config["inhibit_rules"].as_array().expect("rules");
        assert!(!rules.is_empty());
        for rule in rules {
            assert_eq!(rule["equal"], serde_json::json!(["slo"]));
            for side in ["source_matchers", "target_matchers"] {
                let matchers = rule[side].as_array().expect("matchers");
                assert!(matchers.iter().any(|matcher| matcher == "slo!=\"\""), "{rule}");
            }
        }
    }
}

/// Every file that says it is YAML or JSON is, and every service is scraped.
#[test]
fn every_file_can_be_read() {
    for catalog in both() {
        let files = files(&catalog);
        for file in &files {
            let ending = file.path.rsplit_once('.').map(|(_, ending)| ending);
            match ending {
                Some("yaml" | "yml") => {
                    yaml_serde::from_str::<Value>(&file.text)
                        .unwrap_or_else(|error| panic!("{}: {error}", file.path));
                }
                Some("json") => {
                    serde_json::from_str::<Value>(&file.text)
                        .unwrap_or_else(|error| panic!("{}: {error}", file.path));
                }
                Some("md") => {}
                _ => panic!("{}: what is it?", file.path),
            }
        }
        let prometheus: Value =
            yaml_serde::from_str(one(&files, "prometheus/prometheus.yml")).expect("YAML");
        let jobs = prometheus["scrape_configs"].as_array().expect("jobs");
        let jobs: BTreeMap<_, _> = jobs
            .iter()
            .map(|job| (job["job_name"].as_str(), job["static_configs"][0]["targets"][0].as_str()))
            .collect();
        for (service, target) in Settings::default().targets {
            assert_eq!(jobs[&Some(service.as_str())], Some(target.as_str()));
        }
    }
}

/// The Collector's own program is not to be had everywhere; where there is one it judges.
#[test]
fn a_collector_accepts_its_configuration() {
    let files = files(&shipped());
    let config: Value =
        yaml_serde::from_str(one(&files, "otel-collector/config.yaml")).expect("YAML");
    let pipeline = &config["service"]["pipelines"]["traces"];
    for part in ["receivers", "processors", "exporters"] {
        for name in pipeline[part].as_array().expect("a list") {
            let name = name.as_str().expect("a name");
            assert!(!config[part][name].is_null(), "{part}: {name} is used and not configured");
        }
    }
    let first = pipeline["processors"][0].as_str();
    assert_eq!(first, Some("memory_limiter"), "what is too much is refused before it is taken");
    if !has("otelcol") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), &files);
    accepts(folder.path(), "otelcol", &["validate", "--config=otel-collector/config.yaml"]);
}

/// Alerts link to their runbooks, all of which are there.
#[test]
fn every_alert_has_a_runbook() {
    for catalog in both() {
        let files = files(&catalog);
        let mut linked = 0;
        for file in files.iter().filter(|file| file.path.starts_with("prometheus/rules/")) {
            for line in file.text.lines().filter(|line| line.contains("runbook_url: ")) {
                let id = line.trim_end_matches('"').rsplit_once('/').expect("a URL").1;
                let page = one(&files, &format!("runbooks/{id}.md"));
                for chapter in
                    ["## Confirm", "## First aid", "## Escalate", "## Silence", "## Close"]
                {
                    assert!(page.contains(chapter), "{id} has no {chapter}");
                }
                linked += 1;
            }
        }
        let pages = files.iter().filter(|file| file.path.starts_with("runbooks/")).count();
        assert!(linked == pages && linked > 0, "{linked} links to {pages} pages");
    }
}
