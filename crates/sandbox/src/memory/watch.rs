//! Looks at a run's processes while it goes on: soon after memory was made executable, before a
//! process loses its memory (exit, exec), when the time is up, and when somebody asks.
//!
//! Whoever calls copies in its own thread, so that the hold ends with the call; one thread of this
//! room makes the later looks and another thinks about the copies. Everything is bounded and counted.

mod books;
mod freezer;
mod looker;
mod merge;
mod thinker;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{fmt, fs, io};

use types::ports::Scanner;
use types::{Event, Task, Text};

use self::books::{Books, count, note};
use self::freezer::Freezer;
use self::looker::Looker;
pub use self::merge::merge;
use self::thinker::Thinker;
use super::Missed;
use super::capture::{self, Bounds, Capture};
use super::demand::Demand;
use crate::spec::{Memory, MonitorChoice, Spec};
use crate::sys::monotonic_ns;

/// Copies that wait to be looked at, in number and bytes.
const WAITING_MAX: usize = 64;
const WAITING_BYTES_MAX: u64 = 256 << 20;
/// Looks at ending processes of one run, and of those at processes that execute something else.
const ENDS_MAX: u64 = 256;
const EXECS_MAX: u64 = 32;
/// When a process is looked at after it made memory executable: the first time, and after more
/// such events again. Beyond it only its end is looked at. The first is soon: who compiles at run time
/// may have given the memory back before it ends.
const LATER: [Duration; 4] = [
    Duration::from_millis(5),
    Duration::from_millis(40),
    Duration::from_millis(400),
    Duration::from_secs(4),
];
/// Processes that are remembered for such looks.
const SUSPECTS_MAX: usize = 1024;
/// Processes that are looked at when everything is frozen, and how long that takes at most.
const FROZEN_MAX: usize = 64;
const FROZEN: Duration = Duration::from_secs(2);
/// A process' start is known to a clock tick here; an event's to the nanosecond.
const START_SLACK_NS: u64 = 20_000_000;

/// Why a look is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trigger {
    WriteExecute,
    Exit,
    Timeout,
    Demand,
}

impl Trigger {
    fn name(self) -> &'static str {
        match self {
            Self::WriteExecute => "write_execute",
            Self::Exit => "exit",
            Self::Timeout => "timeout",
            Self::Demand => "demand",
        }
    }
}

/// What the looks of one run need.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) memory: Memory,
    pub(crate) scanner: Option<Arc<dyn Scanner>>,
    pub(crate) cores: Option<PathBuf>,
    pub(crate) demand: Option<Demand>,
    /// The run's start on the monotonic clock, in nanoseconds.
    pub(crate) start_ns: u64,
    /// Of the sandbox's user namespace, as (inside, outside, count).
    pub(crate) uid_map: Vec<(u32, u32, u32)>,
    /// The sandbox's init, as this process sees it.
    pub(crate) init: u32,
    /// The run's cgroup v2 folder, where there is one.
    pub(crate) group: Option<PathBuf>,
}

struct Copied {
    trigger: Trigger,
    time_ns: u64,
    capture: Capture,
}

/// A process that made memory executable.
#[derive(Debug)]
struct Suspect {
    looks: usize,
    due: Option<Instant>,
}

struct Shared {
    setting: Setting,
    books: Books,
    suspects: Mutex<BTreeMap<(u32, u64), Suspect>>,
    /// Layouts of executable memory that were copied: forks of one process have the same.
    layouts: Mutex<BTreeSet<Vec<(u64, u64, u32)>>>,
    /// A program of the run's own was seen.
    begun: AtomicBool,
}

/// Asks for looks; cheap to copy.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    jobs: SyncSender<Box<Copied>>,
    /// Wakes who makes the looks that are due.
    wakes: SyncSender<()>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle")
    }
}

