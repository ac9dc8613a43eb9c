//! Findings take their place among a run's other events.

use types::{Event, Task, Text};

use super::START_SLACK_NS;

/// Puts what the looks found among the run's other events: by time, with the tasks those know to
/// the nanosecond, numbered anew.
pub fn merge(events: &mut Vec<Event>, mut found: Vec<Event>) {
    if found.is_empty() {
        return;
    }
    for event in &mut found {
        let (pid, start_ns) = (event.task.pid, event.task.start_ns);
        let known = events
            .iter()
            .filter(|known| known.time_ns <= event.time_ns || known.task.tid == pid)
            .map(|known| &known.task)
            .filter(|task| task.pid == pid && task.start_ns.abs_diff(start_ns) <= START_SLACK_NS)
            .min_by_key(|task| (task.start_ns.abs_diff(start_ns), task.tid != pid));
        if let Some(task) = known {
            let comm = std::mem::replace(&mut event.task.comm, Text::from(""));
            event.task = Task { tid: pid, comm, ..task.clone() };
        }
    }
    events.append(&mut found);
    events.sort_by_key(|event| event.time_ns);
    for (id, event) in (1..).zip(events) {
        event.id = id;
    }
}
