//! What a caller asks a runner to do. Plain data, already validated by the caller.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use types::{Event, Limits};

/// Distinct events kept in one recording, where a caller has no bound of its own.
pub const EVENTS_MAX: usize = 500_000;

/// One command and the walls around it.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Identifies the run in cgroup names and reports (UUIDv7).
    pub id: String,
    /// RFC 3339, UTC; passed through to the recording.
    pub started_at: String,
    /// The program file, resolved; `argv[0]` is `command[0]`.
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

    pub(crate) fn tell(&self, seen: Seen<'_>) {
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
