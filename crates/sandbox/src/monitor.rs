//! Kernel monitors: one event schema over every tier.

pub mod dns;
pub mod ebpf;
pub mod notify;

use std::collections::BTreeMap;

use types::{Calls, Counters, Durations, Event, Kind, Traffic};

/// Where a monitor puts what it sees. Events arrive in any order with `id` 0; whoever records them
/// sorts by time and numbers them.
pub trait Sink: Send {
    fn event(&mut self, event: Event);
}

/// Answers with the errno when the sandbox's own policy refuses this call
/// (number, six register arguments), so that a monitor can tell a blocked call from a failed one.
pub type Refusal = Box<dyn Fn(u32, &[u64; 6]) -> Option<i32> + Send>;

/// Answers whether the sandbox's walls around files give this errno to what was tried. Its paths are
/// whole: absolute, and without `..`.
pub type Wall = Box<dyn Fn(&Kind, i32) -> bool + Send>;

/// What a monitor knows about its own completeness when it stops.
#[derive(Debug, Default)]
pub struct Summary {
    pub counters: Counters,
    /// One sentence for each thing that makes the record incomplete; empty when nothing does.
    pub faults: Vec<String>,
    /// System calls by name, as `types::Activity` has them.
    pub calls: BTreeMap<String, Calls>,
    /// Sampled durations of system calls, as `types::Activity` has them.
    pub durations: Durations,
    /// Bytes of packets by protocol, as `types::Activity` has them.
    pub traffic: BTreeMap<String, Traffic>,
    /// What of tier A was at work, in words; none where nothing was.
    pub attachments: Option<String>,
    /// Writes that found a filesystem in memory, or an overlay, full.
    pub no_room: u64,
}

/// This host or user cannot run the monitor.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Unavailable {
    pub reason: String,
}
