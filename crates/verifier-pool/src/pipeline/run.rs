//! Has the artifact executed. What a sandbox is, the executor knows.

use std::sync::Arc;
use std::time::Duration;

use tracing::field::Empty;
use types::Recording;
use types::ports::{ExecuteError, Listener};

use super::Setback;
use super::fetch::Fetched;
use crate::hub::Handle;
use crate::pool::Pool;

/// What an executor may need beyond the artifact's own time: to build the sandbox, to collect what
/// changed. Then it is taken for hung.
const GRACE: Duration = Duration::from_secs(120);

/// A run that was recorded.
#[derive(Debug)]
pub(super) struct Ran(pub(super) Recording);

#[tracing::instrument(
    skip_all,
    name = "run",
    fields(
        runner = fetched.0.runner,
        events.seen = Empty,
        events.received = Empty,
        events.dropped = Empty,
        events.aggregated = Empty
    )
)]
pub(super) async fn run(
    pool: &Pool,
    fetched: Fetched,
    handle: &Arc<Handle>,
) -> Result<Ran, Setback> {
    let Fetched(execution) = fetched;
    let limit = Duration::from_millis(execution.timeout_ms).saturating_add(GRACE);
    let handle = Arc::clone(handle);
    let listener: Listener = Arc::new(move |progress| handle.tell(progress));
    let executing = pool.parts.executor.execute(execution, listener);
    let Ok(executed) = tokio::time::timeout(limit, executing).await else {
        let reason = format!("the sandbox did not answer within {} s", limit.as_secs());
        return Err(Setback::Again { reason });
    };
    let recording = executed.map_err(|error| match error {
        ExecuteError::Unrunnable { .. } | ExecuteError::Runner { .. } => {
            Setback::Hopeless { reason: error.to_string() }
        }
        ExecuteError::Failed { .. } => Setback::Again { reason: error.to_string() },
    })?;
    let counters = &recording.counters;
    let span = tracing::Span::current();
    span.record("events.seen", counters.seen);
    span.record("events.received", counters.received);
    span.record("events.dropped", counters.dropped);
    span.record("events.aggregated", counters.aggregated);
    Ok(Ran(recording))
}
