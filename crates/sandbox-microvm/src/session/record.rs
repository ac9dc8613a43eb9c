//! From what a guest told to the recording. The host writes what it knows itself over whatever the
//! guest says of it, and holds the guest to what it told while it ran.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use sandbox::{MonitorChoice, RunError, Seen, Spec};
use types::run::{Isolation, Output, Run, Wall};
use types::{Activity, Counters, Ending, Event, Recording, Text, Tier};

use super::held::hold_to;
use super::listen::Wired;
use super::plain::{self, plain};
use crate::ready::Ready;
use crate::vmm::jail::Walls;
use crate::wire::{self, Message, Refusal};

/// What carried the run.
pub(super) struct Carried<'a> {
    pub ready: &'a Ready,
    pub boot: Duration,
    pub walls: Walls,
    pub notes: Vec<String>,
    /// The guest's console.
    pub said: String,
}

/// What was heard.
#[derive(Default)]
pub(super) struct Outcome {
    events: Vec<Event>,
    /// Events that came and were not kept.
    beyond: u64,
    recording: Option<Box<Recording>>,
    /// The host ended it.
    ending: Option<Ending>,
    /// Why there was no last word, in words.
    pub lost: Option<String>,
    pub length: Duration,
}

impl Outcome {
    /// Bytes of output and error output that the guest says there were.
    pub(super) fn output(&self) -> Option<[u64; 2]> {
        let output = self.recording.as_ref()?.output.as_ref()?;
        Some([output.stdout_bytes, output.stderr_bytes])
    }

    pub(super) fn take(&mut self, message: Message, spec: &Spec) {
        match message {
            Message::Phase(name) => {
                let known = ["run", "collect"].into_iter().find(|known| *known == name);
                if let (Some(phase), Some(observer)) = (known, &spec.observer) {
                    observer.tell(Seen::Phase(phase));
                }
            }
            Message::Event(mut event) => {
                plain::event(&mut event);
                if let Some(observer) = &spec.observer {
                    observer.tell(Seen::Event(&event));
                }
                if self.events.len() < spec.events_max {
                    self.events.push(*event);
                } else {
                    self.beyond += 1;
                }
            }
            Message::Recording(recording) => self.keep(recording),
            _ => {}
        }
    }

    /// The first stays.
    fn keep(&mut self, recording: Box<Recording>) {
        self.recording.get_or_insert(recording);
    }

    pub(super) fn cut(&mut self, ending: Ending, why: &str) {
        self.ending = Some(ending);
        self.lost = Some(why.to_owned());
    }
}

pub(super) fn recording(
    spec: &Spec,
    outcome: Outcome,
    wired: Wired,
    carried: &Carried<'_>,
) -> Result<Recording, RunError> {
    let Outcome { events, beyond, recording, ending, lost, length } = outcome;
    let mut recording = match recording {
        Some(recording) => {
            let mut recording = *recording;
            // What was told is clean already; only the same can be compared.
            plain::recording(&mut recording);
            hold_to(events, beyond, &mut recording);
            recording
        }
        None => salvage(spec, events, beyond, length),
    };
    // A second time changes nothing: a salvaged one has the host's own words.
    plain::recording(&mut recording);
    if let Some(reason) = lost {
        let panic = panic_line(&carried.said).map_or_else(String::new, |line| format!("; {line}"));
        recording.faults.push(format!("the guest was lost: {reason}{panic}"));
    }
    if let Some(ending) = ending {
        recording.run.ending = ending;
    }
    let output = recording.output.get_or_insert_with(|| Output {
        truncated: wired.stdout.bytes > wired.stdout.kept.len() as u64
            || wired.stderr.bytes > wired.stderr.kept.len() as u64,
        stdout_bytes: wired.stdout.bytes,
        stderr_bytes: wired.stderr.bytes,
        stdout: Text::new(wired.stdout.kept),
        stderr: Text::new(wired.stderr.kept),
        not_passed_on: None,
    });
    output.not_passed_on = wired.stdout.not_passed_on.or(wired.stderr.not_passed_on);
    let of_out = output.stdout_bytes.saturating_sub(wired.stdout.bytes);
    let of_err = output.stderr_bytes.saturating_sub(wired.stderr.bytes);
    let missing = of_out.saturating_add(of_err);
    if spec.pass_output && missing > 0 {
        let lost = || format!("{missing} bytes of output did not come out of the guest");
        output.not_passed_on.get_or_insert_with(lost);
    }
    own(spec, &mut recording, carried);
    let unwritten =
        |(name, detail): (&str, String)| Wall { name: name.to_owned(), on: false, detail };
    recording.run.isolation.walls.extend(wired.unwritten.into_iter().map(unwritten));
    Ok(recording)
}

