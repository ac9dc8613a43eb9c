//! What a caller asks a runner to do. Plain data, already validated by the caller.

use std::ffi::OsString;
use std::path::PathBuf;

use types::Limits;

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
}

/// A folder or file of the host shown inside.
#[derive(Debug, Clone)]
pub struct Mount {
    pub source: PathBuf,
    pub target: PathBuf,
    /// Writes reach the host.
    pub writable: bool,
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
