//! One worker: claims, keeps its lease alive while it runs, and hands back what it cannot finish.
//! What a run consists of is in `pipeline`.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use runtime::telemetry;
use store::domain::{Lease, Outcome};
use tokio::sync::OwnedSemaphorePermit;
use tracing::Instrument as _;
use types::cause::panic_text;

use super::{Pool, mebibytes};
use crate::hub::Handle;
use crate::metrics::Result as Counted;
use crate::pipeline::{self, Setback};

/// A pause after the store failed to answer.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// How long shutdown waits for a run to be handed back; after that its lease ends by itself.
const RELEASE_MAX: Duration = Duration::from_secs(3);
/// A run that begins within this after its submission is part of its trace; a later one has a trace of
/// its own, with a link to the submission's: whoever keeps traces has decided about that one by then.
const TRACE_JOINED_MAX: Duration = Duration::from_secs(30);
/// An idle worker looks for leases that ended at least and at most this often.
const LOOK_MIN: Duration = Duration::from_millis(20);
const LOOK_MAX: Duration = Duration::from_secs(5);

/// Works until shutdown begins.
pub(super) async fn work(pool: Arc<Pool>) {
    while let Some((lease, memory)) = next(&pool).await {
        attend(&pool, &lease).await;
        drop(memory);
    }
}

