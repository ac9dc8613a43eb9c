//! The kernel monitor on a container: finds the control group, attaches before the command starts.
//!
//! Only eBPF (tier A or B): a listener of seccomp notifications (tier C) would have to come out of the container,
//! and the daemon's API has no way for it. Without eBPF a run is not watched, and its recording
//! says so.

use std::fs;
use std::io;
use std::thread::JoinHandle;

use sandbox::memory::watch::{self, Trigger, Watch};
use sandbox::monitor::{Summary, Unavailable, ebpf};
use sandbox::pause::Brake;
use sandbox::runner::process::cgroup::{Cgroups, Usage};
use sandbox::runner::process::recorder::Recorder;
use sandbox::seccomp::{Decision, Policy};
use sandbox::{MonitorChoice, RunError, Spec};
use types::{Event, Kind, Tier};

use crate::gate;

/// eBPF on its way: the kernel's verifier takes longer than most of the rest.
pub(crate) type Loading = JoinHandle<Result<ebpf::Loaded, Unavailable>>;

/// Starts to load it beside the making of the container.
pub(crate) fn start_loading(spec: &Spec, policy: &Policy) -> Option<Loading> {
    let options = ebpf::Options { refusable: policy.refusable(), ..ebpf::Options::default() };
    let wanted = matches!(spec.monitor, MonitorChoice::Auto | MonitorChoice::Ebpf);
    wanted.then(|| std::thread::spawn(move || ebpf::load(&options)))
}

/// The control groups of a run.
#[derive(Debug)]
pub(crate) struct Groups {
    /// Where the runtime put the container.
    container: Cgroups,
    /// Made by us, for the monitor alone, where the runtime put it into no v2 group of its own.
    own: Option<Cgroups>,
}

impl Groups {
    /// Those of the container whose first process this is; it has no other yet. With `own`, a v2
    /// group of ours is used whatever the runtime did.
    pub(crate) fn of(pid: u32, run_id: &str, own: bool) -> Self {
        let container = Cgroups::of(pid);
        let alone = container.path().is_some_and(|path| {
            let procs = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
            procs.lines().eq([pid.to_string()])
        });
        let own = if alone && !own { None } else { Cgroups::adopt(pid, run_id).ok() };
        Self { container, own }
    }

    /// The one the monitor watches.
    fn watched(&self) -> &Cgroups {
        self.own.as_ref().unwrap_or(&self.container)
    }

    /// What pauses the container apart from the monitor's own freezing: v1's freezer.
    pub(crate) fn brake(&self) -> Option<Brake> {
        self.container.brake()
    }

    /// What the container has used; to be asked while it still has a process.
    pub(crate) fn usage(&self) -> Usage {
        self.container.usage()
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        if let Some(own) = &self.own {
            own.remove();
        }
    }
}

/// The monitor of one run.
pub(crate) enum Watcher {
    /// With the looks at memory, where they are asked for.
    Ebpf(Box<ebpf::Running<Recorder>>, Option<Watch>),
    /// Why nobody watches.
    Off(String),
}

/// What was seen.
pub(crate) struct Watched {
    pub tier: Tier,
    pub events: Vec<Event>,
    pub summary: Summary,
    /// What was looked at in memory, in words.
    pub memory: Option<String>,
}

impl Watcher {
    /// Points the loaded programs at the container.
    ///
    /// # Errors
    /// When eBPF was asked for by name and cannot be had.
    pub(crate) fn attach(
        spec: &Spec,
        loading: Option<Loading>,
        policy: &Policy,
        groups: Option<&Groups>,
        (pid, start_ns): (u32, u64),
    ) -> Result<Self, RunError> {
        let Some(loading) = loading else {
            return Ok(Self::Off("no monitor watched this run (--monitor off)".to_owned()));
        };
        let crashed = |_| Err(Unavailable { reason: "its loader crashed".to_owned() });
        let loaded = loading.join().unwrap_or_else(crashed);
        let groups = groups.ok_or_else(|| Unavailable {
            reason: "the container's processes are not processes of this host that this user can \
                     see: run as root, beside the daemon"
                .to_owned(),
        });
        let attached = loaded.and_then(|loaded| {
            let groups = groups?;
            let target = target(groups.watched(), policy.clone(), pid, start_ns)?;
            let looks = looks(spec, groups.watched(), (pid, start_ns), &target.uid_map)?;
            let recorder = Recorder::new(None, spec.events_max, spec.observer.clone())
                .with_decoys(&spec.decoys);
            let recorder = recorder.watched_by(looks.as_ref().map(Watch::handle));
            Ok((loaded.attach(target, recorder)?, looks))
        });
        match attached {
            Ok((running, looks)) => Ok(Self::Ebpf(Box::new(running), looks)),
            Err(error) if spec.monitor == MonitorChoice::Ebpf => {
                Err(RunError::Monitor { reason: error.reason })
            }
            Err(error) => Ok(Self::Off(format!(
                "no monitor watched this run: eBPF is not available ({}), and runner docker has \
                 no other",
                error.reason
            ))),
        }
    }

