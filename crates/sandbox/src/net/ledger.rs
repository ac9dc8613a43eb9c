//! What was asked, by whom, and what is kept of it.
//!
//! Bounded: past the bound requests are counted, and the recording says that it is not complete.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;

use types::{Endpoint, Event, Kind, Task, Text};

use crate::spec::{Observer, Seen};

/// Requests that are kept, at most.
const KEPT_MAX: usize = 50_000;
/// Of requests that are the same in everything but time this many are kept one by one, so that
/// their pace can be seen; the rest are only counted.
const SAME_MAX: u64 = 64;
/// Of the bytes sent, these many are shown.
pub(super) const HEAD_LEN: usize = 64;
/// The longest line of a request that is kept, in bytes.
pub(super) const LINE_LEN_MAX: usize = 512;

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Answer {
    Sink,
    Passed,
    Refused,
}

impl Answer {
    fn word(self) -> &'static str {
        match self {
            Answer::Sink => "sink",
            Answer::Passed => "passed",
            Answer::Refused => "refused",
        }
    }
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Request {
    pub protocol: &'static str,
    pub peer: SocketAddr,
    pub host: Option<Vec<u8>>,
    pub line: Vec<u8>,
    pub sent_bytes: u64,
    pub received_bytes: u64,
    pub head: Vec<u8>,
    pub(super) answer: Answer,
    /// Planted files whose content was sent.
    pub carries: Vec<Vec<u8>>,
}

/// A request, and when and by whom it was made.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Monotonic, as the monitor's clock.
    pub at_ns: u64,
    /// Process id inside; absent when nobody could be found behind the socket.
    pub pid: Option<u32>,
    pub request: Request,
    pub count: u64,
}

/// All requests of a run.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    entries: Vec<Entry>,
    /// Hash of (who, what) to how often it was kept and where the last is.
    same: HashMap<u64, (u64, usize)>,
    lost: u64,
}

impl Ledger {
    pub(super) fn add(&mut self, at_ns: u64, pid: Option<u32>, mut request: Request) {
        request.line.truncate(LINE_LEN_MAX);
        request.head.truncate(HEAD_LEN);
        let mut hasher = DefaultHasher::new();
        (pid, &request).hash(&mut hasher);
        let key = hasher.finish();
        let (kept, last) = self.same.get(&key).copied().unwrap_or((0, 0));
        if kept >= SAME_MAX
            && let Some(entry) = self.entries.get_mut(last)
            && entry.request == request
        {
            entry.count += 1;
            return;
        }
        if self.entries.len() >= KEPT_MAX {
            self.lost += 1;
            return;
        }
        self.same.insert(key, (kept + 1, self.entries.len()));
        self.entries.push(Entry { at_ns, pid, request, count: 1 });
    }

    /// Everything that was asked, and what is missing, in words.
    pub(super) fn close(self) -> (Vec<Entry>, Option<String>) {
        let lost = (self.lost > 0)
            .then(|| format!("{} requests past the first {KEPT_MAX} were not kept", self.lost));
        (self.entries, lost)
    }
}

/// Puts the requests among the events of a run: each gets the task that the monitor knows by its
/// process id, or else the task that connected to the same peer last, or else the command's own.
/// Returns how many had to be given to the command.
pub(crate) fn merge(
    events: &mut Vec<Event>,
    entries: Vec<Entry>,
    start_ns: u64,
    command_pid: u32,
    observer: Option<&Observer>,
) -> u64 {
    let tasks = Tasks::new(events);
    let mut guessed = 0;
    let mut requests = Vec::new();
    for entry in entries {
        let time_ns = entry.at_ns.saturating_sub(start_ns);
        let task = tasks.of(&entry, time_ns).unwrap_or_else(|| {
            guessed += entry.count;
            tasks.by_pid(command_pid, time_ns).unwrap_or_else(|| unknown(command_pid))
        });
        let Request { protocol, peer, host, line, sent_bytes, received_bytes, .. } = entry.request;
        let kind = Kind::Request {
            protocol: protocol.to_owned(),
            peer: Endpoint::Inet { ip: peer.ip(), port: peer.port() },
            host: host.map(Text::new),
            line: Text::new(line),
            sent_bytes,
            received_bytes,
            head: entry.request.head.iter().map(|byte| format!("{byte:02x}")).collect(),
            answer: entry.request.answer.word().to_owned(),
            carries: entry.request.carries.into_iter().map(Text::new).collect(),
        };
        let refused = entry.request.answer == Answer::Refused;
        requests.push(Event {
            id: 0,
            time_ns,
            task,
            kind,
            ret: None,
            blocked: refused,
            advisory: false,
            truncated: false,
            count: entry.count,
        });
    }
    if let Some(observer) = observer {
        requests.iter().for_each(|event| observer.tell(Seen::Event(event)));
    }
    events.extend(requests);
    events.sort_by_key(|event| event.time_ns);
    for (id, event) in (1..).zip(events) {
        event.id = id;
    }
    guessed
}

