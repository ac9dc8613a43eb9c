//! The recording, prepared once for every detector: who is whose child, which program each event
//! belongs to, how far that program is to be trusted, and which files the run itself wrote.
//!
//! It states facts and knows no detector. Everything is indexed by the event's position in the
//! recording, and every collection has one order, so that detectors are deterministic.

pub(crate) mod image;
pub(crate) mod spoken;
pub(crate) mod stated;

use std::borrow::Cow;
use std::collections::BTreeMap;

use types::{Access, Endpoint, Event, Kind, Recording, Task};

use crate::paths;
pub(crate) use image::{Image, Trust};

/// How far apart two processes may have been forked and still count as one pipeline.
const PIPELINE_PARTS_MAX: usize = 12;

/// A process of the run.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// The event that made it, or else the first it appears in.
    pub(crate) first: usize,
    pub(crate) parent: Option<usize>,
    pub(crate) children: Vec<usize>,
    /// The image it had when it was forked; index into `images`.
    pub(crate) inherited: usize,
    /// What it executed itself, in order; attempts that failed are not here.
    pub(crate) executed: Vec<usize>,
    /// The event that ended it.
    pub(crate) exit: Option<usize>,
}

/// How a file was changed or made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// Opened for writing; `fresh` when the open creates or empties it.
    Open {
        fresh: bool,
    },
    Write,
    /// A file was renamed or linked to this name.
    Placed,
    Truncate,
    /// Seen only in the list of changed files after the run.
    Changed,
    /// Named by a command that a shell was told to run and that no process was; nothing happened.
    Stated,
}

/// One change of one file, tried or done.
#[derive(Debug)]
pub(crate) struct Touch<'r> {
    pub(crate) event: usize,
    pub(crate) path: Cow<'r, str>,
    pub(crate) how: How,
}

/// One open for reading, tried or done.
#[derive(Debug)]
pub(crate) struct Read<'r> {
    pub(crate) event: usize,
    pub(crate) path: Cow<'r, str>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Timeline<'r> {
    pub(crate) recording: &'r Recording,
    pub(crate) events: &'r [Event],
    pub(crate) processes: Vec<Process>,
    /// Every program that was executed or tried; the first stands for "unknown".
    pub(crate) images: Vec<Image<'r>>,
    pub(crate) touches: Vec<Touch<'r>>,
    pub(crate) reads: Vec<Read<'r>>,
    /// The touches of each path, as indexes into `touches`.
    by_path: BTreeMap<String, Vec<usize>>,
    /// Sockets put in the place of a standard stream.
    pub(crate) streams: Vec<usize>,
    /// connect, accept and listen.
    pub(crate) connections: Vec<usize>,
    /// By event: the process, and the image it ran when the event happened.
    process_of: Vec<Option<usize>>,
    image_of: Vec<usize>,
    /// First event that successfully wrote or placed a path.
    written: BTreeMap<String, usize>,
}

impl<'r> Timeline<'r> {
    /// What was done and tried, and what shells were told and nobody did ([`stated`]).
    pub(crate) fn new(recording: &'r Recording) -> Self {
        let mut timeline = Self::seen(recording);
        stated::add(&mut timeline);
        timeline
    }

    /// What was done and tried.
    pub(crate) fn seen(recording: &'r Recording) -> Self {
        let mut timeline = Self {
            recording,
            events: &recording.events,
            processes: Vec::new(),
            images: vec![Image::unknown()],
            touches: Vec::new(),
            reads: Vec::new(),
            by_path: BTreeMap::new(),
            streams: Vec::new(),
            connections: Vec::new(),
            process_of: Vec::with_capacity(recording.events.len()),
            image_of: Vec::with_capacity(recording.events.len()),
            written: BTreeMap::new(),
        };
        let mut builder = Builder::default();
        for (index, event) in recording.events.iter().enumerate() {
            timeline.take(&mut builder, index, event);
        }
        timeline
    }

    /// The program that did this event; for an exec, the one that was replaced.
    pub(crate) fn image(&self, event: usize) -> &Image<'r> {
        &self.images[self.image_of[event]]
    }

    /// The process of an event; `None` for what the sandbox itself states.
    pub(crate) fn process(&self, event: usize) -> Option<usize> {
        self.process_of[event]
    }

    /// The successful executions, in order.
    pub(crate) fn executed(&self) -> impl Iterator<Item = &Image<'r>> {
        self.images.iter().skip(1).filter(|image| image.happened)
    }

    /// Every execution, also the ones that failed, and those that a shell was told of and that
    /// never came to be ([`stated`]).
    pub(crate) fn attempted(&self) -> impl Iterator<Item = &Image<'r>> {
        self.images.iter().skip(1)
    }

    /// The event that first wrote or placed `path`, when that was before `event`.
    pub(crate) fn written_before(&self, path: &str, event: usize) -> Option<usize> {
        self.written.get(path).copied().filter(|&first| first < event)
    }

    /// Every change of this path, in order.
    pub(crate) fn touches_of(&self, path: &str) -> impl Iterator<Item = &Touch<'r>> {
        let indexes = self.by_path.get(path).map_or(&[][..], Vec::as_slice);
        indexes.iter().map(|&index| &self.touches[index])
    }

    /// This process and its ancestors, nearest first.
    pub(crate) fn lineage(&self, process: usize) -> impl Iterator<Item = usize> + '_ {
        // A parent is always listed before its child, so this ends.
        std::iter::successors(Some(process), |&p| self.processes[p].parent.filter(|&up| up < p))
    }

    /// Whether one of the two is the other or descends from it.
    pub(crate) fn related(&self, one: usize, other: usize) -> bool {
        self.lineage(one).any(|p| p == other) || self.lineage(other).any(|p| p == one)
    }

    pub(crate) fn descends(&self, process: usize, ancestor: usize) -> bool {
        self.lineage(process).any(|p| p == ancestor)
    }

    /// Every image that a process had, inherited or executed.
    pub(crate) fn images_of(&self, process: usize) -> impl Iterator<Item = &Image<'r>> {
        let process = &self.processes[process];
        std::iter::once(process.inherited)
            .chain(process.executed.iter().copied())
            .map(|index| &self.images[index])
    }

    /// The images of this process and its ancestors.
    pub(crate) fn ancestry(&self, process: usize) -> impl Iterator<Item = &Image<'r>> {
        self.lineage(process).flat_map(|p| self.images_of(p))
    }

    /// Processes that the same parent forked shortly before or after: the other parts of a
    /// pipeline.
    pub(crate) fn siblings(&self, process: usize) -> impl Iterator<Item = usize> + '_ {
        let children: &[usize] = match self.processes[process].parent {
            Some(parent) => &self.processes[parent].children,
            None => &[],
        };
        let own = children.binary_search(&process).unwrap_or(0);
        let near =
            own.saturating_sub(PIPELINE_PARTS_MAX)..children.len().min(own + PIPELINE_PARTS_MAX);
        children.get(near).unwrap_or(&[]).iter().copied().filter(move |&p| p != process)
    }

    /// The process that ran this image.
    pub(crate) fn runner(&self, image: &Image<'_>) -> Option<usize> {
        self.process(image.event)
    }
}

