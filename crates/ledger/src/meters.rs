//! The ledger's own metrics, and what it knows of objectives, resolved once.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use runtime::metrics::Metrics;
use slo::history::Thrown;
use slo::spec::Severity;
use slo::status::AlertState;
use slo::{Catalog, Status};

type Ratio = Gauge<f64, AtomicU64>;
type Labels<const N: usize> = [(&'static str, String); N];

/// An evaluation takes milliseconds.
const EVALUATION_BOUNDS_S: [f64; 10] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0];

#[derive(Debug, Clone)]
pub(crate) struct Meters {
    pub(crate) evaluation_seconds: Histogram,
    pub(crate) samples_kept: Counter,
    pub(crate) samples_refused: Counter,
    pub(crate) samples_dropped: Counter,
    pub(crate) journal_bytes: Gauge,
    pub(crate) journal_errors: Counter,
    pub(crate) snapshots: Counter,
    /// Delivered and failed, of webhooks and Alertmanagers.
    pub(crate) webhook: Delivered,
    pub(crate) alertmanager: Delivered,
    pub(crate) probes_good: Counter,
    pub(crate) probes_bad: Counter,
    pub(crate) overrides: Counter,
    thrown: [Counter; 7],
    objectives: BTreeMap<String, OfObjective>,
}

#[derive(Debug, Clone)]
pub(crate) struct Delivered {
    pub(crate) delivered: Counter,
    pub(crate) failed: Counter,
}

#[derive(Debug, Clone)]
struct OfObjective {
    left: Ratio,
    coverage: Ratio,
    burns: BTreeMap<u64, Ratio>,
    page: Gauge,
    ticket: Gauge,
}

impl Meters {
    pub(crate) fn new(metrics: &Metrics, catalog: &Catalog) -> Self {
        let [samples_kept, samples_refused, samples_dropped] = metrics.counter_family(
            "shieldx_ledger_samples",
            "Samples of all counts: kept; refused as old or garbled; dropped while the disk took none.",
            "outcome",
            ["kept", "refused", "dropped"],
        );
        let [probes_good, probes_bad] = metrics.counter_family(
            "shieldx_ledger_probes",
            "Requests that the ledger made to see whether somebody answers.",
            "outcome",
            ["good", "bad"],
        );
        let family = Family::<Labels<2>, Counter>::default();
        let help = "Attempts to tell receivers of alerts what changed.";
        let family = metrics.register("shieldx_ledger_deliveries", help, family);
        let delivered = |receiver: &str| {
            let of = |outcome: &str| {
                let labels = [("receiver", receiver.to_owned()), ("outcome", outcome.to_owned())];
                family.get_or_create_owned(&labels)
            };
            Delivered { delivered: of("delivered"), failed: of("failed") }
        };
        let (webhook, alertmanager) = (delivered("webhook"), delivered("alertmanager"));
        let counter = |name: &str, help: &str| metrics.register(name, help, Counter::default());
        Self {
            evaluation_seconds: metrics.register(
                "shieldx_ledger_evaluation_seconds",
                "Time to evaluate all objectives.",
                Histogram::new(EVALUATION_BOUNDS_S),
            ),
            samples_kept,
            samples_refused,
            samples_dropped,
            journal_bytes: metrics.register(
                "shieldx_ledger_journal_bytes",
                "Bytes of the ledger's files.",
                Gauge::default(),
            ),
            journal_errors: counter(
                "shieldx_ledger_journal_errors",
                "Writes that the disk did not take.",
            ),
            snapshots: counter(
                "shieldx_ledger_snapshots",
                "Times that all counts were written anew.",
            ),
            webhook,
            alertmanager,
            probes_good,
            probes_bad,
            overrides: counter(
                "shieldx_ledger_overrides",
                "Deploys that went on by an override of the gate.",
            ),
            thrown: metrics.counter_family(
                "shieldx_ledger_thrown",
                "What the history did not take or keep; points are thinned as they get old.",
                "what",
                [
                    "late_samples",
                    "counts_back",
                    "garbled_samples",
                    "lines_refused",
                    "instances_folded",
                    "spans_forgotten",
                    "points_thinned",
                ],
            ),
            objectives: of_objectives(metrics, catalog),
        }
    }

    /// Tells what the history has thrown away since the process started.
    pub(crate) fn tell_thrown(&self, thrown: Thrown) {
        let now = [
            thrown.late_samples,
            thrown.counts_back,
            thrown.garbled_samples,
            thrown.lines_refused,
            thrown.instances_folded,
            thrown.spans_forgotten,
            thrown.points_thinned,
        ];
        for (counter, now) in self.thrown.iter().zip(now) {
            counter.inc_by(now.saturating_sub(counter.get()));
        }
    }

    /// Tells what is known of all objectives.
    pub(crate) fn tell(&self, statuses: &[Status]) {
        for status in statuses {
            let Some(of) = self.objectives.get(status.slo.as_str()) else { continue };
            of.left.set(status.budget.left.unwrap_or(f64::NAN));
            of.coverage.set(status.coverage);
            for burn in &status.burns {
                if let Some(gauge) = of.burns.get(&burn.window_s) {
                    gauge.set(burn.rate.unwrap_or(f64::NAN));
                }
            }
            let fires = |severity| {
                let alerts = status.alerts.iter().filter(|alert| alert.severity == severity);
                i64::from(alerts.into_iter().any(|alert| alert.state != AlertState::Inactive))
            };
            of.page.set(fires(Severity::Page));
            of.ticket.set(fires(Severity::Ticket));
        }
    }
}

fn of_objectives(metrics: &Metrics, catalog: &Catalog) -> BTreeMap<String, OfObjective> {
    let left = metrics.register(
        "shieldx_slo_budget_left_ratio",
        "Error budget that is left of the window's, 1 to below 0; NaN without events.",
        Family::<Labels<1>, Ratio>::default(),
    );
    let coverage = metrics.register(
        "shieldx_slo_coverage_ratio",
        "Share of the window in which somebody counted.",
        Family::<Labels<1>, Ratio>::default(),
    );
    let burns = metrics.register(
        "shieldx_slo_burn_rate",
        "How fast the error budget burns; 1 uses it up within the window; NaN without events.",
        Family::<Labels<2>, Ratio>::default(),
    );
    let firing = metrics.register(
        "shieldx_slo_alert_firing",
        "Whether an alert of the objective fires, or is frozen since there is no data.",
        Family::<Labels<2>, Gauge>::default(),
    );
    let of = |slo: &slo::Slo| {
        let name = || ("slo", slo.name.to_string());
        let window = |window_s: u64| {
            let text = slo::spec::span_text(std::time::Duration::from_secs(window_s));
            let gauge = burns.get_or_create_owned(&[name(), ("window", text)]);
            gauge.set(f64::NAN);
            (window_s, gauge)
        };
        let severity = |severity: Severity| {
            let severity = ("severity", severity.as_str().to_owned());
            firing.get_or_create_owned(&[name(), severity])
        };
        let of = OfObjective {
            left: left.get_or_create_owned(&[name()]),
            coverage: coverage.get_or_create_owned(&[name()]),
            burns: slo::evaluate::BURN_WINDOWS_S.into_iter().map(window).collect(),
            page: severity(Severity::Page),
            ticket: severity(Severity::Ticket),
        };
        of.left.set(f64::NAN);
        (slo.name.to_string(), of)
    };
    catalog.slos.iter().map(of).collect()
}
