//! What a run left in the memory above the host's files: listed, hashed, and copied out on demand.
//!
//! Everything here was made by the sample. Names are only ever used one component at a time below
//! an open folder, never through a link; only regular files are read or copied; count, depth and
//! size are bounded.

use std::cell::Cell;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use types::ports::Scanner;
use types::text::hex;
use types::{FileChange, Kind, Text};

use super::areas::{Area, COPY_MODE, Made};
use super::below::{Below, Origin};
use crate::content::{Inspector, Reading, Shape, format};
use crate::spec::Decoy;
use crate::sys;

/// Entries listed, at most; a sample can create more names than anybody reads. Files that are not
/// listed were not looked at either: whoever makes more has the recording incomplete.
const ENTRIES_MAX: usize = 200_000;
const DEPTH_MAX: usize = 128;
/// Sentences about what was not looked at.
const UNSEEN_MAX: usize = 32;
/// Bytes hashed (and copied) in one run, at most; sparse files claim more than they hold.
const HASH_BYTES_MAX: u64 = 4 << 30;
/// Bytes that a file's format is told by.
const HEAD_BYTES: usize = crate::content::HEAD_BYTES;
/// A kept file's size, at most.
const KEEP_FILE_MAX: u64 = 1 << 30;

/// The list and what it leaves out, in words.
#[derive(Debug, Default)]
pub struct Listing {
    pub changes: Vec<FileChange>,
    pub notes: Vec<String>,
    /// What was listed and not looked into, or only in part, one sentence each.
    pub unseen: Vec<String>,
    /// Patterns that were found in a file: its index in `changes`, and the match.
    pub found: Vec<(usize, Kind)>,
    /// Scans that did not come to their end, and what is not in the list.
    pub faults: Vec<String>,
    /// Why no more files were kept than were until then.
    pub unkept: Option<String>,
}

impl Listing {
    /// Changes every entry, or drops it with what was found in it.
    pub fn edit(&mut self, mut entry: impl FnMut(FileChange) -> Option<FileChange>) {
        let mut places = Vec::new();
        let mut kept = Vec::new();
        for change in std::mem::take(&mut self.changes) {
            let edited = entry(change);
            places.push(edited.is_some().then_some(kept.len()));
            kept.extend(edited);
        }
        self.changes = kept;
        let found = std::mem::take(&mut self.found).into_iter();
        let place = |file: usize| places.get(file).copied().flatten();
        self.found = found.filter_map(|(file, kind)| Some((place(file)?, kind))).collect();
    }

    /// Every change, each followed by what was found in it. What is left of the listing is its
    /// words.
    pub fn take_kinds(&mut self) -> Vec<Kind> {
        let mut found = std::mem::take(&mut self.found).into_iter().peekable();
        let mut kinds = Vec::new();
        for (index, change) in std::mem::take(&mut self.changes).into_iter().enumerate() {
            kinds.push(Kind::FileChanged(change));
            while let Some((_, kind)) = found.next_if(|(file, _)| *file == index) {
                kinds.push(kind);
            }
        }
        kinds
    }
}

/// Lists every area but for what the sandbox made itself; copies regular files below `keep` when it
/// is given, and looks for the scanner's patterns in the files and in archives among them.
///
/// # Errors
/// When a file that is there could not be read on. What could not be written below `keep` is said.
pub fn list(
    staging: BorrowedFd<'_>,
    areas: &[Area],
    made: &Made,
    keep: Option<&Path>,
    scanner: Option<&Arc<dyn Scanner>>,
) -> io::Result<Listing> {
    list_over(staging, areas, made, &Below::default(), keep, scanner)
}

