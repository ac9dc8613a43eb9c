//! The program image of each process: whether an exec that was let through took place, and whether
//! code runs from memory without a file.

use std::collections::HashMap;

use types::Event;

use super::procfs::ProcDir;
use super::tasks::ProcessKey;

/// Execs that wait for the next call of their process; beyond it they are told as they are.
const PENDING_MAX: usize = 1024;
/// Code ranges remembered for a process that has executable memory without a file.
const RANGES_MAX: usize = 64;

/// An exec that was let through.
#[derive(Debug)]
struct Pending {
    host_tid: u32,
    event: Event,
    before: Option<[u64; 3]>,
}

/// Ranges of a process that has asked for executable memory without a file.
#[derive(Debug, Default)]
struct Code {
    /// Backed by files or the kernel.
    good: Vec<(u64, u64)>,
    /// Already told.
    told: Vec<(u64, u64)>,
}

#[derive(Debug, Default)]
pub(super) struct Images {
    pending: HashMap<ProcessKey, Pending>,
    code: HashMap<ProcessKey, Code>,
}

/// What became of an exec.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) host_tid: u32,
    pub(super) event: Event,
    /// The process has a new image: its name now.
    pub(super) renamed: Option<Vec<u8>>,
}

impl Images {
    /// Remembers an exec until the process calls again. Returns what has to be told now.
    pub(super) fn execs(
        &mut self,
        process: ProcessKey,
        host_tid: u32,
        event: Event,
        before: Option<[u64; 3]>,
    ) -> Vec<Settled> {
        let overdue = if self.pending.len() >= PENDING_MAX { self.drain() } else { Vec::new() };
        self.pending.insert(process, Pending { host_tid, event, before });
        overdue
    }

    /// Called with each call of a process, before anything else is made of it. The image's place
    /// in memory is chosen at random by each exec: when it moved, the exec took place. When it did
    /// not, and the file was missing, the exec failed; otherwise nothing is claimed.
    pub(super) fn settle(&mut self, process: ProcessKey, dir: &ProcDir) -> Option<Settled> {
        let Pending { host_tid, mut event, before } = self.pending.remove(&process)?;
        let Ok(after) = dir.stat() else {
            event.ret = None;
            return Some(Settled { host_tid, event, renamed: None });
        };
        if before.is_none_or(|before| before == after.image) {
            event.ret = event.ret.filter(|_| before.is_some());
            return Some(Settled { host_tid, event, renamed: None });
        }
        event.ret = Some(0);
        self.code.remove(&process);
        Some(Settled { host_tid, event, renamed: Some(after.comm) })
    }

    /// Execs whose process never called again: how they ended is not known.
    pub(super) fn drain(&mut self) -> Vec<Settled> {
        let unknown = |pending: Pending| Settled {
            host_tid: pending.host_tid,
            event: Event { ret: None, ..pending.event },
            renamed: None,
        };
        self.pending.drain().map(|(_, pending)| unknown(pending)).collect()
    }

    /// The process asked for executable memory without a file.
    pub(super) fn suspect(&mut self, process: ProcessKey) {
        // What was good may have been mapped over, and what was told may be another memory now.
        self.code.insert(process, Code::default());
    }

    /// A forked child has the memory of its parent.
    pub(super) fn inherit(&mut self, child: ProcessKey, parent: ProcessKey) {
        if let Some(code) = self.code.get(&parent) {
            let good = code.good.clone();
            self.code.insert(child, Code { good, told: Vec::new() });
        }
    }

    /// The start of the memory without a file that this call was made from, once for each range.
    pub(super) fn runs_from(&mut self, process: ProcessKey, dir: &ProcDir, at: u64) -> Option<u64> {
        let code = self.code.get_mut(&process)?;
        let inside =
            |ranges: &[(u64, u64)]| ranges.iter().any(|&(start, end)| (start..end).contains(&at));
        if inside(&code.good) || inside(&code.told) {
            return None;
        }
        let mapping = dir.mapping(at)?;
        let range = (mapping.start, mapping.end);
        // A memory file is memory, whatever its name.
        let memory = mapping.anonymous() || mapping.memfd();
        let ranges = if memory { &mut code.told } else { &mut code.good };
        if ranges.len() < RANGES_MAX {
            ranges.push(range);
        }
        memory.then_some(at)
    }

    pub(super) fn forget(&mut self, process: ProcessKey) {
        self.code.remove(&process);
    }
}
