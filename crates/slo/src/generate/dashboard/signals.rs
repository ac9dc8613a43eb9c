//! The golden signals of a service: latency, traffic, errors, saturation. All services answer HTTP;
//! what is a service's own is listed by its name.

use std::time::Duration;

use super::panel::{Kind, Panel, Query};
use crate::spec::{Catalog, Sli, Views};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::generate) enum Golden {
    Latency,
    Traffic,
    Errors,
    Saturation,
}

impl Golden {
    pub(in crate::generate) fn as_str(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Traffic => "traffic",
            Self::Errors => "errors",
            Self::Saturation => "saturation",
        }
    }
}

pub(in crate::generate) struct Signal {
    pub(in crate::generate) golden: Golden,
    pub(super) panel: Panel,
}

impl Signal {
    /// Title, and its queries.
    pub(in crate::generate) fn told(&self) -> (&str, impl Iterator<Item = &str>) {
        (&self.panel.title, self.panel.queries.iter().map(|query| query.expr.as_str()))
    }
}

/// All signals of a service, the common ones first, in the order of [`Golden`].
pub(in crate::generate) fn of(catalog: &Catalog, service: &str) -> Vec<Signal> {
    let mut signals = vec![
        latency(catalog, service),
        traffic(service),
        errors(service),
        bytes(service),
        in_flight(service),
        process(service),
    ];
    if counts(catalog, service, |views| views.route_groups) {
        signals.push(route_groups(service));
    }
    signals.extend(own(service));
    signals.sort_by_key(|signal| signal.golden);
    signals
}

/// Whether any objective of the service is counted in a view.
pub(super) fn counts(catalog: &Catalog, service: &str, view: fn(Views) -> bool) -> bool {
    catalog.slos.iter().any(|slo| slo.service == service && view(slo.views))
}

fn signal(golden: Golden, title: &str, description: &str, unit: &'static str) -> Signal {
    Signal { golden, panel: Panel::new(Kind::TimeSeries, title, description, unit) }
}

impl Signal {
    fn query(mut self, expr: String, legend: &str) -> Self {
        self.panel = self.panel.query(Query::new(expr, legend));
        self
    }
}

/// A metric of the service's job, with more matchers.
fn metric(service: &str, name: &str, more: &str) -> String {
    format!("{name}{{job=\"{service}\",instance=~\"$instance\"{more}}}")
}

fn rate(service: &str, name: &str, more: &str) -> String {
    format!("rate({}[$__rate_interval])", metric(service, name, more))
}

fn quantile(service: &str, share: &str, histogram: &str, by: &str) -> String {
    let buckets = rate(service, &format!("{histogram}_bucket"), "");
    format!("histogram_quantile({share}, sum by (le{by}) ({buckets}))")
}

/// With the thresholds of the service's latency objectives as lines.
fn latency(catalog: &Catalog, service: &str) -> Signal {
    const SECONDS: &str = "http_server_request_duration_seconds";
    let thresholds: Vec<f64> = catalog
        .slos
        .iter()
        .filter(|slo| slo.service == service)
        .filter_map(|slo| match &slo.sli {
            Sli::Latency { threshold, .. } => Some(Duration::as_secs_f64(threshold)),
            _ => None,
        })
        .collect();
    let about = "Seconds until the header of the answer. Quantiles are interpolated within buckets; \
                 whether the objective is met is counted, see above. Dots are requests with a trace.";
    let mut signal = signal(Golden::Latency, "Latency", about, "s");
    for (share, legend) in [("0.5", "p50"), ("0.95", "p95"), ("0.99", "p99")] {
        let query = Query::new(quantile(service, share, SECONDS, ""), legend);
        signal.panel = signal.panel.query(query.with_exemplars());
    }
    let mut steps = vec![(None, "green")];
    steps.extend(thresholds.into_iter().map(|threshold| (Some(threshold), "red")));
    signal.panel = signal.panel.steps(&steps);
    if steps.len() > 1 {
        signal.panel = signal.panel.lines();
    }
    signal
}

fn traffic(service: &str) -> Signal {
    let count = rate(service, "http_server_request_duration_seconds_count", "");
    signal(Golden::Traffic, "Requests by status", "Answers in a second, by status code.", "reqps")
        .query(
            format!("sum by (http_response_status_code) ({count})"),
            "{{http_response_status_code}}",
        )
}

