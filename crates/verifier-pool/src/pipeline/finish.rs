//! Keeps the result, once: the store takes it only from the newest lease.

use std::time::Duration;

use store::StoreError;
use store::domain::{Lease, Outcome};
use types::Verdict;

use super::Setback;
use super::assess::Assessed;
use crate::metrics::Result as Counted;
use crate::pool::Pool;

/// A result that cost a run is worth waiting for a disk to get room: this often is it offered, with
/// pauses that grow from the first to the second of these, about five minutes in all.
const TRIES_MAX: u32 = 35;
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);

#[tracing::instrument(skip_all, name = "finish")]
pub(super) async fn finish(pool: &Pool, lease: &Lease, assessed: Assessed) -> Result<(), Setback> {
    let result = match assessed.assessment.verdict {
        Verdict::Benign => Counted::Benign,
        Verdict::Suspicious => Counted::Suspicious,
        Verdict::Malicious => Counted::Malicious,
        Verdict::Inconclusive => Counted::Inconclusive,
    };
    let summary = assessed.summary();
    let outcome = Outcome::Report { summary, report: assessed.report };
    keep(pool, lease, outcome, result).await.map_err(|_| Setback::Unkept)
}

/// Keeps an outcome, and counts it as `result` once it is kept.
///
/// # Errors
/// When the store did not take it in all the tries.
pub(crate) async fn keep(
    pool: &Pool,
    lease: &Lease,
    outcome: Outcome,
    result: Counted,
) -> Result<(), StoreError> {
    let mut pause = PAUSE_MIN;
    let mut tries = 1;
    loop {
        let now_us = pool.parts.clock.now_us();
        let finishing = pool.parts.verifications.finish(lease, outcome.clone(), now_us);
        match pool.meters.store.time(finishing).await {
            Ok(true) => {
                pool.meters.ended(result);
                return Ok(());
            }
            // Somebody else has the lease and will have, or has, the result.
            Ok(false) => {
                pool.meters.leases_lost.inc();
                tracing::info!("another worker has this verification; this result is dropped");
                return Ok(());
            }
            Err(error) if tries == TRIES_MAX => return Err(error),
            Err(error) => {
                tracing::warn!(%error, tries, "the result could not be kept yet");
                pool.meters.store_retries.inc();
            }
        }
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2).min(PAUSE_MAX);
        tries += 1;
    }
}
