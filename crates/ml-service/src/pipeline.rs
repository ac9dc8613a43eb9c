//! The life of a batch: validate ▸ admit ▸ encode ▸ append ▸ index. One file and one span per
//! phase; each phase takes what only the one before it can make.
//!
//! A batch is whole or not at all: whatever fails, fails before anything is kept. From `append` on
//! the work belongs to a task of its own, so that a caller who hangs up leaves no batch that is in
//! the log and not in the index.

pub mod admit;
pub mod append;
pub mod encode;
pub mod index;
pub mod validate;

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;
use tracing::field::Empty;
use types::Tenant;

use crate::error::MlError;
use crate::metrics::{MlMetrics, Phase};
use crate::pipeline::encode::Encoded;
use crate::pipeline::validate::Row;
use crate::service::{Core, MlService};

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// Rows that are durable and readable.
    pub rows: u64,
    /// Where the batch stands in the log; later batches have greater ones.
    pub position: u64,
}

/// Takes a caller's rows in. Durable, and readable, when it returns.
///
/// # Errors
/// See [`MlError`]; then nothing was kept.
#[tracing::instrument(
    skip_all,
    name = "ingest",
    fields(
        shieldx.tenant = tenant.as_str(),
        rows = rows.len(),
        ml.pipeline.duration_ms = Empty,
        otel.status_code = Empty
    )
)]
pub async fn ingest(
    service: &MlService,
    tenant: &Tenant,
    view: &str,
    rows: Vec<Row>,
) -> Result<Accepted, MlError> {
    let begun = Instant::now();
    let taken = take_in(service, tenant, view, rows).await;
    told(begun, &taken);
    let accepted = taken?;
    service.core().metrics.ingested(accepted.rows, begun.elapsed());
    Ok(accepted)
}

async fn take_in(
    service: &MlService,
    tenant: &Tenant,
    view: &str,
    rows: Vec<Row>,
) -> Result<Accepted, MlError> {
    let core = service.core();
    let metrics = &core.metrics;
    let validated =
        timed(metrics, Phase::Validate, || validate::validate(view, rows, core.rows_max))?;
    let share = service.room_for(tenant, validated.rows())?;
    let waiting = Instant::now();
    let locked = admit::lock(core, tenant, view).await?;
    let admitted = admit::admit(core, locked, validated);
    metrics.phase(Phase::Admit, waiting.elapsed());
    let admitted = admitted?;
    let encoded = timed(metrics, Phase::Encode, || encode::encode(admitted));
    commit(service, encoded, share).await
}

/// Says on the current span how long the features were on their way, and whether they came in. What
/// the caller did wrong is no failure of the pipeline.
pub(crate) fn told<T>(begun: Instant, taken: &Result<T, MlError>) {
    let span = tracing::Span::current();
    span.record("ml.pipeline.duration_ms", begun.elapsed().as_secs_f64() * 1e3);
    if matches!(taken, Err(MlError::Store { .. } | MlError::Stopped)) {
        span.record("otel.status_code", "ERROR");
    }
}

pub(crate) fn timed<T>(metrics: &MlMetrics, phase: Phase, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = work();
    metrics.phase(phase, begun.elapsed());
    done
}

/// Append and index, in a task that nobody's leaving interrupts. `held` is dropped when it is done.
pub(crate) async fn commit(
    service: &MlService,
    encoded: Encoded,
    held: impl Send + 'static,
) -> Result<Accepted, MlError> {
    let (tell, outcome) = oneshot::channel();
    let core = Arc::clone(service.core());
    service.tasks().spawn("ml-commit", async move {
        let done = append_and_index(&core, encoded).await;
        drop(held);
        // The caller may have hung up; the batch stands all the same.
        let _ = tell.send(done);
    });
    outcome.await.unwrap_or(Err(MlError::Stopped))
}

async fn append_and_index(core: &Core, encoded: Encoded) -> Result<Accepted, MlError> {
    let begun = Instant::now();
    let (values, bytes) = (encoded.values(), encoded.payload_bytes());
    let durable = append::append(core, encoded).await;
    core.metrics.phase(Phase::Append, begun.elapsed());
    let durable = durable?;
    core.metrics.kept(values, bytes);
    Ok(timed(&core.metrics, Phase::Index, || index::index(core, durable)))
}
