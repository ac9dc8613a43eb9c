//! Reads what an attempt said of itself and what the record says of it, and holds both to the list.

use std::collections::BTreeSet;

use serde_json::Value;
use types::{Ending, Event, Kind, Level};

use super::attempts::{Attempt, Seen, attempt};
use crate::lab::Outcome;
use crate::ways::Way;

/// What came of one attempt in one runner.
pub(super) struct Judged {
    pub(super) number: u8,
    /// For the page.
    pub(super) cell: String,
    /// What did not hold, in words.
    pub(super) faults: Vec<String>,
}

/// One line of the program.
struct Line {
    number: u64,
    name: String,
    got: i64,
}

/// Standard error alone: the flood of output has no end of a line.
fn lines(outcome: &Outcome) -> Vec<Value> {
    let value = outcome.document["output"]["stderr"].as_str().unwrap_or_default();
    let said = types::Text::decode(value).expect("encoded text").to_lossy().into_owned();
    said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

pub(super) fn all(way: &Way, numbers: &[u8], outcome: &Outcome) -> Vec<Judged> {
    let said = lines(outcome);
    let judge = |&number: &u8| {
        let attempt = attempt(number);
        let mut faults = Vec::new();
        let got = inside(attempt, &said, outcome, &mut faults);
        let seen = record(attempt, way, outcome, &mut faults);
        if !faults.is_empty() {
            faults.push(format!("{:?} {}", outcome.run.ending, of(number, &said)));
        }
        Judged { number, cell: format!("{got}; {seen}"), faults }
    };
    numbers.iter().map(judge).collect()
}

fn of(number: u8, said: &[Value]) -> String {
    let own = said.iter().filter(|line| line["n"] == u64::from(number));
    own.map(Value::to_string).collect::<Vec<_>>().join(" ")
}

/// What it got, in words.
fn inside(
    attempt: &Attempt,
    said: &[Value],
    outcome: &Outcome,
    faults: &mut Vec<String>,
) -> String {
    let own = |line: &&Value| line["n"] == u64::from(attempt.number);
    let tries: Vec<Line> = said
        .iter()
        .filter(own)
        .filter_map(|line| {
            Some(Line {
                number: line["n"].as_u64()?,
                name: line["try"].as_str()?.to_owned(),
                got: line["got"].as_i64()?,
            })
        })
        .collect();
    let killed = said.iter().filter(own).any(|line| line["end"] == "signal");
    let mut words: BTreeSet<String> = BTreeSet::new();
    for line in &tries {
        debug_assert_eq!(line.number, u64::from(attempt.number));
        if let Some((_, most)) = attempt.most.iter().find(|(name, _)| *name == line.name) {
            if line.got > *most {
                faults.push(format!("inside: {} {} of at most {most}", line.got, line.name));
            }
            words.insert(format!("at most {most}"));
        } else if line.got < 0 {
            words.insert("refused".to_owned());
        } else if attempt.free.contains(&line.name.as_str()) {
            words.insert("stays inside".to_owned());
        } else {
            faults.push(format!("inside: {} gave {}", line.name, line.got));
        }
    }
    for (name, _) in attempt.most {
        if !tries.iter().any(|line| line.name == *name) {
            faults.push(format!("inside: {name} were not counted"));
        }
    }
    match attempt.number {
        // Whatever it costs them, these two may end the way a limit ends them.
        2 if killed => drop(words.insert("killed".to_owned())),
        7 if outcome.run.ending == Ending::TimedOut => {
            words = ["killed".to_owned()].into();
        }
        7 => faults.push("inside: it was not ended".to_owned()),
        _ if killed => faults.push("inside: killed".to_owned()),
        _ if tries.is_empty() => faults.push("inside: not tried".to_owned()),
        62 => fingerprint(said, faults),
        _ => {}
    }
    words.into_iter().collect::<Vec<_>>().join(", ")
}

/// Inside a sandbox of ours one may know that, and not on which machine.
fn fingerprint(said: &[Value], faults: &mut Vec<String>) {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let told = said.iter().find_map(|line| line["hostname"].as_str());
    if told.is_none_or(|name| name == host.trim()) {
        faults.push(format!("inside: the host's name is told: {told:?}"));
    }
}

/// Events of the attempt's own processes, by the name they have.
fn events(number: u8, outcome: &Outcome) -> impl Iterator<Item = &Event> {
    let name = format!("n{number:02}");
    // The spoofed name is the point of that attempt.
    let own =
        move |event: &&Event| number == 61 || event.task.comm.to_lossy().starts_with(name.as_str());
    outcome.events.iter().filter(own)
}

fn call(event: &Event) -> &str {
    match &event.kind {
        Kind::Syscall { call, .. } | Kind::SetIds { call, .. } => call,
        kind => kind.name(),
    }
}

/// What the record says, in words.
fn record(attempt: &Attempt, way: &Way, outcome: &Outcome, faults: &mut Vec<String>) -> String {
    let own: Vec<&Event> = events(attempt.number, outcome).collect();
    if attempt.number == 60 {
        books(outcome, faults);
    }
    match &attempt.seen {
        Seen::Blocked(calls) => {
            for name in *calls {
                if !own.iter().any(|event| event.blocked && call(event) == *name) {
                    faults.push(format!("record: no blocked {name}: {}", brief(&own)));
                }
            }
            format!("{} blocked", quoted(calls))
        }
        Seen::BlockedAny(least) => {
            let blocked: u64 =
                own.iter().filter(|event| event.blocked).map(|event| event.count).sum();
            if blocked < *least {
                faults.push(format!("record: {blocked} blocked: {}", brief(&own)));
            }
            "blocked".to_owned()
        }
        Seen::Tried(kinds) => tried(kinds, &own, faults),
        Seen::Happened(kinds) => {
            let seen = kinds.iter().all(|kind| own.iter().any(|event| call(event) == *kind));
            if !seen {
                faults.push(format!("record: no {kinds:?}: {}", brief(&own)));
            }
            format!("{} seen", quoted(kinds))
        }
        Seen::Limit(name) => limit(name, way, outcome, faults),
        Seen::Left(path) => {
            let listed = outcome.events.iter().any(|event| {
                matches!(&event.kind, Kind::FileChanged(change) if change.path.to_lossy().ends_with(path))
            });
            if !listed {
                faults.push(format!("record: {path} is not listed"));
            }
            "file listed".to_owned()
        }
        Seen::Nothing(why) => (*why).to_owned(),
    }
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" ")
}

