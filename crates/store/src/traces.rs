//! The archive of traces that are worth keeping: a ring of files, bounded in bytes, found by trace id.
//!
//! ```text
//! FOLDER/0000000007.traces    records one after the other; the highest number is written to
//! ```
//!
//! A file that is full is followed by another one, and the oldest file goes when there are too many
//! bytes. The index is in memory and made from the files at start. What a record holds is its writer's
//! ([`runtime::telemetry::Archive`]); here it is bytes with a key.
//!
//! **Assumptions.** What a write that did not complete has left at a file's end is anything, and
//! everything before it is untouched. Traces are no accounts: a record is handed to the system and
//! not waited for, so that `kill -9` loses none that was taken and a power cut may lose the newest
//! seconds. A segment is synced when it is full.
//!
//! **Invariants.** A record that is found is the one that was written, or it is not found. The files
//! are never larger together than is allowed. A disk that is full or read-only fails a call and
//! nothing else: what is there can be read.

use std::collections::{HashMap, VecDeque};
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use runtime::telemetry::{Archive, ArchiveError, TraceKey};
use serde::{Deserialize, Serialize};

mod record;
mod segment;

use segment::{Found, Place, Segment};

/// Segments of a full archive; one of so many parts is forgotten at once.
const SEGMENTS: u64 = 16;
/// Segments at most, also when some were ended early; each is an open file.
const SEGMENTS_MAX: usize = 64;
/// Traces that can be found; the index takes about 100 bytes for each.
const TRACES_MAX: usize = 262_144;
/// Summaries of the newest traces, in memory.
const SUMMARIES_MAX: usize = 4096;

/// Bounds of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TraceArchiveLimits {
    /// Of all files together.
    pub bytes_max: u64,
    /// Of one trace; at most a sixteenth of all.
    pub trace_bytes_max: u64,
}

impl Default for TraceArchiveLimits {
    fn default() -> Self {
        Self { bytes_max: 256 << 20, trace_bytes_max: 8 << 20 }
    }
}

