//! Every file other programs need: Prometheus, promtool, Alertmanager, Grafana, the OpenTelemetry
//! Collector, and pages for people. The same catalog and settings give the same bytes.

mod alertmanager;
mod burn;
mod collector;
mod dashboard;
pub mod names;
mod promql;
mod rule_tests;
mod rules;
mod runbook;
mod scrape;
mod table;
mod yaml;

pub use dashboard::{PanelQuery, panel_queries};
pub use promql::error_ratio;
pub use table::golden_signals;

use crate::spec::Catalog;

/// Where things are, for the files that name addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `(service, host:port)` of every /metrics.
    pub targets: Vec<(String, String)>,
    /// Base URL of the console, for links to traces and runbooks: `http://127.0.0.1:8088`.
    pub console_url: String,
    /// `host:port` of Prometheus and Alertmanager in the generated configurations.
    pub prometheus: String,
    pub alertmanager: String,
    pub scrape_interval_s: u32,
}

impl Default for Settings {
    fn default() -> Self {
        let target = |name: &str, port: u16| (name.to_owned(), format!("127.0.0.1:{port}"));
        Self {
            targets: vec![
                target("ingress", 8081),
                target("gateway", 8083),
                target("contauth", 5002),
                target("verifier-pool", 8090),
                target("ml-service", 5000),
                target("console", 8088),
            ],
            console_url: "http://127.0.0.1:8088".to_owned(),
            prometheus: "127.0.0.1:9090".to_owned(),
            alertmanager: "127.0.0.1:9093".to_owned(),
            scrape_interval_s: 15,
        }
    }
}

/// A file, with its path below the folder they are all written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub path: String,
    pub text: String,
}

/// All files, by path.
#[must_use]
pub fn generate(catalog: &Catalog, settings: &Settings) -> Vec<File> {
    let mut files: Vec<File> = Vec::new();
    let mut add = |path: String, text: String| files.push(File { path, text });
    for service in names::services(catalog) {
        add(format!("prometheus/rules/{service}.yaml"), rules::file(catalog, settings, service));
        for (path, text) in rule_tests::files(catalog, settings, service) {
            add(path, text);
        }
    }
    add("prometheus/prometheus.yml".to_owned(), scrape::file(catalog, settings));
    add("alertmanager/alertmanager.yml".to_owned(), alertmanager::file(catalog));
    add("otel-collector/config.yaml".to_owned(), collector::FILE.to_owned());
    for slo in &catalog.slos {
        for kind in names::alerts(slo) {
            let page = runbook::page(catalog, settings, slo, kind);
            add(burn::runbook_path(slo, kind), page);
        }
    }
    files.extend(dashboard::files(catalog, settings));
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

impl Settings {
    /// The console's URL without a slash at its end.
    fn console(&self) -> &str {
        self.console_url.trim_end_matches('/')
    }
}
