//! The walls and monitors of this crate, tried on the running kernel.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking and say SKIP"
)]

use std::sync::{Mutex, MutexGuard, PoisonError};

mod child;
mod ebpf;
mod landlock;
mod memory;
mod net;
mod notify;
mod process;
mod seccomp;

/// Whole runs take turns: the keeper of one, forked beside another, would hold that one's ends of
/// pipes open. Outside of tests each run has a process of its own.
pub(crate) fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
