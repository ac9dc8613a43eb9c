//! Prometheus' own configuration: whom it scrapes, which rules it evaluates, whom it tells.

use std::fmt::Write as _;

use super::rules::Intervals;
use super::{Settings, names, yaml};
use crate::spec::{Catalog, Window};

/// Exemplars that are kept, over all series; each is about 100 bytes.
const EXEMPLARS_MAX: u32 = 100_000;
/// Beyond the longest window, so that it never ends in blocks that are being deleted.
const RETENTION_SPARE_DAYS: u32 = 5;

pub(super) fn file(catalog: &Catalog, settings: &Settings) -> String {
    let scrape = settings.scrape_interval_s.max(1);
    let evaluate = Intervals::of(settings).short_s;
    let mut text = format!(
        "{}\nglobal:\n  scrape_interval: {scrape}s\n  scrape_timeout: {}s\n  evaluation_interval: \
         {evaluate}s\n\nstorage:\n  exemplars:\n    max_exemplars: {EXEMPLARS_MAX}\n\nrule_files:\n  \
         - rules/*.yaml\n\nalerting:\n  alertmanagers:\n    - static_configs:\n        - targets: \
         [{}]\n\nscrape_configs:\n",
        head(catalog, settings),
        scrape.min(10),
        yaml::quoted(&settings.alertmanager)
    );
    text.push_str(
        "  # A job is named as its service: dashboards and objectives know them by it.\n",
    );
    for (service, target) in &settings.targets {
        text.push_str(&job(service, target));
    }
    text.push_str(&job("prometheus", &settings.prometheus));
    text
}

fn job(name: &str, target: &str) -> String {
    let (name, target) = (yaml::quoted(name), yaml::quoted(target));
    format!("  - job_name: {name}\n    static_configs:\n      - targets: [{target}]\n")
}

fn head(catalog: &Catalog, settings: &Settings) -> String {
    let days = catalog.slos.iter().map(|slo| match slo.window {
        Window::Rolling { days } => days,
        Window::Calendar(calendar) => {
            let longest = super::promql::calendar_longest(calendar).trim_end_matches('d');
            longest.parse().unwrap_or(0)
        }
    });
    let days = days.max().unwrap_or(30).saturating_add(RETENTION_SPARE_DAYS);
    let port = settings.prometheus.rsplit_once(':').map_or("9090", |(_, port)| port);
    let services: Vec<_> = names::services(catalog);
    let mut head = format!(
        "# Prometheus for ShieldX ({}). Written by `shieldx slo generate`.\n#\n\
         #   prometheus --config.file=prometheus.yml --web.listen-address=:{port} \\\n\
         #     --enable-feature=exemplar-storage --storage.tsdb.retention.time={days}d\n#\n",
        services.join(", ")
    );
    for line in [
        "The default retention of 15 days is shorter than the windows: an error ratio would be over",
        "15 days and be called one over 30. Exemplars, which lead from a graph to a trace, come with",
        "OpenMetrics and with protobuf; Prometheus asks for the one or the other by itself.",
        "",
        "Native histograms come with protobuf only. Before version 2.45 turning them on",
        "(--enable-feature=native-histograms) loses the classic buckets that dashboards and latency",
        "panels stand on. From 2.45 on both are kept with `scrape_classic_histograms: true` in each",
        "job, which is `always_scrape_classic_histograms: true` since 3.0.",
    ] {
        let _ = writeln!(head, "{}", format!("# {line}").trim_end());
    }
    head
}
