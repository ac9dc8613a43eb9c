//! Everything a command wrote, as a tar file: an OCI layer over the root the run had.
//!
//! Written while the memory behind the run is still there and nothing of it runs any more. Names
//! were chosen by the sample: they are used one at a time below an open folder, and nothing is
//! followed. Deletions become whiteouts, ids are those inside.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::areas::{Area, Made};
use super::below::Origin;
use super::changes::{Closed, as_planted, open_area, same_content};
use super::rootfs::INSIDE_UID;
use crate::beside::Beside;
use crate::root::tar::Kind;
use crate::root::tar::write::{Archive, Entry};
use crate::root::{DEPTH_MAX, ENTRIES_MAX, PATH_MAX, is_opaque, shown};
use crate::sys;

/// What a header and its padding take beside the content.
const ENTRY_BYTES: u64 = 2048;
/// Reasons for gaps that are told one by one.
const NOTES_MAX: usize = 16;

/// What is written, and where to.
pub(super) struct Snapshot<'a> {
    pub staging: BorrowedFd<'a>,
    pub areas: &'a [Area],
    pub made: &'a Made,
    /// First host id of the run's range; absent where only the caller's own id is inside.
    pub base: Option<u32>,
    /// Content, at most; what the run could write at most.
    pub bytes_max: u64,
}

impl Snapshot<'_> {
    /// Writes the tar file. Returns what it lacks, in words.
    ///
    /// # Errors
    /// When the file cannot be written; what stood there before still does then.
    pub(super) fn write(&self, path: &Path, run: &str) -> io::Result<Vec<String>> {
        let beside = Beside::create(path, run)?;
        let notes = self.fill(BufWriter::with_capacity(256 << 10, beside.file()))?;
        beside.put()?;
        Ok(notes)
    }

    fn fill(&self, output: BufWriter<&File>) -> io::Result<Vec<String>> {
        let mut walk = Walk {
            snapshot: self,
            archive: Archive::new(output),
            entries: 0,
            left: self.bytes_max,
            linked: HashMap::new(),
            notes: Vec::new(),
            gaps: 0,
        };
        for area in self.areas {
            match open_area(self.staging, area) {
                Some(folder) => walk.folder(folder.as_fd(), &area.path, area.overlay, 0)?,
                None => walk.gap(&area.path, "it could not be opened"),
            }
        }
        let Walk { archive, mut notes, gaps, .. } = walk;
        if gaps > NOTES_MAX {
            notes.push(format!("and {} more", gaps - NOTES_MAX));
        }
        archive.finish()?;
        Ok(notes)
    }
}

struct Walk<'a> {
    snapshot: &'a Snapshot<'a>,
    archive: Archive<BufWriter<&'a File>>,
    entries: u64,
    left: u64,
    /// The first name of a file that has several.
    linked: HashMap<u64, Vec<u8>>,
    notes: Vec<String>,
    gaps: usize,
}

/// One name in an open folder.
struct Found<'a> {
    folder: BorrowedFd<'a>,
    name: &'a OsStr,
    path: PathBuf,
    meta: fs::Metadata,
    handle: BorrowedFd<'a>,
}

