//! Turns records of the kernel side into events.
//!
//! The fixed part of a record is the kernel's word; its strings, buffers and addresses are the
//! sample's. Whatever those bytes are, decoding gives an event or nothing, never a panic.

mod files;
mod network;
mod processes;
mod slots;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use ::ebpf::abi::{
    self, KIND_ACCEPT, KIND_BIND, KIND_CHMOD, KIND_CHOWN, KIND_CONNECT, KIND_DNS, KIND_EXEC,
    KIND_EXIT, KIND_FORK, KIND_KILL, KIND_LINK, KIND_LISTEN, KIND_MEMFD_CREATE, KIND_MEMORY,
    KIND_MEMORY_EXECUTED, KIND_MKDIR, KIND_MKNOD, KIND_OPEN, KIND_PROCESS_MEMORY, KIND_PTRACE,
    KIND_RENAME, KIND_SEND, KIND_SET_IDS, KIND_SET_NAME, KIND_SET_TIMES, KIND_SET_XATTR,
    KIND_SOCKET, KIND_STDIO_SOCKET, KIND_TRUNCATE, KIND_UNLINK, KIND_WRITE, NO_TOTAL,
    RECORD_COMPAT, RECORD_GUARD, RECORD_TRUNCATED, Record, Total,
};
use types::{Event, Kind, Task, Text};

use self::slots::Slots;
use super::pump::record_call;
use crate::monitor::{Refusal, Wall};
use crate::seccomp::{FOREIGN_ABI_ERRNO, name};

/// What decoding needs to know about the run.
pub(super) struct Decoder {
    /// CLOCK_MONOTONIC at the run's start.
    pub start_ns: u64,
    /// CLOCK_REALTIME minus CLOCK_MONOTONIC, for times that a call set to "now".
    pub realtime_offset_ns: i64,
    pub refusal: Refusal,
    pub wall: Wall,
    /// (inside, outside, count), as in /proc/PID/uid_map.
    pub uid_map: Vec<(u32, u32, u32)>,
}

/// A record as its decoders see it.
struct View<'a> {
    record: &'a Record,
    slots: Slots<'a>,
    call: u32,
    realtime_offset_ns: i64,
    start_ns: u64,
}

/// A decoded fact, and whether its target came from the task's own memory.
struct Fact {
    kind: Kind,
    advisory: bool,
}

fn fact(kind: Kind) -> Fact {
    Fact { kind, advisory: false }
}

impl Decoder {
    /// The event of a record, or none when the record proves to be of no interest: a call that the
    /// policy might have refused but that failed for a reason of its own.
    pub(super) fn decode(&self, record: &Record, data: &[u8]) -> Option<Event> {
        let call = u32::try_from(record.nr).unwrap_or(u32::MAX);
        let blocked = self.blocked(record, call);
        let view = View {
            record,
            slots: Slots::new(record, data),
            call,
            realtime_offset_ns: self.realtime_offset_ns,
            start_ns: self.start_ns,
        };
        let Fact { kind, advisory } = view.fact(blocked)?;
        let blocked = blocked || self.stands_in_the_way(record, &view.slots, &kind);
        let ret = match record.kind {
            KIND_FORK | KIND_EXIT | KIND_MEMORY_EXECUTED => None,
            _ => Some(record.ret),
        };
        Some(Event {
            id: 0,
            time_ns: record.time_ns.saturating_sub(self.start_ns),
            task: self.task(record),
            kind,
            ret,
            blocked,
            // What a guard was asked about, the kernel had copied and resolved.
            advisory: (advisory && record.flags & RECORD_GUARD == 0) || record.replaced != 0,
            truncated: record.flags & RECORD_TRUNCATED != 0,
            count: 1,
        })
    }

    /// Whether the errno is the one that the policy gives to this call. The filter sees the calls
    /// of another ABI only as such.
    fn blocked(&self, record: &Record, call: u32) -> bool {
        if record.flags & RECORD_GUARD != 0 {
            return true;
        }
        if record.ret >= 0 || record.nr < 0 {
            return false;
        }
        if record.flags & RECORD_COMPAT != 0 || record.nr & X32_BIT != 0 {
            return record.ret == -i64::from(FOREIGN_ABI_ERRNO);
        }
        (self.refusal)(call, &record.args).is_some_and(|errno| record.ret == -i64::from(errno))
    }

    /// Whether the errno is the one that the walls around files give to what was tried. Of a path that
    /// leads up again, or from nowhere, nobody can say where it led.
    fn stands_in_the_way(&self, record: &Record, slots: &Slots<'_>, kind: &Kind) -> bool {
        let errno = i32::try_from(record.ret).ok().and_then(i32::checked_neg);
        errno.is_some_and(|errno| errno > 0 && slots.lead_down() && (self.wall)(kind, errno))
    }

    fn task(&self, record: &Record) -> Task {
        let comm = record.comm.split(|&byte| byte == 0).next().unwrap_or_default();
        Task {
            pid: record.pid,
            tid: record.tid,
            ppid: record.ppid,
            start_ns: record.start_ns.saturating_sub(self.start_ns),
            uid: self.uid_inside(record.euid),
            comm: Text::from(comm),
        }
    }

    /// 65534, the kernel's overflow id, for users the sandbox's namespace does not know.
    fn uid_inside(&self, outside: u32) -> u32 {
        if self.uid_map.is_empty() {
            return outside;
        }
        self.uid_map
            .iter()
            .find_map(|&(inside, base, count)| {
                let index = outside.checked_sub(base)?;
                (index < count).then(|| inside.checked_add(index))?
            })
            .unwrap_or(65534)
    }
}

