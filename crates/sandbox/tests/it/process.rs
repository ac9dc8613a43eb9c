//! The process runner from outside: whole runs in roots of every kind, and what they leave.

mod hostile;
mod left;
mod pauses;
mod roots;
mod snapshots;
mod told;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use sandbox::runner::process::Process;
use sandbox::{
    Artifacts, EVENTS_MAX, Memory, MonitorChoice, Net, Root, RunError, Runner as _, Spec, Stdin,
    Wasm,
};
use types::{Ending, Kind, Limits, Recording};

/// A static program that can be a whole root by itself.
const BUSYBOX: &str = "/bin/busybox";

/// Says why and returns false where these tests cannot run.
pub(crate) fn able(what: &str) -> bool {
    let reason = if !Path::new(BUSYBOX).exists() {
        Some("no static busybox (package busybox-static)".to_owned())
    } else {
        sandbox::probe::process_runner().err()
    };
    if let Some(reason) = &reason {
        println!("SKIP {what}: {reason}");
    }
    reason.is_none()
}

/// A shell script in a root, without a monitor: what is tried here are walls.
pub(crate) fn spec(root: Root, script: &str) -> Spec {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    Spec {
        id: format!("{:08}-{number:012}", std::process::id()),
        started_at: "2026-01-01T00:00:00Z".to_owned(),
        program: PathBuf::from("sh"),
        command: ["sh", "-c", script].map(OsString::from).to_vec(),
        env: vec![("PATH".into(), "/usr/bin:/bin".into()), ("HOME".into(), "/home/sandbox".into())],
        cwd: PathBuf::from("/work"),
        cwd_is_new: true,
        copies: Vec::new(),
        hidden: Vec::new(),
        tools: Vec::new(),
        mounts: Vec::new(),
        net: Net::None,
        allow: Vec::new(),
        root,
        layers: Vec::new(),
        pause: None,
        demand: None,
        decoys: Vec::new(),
        scanner: None,
        memory: Memory { scan: false, ..Memory::default() },
        artifacts: Artifacts::default(),
        wasm: Wasm::default(),
        limits: Limits {
            timeout_ms: 60_000,
            memory_bytes: 256 << 20,
            pids: 64,
            cpu_percent: 0,
            output_bytes: 1 << 20,
            disk_bytes: 64 << 20,
        },
        stdin: Stdin::Null,
        keep: None,
        monitor: MonitorChoice::Off,
        pass_output: false,
        events_max: EVENTS_MAX,
        observer: None,
    }
}

/// Runs to its end; what the command printed, and the recording.
pub(crate) fn run(spec: &Spec) -> (String, Recording) {
    let _turn = crate::turn();
    let recording = Process::new().run(spec).unwrap_or_else(|error| panic!("{error}"));
    let output = recording.output.as_ref().unwrap();
    let printed = output.stdout.to_lossy().into_owned() + &output.stderr.to_lossy();
    (printed, recording)
}

pub(crate) fn refused(spec: &Spec) -> String {
    let _turn = crate::turn();
    match Process::new().run(spec) {
        Err(RunError::Refused { reason }) => reason,
        Err(error) => panic!("not refused: {error}: {:?}", std::error::Error::source(&error)),
        Ok(recording) => panic!("ran: {:?}", recording.run.ending),
    }
}

pub(crate) fn exited(recording: &Recording) -> i32 {
    match recording.run.ending {
        Ending::Exited { code } => code,
        ref other => panic!("{other:?}"),
    }
}

/// What the recording says of files: `change path`.
pub(crate) fn changes(recording: &Recording) -> Vec<String> {
    let change = |event: &types::Event| match &event.kind {
        Kind::FileChanged(change) => Some(format!("{} {}", change.change, change.path)),
        _ => None,
    };
    recording.events.iter().filter_map(change).collect()
}

pub(crate) fn walls(recording: &Recording) -> String {
    let walls = recording.run.isolation.walls.iter();
    walls.map(|wall| format!("{}: {}\n", wall.name, wall.detail)).collect()
}
