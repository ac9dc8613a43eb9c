//! Builds recordings by hand: processes, programs and what they do, with plausible times.

use std::collections::BTreeMap;

use types::{
    Access, Activity, Counters, Ending, Endpoint, Event, FileChange, Isolation, Kind, Limits,
    Recording, Run, StdioKind, Task, Text, Tier,
};

/// The first process of every trace.
pub(crate) const ROOT: u32 = 2;
pub(crate) const ENOENT: i64 = -2;
pub(crate) const EPERM: i64 = -1;
pub(crate) const EACCES: i64 = -13;
pub(crate) const ECONNREFUSED: i64 = -111;

const STEP_NS: u64 = 1_000_000;

pub(crate) struct Trace {
    pub(crate) recording: Recording,
    now_ns: u64,
    parents: BTreeMap<u32, u32>,
    next_pid: u32,
}

impl Trace {
    /// A run of `/data/sample`, a program that the sample brought along.
    pub(crate) fn new() -> Self {
        let mut trace = Self::bare();
        trace.exec(ROOT, "/data/sample", &["./sample"]);
        trace
    }

    /// A run whose first process has not executed anything yet.
    pub(crate) fn bare() -> Self {
        let recording = Recording {
            run: run(),
            events: Vec::new(),
            counters: Counters::default(),
            faults: Vec::new(),
            output: None,
            anomaly: None,
            rule_sets: Vec::new(),
            matches: Vec::new(),
            activity: Activity::default(),
        };
        Self { recording, now_ns: 0, parents: BTreeMap::from([(ROOT, 1)]), next_pid: ROOT + 1 }
    }

    /// A run that starts with one program.
    pub(crate) fn of(path: &str, argv: &[&str]) -> Self {
        let mut trace = Self::bare();
        trace.exec(ROOT, path, argv);
        trace
    }

    pub(crate) fn event(&mut self, pid: u32, kind: Kind) -> &mut Event {
        self.now_ns += STEP_NS;
        let task = Task {
            pid,
            tid: pid,
            ppid: self.parents[&pid],
            start_ns: u64::from(pid) * 10,
            uid: 1000,
            comm: "task".into(),
        };
        let id = self.recording.events.len() as u64 + 1;
        self.recording.events.push(Event {
            id,
            time_ns: self.now_ns,
            task,
            kind,
            ret: Some(0),
            blocked: false,
            advisory: false,
            truncated: false,
            count: 1,
        });
        self.recording.events.last_mut().unwrap()
    }

    /// An event that the sandbox refused.
    pub(crate) fn refused(&mut self, pid: u32, kind: Kind) {
        let event = self.event(pid, kind);
        event.ret = Some(EPERM);
        event.blocked = true;
    }

    pub(crate) fn failed(&mut self, pid: u32, kind: Kind, errno: i64) {
        self.event(pid, kind).ret = Some(errno);
    }

    pub(crate) fn wait(&mut self, milliseconds: u64) {
        self.now_ns += milliseconds * 1_000_000;
    }

    pub(crate) fn fork(&mut self, parent: u32) -> u32 {
        let child = self.next_pid;
        self.next_pid += 1;
        let child_start_ns = u64::from(child) * 10;
        let kind = Kind::Fork { child_pid: child, child_tid: child, child_start_ns, thread: false };
        self.event(parent, kind).ret = None;
        self.parents.insert(child, parent);
        child
    }

    pub(crate) fn exec(&mut self, pid: u32, path: &str, argv: &[&str]) -> &mut Event {
        self.event(pid, exec(path, argv, Vec::new()))
    }

    /// Fork and exec.
    pub(crate) fn spawn(&mut self, parent: u32, path: &str, argv: &[&str]) -> u32 {
        let child = self.fork(parent);
        self.exec(child, path, argv);
        child
    }

    /// Fork and exec of a program of the system, by its command line.
    pub(crate) fn command(&mut self, parent: u32, line: &str) -> u32 {
        let argv: Vec<&str> = line.split_whitespace().collect();
        self.spawn(parent, &format!("/usr/bin/{}", argv[0]), &argv)
    }

    /// A pipeline: every part's streams are pipes where the shell makes them so.
    pub(crate) fn pipeline(&mut self, parent: u32, parts: &[&str]) -> Vec<u32> {
        let last = parts.len() - 1;
        let mut pids = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            let argv: Vec<&str> = part.split_whitespace().collect();
            let input = if index == 0 { StdioKind::Tty } else { StdioKind::Pipe };
            let output = if index == last { StdioKind::Tty } else { StdioKind::Pipe };
            let child = self.fork(parent);
            let stdio = vec![input, output, StdioKind::Tty];
            self.event(child, exec(&format!("/usr/bin/{}", argv[0]), &argv, stdio));
            pids.push(child);
        }
        pids
    }

    pub(crate) fn exit(&mut self, pid: u32) {
        self.event(pid, Kind::Exit { code: Some(0), signal: None, thread: false }).ret = None;
    }

    /// Opened for writing, made new, and written.
    pub(crate) fn writes(&mut self, pid: u32, path: &str, head: &[u8]) {
        self.event(pid, open_new(path));
        self.event(pid, write(path, head));
    }

    pub(crate) fn finish(mut self) -> Recording {
        let count = self.recording.events.len() as u64;
        self.recording.counters =
            Counters { seen: count, sent: count, received: count, ..Counters::default() };
        self.recording
    }
}

