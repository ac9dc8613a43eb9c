//! Puts together the recording of a run.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::time::Instant;

use sandbox::runner::process::changes::Listing;
use sandbox::runner::process::describe;
use sandbox::{Decoy, Observer, Seen, Spec};
use sha2::{Digest as _, Sha256};
use types::run::{Output, Wall};
use types::text::hex;
use types::{Activity, Ending, FileChange, Isolation, Kind, Recording, Run, Text};

use crate::NAME;
use crate::follow::Followed;
use crate::places::Opened;
use crate::watch::{Watched, Watcher};

/// What a recording is made of.
pub(crate) struct Parts {
    pub walls: Vec<Wall>,
    pub engine: BTreeMap<String, String>,
    pub followed: Followed,
    pub watcher: Watcher,
    /// What the command left, and where it used all the room; none where it could not be reached.
    pub listing: Option<Listing>,
    pub full: Option<String>,
    pub phases_us: BTreeMap<String, u64>,
}

impl Parts {
    pub(crate) fn recording(self, spec: &Spec) -> Recording {
        let Self { walls, engine, followed, watcher, listing, full, phases_us } = self;
        let Watched { tier, events, summary, memory } = watcher.finish();
        let ending = ending(&followed);
        let output = output(&followed);
        let usage = followed.usage;
        let mut recording = Recording {
            run: Run {
                id: spec.id.clone(),
                started_at: spec.started_at.clone(),
                command: spec.command.iter().map(|arg| Text::new(arg.as_bytes())).collect(),
                program: Text::new(spec.program.as_os_str().as_bytes()),
                cwd: Text::new(spec.cwd.as_os_str().as_bytes()),
                runner: NAME.to_owned(),
                tier,
                isolation: Isolation { walls },
                limits: spec.limits.clone(),
                ending,
                duration_ns: u64::try_from(followed.duration.as_nanos()).unwrap_or(u64::MAX),
                cpu_us: usage.cpu_us.unwrap_or(0),
                memory_peak_bytes: usage.memory_peak_bytes,
                engine,
                decoys: spec
                    .decoys
                    .iter()
                    .map(|d| Text::new(d.path.as_os_str().as_bytes()))
                    .collect(),
                script: None,
            },
            events,
            counters: summary.counters,
            faults: summary.faults,
            output: Some(output),
            anomaly: None,
            rule_sets: Vec::new(),
            matches: Vec::new(),
            activity: Activity {
                calls: summary.calls,
                durations: summary.durations,
                traffic: summary.traffic,
                phases_us,
            },
        };
        if followed.report.is_none() && !followed.killed && usage.oom_kills == 0 {
            recording
                .faults
                .push("the container's first process ended without a report".to_owned());
        }
        let mut listing = listing.unwrap_or_else(|| {
            let missing = "the files the command left were not looked at: the container's folders \
                           cannot be reached from here";
            recording.faults.push(missing.to_owned());
            Listing::default()
        });
        listing.edit(|change| without_decoy(change, &spec.decoys));
        if let Some(pause) = spec.pause.as_ref().filter(|_| followed.overslept) {
            let max = pause.max().as_secs_f32();
            recording.faults.push(format!("the run was ended: it was paused for {max} s in all"));
        }
        let survivors = followed.report.is_some_and(|report| report.survivors);
        let mut kinds = listing.take_kinds();
        // Each folder has a bound of its own, so this is not the whole of `--disk`.
        kinds.extend(full.map(|detail| Kind::LimitReached { limit: "disk".to_owned(), detail }));
        describe::append(&mut recording, kinds, &usage, spec, survivors, false);
        recording.faults.append(&mut listing.faults);
        recording.run.isolation.walls.extend(said(listing, memory));
        recording
    }
}

/// What is to be said of the files that were left, and of memory.
fn said(listing: Listing, memory: Option<String>) -> impl Iterator<Item = Wall> {
    let wall = |name: &'static str, on| move |detail| Wall { name: name.to_owned(), on, detail };
    let files = listing.notes.into_iter().map(wall("files", true));
    let unseen = listing.unseen.into_iter().map(wall("files", false));
    let unkept = listing.unkept.into_iter().map(wall("keep", false));
    files.chain(unseen).chain(unkept).chain(memory.into_iter().map(wall("memory", true)))
}

/// The list, and where all room was used, in words.
///
/// # Errors
/// When a file that is there could not be read on.
pub(crate) fn collect(
    places: Option<&Opened>,
    spec: &Spec,
) -> Result<(Option<Listing>, Option<String>), std::io::Error> {
    let Some(places) = places else { return Ok((None, None)) };
    Ok((Some(places.list(spec.keep.as_deref(), spec.scanner.as_ref())?), places.full()))
}

fn ending(followed: &Followed) -> Ending {
    match (followed.interrupted, followed.timed_out, followed.report) {
        (Some(signal), ..) => Ending::Interrupted { signal },
        (None, true, _) => Ending::TimedOut,
        (None, false, Some(report)) if libc::WIFEXITED(report.status) => {
            Ending::Exited { code: libc::WEXITSTATUS(report.status) }
        }
        (None, false, Some(report)) => Ending::Signaled { signal: libc::WTERMSIG(report.status) },
        (None, false, None) => Ending::Signaled { signal: libc::SIGKILL },
    }
}

fn output(followed: &Followed) -> Output {
    let (out, err) = (&followed.stdout, &followed.stderr);
    let failure = out.failure("standard output");
    Output {
        not_passed_on: failure.or_else(|| err.failure("standard error")),
        truncated: out.truncated() || err.truncated(),
        stdout_bytes: out.total,
        stderr_bytes: err.total,
        stdout: Text::new(out.kept.clone()),
        stderr: Text::new(err.kept.clone()),
    }
}

/// A decoy that is as it was planted is nobody's deed; another one was modified, not created.
fn without_decoy(mut change: FileChange, decoys: &[Decoy]) -> Option<FileChange> {
    let path = change.path.as_bytes();
    let planted = |decoy: &&Decoy| decoy.path.as_os_str().as_bytes() == path;
    let Some(decoy) = decoys.iter().find(planted) else { return Some(change) };
    let same = change.sha256.as_ref() == Some(&hex(&Sha256::digest(&decoy.content)));
    if same && change.mode == decoy.mode & 0o777 {
        return None;
    }
    let word = if same { "metadata" } else { "modified" };
    word.clone_into(&mut change.change);
    Some(change)
}

/// Tells of the parts of a run and measures them.
pub(crate) struct Phases<'a> {
    observer: Option<&'a Observer>,
    begun: Option<(&'static str, Instant)>,
    lengths_us: BTreeMap<String, u64>,
}

impl<'a> Phases<'a> {
    pub(crate) fn new(observer: Option<&'a Observer>) -> Self {
        Self { observer, begun: None, lengths_us: BTreeMap::new() }
    }

    pub(crate) fn begin(&mut self, name: &'static str) {
        self.measure();
        self.begun = Some((name, Instant::now()));
        if let Some(observer) = self.observer {
            observer.tell(Seen::Phase(name));
        }
    }

    pub(crate) fn end(mut self) -> BTreeMap<String, u64> {
        self.measure();
        self.lengths_us
    }

    fn measure(&mut self) {
        if let Some((name, began)) = self.begun.take() {
            let length_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.lengths_us.insert(name.to_owned(), length_us);
        }
    }
}
