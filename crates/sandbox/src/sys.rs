//! The system calls the runner needs, as functions that return `io::Result`.
//!
//! One call each, no policy. Everything here is safe to call between `fork` and `execve` as far as
//! the allocator is (the runner forks with libc's `fork`, whose allocator survives it); the few
//! functions that must not allocate at all say so.

#![expect(unsafe_code, reason = "this module is where the runner's system calls are made")]

mod messages;
mod mounts;
mod network;
mod processes;
mod signals;

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use libc::{c_int, c_long, c_uint};

pub(crate) use messages::{pass_credentials, receive, send, seqpacket_pair};
pub(crate) use mounts::{
    MOUNT_ATTR_IDMAP, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, MountAttr,
    clone_mount, mknod, mount, mount_setattr, move_mount, pivot_here,
};
pub(crate) use network::{Interface, loopback_up, tunnel, write_once};
pub(crate) use processes::{
    ExecArgs, Fork, become_user, children_left, drop_bounding_set, drop_capabilities,
    effective_gid, effective_uid, exit_now, fork, kill, leave_real_time, pidfd_getfd, pidfd_open,
    prctl, rename_process, run_among_others, run_before_others, set_hostname, set_name, set_rlimit,
    setns, setsid, unshare, wait,
};
pub(crate) use signals::{
    Dispositions, catch_signals, default_signals, ignore_signals, write_signal,
};

/// Turns a raw return value into a result.
fn check(ret: c_long) -> io::Result<c_long> {
    if ret < 0 { Err(io::Error::last_os_error()) } else { Ok(ret) }
}

/// A file descriptor that a system call has just created for us.
fn owned(ret: c_long) -> io::Result<OwnedFd> {
    let raw =
        RawFd::try_from(check(ret)?).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
    // SAFETY: the kernel returned this descriptor to this call only, so nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// A path or name as a C string; a NUL inside is `EINVAL`.
pub(crate) fn cstring(text: impl AsRef<OsStr>) -> io::Result<CString> {
    CString::new(text.as_ref().as_bytes()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// A pipe: (read end, write end).
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: the array has room for the two descriptors.
    check(c_long::from(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) }))?;
    Ok((owned(c_long::from(fds[0]))?, owned(c_long::from(fds[1]))?))
}

pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no pointers are passed.
    check(c_long::from(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) }))
        .map(drop)
}

/// Waits for events on descriptors; `timeout_ms` -1 waits without end. `EINTR` is no event.
pub(crate) fn poll(fds: &mut [libc::pollfd], timeout_ms: c_int) -> io::Result<usize> {
    let Ok(count) = libc::nfds_t::try_from(fds.len()) else {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    };
    // SAFETY: the pointer and count describe a live slice.
    match check(c_long::from(unsafe { libc::poll(fds.as_mut_ptr(), count, timeout_ms) })) {
        Ok(ready) => Ok(usize::try_from(ready).unwrap_or(0)),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
        Err(error) => Err(error),
    }
}

/// Puts `fd` in the place of standard stream `target`. Does not allocate.
pub(crate) fn dup_to(fd: BorrowedFd<'_>, target: RawFd) -> io::Result<()> {
    // SAFETY: no pointers are passed.
    check(c_long::from(unsafe { libc::dup2(fd.as_raw_fd(), target) })).map(drop)
}

/// Closes every descriptor from `first` on, or marks them close-on-exec.
pub(crate) fn close_from(first: c_uint, on_exec: bool) -> io::Result<()> {
    const CLOSE_RANGE_CLOEXEC: c_uint = 4;
    let flags = if on_exec { CLOSE_RANGE_CLOEXEC } else { 0 };
    // SAFETY: no pointers are passed. Descriptors that Rust values own here are never used again:
    // the callers are forked children that go on with the ones below `first`.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, c_uint::MAX, flags) }).map(drop)
}

/// Closes every descriptor past the standard streams but these.
pub(crate) fn close_but(kept: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut kept: Vec<c_uint> =
        kept.iter().filter_map(|fd| c_uint::try_from(fd.as_raw_fd()).ok()).collect();
    kept.sort_unstable();
    let mut first: c_uint = 3;
    for fd in kept.into_iter().filter(|fd| *fd >= 3) {
        if first < fd {
            // SAFETY: as in `close_from`; what the callers go on with is among `kept`.
            check(unsafe { libc::syscall(libc::SYS_close_range, first, fd - 1, 0) })?;
        }
        first = fd + 1;
    }
    close_from(first, false)
}

/// CLOCK_MONOTONIC in nanoseconds.
pub(crate) fn monotonic_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live timespec; CLOCK_MONOTONIC always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

