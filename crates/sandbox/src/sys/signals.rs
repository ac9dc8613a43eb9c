//! Signals: what ends a run from outside, and what a new program expects.

#![expect(unsafe_code, reason = "installs signal handlers")]

use libc::c_int;

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
