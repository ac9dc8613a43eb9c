//! The monitor of a run: which one, how it is put in place, and what it says in the end.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;

use types::{Counters, Event, Tier};

use super::cgroup::Cgroups;
use super::recorder::Recorder;
use super::start::Built;
use super::wire::{Go, Message, Outer};
use super::{behind, setup};
use crate::memory::gate::Gate;
use crate::memory::watch::Handle;
use crate::monitor::{self, Summary, ebpf, notify};
use crate::runner::RunError;
use crate::seccomp::{Decision, Policy};
use crate::spec::{MonitorChoice, Net, Root, Spec};
use crate::sys;

/// The monitor of one run.
pub(super) enum Watcher {
    Ebpf(Box<ebpf::Running<Recorder>>, Option<Gate>),
    Notify(notify::Running<Recorder>),
    Off,
}

/// What no command may do whatever its network, refused once more behind the filter for system calls.
const GUARD: ebpf::Guard = ebpf::Guard::BPF.and(ebpf::Guard::MODULE);

/// Tier B on its way, and tier A where the kernel lets us.
pub(super) type Loading = JoinHandle<Result<ebpf::Loaded, monitor::Unavailable>>;

/// Starts to load tier B beside the building of the sandbox: the kernel's verifier takes longer
/// than everything else. `None` for the other tiers.
pub(super) fn start_loading(monitor: MonitorChoice, policy: &Policy) -> Option<Loading> {
    let wanted = match monitor {
        MonitorChoice::Auto => sys::effective_uid() == 0,
        MonitorChoice::Ebpf => true,
        MonitorChoice::Notify | MonitorChoice::Off => false,
    };
    let guard = GUARD.and(ebpf::Guard::CONNECT);
    let options =
        ebpf::Options { refusable: policy.refusable(), guard, ..ebpf::Options::default() };
    wanted.then(|| std::thread::spawn(move || ebpf::load(&options)))
}

pub(super) fn finish_loading(
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

pub(super) struct Attach<'a> {
    pub spec: &'a Spec,
    pub policy: &'a Policy,
    pub cgroups: &'a Cgroups,
    pub uid_map: Vec<(u32, u32, u32)>,
    pub start_ns: u64,
    pub watch: &'a Option<Handle>,
}

impl Attach<'_> {
    /// Attaches the monitor and lets the command go.
    pub(super) fn attach(
        self,
        loaded: Option<ebpf::Loaded>,
        outer: &Outer,
        built: &Built,
        missing: &mut Vec<String>,
    ) -> Result<Watcher, RunError> {
        if let Some(loaded) = loaded {
            match self.ebpf(loaded, built) {
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

    fn ebpf(
        &self,
        loaded: ebpf::Loaded,
        built: &Built,
    ) -> Result<ebpf::Running<Recorder>, monitor::Unavailable> {
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
            wall: behind::wall(self.spec, &built.notes),
            uid_map: self.uid_map.clone(),
        };
        let guard = match self.spec.net {
            Net::None => GUARD.and(ebpf::Guard::CONNECT),
            _ => GUARD,
        };
        loaded.refusing(guard).attach(target, self.recorder())
    }

    fn recorder(&self) -> Recorder {
        let observer = self.spec.observer.clone();
        Recorder::new(Some(command_pid(self.spec)), self.spec.events_max, observer)
            .watched_by(self.watch.clone())
            .with_decoys(&self.spec.decoys)
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
        let running =
            notify::start_watched(target, recorder, watch).map_err(setup("start the monitor"))?;
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

/// Init is 1 in the pid namespace. The command is its first child, but for one that unpacks the root
/// and one that unpacks the layers.
pub(super) fn command_pid(spec: &Spec) -> u32 {
    let root = matches!(spec.root, Root::Tar(_) | Root::Oci(..));
    2 + u32::from(root) + u32::from(!spec.layers.is_empty())
}

impl Watcher {
    pub(super) fn finish(self) -> (Tier, Vec<Event>, Summary) {
        let (tier, recorder, mut summary) = match self {
            Watcher::Ebpf(running, gate) => {
                if let Some(gate) = gate {
                    gate.close();
                }
                let tier = running.tier();
                let (recorder, summary) = running.finish();
                (tier, recorder, summary)
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
