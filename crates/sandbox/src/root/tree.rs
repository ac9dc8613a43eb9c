//! A tree of files that strangers named: opening, looking up and removing below an open folder.
//!
//! Paths are resolved by the kernel with the tree as root, so that neither `..` nor a symbolic link
//! leads out of it, whoever put it there.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::DEPTH_MAX;

/// The kernel gives up when something is renamed anywhere while it walks over `..`.
const TRIES: u32 = 64;
/// What marks a folder that hides what lies below it (overlay documentation): by root, by others.
pub(crate) const OPAQUE: [&str; 2] = ["trusted.overlay.opaque", "user.overlay.opaque"];

/// Opens `path` with `tree` as root; symbolic links lead where they lead inside.
pub(crate) fn resolve(tree: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    open(tree, path, flags, inside)
}

/// Opens `path` below `tree`, through no symbolic link at all.
pub(super) fn straight(tree: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    let below = ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV;
    open(tree, path, flags, below)
}

fn open(
    tree: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
    how: ResolveFlags,
) -> io::Result<OwnedFd> {
    let path: &[u8] = if path.is_empty() { b"." } else { path };
    let mut last = Errno::AGAIN;
    for _ in 0..TRIES {
        match rustix::fs::openat2(tree, path, flags | OFlags::CLOEXEC, Mode::empty(), how) {
            Err(error @ (Errno::AGAIN | Errno::INTR)) => last = error,
            result => return result.map_err(io::Error::from),
        }
    }
    Err(last.into())
}

/// What stands at `name` in an open folder; a link is itself.
pub(super) fn stat(folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<Option<Stat>> {
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn is_folder(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

/// overlayfs: a character device 0/0 hides the name below it.
pub(super) fn whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// Removes `name` with everything below it, but for what is in `keep` (inodes) and the folders it
/// is in. Whether it is gone.
pub(super) fn remove(
    folder: BorrowedFd<'_>,
    name: &[u8],
    keep: &HashSet<u64>,
    depth: usize,
) -> io::Result<bool> {
    let Some(stat) = stat(folder, name)? else { return Ok(true) };
    if !is_folder(&stat) {
        if keep.contains(&stat.st_ino) {
            return Ok(false);
        }
        rustix::fs::unlinkat(folder, name, AtFlags::empty())?;
        return Ok(true);
    }
    let inner = straight(folder, name, OFlags::RDONLY | OFlags::DIRECTORY)?;
    let empty = clear(inner.as_fd(), keep, depth + 1)?;
    if !empty || keep.contains(&stat.st_ino) {
        return Ok(false);
    }
    rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR)?;
    Ok(true)
}

/// Removes what is in an open folder, as [`remove`] does. Whether it is empty then.
pub(super) fn clear(folder: BorrowedFd<'_>, keep: &HashSet<u64>, depth: usize) -> io::Result<bool> {
    if depth > 2 * DEPTH_MAX {
        return Err(Errno::NAMETOOLONG.into());
    }
    let mut names: Vec<Vec<u8>> = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    let mut empty = true;
    for name in names {
        empty &= remove(folder, &name, keep, depth)?;
    }
    Ok(empty)
}

/// Whether an open folder of an overlay's layer hides what lies below it.
pub(crate) fn is_opaque(folder: BorrowedFd<'_>) -> bool {
    OPAQUE.iter().any(|name| {
        let mut value = [0; 1];
        let read = rustix::fs::fgetxattr(folder, *name, &mut value[..]);
        read.is_ok_and(|len| len == 1) && value == *b"y"
    })
}

/// What a layer says about a path.
pub(crate) enum Whiteout {
    /// It is here: a descriptor that opens nothing, and what it is.
    Here(OwnedFd, Stat),
    /// It is gone, or what it was in is.
    Gone,
    /// Whatever lies below the layer decides.
    Silent,
}

/// Looks `path` (absolute, inside) up in one layer, through no symbolic link.
pub(crate) fn look_up(layer: BorrowedFd<'_>, path: &Path) -> Whiteout {
    let names: Vec<&OsStr> = path
        .components()
        .filter_map(|part| if let Component::Normal(name) = part { Some(name) } else { None })
        .collect();
    let mut at: Option<OwnedFd> = None;
    let mut covered = false;
    for (index, name) in names.iter().enumerate() {
        let folder = at.as_ref().map_or(layer, OwnedFd::as_fd);
        let handle = straight(folder, name.as_bytes(), OFlags::PATH | OFlags::NOFOLLOW);
        let known = handle.and_then(|handle| Ok((rustix::fs::fstat(&handle)?, handle)));
        let Ok((stat, handle)) = known else {
            return if covered { Whiteout::Gone } else { Whiteout::Silent };
        };
        if whiteout(&stat) {
            return Whiteout::Gone;
        }
        if index + 1 == names.len() {
            return Whiteout::Here(handle, stat);
        }
        if !is_folder(&stat) {
            return Whiteout::Gone;
        }
        let open = straight(folder, name.as_bytes(), OFlags::RDONLY | OFlags::DIRECTORY);
        covered |= open.is_ok_and(|open| is_opaque(open.as_fd()));
        at = Some(handle);
    }
    Whiteout::Silent
}
