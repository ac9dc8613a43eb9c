//! What ml-service counts. Handles are resolved once; label values are the enums here.

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use runtime::metrics::{DURATION_BUCKETS_S, Dependency, Metrics, Read};

use crate::intake::Intake;

/// Why a batch or a question was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The body is no JSON, or not of the shape.
    Malformed,
    /// A row says something that cannot be.
    Invalid,
    TypeConflict,
    Reserved,
    /// A bound on views, columns, entities or memory.
    Limit,
    Busy,
    StoreFull,
    StoreUnavailable,
}

/// Parts of an ingest, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Validate,
    Admit,
    Encode,
    Append,
    Index,
}

const PHASES: [&str; 5] = ["validate", "admit", "encode", "append", "index"];
/// Upper bounds in seconds: phases in memory take microseconds, a commit milliseconds.
const PHASE_BUCKETS_S: [f64; 12] =
    [0.000_01, 0.000_05, 0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.25, 1.0, 2.0, 10.0];

/// What came of asking for an anomaly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    Scored,
    TooFew,
    /// The run had been observed before.
    Repeated,
    Failed,
}

impl EncodeLabelValue for Reason {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        encoder.write_str(match self {
            Reason::Malformed => "malformed",
            Reason::Invalid => "invalid",
            Reason::TypeConflict => "type_conflict",
            Reason::Reserved => "reserved",
            Reason::Limit => "limit",
            Reason::Busy => "busy",
            Reason::StoreFull => "store_full",
            Reason::StoreUnavailable => "store_unavailable",
        })
    }
}

impl EncodeLabelValue for Outcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        encoder.write_str(match self {
            Outcome::Scored => "scored",
            Outcome::TooFew => "too_few",
            Outcome::Repeated => "repeated",
            Outcome::Failed => "failed",
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Rejection {
    reason: Reason,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Scored {
    outcome: Outcome,
}

/// What is on its way in, read whenever it is asked for.
pub(crate) fn intakes(metrics: &Metrics, rows: &Arc<Intake>, bodies: &Arc<Intake>) {
    let of = |intake: &Arc<Intake>| -> Read {
        let intake = Arc::clone(intake);
        // Bounds are far below what a float holds exactly.
        Box::new(move || u32::try_from(intake.total()).map_or(f64::INFINITY, f64::from))
    };
    let help = "Rows and bytes of bodies that are held by requests now";
    let values = [("rows", of(rows)), ("body_bytes", of(bodies))];
    metrics.readings("shieldx_ml_service_in_flight", help, "of", values);
}

/// The handles.
#[derive(Debug, Clone)]
pub struct MlMetrics {
    rows: Counter,
    values: Counter,
    payload_bytes: Counter,
    ingest: Histogram,
    phases: [Histogram; 5],
    store: Dependency,
    rejections: Family<Rejection, Counter>,
    entities: Gauge,
    bytes: Gauge,
    anomalies: Family<Scored, Counter>,
    forgotten: Counter,
    rebuild_rows: Gauge,
    rebuild_seconds: Gauge<f64, std::sync::atomic::AtomicU64>,
}

impl MlMetrics {
    #[must_use]
    pub fn register(metrics: &Metrics) -> Self {
        let duration = Histogram::new(DURATION_BUCKETS_S);
        let named = |name: &str| format!("shieldx_ml_service_{name}");
        let [store] = metrics.dependencies(["store"]);
        let this = Self {
            store,
            rows: metrics.register(
                &named("ingested_rows"),
                "Feature rows that are durable",
                Counter::default(),
            ),
            values: metrics.register(
                &named("ingested_values"),
                "Feature values in those rows, without nulls",
                Counter::default(),
            ),
            payload_bytes: metrics.register(
                &named("ingested_payload_bytes"),
                "Bytes those rows take in the log",
                Counter::default(),
            ),
            phases: metrics.histogram_family(
                &named("phase_duration_seconds"),
                "Length of each phase of an ingest; admit: with waiting for the view's turn",
                "phase",
                PHASES,
                &PHASE_BUCKETS_S,
            ),
            ingest: metrics.register(
                &named("ingest_duration_seconds"),
                "From a batch's arrival until it is durable and readable, accepted batches only",
                duration,
            ),
            rejections: metrics.register(
                &named("rejections"),
                "Batches and reads refused, by reason",
                Family::default(),
            ),
            entities: metrics.register(
                &named("index_entities"),
                "Entities with latest values in memory",
                Gauge::default(),
            ),
            bytes: metrics.register(
                &named("index_bytes"),
                "Memory of the latest values, estimated",
                Gauge::default(),
            ),
            anomalies: metrics.register(
                &named("anomaly_scores"),
                "Runs observed, by what could be said",
                Family::default(),
            ),
            forgotten: metrics.register(
                &named("reference_runs_forgotten"),
                "Runs that no longer serve as reference because the tenant has its fill of them",
                Counter::default(),
            ),
            rebuild_rows: metrics.register(
                &named("rebuild_rows"),
                "Rows read from the log at the last start",
                Gauge::default(),
            ),
            rebuild_seconds: metrics.register(
                &named("rebuild_duration_seconds"),
                "How long reading the log took at the last start",
                Gauge::default(),
            ),
        };
        this.touch();
        this
    }

    /// Every label value is there from the start, at zero.
    fn touch(&self) {
        for reason in [
            Reason::Malformed,
            Reason::Invalid,
            Reason::TypeConflict,
            Reason::Reserved,
            Reason::Limit,
            Reason::Busy,
            Reason::StoreFull,
            Reason::StoreUnavailable,
        ] {
            drop(self.rejections.get_or_create(&Rejection { reason }));
        }
        for outcome in [Outcome::Scored, Outcome::TooFew, Outcome::Repeated, Outcome::Failed] {
            drop(self.anomalies.get_or_create(&Scored { outcome }));
        }
    }

    pub(crate) fn ingested(&self, rows: u64, took: Duration) {
        self.rows.inc_by(rows);
        self.ingest.observe(took.as_secs_f64());
    }

    pub(crate) fn phase(&self, phase: Phase, took: Duration) {
        let at = match phase {
            Phase::Validate => 0,
            Phase::Admit => 1,
            Phase::Encode => 2,
            Phase::Append => 3,
            Phase::Index => 4,
        };
        self.phases[at].observe(took.as_secs_f64());
    }

    /// What a batch that is durable holds.
    pub(crate) fn kept(&self, values: u64, payload_bytes: u64) {
        self.values.inc_by(values);
        self.payload_bytes.inc_by(payload_bytes);
    }

    pub(crate) fn store(&self) -> &Dependency {
        &self.store
    }

    pub(crate) fn rejected(&self, reason: Reason) {
        self.rejections.get_or_create(&Rejection { reason }).inc();
    }

    pub(crate) fn index_size(&self, entities: u64, bytes: u64) {
        self.entities.set(i64::try_from(entities).unwrap_or(i64::MAX));
        self.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    pub(crate) fn observed(&self, outcome: Outcome) {
        self.anomalies.get_or_create(&Scored { outcome }).inc();
    }

    pub(crate) fn forgotten(&self, runs: u64) {
        self.forgotten.inc_by(runs);
    }

    pub(crate) fn rebuilt(&self, rows: u64, took: Duration) {
        self.rebuild_rows.set(i64::try_from(rows).unwrap_or(i64::MAX));
        self.rebuild_seconds.set(took.as_secs_f64());
    }
}
