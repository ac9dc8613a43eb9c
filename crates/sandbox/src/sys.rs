//! The system calls the runner needs, as functions that return `io::Result`.
//!
//! One call each, no policy. Everything here is safe to call between `fork` and `execve` as far as
//! the allocator is (the runner forks with libc's `fork`, whose allocator survives it); the few
//! functions that must not allocate at all say so.

#![expect(unsafe_code, reason = "this module is where the runner's system calls are made")]

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use libc::{c_int, c_long, c_uint, c_ulong, pid_t};

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

/// Which side of a fork this is.
pub(crate) enum Fork {
    Child,
    Parent(pid_t),
}

/// libc's `fork`: its own locks, the allocator's included, are usable in the child.
pub(crate) fn fork() -> io::Result<Fork> {
    // SAFETY: fork has no preconditions on memory. The child must not wait for locks that other
    // threads of the parent held; the callers use only libc's allocator and system calls.
    let pid = unsafe { libc::fork() };
    match check(c_long::from(pid))? {
        0 => Ok(Fork::Child),
        _ => Ok(Fork::Parent(pid)),
    }
}

/// Ends this process without running exit handlers that belong to the parent.
pub(crate) fn exit_now(code: c_int) -> ! {
    // SAFETY: _exit takes no pointers and does not return.
    unsafe { libc::_exit(code) }
}

pub(crate) fn unshare(flags: c_int) -> io::Result<()> {
    // SAFETY: no pointers are passed.
    check(c_long::from(unsafe { libc::unshare(flags) })).map(drop)
}

pub(crate) fn setns(fd: BorrowedFd<'_>, kind: c_int) -> io::Result<()> {
    // SAFETY: no pointers are passed; the descriptor is open for the length of the call.
    check(c_long::from(unsafe { libc::setns(fd.as_raw_fd(), kind) })).map(drop)
}

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

pub(crate) const OPEN_TREE_CLONE: c_uint = 1;
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
pub(crate) const MOUNT_ATTR_NOEXEC: u64 = 8;
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

/// A pair of connected sockets that keep message borders.
pub(crate) fn seqpacket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: the array has room for the two descriptors.
    let ret = unsafe {
        libc::socketpair(
            libc::AF_UNIX,
            libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC,
            0,
            fds.as_mut_ptr(),
        )
    };
    check(c_long::from(ret))?;
    Ok((owned(c_long::from(fds[0]))?, owned(c_long::from(fds[1]))?))
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

/// Asks for the sender's credentials with every message (SO_PASSCRED).
pub(crate) fn pass_credentials(fd: BorrowedFd<'_>) -> io::Result<()> {
    let on: c_int = 1;
    // SAFETY: the option value is a live c_int of the size passed.
    let ret = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PASSCRED,
            std::ptr::from_ref(&on).cast(),
            size_of::<c_int>() as libc::socklen_t,
        )
    };
    check(c_long::from(ret)).map(drop)
}

/// Room for one SCM_RIGHTS list of up to eight descriptors and one SCM_CREDENTIALS.
#[repr(C, align(8))]
struct Control([u8; 128]);

