//! Processes: birth, identity, rights, end.

#![expect(unsafe_code, reason = "forks and changes the identity of processes")]

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

use libc::{c_int, c_long, c_ulong, pid_t};

use super::{check, cstring, owned};

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

/// Whether any child is left, reaping those that ended.
pub(crate) fn children_left() -> bool {
    loop {
        // SAFETY: a null status pointer is allowed.
        let ret = unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) };
        if ret == 0 {
            return true;
        }
        if ret < 0 && io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
            return false;
        }
    }
}

/// Takes another name, also in the argument list that other processes can read: ours would tell a
/// sample the host's paths.
pub(crate) fn rename_process(name: &CStr) {
    set_name(name);
    let overwrite = || -> Option<()> {
        use std::os::unix::fs::FileExt as _;
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        // proc_pid_stat(5): arg_start and arg_end are fields 48 and 49; the name in field 2 ends
        // with the last parenthesis.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(45);
        let start: u64 = fields.next()?.parse().ok()?;
        let end: u64 = fields.next()?.parse().ok()?;
        let mut text = name.to_bytes().to_vec();
        text.resize(usize::try_from(end.checked_sub(start)?).ok()?, 0);
        let memory = std::fs::OpenOptions::new().write(true).open("/proc/self/mem").ok()?;
        memory.write_all_at(&text, start).ok()
    };
    // Cosmetic: without it only the list of processes tells more than it need.
    let _ = overwrite();
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

/// Lets this thread run before all ordinary ones, where that is permitted: somebody waits for it.
pub(crate) fn run_before_others() {
    let parameters = libc::sched_param { sched_priority: 1 };
    let policy = libc::SCHED_RR | libc::SCHED_RESET_ON_FORK;
    // SAFETY: the pointer is to a live struct; 0 is the calling thread. A refusal changes nothing.
    let _ = unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) };
}

/// Takes this process and its children out of the real-time classes, which whoever called it may be
/// in: what is not trusted must not run before everybody, and groups that divide the processor
/// (v1 `cpu`) take no such process. What was made less urgent stays so.
pub(crate) fn leave_real_time() {
    // SAFETY: no pointers are passed; 0 is the calling thread.
    let policy = unsafe { libc::sched_getscheduler(0) } & !libc::SCHED_RESET_ON_FORK;
    if matches!(policy, libc::SCHED_FIFO | libc::SCHED_RR | libc::SCHED_DEADLINE) {
        run_among_others();
    }
}

/// Takes back what [`run_before_others`] did.
pub(crate) fn run_among_others() {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the pointer is to a live struct; 0 is the calling thread. A refusal changes nothing.
    let _ = unsafe { libc::sched_setscheduler(0, libc::SCHED_OTHER, &raw const parameters) };
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

/// Lowers a resource limit, soft and hard; a lower one of the caller stays.
pub(crate) fn set_rlimit(resource: libc::__rlimit_resource_t, limit: u64) -> io::Result<()> {
    let mut value = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live struct.
    check(c_long::from(unsafe { libc::getrlimit(resource, &raw mut value) }))?;
    value.rlim_max = limit.min(value.rlim_max);
    value.rlim_cur = value.rlim_max;
    // SAFETY: as above.
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

    /// Whether the program's file exists for this process. Does not allocate.
    pub(crate) fn is_there(&self) -> bool {
        // SAFETY: the path is NUL-terminated and owned by `self`.
        unsafe { libc::access(self.program.as_ptr(), libc::F_OK) == 0 }
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

pub(crate) fn effective_uid() -> u32 {
    // SAFETY: takes no arguments and cannot fail.
    unsafe { libc::geteuid() }
}

pub(crate) fn effective_gid() -> u32 {
    // SAFETY: takes no arguments and cannot fail.
    unsafe { libc::getegid() }
}
