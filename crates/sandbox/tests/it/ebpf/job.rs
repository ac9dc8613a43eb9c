//! Runs a command in a fresh cgroup with the monitor attached.

#![expect(unsafe_code, reason = "a child joins its cgroup between fork and exec")]

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sandbox::monitor::ebpf::{Options, Target, load};
use sandbox::monitor::{Refusal, Sink, Summary};
use types::{Event, Kind, Tier};

/// Keeps every event, taking its time where it is told to.
#[derive(Default)]
pub(super) struct Events {
    all: Vec<Event>,
    pause: Duration,
}

impl Sink for Events {
    fn event(&mut self, event: Event) {
        self.all.push(event);
        let start = Instant::now();
        while start.elapsed() < self.pause {
            std::hint::spin_loop();
        }
    }
}

/// How a run is watched.
pub(super) struct Setup {
    pub options: Options,
    pub refusal: Refusal,
    /// How long the sink takes for each event.
    pub pause: Duration,
    /// Whether the monitor may freeze the job.
    pub freezer: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            options: Options::default(),
            refusal: Box::new(|_, _| None),
            pause: Duration::ZERO,
            freezer: true,
        }
    }
}

/// A cgroup that goes away with this value, and whatever lives in it.
pub(super) struct Cgroup(PathBuf);

impl Cgroup {
    /// None where no cgroup v2 hierarchy can be written to.
    fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
        let root = Path::new(mount.split(' ').nth(4)?);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = root.join(format!("monitor-test-{}-{number}", std::process::id()));
        fs::create_dir(&path).ok()?;
        Some(Self(path))
    }

    fn id(&self) -> u64 {
        fs::metadata(&self.0).unwrap().ino()
    }

    fn writable(&self, name: &str) -> File {
        OpenOptions::new().write(true).open(self.0.join(name)).unwrap()
    }

    /// Kills everything and waits until it is gone.
    fn empty(&self) {
        let _ = fs::write(self.0.join("cgroup.kill"), "1");
        for _ in 0..1000 {
            let events = fs::read_to_string(self.0.join("cgroup.events")).unwrap_or_default();
            if !events.contains("populated 1") {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        self.empty();
        let _ = fs::remove_dir(&self.0);
    }
}

/// What a monitored command did.
pub(super) struct Record {
    pub events: Vec<Event>,
    pub summary: Summary,
    pub output: Output,
    /// The programs had been left by an earlier run.
    pub reused: bool,
    pub tier: Tier,
}

impl Record {
    pub(super) fn any(&self, matches: impl Fn(&Kind) -> bool) -> bool {
        self.events.iter().any(|event| matches(&event.kind))
    }

    /// The only event that matches.
    #[track_caller]
    pub(super) fn one(&self, matches: impl Fn(&Kind) -> bool) -> &Event {
        let found: Vec<_> = self.events.iter().filter(|event| matches(&event.kind)).collect();
        match found.as_slice() {
            [one] => one,
            all => panic!("{} events match: {all:#?}\nof: {}", all.len(), self.list()),
        }
    }

    pub(super) fn list(&self) -> String {
        let lines =
            self.events.iter().map(|e| format!("{} {:?} ret {:?}\n", e.task.pid, e.kind, e.ret));
        lines.collect()
    }

    #[track_caller]
    pub(super) fn assert_complete(&self) {
        let counters = &self.summary.counters;
        assert!(self.summary.faults.is_empty(), "{:?}", self.summary.faults);
        assert!(counters.balanced(), "{counters:#?}");
        assert_eq!(counters.dropped, 0);
        assert_eq!(counters.sent, counters.received);
    }
}

/// Runs the command under the monitor. None, and SKIP on standard error, where that cannot be.
pub(super) fn run(command: &mut Command) -> Option<Record> {
    run_with(command, Setup::default())
}

pub(super) fn run_with(command: &mut Command, setup: Setup) -> Option<Record> {
    let loaded = match load(&setup.options) {
        Ok(loaded) => loaded,
        Err(error) => {
            // Programs that the kernel looked at and does not take are a defect of theirs.
            assert!(!error.reason.contains("the verifier:"), "{error}");
            eprintln!("SKIP eBPF: {error}");
            return None;
        }
    };
    let Some(cgroup) = Cgroup::new() else {
        eprintln!("SKIP eBPF: no writable cgroup v2 hierarchy");
        return None;
    };
    let target = Target {
        cgroup_id: cgroup.id(),
        cgroup: Some(File::open(&cgroup.0).unwrap()),
        start_ns: monotonic_ns(),
        freezer: setup.freezer.then(|| cgroup.writable("cgroup.freeze")),
        refusal: setup.refusal,
        wall: Box::new(|_, _| false),
        uid_map: Vec::new(),
    };
    let (reused, tier) = (loaded.reused(), loaded.tier());
    let sink = Events { all: Vec::new(), pause: setup.pause };
    let running = loaded.attach(target, sink).unwrap();
    let mut procs = cgroup.writable("cgroup.procs");
    // SAFETY: the closure makes one write(2) and allocates nothing.
    let command = unsafe { command.pre_exec(move || procs.write_all(b"0")) };
    // As a shell would say it.
    let failed = |error: std::io::Error| Output {
        status: ExitStatus::from_raw(127 << 8),
        stdout: Vec::new(),
        stderr: error.to_string().into_bytes(),
    };
    let output = command.output().unwrap_or_else(failed);
    cgroup.empty();
    let (events, summary) = running.finish();
    let mut events = events.all;
    // How the child got into its cgroup is not what it did.
    events.retain(|event| !joins(&event.kind));
    events.sort_by_key(|event| event.time_ns);
    Some(Record { events, summary, output, reused, tier })
}

fn joins(kind: &Kind) -> bool {
    matches!(kind, Kind::Write { path, .. } if path.ends_with("/cgroup.procs"))
}

#[track_caller]
pub(super) fn assert_success(record: &Record) {
    let Output { status, stderr, .. } = &record.output;
    assert!(
        status.success(),
        "{:?} {:?}: {}",
        status.code(),
        status.signal(),
        String::from_utf8_lossy(stderr)
    );
}

pub(super) fn sh(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    command
}

/// A folder of this test's own.
pub(super) fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("shieldx-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir(&path).unwrap();
    path
}

/// Compiles a C program. None, and SKIP, without a compiler.
pub(super) fn compile(folder: &Path, source: &str) -> Option<PathBuf> {
    let program = folder.join("program");
    fs::write(folder.join("program.c"), source).unwrap();
    let mut cc = Command::new("cc");
    cc.args(["-w", "-O1", "-pthread", "-o"]).arg(&program).arg(folder.join("program.c"));
    match cc.status() {
        Ok(status) => {
            assert!(status.success());
            Some(program)
        }
        Err(error) => {
            eprintln!("SKIP C program: no compiler ({error})");
            None
        }
    }
}

fn monotonic_ns() -> u64 {
    // The monitor measures from any point before the first event.
    let uptime = fs::read_to_string("/proc/uptime").unwrap();
    let seconds: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
    Duration::from_secs_f64(seconds - 0.01).as_nanos().try_into().unwrap()
}