fn run() -> Run {
    Run {
        id: "0198f000-0000-7000-8000-000000000000".to_owned(),
        started_at: "2026-11-22T14:00:00Z".to_owned(),
        command: vec!["./sample".into()],
        program: "/data/sample".into(),
        cwd: "/data".into(),
        runner: "process".to_owned(),
        tier: Tier::B,
        isolation: Isolation { walls: Vec::new() },
        limits: Limits {
            timeout_ms: 60_000,
            memory_bytes: 1 << 30,
            pids: 512,
            cpu_percent: 0,
            output_bytes: 1 << 20,
            disk_bytes: 1 << 30,
        },
        ending: Ending::Exited { code: 0 },
        duration_ns: 1_000_000_000,
        cpu_us: 1000,
        memory_peak_bytes: None,
        engine: BTreeMap::new(),
        decoys: Vec::new(),
        script: None,
    }
}

pub(crate) fn exec(path: &str, argv: &[&str], stdio: Vec<StdioKind>) -> Kind {
    Kind::Exec {
        path: path.into(),
        argv: argv.iter().map(|&arg| Text::from(arg)).collect(),
        cwd: "/data".into(),
        memfd: false,
        deleted: false,
        stdio,
    }
}

pub(crate) fn read(path: &str) -> Kind {
    Kind::Open { path: path.into(), access: Access::Read, create: false, truncate: false }
}

/// As `>>` and editors do.
pub(crate) fn append(path: &str) -> Kind {
    Kind::Open { path: path.into(), access: Access::Write, create: true, truncate: false }
}

/// As `>` does.
pub(crate) fn open_new(path: &str) -> Kind {
    Kind::Open { path: path.into(), access: Access::Write, create: true, truncate: true }
}

/// As `r+` does.
pub(crate) fn update(path: &str) -> Kind {
    Kind::Open { path: path.into(), access: Access::ReadWrite, create: false, truncate: false }
}

pub(crate) fn write(path: &str, head: &[u8]) -> Kind {
    let head: Vec<String> = head.iter().take(64).map(|b| format!("{b:02x}")).collect();
    Kind::Write { path: path.into(), writes: 1, bytes: 4096, head: head.concat() }
}

pub(crate) fn unlink(path: &str) -> Kind {
    Kind::Unlink { path: path.into(), directory: false }
}

pub(crate) fn rename(from: &str, to: &str) -> Kind {
    Kind::Rename { from: from.into(), to: to.into() }
}

pub(crate) fn chmod(path: &str, mode: u32) -> Kind {
    Kind::Chmod { path: path.into(), mode }
}

pub(crate) fn inet(ip: &str, port: u16) -> Endpoint {
    Endpoint::Inet { ip: ip.parse().unwrap(), port }
}

pub(crate) fn connect(ip: &str, port: u16) -> Kind {
    Kind::Connect { peer: inet(ip, port) }
}

pub(crate) fn dns(question: &str, record: u16) -> Kind {
    Kind::Dns { question: question.into(), record, server: None }
}

/// A request, answered by the sink.
pub(crate) fn request(protocol: &str, peer: Endpoint, host: &str, line: &str, head: &[u8]) -> Kind {
    let digits: Vec<String> = head.iter().take(64).map(|b| format!("{b:02x}")).collect();
    Kind::Request {
        protocol: protocol.to_owned(),
        peer,
        host: (!host.is_empty()).then(|| host.into()),
        line: line.into(),
        sent_bytes: 200,
        received_bytes: 120,
        head: digits.concat(),
        answer: "sink".to_owned(),
        carries: Vec::new(),
    }
}

/// An HTTP request to a named host, answered by the sink.
pub(crate) fn http(host: &str, line: &str, body: &[u8]) -> Kind {
    request("http", inet("198.18.77.3", 443), host, line, body)
}

pub(crate) fn syscall(call: &str, args: &[u64]) -> Kind {
    Kind::Syscall { call: call.to_owned(), args: args.to_vec(), target: None }
}

pub(crate) fn socket(family: u32, socket_type: u32) -> Kind {
    Kind::Socket { family, socket_type, protocol: 0 }
}

pub(crate) fn memory(write_execute: bool) -> Kind {
    Kind::Memory {
        call: "mmap".to_owned(),
        address: 0x7000_0000,
        length: 8192,
        protection: if write_execute { 7 } else { 5 },
        write_execute,
        anonymous: true,
        file: None,
    }
}

/// What a look at memory found.
pub(crate) fn region(finding: &str) -> Kind {
    Kind::MemoryRegion {
        trigger: "exit".to_owned(),
        finding: finding.to_owned(),
        address: 0x7000_0000,
        length: 4096,
        protection: 5,
        file: None,
        entropy_millibits: Some(4200),
        detail: "".into(),
    }
}

pub(crate) fn limit(name: &str) -> Kind {
    Kind::LimitReached { limit: name.to_owned(), detail: String::new() }
}

pub(crate) fn changed(path: &str, change: &str, mode: u32, entropy_millibits: Option<u32>) -> Kind {
    Kind::FileChanged(FileChange {
        path: path.into(),
        change: change.to_owned(),
        file_type: "file".to_owned(),
        size_bytes: 8192,
        mode,
        sha256: None,
        entropy_millibits,
        link_target: None,
        format: None,
    })
}

/// Sixty-four bytes without a pattern; different for each seed.
pub(crate) fn random(seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
    (0..64)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_be_bytes()[1]
        })
        .collect()
}
