//! The start: everything in memory is made again from the log, a few segments at a time.

use std::time::Instant;

use tracing::field::Empty;

use crate::anomaly;
use crate::codec::Decoder;
use crate::error::MlError;
use crate::service::Core;

/// Segments read at once.
const SEGMENTS_PER_READ: u32 = 64;

#[tracing::instrument(skip_all, name = "rebuild", fields(rows = Empty))]
pub(crate) async fn rebuild(core: &Core) -> Result<(), MlError> {
    let begun = Instant::now();
    let (mut last, mut rows, mut segments) = (0, 0u64, 0u64);
    loop {
        let read = core.log.read_after(last, SEGMENTS_PER_READ);
        let read = core.metrics.store().time(read).await.map_err(MlError::store)?;
        let Some((newest, _)) = read.last() else { break };
        last = *newest;
        for (position, segment) in &read {
            let damaged = |source| MlError::Damaged { position: *position, source };
            let batch = Decoder::open(&segment.payload).and_then(Decoder::batch);
            let batch = batch.map_err(damaged)?;
            let view = core.index.restore(&segment.tenant, &segment.view);
            let added = view.write().apply(&batch);
            core.usage.restore(&segment.tenant, added);
            core.seen_created_us(batch.created_us);
            if segment.view == anomaly::VIEW {
                core.references.learn(&segment.tenant, &batch);
            }
            rows += batch.rows.len() as u64;
            segments += 1;
        }
    }
    tracing::Span::current().record("rows", rows);
    core.metrics.rebuilt(rows, begun.elapsed());
    tracing::info!(rows, segments, took_ms = begun.elapsed().as_millis(), "feature index rebuilt");
    Ok(())
}
