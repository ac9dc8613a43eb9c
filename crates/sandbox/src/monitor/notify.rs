//! Tier C: seccomp user notification as a synchronous source of events. Needs no root and no eBPF.
//!
//! Every watched call waits until this monitor has looked at it, so nothing is lost; but only
//! watched calls are seen, and not how they end. What is read from a task's memory can be changed
//! by its other threads before the kernel reads it again: such events are advisory. Blind spots:
//! what is written to files, sends through plain write, deaths by signal, and the far end of
//! accept. Which detectors that blinds is not known here.

mod books;
mod calls;
mod images;
pub(crate) mod listener;
mod memory;
mod paths;
mod procfs;
mod sockets;
mod tasks;
mod watcher;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use self::listener::Listener;
use self::watcher::{Setting, Watcher};
use super::{Sink, Summary, Unavailable};
use crate::memory::watch::Handle;
use crate::seccomp::Policy;

/// What to watch.
#[derive(Debug)]
pub struct Target {
    /// Of a filter compiled with [`crate::seccomp::Mode::Notify`] from `policy`.
    pub listener: OwnedFd,
    /// The run's start on the monotonic clock, in nanoseconds.
    pub start_ns: u64,
    pub policy: Arc<Policy>,
    /// Of the sandbox's user namespace, as (inside, outside, count); empty for none.
    pub uid_map: Vec<(u32, u32, u32)>,
    /// The command's process in the caller's pid namespace; its birth is no event.
    pub root_pid: i32,
}

/// What this kernel's notification can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ability {
    /// A call that was looked at is not told again when a signal arrives (Linux 5.19).
    pub uninterrupted: bool,
}

/// The monitor at work.
#[derive(Debug)]
pub struct Running<S> {
    thread: JoinHandle<(S, Summary)>,
    /// Closing it asks the thread to end.
    stop: io::PipeWriter,
}

/// The calls this monitor is told about, ascending by name; refused calls are told beside them.
#[must_use]
pub fn watched() -> Vec<&'static str> {
    crate::seccomp::watch::watched().collect()
}

/// Whether this host can run the monitor.
///
/// # Errors
/// With the reason when it cannot.
pub fn probe() -> Result<Ability, Unavailable> {
    if let Some(reason) = listener::missing() {
        return Err(Unavailable { reason });
    }
    procfs::ProcDir::open(std::process::id())
        .and_then(|dir| dir.status())
        .map_err(|error| Unavailable { reason: format!("/proc cannot be read: {error}") })?;
    Ok(Ability { uninterrupted: listener::waits_killable() })
}

/// Starts a thread that answers every notification until the last task of the filter is gone.
///
/// # Errors
/// When the system has no pipe or thread left; the listener is closed then.
pub fn start<S: Sink + 'static>(target: Target, sink: S) -> io::Result<Running<S>> {
    start_watched(target, sink, None)
}

/// As [`start`]; `watch` looks at the memory of processes that are about to lose it.
pub(crate) fn start_watched<S: Sink + 'static>(
    target: Target,
    sink: S,
    watch: Option<Handle>,
) -> io::Result<Running<S>> {
    let (reader, stop) = io::pipe()?;
    let thread = std::thread::Builder::new().name("shieldx-notify".into()).spawn(move || {
        let listener = Listener::new(target.listener);
        let facts = Setting {
            policy: target.policy,
            start_ns: target.start_ns,
            uid_map: target.uid_map,
            root_pid: u32::try_from(target.root_pid).unwrap_or(0),
            watch,
        };
        let mut watcher = Watcher::new(facts, sink);
        // What was recorded outlives a defect of the monitor, and the report says so.
        let ended = catch_unwind(AssertUnwindSafe(|| watcher.run(&listener, reader.as_fd())));
        drop(listener);
        let fault = match ended {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("the tier C monitor lost its listener: {error}")),
            Err(_) => Some("the tier C monitor broke down before the run ended".to_owned()),
        };
        watcher.close(fault)
    })?;
    Ok(Running { thread, stop })
}

impl<S> Running<S> {
    /// Answers what waits, ends the monitor, and closes the listener: watched calls of tasks that
    /// still live fail with `ENOSYS` from here on.
    #[must_use]
    pub fn finish(self) -> (S, Summary) {
        drop(self.stop);
        // Nothing but a defect in closing the books can panic here; it is passed on.
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}