/// The looks of one run.
pub struct Watch {
    thinker: JoinHandle<Vec<Event>>,
    looker: JoinHandle<()>,
    handle: Handle,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

/// What the looks came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Without ids; the tasks know their start to a clock tick only.
    pub events: Vec<Event>,
    /// What was looked at, what was not and why, in words; none where nobody looked.
    pub note: Option<String>,
    /// Whether every look that was due was made and came to its end.
    pub whole: bool,
    /// Why there is no result at all, where there is none.
    pub fault: Option<String>,
}

impl Watch {
    /// For one run; none where its spec asks for no looks.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn of_run(
        spec: &Spec,
        group: Option<&Path>,
        init: libc::pid_t,
        start_ns: u64,
        uid_map: &[(u32, u32, u32)],
    ) -> io::Result<Option<Self>> {
        if !spec.memory.scan || spec.monitor == MonitorChoice::Off {
            return Ok(None);
        }
        let setting = Setting {
            memory: spec.memory,
            scanner: spec.scanner.clone(),
            cores: spec.artifacts.cores.clone(),
            demand: spec.demand.clone(),
            start_ns,
            uid_map: uid_map.to_vec(),
            init: u32::try_from(init).unwrap_or(0),
            group: group.map(Path::to_owned),
        };
        Self::start(setting).map(Some)
    }

    fn start(setting: Setting) -> io::Result<Self> {
        let (jobs, waiting) = sync_channel(WAITING_MAX);
        let demand = setting.demand.clone();
        let shared = Arc::new(Shared {
            setting,
            books: Books::default(),
            suspects: Mutex::default(),
            layouts: Mutex::default(),
            begun: AtomicBool::new(false),
        });
        let thinker = std::thread::Builder::new().name("memory-watch".to_owned()).spawn({
            let shared = shared.clone();
            move || Thinker { shared, events: Vec::new(), more: 0 }.run(&waiting)
        })?;
        // One that waits is as good as many.
        let (wakes, woken) = sync_channel(1);
        let looker = std::thread::Builder::new().name("memory-look".to_owned()).spawn({
            let (shared, jobs) = (shared.clone(), jobs.clone());
            move || Looker { shared, jobs, urgent: 0 }.run(&woken)
        })?;
        let handle = Handle { shared, jobs, wakes };
        if let Some(demand) = demand {
            let handle = handle.clone();
            demand.serve(move || handle.all(Trigger::Demand));
        }
        Ok(Self { thinker, looker, handle })
    }

    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// To be called when the run's processes are gone and every other handle is.
    #[must_use]
    pub fn finish(self) -> Outcome {
        let Self { thinker, looker, handle } = self;
        if let Some(demand) = &handle.shared.setting.demand {
            demand.retire();
        }
        let shared = handle.shared.clone();
        drop(handle);
        let looked = looker.join();
        match looked.and(thinker.join()) {
            Ok(events) => Outcome {
                events,
                note: Some(note(&shared.books)),
                whole: shared.books.whole(),
                fault: shared.books.fault(),
            },
            Err(_) => Outcome {
                fault: Some("the watch over memory broke down before the run ended".to_owned()),
                ..Outcome::default()
            },
        }
    }
}

impl Handle {
    /// A process, by its id inside and its start, made memory executable or ran code there. Never
    /// waits.
    pub(crate) fn suspect(&self, pid: u32, start_ns: u64) {
        let mut suspects = self.shared.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        if suspects.len() >= SUSPECTS_MAX && !suspects.contains_key(&(pid, start_ns)) {
            return;
        }
        let suspect = suspects.entry((pid, start_ns)).or_insert(Suspect { looks: 0, due: None });
        if suspect.due.is_none()
            && let Some(later) = LATER.get(suspect.looks)
        {
            suspect.due = Some(Instant::now() + *later);
            let _ = self.wakes.try_send(());
        }
    }

