//! A crash-safe log of records in files: append, and now and then a snapshot that replaces what came
//! before. What a record means is its writer's.
//!
//! ```text
//! FOLDER/lock                    held by the one who writes
//! FOLDER/0000000007.snapshot     everything that was appended before segment 7
//! FOLDER/0000000007.log          records in their order; the highest number is written to
//! FOLDER/0000000008.new          a snapshot that is being written
//! ```
//!
//! Both kinds of file are a header (`SHXJRNL1`, its number, their CRC-32) and frames (length, CRC-32
//! of length and bytes, bytes; integers little-endian). A snapshot is exactly one frame.
//!
//! **Assumptions.** `fsync` means durable; a rename within a folder is atomic; what a write that did
//! not complete has left at a file's end is anything, and everything before it is untouched. After a
//! failed `fsync` nothing is believed of the unsynced bytes: the segment is cut back to what was
//! acknowledged and another one is begun.
//!
//! **Invariants.** [`Journal::append`] returns `Ok` only when the record is on the disk. One that
//! failed may be there after a restart or not; nothing that was acknowledged is lost with it. A folder
//! has one writer.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

mod frame;
mod recover;
mod segment;

use self::frame::HEADER_BYTES;
use self::recover::Found;
use self::segment::Segment;

/// Names the lock.
const LOCK: &str = "lock";

/// Bounds of a journal.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Of one record.
    pub record_max_bytes: u32,
    /// A segment that has grown beyond this is followed by another one.
    pub segment_max_bytes: u64,
    /// Of all segments since the snapshot before the last: beyond this nothing is appended until
    /// there is a new snapshot.
    pub log_max_bytes: u64,
    /// Of a snapshot.
    pub snapshot_max_bytes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            record_max_bytes: 16 << 20,
            segment_max_bytes: 16 << 20,
            log_max_bytes: 1 << 30,
            snapshot_max_bytes: 1 << 30,
        }
    }
}

/// What a folder held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// The newest snapshot.
    pub snapshot: Option<Vec<u8>>,
    /// What was appended since, in order.
    pub records: Vec<Vec<u8>>,
    pub damage: Damage,
}

/// What could not be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Damage {
    /// Bytes of an append that did not complete, at the end of the log: never acknowledged.
    pub torn_bytes: u64,
    /// Files with something else wrong, each with how many of its bytes are not used: what was
    /// acknowledged is lost there, and only there.
    pub damaged: Vec<(PathBuf, u64)>,
}

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("{path} is in use by another process")]
    Locked { path: PathBuf },
    #[error("cannot {doing} {path}")]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("a record of {bytes} bytes is more than the {max_bytes} that are taken")]
    TooLarge { bytes: u64, max_bytes: u64 },
    #[error("the log is as large as it may be, {max_bytes} bytes, until there is a snapshot")]
    Full { max_bytes: u64 },
    #[error("{path} was written by another version of the format")]
    Version { path: PathBuf },
}

/// The one who writes. Every call blocks on the disk.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    limits: Limits,
    /// Held as long as this lives.
    _lock: File,
    /// Absent after a failure: the next append begins another one.
    current: Option<Segment>,
    /// The highest number that a file has had.
    newest: u64,
    /// Numbers of the snapshots there are, ascending.
    snapshots: Vec<u64>,
    /// Bytes of all segments but the current one.
    older_bytes: u64,
    snapshot_bytes: u64,
}

