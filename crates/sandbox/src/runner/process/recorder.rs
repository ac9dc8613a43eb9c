//! Collects what a monitor sees into the recording of one run.
//!
//! Keeps what somebody could ask about, folds what repeats, and is bounded: past the bound the
//! recording says that it is not complete.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::ffi::OsStrExt as _;

use types::{Access, Event, Kind};

use super::watchlist;
use crate::memory::watch::Handle;
use crate::monitor::Sink;
use crate::spec::{Decoy, Observer, Seen};

/// A [`Sink`] in memory.
#[derive(Debug, Default)]
pub struct Recorder {
    events: Vec<Event>,
    /// Distinct events that are kept.
    events_max: usize,
    observer: Option<Observer>,
    /// Looks at processes that make memory executable.
    watch: Option<Handle>,
    /// Hash of (task, kind, result) to the index of the event that stands for it.
    folded: HashMap<u64, usize>,
    /// The command's process: its steps before the program starts are ours, not the sample's.
    command_pid: Option<u32>,
    started: bool,
    lost: u64,
    /// Planted files: reading them is always kept.
    decoys: BTreeSet<Vec<u8>>,
}

impl Recorder {
    #[must_use]
    pub fn new(command_pid: Option<u32>, events_max: usize, observer: Option<Observer>) -> Self {
        Self { command_pid, events_max, observer, ..Self::default() }
    }

    /// Tells of memory that becomes executable as soon as it is recorded.
    #[must_use]
    pub fn watched_by(self, watch: Option<Handle>) -> Self {
        Self { watch, ..self }
    }

    /// Keeps every open of these files.
    #[must_use]
    pub fn with_decoys(self, decoys: &[Decoy]) -> Self {
        let paths = decoys.iter().map(|decoy| decoy.path.as_os_str().as_bytes().to_vec());
        Self { decoys: paths.collect(), ..self }
    }

    /// Everything in order of time, numbered from 1, and what is missing, in words.
    #[must_use]
    pub fn finish(mut self) -> (Vec<Event>, Vec<String>) {
        let events = std::mem::take(&mut self.events);
        let mut events = self.without_setup(events);
        for (id, event) in (1..).zip(&mut events) {
            event.id = id;
        }
        let mut faults = Vec::new();
        if self.lost > 0 {
            faults.push(format!(
                "the recording is full: {} events past the first {} were not kept",
                self.lost, self.events_max
            ));
        }
        (events, faults)
    }

    /// Drops what the command's own process did before its program started, and sorts.
    fn without_setup(&self, mut events: Vec<Event>) -> Vec<Event> {
        // Stable: the monitor delivers each task's events in order.
        events.sort_by_key(|event| event.time_ns);
        let Some(pid) = self.command_pid else { return events };
        let begin = events.iter().position(|event| {
            event.task.pid == pid && matches!(event.kind, Kind::Exec { .. }) && event.happened()
        });
        let begin = begin.unwrap_or(events.len());
        let mut index = 0;
        events.retain(|event| {
            let keep = index >= begin || event.task.pid != pid || exec_of(event);
            index += 1;
            keep
        });
        events
    }

    /// Plain reads are everywhere; those of telling files and of decoys are kept.
    fn worth_keeping(&self, event: &Event) -> bool {
        match &event.kind {
            Kind::Open { path, access: Access::Read, create: false, truncate: false } => {
                let path = path.as_bytes();
                event.blocked || watchlist::watched(path) || self.decoys.contains(path)
            }
            Kind::Exit { thread: true, .. } | Kind::Fork { thread: true, .. } => false,
            _ => true,
        }
    }
}

/// A failed start of the program is worth keeping.
fn exec_of(event: &Event) -> bool {
    matches!(event.kind, Kind::Exec { .. })
}

