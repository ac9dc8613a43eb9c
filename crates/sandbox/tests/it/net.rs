//! Networks that lead nowhere, tried with the programs that people use: a sink that answers
//! everything, an allow list that passes on what it names, and nothing else in either.

mod allow;
mod bounds;
mod capture;
mod sink;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use sandbox::runner::process::Process;
use sandbox::{
    Allowed, Artifacts, Decoy, EVENTS_MAX, Memory, MonitorChoice, Net, Root, RunError, Runner as _,
    Spec, Stdin, Wasm,
};
use types::{Endpoint, Event, Kind, Limits, Recording};

/// Whether what a test needs is here; says SKIP when not.
fn have(programs: &[&str]) -> bool {
    if let Err(reason) = sandbox::probe::process_runner().and_then(|()| sandbox::net::available()) {
        skip(&reason);
        return false;
    }
    let there = |name: &&str| Path::new("/usr/bin").join(name).exists();
    match programs.iter().find(|name| !there(name)) {
        Some(name) => {
            skip(&format!("{name} is not installed"));
            false
        }
        None => true,
    }
}

/// Past the capture of output by the test harness.
fn skip(reason: &str) {
    use std::io::Write as _;
    let mut errors = std::fs::OpenOptions::new().append(true).open("/dev/stderr").unwrap();
    writeln!(errors, "SKIP {reason}").unwrap();
}

fn spec(script: &str, net: Net) -> Spec {
    let run = format!("0198f000-0000-7000-8000-{:012x}", next());
    Spec {
        id: run,
        started_at: "2026-11-22T14:00:00Z".to_owned(),
        program: PathBuf::from("/bin/sh"),
        command: ["sh", "-c", script].map(OsString::from).to_vec(),
        env: [("PATH", "/usr/bin:/bin"), ("HOME", "/tmp")]
            .map(|(key, value)| (key.into(), value.into()))
            .to_vec(),
        cwd: PathBuf::from("/tmp"),
        cwd_is_new: false,
        copies: Vec::new(),
        hidden: vec![PathBuf::from("/root")],
        tools: Vec::new(),
        mounts: Vec::new(),
        net,
        allow: Vec::new(),
        root: Root::Host,
        layers: Default::default(),
        decoys: Vec::<Decoy>::new(),
        scanner: None,
        memory: Memory { scan: false, ..Memory::default() },
        demand: None,
        artifacts: Artifacts::default(),
        wasm: Wasm::default(),
        limits: Limits {
            timeout_ms: 60_000,
            memory_bytes: 1 << 30,
            pids: 256,
            cpu_percent: 0,
            output_bytes: 1 << 20,
            disk_bytes: 64 << 20,
        },
        stdin: Stdin::Null,
        keep: None,
        monitor: MonitorChoice::Auto,
        pass_output: false,
        events_max: EVENTS_MAX,
        observer: None,
        pause: Default::default(),
    }
}

fn next() -> u64 {
    static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    u64::from(std::process::id()) << 16 | count
}

/// A run, and its requests.
struct Seen {
    recording: Recording,
}

/// One run at a time: forks of one run would hold the other's pipes open.
fn record(spec: &Spec) -> Result<Recording, RunError> {
    let _turn = crate::turn();
    Process::new().run(spec)
}

#[track_caller]
fn run(spec: &Spec) -> Seen {
    let recording = record(spec).unwrap_or_else(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        panic!("{error}: {cause:?}")
    });
    assert_eq!(recording.faults, Vec::<String>::new());
    let ids: Vec<u64> = recording.events.iter().map(|event| event.id).collect();
    assert!(ids.windows(2).all(|pair| pair[0] + 1 == pair[1]), "ids do not count on");
    assert!(recording.events.is_sorted_by_key(|event| event.time_ns));
    Seen { recording }
}

fn sink(script: &str) -> Seen {
    run(&spec(script, Net::Sink))
}

impl Seen {
    fn output(&self) -> String {
        self.recording.output.as_ref().unwrap().stdout.to_lossy().into_owned()
    }

    fn errors(&self) -> String {
        self.recording.output.as_ref().unwrap().stderr.to_lossy().into_owned()
    }

    fn requests(&self) -> Vec<Asked<'_>> {
        self.recording.events.iter().filter_map(Asked::of).collect()
    }

    /// The only request that is picked.
    #[track_caller]
    fn one(&self, what: &str, pick: impl Fn(&Asked<'_>) -> bool) -> Asked<'_> {
        let mut found: Vec<Asked<'_>> =
            self.requests().into_iter().filter(|asked| pick(asked)).collect();
        assert_eq!(found.len(), 1, "{what} in {:#?}\n{}", self.requests(), self.errors());
        found.remove(0)
    }

    fn traffic(&self) -> &BTreeMap<String, types::Traffic> {
        &self.recording.activity.traffic
    }
}

/// A request event, taken apart.
#[derive(Debug)]
struct Asked<'e> {
    event: &'e Event,
    protocol: &'e str,
    peer: String,
    host: String,
    line: String,
    sent: u64,
    received: u64,
    head: Vec<u8>,
    answer: &'e str,
    carries: Vec<String>,
}

impl<'e> Asked<'e> {
    fn of(event: &'e Event) -> Option<Self> {
        let Kind::Request {
            protocol,
            peer: Endpoint::Inet { ip, port },
            host,
            line,
            sent_bytes,
            received_bytes,
            head,
            answer,
            carries,
        } = &event.kind
        else {
            return None;
        };
        let digits = |at| u8::from_str_radix(&head[at..at + 2], 16).unwrap();
        Some(Self {
            event,
            protocol,
            peer: format!("{ip}:{port}"),
            host: host.as_ref().map_or(String::new(), |host| host.to_lossy().into_owned()),
            line: line.to_lossy().into_owned(),
            sent: *sent_bytes,
            received: *received_bytes,
            head: (0..head.len()).step_by(2).map(digits).collect(),
            answer,
            carries: carries.iter().map(|path| path.to_lossy().into_owned()).collect(),
        })
    }
}

fn allowed(host: &str, port: u16) -> Allowed {
    Allowed { host: host.to_owned(), port }
}
