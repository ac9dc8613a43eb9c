//! Workers that wait for a job: each has the kernel's part of a run ready, and is held by its
//! standard input as every worker is. They end with this process, however it ends.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::process::Child;

/// Waiting workers, at most. Each holds the monitor's programs and rings.
pub const SPARES_MAX: usize = verifier_pool::SPARE_WORKERS_MAX as usize;

/// See the module.
#[derive(Debug)]
pub(super) struct Spares {
    wanted: usize,
    waiting: Mutex<VecDeque<Child>>,
}

impl Spares {
    pub(super) fn new(wanted: usize) -> Self {
        Self { wanted: wanted.min(SPARES_MAX), waiting: Mutex::default() }
    }

    /// The one that has waited longest and still lives.
    pub(super) fn take(&self) -> Option<Child> {
        let mut waiting = self.all();
        std::iter::from_fn(|| waiting.pop_front()).find_map(alive)
    }

    /// Lets go of those that ended, and starts what is missing. One that cannot be started is tried
    /// again the next time; until then jobs start workers of their own, and say why if they cannot.
    pub(super) fn fill(&self, start: impl Fn() -> io::Result<Child>) {
        let mut waiting = self.all();
        let living = std::mem::take(&mut *waiting).into_iter().filter_map(alive);
        waiting.extend(living);
        while waiting.len() < self.wanted {
            match start() {
                Ok(child) => waiting.push_back(child),
                Err(_) => return,
            }
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.all().len()
    }

    fn all(&self) -> MutexGuard<'_, VecDeque<Child>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that somebody stopped would take a job and not begin it; it is killed when it is dropped.
fn alive(mut child: Child) -> Option<Child> {
    (matches!(child.try_wait(), Ok(None)) && !is_stopped(&child)).then_some(child)
}

/// The state behind the name (`proc_pid_stat(5)`): `T` by a signal, `t` by a tracer.
fn is_stopped(child: &Child) -> bool {
    let stat = child.id().map(|pid| std::fs::read_to_string(format!("/proc/{pid}/stat")));
    let stat = stat.and_then(Result::ok).unwrap_or_default();
    let state = stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
    matches!(state, Some('T' | 't'))
}
