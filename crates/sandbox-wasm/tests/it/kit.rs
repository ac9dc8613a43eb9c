//! Specs, modules and questions to recordings.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use sandbox::{
    Artifacts, EVENTS_MAX, Memory, MonitorChoice, Mount, Net, Root, RunError, Runner as _, Spec,
    Stdin, Wasm,
};
use types::{Event, Kind, Limits, Recording};

/// A folder with a module in it.
pub(crate) struct Bench {
    pub dir: tempfile::TempDir,
    pub spec: Spec,
}

impl Bench {
    /// From the text format.
    pub(crate) fn new(text: &str) -> Self {
        Self::binary(&wat::parse_str(text).unwrap())
    }

    pub(crate) fn binary(bytes: &[u8]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("sample.wasm");
        std::fs::write(&program, bytes).unwrap();
        let spec = spec(&program);
        Self { dir, spec }
    }

    pub(crate) fn grant(mut self, capability: &str) -> Self {
        self.spec.wasm.grants.push(capability.to_owned());
        self
    }

    /// A new folder of the host, shown as `guest` and granted.
    pub(crate) fn folder(mut self, guest: &str, writable: bool) -> (Self, PathBuf) {
        let source = self.dir.path().join(format!("host{}", guest.replace('/', "-")));
        std::fs::create_dir(&source).unwrap();
        self.spec.mounts.push(Mount { source: source.clone(), target: guest.into(), writable });
        let mode = if writable { ":rw" } else { "" };
        (self.grant(&format!("filesystem:{guest}{mode}")), source)
    }

    pub(crate) fn run(&self) -> Recording {
        let recording = sandbox_wasm::Wasm.run(&self.spec).unwrap();
        balanced(&recording);
        recording
    }

    pub(crate) fn refusal(&self) -> String {
        match sandbox_wasm::Wasm.run(&self.spec) {
            Err(RunError::Refused { reason }) => reason,
            Err(error) => panic!("not a refusal: {error}"),
            Ok(recording) => panic!("it ran: {:?}", recording.run.ending),
        }
    }
}

fn spec(program: &Path) -> Spec {
    Spec {
        id: "0190b5a0-0000-7000-8000-000000000000".to_owned(),
        started_at: "2026-01-01T00:00:00Z".to_owned(),
        program: program.to_owned(),
        command: vec![OsString::from("sample.wasm"), OsString::from("one")],
        env: vec![("KEY".into(), "value".into())],
        cwd: "/".into(),
        cwd_is_new: false,
        copies: Vec::new(),
        hidden: Vec::new(),
        tools: Vec::new(),
        mounts: Vec::new(),
        net: Net::None,
        allow: Vec::new(),
        root: Root::Host,
        decoys: Vec::new(),
        scanner: None,
        memory: Memory::default(),
        artifacts: Artifacts::default(),
        wasm: Wasm::default(),
        limits: Limits {
            timeout_ms: 20_000,
            memory_bytes: 64 << 20,
            pids: 1,
            cpu_percent: 0,
            output_bytes: 1 << 20,
            disk_bytes: 1 << 20,
        },
        stdin: Stdin::Null,
        keep: None,
        monitor: MonitorChoice::Auto,
        pass_output: false,
        pause: None,
        demand: None,
        layers: Vec::new(),
        events_max: EVENTS_MAX,
        observer: None,
    }
}

/// The books of every run of every test.
pub(crate) fn balanced(recording: &Recording) {
    let counters = &recording.counters;
    assert!(counters.balanced(), "{counters:?}");
    let by_type: u64 = counters.by_type.values().map(|counters| counters.seen).sum();
    assert_eq!(by_type, counters.seen);
    // What stands in the list, with counts and the writes that were folded in, is all that was seen.
    let shown: u64 = recording.events.iter().filter(|event| event.task.pid == 1).map(calls).sum();
    let sends = counters.by_type.get("send").map_or(0, |counters| counters.aggregated);
    assert_eq!(shown + sends + counters.dropped, counters.seen);
    assert!(recording.events.iter().zip(1..).all(|(event, id)| event.id == id));
}

fn calls(event: &Event) -> u64 {
    match event.kind {
        Kind::Write { writes, .. } => writes,
        _ => event.count,
    }
}

pub(crate) fn stdout(recording: &Recording) -> String {
    recording.output.as_ref().unwrap().stdout.to_lossy().into_owned()
}

/// How often a host function was called, however it ended.
pub(crate) fn called(recording: &Recording, name: &str) -> u64 {
    let is =
        |event: &&Event| matches!(&event.kind, Kind::HostCall { function, .. } if function == name);
    recording.events.iter().filter(is).map(|event| event.count).sum()
}

pub(crate) fn limit(recording: &Recording, name: &str) -> bool {
    recording
        .events
        .iter()
        .any(|event| matches!(&event.kind, Kind::LimitReached { limit, .. } if limit == name))
}

/// A core module with memory and text in it, and the functions of preview 1 that it names.
pub(crate) fn preview1(imports: &str, data: &str, body: &str) -> String {
    let signature = |name: &str| match name {
        "fd_write" | "poll_oneoff" => "i32 i32 i32 i32",
        "fd_close" => "i32",
        "proc_exit" => "(param i32)",
        "random_get" | "args_sizes_get" | "environ_sizes_get" | "args_get" | "environ_get" => {
            "i32 i32"
        }
        "clock_time_get" => "i32 i64 i32",
        "path_open" => "i32 i32 i32 i32 i32 i64 i64 i32 i32",
        "path_unlink_file" | "path_create_directory" | "path_remove_directory" => "i32 i32 i32",
        "path_symlink" => "i32 i32 i32 i32 i32",
        "path_rename" => "i32 i32 i32 i32 i32 i32",
        "path_link" => "i32 i32 i32 i32 i32 i32 i32",
        "fd_filestat_set_size" => "i32 i64",
        "sock_accept" => "i32 i32 i32",
        other => panic!("{other}"),
    };
    let import = |name: &str| {
        let params = signature(name);
        let ty = if params.starts_with('(') {
            params.to_owned()
        } else {
            format!("(param {params}) (result i32)")
        };
        format!("(import \"wasi_snapshot_preview1\" \"{name}\" (func ${name} {ty}))")
    };
    let imports: String = imports.split_whitespace().map(import).collect();
    format!(
        "(module {imports} (memory (export \"memory\") 2) {data}
          (func (export \"_start\") {body}))"
    )
}

/// Opens the path at `at` in folder 3; 0 rights bits read, 1 write; leaves the errno.
pub(crate) fn open(at: u32, length: usize, flags: u32, writes: bool) -> String {
    // FD_READ is bit 1, FD_WRITE bit 6.
    let rights = if writes { 66 } else { 2 };
    format!(
        "(call $path_open (i32.const 3) (i32.const 1) (i32.const {at}) (i32.const {length}) (i32.const {flags})
          (i64.const {rights}) (i64.const 0) (i32.const 0) (i32.const 8))"
    )
}