/// Sends one message, with descriptors. Does not allocate.
pub(crate) fn send(fd: BorrowedFd<'_>, data: &[u8], pass: &[RawFd]) -> io::Result<()> {
    let mut iov = libc::iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
    let mut control = Control([0; 128]);
    // SAFETY: msghdr is a plain C struct for which all-zero is valid.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut iov;
    message.msg_iovlen = 1;
    if !pass.is_empty() {
        let bytes = std::mem::size_of_val(pass);
        let Ok(bytes_u32) = u32::try_from(bytes) else {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        };
        message.msg_control = control.0.as_mut_ptr().cast();
        // SAFETY: CMSG_SPACE is arithmetic on its argument.
        message.msg_controllen = unsafe { libc::CMSG_SPACE(bytes_u32) } as usize;
        if message.msg_controllen > control.0.len() {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        // SAFETY: msg_control points to `control`, aligned and large enough for one header and
        // `bytes` of data as checked above, so the first header and its data lie inside it.
        unsafe {
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(bytes_u32) as usize;
            std::ptr::copy_nonoverlapping(pass.as_ptr().cast(), libc::CMSG_DATA(header), bytes);
        }
    }
    // SAFETY: `message` refers to buffers that outlive the call.
    let ret = unsafe { libc::sendmsg(fd.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
    check(ret as c_long).map(drop)
}

/// One received message.
pub(crate) struct Received {
    pub len: usize,
    /// The sender's process id in the receiver's pid namespace, when credentials came along.
    pub pid: Option<pid_t>,
    pub fds: Vec<OwnedFd>,
}

/// Receives one message; `len` 0 means that the other side is gone.
pub(crate) fn receive(fd: BorrowedFd<'_>, data: &mut [u8]) -> io::Result<Received> {
    let mut iov = libc::iovec { iov_base: data.as_mut_ptr().cast(), iov_len: data.len() };
    let mut control = Control([0; 128]);
    // SAFETY: msghdr is a plain C struct for which all-zero is valid.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut iov;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len();
    // SAFETY: `message` refers to buffers that outlive the call.
    let ret = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
    let len = usize::try_from(check(ret as c_long)?).unwrap_or(0);
    let mut received = Received { len, pid: None, fds: Vec::new() };
    // SAFETY: the kernel filled msg_control up to msg_controllen; the CMSG functions stay inside
    // it, and each payload is read unaligned with the length its header states.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&raw const message);
        while !header.is_null() {
            let payload = libc::CMSG_DATA(header);
            let size = (*header).cmsg_len.saturating_sub(libc::CMSG_LEN(0) as usize);
            if (*header).cmsg_level == libc::SOL_SOCKET {
                if (*header).cmsg_type == libc::SCM_RIGHTS {
                    for index in 0..size / size_of::<RawFd>() {
                        let raw = payload.cast::<RawFd>().add(index).read_unaligned();
                        received.fds.push(OwnedFd::from_raw_fd(raw));
                    }
                } else if (*header).cmsg_type == libc::SCM_CREDENTIALS
                    && size >= size_of::<libc::ucred>()
                {
                    received.pid = Some(payload.cast::<libc::ucred>().read_unaligned().pid);
                }
            }
            header = libc::CMSG_NXTHDR(&raw const message, header);
        }
    }
    Ok(received)
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

/// Waits for a child: `(pid, wait status)`. `None` when there is none (or, with `WNOHANG`, none
/// that changed). Does not allocate.
pub(crate) fn wait(pid: pid_t, flags: c_int) -> Option<(pid_t, c_int)> {
    loop {
        let mut status = 0;
        // SAFETY: `status` is a live c_int.
        let ret = unsafe { libc::waitpid(pid, &raw mut status, flags) };
        if ret > 0 {
            return Some((ret, status));
        }
        if ret == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
            return None;
        }
    }
}

pub(crate) fn kill(pid: pid_t, signal: c_int) -> io::Result<()> {
    // SAFETY: no pointers are passed.
    check(c_long::from(unsafe { libc::kill(pid, signal) })).map(drop)
}

pub(crate) fn pidfd_open(pid: pid_t) -> io::Result<OwnedFd> {
    // SAFETY: no pointers are passed.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

/// A copy of descriptor `fd` of the process behind `pidfd` (kernel 5.6).
pub(crate) fn pidfd_getfd(pidfd: BorrowedFd<'_>, fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: no pointers are passed.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), fd, 0) })
}

/// prctl(2) with integer arguments. Does not allocate.
pub(crate) fn prctl(option: c_int, arg: c_ulong) -> io::Result<()> {
    // SAFETY: the options used take integers; unused arguments are zero as the kernel demands.
    check(c_long::from(unsafe {
        libc::prctl(option, arg, 0 as c_ulong, 0 as c_ulong, 0 as c_ulong)
    }))
    .map(drop)
}

/// Names this thread.
pub(crate) fn set_name(name: &CStr) {
    // SAFETY: the pointer is a NUL-terminated string; the kernel copies at most 16 bytes.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0) };
}

/// Empties the capability bounding set; needs CAP_SETPCAP. Does not allocate.
pub(crate) fn drop_bounding_set() -> io::Result<()> {
    for capability in 0..64 {
        if let Err(error) = prctl(libc::PR_CAPBSET_DROP, capability) {
            if error.raw_os_error() == Some(libc::EINVAL) {
                break; // past the last capability of this kernel
            }
            return Err(error);
        }
    }
    Ok(())
}

/// Gives up every capability in the other sets. Does not allocate.
pub(crate) fn drop_capabilities() -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: c_int,
    }
    const LINUX_CAPABILITY_VERSION_3: u32 = 0x2008_0522;
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as c_ulong)?;
    let header = Header { version: LINUX_CAPABILITY_VERSION_3, pid: 0 };
    let empty = [0_u32; 6];
    // SAFETY: version 3 reads two structs of three u32; `empty` has those six.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, empty.as_ptr()) }).map(drop)
}

