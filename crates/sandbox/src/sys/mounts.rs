//! Mounts: the classic call and the descriptor-based ones (kernel 5.2, 5.12).

#![expect(unsafe_code, reason = "builds the sandbox's root through mount system calls")]

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use libc::{c_long, c_uint, c_ulong};

use super::{check, cstring, owned};

/// mount(2); `None` stands for a null pointer.
pub(crate) fn mount(
    source: Option<&OsStr>,
    target: &Path,
    kind: Option<&CStr>,
    flags: c_ulong,
    data: Option<&CStr>,
) -> io::Result<()> {
    let source = source.map(cstring).transpose()?;
    let target = cstring(target)?;
    let pointer = |text: Option<&CStr>| text.map_or(std::ptr::null(), CStr::as_ptr);
    // SAFETY: every pointer is null or a NUL-terminated string that outlives the call.
    let ret = unsafe {
        libc::mount(
            pointer(source.as_deref()),
            target.as_ptr(),
            pointer(kind),
            flags,
            pointer(data).cast(),
        )
    };
    check(c_long::from(ret)).map(drop)
}

/// Makes the current directory the root and drops the old root (pivot_root(2), "." over ".").
pub(crate) fn pivot_here() -> io::Result<()> {
    // SAFETY: both strings are NUL-terminated constants.
    check(unsafe { libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) })?;
    // SAFETY: as above.
    check(c_long::from(unsafe { libc::umount2(c".".as_ptr(), libc::MNT_DETACH) }))?;
    // SAFETY: as above.
    check(c_long::from(unsafe { libc::chdir(c"/".as_ptr()) })).map(drop)
}

const OPEN_TREE_CLONE: c_uint = 1;

const AT_RECURSIVE: c_uint = 0x8000;

/// A detached copy of the mount at `path` (open_tree(2), kernel 5.2).
pub(crate) fn clone_mount(path: &Path, recursive: bool) -> io::Result<OwnedFd> {
    let path = cstring(path)?;
    let flags =
        OPEN_TREE_CLONE | libc::O_CLOEXEC.unsigned_abs() | if recursive { AT_RECURSIVE } else { 0 };
    // SAFETY: the path is NUL-terminated and outlives the call.
    owned(unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) })
}

/// `struct mount_attr` of mount_setattr(2).
#[repr(C)]
#[derive(Default)]
pub(crate) struct MountAttr {
    pub set: u64,
    pub clear: u64,
    pub propagation: u64,
    pub userns_fd: u64,
}

pub(crate) const MOUNT_ATTR_RDONLY: u64 = 1;

pub(crate) const MOUNT_ATTR_NOSUID: u64 = 2;

pub(crate) const MOUNT_ATTR_NODEV: u64 = 4;

pub(crate) const MOUNT_ATTR_IDMAP: u64 = 0x10_0000;

/// Changes a mount that `fd` names (mount_setattr(2), kernel 5.12).
pub(crate) fn mount_setattr(
    fd: BorrowedFd<'_>,
    recursive: bool,
    attr: &MountAttr,
) -> io::Result<()> {
    let flags = libc::AT_EMPTY_PATH.unsigned_abs() | if recursive { AT_RECURSIVE } else { 0 };
    // SAFETY: the empty path is NUL-terminated; `attr` is a live struct of the size passed.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(attr),
            size_of::<MountAttr>(),
        )
    })
    .map(drop)
}

/// Attaches a detached mount at `target` (move_mount(2)).
pub(crate) fn move_mount(fd: BorrowedFd<'_>, target: &Path) -> io::Result<()> {
    const MOVE_MOUNT_F_EMPTY_PATH: c_uint = 4;
    let target = cstring(target)?;
    // SAFETY: both strings are NUL-terminated and outlive the call.
    check(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            fd.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            target.as_ptr(),
            MOVE_MOUNT_F_EMPTY_PATH,
        )
    })
    .map(drop)
}

/// mknod(2) with mode and device number.
pub(crate) fn mknod(path: &Path, mode: u32, device: u64) -> io::Result<()> {
    let path = cstring(path)?;
    // SAFETY: the path is NUL-terminated and outlives the call.
    check(c_long::from(unsafe { libc::mknod(path.as_ptr(), mode, device) })).map(drop)
}
