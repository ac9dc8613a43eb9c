//! Looks at the folder of a server that does not run, or that does: nothing is changed.

use std::path::{Path, PathBuf};

use slo::history::History;
use slo::{Catalog, Status};

use crate::engine::evaluated;
use crate::record::{Mark, OverrideUse};
use crate::{LedgerError, keep};

/// What a folder says.
#[derive(Debug)]
pub struct Read {
    pub history: History,
    /// Of all objectives of the catalog, in its order, with the alerts as they would be.
    pub statuses: Vec<Status>,
    /// Which objectives were frozen for the gate.
    pub memory: slo::gate::Memory,
    /// Files with something wrong: what was in them is not covered.
    pub damaged: Vec<PathBuf>,
    /// Newest first.
    pub marks: Vec<Mark>,
    pub overrides: Vec<OverrideUse>,
}

/// Reads a folder and evaluates it as of `now_us`.
///
/// # Errors
/// A folder that cannot be read, or is of another version.
pub fn read(folder: &Path, catalog: &Catalog, now_us: i64) -> Result<Read, LedgerError> {
    let (book, damaged) = keep::read(folder)?;
    let mut statuses = evaluated(catalog, &book.history, now_us);
    let mut state = book.state;
    state.alerts.step(catalog, &mut statuses, now_us);
    state.memory.step(catalog, &statuses);
    Ok(Read {
        history: book.history,
        statuses,
        memory: state.memory,
        damaged,
        marks: book.marks.into_iter().rev().collect(),
        overrides: book.overrides.into_iter().rev().collect(),
    })
}
