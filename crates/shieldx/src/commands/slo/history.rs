//! The ledger's folder, read and filled without a server.

use std::fmt::Write as _;
use std::time::Duration;

use runtime::clock::{Clock as _, System};
use slo::Catalog;

use super::print;
use crate::exit::Exit;
use crate::failure::{self, Failure};
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
    for path in &read.damaged {
        failure::note(&format!("{} is damaged; what was in it is not covered", show(path)));
    }
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

/// Fills the folder's past from a Prometheus; the server has to be stopped meanwhile.
pub(super) fn backfill(
    place: &Place,
    given: Option<&Catalog>,
    prometheus: &str,
    since: Duration,
) -> Result<Exit, Failure> {
    let kept = if given.is_none() { Some(catalog(place)?) } else { None };
    let Some(catalog) = given.or(kept.as_ref()) else { return Ok(Exit::Success) };
    place.create()?;
    let now_us = System.now_us();
    let since_us = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
    let span = (now_us.saturating_sub(since_us), now_us);
    let mut tell = |name: &slo::SloName| failure::note(&format!("asking for {name}"));
    let filled = ledger::backfill::backfill(
        &place.folder.join(FOLDER),
        catalog,
        prometheus,
        span,
        &mut tell,
    )
    .map_err(|error| Failure::of(Exit::Failed, &error))?;
    let mut text = String::from(
        "OBJECTIVE                     MINUTES    TAKEN  COUNTED ALREADY       GOOD        BAD\n",
    );
    for one in &filled {
        // Writing into a string does not fail.
        let _ = writeln!(
            text,
            "{:<28} {:>8} {:>8} {:>16} {:>10} {:>10}",
            one.slo.as_str(),
            one.found,
            one.minutes.taken,
            one.minutes.overlapping,
            one.events.good,
            one.events.bad
        );
    }
    print(&text)?;
    Ok(Exit::Success)
}