/// As [`list`], against what lies below the areas.
pub(crate) fn list_over(
    staging: BorrowedFd<'_>,
    areas: &[Area],
    made: &Made,
    below: &Below,
    keep: Option<&Path>,
    scanner: Option<&Arc<dyn Scanner>>,
) -> io::Result<Listing> {
    let mut walk = Walk {
        made,
        under: below,
        inspector: Inspector::new(scanner.cloned()),
        listing: Listing::default(),
        keep: keep.map(Path::to_owned),
        budget: HASH_BYTES_MAX,
        full: false,
    };
    for area in areas {
        if let Some(dir) = open_area(staging, area) {
            walk.folder(dir.as_fd(), &area.path, area.overlay, 0)?;
        } else {
            walk.listing.faults.push(format!("could not list {}", area.path.display()));
        }
    }
    if walk.full {
        let full = format!("only the first {ENTRIES_MAX} changed files are listed and looked at");
        walk.listing.faults.push(full);
    }
    walk.inspector.finish();
    walk.listing.unseen.append(&mut walk.inspector.notes);
    walk.listing.notes.append(&mut walk.inspector.remarks);
    walk.listing.faults.append(&mut walk.inspector.faults);
    Ok(walk.listing)
}

/// The folder of an area on the staging memory.
pub(super) fn open_area(staging: BorrowedFd<'_>, area: &Area) -> Option<OwnedFd> {
    let mut dir = None;
    for part in &area.folder {
        let parent = dir.as_ref().map_or(staging, OwnedFd::as_fd);
        dir = Some(sys::open_beneath(parent, part, libc::O_RDONLY | libc::O_DIRECTORY).ok()?);
    }
    dir
}

struct Walk<'a> {
    made: &'a Made,
    under: &'a Below,
    inspector: Inspector,
    listing: Listing,
    keep: Option<PathBuf>,
    budget: u64,
    full: bool,
}

