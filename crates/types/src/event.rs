//! One fact the kernel, or the sandbox itself, stated about a run.
//!
//! The same schema covers every runner and every monitor tier. Events carry no opinion: whether a
//! fact is good or bad is decided in `verdict`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::Text;

/// The task that caused an event. `(pid, start_ns)` names a process for the length of a run, also
/// when its pid is used again.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct Task {
    /// Process id (thread group) as the sandbox sees it.
    pub pid: u32,
    /// Thread id as the sandbox sees it.
    pub tid: u32,
    /// Parent's process id as the sandbox sees it; 0 for a parent outside.
    pub ppid: u32,
    /// When the process (thread group leader) started, nanoseconds since the run's start.
    pub start_ns: u64,
    /// User id inside the sandbox's user namespace.
    pub uid: u32,
    /// The thread's name; the task itself can set it.
    pub comm: Text,
}

/// A single event. The list of a recording is ordered by `time_ns`; `id` counts it from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    pub id: u64,
    /// Monotonic nanoseconds since the run's start.
    pub time_ns: u64,
    pub task: Task,
    #[serde(flatten)]
    pub kind: Kind,
    /// The call's return value: >= 0 success, < 0 a negated errno; absent where the source cannot
    /// know it (tier C lets a call continue without seeing how it ends) or where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ret: Option<i64>,
    /// The sandbox's policy refused the call (`ret` is then the errno that was given).
    #[serde(default, skip_serializing_if = "is_false")]
    pub blocked: bool,
    /// The target was read from the task's own memory, which another thread may have changed
    /// before or after the kernel looked at it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub advisory: bool,
    /// A string or list was longer than the monitor's bound and was cut.
    #[serde(default, skip_serializing_if = "is_false")]
    pub truncated: bool,
    /// How many identical events (same task, kind and result) this one stands for; at least 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub count: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's skip_serializing_if passes a reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

fn one() -> u64 {
    1
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's skip_serializing_if passes a reference"
)]
fn is_one(value: &u64) -> bool {
    *value == 1
}

impl Event {
    /// Whether the call is known or presumed to have taken effect: not blocked, and not known to
    /// have failed.
    #[must_use]
    pub fn happened(&self) -> bool {
        !self.blocked && self.ret.is_none_or(|ret| ret >= 0)
    }
}

/// What a file was opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    Read,
    Write,
    ReadWrite,
}

/// Where a socket points.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "family", rename_all = "snake_case")]
pub enum Endpoint {
    Inet {
        ip: std::net::IpAddr,
        port: u16,
    },
    /// A path name, or an abstract name when `abstract_name` is set.
    Unix {
        path: Text,
        #[serde(default, skip_serializing_if = "is_false")]
        abstract_name: bool,
    },
    /// Any other address family, by its number (`AF_*`).
    Other {
        number: u16,
    },
}

/// What one of a new program's standard streams is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum StdioKind {
    Closed,
    File,
    Pipe,
    Tty,
    /// A socket; `peer` where it is connected to an internet address.
    Socket {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        peer: Option<Endpoint>,
    },
    Other,
}