/// Waits for memory and then for something to run; `None` when shutdown began. A claim is never
/// cancelled: it would be made all the same, and nobody would run it until its lease ends.
async fn next(pool: &Pool) -> Option<(Lease, OwnedSemaphorePermit)> {
    let shutdown = pool.parts.tasks.shutdown();
    let mebibytes = mebibytes(pool.run_memory_bytes());
    let look = Duration::from_millis(pool.config.lease_ms / 10).clamp(LOOK_MIN, LOOK_MAX);
    loop {
        let memory = tokio::select! {
            biased;
            () = shutdown.wait_begun() => return None,
            // The semaphore is never closed, and a run never asks for more than there is.
            memory = Arc::clone(&pool.memory).acquire_many_owned(mebibytes) => memory.ok()?,
        };
        let now_us = pool.parts.clock.now_us();
        let claiming = pool.parts.verifications.claim(now_us, pool.lease_until_us());
        let pause = match pool.meters.store.time(claiming).await {
            Ok(Some(lease)) => {
                // There may be more than the bell was rung for.
                pool.bell.notify_one();
                return Some((lease, memory));
            }
            Ok(None) => look,
            Err(error) => {
                tracing::warn!(%error, "nothing could be claimed");
                STORE_PAUSE
            }
        };
        drop(memory);
        tokio::select! {
            () = shutdown.wait_begun() => return None,
            () = pool.bell.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Runs what was claimed, to one of its ends.
async fn attend(pool: &Arc<Pool>, lease: &Lease) {
    let verification = &lease.verification;
    let waited_us = pool.parts.clock.now_us() - verification.created_us;
    let waited = Duration::from_micros(waited_us.max(0).unsigned_abs());
    let span = tracing::info_span!(
        parent: None,
        "verify",
        otel.kind = "consumer",
        verification.id = verification.id,
        shieldx.tenant = verification.tenant.as_str(),
        attempt = verification.attempts,
        queue.wait_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX),
    );
    if let Some(submitter) = &verification.order.traceparent {
        if joins(verification.attempts, waited) {
            telemetry::continue_trace(&span, submitter);
        } else {
            telemetry::link(&span, submitter);
        }
    }
    pool.meters.running.inc();
    pool.meters.queue_wait.observe(waited.as_secs_f64());
    pool.hub.changed(&verification.id);
    hold(pool, lease).instrument(span).await;
    pool.meters.running.dec();
    pool.hub.changed(&verification.id);
}

/// Whether a run is part of its submission's trace. What comes at once is what the submitter sees; a
/// trace that is long over, or has a try in it already, is only pointed to.
fn joins(attempts: u32, waited: Duration) -> bool {
    attempts <= 1 && waited <= TRACE_JOINED_MAX
}

/// Runs it as long as the lease is ours and the process goes on.
async fn hold(pool: &Arc<Pool>, lease: &Lease) {
    let shutdown = pool.parts.tasks.shutdown();
    if shutdown.begun() {
        return hand_back(pool, lease).await;
    }
    let handle = Arc::new(pool.hub.handle(&lease.verification.id));
    tokio::select! {
        () = settle(pool, lease, &handle) => {}
        () = lose(pool, lease) => {
            pool.meters.leases_lost.inc();
            tracing::warn!("the lease went to another worker, and the run was ended");
        }
        () = shutdown.wait_begun() => hand_back(pool, lease).await,
    }
    handle.ended();
}

/// Runs it to a result, to another try, or to its failure.
async fn settle(pool: &Arc<Pool>, lease: &Lease, handle: &Arc<Handle>) {
    let verify = AssertUnwindSafe(pipeline::verify(pool, lease, handle)).catch_unwind();
    match verify.await {
        Ok(Ok(())) => {}
        Ok(Err(setback)) => recover(pool, lease, setback).await,
        Err(panic) => {
            let reason = format!("the worker panicked: {}", panic_text(panic.as_ref()));
            recover(pool, lease, Setback::Again { reason }).await;
        }
    }
}

/// Renews the lease; completes when it is no longer ours.
async fn lose(pool: &Pool, lease: &Lease) {
    let pause = Duration::from_millis((pool.config.lease_ms / 3).max(1));
    loop {
        tokio::time::sleep(pause).await;
        let renewing = pool.parts.verifications.renew(lease, pool.lease_until_us());
        match pool.meters.store.time(renewing).await {
            Ok(true) => {
                pool.meters.lease_renewals.inc();
            }
            Ok(false) => return,
            // While the store does not answer nobody else can claim it either.
            Err(error) => tracing::warn!(%error, "the lease could not be renewed"),
        }
    }
}

/// After a setback: another try, or the end.
async fn recover(pool: &Pool, lease: &Lease, setback: Setback) {
    let attempts = lease.verification.attempts;
    let mut result = Counted::Failed;
    let reason = match setback {
        Setback::Unrunnable { reason } => {
            result = Counted::Unrunnable;
            reason
        }
        Setback::Hopeless { reason } => reason,
        Setback::Again { reason } if attempts < pool.config.attempts_max => {
            tracing::warn!(?reason, attempts, "the run failed and goes back to the queue");
            pool.meters.retries.inc();
            hand_back(pool, lease).await;
            return;
        }
        Setback::Again { reason } => format!("{reason} (attempt {attempts}, the last)"),
        Setback::Unkept => {
            hand_back(pool, lease).await;
            return;
        }
    };
    tracing::warn!(?reason, "there will be no report");
    let outcome = Outcome::Failed { reason };
    if pipeline::keep(pool, lease, outcome, result).await.is_err() {
        hand_back(pool, lease).await;
    }
}

/// Gives it back to the queue; if that fails the lease ends by itself.
async fn hand_back(pool: &Pool, lease: &Lease) {
    let release = pool.meters.store.time(pool.parts.verifications.release(lease));
    match tokio::time::timeout(RELEASE_MAX, release).await {
        Ok(Ok(true)) => pool.bell.notify_one(),
        Ok(Ok(false)) => {
            pool.meters.leases_lost.inc();
        }
        Ok(Err(error)) => tracing::warn!(%error, "the run could not be given back to the queue"),
        Err(_) => tracing::warn!("the store did not take the run back in time"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, TRACE_JOINED_MAX, joins};

    #[test]
    fn only_a_first_try_that_comes_soon_is_part_of_its_submissions_trace() {
        assert!(joins(1, Duration::ZERO) && joins(1, TRACE_JOINED_MAX));
        assert!(!joins(1, TRACE_JOINED_MAX + Duration::from_nanos(1)));
        assert!(!joins(2, Duration::ZERO), "a retry, or after a restart");
    }
}
