//! Last phase: the latest values, and for runs the reference of the anomaly, learn of the batch.

use crate::anomaly;
use crate::pipeline::Accepted;
use crate::pipeline::append::Durable;
use crate::service::Core;

#[tracing::instrument(skip_all, name = "index")]
pub fn index(core: &Core, durable: Durable) -> Accepted {
    let (position, admitted) = (durable.position, durable.admitted);
    let view = admitted.locked.view();
    let added = view.write().apply(&admitted.batch);
    admitted.reservation.settle(added);
    if &*view.name == anomaly::VIEW {
        core.references.learn(&view.tenant, &admitted.batch);
    }
    Accepted { rows: admitted.batch.rows.len() as u64, position }
}
