//! Fills a tree from archives, layer over layer, as the OCI image specification says (image-spec,
//! "Image Layer Filesystem Changeset").
//!
//! Nothing is kept of a root that is refused: the memory it lies in is the run's own.

mod report;

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Seek as _, SeekFrom, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid};

pub(crate) use self::report::Report;
use super::tar::Kind;
use super::tar::read::{Entries, Entry};
use super::tree::{clear, is_folder, remove, resolve, stat, whiteout};
use super::{DEPTH_MAX, ENTRIES_MAX, NAME_MAX, PATH_MAX, Refusal, shown};

/// What a name takes beside its content: the kernel's inode and directory entry, about.
const ENTRY_BYTES: u64 = 1024;
/// Ids inside a run's range; greater ones belong to nobody.
const IDS: u64 = 65_536;
const NOBODY: u32 = 65_534;
/// What is written at once; a block of zeros becomes a hole.
const CHUNK: usize = 64 << 10;

/// Who owns what is unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owners {
    /// Whom the archive says, in the user namespace this runs in.
    Kept,
    /// Whoever this runs as.
    Flattened,
}

/// What becomes of a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whiteouts {
    /// The name is removed from the tree, and that is all.
    Applied,
    /// The tree will lie over another one: overlayfs is told to hide the name there, too.
    Kept,
}

/// A tree that is being filled.
pub(crate) struct Unpacker<'a> {
    tree: BorrowedFd<'a>,
    owners: Owners,
    whiteouts: Whiteouts,
    bytes_max: u64,
    left: u64,
    report: Report,
    /// Inodes that this layer made: its own whiteouts do not touch them.
    own: HashSet<u64>,
    /// The folder of the entry before: most entries are beside each other.
    last: Option<(Vec<u8>, OwnedFd)>,
}

impl<'a> Unpacker<'a> {
    /// `bytes_max` bounds content and names together.
    pub(crate) fn new(
        tree: BorrowedFd<'a>,
        owners: Owners,
        whiteouts: Whiteouts,
        bytes_max: u64,
    ) -> Self {
        let report = Report { flattened: owners == Owners::Flattened, ..Report::default() };
        let own = HashSet::new();
        Self { tree, owners, whiteouts, bytes_max, left: bytes_max, report, own, last: None }
    }

    pub(crate) fn finish(self) -> Report {
        self.report
    }

    /// Unpacks one layer.
    pub(crate) fn layer(&mut self, input: &mut impl Read) -> Result<(), Refusal> {
        self.own.clear();
        // Skipped entries and padding count, too: a small file may unpack to terabytes of nothing.
        let padding = ENTRIES_MAX * ENTRY_BYTES;
        let limit = self.bytes_max.saturating_add(padding);
        let mut entries = Entries::new(input.take(limit));
        loop {
            match entries.next() {
                Ok(Some(entry)) => self.entry(&entry, &mut entries)?,
                // A stream that was cut at the bound looks damaged.
                Ok(None) | Err(_) if entries.input().limit() == 0 => return Err(self.too_large()),
                Ok(None) => break,
                Err(refusal) => return Err(refusal),
            }
        }
        self.last = None;
        Ok(())
    }

    fn too_large(&self) -> Refusal {
        Refusal::new(format!(
            "it unpacks to more than {} bytes, which is what the run may write (--disk)",
            self.bytes_max
        ))
    }

    fn entry<R: Read>(&mut self, entry: &Entry, content: &mut Entries<R>) -> Result<(), Refusal> {
        self.charge(entry.size)?;
        self.tell(entry);
        let parts = parts(&entry.path)?;
        let Some((name, parents)) = parts.split_last() else {
            return match entry.kind {
                Kind::Folder => self.dress_folder(self.tree, entry),
                _ => Err(Refusal::new("an entry has no name")),
            };
        };
        let folder = self.folder(parents)?;
        let what = || shown(&entry.path);
        if let Some(gone) = name.strip_prefix(b".wh.") {
            return self
                .hide(folder.as_fd(), parents, gone)
                .map_err(Refusal::io(format!("apply the whiteout {}", what())));
        }
        match entry.kind {
            Kind::File => self.file(folder.as_fd(), name, entry, content),
            Kind::Folder => self.make_folder(folder.as_fd(), &parts, name, entry),
            Kind::Symlink => self.symlink(folder.as_fd(), name, entry),
            Kind::HardLink => self.hard_link(folder.as_fd(), name, entry),
            Kind::Device | Kind::Fifo | Kind::Other(_) => Ok(()),
        }
    }

    /// Takes one name and its content from what is left.
    fn charge(&mut self, bytes: u64) -> Result<(), Refusal> {
        self.report.entries += 1;
        if self.report.entries > ENTRIES_MAX {
            return Err(Refusal::new(format!("it has more than {ENTRIES_MAX} entries")));
        }
        self.left = self
            .left
            .checked_sub(bytes.saturating_add(ENTRY_BYTES))
            .ok_or_else(|| self.too_large())?;
        self.report.bytes += bytes;
        Ok(())
    }