impl Walk<'_> {
    fn folder(
        &mut self,
        dir: BorrowedFd<'_>,
        path: &Path,
        overlay: bool,
        depth: usize,
    ) -> io::Result<()> {
        if depth > DEPTH_MAX {
            self.full = true;
            return Ok(());
        }
        let mut names: Vec<OsString> =
            match fs::read_dir(format!("/proc/self/fd/{}", dir.as_raw_fd())) {
                Ok(entries) => entries.flatten().map(|entry| entry.file_name()).collect(),
                Err(error) => return self.note_unread(path, &error),
            };
        names.sort();
        for name in names {
            if self.listing.changes.len() >= ENTRIES_MAX {
                self.full = true;
                return Ok(());
            }
            self.entry(dir, &name, &path.join(&name), overlay, depth)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &OsStr,
        path: &Path,
        overlay: bool,
        depth: usize,
    ) -> io::Result<()> {
        // O_PATH opens nothing: a FIFO does not block, a device does not act.
        let handle = match sys::open_beneath(dir, name, libc::O_PATH | libc::O_NOFOLLOW) {
            Ok(handle) => handle,
            Err(error) => return self.note_unread(path, &error),
        };
        let meta = fs::File::from(handle.try_clone()?).metadata()?;
        let closed = Closed::new((dir, name), handle.as_fd(), &meta);
        // What the file was a copy of, or what it covers.
        let copy = self.made.copies.iter().find(|copy| copy.target == path);
        let origin = match copy {
            Some(copy) => Origin::host(&copy.source),
            None => self.under.find(path, overlay),
        };
        let below = origin.as_ref().map(|origin| &origin.meta);
        let kind = file_type(meta.mode());
        if kind == "directory" {
            let new = below.is_none_or(|host| !host.is_dir());
            let ours = self.made.places.iter().any(|place| place.starts_with(path));
            if new && !ours {
                self.push(path, "created", kind, &meta);
            }
            return self.inner(&closed, path, overlay, depth);
        }
        // overlayfs documentation: a character device 0/0 in the upper layer is a deletion.
        if kind == "device" && meta.rdev() == 0 {
            self.push(path, "deleted", below.map_or("file", |m| file_type(m.mode())), &meta);
            return Ok(());
        }
        if kind == "symlink" && self.made.links.iter().any(|link| link == path) {
            return Ok(());
        }
        let decoy = self.made.decoys.iter().find(|decoy| decoy.path == path);
        let was_there = below.is_some() || decoy.is_some();
        let change = if was_there { "modified" } else { "created" };
        let index = self.push(path, change, kind, &meta);
        match kind {
            "file"
                if same_content(dir, name, &meta, origin.as_ref())
                    || decoy.is_some_and(|decoy| as_planted(dir, name, &meta, decoy)) =>
            {
                // Copied up for a link, a mode or a time: the host's bytes are unchanged.
                let given = decoy.map(|decoy| decoy.mode).or(copy.map(|_| COPY_MODE));
                let mode = given.or(below.map(|host| host.mode()));
                if mode.is_some_and(|mode| mode & 0o7777 == meta.mode() & 0o7777) {
                    self.listing.changes.pop();
                } else if let Some(change) = self.listing.changes.get_mut(index) {
                    "metadata".clone_into(&mut change.change);
                }
            }
            "file" => self.file(&closed, path, index)?,
            "symlink" => {
                let target = sys::read_link(handle.as_fd()).ok();
                if let Some(change) = self.listing.changes.get_mut(index) {
                    change.link_target = target.map(|t| Text::new(t.into_vec()));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn inner(
        &mut self,
        closed: &Closed<'_>,
        path: &Path,
        overlay: bool,
        depth: usize,
    ) -> io::Result<()> {
        let inner = match closed.open(libc::O_RDONLY | libc::O_DIRECTORY) {
            Ok(inner) => inner,
            Err(error) => return self.note_unread(path, &error),
        };
        let walked = self.folder(inner.as_fd(), path, overlay, depth + 1);
        closed.close();
        walked
    }

    fn file(&mut self, closed: &Closed<'_>, path: &Path, index: usize) -> io::Result<()> {
        let opened = closed.open(libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK);
        closed.close();
        match opened {
            Ok(file) => self.content(file.into(), path, closed.meta, index),
            Err(error) => self.note_unread(path, &error),
        }
    }

    /// Hashes one regular file and copies it out.
    fn content(
        &mut self,
        mut file: fs::File,
        path: &Path,
        meta: &fs::Metadata,
        index: usize,
    ) -> io::Result<()> {
        if meta.len() > self.budget {
            self.unseen(format!("{} is too large to hash and scan", escaped(path)));
            return Ok(());
        }
        self.budget -= meta.len();
        let mut copy = match &self.keep {
            Some(_) if meta.len() > KEEP_FILE_MAX => {
                self.listing.notes.push(format!("{} is too large to keep", escaped(path)));
                None
            }
            Some(keep) => match create_below(keep, path) {
                Ok(copy) => Some(copy),
                Err(error) => self.stop_keeping(path, &error),
            },
            None => None,
        };
        let shown = escaped(path);
        let mut scanned = self.inspector.wants(&shown, meta.len()).then(Reading::default);
        let (mut head, mut hasher) = (Vec::new(), Sha256::new());
        let mut histogram = [0_u64; 256];
        let mut left = meta.len();
        let mut buffer = vec![0; 64 << 10];
        while left > 0 {
            let count = file.read(&mut buffer)?;
            let Some(chunk) = buffer.get(..count).filter(|chunk| !chunk.is_empty()) else { break };
            hasher.update(chunk);
            if head.is_empty() {
                head = chunk.get(..HEAD_BYTES).unwrap_or(chunk).to_vec();
            }
            if let Some(scanned) = &mut scanned {
                self.inspector.read(&shown, scanned, chunk);
            }
            for &byte in chunk {
                histogram[usize::from(byte)] += 1;
            }
            if let Some(file) = &mut copy
                && let Err(error) = copy_sparsely(file, chunk)
            {
                copy = self.stop_keeping(path, &error);
            }
            left = left.saturating_sub(count as u64);
        }
        if let Some(copy) = copy
            && let Err(error) = copy.set_len(meta.len() - left)
        {
            self.stop_keeping(path, &error);
        }
        let entropy_millibits = entropy_millibits(&histogram);
        let shape = Shape { size_bytes: meta.len() - left, entropy_millibits };
        if let Some(change) = self.listing.changes.get_mut(index) {
            change.sha256 = Some(hex(&hasher.finalize()));
            change.entropy_millibits = Some(entropy_millibits);
            change.format = format(&head, &shape).map(str::to_owned);
        }
        if let (Some(scanned), Some(change)) = (&scanned, self.listing.changes.get_mut(index))
            && change.format.as_deref() == Some("text")
            && scanned.only_sets()
        {
            change.format = Some("shell-settings".to_owned());
        }
        if let Some(scanned) = scanned {
            let found = self.inspector.end(&shown, scanned);
            self.listing.found.extend(found.into_iter().map(|kind| (index, kind)));
        }
        Ok(())
    }

    /// A disk that is full stays full: nothing more is tried.
    fn stop_keeping(&mut self, path: &Path, error: &io::Error) -> Option<fs::File> {
        self.keep = None;
        let unkept = format!("{} and what comes after it was not kept: {error}", escaped(path));
        self.listing.unkept.get_or_insert(unkept);
        None
    }

    fn push(&mut self, path: &Path, change: &str, kind: &str, meta: &fs::Metadata) -> usize {
        self.listing.changes.push(FileChange {
            path: Text::new(path.as_os_str().as_bytes()),
            change: change.to_owned(),
            file_type: kind.to_owned(),
            size_bytes: if kind == "file" { meta.len() } else { 0 },
            mode: meta.mode() & 0o7777,
            sha256: None,
            entropy_millibits: None,
            link_target: None,
            format: None,
        });
        self.listing.changes.len() - 1
    }

    /// Unreadable is no reason to end: said, and gone on from.
    fn note_unread(&mut self, path: &Path, error: &io::Error) -> io::Result<()> {
        self.unseen(format!("could not read {}: {error}", escaped(path)));
        Ok(())
    }

    fn unseen(&mut self, sentence: String) {
        if self.listing.unseen.len() < UNSEEN_MAX {
            self.listing.unseen.push(sentence);
        }
    }
}

/// A name that its maker may have forbidden everybody to open, himself included: where the sandbox's
/// user is the caller, that binds the caller, too. Nothing of the run is there any more to use what
/// is opened in between.
pub(super) struct Closed<'a> {
    dir: BorrowedFd<'a>,
    name: &'a OsStr,
    /// Opened with `O_PATH`.
    handle: BorrowedFd<'a>,
    meta: &'a fs::Metadata,
    /// Its mode is not its own now.
    changed: Cell<bool>,
}

impl<'a> Closed<'a> {
    pub(super) fn new(
        (dir, name): (BorrowedFd<'a>, &'a OsStr),
        handle: BorrowedFd<'a>,
        meta: &'a fs::Metadata,
    ) -> Self {
        Self { dir, name, handle, meta, changed: Cell::new(false) }
    }

    pub(super) fn open(&self, flags: i32) -> io::Result<OwnedFd> {
        match sys::open_beneath(self.dir, self.name, flags) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                self.set_mode(self.meta.mode() | 0o700)?;
                sys::open_beneath(self.dir, self.name, flags).inspect_err(|_| self.close())
            }
            // To be listed is not yet to be entered.
            opened if self.meta.is_dir() && self.meta.mode() & 0o100 == 0 => {
                let _ = self.set_mode(self.meta.mode() | 0o700);
                opened
            }
            opened => opened,
        }
    }

    /// As it was: snapshots tell modes.
    pub(super) fn close(&self) {
        if self.changed.get() {
            let _ = self.set_mode(self.meta.mode());
        }
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        let path = format!("/proc/self/fd/{}", self.handle.as_raw_fd());
        self.changed.set(true);
        fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o7777))
    }
}

