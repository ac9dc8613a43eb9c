//! The words of a recording: what was applied, how it ended, what was found afterwards.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use types::{Ending, Event, Isolation, Kind, Recording, Run, Task, Text, Tier, run::Wall};

use super::cgroup::{Cgroups, Usage};
use super::inside::LINGER;
use super::rootfs::INSIDE_UID;
use super::start::Layout;
use super::supervise::Watched;
use crate::spec::{Decoy, Net, Root, Spec};

#[expect(clippy::too_many_arguments, reason = "a run is told by facts of as many rooms")]
pub(super) fn run_record(
    spec: &Spec,
    notes: &str,
    tier: Tier,
    walls: Vec<Wall>,
    watched: &Watched,
    duration_ns: u64,
    usage: &Usage,
    decoys: &[Decoy],
) -> Run {
    Run {
        id: spec.id.clone(),
        started_at: spec.started_at.clone(),
        command: spec.command.iter().map(|arg| Text::new(arg.as_bytes())).collect(),
        program: Text::new(program(spec, notes).as_bytes()),
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
        decoys: decoys.iter().map(|decoy| Text::new(decoy.path.as_os_str().as_bytes())).collect(),
        // Whoever named the command knows which file it is.
        script: None,
    }
}

/// Adds what became known after the run as events of its own: changed files and what was found in
/// them (`kinds`), limits reached.
pub fn append(
    recording: &mut Recording,
    mut kinds: Vec<Kind>,
    usage: &Usage,
    spec: &Spec,
    survivors: bool,
    disk_full: bool,
) {
    let time_ns = recording
        .events
        .last()
        .map_or(recording.run.duration_ns, |event| event.time_ns.max(recording.run.duration_ns));
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

/// The program's path inside, as it was found there.
fn program<'a>(spec: &'a Spec, notes: &'a str) -> &'a OsStr {
    let found = notes.lines().find_map(|line| line.strip_prefix("program="));
    found.map_or(spec.program.as_os_str(), OsStr::new)
}

fn root(spec: &Spec) -> String {
    let root = match &spec.root {
        Root::Host => "the host's root".to_owned(),
        Root::Folder(path) => format!("the folder {}", path.display()),
        Root::Tar(path) => format!("the tar file {}, unpacked in memory,", path.display()),
        Root::Oci(path, name) => format!(
            "the OCI image {}{}, unpacked in memory,",
            path.display(),
            name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default()
        ),
        Root::Image(name) => format!("the image {name}"),
    };
    let layers = match spec.layers.len() {
        0 => String::new(),
        count => format!(" below {count} layers"),
    };
    format!("{root}{layers} read-only, writes in memory")
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
        wall("root", true, root(spec)),
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
    let facts = ["landlock=", "program="];
    let others = notes
        .lines()
        .filter(|line| !line.is_empty() && !facts.iter().any(|fact| line.starts_with(fact)));
    walls.extend(others.map(|line| wall("root", true, line.to_owned())));
    walls
}
