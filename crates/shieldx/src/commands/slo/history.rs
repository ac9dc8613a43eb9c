//! The ledger's folder, read and filled without a server.

use runtime::clock::{Clock as _, System};
use slo::Catalog;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::place::Place;
use crate::request::show;
use crate::request::slo::read_catalog;

/// Of the ledger, in the data folder.
pub(super) const FOLDER: &str = "ledger";

/// What a folder says, and by which objectives.
pub(super) struct Offline {
    pub catalog: Catalog,
    pub read: ledger::Read,
}

/// Reads the folder of a server that does not run.
pub(super) fn read(place: &Place) -> Result<Offline, Failure> {
    let catalog = catalog(place)?;
    let read = ledger::read(&place.folder.join(FOLDER), &catalog, System.now_us())
        .map_err(|error| Failure::of(Exit::Failed, &error))?;
    Ok(Offline { catalog, read })
}

fn catalog(place: &Place) -> Result<Catalog, Failure> {
    let text = place.objectives().ok_or_else(|| {
        let shown = show(&place.folder);
        Failure::new(Exit::Failed, format!("{shown}: no server with objectives ran here yet"))
            .hint("`shieldx up` starts one; --data names another folder")
    })?;
    read_catalog(&text, None)
}