impl Journal {
    /// Takes the folder, making it where it is not there, and reads it. An append that did not
    /// complete is cut off.
    ///
    /// # Errors
    /// A folder that somebody else writes to or that cannot be read or written, and files of another
    /// version.
    pub fn open(folder: &Path, limits: Limits) -> Result<(Self, Contents), JournalError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|source| io_error("make", folder, source))?;
        let lock = lock(&folder.join(LOCK))?;
        let Found { contents, segments, snapshots, snapshot_bytes } =
            recover::read(folder, limits, recover::Torn::Cut)?;
        let newest = segments.iter().map(|(number, _)| *number).chain(snapshots.iter().copied());
        let mut journal = Self {
            folder: folder.to_owned(),
            limits,
            _lock: lock,
            current: None,
            newest: newest.max().unwrap_or(0),
            snapshots,
            older_bytes: segments.iter().map(|(_, bytes)| *bytes).sum(),
            snapshot_bytes,
        };
        journal.begin_segment()?;
        Ok((journal, contents))
    }

    /// Appends one record.
    ///
    /// # Errors
    /// A disk that is full or cannot be written, a record that is too large, and a log that is.
    pub fn append(&mut self, record: &[u8]) -> Result<(), JournalError> {
        self.append_all(&[record])
    }

    /// Appends records that become durable together: after a crash there are the first so many of
    /// those that were not acknowledged.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn append_all(&mut self, records: &[&[u8]]) -> Result<(), JournalError> {
        let mut bytes = Vec::new();
        for record in records {
            frame::put(&mut bytes, record, self.limits.record_max_bytes)?;
        }
        let all = self.log_bytes().saturating_add(bytes.len() as u64);
        if all > self.limits.log_max_bytes {
            return Err(JournalError::Full { max_bytes: self.limits.log_max_bytes });
        }
        let large = |segment: &Segment| segment.bytes() >= self.limits.segment_max_bytes;
        if self.current.as_ref().is_none_or(large) {
            self.begin_segment()?;
        }
        let Some(segment) = &mut self.current else { return Ok(()) };
        let appended = segment.append(&bytes);
        if appended.is_err() {
            self.leave_segment();
        }
        appended
    }

    /// Replaces everything that was appended until now by these bytes. The snapshot before stays with
    /// what was appended after it, should this one turn out to be damaged.
    ///
    /// # Errors
    /// As [`Self::append`]; everything is as before then.
    pub fn snapshot(&mut self, bytes: &[u8]) -> Result<(), JournalError> {
        let mut framed = Vec::new();
        frame::put(&mut framed, bytes, self.limits.snapshot_max_bytes)?;
        self.begin_segment()?;
        let number = self.newest;
        let path = recover::snapshot_path(&self.folder, number);
        let new = path.with_extension("new");
        segment::write_whole(&new, number, &framed)
            .and_then(|()| {
                std::fs::rename(&new, &path)
                    .map_err(|source| io_error("put into place", &path, source))
            })
            .and_then(|()| sync_folder(&self.folder))
            .inspect_err(|_| drop(std::fs::remove_file(&new)))?;
        self.snapshots.push(number);
        self.snapshot_bytes = framed.len() as u64 + HEADER_BYTES;
        self.remove_old();
        Ok(())
    }

    /// Bytes on the disk that are in use.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.log_bytes().saturating_add(self.snapshot_bytes)
    }

    fn log_bytes(&self) -> u64 {
        self.older_bytes.saturating_add(self.current.as_ref().map_or(0, Segment::bytes))
    }

    fn begin_segment(&mut self) -> Result<(), JournalError> {
        self.leave_segment();
        // A number is not used twice, whatever became of its file.
        self.newest += 1;
        let path = recover::segment_path(&self.folder, self.newest);
        let segment = Segment::create(&path, self.newest)?;
        if let Err(error) = sync_folder(&self.folder) {
            drop(std::fs::remove_file(&path));
            return Err(error);
        }
        self.current = Some(segment);
        Ok(())
    }

    fn leave_segment(&mut self) {
        if let Some(segment) = self.current.take() {
            self.older_bytes = self.older_bytes.saturating_add(segment.bytes());
        }
    }

    /// Removes what is older than the snapshot before the last. What cannot be removed now is tried
    /// again at the next one.
    fn remove_old(&mut self) {
        let keep = self.snapshots.len().checked_sub(2).and_then(|at| self.snapshots.get(at));
        let Some(&oldest) = keep else { return };
        let Ok(files) = recover::files(&self.folder) else { return };
        let old = |number: &u64| *number < oldest;
        for number in files.segments.iter().filter(|number| old(number)) {
            drop(std::fs::remove_file(recover::segment_path(&self.folder, *number)));
        }
        for number in files.snapshots.iter().filter(|number| old(number)) {
            drop(std::fs::remove_file(recover::snapshot_path(&self.folder, *number)));
        }
        self.snapshots.retain(|number| *number >= oldest);
        let kept = files.segments.iter().filter(|number| !old(number) && **number != self.newest);
        let len = |number| std::fs::metadata(recover::segment_path(&self.folder, number));
        self.older_bytes = kept.filter_map(|number| len(*number).ok()).map(|file| file.len()).sum();
    }
}

/// Reads a folder that somebody else may be writing to, and changes nothing.
///
/// # Errors
/// A folder that cannot be read, and files of another version.
pub fn read(folder: &Path, limits: Limits) -> Result<Contents, JournalError> {
    // The writer may take a new snapshot and remove what is being read: then it is read again.
    for _ in 0..16 {
        match recover::read(folder, limits, recover::Torn::Leave) {
            Err(JournalError::Io { source, .. })
                if source.kind() == io::ErrorKind::NotFound && folder.is_dir() => {}
            read => return read.map(|found| found.contents),
        }
    }
    recover::read(folder, limits, recover::Torn::Leave).map(|found| found.contents)
}

fn lock(path: &Path) -> Result<File, JournalError> {
    let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = opened.map_err(|source| io_error("open", path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let path = path.parent().unwrap_or(path).to_owned();
            Err(JournalError::Locked { path })
        }
        Err(TryLockError::Error(source)) => Err(io_error("lock", path, source)),
    }
}

fn sync_folder(folder: &Path) -> Result<(), JournalError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|source| io_error("sync", folder, source))
}

fn io_error(doing: &'static str, path: &Path, source: io::Error) -> JournalError {
    JournalError::Io { doing, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
