//! Tells the caller that its request goes no further, and how. A caller in the tarpit is told what a
//! blocked one is, later.

use runtime::http::Problem;

use super::decide::Refused;
use crate::respond;
use crate::service::Shared;

#[tracing::instrument(skip_all, name = "refuse")]
pub(super) async fn refuse(gateway: &Shared, refused: Refused) -> Problem {
    match refused {
        Refused::StepUp { reason } => respond::step_up(&reason),
        Refused::Block { reason } => respond::blocked(reason.as_deref()),
        Refused::Tarpit => {
            gateway.tarpit.wait().await;
            respond::blocked(None)
        }
    }
}
