//! What is counted of the looks of one run, and the words for it.

use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) glances: AtomicU64,
    pub(super) ends: AtomicU64,
    pub(super) execs: AtomicU64,
    pub(super) looks: AtomicU64,
    pub(super) freezes: AtomicU64,
    pub(super) longest_hold_us: AtomicU64,
    pub(super) gone: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) cut: AtomicU64,
    pub(super) not_compared: AtomicU64,
    pub(super) scans_failed: AtomicU64,
    /// Looks that were not made because a bound of this room was reached.
    pub(super) skipped: AtomicU64,
    pub(super) waiting_bytes: AtomicU64,
    pub(super) cores: AtomicU64,
    pub(super) cores_failed: AtomicU64,
}

pub(super) fn count(counter: &AtomicU64, by: u64) -> u64 {
    counter.fetch_add(by, Ordering::Relaxed)
}

impl Books {
    /// Single processes come and go; only when nothing at all could be read is evidence missing.
    pub(super) fn fault(&self) -> Option<String> {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let refused = get(&self.refused);
        (refused > 0 && get(&self.looks) == 0 && get(&self.glances) == refused)
            .then(|| format!("the memory of none of {refused} processes could be read"))
    }

    /// A sample can spend the looks of a run on processes that are there to be looked at.
    pub(super) fn whole(&self) -> bool {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        get(&self.skipped) == 0 && get(&self.scans_failed) == 0
    }
}

pub(super) fn note(books: &Books) -> String {
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let mut note = format!(
        "{} processes glanced at before they ended, {} looked at closely; longest hold {} us",
        get(&books.glances),
        get(&books.looks),
        get(&books.longest_hold_us)
    );
    for (counter, what) in [
        (&books.freezes, "times everything was frozen"),
        (&books.gone, "processes were gone before they could be looked at"),
        (&books.refused, "processes could not be read"),
        (&books.cut, "looks ended at their bound of time or bytes"),
        (&books.skipped, "looks were not made: too many"),
        (&books.not_compared, "files of executable text could not be compared"),
        (&books.scans_failed, "scans for patterns did not come to their end"),
        (&books.cores, "core files written"),
        (&books.cores_failed, "core files could not be written"),
    ] {
        if get(counter) > 0 {
            note.push_str(&format!("; {} {what}", get(counter)));
        }
    }
    note
}
