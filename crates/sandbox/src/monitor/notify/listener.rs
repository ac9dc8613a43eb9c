//! The listener's side of seccomp user notification (`man 2 seccomp_unotify`): receive, reply, end.
//! What a notification means is not known here.
#![expect(unsafe_code, reason = "the listener is driven through ioctl")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// The supervisor is about to sleep and the other side to run: hand over the processor at once
/// (Linux 6.6, linux/seccomp.h `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP`).
const SYNC_WAKE_UP: u64 = 1;

/// A call that waits for an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Notification {
    id: u64,
    /// The calling thread, in the supervisor's pid namespace.
    pub(crate) tid: u32,
    /// `AUDIT_ARCH_*`
    pub(crate) arch: u32,
    pub(crate) nr: u32,
    pub(crate) args: [u64; 6],
    pub(crate) instruction_pointer: u64,
}

/// What the caller gets.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    /// The kernel runs the call.
    Continue,
    /// The call returns this errno.
    Refuse(i32),
}

/// What happened on the listener.
pub(crate) enum Next {
    Call(Notification),
    /// Nothing to do; ask again.
    Again,
    /// The last task behind the filter is gone, or the stop was asked for and nothing waits.
    End,
}

pub(crate) struct Listener {
    fd: OwnedFd,
}

impl Listener {
    pub(crate) fn new(fd: OwnedFd) -> Listener {
        // SAFETY: an ioctl with an integer argument; an old kernel refuses it, which costs speed
        // only.
        unsafe {
            libc::ioctl(fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP);
        }
        Listener { fd }
    }

    /// Waits for a call, or for `stop` to become readable.
    ///
    /// # Errors
    /// When the listener itself fails; tasks that die while they wait are not an error.
    pub(crate) fn next(&self, stop: BorrowedFd<'_>) -> io::Result<Next> {
        let poll = |fd: BorrowedFd<'_>| libc::pollfd {
            fd: fd.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let mut fds = [poll(self.fd.as_fd()), poll(stop)];
        // SAFETY: `fds` is an array of two.
        if unsafe { libc::poll(fds.as_mut_ptr(), 2, -1) } < 0 {
            let error = io::Error::last_os_error();
            let interrupted = error.kind() == io::ErrorKind::Interrupted;
            return if interrupted { Ok(Next::Again) } else { Err(error) };
        }
        let [calls, stop] = fds.map(|fd| fd.revents);
        if calls & libc::POLLIN != 0 {
            return self.receive();
        }
        if calls & (libc::POLLHUP | libc::POLLERR) != 0 || stop != 0 {
            return Ok(Next::End);
        }
        Ok(Next::Again)
    }

    fn receive(&self) -> io::Result<Next> {
        // The kernel wants the structure zeroed.
        // SAFETY: all-zero bytes are a valid value of this plain structure.
        let mut notif: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: `notif` is the structure that the ioctl's number names the size of.
        let result = unsafe {
            libc::ioctl(self.fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut notif)
        };
        if result < 0 {
            let error = io::Error::last_os_error();
            // ENOENT: the caller was killed before its call could be received.
            return match error.raw_os_error() {
                Some(libc::ENOENT | libc::EINTR) => Ok(Next::Again),
                _ => Err(error),
            };
        }
        Ok(Next::Call(Notification {
            id: notif.id,
            tid: notif.pid,
            arch: notif.data.arch,
            nr: notif.data.nr.cast_unsigned(),
            args: notif.data.args,
            instruction_pointer: notif.data.instruction_pointer,
        }))
    }

    /// Answers the call. False when the caller is gone: then it did not make the call, and what
    /// was read about it may be about another task that got its number.
    pub(crate) fn answer(&self, notification: &Notification, answer: Answer) -> bool {
        let (error, flags) = match answer {
            Answer::Continue => (0, CONTINUE),
            Answer::Refuse(errno) => (-errno, 0),
        };
        let response = libc::seccomp_notif_resp { id: notification.id, val: 0, error, flags };
        // SAFETY: `response` is the structure that the ioctl's number names the size of.
        let result = unsafe {
            libc::ioctl(self.fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw const response)
        };
        result == 0
    }
}

/// `SECCOMP_USER_NOTIF_FLAG_CONTINUE`, as wide as the field that takes it.
const CONTINUE: u32 = 1;

/// Why this kernel cannot notify; none when it can.
pub(crate) fn missing() -> Option<String> {
    let action = libc::SECCOMP_RET_USER_NOTIF;
    // SAFETY: the kernel reads the four bytes of `action`.
    let available = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action)
    };
    if available != 0 {
        return Some("this kernel has no seccomp user notification (Linux 5.0)".into());
    }
    // Letting a call continue came in 5.5 and cannot be asked for; the next flag came in 5.7. A
    // known flag with no program at all is EFAULT, an unknown one EINVAL.
    if !knows(libc::SECCOMP_FILTER_FLAG_TSYNC_ESRCH) {
        return Some("this kernel is older than Linux 5.7".into());
    }
    let mut sizes =
        libc::seccomp_notif_sizes { seccomp_notif: 0, seccomp_notif_resp: 0, seccomp_data: 0 };
    // SAFETY: the kernel fills the structure.
    unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_NOTIF_SIZES, 0, &raw mut sizes);
    }
    let own = (size_of::<libc::seccomp_notif>(), size_of::<libc::seccomp_notif_resp>());
    let kernels = (usize::from(sizes.seccomp_notif), usize::from(sizes.seccomp_notif_resp));
    (own != kernels)
        .then(|| format!("this kernel's notifications have sizes {kernels:?}, not {own:?}"))
}

/// Whether a call that was received cannot be interrupted by signals any more (Linux 5.19).
pub(crate) fn waits_killable() -> bool {
    knows(libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV | libc::SECCOMP_FILTER_FLAG_NEW_LISTENER)
}

fn knows(flags: libc::c_ulong) -> bool {
    // SAFETY: a null program is refused before anything is installed.
    unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            std::ptr::null::<libc::sock_fprog>(),
        );
    }
    io::Error::last_os_error().raw_os_error() == Some(libc::EFAULT)
}