    fn tell(&mut self, entry: &Entry) {
        let capabilities =
            entry.attributes.iter().filter(|name| *name == "security.capability").count() as u64;
        self.report.capabilities += capabilities;
        self.report.attributes += entry.attributes.len() as u64 - capabilities;
        self.report.devices += u64::from(matches!(entry.kind, Kind::Device | Kind::Fifo));
        self.report.unknown += u64::from(matches!(entry.kind, Kind::Other(_)));
        if self.owners == Owners::Kept {
            self.report.nobody += u64::from(entry.uid >= IDS || entry.gid >= IDS);
        }
    }

    /// The folder that `parts` name, made where it is missing.
    fn folder(&mut self, parts: &[&[u8]]) -> Result<OwnedFd, Refusal> {
        let path = parts.join(&b'/');
        let copy = |fd: &OwnedFd| fd.try_clone().map_err(Refusal::io("copy a descriptor"));
        if let Some((last, folder)) = &self.last
            && *last == path
        {
            return copy(folder);
        }
        let folder = match resolve(self.tree, &path, OFlags::PATH | OFlags::DIRECTORY) {
            Ok(folder) => folder,
            Err(_) => self.make_folders(parts)?,
        };
        let again = copy(&folder)?;
        self.last = Some((path, folder));
        Ok(again)
    }

