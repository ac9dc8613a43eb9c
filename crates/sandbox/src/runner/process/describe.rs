//! The words of a recording: what was applied, how it ended, what was found afterwards.

use std::os::unix::ffi::OsStrExt as _;

use std::collections::BTreeMap;

use types::{
    Ending, Event, FileChange, Isolation, Kind, Recording, Run, Task, Text, Tier, run::Wall,
};

use super::Layout;
use super::cgroup::{Cgroups, Usage};
use super::inside::LINGER;
use super::rootfs::INSIDE_UID;
use super::supervise::Watched;
use crate::spec::{Net, Spec};

pub(super) fn run_record(
    spec: &Spec,
    tier: Tier,
    walls: Vec<Wall>,
    watched: &Watched,
    duration_ns: u64,
    usage: &Usage,
) -> Run {
    Run {
        id: spec.id.clone(),
        started_at: spec.started_at.clone(),
        command: spec.command.iter().map(|arg| Text::new(arg.as_bytes())).collect(),
        program: Text::new(spec.program.as_os_str().as_bytes()),
        cwd: Text::new(spec.cwd.as_os_str().as_bytes()),
        runner: "process".to_owned(),
        tier,
        isolation: Isolation { walls },
        limits: spec.limits.clone(),
        ending: watched.ending.clone(),
        duration_ns,
        cpu_us: usage.cpu_us.unwrap_or(0),
        memory_peak_bytes: usage.memory_peak_bytes,
        engine: BTreeMap::new(),
        decoys: Vec::new(),
    }
}

/// Adds what became known after the run as events of its own: changed files, limits reached.
pub fn append(
    recording: &mut Recording,
    changes: Vec<FileChange>,
    usage: &Usage,
    spec: &Spec,
    survivors: bool,
    disk_full: bool,
) {
    let time_ns = recording
        .events
        .last()
        .map_or(recording.run.duration_ns, |event| event.time_ns.max(recording.run.duration_ns));
    let mut kinds: Vec<Kind> = changes.into_iter().map(Kind::FileChanged).collect();
    let mut limit = |limit: &str, detail: String| {
        kinds.push(Kind::LimitReached { limit: limit.to_owned(), detail });
    };
    if usage.oom_kills > 0 {
        let bytes = spec.limits.memory_bytes;
        limit("memory", format!("{} killed at {bytes} bytes", usage.oom_kills));
    }
    if usage.pids_refused > 0 {
        limit("pids", format!("{} refused at {}", usage.pids_refused, spec.limits.pids));
    }
    if disk_full {
        limit(
            "disk",
            format!("all of {} bytes (or of the names) were used", spec.limits.disk_bytes),
        );
    }
    if survivors {
        limit(
            "survivors",
            format!(
                "the command left processes running; they were watched {} s and killed",
                LINGER.as_secs_f32()
            ),
        );
    }
    if recording.run.ending == Ending::TimedOut {
        limit("time", format!("killed after {} ms", spec.limits.timeout_ms));
    }
    if recording.output.as_ref().is_some_and(|output| output.truncated) {
        limit("output", format!("only {} bytes were kept", spec.limits.output_bytes));
    }
    let first = recording.events.len() as u64 + 1;
    for (id, kind) in (first..).zip(kinds) {
        // Not a task's doing at a moment: found by the sandbox afterwards.
        let task =
            Task { pid: 0, tid: 0, ppid: 0, start_ns: 0, uid: 0, comm: Text::from("shieldx") };
        recording.events.push(Event {
            id,
            time_ns,
            task,
            kind,
            ret: None,
            blocked: false,
            advisory: false,
            truncated: false,
            count: 1,
        });
    }
}

/// The walls of this run, in words.
pub(super) fn walls(
    spec: &Spec,
    plan: &Layout,
    cgroups: &Cgroups,
    notes: &str,
    missing: &[String],
) -> Vec<Wall> {
    let wall = |name: &str, on: bool, detail: String| Wall { name: name.to_owned(), on, detail };
    let ids = match plan.base {
        Some(base) => format!("uid {INSIDE_UID} inside, {} outside", base + INSIDE_UID),
        None => format!("uid {INSIDE_UID} inside, the caller's own outside"),
    };
    let landlock = notes.lines().find_map(|line| line.strip_prefix("landlock=")).unwrap_or("");
    let mut walls = vec![
        wall("namespaces", true, "user, mount, pid, ipc, uts, net, cgroup".to_owned()),
        wall("user", true, format!("{ids}; no capabilities, no new privileges")),
        wall("root", true, "the host's root read-only, writes in memory".to_owned()),
        wall("seccomp", true, "allow-list; refused calls are recorded".to_owned()),
        wall("landlock", !landlock.starts_with("off"), landlock.to_owned()),
        wall(
            "network",
            true,
            match spec.net {
                Net::None => "none".to_owned(),
                Net::Loopback => "own loopback only".to_owned(),
                Net::Sink => "a sink that answers everything; nothing leaves".to_owned(),
                Net::Allow => "what is allowed, through a proxy".to_owned(),
            },
        ),
        wall(
            "cgroups",
            missing.iter().all(|line| line.starts_with("tier")) && cgroups.bounds(),
            if cgroups.bounds() {
                format!("{}: memory, pids", cgroups.mode())
            } else {
                format!("{}: no controllers; rlimits bound each process instead", cgroups.mode())
            },
        ),
    ];
    walls.extend(missing.iter().map(|line| wall("missing", false, line.clone())));
    let others = notes.lines().filter(|line| !line.starts_with("landlock=") && !line.is_empty());
    walls.extend(others.map(|line| wall("root", true, line.to_owned())));
    walls
}
