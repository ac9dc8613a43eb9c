//! What a caller asks a runner to do. Plain data, already validated by the caller.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::{File, FileTimes};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use types::ports::Scanner;
use types::{Event, Limits};

use crate::memory::Demand;
use crate::pause::Pause;

/// Distinct events kept in one recording, where a caller has no bound of its own.
pub const EVENTS_MAX: usize = 500_000;

/// One command and the walls around it.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Identifies the run in cgroup names and reports (UUIDv7).
    pub id: String,
    /// RFC 3339, UTC; passed through to the recording.
    pub started_at: String,
    /// The program file, resolved; `argv[0]` is `command[0]`. A bare name is looked up inside, along
    /// PATH of `env`: for roots that only exist inside.
    pub program: PathBuf,
    pub command: Vec<OsString>,
    /// The complete environment of the command.
    pub env: Vec<(OsString, OsString)>,
    pub cwd: PathBuf,
    /// `cwd` is a new, empty folder of the command's user, in memory; a folder of the host with
    /// that name is not shown. It must not be a system folder.
    pub cwd_is_new: bool,
    /// Files put into the command's private folders before it starts.
    pub copies: Vec<Copied>,
    /// Folders of the host that the command must not see (the caller's home, /root …).
    pub hidden: Vec<PathBuf>,
    /// Exceptions inside `hidden`: tool folders that PATH names (writes to them stay in memory), and
    /// single programs (read-only).
    pub tools: Vec<PathBuf>,
    pub mounts: Vec<Mount>,
    pub net: Net,
    /// Whom `Net::Allow` lets the command talk to.
    pub allow: Vec<Allowed>,
    /// What the root folder is made of.
    pub root: Root,
    /// Tar files (also gzip) laid over the root, the last on top. Whiteouts are OCI's, as in
    /// [`Artifacts::snapshot`]: a run can start from what another one wrote.
    pub layers: Vec<PathBuf>,
    /// Lets somebody else pause the run.
    pub pause: Option<Pause>,
    /// Files planted to be touched; their paths are in the recording.
    pub decoys: Vec<Decoy>,
    /// Looks for known patterns in dropped files and in memory.
    pub scanner: Option<Arc<dyn Scanner>>,
    /// Whether and how far memory is looked at.
    pub memory: Memory,
    /// Lets somebody else ask for a look at memory while the run goes on.
    pub demand: Option<Demand>,
    /// Where artifacts of the run are written.
    pub artifacts: Artifacts,
    /// What the `wasm` runner grants a module.
    pub wasm: Wasm,
    pub limits: Limits,
    pub stdin: Stdin,
    /// Where changed regular files are copied after the run.
    pub keep: Option<PathBuf>,
    pub monitor: MonitorChoice,
    /// Also pass the command's output through to the caller's own standard streams.
    pub pass_output: bool,
    /// Distinct events that the recording keeps, at most; more make it incomplete.
    pub events_max: usize,
    /// Hears how the run goes on.
    pub observer: Option<Observer>,
}

/// A folder or file of the host shown inside.
#[derive(Debug, Clone)]
pub struct Mount {
    pub source: PathBuf,
    pub target: PathBuf,
    /// Writes reach the host.
    pub writable: bool,
}

/// A copy of a host's file for the command: executable, owned by the command's user. Its size is
/// not taken from what the command may write.
#[derive(Debug, Clone)]
pub struct Copied {
    /// A regular file, readable for the caller; its mode and owner do not matter.
    pub source: PathBuf,
    /// Inside, in a folder that is private to the command: a new `cwd`, /tmp, a hidden folder.
    pub target: PathBuf,
}