fn unknown(pid: u32) -> Task {
    Task { pid, tid: pid, ppid: 0, start_ns: 0, uid: 0, comm: Text::from("") }
}

/// The tasks of a run by process id and by whom they spoke to, in order of time.
struct Tasks {
    by_pid: HashMap<u32, Vec<(u64, Task)>>,
    by_peer: HashMap<SocketAddr, Vec<(u64, Task)>>,
}

impl Tasks {
    fn new(events: &[Event]) -> Self {
        let mut tasks = Self { by_pid: HashMap::new(), by_peer: HashMap::new() };
        for event in events {
            let seen = || (event.time_ns, event.task.clone());
            let known = tasks.by_pid.entry(event.task.pid).or_default();
            let same = |(_, task): &(u64, Task)| *task == event.task;
            if !known.last().is_some_and(same) {
                known.push(seen());
            }
            let peer = match &event.kind {
                Kind::Connect { peer } => Some(peer),
                Kind::Send { peer, .. } => peer.as_ref(),
                Kind::Dns { server, .. } => server.as_ref(),
                _ => None,
            };
            if let Some(Endpoint::Inet { ip, port }) = peer {
                let peer = SocketAddr::new(ip.to_canonical(), *port);
                tasks.by_peer.entry(peer).or_default().push(seen());
            }
        }
        tasks
    }

    fn of(&self, entry: &Entry, time_ns: u64) -> Option<Task> {
        entry
            .pid
            .and_then(|pid| self.by_pid(pid, time_ns))
            .or_else(|| nearest(self.by_peer.get(&entry.request.peer)?, time_ns))
    }

    fn by_pid(&self, pid: u32, time_ns: u64) -> Option<Task> {
        nearest(self.by_pid.get(&pid)?, time_ns)
    }
}

/// The last at this time, or the first after it: an event may be stamped when its call returns.
fn nearest(seen: &[(u64, Task)], time_ns: u64) -> Option<Task> {
    let after = seen.partition_point(|(at, _)| *at <= time_ns);
    seen.get(after.saturating_sub(1)).map(|(_, task)| task.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(line: &str) -> Request {
        Request {
            protocol: "tcp",
            peer: "192.0.2.1:80".parse().unwrap(),
            host: None,
            line: line.as_bytes().to_vec(),
            sent_bytes: 1,
            received_bytes: 0,
            head: vec![0xab; 100],
            answer: Answer::Sink,
            carries: Vec::new(),
        }
    }

    fn event(time_ns: u64, pid: u32, kind: Kind) -> Event {
        Event {
            id: 0,
            time_ns,
            task: unknown(pid),
            kind,
            ret: None,
            blocked: false,
            advisory: false,
            truncated: false,
            count: 1,
        }
    }

    #[test]
    fn many_of_the_same_are_counted_and_none_is_lost() {
        let mut ledger = Ledger::default();
        for at_ns in 0..1000 {
            ledger.add(at_ns, Some(3), request("x"));
        }
        let (entries, lost) = ledger.close();
        assert_eq!(entries.len() as u64, SAME_MAX);
        assert_eq!(entries.iter().map(|entry| entry.count).sum::<u64>(), 1000);
        assert_eq!(lost, None);
    }

    #[test]
    fn past_the_bound_requests_are_missing_and_it_is_said() {
        let mut ledger = Ledger::default();
        for number in 0..KEPT_MAX + 3 {
            ledger.add(0, None, request(&number.to_string()));
        }
        let (entries, lost) = ledger.close();
        assert_eq!(entries.len(), KEPT_MAX);
        assert!(lost.unwrap().starts_with("3 requests"));
    }

    #[test]
    fn a_request_finds_its_task() {
        let peer = Endpoint::Inet { ip: "192.0.2.1".parse().unwrap(), port: 80 };
        let mkdir = || Kind::Mkdir { path: Text::from("/d") };
        let mut events = vec![
            event(10, 2, mkdir()),
            event(20, 5, Kind::Connect { peer }),
            event(90, 7, mkdir()),
        ];
        let mut ledger = Ledger::default();
        ledger.add(130, Some(7), request("by its process"));
        ledger.add(140, Some(99), request("by its peer"));
        let mut elsewhere = request("the command's");
        elsewhere.peer = "192.0.2.9:1".parse().unwrap();
        ledger.add(150, None, elsewhere);
        let guessed = merge(&mut events, ledger.close().0, 100, 2, None);
        assert_eq!(guessed, 1);
        let owners: Vec<(u64, u32)> = events.iter().map(|e| (e.id, e.task.pid)).collect();
        assert_eq!(owners, [(1, 2), (2, 5), (3, 7), (4, 5), (5, 2), (6, 7)]);
    }
}