/// openat2(2) below `dir`, never through a link, never out of `dir`, never across a mount.
pub(crate) fn open_beneath(dir: BorrowedFd<'_>, name: &OsStr, flags: c_int) -> io::Result<OwnedFd> {
    const RESOLVE_NO_XDEV: u64 = 1;
    const RESOLVE_NO_MAGICLINKS: u64 = 2;
    const RESOLVE_NO_SYMLINKS: u64 = 4;
    const RESOLVE_BENEATH: u64 = 8;
    #[repr(C)]
    struct OpenHow {
        flags: u64,
        mode: u64,
        resolve: u64,
    }
    let name = cstring(name)?;
    let how = OpenHow {
        flags: u64::from((flags | libc::O_CLOEXEC).unsigned_abs()),
        mode: 0,
        resolve: RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH,
    };
    // SAFETY: the name is NUL-terminated and `how` a live struct of the size passed.
    owned(unsafe {
        libc::syscall(
            libc::SYS_openat2,
            dir.as_raw_fd(),
            name.as_ptr(),
            &raw const how,
            size_of::<OpenHow>(),
        )
    })
}

/// write(2) of one whole message. Does not allocate.
pub(crate) fn write_all(fd: BorrowedFd<'_>, mut data: &[u8]) -> io::Result<()> {
    while !data.is_empty() {
        // SAFETY: pointer and length describe a live slice.
        let ret = unsafe { libc::write(fd.as_raw_fd(), data.as_ptr().cast(), data.len()) };
        match check(ret as c_long) {
            Ok(count) => data = data.get(usize::try_from(count).unwrap_or(0)..).unwrap_or(&[]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// read(2); 0 at the end. Does not allocate.
pub(crate) fn read(fd: BorrowedFd<'_>, data: &mut [u8]) -> io::Result<usize> {
    loop {
        // SAFETY: pointer and length describe a live, writable slice.
        let ret = unsafe { libc::read(fd.as_raw_fd(), data.as_mut_ptr().cast(), data.len()) };
        match check(ret as c_long) {
            Ok(count) => return Ok(usize::try_from(count).unwrap_or(0)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Points `fd` at the null device: the original is let go while the number stays taken.
pub(crate) fn replace_with_null(fd: BorrowedFd<'_>) {
    if let Ok(null) = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null") {
        use std::os::fd::AsFd as _;
        // SAFETY: no pointers are passed; `fd` stays a valid descriptor.
        unsafe { libc::dup3(null.as_fd().as_raw_fd(), fd.as_raw_fd(), libc::O_CLOEXEC) };
    }
}

/// Where the symbolic link behind an `O_PATH` descriptor points.
pub(crate) fn read_link(fd: BorrowedFd<'_>) -> io::Result<std::ffi::OsString> {
    use std::os::unix::ffi::OsStringExt as _;
    let mut buffer = vec![0_u8; 4096];
    // SAFETY: the path is an empty NUL-terminated string; pointer and length describe the buffer.
    let ret = unsafe {
        libc::readlinkat(fd.as_raw_fd(), c"".as_ptr(), buffer.as_mut_ptr().cast(), buffer.len())
    };
    buffer.truncate(usize::try_from(check(ret as c_long)?).unwrap_or(0));
    Ok(std::ffi::OsString::from_vec(buffer))
}

/// Writes all of `data` to one of our own standard streams. Whoever gave it to us may have made it
/// non-blocking; a reader that is only slow is waited for all the same.
pub(crate) fn write_stream(fd: c_int, mut data: &[u8]) -> io::Result<()> {
    while !data.is_empty() {
        // SAFETY: pointer and length describe a live slice.
        let ret = unsafe { libc::write(fd, data.as_ptr().cast(), data.len()) };
        match check(ret as c_long) {
            Ok(count) => data = data.get(usize::try_from(count).unwrap_or(0)..).unwrap_or(&[]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                poll(&mut [libc::pollfd { fd, events: libc::POLLOUT, revents: 0 }], -1)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether this process may create entries in `path` (access(2), effective ids).
pub(crate) fn writable(path: &Path) -> bool {
    cstring(path).is_ok_and(|path| {
        // SAFETY: the path is NUL-terminated and outlives the call.
        unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), libc::W_OK, libc::AT_EACCESS) == 0 }
    })
}

/// Whether the file system behind `fd` has no room or no names left (fstatvfs(3)).
pub(crate) fn is_full(fd: BorrowedFd<'_>) -> bool {
    // SAFETY: statvfs is plain data for which all-zero is valid; the pointer is to a live struct.
    unsafe {
        let mut stat: libc::statvfs = std::mem::zeroed();
        libc::fstatvfs(fd.as_raw_fd(), &raw mut stat) == 0
            && (stat.f_bavail == 0 || stat.f_favail == 0)
    }
}
