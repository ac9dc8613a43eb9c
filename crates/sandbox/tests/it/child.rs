//! Forked children for tests: they make raw system calls behind a wall and tell what came back.
#![expect(unsafe_code, reason = "forks, and makes the raw system calls that walls are tested with")]

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A system call's result as the kernel gives it: negative errno on failure.
pub(crate) fn call(nr: i64, args: [u64; 6]) -> i64 {
    let [a, b, c, d, e, f] = args;
    // SAFETY: the tests pass integers, null pointers, or pointers to memory that lives on.
    let result = unsafe { libc::syscall(nr, a, b, c, d, e, f) };
    if result < 0 {
        -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
    } else {
        result
    }
}

/// A pipe whose ends close on exec.
pub(crate) fn pipe() -> (OwnedFd, OwnedFd) {
    let mut ends = [-1; 2];
    // SAFETY: `ends` has room for both descriptors, which are new and owned by nobody else.
    unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
        (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
    }
}

/// Sets no_new_privs, without which an ordinary user may not install a filter or ruleset.
pub(crate) fn no_new_privileges() -> i64 {
    call(libc::SYS_prctl, [libc::PR_SET_NO_NEW_PRIVS.unsigned_abs().into(), 1, 0, 0, 0, 0])
}

/// Runs `body` in a forked child and returns what it told, and its wait status. The test binary
/// has several threads, so `body` must not allocate or take locks.
pub(crate) fn forked(body: impl FnOnce(&dyn Fn(i64))) -> (Vec<i64>, i32) {
    let (from, to) = pipe();
    // SAFETY: the child runs `body`, which keeps to async-signal-safe calls, and ends.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        let out = to.as_raw_fd();
        body(&|value: i64| {
            let bytes = value.to_ne_bytes();
            // SAFETY: eight readable bytes.
            unsafe { libc::write(out, bytes.as_ptr().cast(), bytes.len()) };
        });
        // SAFETY: ends the child without running the test binary's exit handlers.
        unsafe { libc::_exit(0) }
    }
    drop(to);
    let mut bytes = Vec::new();
    File::from(from).read_to_end(&mut bytes).unwrap();
    let mut status = 0;
    // SAFETY: `status` is a valid place; the child is this thread's own.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    let values = bytes.chunks_exact(8).map(|b| i64::from_ne_bytes(b.try_into().unwrap())).collect();
    (values, status)
}
