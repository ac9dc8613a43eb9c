//! Numbers that describe a run, for whoever compares it with other runs. They are taken from the
//! recording alone and carry no opinion, but for the two that say what the detectors found.

use std::collections::{BTreeMap, BTreeSet};

use types::{Access, Ending, Endpoint, Event, FileChange, Kind, Recording, Text};

use crate::assess;
use crate::timeline::Timeline;

/// Every feature with its meaning and unit. Calls that were folded into one event count each.
pub const FEATURES: [(&str, &str); 46] = [
    ("blocked_count", "calls that the sandbox's policy refused"),
    ("chmod_count", "changes of a file's mode, owner, times or extended attributes"),
    ("connect_blocked_count", "connections to an internet address that the policy refused"),
    ("connect_failed_count", "connections to an internet address that failed"),
    ("connect_ok_count", "connections to an internet address that succeeded or went on"),
    ("connect_unix_count", "connections to a local socket"),
    ("cpu_ms", "processor time of the whole tree, milliseconds"),
    ("detection_count", "detectors that found something"),
    ("detection_decibans", "weight of what they found, decibans, capped per technique"),
    ("dns_count", "questions to a name server"),
    ("duration_ms", "wall-clock time, milliseconds"),
    ("event_count", "events, each as often as it happened"),
    ("exec_count", "programs started"),
    ("exec_failed_count", "programs that could not be started"),
    ("exit_failed", "1 when the command ended with a code other than 0"),
    ("exit_signaled", "1 when a signal ended the command"),
    ("exit_timed_out", "1 when the time limit ended the command"),
    ("file_created_bytes", "size of the files that are new after the run, bytes"),
    ("file_created_count", "files and folders that are new after the run"),
    ("file_deleted_count", "files of the host that are gone after the run"),
    ("file_entropy_max", "highest entropy of a changed file, bits per byte"),
    ("file_modified_count", "files of the host that are different after the run"),
    ("fork_count", "processes started, threads not counted"),
    ("kill_count", "signals sent to other processes"),
    ("limit_count", "limits of the sandbox that were reached"),
    ("link_count", "hard and symbolic links, device nodes and pipes made"),
    ("listen_count", "sockets bound, listening or accepting"),
    ("memfd_count", "files made in memory"),
    ("memory_executed_count", "system calls from memory that was made executable"),
    ("memory_peak_bytes", "highest memory use of the tree, bytes; 0 when unknown"),
    ("memory_wx_count", "memory made writable and executable at once"),
    ("mkdir_count", "folders made"),
    ("open_write_count", "files opened for writing"),
    ("path_distinct_count", "distinct paths of files that were opened, written, moved or deleted"),
    ("peer_distinct_count", "distinct internet addresses and ports"),
    ("process_depth_max", "longest chain of processes from the command, which is 1"),
    ("program_distinct_count", "distinct program files started"),
    ("ptrace_count", "reaches into another process: tracing, reading or writing its memory"),
    ("rename_count", "files renamed"),
    ("send_bytes", "sent through sockets, bytes"),
    ("set_ids_count", "changes of user or group ids"),
    ("stderr_bytes", "printed to standard error, bytes"),
    ("stdout_bytes", "printed to standard output, bytes"),
    ("syscall_count", "other calls that reach for the kernel's own surface"),
    ("unlink_count", "files and folders deleted"),
    ("write_bytes", "written to files, bytes"),
];

/// The features of a run: the names of [`FEATURES`], always all of them. Pure.
#[must_use]
pub fn features(recording: &Recording) -> BTreeMap<String, f64> {
    let mut tally = Tally::default();
    let mut depths = Depths::default();
    for event in &recording.events {
        tally.event(event);
        depths.event(event);
    }
    tally.set("path_distinct_count", tally.paths.len() as u64);
    tally.set("peer_distinct_count", tally.peers.len() as u64);
    tally.set("program_distinct_count", tally.programs.len() as u64);
    tally.set("process_depth_max", depths.max);
    tally.run(recording);
    let (count, decibans) = assess::weight_of_findings(&Timeline::new(recording));
    tally.set("detection_count", count);
    tally.set("detection_decibans", decibans);
    let entropy = f64::from(tally.entropy_millibits_max) / 1000.0;
    FEATURES
        .iter()
        .map(|&(name, _)| {
            let value = number(tally.values.get(name).copied().unwrap_or(0));
            (name.to_owned(), if name == "file_entropy_max" { entropy } else { value })
        })
        .collect()
}

/// Sums, and what has to be counted once.
#[derive(Default)]
struct Tally<'r> {
    values: BTreeMap<&'static str, u64>,
    paths: BTreeSet<&'r Text>,
    peers: BTreeSet<(std::net::IpAddr, u16)>,
    programs: BTreeSet<&'r Text>,
    entropy_millibits_max: u32,
}

impl<'r> Tally<'r> {
    fn add(&mut self, name: &'static str, amount: u64) {
        let value = self.values.entry(name).or_default();
        *value = value.saturating_add(amount);
    }

    fn set(&mut self, name: &'static str, value: u64) {
        self.values.insert(name, value);
    }

