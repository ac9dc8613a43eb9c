//! The thread that makes the looks that are due some time after memory was made executable. It runs
//! before ordinary threads while it has looked little: on a busy host the process would be over first.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use super::{Copied, START_SLACK_NS, Shared, Trigger};
use crate::memory::process::Process;
use crate::sys;

/// Looks of one run that are made before ordinary threads run. A sample could ask for many.
const URGENT_MAX: usize = 64;

/// Makes the looks that are due.
pub(super) struct Looker {
    pub(super) shared: Arc<Shared>,
    pub(super) jobs: SyncSender<Box<Copied>>,
    /// Looks made so far.
    pub(super) urgent: usize,
}

impl Looker {
    /// Runs until nobody can ask for a look any more.
    pub(super) fn run(mut self, woken: &Receiver<()>) {
        sys::run_before_others();
        loop {
            let next = self.next_due();
            let asked = match next.map(|due| due.saturating_duration_since(Instant::now())) {
                Some(wait) => woken.recv_timeout(wait),
                None => woken.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            if asked == Err(RecvTimeoutError::Disconnected) {
                break;
            }
            self.make_due_looks();
        }
    }

    fn next_due(&self) -> Option<Instant> {
        let suspects = self.shared.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        suspects.values().filter_map(|suspect| suspect.due).min()
    }

    fn make_due_looks(&mut self) {
        for host_pid in self.due() {
            self.urgent += 1;
            if self.urgent == URGENT_MAX {
                sys::run_among_others();
            }
            let deadline = Instant::now() + self.shared.hold();
            self.shared.look(&self.jobs, host_pid, Trigger::WriteExecute, deadline);
        }
    }

    /// Those whose time has come, as this process sees them. Who is not there any more was looked at
    /// before it ended.
    fn due(&self) -> Vec<u32> {
        let now = Instant::now();
        let mut due: Vec<(u32, u64)> = Vec::new();
        let mut suspects = self.shared.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, suspect) in suspects.iter_mut() {
            if suspect.due.is_some_and(|at| at <= now) {
                suspect.due = None;
                suspect.looks += 1;
                due.push(*key);
            }
        }
        drop(suspects);
        let mut found = Vec::new();
        let members = if due.is_empty() { Vec::new() } else { self.shared.members() };
        for host_pid in members {
            let Ok(who) = Process::open(host_pid).and_then(|p| p.who()) else {
                continue;
            };
            let start_ns = self.shared.start_ns(who.start_ticks);
            let same = |&(pid, start): &(u32, u64)| {
                pid == who.pid && start.abs_diff(start_ns) <= START_SLACK_NS
            };
            if let Some(at) = due.iter().position(same) {
                due.swap_remove(at);
                found.push(host_pid);
            }
        }
        found
    }
}
