//! The `process` runner: namespaces, an overlay root in memory, seccomp, Landlock, control groups.
//!
//! Works for root (own id range, id-mapped root, eBPF) and for an ordinary user (user namespace,
//! seccomp notification). Each wall that could not be built as designed is named in the recording.

pub mod areas;
mod below;
pub mod cgroup;
pub mod changes;
pub mod describe;
mod ids;
mod inside;
pub mod recorder;
mod rootfs;
pub mod supervise;
mod watchlist;
mod wire;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use types::{Activity, Counters, Event, Recording, Tier, run::Wall};

use self::cgroup::Cgroups;
use self::describe::{append, run_record, walls};
use self::inside::Inside;
pub use self::inside::LINGER;
use self::recorder::Recorder;
use self::rootfs::{INSIDE_IDS, INSIDE_UID, Plan, Stood};
use self::supervise::{Capture, Loop, Signals};
use self::wire::{Go, Inner, Message, Outer};
use crate::memory;
use crate::memory::gate::Gate;
use crate::memory::watch::{Handle, Watch};
use crate::monitor::{self, Summary, ebpf, notify};
use crate::runner::{RunError, Runner, Unsupported};
use crate::seccomp::{Decision, Mode, Policy};
use crate::spec::{MonitorChoice, Observer, Seen, Spec, Stdin};
use crate::sys::{self, Fork, monotonic_ns};

/// Runs commands as processes of this host behind the kernel's own walls.
#[derive(Debug, Default)]
pub struct Process;

impl Process {
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

/// Which cgroup hierarchies this host has, and whether memory and pids can be bounded here.
#[must_use]
pub fn cgroup_mode() -> (&'static str, bool) {
    let plan = Cgroups::plan("probe");
    (plan.mode(), plan.bounds() && plan.permitted())
}

/// The monitor of one run.
enum Watcher {
    Ebpf(Box<ebpf::Running<Recorder>>, Option<Gate>),
    Notify(notify::Running<Recorder>),
    Off,
}

/// A started sandbox whose command waits for the word to go.
struct Built {
    init: libc::pid_t,
    command: libc::pid_t,
    stood: Stood,
    notes: String,
}

fn setup(step: impl Into<String>) -> impl FnOnce(io::Error) -> RunError {
    let step = step.into();
    move |source| RunError::Setup { step, source }
}

impl Runner for Process {
    fn name(&self) -> &'static str {
        "process"
    }

    fn capability(&self) -> Result<BTreeMap<String, String>, Unsupported> {
        match crate::probe::process_runner() {
            Ok(()) => Ok(BTreeMap::new()),
            Err(reason) => Err(Unsupported { runner: "process", reason }),
        }
    }

    fn run(&self, spec: &Spec) -> Result<Recording, RunError> {
        let mut phases = Phases::new(spec.observer.as_ref());
        phases.begin("build");
        let policy = Policy::standard(spec.net);
        let loading = start_loading(spec, &policy);
        let start = Start::prepare(spec, &policy)?;
        let Start { signals, outer, keeper, mut cgroups, stdout, stderr, plan } = start;
        let mut missing = cgroups.create(&spec.limits);
        let start_ns = monotonic_ns();
        let started = Instant::now();
        let built = wait_built(&outer, &cgroups)?;
        let loaded = finish_loading(spec, loading, &mut missing)?;
        let base = plan.base.unwrap_or_else(sys::effective_uid);
        let uid_map =
            vec![if plan.base.is_some() { (0, base, INSIDE_IDS) } else { (INSIDE_UID, base, 1) }];
        let looks = Watch::of_run(spec, cgroups.group(), built.init, start_ns, &uid_map);
        let looks = looks.map_err(setup("watch over memory"))?;
        let watch = looks.as_ref().map(Watch::handle);
        let attach =
            Attach { spec, policy: &policy, cgroups: &cgroups, uid_map, start_ns, watch: &watch };
        let watcher = attach.attach(loaded, &outer, &built, &mut missing)?;
        phases.begin("run");
        let pass = |stream| spec.pass_output.then_some(stream);
        let watched = Loop {
            outer: &outer,
            signals: &signals,
            stdout: Capture::new(stdout, pass(1), spec.limits.output_bytes),
            stderr: Capture::new(stderr, pass(2), spec.limits.output_bytes),
            init: built.init,
            command: built.command,
            deadline: Instant::now() + Duration::from_millis(spec.limits.timeout_ms),
            watch,
        }
        .run();
        let duration_ns = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let (tier, mut events, mut summary) = watcher.finish();
        let looks = looks.map(Watch::finish).unwrap_or_default();
        memory::watch::merge(&mut events, looks.events);
        summary.faults.extend(looks.fault);
        phases.begin("collect");
        let watched = watched.map_err(|(step, source)| RunError::Setup { step, source })?;
        let Stood { staging, below } = &built.stood;
        let (areas, made, keep) = (&plan.areas, &plan.made, spec.keep.as_deref());
        let listing = changes::list_over(staging.as_fd(), areas, made, below, keep)
            .map_err(setup("write the kept files"))?;
        let usage = cgroups.usage();
        let walls = walls(spec, &plan, &cgroups, &built.notes, &missing);
        drop(keeper);
        let mut recording = Recording {
            run: run_record(spec, &built.notes, tier, walls, &watched, duration_ns, &usage),
            events,
            counters: summary.counters,
            faults: summary.faults,
            output: Some(watched.output),
            anomaly: None,
            rule_sets: Vec::new(),
            matches: Vec::new(),
            activity: Activity {
                calls: summary.calls,
                durations: summary.durations,
                traffic: summary.traffic,
                phases_us: BTreeMap::new(),
            },
        };
        if watched.lost {
            recording.faults.push("the sandbox's init ended without a report".to_owned());
        }
        let full = sys::is_full(staging.as_fd());
        append(&mut recording, listing.changes, &usage, spec, watched.survivors, full);
        recording.run.isolation.walls.extend(listing.notes.into_iter().map(|detail| Wall {
            name: "files".to_owned(),
            on: true,
            detail,
        }));
        recording.run.isolation.walls.extend(looks.note.map(|detail| Wall {
            name: "memory".to_owned(),
            on: true,
            detail,
        }));
        recording.activity.phases_us = phases.end();
        Ok(recording)
    }
}