    fn event(&mut self, event: &'r Event) {
        self.add("event_count", event.count);
        if event.blocked {
            self.add("blocked_count", event.count);
        }
        match &event.kind {
            Kind::Exec { path, .. } if event.happened() => {
                self.add("exec_count", event.count);
                self.programs.insert(path);
            }
            Kind::Exec { .. } => self.add("exec_failed_count", event.count),
            Kind::Fork { thread: false, .. } => self.add("fork_count", event.count),
            Kind::Memory { write_execute: true, .. } => self.add("memory_wx_count", event.count),
            Kind::MemoryExecuted { .. } => self.add("memory_executed_count", event.count),
            Kind::MemfdCreate { .. } => self.add("memfd_count", event.count),
            Kind::Ptrace { .. } | Kind::ProcessMemory { .. } => {
                self.add("ptrace_count", event.count);
            }
            Kind::Kill { .. } => self.add("kill_count", event.count),
            Kind::SetIds { .. } => self.add("set_ids_count", event.count),
            Kind::Syscall { .. } => self.add("syscall_count", event.count),
            Kind::LimitReached { .. } => self.add("limit_count", event.count),
            Kind::FileChanged(change) => self.changed(change),
            _ => {
                self.file(event);
                self.network(event);
            }
        }
    }

    fn file(&mut self, event: &'r Event) {
        match &event.kind {
            Kind::Open { path, access, .. } => {
                self.paths.insert(path);
                if *access != Access::Read && event.happened() {
                    self.add("open_write_count", event.count);
                }
            }
            Kind::Write { path, bytes, .. } => {
                self.paths.insert(path);
                self.add("write_bytes", bytes.saturating_mul(event.count));
            }
            Kind::Unlink { path, .. } => {
                self.paths.insert(path);
                self.add("unlink_count", event.count);
            }
            Kind::Rename { from, to } => {
                self.paths.extend([from, to]);
                self.add("rename_count", event.count);
            }
            Kind::Mkdir { .. } => self.add("mkdir_count", event.count),
            Kind::Chmod { .. }
            | Kind::Chown { .. }
            | Kind::SetXattr { .. }
            | Kind::SetTimes { .. } => self.add("chmod_count", event.count),
            Kind::Link { .. } | Kind::Mknod { .. } => self.add("link_count", event.count),
            _ => {}
        }
    }

    fn network(&mut self, event: &'r Event) {
        match &event.kind {
            Kind::Connect { peer: Endpoint::Inet { ip, port } } => {
                self.peers.insert((*ip, *port));
                let name = match (event.blocked, event.happened()) {
                    (true, _) => "connect_blocked_count",
                    // EINPROGRESS: a connection that does not wait is on its way.
                    (false, false) if event.ret != Some(-115) => "connect_failed_count",
                    _ => "connect_ok_count",
                };
                self.add(name, event.count);
            }
            Kind::Connect { .. } => self.add("connect_unix_count", event.count),
            Kind::Bind { .. } | Kind::Listen { .. } | Kind::Accept { .. } => {
                self.add("listen_count", event.count);
            }
            Kind::Send { peer, bytes } => {
                if let Some(Endpoint::Inet { ip, port }) = peer {
                    self.peers.insert((*ip, *port));
                }
                self.add("send_bytes", bytes.saturating_mul(event.count));
            }
            Kind::Dns { .. } => self.add("dns_count", event.count),
            _ => {}
        }
    }

    fn changed(&mut self, change: &FileChange) {
        match change.change.as_str() {
            "created" => {
                self.add("file_created_count", 1);
                self.add("file_created_bytes", change.size_bytes);
            }
            "deleted" => self.add("file_deleted_count", 1),
            _ => self.add("file_modified_count", 1),
        }
        let entropy = change.entropy_millibits.unwrap_or(0);
        self.entropy_millibits_max = self.entropy_millibits_max.max(entropy);
    }

    /// What the run as a whole says.
    fn run(&mut self, recording: &Recording) {
        let run = &recording.run;
        self.set("duration_ms", run.duration_ns / 1_000_000);
        self.set("cpu_ms", run.cpu_us / 1000);
        self.set("memory_peak_bytes", run.memory_peak_bytes.unwrap_or(0));
        match run.ending {
            Ending::Exited { code: 0 } | Ending::Interrupted { .. } => {}
            Ending::Exited { .. } => self.set("exit_failed", 1),
            Ending::Signaled { .. } => self.set("exit_signaled", 1),
            Ending::TimedOut => self.set("exit_timed_out", 1),
        }
        if let Some(output) = &recording.output {
            self.set("stdout_bytes", output.stdout_bytes);
            self.set("stderr_bytes", output.stderr_bytes);
        }
    }
}

/// How deep each process lies below the command.
#[derive(Default)]
struct Depths {
    /// By (pid, start).
    of: BTreeMap<(u32, u64), u64>,
    max: u64,
}

impl Depths {
    fn event(&mut self, event: &Event) {
        if event.task.pid == 0 {
            return;
        }
        let depth = *self.of.entry((event.task.pid, event.task.start_ns)).or_insert(1);
        self.max = self.max.max(depth);
        if let Kind::Fork { child_pid, child_start_ns, thread: false, .. } = event.kind {
            self.of.insert((child_pid, child_start_ns), depth + 1);
            self.max = self.max.max(depth + 1);
        }
    }
}

/// Exact up to 2^53; what is larger is only compared.
#[expect(clippy::cast_precision_loss, reason = "a feature is compared, never added up to a bill")]
fn number(value: u64) -> f64 {
    value as f64
}
