//! What both kinds of host have: the books, and the bounds on what calls may use up.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};

use rustix::io::Errno;
use types::{Kind, Text};
use wasmtime::ResourceLimiter;

use crate::trace::{FileKey, Outcome, Trace};

/// Open files, folders and sockets of a module, at most: they are descriptors of this process.
pub(crate) const OPEN_MAX: usize = 256;
/// Names that a module may have made and not taken away: an empty file costs its folder's disk an
/// inode and nothing that is counted in bytes.
const NAMES_MAX: usize = 65_536;
/// Longest path a module may name, in bytes (Linux's `PATH_MAX`).
pub(crate) const PATH_BYTES_MAX: usize = 4_096;
/// Bytes one call may make the host copy.
pub(crate) const CALL_BYTES_MAX: usize = 32 << 20;
/// Bytes of random numbers one call may ask for.
pub(crate) const RANDOM_BYTES_MAX: u64 = 1 << 20;
/// Memory an element of a table is counted as: a pointer and its bookkeeping.
const TABLE_ELEMENT_BYTES: usize = 16;
/// Core instances, tables and memories in one run; a component has several of each.
const INSTANCES_MAX: usize = 512;

/// The common part of a host.
#[derive(Debug)]
pub(crate) struct Host {
    pub trace: Trace,
    pub bounds: Bounds,
    next_key: FileKey,
}

impl Host {
    pub(crate) fn new(trace: Trace, bounds: Bounds) -> Self {
        Self { trace, bounds, next_key: 0 }
    }

    /// Records a call on a name, and takes account of what it made or took away.
    pub(crate) fn met(&mut self, kind: Kind, outcome: Outcome) {
        if matches!(outcome, Outcome::Done) {
            self.bounds.named(&kind);
        }
        self.trace.met(kind, outcome);
    }

    /// A name for something that was just opened.
    pub(crate) fn key(&mut self) -> FileKey {
        self.next_key += 1;
        self.next_key
    }
}

/// Bounds on memory, files and disk, and how often each was reached.
#[derive(Debug, Default)]
pub(crate) struct Bounds {
    memory_max: usize,
    memory: usize,
    pub memory_peak: usize,
    disk_max: u64,
    written: u64,
    open: usize,
    /// Hashes of the paths it made (they themselves could be long), and whether each is a folder.
    names: HashMap<u64, bool>,
    hasher: RandomState,
    /// Counts renamed folders: whatever was below one has another path now, and still counts.
    renamed: u64,
    reached: BTreeMap<&'static str, (String, u64)>,
}

impl Bounds {
    pub(crate) fn new(memory_bytes: u64, disk_bytes: u64) -> Self {
        let memory_max = usize::try_from(memory_bytes).unwrap_or(usize::MAX);
        Self { memory_max, disk_max: disk_bytes, ..Self::default() }
    }

    /// Takes account of bytes that are about to be written to a file.
    pub(crate) fn write(&mut self, bytes: u64) -> Result<(), Outcome> {
        let written = self.written.saturating_add(bytes);
        if written > self.disk_max {
            self.reach("disk", format!("writing past {} bytes was refused", self.disk_max));
            return Err(Outcome::Blocked(Errno::NOSPC.raw_os_error()));
        }
        self.written = written;
        Ok(())
    }

    /// Whether a file may be made this long.
    pub(crate) fn length(&mut self, bytes: u64) -> Result<(), Outcome> {
        if bytes > self.disk_max {
            self.reach("disk", format!("a file longer than {} bytes was refused", self.disk_max));
            return Err(Outcome::Blocked(Errno::NOSPC.raw_os_error()));
        }
        Ok(())
    }

    /// Whether one more file or socket may be opened.
    pub(crate) fn may_open(&mut self) -> Result<(), Outcome> {
        if self.open >= OPEN_MAX {
            self.reach("files", format!("more than {OPEN_MAX} open files were refused"));
            return Err(Outcome::Blocked(Errno::MFILE.raw_os_error()));
        }
        Ok(())
    }