/// What the host knows better than the guest.
fn own(spec: &Spec, recording: &mut Recording, carried: &Carried<'_>) {
    let run = &mut recording.run;
    run.id.clone_from(&spec.id);
    run.started_at.clone_from(&spec.started_at);
    run.command = spec.command.iter().map(wire::text).collect();
    run.program = wire::text(&spec.program);
    run.cwd = wire::text(&spec.cwd);
    run.limits = spec.limits.clone();
    run.decoys = spec.decoys.iter().map(|decoy| wire::text(&decoy.path)).collect();
    "microvm".clone_into(&mut run.runner);
    run.engine = carried.ready.engine();
    run.engine.insert("agent_sha256".to_owned(), carried.ready.agent.sha256.clone());
    run.engine.insert("boot_ms".to_owned(), carried.boot.as_millis().to_string());
    recording.anomaly = None;
    for wall in &mut run.isolation.walls {
        wall.detail = format!("in the guest: {}", wall.detail);
    }
    let mut walls = vec![Wall {
        name: "machine".to_owned(),
        on: true,
        detail: format!(
            "a virtual machine with a kernel of its own ({}, {}), no network device, no shared \
             folder, read-only disks",
            run.engine.get("vmm").map_or("", String::as_str),
            carried.ready.acceleration.as_str()
        ),
    }];
    for (on, details) in [(true, &carried.walls.standing), (false, &carried.walls.missing)] {
        walls.extend(details.iter().map(|detail| Wall {
            name: "monitor".to_owned(),
            on,
            detail: detail.clone(),
        }));
    }
    walls.extend(carried.notes.iter().map(|detail| Wall {
        name: "files".to_owned(),
        on: true,
        detail: detail.clone(),
    }));
    walls.append(&mut run.isolation.walls);
    run.isolation.walls = walls;
}

/// The recording of a guest that never gave one: what it told until then.
fn salvage(spec: &Spec, mut events: Vec<Event>, beyond: u64, length: Duration) -> Recording {
    events.sort_by_key(|event| event.time_ns);
    for (id, event) in (1..).zip(&mut events) {
        event.id = id;
    }
    let mut faults = Vec::new();
    if beyond > 0 {
        faults.push(format!("the recording is full: {beyond} events were not kept"));
    }
    // Which of the two eBPF tiers it was, only the guest knew: the lesser.
    let tier = match spec.monitor {
        _ if events.is_empty() => Tier::None,
        MonitorChoice::Notify => Tier::C,
        _ => Tier::B,
    };
    Recording {
        run: Run {
            id: spec.id.clone(),
            started_at: spec.started_at.clone(),
            command: Vec::new(),
            program: Text::default(),
            cwd: Text::default(),
            runner: String::new(),
            tier,
            isolation: Isolation { walls: Vec::new() },
            limits: spec.limits.clone(),
            // The machine was ended, and everything in it.
            ending: Ending::Signaled { signal: libc::SIGKILL },
            duration_ns: u64::try_from(length.as_nanos()).unwrap_or(u64::MAX),
            cpu_us: 0,
            memory_peak_bytes: None,
            engine: BTreeMap::new(),
            decoys: Vec::new(),
            script: None,
        },
        counters: heard(&events, beyond),
        events,
        faults,
        output: None,
        anomaly: None,
        rule_sets: Vec::new(),
        matches: Vec::new(),
        activity: Activity::default(),
    }
}