/// Becomes this user and group with no further groups. Raw calls: libc's would signal threads.
pub(crate) fn become_user(uid: u32, gid: u32, clear_groups: bool) -> io::Result<()> {
    if clear_groups {
        // SAFETY: with a count of zero no pointer is read.
        check(unsafe { libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<libc::gid_t>()) })?;
    }
    // SAFETY: no pointers are passed.
    check(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) })?;
    // SAFETY: no pointers are passed.
    check(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) }).map(drop)
}

pub(crate) fn set_rlimit(resource: libc::__rlimit_resource_t, limit: u64) -> io::Result<()> {
    let value = libc::rlimit { rlim_cur: limit, rlim_max: limit };
    // SAFETY: the pointer is to a live struct.
    check(c_long::from(unsafe { libc::setrlimit(resource, &raw const value) })).map(drop)
}

pub(crate) fn set_hostname(name: &CStr) -> io::Result<()> {
    // SAFETY: pointer and length describe the string without its NUL.
    check(c_long::from(unsafe { libc::sethostname(name.as_ptr(), name.count_bytes()) })).map(drop)
}

pub(crate) fn setsid() {
    // SAFETY: takes no arguments; failure (already a leader) is what was wanted.
    unsafe { libc::setsid() };
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

/// Null-terminated pointer lists for execve, made before the fork.
pub(crate) struct ExecArgs {
    program: CString,
    _strings: Vec<CString>,
    argv: Vec<*const libc::c_char>,
    envp: Vec<*const libc::c_char>,
}

impl ExecArgs {
    pub(crate) fn new(
        program: &Path,
        argv: &[impl AsRef<OsStr>],
        env: &[(impl AsRef<OsStr>, impl AsRef<OsStr>)],
    ) -> io::Result<Self> {
        let mut strings = Vec::new();
        for arg in argv {
            strings.push(cstring(arg)?);
        }
        for (key, value) in env {
            let mut pair = key.as_ref().to_os_string();
            pair.push("=");
            pair.push(value.as_ref());
            strings.push(cstring(pair)?);
        }
        // The pointers stay valid when the vector moves: each CString owns its own heap block.
        let mut argv_pointers: Vec<_> = strings[..argv.len()].iter().map(|s| s.as_ptr()).collect();
        argv_pointers.push(std::ptr::null());
        let mut env_pointers: Vec<_> = strings[argv.len()..].iter().map(|s| s.as_ptr()).collect();
        env_pointers.push(std::ptr::null());
        Ok(Self {
            program: cstring(program)?,
            _strings: strings,
            argv: argv_pointers,
            envp: env_pointers,
        })
    }

    /// Replaces this process; returns only on failure. Does not allocate.
    pub(crate) fn exec(&self) -> io::Error {
        // SAFETY: program and the two null-terminated lists point to strings owned by `self`.
        unsafe {
            libc::execve(self.program.as_ptr(), self.argv.as_ptr(), self.envp.as_ptr());
        }
        io::Error::last_os_error()
    }
}

/// Brings the loopback interface of the current network namespace up.
pub(crate) fn loopback_up() -> io::Result<()> {
    // SAFETY: no pointers are passed.
    let socket = owned(c_long::from(unsafe {
        libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0)
    }))?;
    // SAFETY: ifreq is a plain C struct for which all-zero is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (slot, byte) in request.ifr_name.iter_mut().zip(b"lo") {
        *slot = byte.cast_signed();
    }
    #[expect(clippy::cast_possible_truncation, reason = "IFF_UP | IFF_RUNNING is 0x41")]
    let flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    request.ifr_ifru.ifru_flags = flags;
    // SAFETY: the request is a live ifreq with a NUL-terminated name.
    check(c_long::from(unsafe {
        libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request)
    }))
    .map(drop)
}

