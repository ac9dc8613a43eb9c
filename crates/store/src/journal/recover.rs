//! Reads a folder: the newest good snapshot, and every good record after it.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use super::frame::{self, HEADER_BYTES, Head};
use super::{Contents, Damage, JournalError, Limits, io_error};

/// What to do with an append that did not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Torn {
    Cut,
    /// It may be one that is going on.
    Leave,
}

#[derive(Debug)]
pub(super) struct Found {
    pub(super) contents: Contents,
    /// Number and bytes of each segment there is.
    pub(super) segments: Vec<(u64, u64)>,
    /// Numbers of the good snapshots, ascending.
    pub(super) snapshots: Vec<u64>,
    pub(super) snapshot_bytes: u64,
}

/// Numbers, ascending.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) segments: Vec<u64>,
    pub(super) snapshots: Vec<u64>,
    unfinished: Vec<PathBuf>,
}

pub(super) fn segment_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:010}.log"))
}

pub(super) fn snapshot_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:010}.snapshot"))
}

pub(super) fn files(folder: &Path) -> Result<Files, JournalError> {
    let failed = |source| io_error("read", folder, source);
    let mut files = Files::default();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let kind = path.extension().and_then(OsStr::to_str);
        let number = path.file_stem().and_then(OsStr::to_str).and_then(|stem| stem.parse().ok());
        match (number, kind) {
            (Some(number), Some("log")) => files.segments.push(number),
            (Some(number), Some("snapshot")) => files.snapshots.push(number),
            (Some(_), Some("new")) => files.unfinished.push(path),
            _ => {}
        }
    }
    files.segments.sort_unstable();
    files.snapshots.sort_unstable();
    Ok(files)
}

pub(super) fn read(folder: &Path, limits: Limits, torn: Torn) -> Result<Found, JournalError> {
    let files = files(folder)?;
    if torn == Torn::Cut {
        for path in &files.unfinished {
            std::fs::remove_file(path).map_err(|source| io_error("remove", path, source))?;
        }
    }
    let mut damage = Damage::default();
    let mut snapshots = files.snapshots;
    let mut snapshot = None;
    let mut snapshot_bytes = 0;
    while let Some(&number) = snapshots.last() {
        let path = snapshot_path(folder, number);
        let bytes = load(&path)?;
        if let Some(whole) = whole(&path, &bytes, number, limits)? {
            snapshot_bytes = bytes.len() as u64;
            snapshot = Some(whole.to_vec());
            break;
        }
        damage.damaged.push((path, bytes.len() as u64));
        snapshots.pop();
    }
    let from = snapshots.last().copied().unwrap_or(0);
    let last = files.segments.last().copied();
    let mut records = Vec::new();
    let mut segments = Vec::new();
    for number in files.segments {
        let path = segment_path(folder, number);
        if number < from {
            let bytes = std::fs::metadata(&path).map_or(0, |file| file.len());
            segments.push((number, bytes));
            continue;
        }
        let bytes = load(&path)?;
        let good = records_of(&path, &bytes, number, limits, &mut records)?;
        let bad = (bytes.len() as u64).saturating_sub(good);
        // Each start begins a segment: those that nothing was written to do not pile up.
        if torn == Torn::Cut && bad == 0 && good <= HEADER_BYTES {
            std::fs::remove_file(&path).map_err(|source| io_error("remove", &path, source))?;
            segments.push((number, 0));
            continue;
        }
        segments.push((number, good));
        if bad == 0 {
            continue;
        }
        // Only the last segment can have been in the middle of an append: before another one was
        // begun, whatever had failed was cut off, or could not even be.
        if Some(number) == last {
            damage.torn_bytes += bad;
            if torn == Torn::Cut {
                cut(&path, good)?;
            }
        } else {
            damage.damaged.push((path, bad));
        }
    }
    let contents = Contents { snapshot, records, damage };
    Ok(Found { contents, segments, snapshots, snapshot_bytes })
}

/// The bytes of a snapshot, if it is whole.
fn whole<'a>(
    path: &Path,
    bytes: &'a [u8],
    number: u64,
    limits: Limits,
) -> Result<Option<&'a [u8]>, JournalError> {
    let rest = match frame::check_header(bytes, number) {
        (Head::Good, rest) => rest,
        (Head::OtherVersion, _) => return Err(JournalError::Version { path: path.to_owned() }),
        (Head::Bad, _) => return Ok(None),
    };
    let taken = frame::take(rest, limits.snapshot_max_bytes);
    Ok(taken.filter(|(_, after)| after.is_empty()).map(|(whole, _)| whole))
}

/// Takes the records of a segment up to the first that is not good, and gives how many of its bytes
/// are.
fn records_of(
    path: &Path,
    bytes: &[u8],
    number: u64,
    limits: Limits,
    records: &mut Vec<Vec<u8>>,
) -> Result<u64, JournalError> {
    let mut rest = match frame::check_header(bytes, number) {
        (Head::Good, rest) => rest,
        (Head::OtherVersion, _) => return Err(JournalError::Version { path: path.to_owned() }),
        (Head::Bad, _) => return Ok(0),
    };
    while let Some((record, after)) = frame::take(rest, limits.record_max_bytes) {
        records.push(record.to_vec());
        rest = after;
    }
    Ok((bytes.len() - rest.len()) as u64)
}

fn load(path: &Path) -> Result<Vec<u8>, JournalError> {
    std::fs::read(path).map_err(|source| io_error("read", path, source))
}

/// A segment of which not even the header was written is removed.
fn cut(path: &Path, good: u64) -> Result<(), JournalError> {
    let cut: io::Result<()> = if good < HEADER_BYTES {
        std::fs::remove_file(path)
    } else {
        let opened = OpenOptions::new().write(true).open(path);
        opened.and_then(|file| file.set_len(good).and_then(|()| file.sync_all()))
    };
    cut.map_err(|source| io_error("cut", path, source))
}
