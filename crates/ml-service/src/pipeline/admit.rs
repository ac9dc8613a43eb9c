//! Second phase: do these rows fit what the view already holds, and the bounds?

use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;
use types::Tenant;

use crate::batch::Batch;
use crate::error::MlError;
use crate::index::{COLUMNS_MAX, Reservation, View};
use crate::pipeline::validate::Validated;
use crate::service::Core;
use crate::value::Value;

/// A view that nobody else writes to now.
#[derive(Debug)]
pub struct Locked {
    view: Arc<View>,
    writer: OwnedMutexGuard<()>,
}

impl Locked {
    #[must_use]
    pub fn view(&self) -> &View {
        &self.view
    }
}

/// A batch that fits and for which there is room; made only here.
#[derive(Debug)]
pub struct Admitted {
    pub(super) batch: Batch,
    pub(super) locked: Locked,
    pub(super) reservation: Reservation,
}

/// Waits for the view's turn.
///
/// # Errors
/// [`MlError::TooManyViews`].
pub async fn lock(core: &Core, tenant: &Tenant, view: &str) -> Result<Locked, MlError> {
    let view = core.index.open(tenant, view)?;
    let writer = Arc::clone(&view.writer).lock_owned().await;
    Ok(Locked { view, writer })
}

/// Gives the view up without having written.
pub(crate) fn abandon(core: &Core, locked: Locked) {
    drop(locked.writer);
    core.index.forget_empty(locked.view);
}

/// Checks kinds and bounds, keeps room, and gives the batch its place in time.
///
/// # Errors
/// [`MlError::TypeConflict`] and the `TooMany…` ones.
#[tracing::instrument(skip_all, name = "admit")]
pub fn admit(core: &Core, locked: Locked, validated: Validated) -> Result<Admitted, MlError> {
    let mut batch = validated.into_batch();
    match check(core, &locked.view, &batch) {
        Ok(reservation) => {
            batch.created_us = core.next_created_us();
            Ok(Admitted { batch, locked, reservation })
        }
        Err(error) => {
            abandon(core, locked);
            Err(error)
        }
    }
}

fn check(core: &Core, view: &View, batch: &Batch) -> Result<Reservation, MlError> {
    let latest = view.read();
    for column in &batch.columns {
        let (Some(had), Some(got)) = (latest.kind(&column.name), column.kind) else { continue };
        if had != got {
            let says = |cell: &Option<Value>| cell.as_ref().and_then(Value::kind).is_some();
            let row = column.cells.iter().position(says).unwrap_or(0);
            let (view, column) = (view.name.to_string(), column.name.to_string());
            return Err(MlError::TypeConflict { view, column, row, had, got });
        }
    }
    let columns = latest.columns_with(batch);
    if columns > COLUMNS_MAX {
        let view = view.name.to_string();
        return Err(MlError::TooManyColumns { view, columns, max: COLUMNS_MAX });
    }
    core.usage.reserve(&view.tenant, latest.growth(batch))
}
