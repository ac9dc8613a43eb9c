//! Events about programs, memory, other processes, identity, and the kernel's own surface.

use ::ebpf::abi::{
    FILE_DELETED, FILE_MEMFD, RECORD_ANONYMOUS, RECORD_COMPAT, RECORD_THREAD, STDIO_CLOSED,
    STDIO_FILE, STDIO_PIPE, STDIO_SOCKET, STDIO_TTY, Stdio,
};
use types::{Kind, StdioKind, Text};

use super::super::calls::by_itself;
use super::network::remote;
use super::{Fact, View, fact};
use crate::seccomp::name;

const PROT_WRITE: u32 = 2;
const PROT_EXEC: u32 = 4;
/// ioctls that put input into a terminal.
const TIOCSTI: u32 = 0x5412;
const TIOCLINUX: u32 = 0x541c;
const PR_SET_NAME: u64 = 15;
/// NGROUPS that setgroups events name; the buffer holds no more.
const GROUPS_MAX: usize = 16;

impl View<'_> {
    pub(super) fn exec(&self) -> Fact {
        let flags = self.record.file_flags;
        if self.record.nr >= 0 {
            // The attempt failed: the path is what the task passed.
            let cwd =
                if self.slots.is_empty(1) { Text::default() } else { self.slots.path(1).text };
            return self.with_path(|path| Kind::Exec {
                path,
                argv: Vec::new(),
                cwd,
                memfd: false,
                deleted: false,
                stdio: Vec::new(),
            });
        }
        let arguments = self.slots.bytes(2);
        let arguments = arguments.strip_suffix(&[0]).unwrap_or(arguments);
        let argv = match arguments {
            [] => Vec::new(),
            all => all.split(|&byte| byte == 0).map(Text::from).collect(),
        };
        let path =
            if self.slots.is_empty(0) { self.slots.string(3) } else { self.slots.path(0).text };
        fact(Kind::Exec {
            path,
            argv,
            cwd: self.slots.path(1).text,
            memfd: flags & FILE_MEMFD != 0,
            deleted: flags & FILE_DELETED != 0,
            stdio: self.slots.bytes(4).chunks_exact(size_of::<Stdio>()).filter_map(stdio).collect(),
        })
    }

    #[expect(clippy::cast_possible_truncation, reason = "the kernel side put 32-bit numbers there")]
    pub(super) fn fork(&self) -> Fact {
        let [pid, tid, start_ns, _] = self.record.extra;
        fact(Kind::Fork {
            child_pid: pid as u32,
            child_tid: tid as u32,
            child_start_ns: start_ns.saturating_sub(self.start_ns),
            thread: self.record.flags & RECORD_THREAD != 0,
        })
    }

    pub(super) fn exit(&self) -> Fact {
        let status = i32::try_from(self.record.extra[0] & 0xffff).unwrap_or(0);
        let signal = status & 0x7f;
        fact(Kind::Exit {
            code: (signal == 0).then_some(status >> 8),
            signal: (signal != 0).then_some(signal),
            thread: self.record.flags & RECORD_THREAD != 0,
        })
    }

    #[expect(clippy::cast_possible_truncation, reason = "PROT_* bits are an int")]
    pub(super) fn memory(&self) -> Fact {
        let [address, length, protection, _] = self.record.extra;
        let protection = protection as u32;
        let anonymous = self.record.flags & RECORD_ANONYMOUS != 0;
        fact(Kind::Memory {
            call: self.call_name(),
            address,
            length,
            protection,
            write_execute: protection & (PROT_WRITE | PROT_EXEC) == PROT_WRITE | PROT_EXEC,
            anonymous,
            file: (!self.slots.is_empty(0)).then(|| self.slots.path(0).text),
        })
    }

    pub(super) fn memory_executed(&self) -> Fact {
        fact(Kind::MemoryExecuted { address: self.record.extra[0], call: self.call_name() })
    }

    pub(super) fn memfd_create(&self) -> Fact {
        Fact { kind: Kind::MemfdCreate { name: self.slots.string(2) }, advisory: true }
    }

    pub(super) fn ptrace(&self) -> Fact {
        fact(Kind::Ptrace { request: self.arg(0), target_pid: self.arg32(1) })
    }

    pub(super) fn process_memory(&self) -> Fact {
        let write = self.is_call("process_vm_writev");
        fact(Kind::ProcessMemory { write, target_pid: self.arg32(0) })
    }

    pub(super) fn kill(&self) -> Fact {
        let by_thread = self.is_call("tgkill") || self.is_call("rt_tgsigqueueinfo");
        let signal = self.arg32(if by_thread { 2 } else { 1 }).cast_signed();
        let target_pid = if self.is_call("pidfd_send_signal") {
            i64::try_from(self.record.extra[0]).unwrap_or(0)
        } else {
            i64::from(self.arg32(0).cast_signed())
        };
        fact(Kind::Kill { target_pid, signal })
    }

    pub(super) fn set_ids(&self) -> Fact {
        let call = self.call_name();
        if call == "setgroups" {
            let count = usize::try_from(self.arg(0)).unwrap_or(0).min(GROUPS_MAX);
            let (groups, _) = self.slots.bytes(2).as_chunks::<4>();
            let ids = groups.iter().take(count).map(|group| u32::from_ne_bytes(*group)).collect();
            return Fact { kind: Kind::SetIds { call, ids }, advisory: true };
        }
        let count = match call.as_str() {
            "setreuid" | "setregid" => 2,
            "setresuid" | "setresgid" => 3,
            _ => 1,
        };
        fact(Kind::SetIds { call, ids: (0..count).map(|index| self.arg32(index)).collect() })
    }

    pub(super) fn is_set_name(&self) -> bool {
        self.arg(0) == PR_SET_NAME && self.record.ret >= 0
    }

    /// The record already carries the new name.
    pub(super) fn set_name(&self) -> Fact {
        let name = self.record.comm.split(|&byte| byte == 0).next().unwrap_or_default();
        fact(Kind::SetName { name: Text::from(name) })
    }

    /// Calls that matter by themselves, those of another ABI, and whatever else was refused.
    pub(super) fn syscall(&self, blocked: bool) -> Option<Fact> {
        let foreign = self.record.flags & RECORD_COMPAT != 0 || name(self.call).is_none();
        if !blocked && !foreign && !self.is_event_by_itself() {
            return None;
        }
        let mut args = self.record.args.to_vec();
        if self.is_call("capset") {
            // Effective, permitted and inheritable sets stand behind a pointer.
            let (words, _) = self.slots.bytes(2).as_chunks::<4>();
            args.extend(words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))));
        }
        let (target, advisory) = self.syscall_target();
        // What these are asked for stands in the task's memory.
        let advisory = advisory || self.is_call("capset") || self.is_call("clone3");
        Some(Fact { kind: Kind::Syscall { call: self.call_name(), args, target }, advisory })
    }

    fn is_event_by_itself(&self) -> bool {
        by_itself(self.call)
            && (!self.is_call("ioctl") || matches!(self.arg32(1), TIOCSTI | TIOCLINUX))
    }

    fn syscall_target(&self) -> (Option<Text>, bool) {
        let second = self.is_call("mount") || self.is_call("move_mount");
        if second && !self.slots.is_empty(2) {
            return (Some(self.slots.path(2).text), true);
        }
        if !self.slots.is_empty(0) {
            let path = self.slots.path(0);
            return (Some(path.text), path.advisory);
        }
        if !self.slots.is_empty(2) && !self.is_call("capset") {
            return (Some(self.slots.string(2)), true);
        }
        (None, false)
    }
}

fn stdio(bytes: &[u8]) -> Option<StdioKind> {
    let stream = Stdio::parse(bytes)?;
    Some(match stream.kind {
        STDIO_CLOSED => StdioKind::Closed,
        STDIO_FILE => StdioKind::File,
        STDIO_PIPE => StdioKind::Pipe,
        STDIO_TTY => StdioKind::Tty,
        STDIO_SOCKET => StdioKind::Socket { peer: remote(&stream.sock) },
        _ => StdioKind::Other,
    })
}