/// `__X32_SYSCALL_BIT`.
const X32_BIT: i32 = 0x4000_0000;

impl View<'_> {
    fn fact(&self, blocked: bool) -> Option<Fact> {
        match self.record.kind {
            KIND_EXEC => Some(self.exec()),
            KIND_FORK => Some(self.fork()),
            KIND_EXIT => Some(self.exit()),
            KIND_OPEN => Some(self.open()),
            KIND_WRITE => Some(self.write()),
            KIND_UNLINK => Some(self.unlink()),
            KIND_RENAME => Some(self.rename()),
            KIND_MKDIR => Some(self.with_path(|path| Kind::Mkdir { path })),
            KIND_CHMOD => Some(self.chmod()),
            KIND_CHOWN => Some(self.chown()),
            KIND_LINK => Some(self.link()),
            KIND_MKNOD => Some(self.mknod()),
            KIND_TRUNCATE => Some(self.truncate()),
            KIND_SET_XATTR => Some(self.set_xattr()),
            KIND_SET_TIMES => Some(self.set_times()),
            KIND_SOCKET => Some(self.socket()),
            KIND_CONNECT => Some(self.connect()),
            KIND_BIND => Some(self.bind()),
            KIND_LISTEN => Some(fact(Kind::Listen { address: self.local() })),
            KIND_ACCEPT => Some(fact(Kind::Accept { peer: self.remote() })),
            KIND_SEND => Some(self.send()),
            KIND_DNS => Some(self.dns()),
            KIND_STDIO_SOCKET if self.record.ret >= 0 => Some(self.stdio_socket()),
            KIND_MEMORY => Some(self.memory()),
            KIND_MEMORY_EXECUTED => Some(self.memory_executed()),
            KIND_MEMFD_CREATE => Some(self.memfd_create()),
            KIND_PTRACE => Some(self.ptrace()),
            KIND_PROCESS_MEMORY => Some(self.process_memory()),
            KIND_KILL => Some(self.kill()),
            KIND_SET_IDS => Some(self.set_ids()),
            KIND_SET_NAME if self.is_set_name() => Some(self.set_name()),
            _ => self.syscall(blocked),
        }
    }

    fn arg(&self, index: usize) -> u64 {
        self.record.args.get(index).copied().unwrap_or(0)
    }

    /// The low half of an argument, which is all that the kernel looks at for an `int`.
    #[expect(clippy::cast_possible_truncation, reason = "the kernel ignores the high half")]
    fn arg32(&self, index: usize) -> u32 {
        self.arg(index) as u32
    }

    fn is_call(&self, call: &str) -> bool {
        name(self.call) == Some(call)
    }

    fn call_name(&self) -> String {
        if self.record.flags & RECORD_COMPAT != 0 {
            return format!("ia32_{}", self.call);
        }
        match self.record.nr {
            nr if nr & X32_BIT != 0 => {
                let nr = nr & !X32_BIT;
                let known = u32::try_from(nr).ok().and_then(name);
                known.map_or_else(|| format!("x32_{nr}"), |known| format!("x32_{known}"))
            }
            nr => name(self.call).map_or_else(|| format!("syscall_{nr}"), str::to_owned),
        }
    }
}

/// Events whose later repetitions the kernel side only counts, until the totals are known.
#[derive(Default)]
pub(super) struct Held(HashMap<u32, (usize, Event)>);

impl Held {
    /// Keeps an event that has totals; gives back every other one. A total has one event: were
    /// there another, that one would stand for itself.
    pub(super) fn keep(&mut self, record: &Record, event: Event) -> Option<Event> {
        if record.total == NO_TOTAL || self.0.contains_key(&record.total) {
            return Some(event);
        }
        self.0.insert(record.total, (record_call(record), event));
        None
    }

    /// Folds the totals in and gives the events back, each with its call as [`record_call`] has it.
    pub(super) fn release(
        self,
        totals: &HashMap<u32, Total>,
    ) -> impl Iterator<Item = (usize, Event)> {
        self.0.into_iter().map(|(index, (call, mut event))| {
            if let Some(total) = totals.get(&index) {
                fold(&mut event, *total);
            }
            (call, event)
        })
    }
}

fn fold(event: &mut Event, total: Total) {
    match &mut event.kind {
        Kind::Write { writes, bytes, .. } => {
            *writes = total.count;
            *bytes = total.bytes;
        }
        Kind::Send { bytes, .. } => {
            *bytes = total.bytes;
            event.count = total.count.max(1);
        }
        _ => {}
    }
}

/// The JSON name of the event type that a counter of the kernel side counts.
pub(super) fn kind_name(kind: usize) -> &'static str {
    const NAMES: [&str; abi::KIND_COUNT as usize] = [
        "none",
        "exec",
        "fork",
        "exit",
        "open",
        "write",
        "unlink",
        "rename",
        "mkdir",
        "chmod",
        "chown",
        "link",
        "mknod",
        "truncate",
        "set_xattr",
        "set_times",
        "socket",
        "connect",
        "bind",
        "listen",
        "accept",
        "send",
        "dns",
        "stdio_socket",
        "memory",
        "memory_executed",
        "memfd_create",
        "ptrace",
        "process_memory",
        "kill",
        "set_ids",
        "set_name",
        "syscall",
    ];
    NAMES.get(kind).copied().unwrap_or("none")
}