/// CLOCK_MONOTONIC in nanoseconds.
pub(crate) fn monotonic_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live timespec; CLOCK_MONOTONIC always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

pub(crate) fn effective_uid() -> u32 {
    // SAFETY: takes no arguments and cannot fail.
    unsafe { libc::geteuid() }
}

pub(crate) fn effective_gid() -> u32 {
    // SAFETY: takes no arguments and cannot fail.
    unsafe { libc::getegid() }
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

/// The signals that end a run from outside.
pub(crate) const ENDING_SIGNALS: [c_int; 4] =
    [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];

/// Ignores what a terminal or a service manager sends to a whole group.
pub(crate) fn ignore_signals() {
    for signal in ENDING_SIGNALS.into_iter().chain([libc::SIGPIPE]) {
        // SAFETY: SIG_IGN is a valid disposition for each of these signals.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Gives a new program the dispositions and the mask it expects. Does not allocate.
pub(crate) fn default_signals() {
    for signal in 1..=31 {
        // SAFETY: SIG_DFL is a valid disposition; the kernel refuses it for KILL and STOP.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: sigset_t is plain data that sigemptyset initialises before it is used.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut());
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

/// Signal dispositions as they were; restored on drop.
pub(crate) struct Dispositions(Vec<(c_int, libc::sigaction)>);

/// Installs `handler` for the ending signals that are not ignored (nohup stays nohup).
pub(crate) fn catch_signals(handler: extern "C" fn(c_int)) -> Dispositions {
    let mut previous = Vec::new();
    for signal in ENDING_SIGNALS {
        // SAFETY: sigaction is plain data for which all-zero is valid; both pointers are to live
        // structs; the handler only uses async-signal-safe calls.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            let mut old: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as *const () as usize;
            libc::sigaction(signal, std::ptr::null(), &raw mut old);
            if old.sa_sigaction != libc::SIG_IGN {
                libc::sigaction(signal, &raw const action, std::ptr::null_mut());
                previous.push((signal, old));
            }
        }
    }
    Dispositions(previous)
}

impl Drop for Dispositions {
    fn drop(&mut self) {
        for (signal, old) in &self.0 {
            // SAFETY: restores a disposition the kernel gave us.
            unsafe { libc::sigaction(*signal, std::ptr::from_ref(old), std::ptr::null_mut()) };
        }
    }
}

/// From a signal handler: one byte into a non-blocking pipe, errno kept.
pub(crate) fn write_signal(fd: c_int, signal: c_int) {
    let byte = u8::try_from(signal).unwrap_or(0);
    // SAFETY: async-signal-safe calls on a live byte; errno is thread-local.
    unsafe {
        let errno = *libc::__errno_location();
        libc::write(fd, std::ptr::from_ref(&byte).cast(), 1);
        *libc::__errno_location() = errno;
    }
}

/// Writes all of `data` to one of our own standard streams.
pub(crate) fn write_stream(fd: c_int, data: &[u8]) -> io::Result<()> {
    // SAFETY: standard streams stay open for the life of the process.
    write_all(unsafe { BorrowedFd::borrow_raw(fd) }, data)
}

/// Whether this process may create entries in `path` (access(2), effective ids).
pub(crate) fn writable(path: &Path) -> bool {
    cstring(path).is_ok_and(|path| {
        // SAFETY: the path is NUL-terminated and outlives the call.
        unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), libc::W_OK, libc::AT_EACCESS) == 0 }
    })
}