/// Tells of the parts of a run and measures them.
struct Phases<'a> {
    observer: Option<&'a Observer>,
    begun: Option<(&'static str, Instant)>,
    lengths_us: BTreeMap<String, u64>,
}

impl<'a> Phases<'a> {
    fn new(observer: Option<&'a Observer>) -> Self {
        Self { observer, begun: None, lengths_us: BTreeMap::new() }
    }

    fn begin(&mut self, name: &'static str) {
        self.measure();
        self.begun = Some((name, Instant::now()));
        if let Some(observer) = self.observer {
            observer.tell(Seen::Phase(name));
        }
    }

    fn measure(&mut self) {
        if let Some((name, began)) = self.begun.take() {
            let length_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.lengths_us.insert(name.to_owned(), length_us);
        }
    }

    fn end(mut self) -> BTreeMap<String, u64> {
        self.measure();
        self.lengths_us
    }
}

/// What is left of the plan in the supervisor after the keeper took the rest.
struct Layout {
    areas: Vec<areas::Area>,
    made: areas::Made,
    base: Option<u32>,
}

/// The keeper process: ends, and is waited for, when dropped.
struct Keeper {
    life: Option<OwnedFd>,
    pid: libc::pid_t,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.life = None;
        let _ = sys::wait(self.pid, 0);
    }
}

struct Start {
    signals: Signals,
    outer: Outer,
    keeper: Keeper,
    cgroups: Cgroups,
    stdout: OwnedFd,
    stderr: OwnedFd,
    plan: Layout,
}

impl Start {
    /// Makes everything that must exist before the fork, and forks the keeper.
    fn prepare(spec: &Spec, policy: &Policy) -> Result<Self, RunError> {
        let signals = Signals::catch().map_err(setup("catch signals"))?;
        let cgroups = Cgroups::plan(&spec.id);
        cgroups.sweep();
        let ids = if sys::effective_uid() == 0 {
            Some(ids::make(spec).map_err(setup("create the run's user namespace"))?)
        } else {
            None
        };
        let base = ids.as_ref().map(|ids| ids.base);
        let plan = Plan::new(spec, ids);
        let layout = Layout { areas: plan.areas.clone(), made: plan.made(), base };
        let (outer, inner) = sys::seqpacket_pair().map_err(setup("create a socket pair"))?;
        sys::pass_credentials(outer.as_fd()).map_err(setup("ask for credentials"))?;
        let pipe = || sys::pipe().map_err(setup("create a pipe"));
        let ((life_read, life), (stdout, stdout_write), (stderr, stderr_write)) =
            (pipe()?, pipe()?, pipe()?);
        let stdin = match spec.stdin {
            Stdin::Null => inside::null().map_err(setup("open /dev/null"))?,
            Stdin::Inherit => {
                io::stdin().as_fd().try_clone_to_owned().map_err(setup("share stdin"))?
            }
        };
        let inside = Inside {
            spec,
            plan,
            cgroups: cgroups.clone(),
            inner: Inner(inner),
            life: life_read,
            stdin,
            stdout: stdout_write,
            stderr: stderr_write,
            enforce: policy.compile(Mode::Enforce),
            hold: policy.compile(Mode::Hold),
            notify: policy.compile(Mode::Notify),
            exec: sys::ExecArgs::new(&spec.program, &spec.command, &spec.env)
                .map_err(setup("pass the command's arguments (a NUL byte inside?)"))?,
            bounded: base.is_some() && cgroups.bounds(),
        };
        match sys::fork().map_err(setup("start the keeper"))? {
            Fork::Child => {
                // The keeper must not hold what tells others that the supervisor is gone.
                drop((life, outer, stdout, stderr));
                inside.keeper()
            }
            Fork::Parent(pid) => {
                drop(inside);
                let keeper = Keeper { life: Some(life), pid };
                let outer = Outer(outer);
                Ok(Self { signals, outer, keeper, cgroups, stdout, stderr, plan: layout })
            }
        }
    }
}

