//! What a module changed in the folders it may write to: they are listed before and after.
//!
//! Links are named and never followed; only regular files are read; count, depth and bytes are
//! bounded, and reaching a bound is said.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use sandbox::content::{Inspector, Reading, Shape, format};
use sha2::{Digest as _, Sha256};
use types::text::hex;
use types::{FileChange, Kind, Text};

use crate::grants::Folder;

/// Entries that are listed in all folders together.
const ENTRIES_MAX: usize = 20_000;
const DEPTH_MAX: usize = 64;
/// Bytes hashed (and kept) in one run.
const HASH_BYTES_MAX: u64 = 1 << 30;

/// The state of the writable folders, by path inside.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    entries: BTreeMap<PathBuf, Entry>,
    /// Some entries are missing.
    full: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    host: PathBuf,
    kind: &'static str,
    size: u64,
    inode: u64,
    /// Content, times or mode; a module cannot set the time of a change.
    changed: (i64, i64),
    modified: (i64, i64),
    mode: u32,
}

/// What differs, and what is not known, in words.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Each followed by what was found in it.
    pub files: Vec<(FileChange, Vec<Kind>)>,
    /// What was not looked into whole, in words.
    pub unseen: Vec<String>,
    pub faults: Vec<String>,
    /// Why no more files were kept than were until then.
    pub unkept: Option<String>,
}

impl Listing {
    pub(crate) fn take(folders: &[Folder]) -> Self {
        let mut listing = Self::default();
        for folder in folders.iter().filter(|folder| folder.writable) {
            listing.walk(&folder.host, Path::new(&folder.guest), 0);
        }
        listing
    }

    fn walk(&mut self, host: &Path, guest: &Path, depth: usize) {
        if depth > DEPTH_MAX {
            self.full = true;
            return;
        }
        // A folder that cannot be read has nothing to compare; the module could not read it either.
        let Ok(entries) = fs::read_dir(host) else { return };
        for entry in entries.flatten() {
            if self.entries.len() >= ENTRIES_MAX {
                self.full = true;
                return;
            }
            let (host, guest) = (entry.path(), guest.join(entry.file_name()));
            let Ok(meta) = fs::symlink_metadata(&host) else { continue };
            let kind = kind(&meta);
            if kind == "directory" {
                self.walk(&host, &guest, depth + 1);
            }
            let entry = Entry {
                host,
                kind,
                size: if kind == "file" { meta.len() } else { 0 },
                inode: meta.ino(),
                changed: (meta.ctime(), meta.ctime_nsec()),
                modified: (meta.mtime(), meta.mtime_nsec()),
                mode: meta.mode() & 0o7777,
            };
            self.entries.insert(guest, entry);
        }
    }

    /// Compares with the state after the run; changed regular files are copied below `keep`.
    pub(crate) fn compare(
        &self,
        after: &Listing,
        keep: Option<&Path>,
        mut inspector: Inspector,
    ) -> Changes {
        let mut changes = Changes::default();
        let mut keeping = Keeping { folder: keep, stopped: None };
        let mut budget = HASH_BYTES_MAX;
        for (path, new) in &after.entries {
            let change = match self.entries.get(path) {
                None => "created",
                Some(old) if old == new => continue,
                // Entries came and went in it; they are told themselves.
                Some(old)
                    if old.kind == "directory"
                        && new.kind == "directory"
                        && old.mode == new.mode =>
                {
                    continue;
                }
                Some(old) if same_content(old, new) => "metadata",
                Some(_) => "modified",
            };
            let (mut file, mut found) = (described(path, change, new), Vec::new());
            if new.kind == "file" {
                if new.size > budget {
                    changes.faults.push(format!("{} was too large to hash", path.display()));
                } else {
                    budget -= new.size;
                    match read_content(new, path, &mut keeping, (&mut file, &mut inspector)) {
                        Ok(matches) => found = matches,
                        Err(error) => {
                            let unread = format!("{} was not read: {error}", file.path);
                            changes.unseen.push(unread);
                        }
                    }
                }
            } else if new.kind == "symlink" {
                let target = fs::read_link(&new.host).ok();
                file.link_target = target.map(|target| Text::new(target.as_os_str().as_bytes()));
            }
            changes.files.push((file, found));
        }
        for (path, old) in &self.entries {
            if !after.entries.contains_key(path) && !after.full {
                changes.files.push((described(path, "deleted", old), Vec::new()));
            }
        }
        if self.full || after.full {
            changes
                .faults
                .push(format!("only {ENTRIES_MAX} entries of the writable folders were compared"));
        }
        inspector.finish();
        changes.unseen.append(&mut inspector.notes);
        changes.faults.append(&mut inspector.faults);
        changes.unkept = keeping.stopped;
        changes
    }
}

