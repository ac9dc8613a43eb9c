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
use types::Tenant;

use crate::error::MlError;
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
#[tracing::instrument(skip_all, name = "ingest", fields(rows = rows.len()))]
pub async fn ingest(
    service: &MlService,
    tenant: &Tenant,
    view: &str,
    rows: Vec<Row>,
) -> Result<Accepted, MlError> {
    let begun = Instant::now();
    let core = service.core();
    let validated = validate::validate(view, rows, core.rows_max)?;
    let share = service.room_for(tenant, validated.rows())?;
    let locked = admit::lock(core, tenant, view).await?;
    let admitted = admit::admit(core, locked, validated)?;
    let accepted = commit(service, encode::encode(admitted), share).await?;
    core.metrics.ingested(accepted.rows, begun.elapsed());
    Ok(accepted)
}

/// Append and index, in a task that nobody's leaving interrupts. `held` is dropped when it is done.
pub(crate) async fn commit(
    service: &MlService,
    encoded: Encoded,
    held: impl Send + 'static,
) -> Result<Accepted, MlError> {
    let (tell, told) = oneshot::channel();
    let core = Arc::clone(service.core());
    service.tasks().spawn("ml-commit", async move {
        let outcome = append_and_index(&core, encoded).await;
        drop(held);
        // The caller may have hung up; the batch stands all the same.
        let _ = tell.send(outcome);
    });
    told.await.unwrap_or(Err(MlError::Stopped))
}

async fn append_and_index(core: &Core, encoded: Encoded) -> Result<Accepted, MlError> {
    let durable = append::append(core, encoded).await?;
    Ok(index::index(core, durable))
}
