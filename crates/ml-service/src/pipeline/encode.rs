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

impl Encoded {
    /// Values that say something.
    pub(crate) fn values(&self) -> u64 {
        let cells = self.admitted.batch.columns.iter().flat_map(|column| &column.cells);
        let said = cells.flatten().filter(|value| value.kind().is_some());
        u64::try_from(said.count()).unwrap_or(u64::MAX)
    }

    pub(crate) fn payload_bytes(&self) -> u64 {
        u64::try_from(self.segment.payload.len()).unwrap_or(u64::MAX)
    }
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
