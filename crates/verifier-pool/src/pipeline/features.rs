//! Turns a recording into numbers. Which, the judge knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use tracing::field::Empty;
use types::Recording;

use super::Setback;
use super::run::Ran;
use crate::metrics::Counting;
use crate::pool::Pool;

/// A run and the numbers that describe it.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) recording: Recording,
    pub(super) counting: Counting,
    pub(super) values: BTreeMap<String, f64>,
}

#[tracing::instrument(skip_all, name = "features", fields(features = Empty))]
pub(super) async fn describe(pool: &Pool, ran: Ran) -> Result<Described, Setback> {
    let judge = Arc::clone(&pool.parts.judge);
    let Ran { recording, counting } = ran;
    // A recording may have half a million events: not on a thread that serves requests.
    let described = tokio::task::spawn_blocking(move || {
        let values = judge.features(&recording);
        Described { recording, counting, values }
    });
    let described = described.await.map_err(|error| Setback::Again {
        reason: format!("the run could not be described: {error}"),
    })?;
    tracing::Span::current().record("features", described.values.len());
    Ok(described)
}
