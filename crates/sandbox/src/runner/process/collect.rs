//! After the last process of a run: what it left is listed, kept and told.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd as _;

use types::{Activity, Event, Recording, Tier, run::Wall};

use super::cgroup::Cgroups;
use super::describe::{append, run_record, walls};
use super::rootfs::Stood;
use super::snapshot::Snapshot;
use super::start::{Built, Keeper, Layout};
use super::supervise::Watched;
use super::{behind, changes, setup};
use crate::memory::watch::Outcome;
use crate::monitor::Summary;
use crate::net::Found;
use crate::runner::RunError;
use crate::spec::Spec;
use crate::sys;

/// A run whose processes are gone.
pub(super) struct End {
    pub keeper: Keeper,
    pub cgroups: Cgroups,
    pub built: Built,
    pub plan: Layout,
    /// What could not be built as designed.
    pub missing: Vec<String>,
    pub watched: Result<Watched, (String, io::Error)>,
    pub duration_ns: u64,
    pub tier: Tier,
}

impl End {
    /// Puts the recording together.
    pub(super) fn record(
        self,
        spec: &Spec,
        events: Vec<Event>,
        summary: Summary,
        looks: Outcome,
        network: Found,
    ) -> Result<Recording, RunError> {
        let watched = self.watched.map_err(|(step, source)| RunError::Setup { step, source })?;
        let (built, plan, cgroups) = (&self.built, &self.plan, &self.cgroups);
        let Stood { staging, below } = &built.stood;
        let (areas, made, keep) = (&plan.areas, &plan.made, spec.keep.as_deref());
        let scanner = spec.scanner.as_ref();
        let mut listing = changes::list_over(staging.as_fd(), areas, made, below, keep, scanner)
            .map_err(setup("list what changed"))?;
        // What happened is told whatever becomes of copies of it.
        let unwritten = match snapshot(spec, plan, built) {
            Ok(notes) => {
                listing.notes.extend(notes);
                None
            }
            Err(error) => Some(format!("the snapshot was not written: {error}")),
        };
        let usage = cgroups.usage();
        let walls = walls(spec, plan, cgroups, &built.notes, &self.missing);
        drop(self.keeper);
        let mut recording = Recording {
            run: run_record(
                spec,
                &built.notes,
                self.tier,
                walls,
                &watched,
                self.duration_ns,
                &usage,
                &made.decoys,
            ),
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
        let full =
            sys::is_full(staging.as_fd()) || behind::was_full(spec, &recording, summary.no_room);
        append(&mut recording, listing.take_kinds(), &usage, spec, watched.survivors, full);
        let unseen = std::mem::take(&mut listing.unseen);
        recording.faults.append(&mut listing.faults);
        let walls = &mut recording.run.isolation.walls;
        for (name, on, notes) in [
            ("files", true, listing.notes),
            ("files", false, unseen),
            ("snapshot", false, unwritten.into_iter().collect()),
            ("keep", false, listing.unkept.into_iter().collect()),
            ("memory", looks.whole, looks.note.into_iter().collect()),
            ("network", true, network.notes),
            ("monitor", true, summary.attachments.into_iter().collect()),
        ] {
            let wall = |detail| Wall { name: name.to_owned(), on, detail };
            walls.extend(notes.into_iter().map(wall));
        }
        Ok(recording)
    }
}

/// Writes the snapshot that was asked for; what it lacks, in words.
fn snapshot(spec: &Spec, plan: &Layout, built: &Built) -> io::Result<Vec<String>> {
    let Some(path) = &spec.artifacts.snapshot else { return Ok(Vec::new()) };
    let snapshot = Snapshot {
        staging: built.stood.staging.as_fd(),
        areas: &plan.areas,
        made: &plan.made,
        base: plan.base,
        bytes_max: spec.limits.disk_bytes,
    };
    snapshot.write(path, &spec.id)
}