    fn make_folders(&mut self, parts: &[&[u8]]) -> Result<OwnedFd, Refusal> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let mut at = resolve(self.tree, b"", flags).map_err(Refusal::io("open the tree"))?;
        for count in 1..=parts.len() {
            let Some(path) = parts.get(..count) else { break };
            let name = path.last().copied().unwrap_or_default();
            let joined = path.join(&b'/');
            let failed = || Refusal::io(format!("make the folder {}", shown(&joined)));
            at = match resolve(self.tree, &joined, flags) {
                Ok(folder) => folder,
                Err(_) => {
                    self.charge(0)?;
                    let there = stat(at.as_fd(), name).map_err(failed())?;
                    if there.is_some_and(|there| whiteout(&there)) {
                        rustix::fs::unlinkat(&at, name, AtFlags::empty())
                            .map_err(|error| failed()(error.into()))?;
                        self.report.opaque.push(joined.clone());
                    }
                    rustix::fs::mkdirat(&at, name, Mode::from_raw_mode(0o755))
                        .map_err(|error| failed()(error.into()))?;
                    resolve(self.tree, &joined, flags).map_err(failed())?
                }
            };
        }
        Ok(at)
    }

    /// A whiteout: `gone` is the rest of its name after `.wh.`.
    fn hide(
        &mut self,
        folder: BorrowedFd<'_>,
        parents: &[&[u8]],
        gone: &[u8],
    ) -> std::io::Result<()> {
        if gone == b".wh..opq" {
            let folder = rustix::fs::openat(
                folder,
                c".",
                OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
            )?;
            clear(folder.as_fd(), &self.own, 0)?;
            if self.whiteouts == Whiteouts::Kept {
                self.report.opaque.push(parents.join(&b'/'));
            }
            self.last = None;
            return Ok(());
        }
        // What else starts so is aufs' own book-keeping.
        if gone.starts_with(b".wh.") {
            return Ok(());
        }
        if gone.is_empty() || gone == b"." || gone == b".." {
            let why = "it names no file";
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, why));
        }
        self.last = None;
        let removed = remove(folder, gone, &self.own, 0)?;
        if removed && self.whiteouts == Whiteouts::Kept {
            let (kind, mode) = (FileType::CharacterDevice, Mode::empty());
            rustix::fs::mknodat(folder, gone, kind, mode, 0)?;
        }
        Ok(())
    }

    /// Makes room for something that is no folder.
    fn replace(&mut self, folder: BorrowedFd<'_>, name: &[u8]) -> std::io::Result<()> {
        self.last = None;
        remove(folder, name, &HashSet::new(), 0).map(drop)
    }

    fn file<R: Read>(
        &mut self,
        folder: BorrowedFd<'_>,
        name: &[u8],
        entry: &Entry,
        content: &mut Entries<R>,
    ) -> Result<(), Refusal> {
        let failed = || Refusal::io(format!("unpack {}", shown(&entry.path)));
        self.replace(folder, name).map_err(failed())?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let fd =
            rustix::fs::openat(folder, name, flags | OFlags::CLOEXEC, Mode::from_raw_mode(0o600))
                .map_err(|error| failed()(error.into()))?;
        let mut file = File::from(fd);
        let mut copy = || -> std::io::Result<()> {
            let mut buffer = vec![0; CHUNK];
            loop {
                let count = content.read(&mut buffer)?;
                let chunk = buffer.get(..count).unwrap_or(&[]);
                if chunk.is_empty() {
                    return file.set_len(entry.size);
                }
                if chunk.iter().all(|&byte| byte == 0) {
                    file.seek(SeekFrom::Current(i64::try_from(count).unwrap_or(0)))?;
                } else {
                    file.write_all(chunk)?;
                }
            }
        };
        copy().map_err(failed())?;
        self.dress(file.as_fd(), entry).map_err(failed())?;
        let time = Timespec { tv_sec: entry.mtime, tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        // A time that the file system cannot hold is no reason to refuse a root.
        let _ = rustix::fs::futimens(&file, &times);
        Ok(())
    }

    fn make_folder(
        &mut self,
        folder: BorrowedFd<'_>,
        parts: &[&[u8]],
        name: &[u8],
        entry: &Entry,
    ) -> Result<(), Refusal> {
        let failed = || Refusal::io(format!("make the folder {}", shown(&entry.path)));
        let there = stat(folder, name).map_err(failed())?;
        if !there.as_ref().is_some_and(is_folder) {
            if there.as_ref().is_some_and(whiteout) {
                self.report.opaque.push(parts.join(&b'/'));
            }
            self.replace(folder, name).map_err(failed())?;
            rustix::fs::mkdirat(folder, name, Mode::from_raw_mode(0o755))
                .map_err(|error| failed()(error.into()))?;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = rustix::fs::openat(folder, name, flags, Mode::empty())
            .map_err(|error| failed()(error.into()))?;
        self.dress_folder(made.as_fd(), entry)
    }

    fn dress_folder(&mut self, folder: BorrowedFd<'_>, entry: &Entry) -> Result<(), Refusal> {
        let failed = Refusal::io(format!("set the mode of {}", shown(&entry.path)));
        self.dress(folder, entry).map_err(failed)
    }

    /// Owner, then mode: a change of owner takes the set-user-id bit away.
    fn dress(&mut self, file: BorrowedFd<'_>, entry: &Entry) -> std::io::Result<()> {
        self.own.insert(rustix::fs::fstat(file)?.st_ino);
        if self.owners == Owners::Kept {
            let (uid, gid) = owner(entry);
            rustix::fs::fchown(file, Some(uid), Some(gid))?;
        }
        Ok(rustix::fs::fchmod(file, Mode::from_raw_mode(entry.mode))?)
    }

    fn symlink(
        &mut self,
        folder: BorrowedFd<'_>,
        name: &[u8],
        entry: &Entry,
    ) -> Result<(), Refusal> {
        let failed = || Refusal::io(format!("make the link {}", shown(&entry.path)));
        self.replace(folder, name).map_err(failed())?;
        let make = || -> std::io::Result<u64> {
            rustix::fs::symlinkat(entry.link.as_slice(), folder, name)?;
            if self.owners == Owners::Kept {
                let (uid, gid) = owner(entry);
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                rustix::fs::chownat(folder, name, Some(uid), Some(gid), flags)?;
            }
            Ok(rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?.st_ino)
        };
        let inode = make().map_err(failed())?;
        self.own.insert(inode);
        Ok(())
    }

    fn hard_link(
        &mut self,
        folder: BorrowedFd<'_>,
        name: &[u8],
        entry: &Entry,
    ) -> Result<(), Refusal> {
        let (link, path) = (shown(&entry.link), shown(&entry.path));
        let failed = || Refusal::io(format!("link {path} to {link}"));
        let parts = parts(&entry.link)?;
        let Some((target, parents)) = parts.split_last() else {
            return Err(Refusal::new(format!("{path} is a hard link to no file")));
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let unknown = || {
            let why = "which is no file of the archive before it";
            Refusal::new(format!("{path} is a hard link to {link}, {why}"))
        };
        let from = resolve(self.tree, &parents.join(&b'/'), flags).map_err(|_| unknown())?;
        let there = stat(from.as_fd(), target).map_err(failed())?;
        let there = there.filter(|there| !is_folder(there) && !whiteout(there));
        let there = there.ok_or_else(unknown)?;
        if stat(folder, name).map_err(failed())?.is_some_and(|old| old.st_ino == there.st_ino) {
            return Ok(());
        }
        self.replace(folder, name).map_err(failed())?;
        rustix::fs::linkat(&from, *target, folder, name, AtFlags::empty())
            .map_err(|error| failed()(error.into()))?;
        self.own.insert(there.st_ino);
        Ok(())
    }
}

fn owner(entry: &Entry) -> (Uid, Gid) {
    let id = |id: u64| u32::try_from(id).ok().filter(|_| id < IDS).unwrap_or(NOBODY);
    (Uid::from_raw(id(entry.uid)), Gid::from_raw(id(entry.gid)))
}

/// The names of a path. A leading slash is the tree's own root; `..` is refused even where it would
/// lead nowhere, because nobody writes it for a good reason.
pub(super) fn parts(path: &[u8]) -> Result<Vec<&[u8]>, Refusal> {
    let refuse = |why: &str| Err(Refusal::new(format!("the name {} {why}", shown(path))));
    if path.len() > PATH_MAX {
        return refuse("is too long");
    }
    let names: Vec<&[u8]> =
        path.split(|&byte| byte == b'/').filter(|name| !name.is_empty() && *name != b".").collect();
    if names.contains(&&b".."[..]) {
        return refuse("leads out of the archive");
    }
    if names.len() > DEPTH_MAX {
        return refuse("has too many folders in each other");
    }
    if names.iter().any(|name| name.len() > NAME_MAX) {
        return refuse("has too long a part");
    }
    Ok(names)
}

#[cfg(test)]
pub(super) mod tests;
