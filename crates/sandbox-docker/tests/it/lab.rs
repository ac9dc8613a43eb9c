//! Specs, and what must hold after every run.

use std::ffi::OsString;

use sandbox::{
    Artifacts, EVENTS_MAX, Memory, MonitorChoice, Net, Root, RunError, Runner as _, Spec, Stdin,
    Wasm,
};
use types::{Event, Kind, Limits, Recording, Tier};

use crate::daemon::{BUSYBOX, Daemon};

/// A command in the daemon's busybox.
pub(crate) fn spec(command: &[&str]) -> Spec {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    Spec {
        id: format!("0190-{}-{count}", std::process::id()),
        started_at: "2026-01-01T00:00:00Z".to_owned(),
        program: command[0].into(),
        command: command.iter().map(OsString::from).collect(),
        env: vec![("PATH".into(), "/bin".into()), ("HOME".into(), "/home/u".into())],
        cwd: "/job".into(),
        cwd_is_new: true,
        copies: Vec::new(),
        hidden: Vec::new(),
        tools: Vec::new(),
        mounts: Vec::new(),
        net: Net::None,
        allow: Vec::new(),
        root: Root::Image(BUSYBOX.to_owned()),
        layers: Vec::new(),
        pause: None,
        demand: None,
        decoys: Vec::new(),
        scanner: None,
        memory: Memory::default(),
        artifacts: Artifacts::default(),
        wasm: Wasm::default(),
        limits: Limits {
            timeout_ms: 30_000,
            memory_bytes: 256 << 20,
            pids: 64,
            cpu_percent: 0,
            output_bytes: 1 << 20,
            disk_bytes: 64 << 20,
        },
        stdin: Stdin::Null,
        keep: None,
        monitor: MonitorChoice::Ebpf,
        pass_output: false,
        events_max: EVENTS_MAX,
        observer: None,
    }
}

pub(crate) fn shell(script: &str) -> Spec {
    spec(&["/bin/sh", "-c", script])
}

/// Runs and checks what must hold whatever the command does.
pub(crate) fn run(daemon: &Daemon, spec: &Spec) -> Recording {
    let recording = daemon.runner().run(spec).unwrap();
    check(&recording);
    assert_eq!(daemon.leftovers(), Vec::<String>::new());
    recording
}

pub(crate) fn refused(daemon: &Daemon, spec: &Spec) -> RunError {
    let error = daemon.runner().run(spec).unwrap_err();
    assert_eq!(daemon.leftovers(), Vec::<String>::new());
    error
}

pub(crate) fn check(recording: &Recording) {
    assert!(recording.counters.balanced(), "{:?}", recording.counters);
    assert_eq!(recording.run.tier, Tier::B, "{:?}", recording.faults);
    assert!(recording.events.is_sorted_by_key(|event| event.time_ns));
    assert!(recording.events.iter().zip(1..).all(|(event, id)| event.id == id));
    assert!(recording.counters.seen > 0);
}

pub(crate) fn stdout(recording: &Recording) -> String {
    String::from_utf8_lossy(recording.output.as_ref().unwrap().stdout.as_bytes()).into_owned()
}

pub(crate) fn stderr(recording: &Recording) -> String {
    String::from_utf8_lossy(recording.output.as_ref().unwrap().stderr.as_bytes()).into_owned()
}

pub(crate) fn limits(recording: &Recording) -> Vec<String> {
    let limit = |event: &Event| match &event.kind {
        Kind::LimitReached { limit, .. } => Some(limit.clone()),
        _ => None,
    };
    recording.events.iter().filter_map(limit).collect()
}

/// The events of one kind, by its name in the schema.
pub(crate) fn of<'a>(recording: &'a Recording, kind: &str) -> Vec<&'a Event> {
    recording.events.iter().filter(|event| event.kind.name() == kind).collect()
}