impl Walk<'_> {
    fn folder(
        &mut self,
        folder: BorrowedFd<'_>,
        path: &Path,
        overlay: bool,
        depth: usize,
    ) -> io::Result<()> {
        if depth >= DEPTH_MAX {
            self.gap(path, "it lies too deep");
            return Ok(());
        }
        let names: io::Result<Vec<OsString>> =
            fs::read_dir(format!("/proc/self/fd/{}", folder.as_raw_fd()))
                .map(|entries| entries.flatten().map(|entry| entry.file_name()).collect());
        let Ok(mut names) = names else {
            self.gap(path, "it could not be listed");
            return Ok(());
        };
        names.sort();
        for name in names {
            let path = path.join(&name);
            let handle = sys::open_beneath(folder, &name, libc::O_PATH | libc::O_NOFOLLOW);
            let Ok(handle) = handle else {
                self.gap(&path, "it could not be opened");
                continue;
            };
            let meta = File::from(handle.try_clone()?).metadata()?;
            if name.as_bytes().starts_with(b".wh.") {
                // As an entry it would delete something.
                self.gap(&path, "its name means a deletion in a layer");
                continue;
            }
            let found = Found { folder, name: &name, path, meta, handle: handle.as_fd() };
            let kind = found.meta.file_type();
            if kind.is_dir() {
                self.inner_folder(&found, overlay, depth)?;
            } else if kind.is_char_device() && found.meta.rdev() == 0 {
                self.whiteout(&found)?;
            } else if kind.is_symlink() {
                let ours = self.snapshot.made.links.contains(&found.path);
                if !ours {
                    let target = sys::read_link(handle.as_fd())?.into_vec();
                    self.entry(&found, Kind::Symlink, &target)?;
                }
            } else if kind.is_file() {
                self.file(&found)?;
            } else if kind.is_fifo() {
                self.entry(&found, Kind::Fifo, b"")?;
            } else {
                self.gap(&found.path, "it is a socket");
            }
        }
        Ok(())
    }

    fn inner_folder(&mut self, found: &Found<'_>, overlay: bool, depth: usize) -> io::Result<()> {
        let flags = libc::O_RDONLY | libc::O_DIRECTORY;
        let at = (found.folder, found.name);
        let closed = Closed::new(at, found.handle, &found.meta);
        let Ok(inner) = closed.open(flags) else {
            self.gap(&found.path, "it could not be opened");
            return Ok(());
        };
        self.entry(found, Kind::Folder, b"")?;
        if is_opaque(inner.as_fd()) {
            self.mark(&found.path.join(".wh..wh..opq"), found)?;
        }
        let walked = self.folder(inner.as_fd(), &found.path, overlay, depth + 1);
        closed.close();
        walked
    }

    /// A deletion: overlayfs' own mark becomes OCI's.
    fn whiteout(&mut self, found: &Found<'_>) -> io::Result<()> {
        let mut name = OsString::from(".wh.");
        name.push(found.name);
        self.mark(&found.path.with_file_name(name), found)
    }

    fn mark(&mut self, path: &Path, found: &Found<'_>) -> io::Result<()> {
        let path = inside(path).to_vec();
        self.write(found, &path, Kind::File, b"", 0, &mut io::empty())
    }

    fn file(&mut self, found: &Found<'_>) -> io::Result<()> {
        let copy = self.snapshot.made.copies.iter().find(|copy| copy.target == found.path);
        if let Some(copy) = copy
            && same_content(
                found.folder,
                found.name,
                &found.meta,
                Origin::host(&copy.source).as_ref(),
            )
        {
            return Ok(());
        }
        let decoy = self.snapshot.made.decoys.iter().find(|decoy| decoy.path == found.path);
        if decoy.is_some_and(|decoy| as_planted(found.folder, found.name, &found.meta, decoy)) {
            return Ok(());
        }
        if found.meta.nlink() > 1 {
            if let Some(first) = self.linked.get(&found.meta.ino()).cloned() {
                return self.entry(found, Kind::HardLink, &first);
            }
            self.linked.insert(found.meta.ino(), inside(&found.path).to_vec());
        }
        let size = found.meta.len();
        if size > self.left {
            self.linked.remove(&found.meta.ino());
            self.gap(&found.path, "it is larger than what is left of the bound");
            return Ok(());
        }
        let flags = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let at = (found.folder, found.name);
        let closed = Closed::new(at, found.handle, &found.meta);
        let opened = closed.open(flags);
        closed.close();
        match opened {
            Ok(file) => {
                let path = inside(&found.path).to_vec();
                self.write(found, &path, Kind::File, b"", size, &mut File::from(file))
            }
            Err(error) => {
                self.linked.remove(&found.meta.ino());
                self.gap(&found.path, &error.to_string());
                Ok(())
            }
        }
    }

    fn entry(&mut self, found: &Found<'_>, kind: Kind, link: &[u8]) -> io::Result<()> {
        let mut path = inside(&found.path).to_vec();
        if kind == Kind::Folder {
            path.push(b'/');
        }
        self.write(found, &path, kind, link, 0, &mut io::empty())
    }

    fn write(
        &mut self,
        found: &Found<'_>,
        path: &[u8],
        kind: Kind,
        link: &[u8],
        size: u64,
        content: &mut impl io::Read,
    ) -> io::Result<()> {
        self.entries += 1;
        if self.entries > ENTRIES_MAX || path.len() > PATH_MAX {
            self.gap(&found.path, "too many entries, or too long a path");
            return Ok(());
        }
        // Names count as well: a million empty files are no small snapshot.
        self.left = self.left.saturating_sub(size.saturating_add(ENTRY_BYTES));
        let whiteout = found.meta.file_type().is_char_device();
        let meta = &found.meta;
        let entry = Entry {
            kind,
            path,
            link,
            mode: if whiteout { 0o644 } else { meta.mode() & 0o7777 },
            uid: self.id(meta.uid()),
            gid: self.id(meta.gid()),
            size,
            mtime: meta.mtime(),
        };
        self.archive.append(&entry, content)
    }

    /// The id inside.
    fn id(&self, host: u32) -> u64 {
        match self.snapshot.base {
            Some(base) => u64::from(host.saturating_sub(base)),
            None => u64::from(INSIDE_UID),
        }
    }

    fn gap(&mut self, path: &Path, why: &str) {
        self.gaps += 1;
        if self.gaps <= NOTES_MAX {
            let path = shown(path.as_os_str().as_bytes());
            self.notes.push(format!("the snapshot lacks {path}: {why}"));
        }
    }
}

/// A path as it stands in an archive.
fn inside(path: &Path) -> &[u8] {
    path.strip_prefix("/").unwrap_or(path).as_os_str().as_bytes()
}