    /// Why nobody watches, where that is so.
    pub(crate) fn missing(&self) -> Option<&str> {
        match self {
            Self::Ebpf(..) => None,
            Self::Off(reason) => Some(reason),
        }
    }

    /// Looks at the memory of everything that runs: it is about to be killed.
    pub(crate) fn look(&self) {
        if let Self::Ebpf(_, Some(looks)) = self {
            looks.handle().all(Trigger::Timeout);
        }
    }

    /// To be called when every process of the container is dead.
    pub(crate) fn finish(self) -> Watched {
        let (running, looks) = match self {
            Self::Ebpf(running, looks) => (running, looks),
            Self::Off(reason) => {
                let summary = Summary { faults: vec![reason], ..Summary::default() };
                return Watched { tier: Tier::None, events: Vec::new(), summary, memory: None };
            }
        };
        let tier = running.tier();
        let (recorder, mut summary) = running.finish();
        let (events, faults) = recorder.finish();
        summary.faults.extend(faults);
        let mut events = from_first_exec(events);
        let looks = looks.map(Watch::finish).unwrap_or_default();
        watch::merge(&mut events, looks.events);
        summary.faults.extend(looks.fault);
        let memory = looks.note.map(|note| {
            format!("{note}; not before processes end: the daemon hands no listener out")
        });
        Watched { tier, events, summary, memory }
    }
}

/// Looks at memory, where they are asked for.
fn looks(
    spec: &Spec,
    groups: &Cgroups,
    (pid, start_ns): (u32, u64),
    uid_map: &[(u32, u32, u32)],
) -> Result<Option<Watch>, Unavailable> {
    let init = i32::try_from(pid).unwrap_or(0);
    Watch::of_run(spec, groups.path(), init, start_ns, uid_map)
        .map_err(|error| Unavailable { reason: format!("memory cannot be watched: {error}") })
}

/// Drops the steps of the command's process on the gate's way to its program: until then there is no
/// other process that is recorded. Its number is not known beforehand, because the runtime's threads
/// have used some.
fn from_first_exec(mut events: Vec<Event>) -> Vec<Event> {
    let exec = |event: &Event| matches!(event.kind, Kind::Exec { .. });
    let begin = events.iter().position(|event| exec(event) && event.happened());
    let begin = begin.unwrap_or(events.len());
    let mut index = 0;
    events.retain(|event| {
        index += 1;
        index > begin || exec(event)
    });
    for (id, event) in (1..).zip(&mut events) {
        event.id = id;
    }
    events
}

fn target(
    groups: &Cgroups,
    policy: Policy,
    pid: u32,
    start_ns: u64,
) -> Result<ebpf::Target, Unavailable> {
    let cgroup_id = groups.id().ok_or_else(|| Unavailable {
        reason: "the container is in no cgroup v2 group (mount -t cgroup2 none \
                 /sys/fs/cgroup/unified)"
            .to_owned(),
    })?;
    Ok(ebpf::Target {
        cgroup_id,
        cgroup: groups.folder(),
        start_ns,
        freezer: groups.freezer(),
        refusal: Box::new(move |nr, args| match policy.decide(nr, args) {
            Decision::Refuse(errno) => Some(errno),
            Decision::Allow => None,
        }),
        // What a container may write is the engine's to say.
        wall: Box::new(|_, _| false),
        uid_map: uid_map(pid).unwrap_or_default(),
    })
}

/// (inside, outside, count) where the daemon gives containers a user namespace; empty where not.
fn uid_map(pid: u32) -> io::Result<Vec<(u32, u32, u32)>> {
    let text = fs::read_to_string(format!("/proc/{pid}/uid_map"))?;
    let line = |line: &str| {
        let mut numbers = line.split_ascii_whitespace().map(str::parse::<u32>);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?))
    };
    let map: Vec<_> = text.lines().filter_map(line).collect();
    Ok(if map == [(0, 0, u32::MAX)] { Vec::new() } else { map })
}

/// Whether this is the gate of the run, as this host's processes have it.
pub(crate) fn is_gate(pid: u32, gate_path: &str, run_id: &str) -> bool {
    let wanted = format!("{gate_path}\0{run_id}\0");
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == wanted.as_bytes())
}

/// 16 bytes nobody can know.
pub(crate) fn token() -> io::Result<[u8; gate::TOKEN_LEN]> {
    let mut token = [0; gate::TOKEN_LEN];
    io::Read::read_exact(&mut fs::File::open("/dev/urandom")?, &mut token)?;
    Ok(token)
}
