//! What is generated of the objectives for other programs and for people, made once at the start.

use std::collections::BTreeMap;

use slo::generate::{self, Settings};
use slo::spec::Window;
use slo::{Catalog, Slo, openslo};

/// Files by what a page asks for.
#[derive(Debug, Default)]
pub(crate) struct Generated {
    /// Markdown, by the alert's id.
    runbooks: BTreeMap<String, String>,
    /// Prometheus' recording and alerting rules, by path.
    rules: Vec<(String, String)>,
    /// OpenSLO documents, by objective.
    specs: BTreeMap<String, String>,
}

impl Generated {
    pub(crate) fn new(catalog: &Catalog, settings: &Settings) -> Self {
        let mut generated = Self::default();
        for file in generate::generate(catalog, settings) {
            let name = file.path.rsplit_once('/').map_or(file.path.as_str(), |(_, name)| name);
            if let Some(alert) = name.strip_suffix(".md").filter(|_| file.path.contains("runbooks"))
            {
                generated.runbooks.insert(alert.to_owned(), file.text);
            } else if file.path.contains("rules") {
                generated.rules.push((file.path, file.text));
            }
        }
        for slo in &catalog.slos {
            let alone = Catalog { slos: vec![slo.clone()], ..catalog.clone() };
            generated.specs.insert(slo.name.to_string(), openslo::export(&alone).text);
        }
        generated
    }

    pub(crate) fn spec_of(&self, slo: &str) -> Option<&str> {
        self.specs.get(slo).map(String::as_str).filter(|text| !text.is_empty())
    }

    pub(crate) fn runbook(&self, alert: &str) -> Option<&str> {
        self.runbooks.get(alert).map(String::as_str)
    }

    pub(crate) fn runbooks(&self) -> impl Iterator<Item = &str> {
        self.runbooks.keys().map(String::as_str)
    }

    /// The runbooks of an objective's alerts.
    pub(crate) fn runbooks_of<'a>(&'a self, slo: &'a str) -> impl Iterator<Item = &'a str> {
        let kinds = ["page", "ticket", "no-data"];
        let ids = kinds.into_iter().map(move |kind| format!("{slo}-{kind}"));
        ids.filter_map(|id| self.runbooks.get_key_value(&id).map(|(id, _)| id.as_str()))
    }

    /// Prometheus' rules of an objective, as a file of their own.
    pub(crate) fn rules_of(&self, slo: &str) -> Option<String> {
        let names = ["ratios", "long-ratios", "meta", "alerts"];
        let names = names.map(|part| format!("  - name: shieldx-slo-{slo}-{part}"));
        let mut text = String::new();
        let mut ours = false;
        for line in self.rules.iter().flat_map(|(_, text)| text.lines()) {
            if line.starts_with("  - name: ") {
                ours = names.iter().any(|name| name == line);
            }
            if ours && !line.starts_with("groups:") && !line.starts_with('#') {
                text.push_str(line);
                text.push('\n');
            }
        }
        (!text.is_empty()).then(|| format!("groups:\n{text}"))
    }
}

/// The error ratio over an hour and over the window, for whoever has the counters only.
pub(crate) fn queries(slo: &Slo) -> String {
    let events = |outcome: &str| {
        format!("shieldx_slo_events_total{{slo=\"{}\",outcome{outcome}}}", slo.name)
    };
    let ratio = |window: &str| {
        let (bad, all) = (events("=\"bad\""), events("=~\"good|bad\""));
        format!("sum(rate({bad}[{window}]))\n/\n(sum(rate({all}[{window}])) > 0)")
    };
    let mut text = format!("# over an hour\n{}\n", ratio("1h"));
    if let Window::Rolling { days } = slo.window {
        text.push_str(&format!("\n# over the window\n{}\n", ratio(&format!("{days}d"))));
    }
    text
}
