//! The recording of a run: what was asked for, what was applied, what came of it.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;

use sandbox::Spec;
use types::run::{Output, Wall};
use types::{Activity, Ending, Event, Isolation, Kind, Limits, Recording, Run, Task, Text, Tier};

use crate::changes::Changes;
use crate::engine::WASMTIME_VERSION;
use crate::output::Captured;
use crate::plan::{Plan, uncalled};
use crate::session::Ran;

pub(crate) fn output(stdout: Captured, stderr: Captured) -> Output {
    let lost = |captured: &Captured| captured.total > captured.kept.len() as u64;
    let failure = |name: &str, captured: &Captured| {
        captured.failed.as_ref().map(|error| format!("{name} could not be written: {error}"))
    };
    Output {
        truncated: lost(&stdout) || lost(&stderr),
        not_passed_on: failure("stdout", &stdout).or_else(|| failure("stderr", &stderr)),
        stdout_bytes: stdout.total,
        stderr_bytes: stderr.total,
        stdout: Text::new(stdout.kept),
        stderr: Text::new(stderr.kept),
    }
}

pub(crate) fn recording(
    spec: &Spec,
    plan: &Plan,
    ran: Ran,
    output: Output,
    changes: Changes,
) -> Recording {
    let mut faults = changes.faults;
    if ran.out_of_fuel {
        faults.push("the fuel limit ended the run; what would have come is unknown".to_owned());
    }
    faults.extend(ran.memory.fault.clone());
    let mut kinds = ran.memory.found.clone();
    for (file, found) in changes.files {
        kinds.push(Kind::FileChanged(file));
        kinds.extend(found);
    }
    kinds.extend(ran.reached.iter().cloned());
    let mut limit = |limit: &str, detail: String| {
        kinds.push(Kind::LimitReached { limit: limit.to_owned(), detail });
    };
    if ran.out_of_fuel {
        limit("fuel", format!("ended after {} units", plan.fuel.unwrap_or(u64::MAX)));
    }
    if ran.ending == Ending::TimedOut {
        limit("time", format!("ended after {} ms", plan.timeout.as_millis()));
    }
    if output.truncated {
        limit("output", format!("only {} bytes were kept", spec.limits.output_bytes));
    }
    let mut run = run_record(spec, plan, &ran);
    let walls = &mut run.isolation.walls;
    let unseen = |detail| Wall { name: "files".to_owned(), on: false, detail };
    walls.extend(changes.unseen.into_iter().map(unseen));
    let unkept = |detail| Wall { name: "keep".to_owned(), on: false, detail };
    walls.extend(changes.unkept.into_iter().map(unkept));
    let mut events = ran.events;
    append(&mut events, kinds, run.duration_ns);
    Recording {
        run,
        events,
        counters: ran.counters,
        faults,
        output: Some(output),
        anomaly: None,
        rule_sets: Vec::new(),
        matches: Vec::new(),
        activity: Activity::default(),
    }
}

/// Adds what became known after the run.
fn append(events: &mut Vec<Event>, kinds: Vec<Kind>, duration_ns: u64) {
    let time_ns = events.last().map_or(duration_ns, |event| event.time_ns.max(duration_ns));
    let first = events.len() as u64 + 1;
    for (id, kind) in (first..).zip(kinds) {
        // Not the module's doing at a moment: found by the sandbox afterwards.
        let task =
            Task { pid: 0, tid: 0, ppid: 0, start_ns: 0, uid: 0, comm: Text::from("shieldx") };
        events.push(Event {
            id,
            time_ns,
            task,
            kind,
            ret: None,
            blocked: false,
            advisory: false,
            truncated: false,
            count: 1,
        });
    }
}

fn run_record(spec: &Spec, plan: &Plan, ran: &Ran) -> Run {
    let text = |text: &std::ffi::OsStr| Text::new(text.as_bytes());
    Run {
        id: spec.id.clone(),
        started_at: spec.started_at.clone(),
        command: spec.command.iter().map(|argument| text(argument)).collect(),
        program: text(spec.program.as_os_str()),
        cwd: text(spec.cwd.as_os_str()),
        runner: "wasm".to_owned(),
        tier: Tier::H,
        isolation: Isolation { walls: walls(spec, plan, ran) },
        limits: Limits {
            timeout_ms: u64::try_from(plan.timeout.as_millis()).unwrap_or(u64::MAX),
            memory_bytes: plan.memory_bytes,
            ..spec.limits.clone()
        },
        ending: ran.ending.clone(),
        duration_ns: ran.duration_ns,
        cpu_us: ran.cpu_us,
        memory_peak_bytes: Some(ran.memory_peak_bytes),
        engine: engine(spec, plan, ran),
        decoys: Vec::new(),
        script: None,
    }
}

fn engine(spec: &Spec, plan: &Plan, ran: &Ran) -> BTreeMap<String, String> {
    let analysis = &plan.analysis;
    let mut engine = BTreeMap::new();
    let mut say = |name: &str, value: String| engine.insert(name.to_owned(), value);
    say("wasmtime", WASMTIME_VERSION.to_owned());
    say("form", analysis.form.name().to_owned());
    say("sha256", analysis.sha256.clone());
    say("functions", analysis.functions.to_string());
    say("imports", analysis.imports.len().to_string());
    say("fuel_used", ran.fuel_used.to_string());
    say("deterministic", spec.wasm.deterministic.to_string());
    if let Some(trap) = &ran.trap {
        say("trap", trap.clone());
    }
    if let Some(declared) = &plan.declared {
        let manifest = &declared.manifest;
        let signed = if declared.signed { "signed" } else { "signature not checked" };
        say("manifest", format!("{} {} ({signed})", manifest.name, manifest.version));
    }
    if !analysis.remarks.is_empty() {
        say("remarks", analysis.remarks.join("; "));
    }
    engine
}

fn walls(spec: &Spec, plan: &Plan, ran: &Ran) -> Vec<Wall> {
    let wall = |name: &str, on: bool, detail: String| Wall { name: name.to_owned(), on, detail };
    let granted = plan.grants.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let granted = if granted.is_empty() { "nothing".to_owned() } else { granted };
    let peers = plan.grants.iter().filter(|grant| grant.name() == "network").count();
    let mut walls = vec![
        wall(
            "module",
            true,
            "WebAssembly in this process: memory of its own, no system calls, imports only"
                .to_owned(),
        ),
        wall("grants", true, granted),
        wall(
            "network",
            true,
            if peers == 0 { "none".to_owned() } else { format!("TCP to {peers} granted peers") },
        ),
        wall("landlock", !ran.landlock.starts_with("off"), ran.landlock.clone()),
        wall(
            "limits",
            true,
            format!("memory and tables {} bytes, fuel and a deadline", plan.memory_bytes),
        ),
    ];
    if let Some(uncalled) = uncalled(&plan.analysis) {
        walls.push(wall("artifact", false, uncalled));
    }
    if let Some(missed) = &ran.memory.missed {
        walls.push(wall("memory", false, missed.clone()));
    }
    if !spec.decoys.is_empty() {
        let detail = "none planted: a module sees only folders that are granted".to_owned();
        walls.push(wall("decoys", false, detail));
    }
    walls
}
