//! The few system calls that neither the standard library nor the loader offers.

#![expect(unsafe_code, reason = "polling, clocks, priorities and mappings are raw calls")]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Waits until one of the descriptors is readable or hung up, or the time is over. Interruptions
/// count as the time being over.
pub(super) fn poll<const N: usize>(fds: [BorrowedFd<'_>; N], timeout_ms: i32) -> [bool; N] {
    let mut list =
        fds.map(|fd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 });
    let len = libc::nfds_t::try_from(N).unwrap_or(0);
    // SAFETY: `list` is a valid array of `len` pollfd structures for the length of the call, and
    // the borrowed descriptors are open for as long.
    let ready = unsafe { libc::poll(list.as_mut_ptr(), len, timeout_ms) };
    list.map(|entry| ready > 0 && entry.revents != 0)
}

fn clock_ns(clock: libc::clockid_t) -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec that lives on this stack frame.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}

/// What must be added to a monotonic time to get the wall-clock time.
pub(super) fn realtime_offset_ns() -> i64 {
    clock_ns(libc::CLOCK_REALTIME).saturating_sub(clock_ns(libc::CLOCK_MONOTONIC))
}

/// Gives the calling thread a larger share of the processor, where that is permitted.
pub(super) fn raise_priority() {
    // SAFETY: no pointers are passed; 0 is the calling thread. A refusal changes nothing.
    let _ = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -10) };
}

/// Lets the calling thread run before all ordinary ones, or be an ordinary one again, where that
/// is permitted.
pub(super) fn set_urgent(urgent: bool) {
    let (policy, priority) = if urgent { (libc::SCHED_RR, 1) } else { (libc::SCHED_OTHER, 0) };
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: the pointer is to a structure on this stack frame; 0 is the calling thread. A refusal
    // changes nothing.
    let _ = unsafe {
        libc::sched_setscheduler(0, policy | libc::SCHED_RESET_ON_FORK, &raw const parameters)
    };
}

/// linux/magic.h.
const BPF_FS_MAGIC: libc::__fsword_t = 0xcafe_4a11;

/// Whether a file or folder is one of the BPF filesystem.
pub(super) fn on_bpf_filesystem(file: BorrowedFd<'_>) -> bool {
    let mut answer = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the pointer is to room for a statfs on this stack frame.
    if unsafe { libc::fstatfs(file.as_raw_fd(), answer.as_mut_ptr()) } != 0 {
        return false;
    }
    // SAFETY: the call succeeded, so the kernel has filled the structure.
    unsafe { answer.assume_init() }.f_type == BPF_FS_MAGIC
}

/// A file mapped into memory, read-only.
pub(super) struct Mapped {
    start: *mut libc::c_void,
    len: usize,
}

impl Mapped {
    /// Only for files whose content never changes.
    pub(super) fn new(file: &File) -> io::Result<Self> {
        let len = usize::try_from(file.metadata()?.len())
            .map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))?;
        // SAFETY: a fresh private mapping at an address of the kernel's choice replaces nothing.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ,
                libc::MAP_PRIVATE | libc::MAP_POPULATE,
                file.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { start, len })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping is readable for `len` bytes until drop, and the file behind it is
        // the kernel's read-only image of its own types (see `new`).
        unsafe { std::slice::from_raw_parts(self.start.cast::<u8>(), self.len) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: the mapping was made in `new` and no borrow of it outlives `self`.
        unsafe { libc::munmap(self.start, self.len) };
    }
}
