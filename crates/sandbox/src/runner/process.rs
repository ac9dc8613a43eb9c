//! The `process` runner: namespaces, an overlay root in memory, seccomp, Landlock, control groups.
//!
//! Works for root (own id range, id-mapped root, eBPF) and for an ordinary user (user namespace,
//! seccomp notification). Each wall that could not be built as designed is named in the recording.

pub mod areas;
mod attach;
mod behind;
mod below;
pub mod cgroup;
pub mod changes;
mod collect;
pub mod describe;
mod ids;
mod inside;
mod phases;
mod prepared;
pub mod recorder;
mod rootfs;
mod snapshot;
mod start;
pub mod supervise;
mod watchlist;
mod wire;

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use types::Recording;

use self::attach::{Attach, command_pid, finish_loading};
use self::cgroup::Cgroups;
use self::collect::End;
pub use self::inside::LINGER;
use self::phases::Phases;
pub use self::prepared::Prepared;
use self::rootfs::{INSIDE_IDS, INSIDE_UID};
use self::start::{Start, wait_built};
use self::supervise::{Capture, Loop};
use crate::memory;
use crate::memory::watch::Watch;
use crate::net;
use crate::runner::{RunError, Runner, Unsupported};
use crate::seccomp::Policy;
use crate::spec::{MonitorChoice, Net, Spec};
use crate::sys::{self, monotonic_ns};

/// Runs commands as processes of this host behind the kernel's own walls.
#[derive(Debug, Default)]
pub struct Process;

impl Process {
    #[must_use]
    pub fn new() -> Self {
        Self
    }

    /// Makes what a run needs whatever it runs, so that it starts sooner. One run of this process,
    /// once: the ids are the process' own.
    #[must_use]
    pub fn prepare(&self, net: Net, monitor: MonitorChoice) -> Prepared {
        Prepared::make(net, monitor)
    }
}

/// Which cgroup hierarchies this host has, and whether memory and pids can be bounded here.
#[must_use]
pub fn cgroup_mode() -> (&'static str, bool) {
    let plan = Cgroups::plan("probe");
    (plan.mode(), plan.bounds() && plan.permitted())
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
        Prepared::at_once(spec.net, spec.monitor).carry_out(spec, phases)
    }
}

impl Prepared {
    /// Runs the command to its end, as [`Runner::run`] does.
    ///
    /// # Errors
    /// As [`Runner::run`].
    pub fn run(mut self, spec: &Spec) -> Result<Recording, RunError> {
        let mut phases = Phases::new(spec.observer.as_ref());
        phases.begin("build");
        self.fit(spec.net, spec.monitor);
        self.carry_out(spec, phases)
    }

    fn carry_out(mut self, spec: &Spec, mut phases: Phases<'_>) -> Result<Recording, RunError> {
        let policy = Policy::standard(spec.net);
        let network = net::Plan::new(spec)?;
        let start = Start::prepare(spec, &policy, network.as_ref(), &mut self)?;
        let Start { signals, outer, keeper, mut cgroups, stdout, stderr, plan } = start;
        let mut missing = cgroups.create(&spec.limits);
        let start_ns = monotonic_ns();
        let started = Instant::now();
        let mut built = wait_built(&outer, &cgroups)?;
        let network =
            net::Responder::start(network, spec, built.tunnel.take(), built.init, start_ns)
                .map_err(setup("start the sandbox's network"))?;
        let loaded = finish_loading(spec, self.loading.take(), &mut missing)?;
        let base = plan.base.unwrap_or_else(sys::effective_uid);
        let uid_map =
            vec![if plan.base.is_some() { (0, base, INSIDE_IDS) } else { (INSIDE_UID, base, 1) }];
        let looks = Watch::of_run(spec, cgroups.inner().as_deref(), built.init, start_ns, &uid_map);
        let looks = looks.map_err(setup("watch over memory"))?;
        let watch = looks.as_ref().map(Watch::handle);
        let attach =
            Attach { spec, policy: &policy, cgroups: &cgroups, uid_map, start_ns, watch: &watch };
        let watcher = attach.attach(loaded, &outer, &built, &mut missing)?;
        if let Some(pause) = &spec.pause
            && let Err(error) = pause.attach(cgroups.brake())
        {
            missing.push(format!("the run cannot be paused: {error}"));
        }
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
            pause: spec.pause.clone(),
        }
        .run();
        if let Some(pause) = &spec.pause {
            pause.detach();
        }
        let duration_ns = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let (tier, mut events, mut summary) = watcher.finish();
        let mut looks = looks.map(Watch::finish).unwrap_or_default();
        memory::watch::merge(&mut events, std::mem::take(&mut looks.events));
        summary.faults.extend(looks.fault.take());
        let network = network.map(|network| {
            network.finish(&mut events, start_ns, command_pid(spec), spec.observer.as_ref())
        });
        let mut network = network.unwrap_or_default();
        summary.faults.append(&mut network.faults);
        let end = End { keeper, cgroups, built, plan, missing, watched, duration_ns, tier };
        phases.begin("collect");
        let mut recording = end.record(spec, events, summary, looks, network)?;
        recording.activity.phases_us = phases.end();
        Ok(recording)
    }
}