    /// This thread waits in a call that takes its process' memory away: `exit` of the last thread,
    /// `exit_group`, `execve`. It must wait until this returns, which is at most the time a process
    /// may be held.
    pub(crate) fn ends(&self, tid: u32, call: u32) {
        let shared = &*self.shared;
        let call = i64::from(call);
        if call == libc::SYS_exit && !is_last(tid) {
            return;
        }
        if !shared.has_begun(tid) {
            return;
        }
        if shared.books.ends.load(Ordering::Relaxed) >= ENDS_MAX {
            count(&shared.books.skipped, 1);
            return;
        }
        count(&shared.books.glances, 1);
        match capture::remarkable(tid) {
            Ok(false) => return,
            Ok(true) => {}
            Err(error) => return shared.missed(error.into()),
        }
        let executes = call == libc::SYS_execve || call == libc::SYS_execveat;
        if executes && count(&shared.books.execs, 1) >= EXECS_MAX {
            count(&shared.books.skipped, 1);
            return;
        }
        count(&shared.books.ends, 1);
        let began = Instant::now();
        self.look(tid, Trigger::Exit, began + shared.hold());
        shared.held(began.elapsed());
    }

    /// Looks at every process of the run while all of them are frozen, where there is a freezer.
    /// After the time-out they stay frozen: whoever calls kills them next.
    pub fn all(&self, trigger: Trigger) {
        let shared = &*self.shared;
        let began = Instant::now();
        let mut freezer = Freezer::freeze(shared.setting.group.clone(), trigger);
        count(&shared.books.freezes, u64::from(freezer.is_some()));
        let members = shared.members();
        count(&shared.books.skipped, members.len().saturating_sub(FROZEN_MAX) as u64);
        for pid in members.into_iter().take(FROZEN_MAX) {
            // Everybody waits for everybody's look: past the bound of one, all go on.
            if trigger != Trigger::Timeout && began.elapsed() > shared.hold() {
                freezer = None;
            }
            if began.elapsed() > FROZEN {
                count(&shared.books.skipped, 1);
                continue;
            }
            self.look(pid, trigger, Instant::now() + shared.hold());
        }
        if freezer.is_some() {
            shared.held(began.elapsed());
        }
    }

    fn look(&self, pid: u32, trigger: Trigger, deadline: Instant) {
        self.shared.look(&self.jobs, pid, trigger, deadline);
    }
}

impl Shared {
    /// Whether the run's program was started. Until then the process of the command is a copy of
    /// this one, with the compiled rules of this one in its memory, and about to become the program.
    fn has_begun(&self, tid: u32) -> bool {
        let file = |path: String| fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
        if !self.begun.load(Ordering::Relaxed) {
            let own = file("/proc/self/exe".to_owned());
            if own.is_some() && own == file(format!("/proc/{tid}/exe")) {
                return false;
            }
            self.begun.store(true, Ordering::Relaxed);
        }
        true
    }

    fn hold(&self) -> Duration {
        Duration::from_millis(self.setting.memory.hold_ms)
    }

    fn held(&self, time: Duration) {
        let time_us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.books.longest_hold_us.fetch_max(time_us, Ordering::Relaxed);
    }

    fn missed(&self, missed: Missed) {
        match missed {
            Missed::Gone => count(&self.books.gone, 1),
            Missed::Refused => count(&self.books.refused, 1),
        };
    }

    fn copy(&self, pid: u32, trigger: Trigger, deadline: Instant) -> Option<Copied> {
        if self.books.waiting_bytes.load(Ordering::Relaxed) > WAITING_BYTES_MAX {
            count(&self.books.skipped, 1);
            return None;
        }
        let data = matches!(trigger, Trigger::Timeout | Trigger::Demand);
        let bounds = Bounds { deadline, read_bytes: self.setting.memory.read_bytes, data };
        let time_ns = monotonic_ns().saturating_sub(self.setting.start_ns);
        let capture = match capture::capture(pid, &bounds) {
            Ok(capture) => capture,
            Err(error) => {
                self.missed(error.into());
                return None;
            }
        };
        // The sandbox's init is ours.
        if capture.who.pid <= 1 || (self.known(&capture) && trigger != Trigger::Demand) {
            return None;
        }
        count(&self.books.looks, 1);
        count(&self.books.waiting_bytes, capture.bytes);
        Some(Copied { trigger, time_ns, capture })
    }

