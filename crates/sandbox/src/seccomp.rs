//! The wall of system calls: what the command may ask the kernel for, and the filter that says so
//! to the kernel. x86_64 only.
//!
//! Everything is compiled before a fork; [`Filter::install`] and its sisters run between fork and
//! exec and use nothing but raw system calls. This room does not know what a refused call means.
#![expect(unsafe_code, reason = "installs filters through raw system calls between fork and exec")]

mod bpf;
mod grants;
mod names;
mod policy;
pub(crate) mod watch;

#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::RawFd;

pub use grants::{Grant, Masked};
pub use names::{name, number};
pub use policy::{Decision, NAMESPACE_FLAGS, Policy, is_fallback};

/// What a call made through another ABI (`int 0x80`, a 32-bit program) gets. No allowed 64-bit call
/// of an ordinary kernel returns it, so a monitor that sees an allowed number return it has seen
/// such an attempt.
pub const FOREIGN_ABI_ERRNO: i32 = libc::ENOSYS;

/// What the filter does with a call that is not simply allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Refused calls return their errno; all others run.
    Enforce,
    /// As `Enforce`; calls that take a process' memory away (exit, exec) wait for a listener, which
    /// lets them run.
    Hold,
    /// Watched and refused calls wait for a listener, which decides with [`Policy::decide`].
    Notify,
}

impl Policy {
    #[must_use]
    pub fn compile(&self, mode: Mode) -> Filter {
        Filter(bpf::compile(self, mode).into_boxed_slice())
    }
}

/// A compiled filter, ready to be installed by the process it shall bind.
pub struct Filter(Box<[libc::sock_filter]>);

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Filter({} instructions)", self.0.len())
    }
}

impl Filter {
    /// The program, for a process that installs it by other means than this crate's.
    #[must_use]
    pub fn instructions(&self) -> &[libc::sock_filter] {
        &self.0
    }

    /// Binds the calling thread and everything it starts. Async-signal-safe.
    ///
    /// # Errors
    /// The kernel's errno; `EACCES` when `no_new_privs` is not set.
    pub fn install(&self) -> io::Result<()> {
        self.set(0).map(drop)
    }

    /// Installs the filter and returns its listener (close-on-exec). Async-signal-safe.
    ///
    /// From here on every watched call of this thread waits for the listener's reader; sending the
    /// descriptor away with sendmsg would wait for ever. [`Filter::install_and_send`] does not.
    ///
    /// # Errors
    /// The kernel's errno; `EBUSY` when an outer filter has a listener already.
    pub fn install_with_listener(&self) -> io::Result<RawFd> {
        let listener = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
        // Without the second flag (Linux 5.19) a signal may interrupt a call that the monitor has
        // already looked at, and the call is made and told again.
        let both = listener | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
        match self.set(both) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => self.set(listener),
            result => result,
        }
    }

    /// Installs the filter and passes the listener over a unix socket, as the only `SCM_RIGHTS`
    /// descriptor beside one byte. Async-signal-safe.
    ///
    /// The filtered thread cannot send it (sendmsg is watched), and taking it with pidfd_getfd
    /// would need the right to trace this process. So a short-lived child, forked before the
    /// filter and sharing the table of descriptors, sends it.
    ///
    /// # Errors
    /// The errno of fork, pipe, seccomp or sendmsg.
    pub fn install_and_send(&self, socket: RawFd) -> io::Result<()> {
        let mut pipe = [-1; 2];
        // SAFETY: `pipe` has room for the two descriptors.
        check(unsafe { libc::pipe2(pipe.as_mut_ptr(), libc::O_CLOEXEC) }.into())?;
        let [from, to] = pipe;
        // SAFETY: like fork, with one table of descriptors; no new stack, so no memory is shared,
        // and the child below makes async-signal-safe calls only.
        let child = check(unsafe {
            libc::syscall(libc::SYS_clone, libc::CLONE_FILES | libc::SIGCHLD, 0, 0, 0, 0)
        })?;
        if child == 0 {
            send_what_arrives(from, socket);
        }
        let installed = self.install_with_listener();
        let message = installed.as_ref().copied().unwrap_or(-1).to_ne_bytes();
        // SAFETY: `message` is four readable bytes; a pipe takes them at once.
        let written = check(unsafe { libc::write(to, message.as_ptr().cast(), 4) } as i64);
        let sent = reap(child);
        for fd in [from, to, installed.as_ref().copied().unwrap_or(-1)] {
            // SAFETY: closing a number that this function opened, or -1, touches no memory.
            unsafe { libc::close(fd) };
        }
        installed?;
        written?;
        sent
    }

    fn set(&self, flags: libc::c_ulong) -> io::Result<RawFd> {
        let program = libc::sock_fprog {
            len: u16::try_from(self.0.len()).unwrap_or(u16::MAX),
            filter: self.0.as_ptr().cast_mut(),
        };
        // SAFETY: `program` describes exactly the boxed slice, which outlives the call; the kernel
        // copies it and does not write.
        let result = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                flags,
                &raw const program,
            )
        };
        let fd = check(result)?;
        RawFd::try_from(fd).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))
    }
}

/// The child of [`Filter::install_and_send`]: waits for the listener's number, sends it, ends.
fn send_what_arrives(from: RawFd, socket: RawFd) -> ! {
    let mut number = [0_u8; 4];
    // SAFETY: prctl with an integer argument touches no memory; `number` has room for four bytes.
    let read = unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::read(from, number.as_mut_ptr().cast(), 4)
    };
    let fd = RawFd::from_ne_bytes(number);
    let sent = read == 4 && fd >= 0 && send_descriptor(socket, fd).is_ok();
    // SAFETY: ends this process without running anything of the parent's.
    unsafe { libc::_exit(i32::from(!sent)) }
}

/// The size of a control message with one descriptor, aligned as the kernel wants it.
#[repr(C, align(8))]
struct Control([u8; 24]);

fn send_descriptor(socket: RawFd, fd: RawFd) -> io::Result<()> {
    let mut byte = 0_u8;
    let mut iov = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let mut control = Control([0; 24]);
    // SAFETY: an all-zero msghdr is a valid empty one.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut iov;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len();
    // SAFETY: `control` is CMSG_SPACE(4) = 24 bytes and aligned for a cmsghdr, so the first header
    // and its four bytes of data lie within it; sendmsg reads what `message` points at, all alive.
    let sent = unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(4) as usize;
        libc::CMSG_DATA(header).cast::<RawFd>().write_unaligned(fd);
        libc::sendmsg(socket, &raw const message, libc::MSG_NOSIGNAL)
    };
    check(sent as i64).map(drop)
}

fn reap(child: i64) -> io::Result<()> {
    let child = libc::pid_t::try_from(child).unwrap_or(-1);
    let mut status = 0;
    loop {
        // SAFETY: `status` is a valid place for the result.
        match check(unsafe { libc::waitpid(child, &raw mut status, 0) }.into()) {
            Err(error) if error.raw_os_error() == Some(libc::EINTR) => {}
            Err(error) => return Err(error),
            Ok(_) if status == 0 => return Ok(()),
            Ok(_) => return Err(io::Error::from_raw_os_error(libc::EPIPE)),
        }
    }
}

/// A negative result becomes errno; this allocates nothing.
fn check(result: i64) -> io::Result<i64> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
