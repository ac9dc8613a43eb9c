//! The list of all metrics, as docs/generated/metrics.md holds it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::Metrics;
use super::exposition::{Family, Kind};

/// What one metric is, wherever it is.
#[derive(Debug)]
struct Entry {
    kind: Kind,
    help: String,
    labels: BTreeSet<String>,
    services: BTreeSet<&'static str>,
}

/// A Markdown document that lists every metric of these services: name, type, unit, labels, meaning,
/// and who has it. A family of which there is no series yet is listed where its labels are known.
#[must_use]
pub fn describe(services: &[Metrics]) -> String {
    let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
    for metrics in services {
        for family in metrics.look() {
            let name = format!("{}{}", family.name, family.kind.ending());
            let labels = labels(&family);
            let entry = entries.entry(name).or_insert_with(|| Entry {
                kind: family.kind,
                help: family.help,
                labels: BTreeSet::new(),
                services: BTreeSet::new(),
            });
            entry.labels.extend(labels);
            entry.services.insert(metrics.service());
        }
    }
    let mut text = String::from(
        "# Metrics\n\n<!-- Generated from the registries of a running server by a test. Do not edit. -->\n\n\
         Every service gives its own at `/metrics` of its internal listener: OpenMetrics 1.0, Prometheus' text \
         or, with native histograms, protobuf, as `Accept` says. Histograms have the series `_bucket`, `_sum` \
         and `_count`. A label set has a bound: what is beyond it is counted in the series whose labels are \
         `__other__`, and in `shieldx_metrics_folded_total`.\n\n\
         | name | type | unit | labels | meaning | services |\n|---|---|---|---|---|---|\n",
    );
    for (name, entry) in &entries {
        let (kind, unit, help) = (entry.kind.as_str(), unit(name), escaped(&entry.help));
        let (labels, services) = (listed(&entry.labels), entry.services.iter().copied());
        let services = services.collect::<Vec<_>>().join(", ");
        // Writing into a string does not fail.
        let _ = writeln!(text, "| `{name}` | {kind} | {unit} | {labels} | {help} | {services} |");
    }
    text
}

fn labels(family: &Family) -> BTreeSet<String> {
    let seen = family.series.iter().flat_map(|series| series.labels.iter().map(|(name, _)| name));
    let known = family.labels.iter().map(|name| (*name).to_owned());
    known.chain(seen.cloned()).collect()
}

/// Names say their unit; what says none counts things.
fn unit(name: &str) -> &'static str {
    let name = name.strip_suffix("_total").unwrap_or(name);
    let units = [("_seconds", "s"), ("_bytes", "B"), ("_ratio", "1"), ("_info", "–")];
    units.iter().find(|(ending, _)| name.ends_with(ending)).map_or("–", |(_, unit)| unit)
}

fn listed(labels: &BTreeSet<String>) -> String {
    labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ")
}

/// A bar would end the cell.
fn escaped(help: &str) -> String {
    help.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::{Metrics, describe};
    use crate::metrics::{Described, Family};

    #[test]
    fn every_metric_is_listed_once_with_its_labels_and_services() {
        let (one, two) = (Metrics::new("one"), Metrics::new("two"));
        for metrics in [&one, &two] {
            let what = Described {
                name: "x_sent_bytes",
                help: "Bytes | sent.",
                labels: ["to"],
                series_max: 4,
            };
            let _family: Family<1, Counter> = metrics.family(what);
        }
        two.register("y", "Why.", Counter::<u64>::default());
        let text = describe(&[two, one]);
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("| `")).collect();
        assert_eq!(
            lines,
            [
                "| `shieldx_metrics_folded_total` | counter | – | `metric` | Events counted in a metric's \
                 overflow series, since it has as many as it may. | one, two |",
                "| `x_sent_bytes_total` | counter | B | `to` | Bytes \\| sent. | one, two |",
                "| `y_total` | counter | – |  | Why. | two |",
            ]
        );
    }
}
