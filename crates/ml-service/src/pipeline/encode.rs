//! Third phase: the batch as bytes ([`crate::codec`]).

use store::domain::Segment;

use crate::codec;
use crate::pipeline::admit::Admitted;

/// A batch and its bytes; made only here.
#[derive(Debug)]
pub struct Encoded {
    pub(super) segment: Segment,
    pub(super) admitted: Admitted,
}

#[must_use]
#[tracing::instrument(skip_all, name = "encode")]
pub fn encode(admitted: Admitted) -> Encoded {
    let (event_min_us, event_max_us) = admitted.batch.event_range_us();
    let view = admitted.locked.view();
    let segment = Segment {
        tenant: view.tenant.clone(),
        view: view.name.to_string(),
        event_min_us,
        event_max_us,
        rows: u32::try_from(admitted.batch.rows.len()).unwrap_or(u32::MAX),
        payload: codec::encode(&admitted.batch),
    };
    Encoded { segment, admitted }
}