fn route_groups(service: &str) -> Signal {
    let events = format!(
        "shieldx_slo_route_group_events_total{{job=\"{service}\",instance=~\"$instance\",outcome=~\"good|bad\",route_group=~\"$route_group\"}}"
    );
    signal(
        Golden::Traffic,
        "Events by route group",
        "What objectives count in a second, by the group of the route: the busiest objective of each.",
        "ops",
    )
    .query(
        format!(
            "max by (route_group) (sum by (slo, route_group) (rate({events}[$__rate_interval])))"
        ),
        "{{route_group}}",
    )
}

fn errors(service: &str) -> Signal {
    const COUNT: &str = "http_server_request_duration_seconds_count";
    let failed = rate(service, COUNT, ",http_response_status_code=~\"5..\"");
    let all = rate(service, COUNT, "");
    signal(
        Golden::Errors,
        "Failed requests",
        "Share of answers that are 5xx, an application's own included: objectives leave those out.",
        "percentunit",
    )
    .query(format!("(sum({failed}) or 0 * sum({all}))\n/\n(sum({all}) > 0)"), "5xx")
}

fn bytes(service: &str) -> Signal {
    let of = |name: &str| format!("sum({})", rate(service, name, ""));
    signal(
        Golden::Traffic,
        "Bodies",
        "Bytes of requests' and responses' bodies in a second.",
        "Bps",
    )
    .query(of("http_server_request_body_size_bytes_sum"), "in")
    .query(of("http_server_response_body_size_bytes_sum"), "out")
}

fn in_flight(service: &str) -> Signal {
    let of = |name: &str| metric(service, name, "");
    signal(Golden::Saturation, "In flight", "Requests whose answer has not ended.", "short")
        .query(format!("sum({})", of("http_server_active_requests")), "requests")
}

fn process(service: &str) -> Signal {
    let of = |name: &str| metric(service, name, "");
    signal(
        Golden::Saturation,
        "Process",
        "Of the process that the service runs in, which several services share where one `shieldx up` \
         runs them all: cores in use, how busy the runtime's threads are, share of file descriptors.",
        "percentunit",
    )
    .query(format!("max({})", rate(service, "process_cpu_seconds_total", "")), "cores")
    .query(
        format!(
            "max({} / {})",
            rate(service, "shieldx_runtime_busy_seconds_total", ""),
            of("shieldx_runtime_workers")
        ),
        "runtime threads",
    )
    .query(format!("max({} / {})", of("process_open_fds"), of("process_max_fds")), "descriptors")
}

/// `sum by (label) (rate(counter))`
fn by(
    service: &str,
    golden: Golden,
    (title, about): (&str, &str),
    counter: &str,
    label: &str,
) -> Signal {
    signal(golden, title, about, "ops").query(
        format!("sum by ({label}) ({})", rate(service, counter, "")),
        &format!("{{{{{label}}}}}"),
    )
}

/// The 99th percentile of a histogram of seconds, by a label.
fn slowest(service: &str, (title, about): (&str, &str), histogram: &str, label: &str) -> Signal {
    signal(Golden::Latency, title, about, "s").query(
        quantile(service, "0.99", histogram, &format!(", {label}")),
        &format!("{{{{{label}}}}}"),
    )
}

/// `sum(gauge)`s with their legends.
fn gauges(
    service: &str,
    (title, about): (&str, &str),
    unit: &'static str,
    list: &[(&str, &str)],
) -> Signal {
    list.iter().fold(signal(Golden::Saturation, title, about, unit), |signal, (name, legend)| {
        signal.query(format!("sum({})", metric(service, name, "")), legend)
    })
}

fn own(service: &str) -> Vec<Signal> {
    match service {
        "ingress" => ingress(),
        "gateway" => gateway(),
        "contauth" => contauth(),
        "verifier-pool" => verifier_pool(),
        "ml-service" => ml_service(),
        _ => Vec::new(),
    }
}

fn ingress() -> Vec<Signal> {
    let about = "Requests in a second by what became of them; `failed` is ours.";
    vec![
        by(
            "ingress",
            Golden::Errors,
            ("Outcomes", about),
            "shieldx_ingress_requests_total",
            "outcome",
        ),
        gauges(
            "ingress",
            ("Connections", "Open connections of the public door."),
            "short",
            &[("shieldx_ingress_http_connections", "open")],
        ),
    ]
}

