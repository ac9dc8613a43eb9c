//! The `process` runner: namespaces, an overlay root in memory, seccomp, Landlock, control groups.
//!
//! Works for root (own id range, id-mapped root, eBPF) and for an ordinary user (user namespace,
//! seccomp notification). Each wall that could not be built as designed is named in the recording.

pub mod areas;
mod attach;
mod below;
pub mod cgroup;
pub mod changes;
pub mod describe;
mod ids;
mod inside;
mod phases;
pub mod recorder;
mod rootfs;
mod snapshot;
mod start;
pub mod supervise;
mod watchlist;
mod wire;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use types::{Activity, Recording, run::Wall};

use self::attach::{Attach, COMMAND_PID, finish_loading, start_loading};
use self::cgroup::Cgroups;
use self::describe::{append, run_record, walls};
pub use self::inside::LINGER;
use self::phases::Phases;
use self::rootfs::{INSIDE_IDS, INSIDE_UID, Stood};
use self::snapshot::Snapshot;
use self::start::{Start, wait_built};
use self::supervise::{Capture, Loop};
use crate::memory;
use crate::memory::watch::Watch;
use crate::net;
use crate::runner::{RunError, Runner, Unsupported};
use crate::seccomp::Policy;
use crate::spec::Spec;
use crate::sys::{self, monotonic_ns};

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
        let network = net::Plan::new(spec)?;
        let start = Start::prepare(spec, &policy, network.as_ref())?;
        let Start { signals, outer, keeper, mut cgroups, stdout, stderr, plan } = start;
        let mut missing = cgroups.create(&spec.limits);
        let start_ns = monotonic_ns();
        let started = Instant::now();
        let mut built = wait_built(&outer, &cgroups)?;
        let network = net::Responder::start(network, spec, built.tunnel.take(), built.init, start_ns)
            .map_err(setup("start the sandbox's network"))?;
        let loaded = finish_loading(spec, loading, &mut missing)?;
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
        let looks = looks.map(Watch::finish).unwrap_or_default();
        memory::watch::merge(&mut events, looks.events);
        summary.faults.extend(looks.fault);
        let network = network.map(|network| network.finish(&mut events, start_ns, COMMAND_PID));
        let network = network.unwrap_or_default();
        summary.faults.extend(network.faults);
        phases.begin("collect");
        let watched = watched.map_err(|(step, source)| RunError::Setup { step, source })?;
        let Stood { staging, below } = &built.stood;
        let (areas, made, keep) = (&plan.areas, &plan.made, spec.keep.as_deref());
        let scanner = spec.scanner.as_ref();
        let mut listing = changes::list_over(staging.as_fd(), areas, made, below, keep, scanner)
            .map_err(setup("write the kept files"))?;
        if let Some(path) = &spec.artifacts.snapshot {
            let snapshot = Snapshot {
                staging: staging.as_fd(),
                areas,
                made,
                below,
                base: plan.base,
                bytes_max: spec.limits.disk_bytes,
            };
            let lacks = snapshot.write(path);
            listing.notes.extend(lacks.map_err(setup("write the snapshot"))?);
        }
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
        if let Some(pause) = spec.pause.as_ref().filter(|_| watched.overslept) {
            let max = pause.max().as_secs_f32();
            recording.faults.push(format!("the run was ended: it was paused for {max} s in all"));
        }
        if watched.lost {
            recording.faults.push("the sandbox's init ended without a report".to_owned());
        }
        let full = sys::is_full(staging.as_fd());
        append(&mut recording, listing.take_kinds(), &usage, spec, watched.survivors, full);
        recording.faults.append(&mut listing.faults);
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
        let noted = network.notes.into_iter();
        recording.run.isolation.walls.extend(noted.map(|detail| Wall {
            name: "network".to_owned(),
            on: true,
            detail,
        }));
        recording.activity.phases_us = phases.end();
        Ok(recording)
    }
}
