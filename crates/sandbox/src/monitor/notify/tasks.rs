//! Who is calling: the facts of each task, read once and kept while the task lives.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;

use types::{Task, Text};

use super::procfs::ProcDir;

/// Each known task holds a descriptor; beyond this the least recently added are forgotten and read
/// anew when they call again.
const KNOWN_MAX: usize = 256;

/// Processes remembered as seen. Those that a signal ended are not told of, so the list is tidied
/// when it is this long.
const PROCESSES_MAX: usize = 8192;

/// A task behind the filter.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) dir: ProcDir,
    /// The process in the supervisor's pid namespace.
    pub(super) process: ProcessKey,
    pub(super) task: Task,
    /// What could have changed since: read again before the next use.
    stale: bool,
}

/// A process, also when its number is used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ProcessKey {
    pub(super) host_pid: u32,
    start_ticks: u64,
}

/// A process that was seen for the first time.
#[derive(Debug)]
pub(super) struct Born {
    pub(super) process: ProcessKey,
    /// In the supervisor's pid namespace; 0 for a parent outside.
    pub(super) host_parent: u32,
}

/// Converts times and ids of the host into those of the run.
#[derive(Debug)]
pub(super) struct Scale {
    /// The run's start on the clock that task start times are counted on, in nanoseconds.
    pub(super) start_boot_ns: u64,
    pub(super) tick_ns: u64,
    /// (inside, outside, count)
    pub(super) uid_map: Vec<(u32, u32, u32)>,
}

#[derive(Debug)]
pub(super) struct Tasks {
    scale: Scale,
    known: HashMap<u32, Known>,
    /// The order in which they were added.
    order: VecDeque<u32>,
    processes: HashSet<ProcessKey>,
}

impl Tasks {
    pub(super) fn new(scale: Scale) -> Tasks {
        Tasks { scale, known: HashMap::new(), order: VecDeque::new(), processes: HashSet::new() }
    }

    /// The facts of a thread, and the process when it is a new one.
    ///
    /// # Errors
    /// When the task is gone.
    pub(super) fn look_up(&mut self, tid: u32) -> io::Result<Option<Born>> {
        if let Some(known) = self.known.get(&tid)
            && known.dir.alive()
            && !known.stale
        {
            return Ok(None);
        }
        let (known, host_parent) = self.read(tid)?;
        let process = known.process;
        if self.known.insert(tid, known).is_none() {
            self.order.push_back(tid);
        }
        while self.known.len() > KNOWN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            if oldest == tid {
                self.order.push_back(oldest);
            } else {
                self.known.remove(&oldest);
            }
        }
        if self.processes.len() >= PROCESSES_MAX {
            let known = &self.known;
            self.processes.retain(|process| known.values().any(|k| k.process == *process));
        }
        let new = self.processes.insert(process);
        Ok(new.then_some(Born { process, host_parent }))
    }

    pub(super) fn get(&self, tid: u32) -> Option<&Known> {
        self.known.get(&tid)
    }

    /// The name that a thread gave itself.
    pub(super) fn rename(&mut self, tid: u32, name: &[u8]) {
        if let Some(known) = self.known.get_mut(&tid) {
            known.task.comm = Text::from(&name[..name.len().min(15)]);
        }
    }

    /// Name, ids or threads of the process may have changed.
    pub(super) fn outdate(&mut self, process: ProcessKey) {
        for known in self.known.values_mut().filter(|known| known.process == process) {
            known.stale = true;
        }
    }

    /// Whether a thread number of the sandbox belongs to this process, as far as is known.
    pub(super) fn same_process(&self, process: ProcessKey, ns_tid: u32) -> bool {
        self.known.values().any(|known| known.process == process && known.task.tid == ns_tid)
    }

    /// The process is about to end. That it was seen stays known: another of its threads may call
    /// until it is gone.
    pub(super) fn forget(&mut self, process: ProcessKey) {
        self.known.retain(|_, known| known.process != process);
        self.order.retain(|tid| self.known.contains_key(tid));
    }

    fn read(&self, tid: u32) -> io::Result<(Known, u32)> {
        let dir = ProcDir::open(tid)?;
        let status = dir.status()?;
        let stat = dir.stat()?;
        let leader_start = if status.tgid == tid {
            stat.start_ticks
        } else {
            ProcDir::open(status.tgid)?.stat()?.start_ticks
        };
        let depth = status.ns_tids.len();
        let task = Task {
            pid: innermost(&status.ns_tgids),
            tid: innermost(&status.ns_tids),
            ppid: self.parent(status.parent, depth),
            start_ns: (leader_start.saturating_mul(self.scale.tick_ns))
                .saturating_sub(self.scale.start_boot_ns),
            uid: inside(&self.scale.uid_map, status.uid),
            comm: Text::new(stat.comm),
        };
        let process = ProcessKey { host_pid: status.tgid, start_ticks: leader_start };
        let host_parent = if task.ppid == 0 { 0 } else { status.parent };
        Ok((Known { dir, process, task, stale: false }, host_parent))
    }

    /// The parent's number in the sandbox's pid namespace; 0 when it is not in there.
    fn parent(&self, host_pid: u32, depth: usize) -> u32 {
        if let Some(known) = self.known.get(&host_pid)
            && known.dir.alive()
        {
            return known.task.pid;
        }
        let status = ProcDir::open(host_pid).and_then(|dir| dir.status());
        status.ok().filter(|s| s.ns_tgids.len() == depth).map_or(0, |s| innermost(&s.ns_tgids))
    }
}

fn innermost(ids: &[u32]) -> u32 {
    ids.last().copied().unwrap_or(0)
}

/// An id outside the map is the overflow id inside, as the kernel shows it (`man 7 user_namespaces`).
fn inside(map: &[(u32, u32, u32)], outside: u32) -> u32 {
    const OVERFLOW: u32 = 65534;
    if map.is_empty() {
        return outside;
    }
    map.iter()
        .find_map(|&(inside, first, count)| {
            let offset = outside.checked_sub(first)?;
            (offset < count).then(|| inside.saturating_add(offset))
        })
        .unwrap_or(OVERFLOW)
}

#[cfg(test)]
mod tests {
    use super::{Scale, Tasks, inside};

    #[test]
    fn ids_are_told_as_the_sandbox_sees_them() {
        let map = [(0, 100_000, 10), (1000, 1000, 1)];
        assert_eq!(inside(&map, 100_003), 3);
        assert_eq!(inside(&map, 1000), 1000);
        assert_eq!(inside(&map, 100_010), 65534);
        assert_eq!(inside(&[], 7), 7);
    }

    #[test]
    fn a_task_is_new_once() {
        let scale = Scale { start_boot_ns: 0, tick_ns: 10_000_000, uid_map: Vec::new() };
        let mut tasks = Tasks::new(scale);
        let pid = std::process::id();
        let born = tasks.look_up(pid).unwrap().unwrap();
        assert_eq!(born.process.host_pid, pid);
        assert!(tasks.look_up(pid).unwrap().is_none());
        let known = tasks.get(pid).unwrap();
        assert!(known.task.start_ns > 0 && known.task.ppid > 0);
        let process = known.process;
        tasks.outdate(process);
        assert!(tasks.look_up(pid).unwrap().is_none());
        tasks.forget(process);
        assert!(tasks.get(pid).is_none());
    }
}
