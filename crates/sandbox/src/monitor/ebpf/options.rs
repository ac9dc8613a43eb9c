//! What a caller says of a run: before the programs are loaded, and when they are pointed at it.

use std::fs::File;
use std::time::Duration;

use super::Guard;
use crate::monitor::{Refusal, Wall};

/// How long a job may be held back altogether because it makes events faster than they can be taken.
pub const HELD_MAX: Duration = Duration::from_secs(60);

/// What must be known before the programs are loaded.
#[derive(Debug, Clone)]
pub struct Options {
    /// Calls that the sandbox's policy may refuse, by number: their refusals are always events.
    pub refusable: Vec<u32>,
    /// The errnos a refusal can have.
    pub refusal_errnos: Vec<i32>,
    /// Ring sizes in bytes, powers of two.
    pub critical_len: u32,
    pub bulk_len: u32,
    /// The folder of the BPF filesystem where runs leave programs to later ones; without it they are
    /// loaded for this run alone.
    pub pins: Option<String>,
    /// What may be refused to the run in the kernel, where that can be done (tier A).
    pub guard: Guard,
    /// Whether paths are captured as the kernel resolved them, where that can be done (tier A).
    pub capture: bool,
    /// A job that floods the monitor is ended once it has been held back for this long altogether, and
    /// the record is incomplete.
    pub held_max: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            refusable: Vec::new(),
            refusal_errnos: vec![libc::EPERM, libc::EACCES, libc::ENOSYS, libc::EAFNOSUPPORT],
            critical_len: 4 << 20,
            bulk_len: 4 << 20,
            pins: Some("shieldx".to_owned()),
            guard: Guard::default(),
            capture: true,
            held_max: HELD_MAX,
        }
    }
}

/// The run to watch.
pub struct Target {
    /// Its cgroup-v2 id, which is the inode number of the cgroup's folder.
    pub cgroup_id: u64,
    /// The cgroup's folder, open; without it the bytes of packets are not counted.
    pub cgroup: Option<File>,
    /// CLOCK_MONOTONIC at the run's start.
    pub start_ns: u64,
    /// The cgroup's `cgroup.freeze`, open for writing: without it a flood of events may be lost.
    pub freezer: Option<File>,
    pub refusal: Refusal,
    /// Refusals of the walls around files.
    pub wall: Wall,
    /// (inside, outside, count) lines of the sandbox's user namespace; empty when it has none of
    /// its own.
    pub uid_map: Vec<(u32, u32, u32)>,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").field("cgroup_id", &self.cgroup_id).finish_non_exhaustive()
    }
}
