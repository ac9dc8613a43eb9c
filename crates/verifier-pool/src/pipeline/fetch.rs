//! Finds the artifact's bytes.

use store::domain::Lease;
use types::ports::Execution;

use super::Setback;
use crate::pool::Pool;

/// An order whose artifact is there.
#[derive(Debug)]
pub(super) struct Fetched(pub(super) Execution);

#[tracing::instrument(skip_all, name = "fetch", fields(artifact.bytes = lease.verification.order.size_bytes))]
pub(super) async fn fetch(pool: &Pool, lease: &Lease) -> Result<Fetched, Setback> {
    let verification = &lease.verification;
    let order = &verification.order;
    let gone = || Setback::Hopeless { reason: "the artifact is gone from the store".to_owned() };
    let artifact =
        pool.parts.artifacts.path(&verification.tenant, &order.sha256).ok_or_else(gone)?;
    Ok(Fetched(Execution {
        id: verification.id.clone(),
        artifact,
        file_name: order.file_name.clone(),
        interpreter: order.interpreter.clone(),
        arguments: order.arguments.clone(),
        runner: order.runner.clone(),
        timeout_ms: order.timeout_ms,
        memory_bytes: pool.run_memory_bytes(),
        output_bytes: pool.config.output_bytes,
    }))
}