/// Why there is no archive.
#[derive(Debug, thiserror::Error)]
pub enum TraceArchiveError {
    #[error("the folder of the traces {path:?} cannot be made or opened")]
    Folder {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the traces in {path:?} belong to another process that runs")]
    Locked { path: PathBuf },
    #[error("the traces {path:?} cannot be read")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// What was found at start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RecoveredTraces {
    pub traces: usize,
    /// Bytes of a record that was being written when the process ended.
    pub torn_bytes: u64,
    /// Bytes in older files that cannot be read.
    pub damaged_bytes: u64,
}

/// Traces on disk. One process has it.
#[derive(Debug)]
pub struct TraceArchive {
    folder: PathBuf,
    limits: TraceArchiveLimits,
    recovered: RecoveredTraces,
    /// Held as long as this lives.
    _lock: File,
    writer: Mutex<Writer>,
    index: Mutex<Index>,
}

#[derive(Debug)]
struct Writer {
    next: u64,
    /// The newest segment takes no more records.
    ended: bool,
}

/// What can be found. Nobody holds it while a file is written or read.
#[derive(Debug, Default)]
struct Index {
    places: HashMap<TraceKey, Place>,
    /// Oldest first.
    segments: VecDeque<Segment>,
    /// Of the newest records, oldest first; also of some that are gone or were replaced.
    summaries: VecDeque<(Place, Vec<u8>)>,
}

impl TraceArchive {
    /// Opens a folder, making it if need be, and finds what is there.
    ///
    /// # Errors
    /// See [`TraceArchiveError`]. A folder that cannot be written to is no error here.
    pub fn open(folder: &Path, limits: TraceArchiveLimits) -> Result<Self, TraceArchiveError> {
        let at = |source| TraceArchiveError::Folder { path: folder.to_path_buf(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(at)?;
        // The folder itself is what is locked: that can be done where nothing can be written.
        let lock = File::open(folder).map_err(at)?;
        lock.try_lock().map_err(|_| TraceArchiveError::Locked { path: folder.to_path_buf() })?;
        let read = |source| TraceArchiveError::Read { path: folder.to_path_buf(), source };
        let numbers = segment::list(folder).map_err(read)?;
        let last = numbers.last().copied();
        let mut index = Index::default();
        let mut recovered = RecoveredTraces::default();
        let mut ended = true;
        for number in numbers {
            let newest = Some(number) == last;
            let found = |found| index_found(&mut index, found);
            let mut segment = match Segment::open(folder, number, newest, found) {
                Ok(segment) => segment,
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(number, error, "a file of traces cannot be opened; left out");
                    continue;
                }
            };
            let unread = segment.bytes - segment.end;
            if newest {
                recovered.torn_bytes = unread;
                ended = !segment.cut();
            } else {
                recovered.damaged_bytes += unread;
            }
            index.segments.push_back(segment);
        }
        recovered.traces = index.places.len();
        if recovered.torn_bytes + recovered.damaged_bytes > 0 {
            let RecoveredTraces { traces, torn_bytes, damaged_bytes } = recovered;
            tracing::warn!(traces, torn_bytes, damaged_bytes, "some archived traces are lost");
        }
        let archive = Self {
            folder: folder.to_path_buf(),
            limits,
            recovered,
            _lock: lock,
            writer: Mutex::new(Writer { next: last.map_or(1, |last| last + 1), ended }),
            index: Mutex::new(index),
        };
        // The bound may be a smaller one than last time.
        archive.make_room(0);
        Ok(archive)
    }

    /// What was found at start.
    #[must_use]
    pub fn recovered(&self) -> RecoveredTraces {
        self.recovered
    }

    fn segment_bytes(&self) -> u64 {
        self.limits.bytes_max / SEGMENTS
    }

    /// Forgets the oldest segments until there is room for so many bytes more.
    fn make_room(&self, bytes: u64) {
        loop {
            let gone = {
                let mut index = self.index();
                let full = index.bytes() + bytes > self.limits.bytes_max
                    || index.segments.len() > SEGMENTS_MAX
                    || index.places.len() > TRACES_MAX;
                if !full {
                    return;
                }
                let Some(gone) = index.segments.pop_front() else { return };
                index.places.retain(|_, place| place.segment != gone.number);
                gone
            };
            if let Err(error) = std::fs::remove_file(&gone.path) {
                let (path, error) = (gone.path.display(), &error as &dyn std::error::Error);
                tracing::warn!(%path, error, "an old file of traces cannot be removed");
            }
        }
    }

    /// The segment to write to, with room for so many bytes.
    fn current(&self, writer: &mut Writer, bytes: u64) -> io::Result<Segment> {
        let newest = self.index().segments.back().cloned();
        let usable = newest.filter(|segment| {
            !writer.ended && segment.end + bytes <= self.segment_bytes().max(bytes)
        });
        if let Some(segment) = usable {
            return Ok(segment);
        }
        if let Some(full) = self.index().segments.back().filter(|_| !writer.ended).cloned() {
            // What a system that stops takes along should not be a whole segment.
            let _ = full.file.sync_data();
        }
        let segment = Segment::create(&self.folder, writer.next)?;
        writer.next += 1;
        writer.ended = false;
        self.index().segments.push_back(segment.clone());
        Ok(segment)
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Archive for TraceArchive {
    fn put(&self, key: TraceKey, summary: &[u8], trace: &[u8]) -> Result<(), ArchiveError> {
        let bytes = summary.len() as u64 + trace.len() as u64;
        // A header and a head fit beside it.
        let bytes_max = self.limits.trace_bytes_max.min(self.segment_bytes().saturating_sub(64));
        let too_large = || ArchiveError::TooLarge { bytes, bytes_max };
        let encoded = (bytes <= bytes_max).then(|| record::encode(key, summary, trace)).flatten();
        let (head, record) = encoded.ok_or_else(too_large)?;
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        // With the header of another segment, if that is needed.
        self.make_room(record.len() as u64 + 8);
        let write = |source| ArchiveError::Write { source };
        let mut segment = self.current(&mut writer, record.len() as u64).map_err(write)?;
        let written = segment.append(head, &record);
        let mut index = self.index();
        if let Some(newest) = index.segments.back_mut().filter(|s| s.number == segment.number) {
            newest.end = segment.end;
            newest.bytes = segment.bytes;
        }
        match written {
            Ok(place) => {
                index_found(&mut index, Found { place, summary: summary.to_vec() });
                Ok(())
            }
            Err((source, whole)) => {
                writer.ended = !whole;
                Err(ArchiveError::Write { source })
            }
        }
    }

    fn get(&self, key: TraceKey) -> Result<Option<Vec<u8>>, ArchiveError> {
        let (file, place) = {
            let index = self.index();
            let Some(place) = index.places.get(&key).copied() else { return Ok(None) };
            let mut segments = index.segments.iter();
            let segment = segments.find(|segment| segment.number == place.segment);
            (segment.ok_or(ArchiveError::Damaged)?.file.clone(), place)
        };
        // A file that is removed meanwhile can still be read.
        segment::read(&file, place).map(Some)
    }

    fn contains(&self, key: TraceKey) -> bool {
        self.index().places.contains_key(&key)
    }

    fn newest(&self, limit: usize) -> Vec<Vec<u8>> {
        let index = self.index();
        let current = |place: &Place| index.places.get(&segment::key(place)) == Some(place);
        let summaries = index.summaries.iter().rev().filter(|(place, _)| current(place));
        summaries.take(limit).map(|(_, summary)| summary.clone()).collect()
    }

    fn bytes(&self) -> u64 {
        self.index().bytes()
    }

    fn len(&self) -> usize {
        self.index().places.len()
    }
}

impl Index {
    fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }
}

fn index_found(index: &mut Index, found: Found) {
    index.places.insert(segment::key(&found.place), found.place);
    index.summaries.push_back((found.place, found.summary));
    if index.summaries.len() > SUMMARIES_MAX {
        index.summaries.pop_front();
    }
}

#[cfg(test)]
mod tests;