fn brief(own: &[&Event]) -> String {
    let words = own.iter().take(30).map(|event| {
        format!("{}{}{:?}", call(event), if event.blocked { "!" } else { "" }, event.ret)
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The strongest that is said of an attempt that did not succeed.
fn tried(kinds: &[&str], own: &[&Event], faults: &mut Vec<String>) -> String {
    let of_kind = || own.iter().filter(|event| kinds.contains(&call(event)));
    let strongest = of_kind()
        .find(|event| event.blocked)
        .map(|event| (event, "blocked"))
        .or_else(|| {
            let failed = of_kind().find(|event| event.ret.is_some_and(|ret| ret < 0));
            failed.map(|event| (event, "failed"))
        })
        .or_else(|| of_kind().find(|event| event.ret.is_none()).map(|event| (event, "seen")));
    match strongest {
        Some((event, how)) => format!("`{}` {how}", call(event)),
        None => {
            faults.push(format!("record: no {kinds:?}: {}", brief(own)));
            String::new()
        }
    }
}

/// An ordinary user's limits are the kernel's own, whose reach nobody hears.
fn limit(name: &str, way: &Way, outcome: &Outcome, faults: &mut Vec<String>) -> String {
    if outcome.reached(name) {
        return format!("limit `{name}`");
    }
    if way.reduced && way.user.is_some() && ["pids", "memory"].contains(&name) {
        return "not told: a limit of the kernel's own".to_owned();
    }
    faults.push(format!("record: limit {name} is not told"));
    String::new()
}

/// A flood loses nothing, or the record says that it did.
fn books(outcome: &Outcome, faults: &mut Vec<String>) {
    let evidence = &outcome.assessment.evidence;
    if evidence.counters.dropped > 0 && evidence.level != Level::Incomplete {
        faults.push(format!("record: {:?} and {:?}", evidence.counters, evidence.level));
    }
}
