//! The account of events: identical ones in a row become one with a count, and everything that was
//! seen is delivered or folded into something that is.

use std::collections::HashMap;

use types::Event;
use types::evidence::{Counters, TypeCounters};

use crate::monitor::Sink;

/// Threads whose last event is held back for a repetition.
const HELD_MAX: usize = 1024;

#[derive(Debug)]
pub(super) struct Books<S> {
    sink: S,
    /// By the name of the event's kind; there are a few dozen.
    counters: Vec<(&'static str, TypeCounters)>,
    /// The last event of each thread (host number).
    held: HashMap<u32, Event>,
}

impl<S: Sink> Books<S> {
    pub(super) fn new(sink: S) -> Books<S> {
        Books { sink, counters: Vec::new(), held: HashMap::new() }
    }

    pub(super) fn enter(&mut self, host_tid: u32, event: Event) {
        let counters = self.entry(&event);
        counters.seen += 1;
        counters.truncated += u64::from(event.truncated);
        if let Some(held) = self.held.get_mut(&host_tid)
            && same(held, &event)
        {
            held.count += 1;
            self.entry(&event).aggregated += 1;
            return;
        }
        if self.held.len() >= HELD_MAX && !self.held.contains_key(&host_tid) {
            self.deliver_all();
        }
        if let Some(earlier) = self.held.insert(host_tid, event) {
            self.deliver(earlier);
        }
    }

    pub(super) fn close(mut self) -> (S, Counters) {
        self.deliver_all();
        let mut sum = Counters::default();
        for (name, counters) in self.counters {
            sum.seen += counters.seen;
            sum.sent += counters.sent;
            sum.received += counters.received;
            sum.truncated += counters.truncated;
            sum.aggregated += counters.aggregated;
            sum.by_type.insert(name.to_owned(), counters);
        }
        (self.sink, sum)
    }

    fn deliver_all(&mut self) {
        for (_, event) in std::mem::take(&mut self.held) {
            self.deliver(event);
        }
    }

    fn deliver(&mut self, event: Event) {
        let counters = self.entry(&event);
        counters.sent += 1;
        counters.received += 1;
        self.sink.event(event);
    }

    fn entry(&mut self, event: &Event) -> &mut TypeCounters {
        let name = event.kind.name();
        let at = self.counters.iter().position(|&(known, _)| known == name);
        let at = at.unwrap_or_else(|| {
            self.counters.push((name, TypeCounters::default()));
            self.counters.len() - 1
        });
        &mut self.counters[at].1
    }
}

/// Everything but the time.
fn same(a: &Event, b: &Event) -> bool {
    a.kind == b.kind
        && a.ret == b.ret
        && a.task == b.task
        && (a.blocked, a.advisory, a.truncated) == (b.blocked, b.advisory, b.truncated)
}

#[cfg(test)]
mod tests {
    use types::{Event, Kind, Task, Text};

    use super::Books;
    use crate::monitor::Sink;

    struct List(Vec<Event>);

    impl Sink for List {
        fn event(&mut self, event: Event) {
            self.0.push(event);
        }
    }

    fn mkdir(path: &str, time_ns: u64) -> Event {
        let task = Task { pid: 2, tid: 2, ppid: 1, start_ns: 0, uid: 0, comm: Text::from("x") };
        let kind = Kind::Mkdir { path: path.into() };
        Event {
            id: 0,
            time_ns,
            task,
            kind,
            ret: None,
            blocked: false,
            advisory: true,
            truncated: false,
            count: 1,
        }
    }

    #[test]
    fn repetitions_are_folded_and_the_books_balance() {
        let mut books = Books::new(List(Vec::new()));
        for time in 0..5 {
            books.enter(7, mkdir("/a", time));
        }
        books.enter(7, mkdir("/b", 5));
        books.enter(8, mkdir("/b", 6));
        for tid in 100..5000 {
            books.enter(tid, mkdir("/c", 7));
        }
        let (list, counters) = books.close();
        assert!(counters.balanced(), "{counters:?}");
        assert_eq!((counters.seen, counters.aggregated), (4907, 4));
        assert_eq!(list.0.iter().map(|event| event.count).sum::<u64>(), counters.seen);
        let first = list.0.iter().find(|e| e.kind == Kind::Mkdir { path: "/a".into() }).unwrap();
        assert_eq!((first.count, first.time_ns), (5, 0));
    }
}