/// The books of what was heard: what the guest's own would have said is lost with it.
fn heard(events: &[Event], beyond: u64) -> Counters {
    let mut counters = Counters::default();
    for event in events {
        let one = counters.by_type.entry(event.kind.name().to_owned()).or_default();
        one.seen += 1;
        one.sent += 1;
        one.received += 1;
    }
    counters.received = events.len() as u64;
    counters.sent = counters.received;
    counters.dropped = beyond;
    counters.seen = counters.received + beyond;
    counters
}

/// Where the guest's kernel gave up, in its own words.
fn panic_line(said: &str) -> Option<String> {
    let at = said.find("Kernel panic").or_else(|| said.find("Out of memory"))?;
    let mut line = said.get(at..)?.lines().next()?.to_owned();
    plain(&mut line);
    Some(line)
}

pub(super) fn refusal(refusal: Refusal) -> RunError {
    match refusal {
        Refusal::Setup { mut step, errno, mut reason } => {
            plain(&mut step);
            plain(&mut reason);
            let source =
                errno.map_or_else(|| io::Error::other(reason), io::Error::from_raw_os_error);
            RunError::Setup { step, source }
        }
        Refusal::Refused { mut reason } => {
            plain(&mut reason);
            RunError::Refused { reason }
        }
        Refusal::Monitor { mut reason } => {
            plain(&mut reason);
            RunError::Monitor { reason }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use types::{Event, Kind, Task, Text};

    use super::{Outcome, Recording};
    use super::{heard, panic_line};

    fn event(time_ns: u64) -> Event {
        let task = Task { pid: 2, tid: 2, ppid: 1, start_ns: 1, uid: 0, comm: Text::from("x") };
        Event {
            id: 0,
            time_ns,
            task,
            kind: Kind::Mkdir { path: Text::from("/d") },
            ret: Some(0),
            blocked: false,
            advisory: false,
            truncated: false,
            count: 1,
        }
    }

    pub(in super::super) fn empty() -> Recording {
        let recording = serde_json::json!({
            "run": {
                "id": "", "started_at": "", "command": [], "program": "", "cwd": "", "runner": "",
                "tier": "B", "isolation": { "walls": [] },
                "limits": { "timeout_ms": 1, "memory_bytes": 1, "pids": 1, "cpu_percent": 0,
                    "output_bytes": 1, "disk_bytes": 1 },
                "ending": { "how": "exited", "code": 0 }, "duration_ns": 1, "cpu_us": 1,
                "memory_peak_bytes": null,
            },
            "events": [], "faults": [],
            "counters": { "seen": 0, "sent": 0, "received": 0, "dropped": 0, "truncated": 0,
                "aggregated": 0, "throttled": 0 },
        });
        serde_json::from_value(recording).unwrap()
    }

    #[test]
    fn a_second_recording_does_not_replace_the_first() {
        let mut outcome = Outcome::default();
        let mut first = empty();
        first.events.push(event(1));
        outcome.keep(Box::new(first));
        outcome.keep(Box::new(empty()));
        assert_eq!(outcome.recording.unwrap().events.len(), 1);
    }

    #[test]
    fn what_was_heard_of_a_lost_guest_is_counted() {
        let counters = heard(&[event(2), event(1)], 3);
        assert!(counters.balanced(), "{counters:?}");
        assert_eq!((counters.seen, counters.received, counters.dropped), (5, 2, 3));
    }

    #[test]
    fn a_panic_is_told_in_one_plain_line() {
        let said = "x\n[ 1.0] Kernel panic - not syncing: \u{1b}[31mred\nmore";
        assert_eq!(panic_line(said).unwrap(), "Kernel panic - not syncing: \u{fffd}[31mred");
        assert_eq!(panic_line("all is well"), None);
    }
}