/// Tier B on its way.
type Loading = JoinHandle<Result<ebpf::Loaded, monitor::Unavailable>>;

/// Starts to load tier B beside the building of the sandbox: the kernel's verifier takes longer
/// than everything else. `None` for the other tiers.
fn start_loading(spec: &Spec, policy: &Policy) -> Option<Loading> {
    let wanted = match spec.monitor {
        MonitorChoice::Auto => sys::effective_uid() == 0,
        MonitorChoice::Ebpf => true,
        MonitorChoice::Notify | MonitorChoice::Off => false,
    };
    let options = ebpf::Options { refusable: policy.refusable(), ..ebpf::Options::default() };
    wanted.then(|| std::thread::spawn(move || ebpf::load(&options)))
}

fn finish_loading(
    spec: &Spec,
    loading: Option<Loading>,
    missing: &mut Vec<String>,
) -> Result<Option<ebpf::Loaded>, RunError> {
    let Some(loading) = loading else {
        if spec.monitor == MonitorChoice::Auto {
            missing.push("tier B is not available: it needs root (CAP_BPF and CAP_PERFMON)".into());
        }
        return Ok(None);
    };
    let crashed = |_| Err(monitor::Unavailable { reason: "its loader crashed".to_owned() });
    match loading.join().unwrap_or_else(crashed) {
        Ok(loaded) => Ok(Some(loaded)),
        Err(error) if spec.monitor == MonitorChoice::Ebpf => {
            Err(RunError::Monitor { reason: error.reason })
        }
        Err(error) => {
            missing.push(format!("tier B is not available: {}", error.reason));
            Ok(None)
        }
    }
}

/// Follows the building of the sandbox, and puts its init into the control groups meanwhile.
fn wait_built(outer: &Outer, cgroups: &Cgroups) -> Result<Built, RunError> {
    let gone = || io::Error::from_raw_os_error(libc::ECHILD);
    let (mut init, mut root) = (None, None);
    loop {
        match outer.next().map_err(setup("hear from the sandbox"))? {
            Some(Message::InitPid(pid)) => {
                cgroups.add(pid).map_err(setup("move the sandbox into its control groups"))?;
                outer.go(Go::Enforce).map_err(setup("let the sandbox go on"))?;
                init = Some(pid);
            }
            Some(Message::Built { stood, notes }) => root = Some((stood, notes)),
            Some(Message::Refused(reason)) => return Err(RunError::Refused { reason }),
            Some(Message::Ready { pid }) => {
                let (Some(init), Some((stood, notes))) = (init, root) else {
                    return Err(setup("hear from the sandbox in order")(gone()));
                };
                return Ok(Built { init, command: pid, stood, notes });
            }
            Some(Message::Failed { step, errno }) => {
                return Err(setup(step)(io::Error::from_raw_os_error(errno)));
            }
            Some(Message::InitGone) | None => return Err(setup("build the sandbox")(gone())),
            Some(Message::Listener(_) | Message::Status(_) | Message::Survivors) => {}
        }
    }
}

struct Attach<'a> {
    spec: &'a Spec,
    policy: &'a Policy,
    cgroups: &'a Cgroups,
    uid_map: Vec<(u32, u32, u32)>,
    start_ns: u64,
    watch: &'a Option<Handle>,
}