fn kind(meta: &fs::Metadata) -> &'static str {
    use std::os::unix::fs::FileTypeExt as _;
    let kind = meta.file_type();
    match () {
        () if kind.is_dir() => "directory",
        () if kind.is_file() => "file",
        () if kind.is_symlink() => "symlink",
        () if kind.is_fifo() => "fifo",
        () if kind.is_socket() => "socket",
        () => "device",
    }
}

/// Whether only the mode, owner or links can differ: a write changes the time of modification, and
/// setting that time back is what `set_times` events tell of.
fn same_content(old: &Entry, new: &Entry) -> bool {
    (old.kind, old.inode, old.size, old.modified) == (new.kind, new.inode, new.size, new.modified)
}

fn described(path: &Path, change: &str, entry: &Entry) -> FileChange {
    FileChange {
        path: Text::new(path.as_os_str().as_bytes()),
        change: change.to_owned(),
        file_type: entry.kind.to_owned(),
        size_bytes: entry.size,
        mode: entry.mode,
        sha256: None,
        entropy_millibits: None,
        link_target: None,
        format: None,
    }
}

/// Copies what changed, as long as that can be done: a disk that is full stays full.
struct Keeping<'a> {
    folder: Option<&'a Path>,
    stopped: Option<String>,
}

impl Keeping<'_> {
    fn begin(&mut self, path: &Path) -> Option<File> {
        match create_below(self.folder?, path) {
            Ok(copy) => Some(copy),
            Err(error) => self.stop(path, &error),
        }
    }

    fn stop(&mut self, path: &Path, error: &io::Error) -> Option<File> {
        self.folder = None;
        let path = Text::new(path.as_os_str().as_bytes());
        self.stopped = Some(format!("{path} and what comes after it was not kept: {error}"));
        None
    }
}

/// Hashes one file, types it, scans it, and copies it out.
fn read_content(
    entry: &Entry,
    path: &Path,
    keeping: &mut Keeping<'_>,
    (change, inspector): (&mut FileChange, &mut Inspector),
) -> io::Result<Vec<Kind>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or(0);
    let mut file = OpenOptions::new().read(true).custom_flags(flags).open(&entry.host)?;
    let mut copy = keeping.begin(path);
    let mut scanned = inspector.wants(&change.path, entry.size).then(Reading::default);
    let (mut hasher, mut histogram, mut head) = (Sha256::new(), [0_u64; 256], Vec::new());
    let mut buffer = vec![0; 64 << 10];
    let mut left = entry.size;
    while left > 0 {
        let count = file.read(&mut buffer)?;
        let Some(chunk) = buffer.get(..count).filter(|chunk| !chunk.is_empty()) else { break };
        hasher.update(chunk);
        if head.is_empty() {
            head = chunk.to_vec();
        }
        for &byte in chunk {
            if let Some(times) = histogram.get_mut(usize::from(byte)) {
                *times += 1;
            }
        }
        if let Some(scanned) = &mut scanned {
            inspector.read(&change.path, scanned, chunk);
        }
        if let Some(file) = &mut copy
            && let Err(error) = io::Write::write_all(file, chunk)
        {
            copy = keeping.stop(path, &error);
        }
        left = left.saturating_sub(count as u64);
    }
    let shape =
        Shape { size_bytes: entry.size - left, entropy_millibits: entropy_millibits(&histogram) };
    change.sha256 = Some(hex(&hasher.finalize()));
    change.entropy_millibits = Some(shape.entropy_millibits);
    change.format = format(&head, &shape).map(str::to_owned);
    Ok(scanned.map(|reading| inspector.end(&change.path, reading)).unwrap_or_default())
}

fn create_below(keep: &Path, path: &Path) -> io::Result<File> {
    let target = keep.join(path.strip_prefix("/").unwrap_or(path));
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    File::create(target)
}

/// Shannon entropy in thousandths of a bit per byte.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a ratio between 0 and 8, rounded"
)]
fn entropy_millibits(histogram: &[u64; 256]) -> u32 {
    let total: u64 = histogram.iter().sum();
    if total == 0 {
        return 0;
    }
    let bits: f64 = histogram
        .iter()
        .filter(|&&count| count > 0)
        .map(|&count| {
            let share = count as f64 / total as f64;
            -share * share.log2()
        })
        .sum();
    (bits * 1_000.0).round() as u32
}
