//! Fourth phase: into the log. What comes out is durable.

use crate::error::MlError;
use crate::pipeline::admit::{self, Admitted};
use crate::pipeline::encode::Encoded;
use crate::service::Core;

/// A batch that outlives the process; made only here.
#[derive(Debug)]
pub struct Durable {
    pub(super) position: u64,
    pub(super) admitted: Admitted,
}

/// # Errors
/// [`MlError::Store`]; then the batch is not in the log.
#[tracing::instrument(skip_all, name = "append", fields(bytes = encoded.segment.payload.len()))]
pub async fn append(core: &Core, encoded: Encoded) -> Result<Durable, MlError> {
    let Encoded { segment, admitted } = encoded;
    match core.metrics.store().time(core.log.append(segment)).await {
        Ok(position) => Ok(Durable { position, admitted }),
        Err(error) => {
            admit::abandon(core, admitted.locked);
            Err(MlError::store(error))
        }
    }
}
