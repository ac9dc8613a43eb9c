//! The books of one run: every call a module makes to its host, as events of the common schema.
//!
//! Each call is counted once as seen, and is then kept, folded into an earlier event that says the
//! same, or lost because the recording is full; nothing else can become of it. What may be called,
//! and what a call does, is not known here.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Instant;

use sandbox::{Observer, Seen};
use types::evidence::TypeCounters;
use types::text::hex;
use types::{Counters, Endpoint, Event, Kind, Task, Text};

/// Longest path or name that is kept of one event, in bytes; the rest is cut and counted.
const TEXT_BYTES_MAX: usize = 4_096;
/// Bytes of paths and names kept in one recording, at most.
const TEXTS_BYTES_MAX: usize = 64 << 20;
/// Bytes kept of what was written to a file.
const HEAD_BYTES: usize = 64;

/// How a call ended, in Linux's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    /// The host's own refusal (a file is not there …).
    Failed(i32),
    /// The sandbox's policy refused it.
    Blocked(i32),
    /// The call ended the module.
    Ended,
}

impl Outcome {
    fn ret(self) -> Option<i64> {
        match self {
            Outcome::Done => Some(0),
            Outcome::Failed(errno) | Outcome::Blocked(errno) => Some(-i64::from(errno)),
            Outcome::Ended => None,
        }
    }
}

/// An open file that is written to; the same for as long as it is open.
pub(crate) type FileKey = u64;

/// The recorder.
#[derive(Debug)]
pub(crate) struct Trace {
    began: Instant,
    task: Task,
    events: Vec<Event>,
    events_max: usize,
    observer: Option<Observer>,
    /// Hash of what an event says to the index of the one that stands for it.
    folded: HashMap<u64, usize>,
    /// Index of the event that stands for all writes to an open file.
    written: HashMap<FileKey, usize>,
    texts_bytes: usize,
    counters: Counters,
}

impl Trace {
    pub(crate) fn new(
        began: Instant,
        comm: Text,
        uid: u32,
        events_max: usize,
        observer: Option<Observer>,
    ) -> Self {
        Self {
            began,
            task: Task { pid: 1, tid: 1, ppid: 0, start_ns: 0, uid, comm },
            events: Vec::new(),
            events_max,
            observer,
            folded: HashMap::new(),
            written: HashMap::new(),
            texts_bytes: 0,
            counters: Counters::default(),
        }
    }

    /// A call whose meaning has a type of its own.
    pub(crate) fn met(&mut self, mut kind: Kind, outcome: Outcome) {
        let truncated = cut(&mut kind);
        let event = self.event(kind, outcome, truncated);
        self.keep(event);
    }

    /// Any other call.
    pub(crate) fn call(
        &mut self,
        interface: &str,
        function: &str,
        target: Option<&str>,
        outcome: Outcome,
    ) {
        let kind = Kind::HostCall {
            interface: interface.to_owned(),
            function: function.to_owned(),
            target: target.map(Text::from),
        };
        self.met(kind, outcome);
    }

    /// A write to an open file. The first is an event, the others are added to it; one that fails is
    /// an event of its own.
    pub(crate) fn wrote(
        &mut self,
        file: FileKey,
        path: &str,
        head: &[u8],
        bytes: u64,
        outcome: Outcome,
    ) {
        if outcome == Outcome::Done
            && let Some(&index) = self.written.get(&file)
            && let Some(Event { kind: Kind::Write { writes, bytes: total, .. }, .. }) =
                self.events.get_mut(index)
        {
            *writes = writes.saturating_add(1);
            *total = total.saturating_add(bytes);
            self.count("write", |counters| counters.aggregated += 1);
            return;
        }
        let head = hex(head.get(..HEAD_BYTES).unwrap_or(head));
        let mut kind = Kind::Write { path: Text::from(path), writes: 1, bytes, head };
        let truncated = cut(&mut kind);
        let event = self.event(kind, outcome, truncated);
        let kept = self.keep(event);
        if outcome == Outcome::Done
            && let Some(index) = kept
        {
            self.written.insert(file, index);
        }
    }

    /// Bytes sent to a peer. As with writes, all of a connection are one event.
    pub(crate) fn sent(&mut self, stream: FileKey, peer: Endpoint, bytes: u64, outcome: Outcome) {
        if outcome == Outcome::Done
            && let Some(&index) = self.written.get(&stream)
            && let Some(Event { kind: Kind::Send { bytes: total, .. }, .. }) =
                self.events.get_mut(index)
        {
            *total = total.saturating_add(bytes);
            self.count("send", |counters| counters.aggregated += 1);
            return;
        }
        let event = self.event(Kind::Send { peer: Some(peer), bytes }, outcome, false);
        let kept = self.keep(event);
        if outcome == Outcome::Done
            && let Some(index) = kept
        {
            self.written.insert(stream, index);
        }
    }

