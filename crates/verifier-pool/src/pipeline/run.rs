//! Has the artifact executed. What a sandbox is, the executor knows.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::Span;
use tracing::field::Empty;
use types::Recording;
use types::ports::{ExecuteError, Listener, Progress};

use super::Setback;
use super::fetch::Fetched;
use crate::hub::Handle;
use crate::metrics::Counting;
use crate::pool::Pool;

/// What an executor may need beyond the artifact's own time: to build the sandbox, to collect what
/// changed. Then it is taken for hung.
const GRACE: Duration = Duration::from_secs(720);

/// A run that was recorded.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) recording: Recording,
    pub(super) counting: Counting,
}

#[tracing::instrument(
    skip_all,
    name = "run",
    fields(
        runner = fetched.0.runner,
        events.seen = Empty,
        events.received = Empty,
        events.dropped = Empty,
        events.aggregated = Empty,
        syscalls = Empty,
        syscalls.blocked = Empty,
        tier = Empty
    )
)]
pub(super) async fn run(
    pool: &Pool,
    fetched: Fetched,
    handle: &Arc<Handle>,
) -> Result<Ran, Setback> {
    let Fetched(execution) = fetched;
    let limit = Duration::from_millis(execution.timeout_ms).saturating_add(GRACE);
    let mut counting = pool.meters.sandboxes.begin(&execution.runner);
    let handle = Arc::clone(handle);
    let part = Part::of(Span::current());
    let listener: Listener = {
        let part = Arc::clone(&part);
        Arc::new(move |progress| {
            if let Progress::Phase(name) = &progress {
                part.begin(name);
            }
            handle.tell(progress);
        })
    };
    // Dropped with this future: nobody tells of parts any more, and the last one is over.
    let _ending = Ending(part);
    let executing = pool.parts.executor.execute(execution, listener);
    let Ok(executed) = tokio::time::timeout(limit, executing).await else {
        let reason = format!("the sandbox did not answer within {} s", limit.as_secs());
        return Err(Setback::Again { reason });
    };
    let recording = executed.map_err(|error| match error {
        ExecuteError::Unrunnable { .. } => Setback::Unrunnable { reason: error.to_string() },
        ExecuteError::Runner { .. } => Setback::Hopeless { reason: error.to_string() },
        ExecuteError::Failed { .. } => Setback::Again { reason: error.to_string() },
    })?;
    let counters = &recording.counters;
    let span = tracing::Span::current();
    span.record("events.seen", counters.seen);
    span.record("events.received", counters.received);
    span.record("events.dropped", counters.dropped);
    span.record("events.aggregated", counters.aggregated);
    span.record("syscalls", recording.activity.calls_made());
    span.record("syscalls.blocked", recording.activity.calls_blocked());
    span.record("tier", tracing::field::debug(recording.run.tier));
    counting.recorded(&recording);
    Ok(Ran { recording, counting })
}

/// The part of the run that goes on, as a span: the executor tells when one begins.
#[derive(Debug)]
struct Part {
    run: Span,
    now: Mutex<Option<Span>>,
}

impl Part {
    fn of(run: Span) -> Arc<Self> {
        Arc::new(Self { run, now: Mutex::default() })
    }

    fn begin(&self, name: &str) {
        let span = match name {
            "build" => tracing::info_span!(parent: &self.run, "sandbox.build"),
            "run" => tracing::info_span!(parent: &self.run, "sandbox.run"),
            "collect" => tracing::info_span!(parent: &self.run, "sandbox.collect"),
            _ => return,
        };
        *self.now() = Some(span);
    }

    fn now(&self) -> MutexGuard<'_, Option<Span>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the last part.
struct Ending(Arc<Part>);

impl Drop for Ending {
    fn drop(&mut self) {
        *self.0.now() = None;
    }
}