/// What is told while a run goes on.
#[derive(Debug)]
pub enum Seen<'a> {
    /// A phase began: `build`, `run`, `collect`.
    Phase(&'static str),
    /// An event that will be in the recording. Its id is 0: ids are given when the run is over.
    Event(&'a Event),
}

/// Hears what is seen; called from the threads of the monitor and must not block them.
#[derive(Clone)]
pub struct Observer(Arc<dyn Fn(Seen<'_>) + Send + Sync>);

impl Observer {
    pub fn new(hear: impl Fn(Seen<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hear))
    }

    pub fn tell(&self, seen: Seen<'_>) {
        (self.0)(seen);
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Net {
    /// A network namespace with nothing up in it.
    None,
    /// A network namespace with its own loopback.
    Loopback,
    /// A network namespace in which somebody answers everything, and from which no packet leaves.
    Sink,
    /// As `Loopback`, and a proxy that logs and passes on what `Spec::allow` names.
    Allow,
}

/// A peer the command may reach through the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// A name or an address, lower case.
    pub host: String,
    pub port: u16,
}

/// What the root folder of the command is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Root {
    /// The host's files below an overlay.
    #[default]
    Host,
    /// A folder that holds a root.
    Folder(PathBuf),
    /// A tar file (also gzip) that holds a root.
    Tar(PathBuf),
    /// A folder with an OCI image layout, and the name of the image in it where there are several.
    Oci(PathBuf, Option<String>),
    /// An image the Docker daemon has, by its name. Runner `docker` only.
    Image(String),
}

/// A file that nobody has a reason to touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoy {
    /// Inside, in a folder that is private to the command.
    pub path: PathBuf,
    pub content: Vec<u8>,
    pub mode: u32,
    /// When it was last written, since 1970: what was all made a moment ago was made for somebody.
    pub modified: Duration,
}

impl Decoy {
    /// The folders that decoys lie in, up to `/`, and when something in each was last written.
    #[must_use]
    pub fn folders(decoys: &[Self]) -> BTreeMap<PathBuf, Duration> {
        let mut folders = BTreeMap::new();
        for decoy in decoys {
            for folder in decoy.path.ancestors().skip(1) {
                let newest = folders.entry(folder.to_owned()).or_insert(decoy.modified);
                *newest = decoy.modified.max(*newest);
            }
        }
        folders
    }
}

/// Gives a file or folder of a run the time it pretends to be of.
///
/// # Errors
/// When it does not take it.
pub fn date(file: &File, modified: Duration) -> io::Result<()> {
    let time = SystemTime::UNIX_EPOCH + modified;
    file.set_times(FileTimes::new().set_accessed(time).set_modified(time))
}

/// Whether and how far the memory of the command's processes is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// At a W+X event, before exit, at the time-out and on demand.
    pub scan: bool,
    /// A process is never held longer than this for a scan, in milliseconds.
    pub hold_ms: u64,
    /// Bytes read from one process, at most.
    pub read_bytes: u64,
}

impl Default for Memory {
    fn default() -> Self {
        Self { scan: true, hold_ms: 100, read_bytes: 64 << 20 }
    }
}

/// Where artifacts of a run are written; what is absent is not made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Artifacts {
    /// Everything the command wrote, as a tar file: an OCI layer over the root the run had.
    pub snapshot: Option<PathBuf>,
    /// What went over the sink's wires, as pcapng.
    pub packets: Option<PathBuf>,
    /// A folder for core dumps of processes with findings in memory.
    pub cores: Option<PathBuf>,
}

/// What a WebAssembly module gets. Everything else is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wasm {
    /// Capabilities by name: `args`, `env`, `stdin`, `clock`, `random`, `filesystem:DIR[:rw]`,
    /// `network:HOST:PORT`.
    pub grants: Vec<String>,
    /// A manifest that says what the module needs, and the key its signature is checked with.
    pub manifest: Option<PathBuf>,
    pub trusted_key: Option<PathBuf>,
    /// Instructions, in wasmtime's units of fuel; `None` for no bound but time.
    pub fuel: Option<u64>,
    /// Clocks stand still, random numbers are a fixed sequence.
    pub deterministic: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stdin {
    Null,
    Inherit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MonitorChoice {
    /// The best tier this host has.
    Auto,
    /// Tier B or an error.
    Ebpf,
    /// Tier C.
    Notify,
    Off,
}