    fn event(&self, kind: Kind, outcome: Outcome, truncated: bool) -> Event {
        Event {
            id: 0,
            time_ns: u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX),
            task: self.task.clone(),
            ret: if matches!(kind, Kind::Exit { .. }) { None } else { outcome.ret() },
            kind,
            blocked: matches!(outcome, Outcome::Blocked(_)),
            advisory: false,
            truncated,
            count: 1,
        }
    }

    /// Keeps, folds or loses an event; its index where it is kept.
    fn keep(&mut self, event: Event) -> Option<usize> {
        let name = event.kind.name();
        if event.truncated {
            self.count_truncated(name);
        }
        let writes = matches!(event.kind, Kind::Write { .. } | Kind::Send { .. });
        let key = fingerprint(&event);
        if !writes
            && let Some(&index) = self.folded.get(&key)
            && let Some(first) = self.events.get_mut(index)
            && (first.ret, first.blocked, &first.kind) == (event.ret, event.blocked, &event.kind)
        {
            first.count = first.count.saturating_add(1);
            self.count(name, |counters| counters.aggregated += 1);
            return None;
        }
        let size = texts(&event.kind);
        if self.events.len() >= self.events_max || self.texts_bytes + size > TEXTS_BYTES_MAX {
            self.count(name, |counters| counters.dropped += 1);
            return None;
        }
        self.texts_bytes += size;
        self.count(name, |counters| {
            counters.sent += 1;
            counters.received += 1;
        });
        if let Some(observer) = &self.observer {
            observer.tell(Seen::Event(&event));
        }
        let index = self.events.len();
        if !writes {
            self.folded.insert(key, index);
        }
        self.events.push(event);
        Some(index)
    }

    fn count(&mut self, name: &'static str, what: impl Fn(&mut TypeCounters)) {
        let mut one = TypeCounters { seen: 1, ..TypeCounters::default() };
        what(&mut one);
        let all = &mut self.counters;
        all.seen += one.seen;
        all.sent += one.sent;
        all.received += one.received;
        all.dropped += one.dropped;
        all.aggregated += one.aggregated;
        let by_type = all.by_type.entry(name.to_owned()).or_default();
        by_type.seen += one.seen;
        by_type.sent += one.sent;
        by_type.received += one.received;
        by_type.dropped += one.dropped;
        by_type.aggregated += one.aggregated;
    }

    fn count_truncated(&mut self, name: &'static str) {
        self.counters.truncated += 1;
        self.counters.by_type.entry(name.to_owned()).or_default().truncated += 1;
    }

    /// Everything in order, numbered from 1.
    pub(crate) fn finish(mut self) -> (Vec<Event>, Counters) {
        for (id, event) in (1..).zip(&mut self.events) {
            event.id = id;
        }
        (self.events, self.counters)
    }
}

fn fingerprint(event: &Event) -> u64 {
    let mut hasher = DefaultHasher::new();
    (event.ret, event.blocked).hash(&mut hasher);
    format!("{:?}", event.kind).hash(&mut hasher);
    hasher.finish()
}

/// The texts of the kinds that calls become.
fn texts_of(kind: &mut Kind) -> [Option<&mut Text>; 2] {
    match kind {
        Kind::Open { path, .. }
        | Kind::Write { path, .. }
        | Kind::Unlink { path, .. }
        | Kind::Mkdir { path }
        | Kind::Truncate { path, .. }
        | Kind::SetTimes { path, .. } => [Some(path), None],
        Kind::Rename { from, to } | Kind::Link { from, to, .. } => [Some(from), Some(to)],
        Kind::Dns { question, .. } => [Some(question), None],
        Kind::HostCall { target, .. } => [target.as_mut(), None],
        _ => [None, None],
    }
}

fn texts(kind: &Kind) -> usize {
    texts_of(&mut kind.clone()).into_iter().flatten().map(|text| text.as_bytes().len()).sum()
}

/// Cuts texts that are too long; whether one was.
fn cut(kind: &mut Kind) -> bool {
    let mut any = false;
    for text in texts_of(kind).into_iter().flatten() {
        if let Some(head) = text.as_bytes().get(..TEXT_BYTES_MAX)
            && text.as_bytes().len() > TEXT_BYTES_MAX
        {
            *text = Text::new(head.to_vec());
            any = true;
        }
    }
    any
}

#[cfg(test)]
mod tests {
    use super::{Outcome, TEXT_BYTES_MAX, Trace};
    use std::time::Instant;
    use types::{Kind, Text};

    fn trace(events_max: usize) -> Trace {
        Trace::new(Instant::now(), Text::from("m"), 0, events_max, None)
    }

    #[test]
    fn what_is_the_same_is_one_event_and_the_books_balance() {
        let mut trace = trace(3);
        for _ in 0..5 {
            trace.call("i", "f", None, Outcome::Done);
        }
        trace.call("i", "f", None, Outcome::Blocked(1));
        for _ in 0..4 {
            trace.wrote(9, "/f", b"abc", 3, Outcome::Done);
        }
        trace.call("i", "too many", None, Outcome::Done);
        let (events, counters) = trace.finish();
        assert_eq!(events.iter().map(|event| event.count).collect::<Vec<_>>(), [5, 1, 1]);
        let write = Kind::Write { path: "/f".into(), writes: 4, bytes: 12, head: "616263".into() };
        assert_eq!(events[2].kind, write);
        assert!(counters.balanced());
        let sums = (counters.seen, counters.received, counters.aggregated, counters.dropped);
        assert_eq!(sums, (11, 3, 7, 1));
    }

    #[test]
    fn a_cut_text_is_counted() {
        let mut trace = trace(3);
        trace.met(Kind::Mkdir { path: Text::new(vec![b'a'; TEXT_BYTES_MAX + 1]) }, Outcome::Done);
        let (events, counters) = trace.finish();
        assert!(events[0].truncated);
        assert_eq!(counters.truncated, 1);
    }
}
