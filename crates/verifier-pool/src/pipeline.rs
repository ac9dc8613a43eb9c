//! One verification, from lease to result, a file per phase:
//!
//! ```text
//! fetch ─▶ run ─▶ features ─▶ anomaly ─▶ assess ─▶ finish
//! ```
//!
//! Each phase takes what only the one before it can make, so none can be left out or done twice. It
//! knows nothing of queues: who calls [`verify`] holds the lease and decides what a setback means.

mod anomaly;
mod assess;
mod features;
mod fetch;
mod finish;
mod run;

use std::sync::Arc;

use store::domain::Lease;
use types::ports::Progress;

pub(crate) use finish::keep;

use crate::hub::Handle;
use crate::metrics::Phase;
use crate::pool::Pool;

/// Why a verification came to no result this time.
#[derive(Debug)]
pub(crate) enum Setback {
    /// The artifact is nothing that can be run: no failure of ours, and trying again is useless.
    Unrunnable { reason: String },
    /// Trying again is useless.
    Hopeless { reason: String },
    /// Another try may work.
    Again { reason: String },
    /// There is a result, and the store does not take it.
    Unkept,
}

/// Runs and judges what the lease is for, and keeps the result.
///
/// # Errors
/// What went wrong; nothing was kept then.
pub(crate) async fn verify(
    pool: &Arc<Pool>,
    lease: &Lease,
    handle: &Arc<Handle>,
) -> Result<(), Setback> {
    let (attempts, claims_max) = (lease.verification.attempts, pool.config.claims_max);
    if attempts > claims_max {
        let reason = format!(
            "it was begun {claims_max} times and never ended: each time the process that ran it died"
        );
        return Err(Setback::Hopeless { reason });
    }
    let fetched = timed(pool, handle, Phase::Fetch, fetch::fetch(pool, lease)).await?;
    let ran = timed(pool, handle, Phase::Run, run::run(pool, fetched, handle)).await?;
    let described = timed(pool, handle, Phase::Features, features::describe(pool, ran)).await?;
    let compared =
        timed(pool, handle, Phase::Anomaly, anomaly::compare(pool, lease, described)).await;
    let assessed = timed(pool, handle, Phase::Assess, assess::assess(pool, compared)).await?;
    timed(pool, handle, Phase::Finish, finish::finish(pool, lease, assessed)).await
}

/// Tells of a phase and measures it.
async fn timed<T>(pool: &Pool, handle: &Handle, phase: Phase, work: impl Future<Output = T>) -> T {
    // The sandbox tells of the parts of a run itself.
    if phase != Phase::Run {
        handle.tell(Progress::Phase(phase.as_str()));
    }
    let began = tokio::time::Instant::now();
    let done = work.await;
    pool.meters.phase(phase, began.elapsed());
    done
}