    /// Copies a process and lets somebody else think about it.
    fn look(&self, jobs: &SyncSender<Box<Copied>>, pid: u32, trigger: Trigger, deadline: Instant) {
        if let Some(copied) = self.copy(pid, trigger, deadline)
            && let Err(TrySendError::Full(copied)) = jobs.try_send(Box::new(copied))
        {
            self.books.waiting_bytes.fetch_sub(copied.capture.bytes, Ordering::Relaxed);
            count(&self.books.skipped, 1);
        }
    }

    /// Whether a process with just this executable memory was copied already, threads apart.
    fn known(&self, capture: &Capture) -> bool {
        let told = capture.changed.iter().map(|c| (c.address, c.differing, u32::MAX));
        let layout: Vec<(u64, u64, u32)> = capture
            .regions
            .iter()
            .map(|region| {
                let read: usize = region.pieces.iter().map(|piece| piece.bytes.len()).sum();
                (region.mapping.start, read as u64, region.mapping.protection)
            })
            .chain(told)
            .collect();
        let mut layouts = self.layouts.lock().unwrap_or_else(PoisonError::into_inner);
        let inside = capture.threads.iter().any(|thread| {
            capture.regions.iter().any(|r| r.mapping.contains(thread.instruction_pointer))
        });
        !layout.is_empty() && layouts.len() < SUSPECTS_MAX && !layouts.insert(layout) && !inside
    }

    /// The run's processes, as this process sees them.
    fn members(&self) -> Vec<u32> {
        if let Some(group) = &self.setting.group
            && let Ok(list) = fs::read_to_string(group.join("cgroup.procs"))
        {
            return list.lines().filter_map(|line| line.parse().ok()).collect();
        }
        let (mut members, mut at) = (vec![self.setting.init], 0);
        while let Some(&pid) = members.get(at) {
            at += 1;
            let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { continue };
            for thread in threads.flatten() {
                let list = fs::read_to_string(thread.path().join("children"));
                let children = list.unwrap_or_default();
                members.extend(children.split_whitespace().filter_map(|c| c.parse::<u32>().ok()));
            }
        }
        members
    }

    /// The task of an event, as far as it can be told from outside.
    fn task(&self, capture: &Capture) -> Task {
        let inside = |uid: u32| {
            self.setting.uid_map.iter().find_map(|&(inside, outside, len)| {
                let at = uid.checked_sub(outside).filter(|&at| at < len)?;
                inside.checked_add(at)
            })
        };
        let who = &capture.who;
        Task {
            pid: who.pid,
            tid: who.pid,
            ppid: 0,
            start_ns: self.start_ns(who.start_ticks),
            uid: inside(who.host_uid).unwrap_or(who.host_uid),
            comm: Text::new(who.comm.clone()),
        }
    }

    /// From clock ticks since boot, suspended time included (proc_pid_stat(5)); user space's ticks
    /// are hundredths of a second on every Linux.
    fn start_ns(&self, ticks: u64) -> u64 {
        let suspended = suspended_ns();
        ticks.saturating_mul(10_000_000).saturating_sub(self.setting.start_ns + suspended)
    }
}

fn suspended_ns() -> u64 {
    let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds = uptime.split(['.', ' ']).next().and_then(|s| s.parse::<u64>().ok());
    let since_boot = seconds.unwrap_or(0).saturating_mul(1_000_000_000);
    // Whole seconds are enough to tell a suspended machine from one that never was.
    let apart = since_boot.saturating_sub(monotonic_ns());
    if apart > 2_000_000_000 { apart } else { 0 }
}

/// Whether the thread is the last one of its process: each has a folder there.
fn is_last(tid: u32) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(format!("/proc/{tid}/task")).is_ok_and(|meta| meta.nlink() <= 3)
}
