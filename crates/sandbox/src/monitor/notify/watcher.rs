//! The loop: receive, look, answer, record. What a call states is decided in `calls`, and what the
//! policy says in the policy.
#![expect(unsafe_code, reason = "reads clocks")]

use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use types::{Calls, Event, Kind, Task, syscalls};

use super::books::Books;
use super::calls::{self, Call, Draft};
use super::images::{Images, Settled};
use super::listener::{Answer, Listener, Next, Notification};
use super::memory::Memory;
use super::paths::{Root, View};
use super::sockets::Sockets;
use super::tasks::{Born, ProcessKey, Scale, Tasks};
use crate::memory::watch::Handle;
use crate::monitor::{Sink, Summary};
use crate::seccomp::watch::HELD;
use crate::seccomp::{Decision, FOREIGN_ABI_ERRNO, Policy};

/// `AUDIT_ARCH_X86_64`.
const ARCH: u32 = 0xc000_003e;

/// Processes in a row that made no watched call before their child did.
const ANCESTORS_MAX: u32 = 16;

/// What the monitor is told about the run.
pub(super) struct Setting {
    pub(super) policy: Arc<Policy>,
    pub(super) start_ns: u64,
    pub(super) uid_map: Vec<(u32, u32, u32)>,
    pub(super) root_pid: u32,
    pub(super) watch: Option<Handle>,
}

pub(super) struct Watcher<S> {
    policy: Arc<Policy>,
    start_ns: u64,
    root_pid: u32,
    watch: Option<Handle>,
    tasks: Tasks,
    sockets: Sockets,
    images: Images,
    root: Option<Root>,
    books: Books<S>,
    /// Tasks that were there when their call was answered, but whose facts could not be read.
    unknown: u64,
    unreadable: u64,
    /// Calls that were answered.
    calls: BTreeMap<&'static str, Calls>,
}

impl<S: Sink> Watcher<S> {
    pub(super) fn new(setting: Setting, sink: S) -> Watcher<S> {
        // Task start times count suspended time; the run's clock does not.
        let suspended = clock(libc::CLOCK_BOOTTIME).saturating_sub(clock(libc::CLOCK_MONOTONIC));
        // SAFETY: sysconf takes a number and touches no memory.
        let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
        let scale = Scale {
            start_boot_ns: setting.start_ns + suspended,
            tick_ns: 1_000_000_000 / u64::try_from(ticks).ok().filter(|&t| t > 0).unwrap_or(100),
            uid_map: setting.uid_map,
        };
        Watcher {
            policy: setting.policy,
            start_ns: setting.start_ns,
            root_pid: setting.root_pid,
            watch: setting.watch,
            tasks: Tasks::new(scale),
            sockets: Sockets::default(),
            images: Images::default(),
            root: None,
            books: Books::new(sink),
            unknown: 0,
            unreadable: 0,
            calls: BTreeMap::new(),
        }
    }

    /// # Errors
    /// When the listener fails.
    pub(super) fn run(&mut self, listener: &Listener, stop: BorrowedFd<'_>) -> io::Result<()> {
        loop {
            match listener.next(stop)? {
                Next::Call(notification) => self.call(listener, &notification),
                Next::Again => {}
                Next::End => return Ok(()),
            }
        }
    }

    pub(super) fn close(mut self, fault: Option<String>) -> (S, Summary) {
        for settled in self.images.drain() {
            self.books.enter(settled.host_tid, settled.event);
        }
        let (sink, counters) = self.books.close();
        let mut faults: Vec<String> = fault.into_iter().collect();
        if self.unknown > 0 {
            faults.push(format!(
                "{} calls were made by tasks that could not be looked up",
                self.unknown
            ));
        }
        if self.unreadable > 0 {
            faults.push(format!(
                "the kernel did not let the monitor read {} arguments",
                self.unreadable
            ));
        }
        let calls = self.calls.into_iter().map(|(name, calls)| (name.to_owned(), calls)).collect();
        (sink, Summary { counters, faults, calls, ..Summary::default() })
    }

    /// One notification, from look to record. Nothing is recorded of a caller that is gone when it
    /// is answered: its call did not happen, and the look may have met another task.
    fn call(&mut self, listener: &Listener, notification: &Notification) {
        let time_ns = clock(libc::CLOCK_MONOTONIC).saturating_sub(self.start_ns);
        let foreign = notification.arch != ARCH;
        let decision = if foreign {
            Decision::Refuse(FOREIGN_ABI_ERRNO)
        } else {
            self.policy.decide(notification.nr, &notification.args)
        };
        let look = self.look(notification, decision);
        let answer = match decision {
            Decision::Allow => Answer::Continue,
            Decision::Refuse(errno) => Answer::Refuse(errno),
        };
        if let Some(watch) = &self.watch
            && decision == Decision::Allow
            && crate::seccomp::name(notification.nr).is_some_and(|name| HELD.contains(&name))
        {
            watch.ends(notification.tid, notification.nr);
        }
        let there = listener.answer(notification, answer);
        if there {
            self.count(notification, foreign, decision);
        }
        match look {
            Ok(look) if there => self.record(notification, decision, look, time_ns),
            Ok(_) => {}
            Err(_) => self.unknown += u64::from(there),
        }
    }

    fn count(&mut self, notification: &Notification, foreign: bool, decision: Decision) {
        let named = if foreign { None } else { syscalls::name(notification.nr) };
        let calls = self.calls.entry(named.unwrap_or(syscalls::OTHER)).or_default();
        calls.made += 1;
        calls.blocked += u64::from(decision != Decision::Allow);
    }

