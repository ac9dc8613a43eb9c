//! One file of the archive: a header and records one after the other.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use runtime::telemetry::{ArchiveError, TraceKey};

use super::record::{HEAD_BYTES, Head};

/// What a segment begins with; the digit is the version of the format.
const HEADER: [u8; 8] = *b"SHXTRAC1";
const HEADER_BYTES: u64 = 8;
const SUFFIX: &str = ".traces";

/// A file, maybe being written to.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) path: PathBuf,
    pub(super) file: Arc<File>,
    /// Up to where there are records.
    pub(super) end: u64,
    /// What it takes on the disk; more than `end` where something is damaged.
    pub(super) bytes: u64,
}

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) head: Head,
}

/// A record that was found when a segment was looked through.
pub(super) struct Found {
    pub(super) place: Place,
    pub(super) summary: Vec<u8>,
}

/// The numbers of the segments in a folder, ascending.
pub(super) fn list(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)?.parse().ok());
        // Only names as we write them; behind the last number there is none to go on with.
        let ours = |number: &u64| *number < u64::MAX && *name == *file_name(*number);
        numbers.extend(number.filter(ours));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

impl Segment {
    pub(super) fn create(folder: &Path, number: u64) -> io::Result<Self> {
        let path = path(folder, number);
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        if let Err(error) = file.write_all_at(&HEADER, 0) {
            // An empty file would be in the way of the next try.
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        let file = Arc::new(file);
        Ok(Self { number, path, file, end: HEADER_BYTES, bytes: HEADER_BYTES })
    }

    /// Opens a segment and looks for its records; whatever comes after the last good one is not
    /// looked at. `thorough` also reads every trace, since the end may be torn within one.
    pub(super) fn open(
        folder: &Path,
        number: u64,
        thorough: bool,
        mut found: impl FnMut(Found),
    ) -> io::Result<Self> {
        let path = path(folder, number);
        // What cannot be written can still be read.
        let file = OpenOptions::new().read(true).write(true).open(&path);
        let file = file.or_else(|_| File::open(&path))?;
        let bytes = file.metadata()?.len();
        let mut segment = Self { number, path, file: Arc::new(file), end: 0, bytes };
        let mut header = [0; 8];
        if bytes < HEADER_BYTES || segment.file.read_exact_at(&mut header, 0).is_err() {
            return Ok(segment);
        }
        if header != HEADER {
            return Ok(segment);
        }
        segment.end = HEADER_BYTES;
        while let Some((place, summary)) = segment.next(thorough) {
            segment.end += place.head.record_bytes();
            found(Found { place, summary });
        }
        Ok(segment)
    }

    /// The record at the end of those that are known.
    fn next(&self, thorough: bool) -> Option<(Place, Vec<u8>)> {
        let mut head = [0; HEAD_BYTES];
        if self.end + HEAD_BYTES as u64 > self.bytes {
            return None;
        }
        self.file.read_exact_at(&mut head, self.end).ok()?;
        let head = Head::read(&head)?;
        // Before anything is read: a length that is wrong may say anything.
        if self.end.checked_add(head.record_bytes())? > self.bytes {
            return None;
        }
        let mut summary = vec![0; usize::try_from(head.summary_len).ok()?];
        self.file.read_exact_at(&mut summary, self.end + HEAD_BYTES as u64).ok()?;
        if !head.fits(&summary) {
            return None;
        }
        let place = Place { segment: self.number, offset: self.end, head };
        (!thorough || read(&self.file, place).is_ok()).then_some((place, summary))
    }

    /// Cuts off what comes after the records; `false` when that cannot be done.
    pub(super) fn cut(&mut self) -> bool {
        let torn = self.bytes > self.end;
        if torn && self.file.set_len(self.end).is_ok() {
            self.bytes = self.end;
        }
        self.end >= HEADER_BYTES && self.bytes == self.end
    }

    /// Writes a record after the others. After a failure the file is as it was, or is not to be
    /// written to again; then `false` comes with it.
    pub(super) fn append(&mut self, head: Head, record: &[u8]) -> Result<Place, (io::Error, bool)> {
        let place = Place { segment: self.number, offset: self.end, head };
        match self.file.write_all_at(record, self.end) {
            Ok(()) => {
                self.end += record.len() as u64;
                self.bytes = self.end;
                Ok(place)
            }
            Err(error) => {
                self.bytes = self.file.metadata().map_or(self.bytes, |meta| meta.len());
                let whole = self.cut();
                Err((error, whole))
            }
        }
    }
}

/// Reads a trace and makes sure that it is the one that was written.
pub(super) fn read(file: &File, place: Place) -> Result<Vec<u8>, ArchiveError> {
    let Place { offset, head, .. } = place;
    let at = offset + HEAD_BYTES as u64 + u64::from(head.summary_len);
    let len = usize::try_from(head.trace_len).map_err(|_| ArchiveError::Damaged)?;
    let mut trace = vec![0; len];
    file.read_exact_at(&mut trace, at).map_err(|source| ArchiveError::Read { source })?;
    if head.fits_trace(&trace) { Ok(trace) } else { Err(ArchiveError::Damaged) }
}

/// As a map's key would have it.
pub(super) fn key(place: &Place) -> TraceKey {
    place.head.key
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(file_name(number))
}

fn file_name(number: u64) -> String {
    format!("{number:010}{SUFFIX}")
}