impl Attach<'_> {
    /// Attaches the monitor and lets the command go.
    fn attach(
        self,
        loaded: Option<ebpf::Loaded>,
        outer: &Outer,
        built: &Built,
        missing: &mut Vec<String>,
    ) -> Result<Watcher, RunError> {
        if let Some(loaded) = loaded {
            match self.ebpf(loaded) {
                Ok(running) => {
                    let gate = self.gate(outer, built, missing)?;
                    return Ok(Watcher::Ebpf(Box::new(running), gate));
                }
                Err(error) if self.spec.monitor == MonitorChoice::Ebpf => {
                    return Err(RunError::Monitor { reason: error.reason });
                }
                Err(error) => missing.push(format!("tier B is not available: {}", error.reason)),
            }
        }
        if self.spec.monitor == MonitorChoice::Off {
            outer.go(Go::Enforce).map_err(setup("start the command"))?;
            return Ok(Watcher::Off);
        }
        self.notify(outer, built).map(Watcher::Notify)
    }

    fn ebpf(&self, loaded: ebpf::Loaded) -> Result<ebpf::Running<Recorder>, monitor::Unavailable> {
        let cgroup_id = self.cgroups.id().ok_or_else(|| monitor::Unavailable {
            reason:
                "no cgroup v2 hierarchy is mounted (mount -t cgroup2 none /sys/fs/cgroup/unified)"
                    .to_owned(),
        })?;
        let policy = self.policy.clone();
        let target = ebpf::Target {
            cgroup_id,
            cgroup: self.cgroups.folder(),
            start_ns: self.start_ns,
            freezer: self.cgroups.freezer(),
            refusal: Box::new(move |number, args| match policy.decide(number, args) {
                Decision::Refuse(errno) => Some(errno),
                Decision::Allow => None,
            }),
            uid_map: self.uid_map.clone(),
        };
        loaded.attach(target, self.recorder())
    }

    fn recorder(&self) -> Recorder {
        let observer = self.spec.observer.clone();
        Recorder::new(Some(COMMAND_PID), self.spec.events_max, observer)
            .watched_by(self.watch.clone())
    }

    /// Tier B: lets the command go, behind a gate where its memory is looked at.
    fn gate(
        &self,
        outer: &Outer,
        built: &Built,
        missing: &mut Vec<String>,
    ) -> Result<Option<Gate>, RunError> {
        let start = setup("start the command");
        let (Some(watch), able) = (self.watch.clone(), notify::listener::missing()) else {
            return outer.go(Go::Enforce).map_err(start).map(|()| None);
        };
        if let Some(reason) = able {
            missing.push(format!("processes are not looked at before they end: {reason}"));
            return outer.go(Go::Enforce).map_err(start).map(|()| None);
        }
        let listener = listener(Go::Hold, outer, built)?;
        let gate = Gate::open(listener, watch).map_err(setup("open the gate of memory"))?;
        outer.go(Go::Hold).map_err(start)?;
        Ok(Some(gate))
    }

    /// Tier C: the command installs its filter first and hands the listener over.
    fn notify(self, outer: &Outer, built: &Built) -> Result<notify::Running<Recorder>, RunError> {
        let listener = listener(Go::Notify, outer, built)?;
        let recorder = self.recorder();
        let target = notify::Target {
            listener,
            start_ns: self.start_ns,
            policy: Arc::new(self.policy.clone()),
            uid_map: self.uid_map,
            root_pid: built.command,
        };
        let watch = self.watch.clone();
        let running = notify::start_watched(target, recorder, watch).map_err(setup("start the monitor"))?;
        outer.go(Go::Notify).map_err(setup("start the command"))?;
        Ok(running)
    }
}

/// Lets the command install a filter with a listener, and takes the listener over.
fn listener(go: Go, outer: &Outer, built: &Built) -> Result<OwnedFd, RunError> {
    outer.go(go).map_err(setup("start the command"))?;
    let number = loop {
        match outer.next().map_err(setup("hear from the command"))? {
            Some(Message::Listener(number)) => break number,
            Some(Message::Failed { step, errno }) => {
                return Err(setup(step)(io::Error::from_raw_os_error(errno)));
            }
            Some(Message::InitGone) | None => {
                let gone = io::Error::from_raw_os_error(libc::ECHILD);
                return Err(setup("hear from the command")(gone));
            }
            Some(_) => {}
        }
    };
    sys::pidfd_open(built.command)
        .and_then(|pidfd| sys::pidfd_getfd(pidfd.as_fd(), number))
        .map_err(setup("take the seccomp listener over"))
}

/// Init is 1 in the pid namespace, and the command its first child.
const COMMAND_PID: u32 = 2;

impl Watcher {
    fn finish(self) -> (Tier, Vec<Event>, Summary) {
        let (tier, recorder, mut summary) = match self {
            Watcher::Ebpf(running, gate) => {
                if let Some(gate) = gate {
                    gate.close();
                }
                let (recorder, summary) = running.finish();
                (Tier::B, recorder, summary)
            }
            Watcher::Notify(running) => {
                let (recorder, summary) = running.finish();
                (Tier::C, recorder, summary)
            }
            Watcher::Off => {
                let summary = Summary {
                    counters: Counters::default(),
                    faults: vec!["no monitor watched this run (--monitor off)".to_owned()],
                    ..Summary::default()
                };
                (Tier::None, Recorder::default(), summary)
            }
        };
        let (events, faults) = recorder.finish();
        summary.faults.extend(faults);
        (tier, events, summary)
    }
}
