//! The few system calls that neither the standard library nor the loader offers.

#![expect(unsafe_code, reason = "poll, clock_gettime, setpriority and bpf are raw calls")]

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

/// Start of `struct bpf_prog_info` (linux/bpf.h), as far as it is used here.
#[repr(C)]
struct ProgramInfo {
    before: [u64; 26],
    recursion_misses: u64,
}

#[repr(C)]
struct InfoRequest {
    fd: u32,
    len: u32,
    info: u64,
}

const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;

/// How often the kernel skipped a program because it was already running on that CPU.
pub(super) fn recursion_misses(program: BorrowedFd<'_>) -> io::Result<u64> {
    let mut info = ProgramInfo { before: [0; 26], recursion_misses: 0 };
    let request = InfoRequest {
        fd: program.as_raw_fd().cast_unsigned(),
        len: u32::try_from(size_of::<ProgramInfo>()).unwrap_or(0),
        info: (&raw mut info).addr() as u64,
    };
    // SAFETY: the request is the prefix of `union bpf_attr` that this command reads; `info` is
    // writable, zeroed, and `len` bytes long, and outlives the call.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_OBJ_GET_INFO_BY_FD,
            &raw const request,
            size_of::<InfoRequest>(),
        )
    };
    if ret < 0 { Err(io::Error::last_os_error()) } else { Ok(info.recursion_misses) }
}