impl Sink for Recorder {
    fn event(&mut self, event: Event) {
        // Process 1 is the sandbox's own init; no sample can have this id.
        if event.task.pid <= 1 || !self.worth_keeping(&event) {
            return;
        }
        if let Some(watch) = &self.watch
            && self.started
            && event.happened()
            && matches!(event.kind, Kind::Memory { .. } | Kind::MemoryExecuted { .. })
        {
            watch.suspect(event.task.pid, event.task.start_ns);
        }
        self.started |= exec_of(&event);
        let key = fingerprint(&event);
        if let Some(&index) = self.folded.get(&key)
            && let Some(first) = self.events.get_mut(index)
            && same(first, &event)
        {
            first.count = first.count.saturating_add(event.count);
            return;
        }
        if self.events.len() >= self.events_max {
            self.lost += 1;
            return;
        }
        // Execs and exits keep their own time; everything else may fold.
        if self.started
            && !matches!(event.kind, Kind::Exec { .. } | Kind::Fork { .. } | Kind::Exit { .. })
        {
            self.folded.insert(key, self.events.len());
        }
        if self.started
            && let Some(observer) = &self.observer
        {
            observer.tell(Seen::Event(&event));
        }
        self.events.push(event);
    }
}

fn fingerprint(event: &Event) -> u64 {
    let mut hasher = DefaultHasher::new();
    (event.task.pid, event.task.start_ns, event.ret, event.blocked).hash(&mut hasher);
    format!("{:?}", event.kind).hash(&mut hasher);
    hasher.finish()
}

fn same(first: &Event, event: &Event) -> bool {
    first.task.pid == event.task.pid
        && first.task.start_ns == event.task.start_ns
        && first.ret == event.ret
        && first.blocked == event.blocked
        && first.kind == event.kind
}

#[cfg(test)]
mod tests {
    use types::{Task, Text};

    use super::*;

    fn event(time_ns: u64, pid: u32, kind: Kind) -> Event {
        let task = Task { pid, tid: pid, ppid: 1, start_ns: 5, uid: 1000, comm: Text::from("x") };
        Event {
            id: 0,
            time_ns,
            task,
            kind,
            ret: Some(0),
            blocked: false,
            advisory: false,
            truncated: false,
            count: 1,
        }
    }

    fn exec() -> Kind {
        let path = Text::from("/bin/x");
        Kind::Exec {
            path,
            argv: Vec::new(),
            cwd: Text::from("/"),
            memfd: false,
            deleted: false,
            stdio: Vec::new(),
        }
    }

    #[test]
    fn our_own_steps_before_the_program_are_not_the_samples() {
        let mut recorder = Recorder::new(Some(2), 10, None);
        let mkdir = || Kind::Mkdir { path: Text::from("/d") };
        recorder.event(event(1, 2, mkdir()));
        recorder.event(event(2, 2, exec()));
        recorder.event(event(3, 2, mkdir()));
        recorder.event(event(4, 1, mkdir()));
        let (events, faults) = recorder.finish();
        assert_eq!(events.iter().map(|e| (e.id, e.time_ns)).collect::<Vec<_>>(), [(1, 2), (2, 3)]);
        assert!(faults.is_empty());
    }

    #[test]
    fn repeats_fold_and_keep_their_number() {
        let mut recorder = Recorder::new(None, 10, None);
        recorder.event(event(1, 2, exec()));
        for time in 2..1002 {
            recorder.event(event(time, 2, Kind::Unlink { path: "/f".into(), directory: false }));
        }
        let (events, _) = recorder.finish();
        assert_eq!(events.len(), 2);
        assert_eq!(events[1].count, 1000);
    }

    #[test]
    fn past_the_bound_events_are_counted_and_said_to_be_missing() {
        let mut recorder = Recorder::new(None, 3, None);
        for time in 1..=5 {
            recorder.event(event(time, 2, exec()));
        }
        let (events, faults) = recorder.finish();
        assert_eq!(events.len(), 3);
        assert!(faults[0].contains("2 events past the first 3"), "{faults:?}");
    }

    #[test]
    fn an_observer_hears_of_each_distinct_event_once_the_program_runs() {
        let heard = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let names = heard.clone();
        let observer = Observer::new(move |seen| {
            if let Seen::Event(event) = seen {
                names.lock().unwrap().push(event.kind.name());
            }
        });
        let mut recorder = Recorder::new(Some(2), 10, Some(observer));
        let mkdir = || Kind::Mkdir { path: Text::from("/d") };
        for (time, kind) in [(1, mkdir()), (2, exec()), (3, mkdir()), (4, mkdir())] {
            recorder.event(event(time, 2, kind));
        }
        assert_eq!(*heard.lock().unwrap(), ["exec", "mkdir"]);
    }
}