/// The fact itself. Paths are absolute inside the sandbox where they could be resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Kind {
    /// A program image replaced the old one (or the attempt failed: `ret` < 0).
    Exec {
        path: Text,
        argv: Vec<Text>,
        cwd: Text,
        /// The image lives in a memory file (`memfd_create`).
        #[serde(default, skip_serializing_if = "is_false")]
        memfd: bool,
        /// The image's file has no name any more.
        #[serde(default, skip_serializing_if = "is_false")]
        deleted: bool,
        /// Standard input, output and error; empty when unknown.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        stdio: Vec<StdioKind>,
    },
    /// A new process (`thread` false) or thread; `ret` is absent.
    Fork {
        child_pid: u32,
        child_tid: u32,
        child_start_ns: u64,
        thread: bool,
    },
    /// A process or thread ended. Exactly one of `code`, `signal` is set for a process.
    Exit {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<i32>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<i32>,
        thread: bool,
    },
    /// open, openat, openat2, creat. Plain successful reads are only recorded when the path is
    /// sensitive; all writes, creates and failures on sensitive paths are.
    Open {
        path: Text,
        access: Access,
        create: bool,
        truncate: bool,
    },
    /// First write of a task to a file, with the beginning of what it wrote; later writes of the
    /// same task to the same file are aggregated into `writes` and `bytes`.
    Write {
        path: Text,
        writes: u64,
        bytes: u64,
        /// The first bytes written, at most 64, as lowercase hexadecimal.
        head: String,
    },
    Unlink {
        path: Text,
        directory: bool,
    },
    Rename {
        from: Text,
        to: Text,
    },
    Mkdir {
        path: Text,
    },
    /// `mode` is the new permission bits, as a number (0o4755 is 2541).
    Chmod {
        path: Text,
        mode: u32,
    },
    Chown {
        path: Text,
        uid: u32,
        gid: u32,
    },
    /// link, symlink: `to` is the new name.
    Link {
        from: Text,
        to: Text,
        symbolic: bool,
    },
    /// mknod of anything but a regular file; `mode` with its type bits.
    Mknod {
        path: Text,
        mode: u32,
    },
    Truncate {
        path: Text,
        length: u64,
    },
    /// An extended attribute was set (`security.capability` grants file capabilities).
    SetXattr {
        path: Text,
        name: Text,
    },
    /// Times of a file were set: timestamp forging when they lie in the past.
    SetTimes {
        path: Text,
        seconds: i64,
    },
    Socket {
        family: u32,
        socket_type: u32,
        protocol: u32,
    },
    Connect {
        peer: Endpoint,
    },
    Bind {
        address: Endpoint,
    },
    Listen {
        address: Option<Endpoint>,
    },
    Accept {
        peer: Option<Endpoint>,
    },
    /// sendto, sendmsg with an address, or the first send on a connected socket.
    Send {
        peer: Option<Endpoint>,
        bytes: u64,
    },
    /// A DNS question seen on the way out; `record` is the QTYPE number.
    Dns {
        question: Text,
        record: u16,
        server: Option<Endpoint>,
    },
    /// A socket was put in the place of standard stream `stream` (0, 1 or 2).
    StdioSocket {
        stream: u32,
        peer: Option<Endpoint>,
    },
    /// mmap or mprotect: memory that is writable and executable at once, or anonymous memory that
    /// was made executable.
    Memory {
        call: String,
        address: u64,
        length: u64,
        /// PROT_* bits asked for.
        protection: u32,
        /// Write and execute at once.
        write_execute: bool,
        /// No file is behind the memory.
        anonymous: bool,
        /// The file behind it, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<Text>,
    },
    /// A system call was made by code inside memory that an earlier `memory` event named.
    MemoryExecuted {
        address: u64,
        call: String,
    },
    MemfdCreate {
        name: Text,
    },
    Ptrace {
        request: u64,
        target_pid: u32,
    },
    /// process_vm_readv (`write` false) or process_vm_writev.
    ProcessMemory {
        write: bool,
        target_pid: u32,
    },
    /// kill, tkill, tgkill, pidfd_send_signal to another process.
    Kill {
        target_pid: i64,
        signal: i32,
    },
    /// setuid family: `ids` as passed, 4294967295 for "unchanged".
    SetIds {
        call: String,
        ids: Vec<u32>,
    },
    /// A thread renamed itself (`prctl(PR_SET_NAME)`).
    SetName {
        name: Text,
    },
    /// A call that reaches for the kernel's own surface: capset, mount family, unshare, setns,
    /// clone with namespace flags, bpf, perf_event_open, io_uring, keyctl, module load, kexec …
    /// Also any other call the policy refused.
    Syscall {
        call: String,
        args: Vec<u64>,
        /// Target in words, where there is one (a mount point, a path).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<Text>,
    },
    /// What the command said to a peer, and who answered: the sandbox's own sink (`sink`), the real
    /// peer through the sandbox's proxy (`passed`), or nobody (`refused`).
    Request {
        /// `dns`, `http`, `tls`, `tcp`, `udp`.
        protocol: String,
        /// Whom the command meant to reach.
        peer: Endpoint,
        /// The name it asked for: DNS question, HTTP host, TLS server name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<Text>,
        /// The request in one line: `GET /x HTTP/1.1`, `A`, `ClientHello TLS 1.3`.
        line: Text,
        /// Bytes the command sent, and those it got.
        sent_bytes: u64,
        received_bytes: u64,
        /// The first bytes sent, at most 64, as lowercase hexadecimal: of the body for an HTTP request
        /// that has one.
        head: String,
        answer: String,
        /// Planted files whose content was among the bytes sent, plain or as base64 or hexadecimal.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        carries: Vec<Text>,
    },
    /// Something remarkable in the memory of a process that a scan found.
    MemoryRegion {
        /// Why the scan was made: `write_execute`, `exit`, `timeout`, `demand`.
        trigger: String,
        /// `anonymous_executable`, `write_execute`, `memfd`, `deleted` (a file without a name),
        /// `hollowed` (text that differs from its file), `patched` (by a few bytes),
        /// `injected_thread` (in a system call made from memory without a file), `direct_calls`
        /// (code in memory that calls the kernel itself), `image` (a program's header in memory
        /// that is executed), `executable_stack`, `strings`.
        finding: String,
        address: u64,
        length: u64,
        /// PROT_* bits of the mapping.
        protection: u32,
        /// The file behind it as the kernel names it, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<Text>,
        /// Shannon entropy in thousandths of a bit per byte (0–8000) of what was read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        entropy_millibits: Option<u32>,
        /// What was found, in words.
        detail: Text,
    },
    /// A pattern (YARA) matched bytes of the artifact, of a file it left or of its memory.
    PatternMatch {
        /// The rule's name.
        rule: String,
        title: String,
        /// `artifact`, `file`, `memory`.
        place: String,
        /// The file, or the memory region in words.
        target: Text,
        /// Sigma's words: `informational`, `low`, `medium`, `high`, `critical`.
        level: String,
        /// ATT&CK technique ids.
        techniques: Vec<String>,
        /// Where the first match begins, from the start of the target.
        offset: u64,
    },
    /// A call from a WebAssembly module to its host, where no other type says it.
    HostCall {
        /// `wasi_snapshot_preview1`, `wasi:clocks/wall-clock@0.2.0` …
        interface: String,
        function: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<Text>,
    },
    /// After the run: a file that is different from the host's, or new.
    FileChanged(crate::run::FileChange),
    /// A limit of the sandbox was reached: `memory`, `pids`, `disk`, `time`, `output`, or `survivors` (what
    /// the command left in the background was killed).
    LimitReached {
        limit: String,
        detail: String,
    },
}