    /// Whether this path may be made, should it not be there yet.
    pub(crate) fn may_make(&mut self, path: &Text) -> Result<(), Outcome> {
        if self.names.len() >= NAMES_MAX && !self.names.contains_key(&self.hash(path)) {
            self.reach("disk", format!("more than {NAMES_MAX} new names were refused"));
            return Err(Outcome::Blocked(Errno::NOSPC.raw_os_error()));
        }
        Ok(())
    }

    /// Takes account of a call that was done.
    fn named(&mut self, kind: &Kind) {
        match kind {
            Kind::Open { path, create: true, .. } | Kind::Link { to: path, .. } => {
                self.names.insert(self.hash(path), false);
            }
            Kind::Mkdir { path } => drop(self.names.insert(self.hash(path), true)),
            Kind::Unlink { path, .. } => drop(self.names.remove(&self.hash(path))),
            Kind::Rename { from, to } => {
                let from = self.hash(from);
                if self.names.get(&from) == Some(&false) {
                    self.names.remove(&from);
                    self.names.insert(self.hash(to), false);
                } else {
                    self.renamed += 1;
                }
            }
            _ => {}
        }
    }

    fn hash(&self, path: &Text) -> u64 {
        self.hasher.hash_one((self.renamed, path.as_bytes()))
    }

    pub(crate) fn opened(&mut self) {
        self.open += 1;
    }

    pub(crate) fn closed(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    fn reach(&mut self, limit: &'static str, detail: String) {
        self.reached.entry(limit).or_insert((detail, 0)).1 += 1;
    }

    /// What was reached, as events.
    pub(crate) fn reached(&self) -> Vec<Kind> {
        let kind = |(limit, (detail, count)): (&&'static str, &(String, u64))| Kind::LimitReached {
            limit: (*limit).to_owned(),
            detail: format!("{detail} ({count} times)"),
        };
        self.reached.iter().map(kind).collect()
    }

    fn grow(&mut self, current: usize, desired: usize) -> bool {
        let total = self.memory.saturating_sub(current).saturating_add(desired);
        if total > self.memory_max {
            self.reach("memory", format!("growing past {} bytes was refused", self.memory_max));
            return false;
        }
        self.memory = total;
        self.memory_peak = self.memory_peak.max(total);
        true
    }
}

impl ResourceLimiter for Bounds {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.grow(current, desired))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let bytes = |elements: usize| elements.saturating_mul(TABLE_ELEMENT_BYTES);
        Ok(self.grow(bytes(current), bytes(desired)))
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        INSTANCES_MAX
    }

    fn memories(&self) -> usize {
        INSTANCES_MAX
    }
}

/// A path that a call names in a folder, absolute and without `.` and `..`: where it was meant to
/// lead, also when that is outside of the folder.
pub(crate) fn join(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let start = if path.starts_with('/') { "" } else { folder };
    for part in start.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::{Bounds, join};
    use wasmtime::ResourceLimiter as _;

    #[test]
    fn paths_lead_where_they_were_meant_to() {
        for (folder, path, expect) in [
            ("/data", "a/./b", "/data/a/b"),
            ("/data", "../etc/shadow", "/etc/shadow"),
            ("/data", "../../../x", "/x"),
            ("/data", "/etc/shadow", "/etc/shadow"),
            ("/data", ".", "/data"),
            ("?", "a", "/?/a"),
        ] {
            assert_eq!(join(folder, path), expect);
        }
    }

    #[test]
    fn memory_and_tables_share_one_bound() {
        let mut bounds = Bounds::new(1_000, 10);
        assert!(bounds.memory_growing(0, 600, None).unwrap());
        assert!(!bounds.table_growing(0, 30, None).unwrap());
        assert!(bounds.table_growing(0, 25, None).unwrap());
        assert!(!bounds.memory_growing(600, 700, None).unwrap());
        assert_eq!(bounds.memory_peak, 1_000);
        assert_eq!(bounds.reached().len(), 1);
        assert!(bounds.write(10).is_ok() && bounds.write(1).is_err());
    }
}
