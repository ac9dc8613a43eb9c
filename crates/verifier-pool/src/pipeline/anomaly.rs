//! Asks ml-service how unusual the run is. Without an answer the verification goes on, and nothing
//! is weighed that was not measured.

use std::time::Duration;

use store::domain::Lease;
use tracing::field::Empty;
use types::Recording;
use types::ports::RunFeatures;

use super::features::Described;
use crate::metrics::Counting;
use crate::pool::Pool;

/// How long ml-service may take before the run is judged without it.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// A run, with its anomaly where there is one.
#[derive(Debug)]
pub(super) struct Compared {
    pub(super) recording: Recording,
    pub(super) counting: Counting,
}

#[tracing::instrument(
    skip_all,
    name = "anomaly",
    fields(anomaly.history_runs = Empty, anomaly.p_ppm = Empty)
)]
pub(super) async fn compare(pool: &Pool, lease: &Lease, described: Described) -> Compared {
    let Described { mut recording, counting, values } = described;
    let verification = &lease.verification;
    let order = &verification.order;
    let runs_by = order.interpreter.as_deref().unwrap_or(&order.kind);
    let features = RunFeatures {
        tenant: verification.tenant.clone(),
        run_id: verification.id.clone(),
        workload: format!("{}:{runs_by}", order.file_name),
        event_time_us: pool.parts.clock.now_us(),
        values,
    };
    let observing = pool.meters.ml_service.time(pool.parts.anomaly.observe(&features));
    let answer = tokio::time::timeout(ANSWER_MAX, observing).await;
    let reason = match answer {
        Ok(Ok(anomaly)) => {
            let span = tracing::Span::current();
            span.record("anomaly.history_runs", anomaly.history_runs);
            if let Some(p_ppm) = anomaly.p_ppm {
                span.record("anomaly.p_ppm", p_ppm);
            }
            recording.anomaly = Some(anomaly);
            return Compared { recording, counting };
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", ANSWER_MAX.as_secs()),
    };
    pool.meters.anomaly_failures.inc();
    tracing::warn!(reason, "the run is judged without an anomaly, which weighs nothing");
    Compared { recording, counting }
}