    fn look(&mut self, notification: &Notification, decision: Decision) -> io::Result<Look> {
        let tid = notification.tid;
        let born = self.tasks.look_up(tid)?;
        if let Some(born) = &born {
            self.inherit(born);
        }
        let settled =
            self.tasks.get(tid).and_then(|known| self.images.settle(known.process, &known.dir));
        if let Some(name) = settled.as_ref().and_then(|settled| settled.renamed.as_ref()) {
            self.tasks.rename(tid, name);
        }
        let gone = || io::Error::from_raw_os_error(libc::ESRCH);
        let known = self.tasks.get(tid).ok_or_else(gone)?;
        if self.root.is_none() {
            self.root = Root::of(&known.dir).ok();
        }
        let runs_from =
            self.images.runs_from(known.process, &known.dir, notification.instruction_pointer);
        let mut call = Call {
            nr: i64::from(notification.nr),
            args: notification.args,
            memory: Memory { tid },
            view: View {
                dir: &known.dir,
                pid: known.task.pid,
                tid: known.task.tid,
                root: self.root.as_ref(),
            },
            tasks: &self.tasks,
            known,
            sockets: &mut self.sockets,
            unreadable: 0,
        };
        let drafts = if notification.arch != ARCH {
            vec![calls::foreign(notification.arch, &call)]
        } else if decision == Decision::Allow {
            calls::allowed(&mut call)
        } else {
            calls::refused(&mut call).into_iter().collect()
        };
        self.unreadable += call.unreadable;
        let executes = drafts.iter().any(|draft| matches!(draft.kind, Kind::Exec { .. }));
        let image = if executes { known.dir.stat().ok().map(|stat| stat.image) } else { None };
        let (process, task) = (known.process, known.task.clone());
        Ok(Look { born, settled, process, task, drafts, runs_from, image })
    }

    fn record(
        &mut self,
        notification: &Notification,
        decision: Decision,
        look: Look,
        time_ns: u64,
    ) {
        let tid = notification.tid;
        if let Some(settled) = look.settled {
            self.books.enter(settled.host_tid, settled.event);
        }
        if let Some(born) = look.born {
            self.born(&born, &look.task, time_ns, ANCESTORS_MAX);
        }
        if let Some(address) = look.runs_from {
            let call = crate::seccomp::name(notification.nr).unwrap_or("unknown").to_owned();
            let draft = Draft::memory_executed(address, call);
            self.books.enter(tid, event(draft, look.task.clone(), time_ns, Decision::Allow));
        }
        for draft in look.drafts {
            self.remember(tid, look.process, &draft, decision);
            let executes = matches!(draft.kind, Kind::Exec { .. });
            let event = event(draft, look.task.clone(), time_ns, decision);
            if executes && decision == Decision::Allow {
                for overdue in self.images.execs(look.process, tid, event, look.image) {
                    self.books.enter(overdue.host_tid, overdue.event);
                }
            } else {
                self.books.enter(tid, event);
            }
        }
    }

    /// A child has its parent's memory, also for its very first call.
    fn inherit(&mut self, born: &Born) {
        // A parent outside, or gone by now, has nothing that is known.
        if let Some(parent) = self.tasks.get(born.host_parent) {
            self.images.inherit(born.process, parent.process);
        }
    }

    /// A process called for the first time; its birth is told as its parent's, just before.
    fn born(&mut self, born: &Born, child: &Task, time_ns: u64, ancestors: u32) {
        if born.process.host_pid == self.root_pid || child.ppid <= 1 {
            return;
        }
        let host_parent = born.host_parent;
        let Ok(parent_born) = self.tasks.look_up(host_parent) else { return };
        let Some(parent) = self.tasks.get(host_parent) else { return };
        let task = parent.task.clone();
        let before_ns = time_ns.saturating_sub(1);
        // A parent that made no watched call itself is told first.
        if let Some(parent_born) = parent_born
            && ancestors > 0
        {
            self.born(&parent_born, &task, before_ns, ancestors - 1);
        }
        let kind = Kind::Fork {
            child_pid: child.pid,
            child_tid: child.pid,
            child_start_ns: child.start_ns,
            thread: false,
        };
        self.books.enter(host_parent, event(Draft::of(kind), task, before_ns, Decision::Allow));
    }

    /// What an event changes in what the monitor knows.
    fn remember(&mut self, tid: u32, process: ProcessKey, draft: &Draft, decision: Decision) {
        if decision != Decision::Allow {
            return;
        }
        match &draft.kind {
            Kind::SetName { name } => self.tasks.rename(tid, name.as_bytes()),
            Kind::SetIds { .. } => self.tasks.outdate(process),
            Kind::Memory { .. } => self.images.suspect(process),
            Kind::Exit { .. } => {
                self.tasks.forget(process);
                self.images.forget(process);
            }
            _ => {}
        }
    }
}

/// What a look at a waiting call found.
struct Look {
    born: Option<Born>,
    settled: Option<Settled>,
    process: ProcessKey,
    task: Task,
    drafts: Vec<Draft>,
    runs_from: Option<u64>,
    image: Option<[u64; 3]>,
}

fn event(draft: Draft, task: Task, time_ns: u64, decision: Decision) -> Event {
    let (ret, blocked) = match decision {
        Decision::Allow => (draft.ret, false),
        Decision::Refuse(errno) => (Some(-i64::from(errno)), true),
    };
    Event {
        id: 0,
        time_ns,
        task,
        kind: draft.kind,
        ret,
        blocked,
        advisory: draft.advisory,
        truncated: draft.truncated,
        count: 1,
    }
}

fn clock(id: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the result.
    unsafe { libc::clock_gettime(id, &raw mut time) };
    let part = |value: i64| u64::try_from(value).unwrap_or(0);
    part(time.tv_sec) * 1_000_000_000 + part(time.tv_nsec)
}