/// What is only needed while events are taken in.
#[derive(Debug, Default)]
struct Builder {
    /// By pid and start time.
    known: BTreeMap<(u32, u64), usize>,
    /// The youngest process of each pid.
    by_pid: BTreeMap<u32, usize>,
    /// Forks whose child was not seen yet: parent, its image and the event, by pid of the child.
    forks: BTreeMap<u32, (usize, usize, usize)>,
    /// By process, the image it runs now.
    current: Vec<usize>,
}

impl<'r> Timeline<'r> {
    fn take(&mut self, builder: &mut Builder, index: usize, event: &'r Event) {
        let found = matches!(event.kind, Kind::PatternMatch { .. }) && event.task.pid == 0;
        if found || matches!(event.kind, Kind::FileChanged(_) | Kind::LimitReached { .. }) {
            // Stated by the sandbox, not done by the task that it names.
            self.process_of.push(None);
            self.image_of.push(0);
            self.note_files(index, event);
            return;
        }
        let process = self.process_for(builder, index, &event.task);
        let image = builder.current[process];
        self.process_of.push(Some(process));
        self.image_of.push(image);
        match &event.kind {
            Kind::Fork { child_pid, thread: false, .. } if *child_pid != 0 => {
                builder.forks.insert(*child_pid, (process, image, index));
            }
            Kind::Exec { .. } => {
                let written = |path: &str| self.written_before(path, index).is_some();
                self.images.push(Image::new(index, event, image, written));
                if event.happened() {
                    builder.current[process] = self.images.len() - 1;
                    self.processes[process].executed.push(self.images.len() - 1);
                }
            }
            Kind::Exit { thread: false, .. } => self.processes[process].exit = Some(index),
            Kind::StdioSocket { peer: Some(Endpoint::Inet { .. }) | None, .. } => {
                self.streams.push(index);
            }
            Kind::Connect { .. } | Kind::Accept { .. } | Kind::Listen { .. } => {
                self.connections.push(index);
            }
            _ => self.note_files(index, event),
        }
    }

    fn process_for(&mut self, builder: &mut Builder, index: usize, task: &Task) -> usize {
        let key = (task.pid, task.start_ns);
        if let Some(&known) = builder.known.get(&key) {
            return known;
        }
        let (parent, inherited, first) = match builder.forks.remove(&task.pid) {
            Some((parent, image, fork)) => (Some(parent), image, fork),
            None => match builder.by_pid.get(&task.ppid) {
                Some(&parent) if task.ppid != task.pid => {
                    (Some(parent), builder.current[parent], index)
                }
                _ => (None, 0, index),
            },
        };
        self.processes.push(Process {
            pid: task.pid,
            first,
            parent,
            children: Vec::new(),
            inherited,
            executed: Vec::new(),
            exit: None,
        });
        let process = self.processes.len() - 1;
        if let Some(parent) = parent {
            self.processes[parent].children.push(process);
        }
        builder.current.push(inherited);
        builder.known.insert(key, process);
        builder.by_pid.insert(task.pid, process);
        process
    }

    fn note_files(&mut self, index: usize, event: &'r Event) {
        let happened = event.happened();
        let mut touch = |path: &'r types::Text, how: How| {
            let path = paths::clean(path);
            if how == How::Changed && self.written.contains_key(path.as_ref()) {
                return;
            }
            if happened && !self.written.contains_key(path.as_ref()) {
                self.written.insert(path.clone().into_owned(), index);
            }
            self.by_path.entry(path.clone().into_owned()).or_default().push(self.touches.len());
            self.touches.push(Touch { event: index, path, how });
        };
        match &event.kind {
            Kind::Open { path, access, create, truncate } => {
                if *access != Access::Read || *create || *truncate {
                    touch(path, How::Open { fresh: *create || *truncate });
                }
                if *access != Access::Write {
                    self.reads.push(Read { event: index, path: paths::clean(path) });
                }
            }
            Kind::Write { path, .. } => touch(path, How::Write),
            Kind::Rename { to, .. } | Kind::Link { to, .. } => touch(to, How::Placed),
            Kind::Truncate { path, .. } => touch(path, How::Truncate),
            Kind::FileChanged(change)
                if change.change == "created" || change.change == "modified" =>
            {
                touch(&change.path, How::Changed);
            }
            _ => {}
        }
    }
}