impl Kind {
    /// All types, as [`Kind::name`] gives them.
    pub const NAMES: [&'static str; 38] = [
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
        "request",
        "memory_region",
        "pattern_match",
        "host_call",
        "file_changed",
        "limit_reached",
    ];

    /// The event's type as it stands in JSON (`exec`, `file_changed` …).
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Exec { .. } => "exec",
            Kind::Fork { .. } => "fork",
            Kind::Exit { .. } => "exit",
            Kind::Open { .. } => "open",
            Kind::Write { .. } => "write",
            Kind::Unlink { .. } => "unlink",
            Kind::Rename { .. } => "rename",
            Kind::Mkdir { .. } => "mkdir",
            Kind::Chmod { .. } => "chmod",
            Kind::Chown { .. } => "chown",
            Kind::Link { .. } => "link",
            Kind::Mknod { .. } => "mknod",
            Kind::Truncate { .. } => "truncate",
            Kind::SetXattr { .. } => "set_xattr",
            Kind::SetTimes { .. } => "set_times",
            Kind::Socket { .. } => "socket",
            Kind::Connect { .. } => "connect",
            Kind::Bind { .. } => "bind",
            Kind::Listen { .. } => "listen",
            Kind::Accept { .. } => "accept",
            Kind::Send { .. } => "send",
            Kind::Dns { .. } => "dns",
            Kind::StdioSocket { .. } => "stdio_socket",
            Kind::Memory { .. } => "memory",
            Kind::MemoryExecuted { .. } => "memory_executed",
            Kind::MemfdCreate { .. } => "memfd_create",
            Kind::Ptrace { .. } => "ptrace",
            Kind::ProcessMemory { .. } => "process_memory",
            Kind::Kill { .. } => "kill",
            Kind::SetIds { .. } => "set_ids",
            Kind::SetName { .. } => "set_name",
            Kind::Syscall { .. } => "syscall",
            Kind::Request { .. } => "request",
            Kind::MemoryRegion { .. } => "memory_region",
            Kind::PatternMatch { .. } => "pattern_match",
            Kind::HostCall { .. } => "host_call",
            Kind::FileChanged(_) => "file_changed",
            Kind::LimitReached { .. } => "limit_reached",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn the_names_are_those_of_the_schema() {
        let schema = schemars::schema_for!(Kind).to_value();
        let tag = |kind: &serde_json::Value| kind["properties"]["kind"]["const"].clone();
        let theirs: Vec<_> = schema["oneOf"].as_array().unwrap().iter().map(tag).collect();
        assert_eq!(theirs, Kind::NAMES);
    }
}