fn gateway() -> Vec<Signal> {
    vec![
        slowest(
            "gateway",
            ("Phases", "99th percentile of each phase; `forward` is the application's time."),
            "shieldx_gateway_phase_duration_seconds",
            "phase",
        ),
        by(
            "gateway",
            Golden::Traffic,
            ("Decisions", "What the policy decided, in a second."),
            "shieldx_gateway_decisions_total",
            "action",
        ),
        by(
            "gateway",
            Golden::Errors,
            ("Dependencies", "Dependencies that did not answer as they should, in a second."),
            "shieldx_gateway_dependency_failures_total",
            "dependency",
        ),
        gauges(
            "gateway",
            ("Tarpit", "Requests that are being delayed because that was decided."),
            "short",
            &[("shieldx_gateway_tarpitted_requests", "delayed")],
        ),
    ]
}

fn contauth() -> Vec<Signal> {
    vec![
        slowest(
            "contauth",
            ("Store", "99th percentile of calls to the store, by how they ended."),
            "shieldx_contauth_dependency_duration_seconds",
            "outcome",
        ),
        by(
            "contauth",
            Golden::Traffic,
            ("Risks", "Risks told in a second, by level."),
            "shieldx_contauth_risks_total",
            "level",
        ),
        by(
            "contauth",
            Golden::Errors,
            (
                "Reports",
                "Reports of behaviour by what became of them; `refused` were not well-formed.",
            ),
            "shieldx_contauth_reports_total",
            "outcome",
        ),
        by(
            "contauth",
            Golden::Saturation,
            ("Look-ups", "Sessions looked up in memory: misses are read from the store."),
            "shieldx_contauth_session_lookups_total",
            "result",
        ),
    ]
}

fn verifier_pool() -> Vec<Signal> {
    vec![
        slowest(
            "verifier-pool",
            ("Phases of a run", "99th percentile of each phase of a verification."),
            "shieldx_verifier_pool_phase_duration_seconds",
            "phase",
        ),
        by(
            "verifier-pool",
            Golden::Traffic,
            ("Submissions", "Submissions in a second, by what came of them."),
            "shieldx_verifier_pool_submissions_total",
            "outcome",
        ),
        by(
            "verifier-pool",
            Golden::Errors,
            ("Verdicts", "Verifications that ended, by verdict; `failed` has none."),
            "shieldx_verifier_pool_runs_total",
            "verdict",
        ),
        gauges(
            "verifier-pool",
            ("Queue", "Verifications that wait and that run."),
            "short",
            &[
                ("shieldx_verifier_pool_queue_depth", "waiting"),
                ("shieldx_verifier_pool_running", "running"),
            ],
        ),
        gauges(
            "verifier-pool",
            ("Oldest in the queue", "How long the verification that waits longest has waited."),
            "s",
            &[("shieldx_verifier_pool_queue_oldest_age_seconds", "age")],
        ),
    ]
}

fn ml_service() -> Vec<Signal> {
    vec![
        signal(
            Golden::Latency,
            "Ingestion",
            "From a batch's arrival until it is durable and readable, accepted batches only.",
            "s",
        )
        .query(
            quantile("ml-service", "0.5", "shieldx_ml_service_ingest_duration_seconds", ""),
            "p50",
        )
        .query(
            quantile("ml-service", "0.99", "shieldx_ml_service_ingest_duration_seconds", ""),
            "p99",
        ),
        signal(
            Golden::Traffic,
            "Rows",
            "Rows of features that became durable, in a second.",
            "ops",
        )
        .query(
            format!("sum({})", rate("ml-service", "shieldx_ml_service_ingested_rows_total", "")),
            "rows",
        ),
        by(
            "ml-service",
            Golden::Errors,
            ("Rejections", "Batches and reads that were refused, by reason."),
            "shieldx_ml_service_rejections_total",
            "reason",
        ),
        gauges(
            "ml-service",
            ("Index", "Memory of the latest values, estimated."),
            "bytes",
            &[("shieldx_ml_service_index_bytes", "index")],
        ),
    ]
}
