//! Keeps what happens: into the journal first, then into what is looked at. **Invariant:** nothing is
//! in the [`Book`] that is not durable.
//!
//! While the disk takes nothing, samples are held back, at most [`PENDING_MAX`] of them, and written
//! together when it does again. The time of those that could not be held is not covered: the counts in
//! it are in the next one.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use serde_json::Value;
use slo::history::Sample;
use store::journal::{self, Contents, Journal, JournalError, Limits};
use types::cause::chain;

use crate::LedgerError;
use crate::config::{PENDING_MAX, SNAPSHOT_EVERY_US};
use crate::meters::Meters;
use crate::record::{Book, Record, State};
use crate::sample::Sampler;

/// The one who writes.
#[derive(Debug)]
pub(crate) struct Keeper {
    journal: Journal,
    pub(crate) sampler: Sampler,
    pending: VecDeque<Sample>,
    /// Why the last write failed, and since when they do.
    failing: Option<Failing>,
    /// The essence of the state that was last written.
    state: Value,
    snapshot_at_us: i64,
    meters: Meters,
}

#[derive(Debug, Clone)]
pub(crate) struct Failing {
    pub(crate) since_us: i64,
    pub(crate) reason: String,
    /// Not the disk, but the log.
    full: bool,
}

impl Keeper {
    /// Reads what is kept.
    pub(crate) fn open(
        folder: &Path,
        sampler: Sampler,
        meters: Meters,
        now_us: i64,
    ) -> Result<(Self, Book), LedgerError> {
        let failed = |source| LedgerError::Journal { path: folder.to_owned(), source };
        let (journal, contents) = Journal::open(folder, Limits::default()).map_err(failed)?;
        tell_damage(folder, &contents);
        let many = contents.records.len() > PENDING_MAX;
        let book = book_of(folder, contents)?;
        meters.journal_bytes.set(i64::try_from(journal.bytes()).unwrap_or(i64::MAX));
        let state = book.state.essence();
        let snapshot_at_us = if many { now_us - SNAPSHOT_EVERY_US } else { now_us };
        let (pending, failing) = (VecDeque::new(), None);
        let keeper = Self { journal, sampler, pending, failing, state, snapshot_at_us, meters };
        Ok((keeper, book))
    }

    /// Makes a sample durable, with those that could not be before; gives those that now are.
    pub(crate) fn keep(&mut self, sample: Sample, now_us: i64) -> Vec<Sample> {
        if self.pending.len() >= PENDING_MAX {
            self.pending.pop_front();
            self.meters.samples_dropped.inc();
        }
        self.pending.push_back(sample);
        let records: Vec<_> = self.pending.iter().map(Record::sample).collect();
        match self.write(&records, now_us) {
            Ok(()) => self.pending.drain(..).collect(),
            Err(_) => {
                // One of those that are held may have to go: each of them tells all.
                self.sampler.tell_all();
                Vec::new()
            }
        }
    }

    /// Makes the state durable, where it has changed; what cannot be is tried again the next time.
    pub(crate) fn keep_state(&mut self, state: &State, now_us: i64) {
        let essence = state.essence();
        if essence != self.state && self.write(&[Record::state(state)], now_us).is_ok() {
            self.state = essence;
        }
    }

    pub(crate) fn write(&mut self, records: &[Vec<u8>], now_us: i64) -> Result<(), JournalError> {
        let slices: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        let written = self.journal.append_all(&slices);
        self.note(&written, now_us);
        written
    }

    /// Writes everything anew where it is time to, or where the log is full.
    pub(crate) fn snapshot_if_due(&mut self, book: &Book, now_us: i64) {
        let full = self.failing.as_ref().is_some_and(|failing| failing.full);
        if full || now_us - self.snapshot_at_us >= SNAPSHOT_EVERY_US {
            self.snapshot(book, now_us);
        }
    }

    /// The next evaluation writes everything anew.
    pub(crate) fn snapshot_next(&mut self, now_us: i64) {
        self.snapshot_at_us = now_us - SNAPSHOT_EVERY_US;
    }

    pub(crate) fn snapshot(&mut self, book: &Book, now_us: i64) {
        let written = self.journal.snapshot(&book.snapshot());
        if written.is_ok() {
            self.snapshot_at_us = now_us;
            self.meters.snapshots.inc();
        }
        self.note(&written, now_us);
    }

    pub(crate) fn failing(&self) -> Option<&Failing> {
        self.failing.as_ref()
    }

    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.journal.bytes()
    }

    /// Counts a failure, and says it once.
    fn note(&mut self, written: &Result<(), JournalError>, now_us: i64) {
        self.meters.journal_bytes.set(i64::try_from(self.journal.bytes()).unwrap_or(i64::MAX));
        match written {
            Ok(()) => {
                if let Some(failing) = self.failing.take() {
                    let since = runtime::clock::rfc3339(failing.since_us);
                    tracing::info!(since, "the ledger keeps counts again");
                }
            }
            Err(error) => {
                self.meters.journal_errors.inc();
                let reason = chain(error);
                if self.failing.is_none() {
                    tracing::error!(
                        reason,
                        "the ledger cannot keep counts; objectives stand still until it can"
                    );
                }
                let since_us = self.failing.as_ref().map_or(now_us, |failing| failing.since_us);
                let full = matches!(error, JournalError::Full { .. });
                self.failing = Some(Failing { since_us, reason, full });
            }
        }
    }
}

/// What a folder says, for whoever does not write to it, and which of its files are damaged.
pub(crate) fn read(folder: &Path) -> Result<(Book, Vec<PathBuf>), LedgerError> {
    let failed = |source| LedgerError::Journal { path: folder.to_owned(), source };
    let contents = journal::read(folder, Limits::default()).map_err(failed)?;
    let damaged = contents.damage.damaged.iter().map(|(path, _)| path.clone()).collect();
    Ok((book_of(folder, contents)?, damaged))
}

pub(crate) fn book_of(folder: &Path, contents: Contents) -> Result<Book, LedgerError> {
    let mut book = match contents.snapshot {
        Some(bytes) => Book::restore(&bytes)
            .ok_or_else(|| LedgerError::Unreadable { path: folder.to_owned() })?,
        None => Book::default(),
    };
    let mut unknown: u64 = 0;
    for bytes in contents.records {
        match Record::decode(&bytes) {
            Some(record) => drop(book.apply(record)),
            None => unknown += 1,
        }
    }
    if unknown > 0 {
        tracing::warn!(folder = %folder.display(), unknown, "records that are not understood");
    }
    Ok(book)
}

/// Says what could not be read.
pub(crate) fn tell_damage(folder: &Path, contents: &Contents) {
    let folder = folder.display();
    let damage = &contents.damage;
    if damage.torn_bytes > 0 {
        let bytes = damage.torn_bytes;
        tracing::info!(%folder, bytes, "an append that was not completed has been cut off");
    }
    for (path, bytes) in &damage.damaged {
        let path = path.display();
        tracing::error!(%path, bytes, "a file of the ledger is damaged; what was in it is not covered");
    }
}
