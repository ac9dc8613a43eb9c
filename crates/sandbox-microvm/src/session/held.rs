//! Holds a guest to what it told while it ran: a guest that is taken over later can neither take an
//! event back nor change a word of it.
//!
//! An honest agent tells an event as it is first recorded. Until the recording is closed it is given
//! its number, and what is the same as it is counted into it: nothing else of it changes.

use std::collections::{HashMap, HashSet};

use sha2::{Digest as _, Sha256};
use types::{Event, Recording};

/// Compares every event that was told with the recording the guest gave at its end. What was told
/// stands: an event that is missing comes back, one that was changed is as it was told. Either is a
/// fault, and so are events that were told past the bound of what is kept (`beyond`).
pub(super) fn hold_to(told: Vec<Event>, beyond: u64, recording: &mut Recording) {
    let events = &mut recording.events;
    let mut same: HashMap<[u8; 32], Vec<usize>> = HashMap::new();
    for (index, event) in events.iter().enumerate().rev() {
        same.entry(digest(event)).or_default().push(index);
    }
    let (mut apart, mut fewer) = (Vec::new(), 0_u64);
    for event in told {
        let Some(index) = same.get_mut(&digest(&event)).and_then(Vec::pop) else {
            apart.push(event);
            continue;
        };
        if let Some(kept) = events.get_mut(index).filter(|kept| kept.count < event.count) {
            kept.count = event.count;
            fewer += 1;
        }
    }
    // What nobody told may be what became of an event that was.
    let mut others: HashMap<_, Vec<usize>> = HashMap::new();
    let mut untold: Vec<usize> = same.into_values().flatten().collect();
    untold.sort_unstable_by(|one, other| other.cmp(one));
    for index in untold {
        if let Some(event) = events.get(index) {
            others.entry(place(event)).or_default().push(index);
        }
    }
    let (mut changed, mut back) = (HashSet::new(), Vec::new());
    for event in apart {
        match others.get_mut(&place(&event)).and_then(Vec::pop) {
            Some(index) => {
                if let Some(kept) = events.get_mut(index) {
                    *kept = Event { count: kept.count.max(event.count), ..event };
                    changed.insert(index);
                }
            }
            None => back.push(event),
        }
    }
    let (changed, missing) = (changed.len() as u64 + fewer, back.len());
    if missing > 0 {
        events.append(&mut back);
        // Stable: what is of one moment stays in its order.
        events.sort_by_key(|event| event.time_ns);
    }
    if changed > 0 || missing > 0 {
        for (id, event) in (1..).zip(events.iter_mut()) {
            event.id = id;
        }
    }
    let words = [
        (changed, "that the guest told while it ran are others in its recording; they are as told"),
        (
            missing as u64,
            "that the guest told while it ran are not in its recording; they are added",
        ),
        (
            beyond,
            "that the guest told while it ran were too many to be compared with its recording",
        ),
    ];
    let faults = words.into_iter().filter(|(count, _)| *count > 0);
    recording.faults.extend(faults.map(|(count, words)| format!("{count} events {words}")));
}

/// Of everything in an event but its number and how often it came.
fn digest(event: &Event) -> [u8; 32] {
    let bare = Event { id: 0, count: 1, ..event.clone() };
    // An event came over the wire in this encoding, so it has one.
    Sha256::digest(serde_json::to_vec(&bare).unwrap_or_default()).into()
}

/// By what an event that was changed is still known.
fn place(event: &Event) -> (u64, u32, &'static str) {
    (event.time_ns, event.task.pid, event.kind.name())
}

#[cfg(test)]
mod tests {
    use types::{Endpoint, Event, Kind, Recording, Task, Text};

    use super::hold_to;

    fn event(time_ns: u64, kind: Kind) -> Event {
        let task = Task { pid: 2, tid: 2, ppid: 1, start_ns: 1, uid: 0, comm: Text::from("x") };
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

    fn mkdir(time_ns: u64, path: &str) -> Event {
        event(time_ns, Kind::Mkdir { path: Text::from(path) })
    }

    fn connect(time_ns: u64, last: u8) -> Event {
        let peer = Endpoint::Inet { ip: [192, 0, 2, last].into(), port: 443 };
        event(time_ns, Kind::Connect { peer })
    }

    /// The recording of these events, numbered as the agent does.
    fn recording(mut events: Vec<Event>) -> Recording {
        for (id, event) in (1..).zip(&mut events) {
            event.id = id;
        }
        Recording { events, ..super::super::record::tests::empty() }
    }

    #[test]
    fn numbers_and_counts_are_all_that_an_honest_guest_changes() {
        let mut more = mkdir(2, "/d");
        more.count = 7;
        let mut kept = recording(vec![mkdir(1, "/c"), more, mkdir(3, "/untold")]);
        let before = kept.events.clone();
        hold_to(vec![mkdir(1, "/c"), mkdir(2, "/d")], 0, &mut kept);
        assert_eq!((kept.events, kept.faults.len()), (before, 0));
    }

    #[test]
    fn a_guest_cannot_take_back_what_it_told() {
        let mut kept = recording(vec![mkdir(1, "/a"), mkdir(9, "/b")]);
        hold_to(vec![mkdir(1, "/a"), connect(7, 1)], 0, &mut kept);
        assert!(kept.faults[0].starts_with("1 events") && kept.faults.len() == 1);
        let ids: Vec<_> = kept.events.iter().map(|event| (event.id, event.time_ns)).collect();
        assert_eq!(ids, [(1, 1), (2, 7), (3, 9)]);
        assert_eq!(kept.events[1].kind, connect(7, 1).kind);
    }

    #[test]
    fn a_guest_cannot_change_a_word_of_what_it_told() {
        let told = || {
            let mut refused = connect(3, 1);
            (refused.ret, refused.blocked) = (Some(-1), true);
            vec![mkdir(1, "/etc/cron.d"), mkdir(2, "/b"), refused, mkdir(4, "/d")]
        };
        let changes: [fn(&mut Vec<Event>); 5] = [
            |events| events[0].kind = Kind::Mkdir { path: Text::from("/tmp") },
            |events| events[2].kind = connect(3, 99).kind,
            |events| (events[2].blocked, events[2].ret) = (false, Some(0)),
            |events| events[1].task.comm = Text::from("innocent"),
            |events| events[3].task.uid = 1000,
        ];
        for change in changes {
            let mut events = told();
            change(&mut events);
            let mut kept = recording(events);
            hold_to(told(), 0, &mut kept);
            assert!(kept.faults[0].starts_with("1 events"), "{:?}", kept.faults);
            assert_eq!(kept.events, recording(told()).events);
        }
    }

    #[test]
    fn a_guest_cannot_count_down_or_tell_the_same_twice_and_keep_one() {
        let mut often = mkdir(1, "/a");
        often.count = 5;
        let mut kept = recording(vec![mkdir(1, "/a")]);
        hold_to(vec![often], 0, &mut kept);
        assert_eq!((kept.events[0].count, kept.faults.len()), (5, 1));
        let mut kept = recording(vec![mkdir(1, "/a")]);
        hold_to(vec![mkdir(1, "/a"), mkdir(1, "/a")], 0, &mut kept);
        assert_eq!((kept.events.len(), kept.faults.len()), (2, 1));
    }

    #[test]
    fn what_was_too_much_to_compare_is_a_fault() {
        let mut kept = recording(vec![mkdir(1, "/a")]);
        hold_to(vec![mkdir(1, "/a")], 4, &mut kept);
        assert!(kept.faults[0].starts_with("4 events"), "{:?}", kept.faults);
    }
}