/// Whether the file in the upper layer still has the bytes of the file below it.
pub(super) fn same_content(
    dir: BorrowedFd<'_>,
    name: &OsStr,
    meta: &fs::Metadata,
    origin: Option<&Origin>,
) -> bool {
    let same_size = |origin: &&Origin| origin.meta.is_file() && origin.meta.len() == meta.len();
    let Some(origin) = origin.filter(same_size) else { return false };
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let compare = || -> io::Result<bool> {
        let mut ours = fs::File::from(sys::open_beneath(dir, name, libc::O_RDONLY | flags)?);
        let mut host = origin.open()?;
        let (mut a, mut b) = (vec![0; 64 << 10], vec![0; 64 << 10]);
        let mut left = meta.len();
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(a.len());
            let (Some(a), Some(b)) = (a.get_mut(..want), b.get_mut(..want)) else { break };
            ours.read_exact(a)?;
            host.read_exact(b)?;
            if a != b {
                return Ok(false);
            }
            left -= want as u64;
        }
        Ok(true)
    };
    compare().unwrap_or(false)
}

/// Whether the file still has the bytes of the decoy that was planted under its name.
pub(super) fn as_planted(
    dir: BorrowedFd<'_>,
    name: &OsStr,
    meta: &fs::Metadata,
    decoy: &Decoy,
) -> bool {
    let flags = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let length = decoy.content.len() as u64;
    let content = || -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        let file = fs::File::from(sys::open_beneath(dir, name, flags)?);
        file.take(length + 1).read_to_end(&mut content)?;
        Ok(content)
    };
    meta.is_file() && meta.len() == length && content().is_ok_and(|found| found == decoy.content)
}

