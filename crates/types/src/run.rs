//! One execution: what was asked for, under which isolation, how it ended and what it left.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::activity::Activity;
use crate::anomaly::Anomaly;
use crate::event::Event;
use crate::evidence::{Counters, Tier};
use crate::text::Text;

/// What was asked for and what was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// UUIDv7.
    pub id: String,
    /// When the run started, RFC 3339, UTC.
    pub started_at: String,
    pub command: Vec<Text>,
    /// The program file the command resolved to.
    pub program: Text,
    pub cwd: Text,
    pub runner: String,
    pub tier: Tier,
    pub isolation: Isolation,
    pub limits: Limits,
    pub ending: Ending,
    /// Wall-clock length in nanoseconds, from start to the last process reaped.
    pub duration_ns: u64,
    /// CPU time of the whole tree in microseconds, where a cgroup or rusage told it.
    pub cpu_us: u64,
    /// Highest memory use of the tree in bytes, where a cgroup told it.
    pub memory_peak_bytes: Option<u64>,
    /// What carried the run, where that is more than this host's kernel: `vmm`, `acceleration`,
    /// `kernel`, `kernel_sha256`, `image`, `fuel` …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub engine: BTreeMap<String, String>,
    /// Files that were planted to be touched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decoys: Vec<Text>,
    /// The beginning of the script that the command names, as it was before the run: what it says
    /// and no process does leaves no event. Absent where the command names no text of somebody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<Text>,
}

/// Each wall of the sandbox: `on`, or why it is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Isolation {
    /// Wall by name (`namespaces`, `root`, `seccomp`, `landlock`, `cgroups`, `network` …) and what
    /// was applied, in words.
    pub walls: Vec<Wall>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Wall {
    pub name: String,
    /// Whether the wall stands as designed.
    pub on: bool,
    pub detail: String,
}

/// The bounds the run was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    pub timeout_ms: u64,
    pub memory_bytes: u64,
    pub pids: u32,
    /// CPU share in percent of one core; 0 for no limit.
    pub cpu_percent: u32,
    pub output_bytes: u64,
    pub disk_bytes: u64,
}

/// How the command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum Ending {
    Exited {
        code: i32,
    },
    Signaled {
        signal: i32,
    },
    /// The wall-clock limit was reached and everything was killed.
    TimedOut,
    /// A signal to shieldx itself (Ctrl-C, SIGTERM) ended the run.
    Interrupted {
        signal: i32,
    },
}

/// A file that differs from the host's, or is new, when the run is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileChange {
    pub path: Text,
    /// `created`, `modified`, `deleted`, `metadata`.
    pub change: String,
    /// `file`, `directory`, `symlink`, `fifo`, `socket`, `device`.
    pub file_type: String,
    pub size_bytes: u64,
    /// Permission bits, as a number.
    pub mode: u32,
    /// SHA-256 of a regular file's content in lowercase hexadecimal; absent when not hashed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Shannon entropy of the content in thousandths of a bit per byte (0–8000).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entropy_millibits: Option<u32>,
    /// Where a symbolic link points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_target: Option<Text>,
    /// What the content is, by its first bytes: `elf`, `script`, `zip`, `gzip`, `png`, `text` …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
}

/// A rule of a rule set that applies to events of the run (Sigma).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuleMatch {
    /// The rule's own id (a UUID for Sigma), or its name where it has none.
    pub rule: String,
    pub title: String,
    /// `informational`, `low`, `medium`, `high`, `critical`.
    pub level: String,
    /// ATT&CK technique ids.
    pub techniques: Vec<String>,
    /// Ids of the events it applies to, at most 16.
    pub events: Vec<u64>,
}

/// A set of rules that was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuleSet {
    /// `sigma`, `yara`.
    pub language: String,
    /// `built-in` or the folder's name.
    pub source: String,
    pub rules: u64,
    /// Rules that were there and could not be applied.
    pub skipped: u64,
    /// SHA-256 over the applied rules, lowercase hexadecimal.
    pub sha256: String,
}

/// Everything a verdict is computed from. The same recording always gives the same verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recording {
    pub run: Run,
    /// Ordered by time; ids count from 1.
    pub events: Vec<Event>,
    pub counters: Counters,
    /// What went wrong with the monitor or the recording, one sentence each; empty when nothing.
    pub faults: Vec<String>,
    /// What the command printed (bounded); absent in streams of events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Output>,
    /// How unusual the run is against its tenant's own history; absent where nobody was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anomaly: Option<Anomaly>,
    /// The rules that were applied, and which of them match; empty where none were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rule_sets: Vec<RuleSet>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<RuleMatch>,
    /// What was counted beside the events; absent in files.
    #[serde(default, skip_serializing_if = "Activity::is_empty")]
    #[schemars(skip)]
    pub activity: Activity,
}

/// The bounded output of a command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    pub stdout: Text,
    pub stderr: Text,
    pub stdout_bytes: u64,
    pub stderr_bytes: u64,
    pub truncated: bool,
    /// Why the caller did not get all of it, where passing it on failed. A reader that went away is
    /// no failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_passed_on: Option<String>,
}