/// Opens a new file for `path` below `keep`, creating folders; never follows or replaces.
fn create_below(keep: &Path, path: &Path) -> io::Result<fs::File> {
    let target = keep.join(path.strip_prefix("/").unwrap_or(path));
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(target)
}

/// Holes stay holes: a sparse file must not fill the disk it is kept on.
fn copy_sparsely(copy: &mut fs::File, chunk: &[u8]) -> io::Result<()> {
    if chunk.iter().all(|&byte| byte == 0) {
        let len = i64::try_from(chunk.len()).unwrap_or(0);
        return copy.seek(io::SeekFrom::Current(len)).map(drop);
    }
    copy.write_all(chunk)
}

fn escaped(path: &Path) -> Text {
    Text::new(path.as_os_str().as_bytes())
}

fn file_type(mode: u32) -> &'static str {
    match mode & libc::S_IFMT {
        libc::S_IFREG => "file",
        libc::S_IFDIR => "directory",
        libc::S_IFLNK => "symlink",
        libc::S_IFIFO => "fifo",
        libc::S_IFSOCK => "socket",
        _ => "device",
    }
}

/// Shannon entropy in thousandths of a bit per byte: `Σ p·log2(1/p)` over byte frequencies.
pub(crate) fn entropy_millibits(histogram: &[u64; 256]) -> u32 {
    let total: u64 = histogram.iter().sum();
    if total == 0 {
        return 0;
    }
    #[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
    let bits: f64 = histogram
        .iter()
        .filter(|&&count| count > 0)
        .map(|&count| {
            let p = count as f64 / total as f64;
            -p * p.log2()
        })
        .sum();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 8000"
    )]
    let millibits = (bits * 1000.0).round() as u32;
    millibits
}

#[cfg(test)]
mod tests {
    use types::{FileChange, Kind, Text};

    use super::{Listing, entropy_millibits};

    #[test]
    fn matches_follow_their_file_also_when_others_are_dropped() {
        let change = |path: &str| FileChange {
            path: Text::from(path),
            change: "created".to_owned(),
            file_type: "file".to_owned(),
            size_bytes: 1,
            mode: 0o644,
            sha256: None,
            entropy_millibits: None,
            link_target: None,
            format: None,
        };
        let found = |name: &str| Kind::MemfdCreate { name: Text::from(name) };
        let mut listing = Listing {
            changes: ["a", "b", "c"].map(change).to_vec(),
            found: vec![(0, found("1")), (1, found("2")), (2, found("3")), (2, found("4"))],
            ..Listing::default()
        };
        listing.edit(|change| (change.path != Text::from("b")).then_some(change));
        let names: Vec<String> = listing
            .take_kinds()
            .iter()
            .map(|kind| match kind {
                Kind::FileChanged(change) => change.path.to_string(),
                Kind::MemfdCreate { name } => name.to_string(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(names, ["a", "1", "c", "3", "4"]);
    }

    #[test]
    fn entropy_of_known_distributions() {
        let mut histogram = [0; 256];
        assert_eq!(entropy_millibits(&histogram), 0);
        histogram[0] = 7;
        assert_eq!(entropy_millibits(&histogram), 0);
        histogram[1] = 7;
        assert_eq!(entropy_millibits(&histogram), 1000);
        assert_eq!(entropy_millibits(&[3; 256]), 8000);
    }
}
