//! How much of a run was seen, and how that is accounted for.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which monitor watched: one of three tiers of the kernel's, or the module's host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Tier {
    /// BPF LSM and fentry: capture that cannot be raced.
    A,
    /// eBPF on raw tracepoints; resolves at system call exit.
    B,
    /// seccomp user notification; no root needed.
    C,
    /// The host of a WebAssembly module: every call that can leave the module passes through it,
    /// before it takes effect and with its result.
    H,
    /// No monitor.
    #[serde(rename = "none")]
    None,
}

/// Full, reduced or incomplete (invariant 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Tier A, B or H and nothing was lost.
    Full,
    /// A lesser tier, complete for what it watches; or files or memory were not looked at whole.
    Reduced,
    /// Something was dropped, cut off or timed out, or the monitor was lost.
    Incomplete,
}

/// What the evidence of one run is worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    pub level: Level,
    pub tier: Tier,
    /// Why the level is not full, one sentence each; empty when it is.
    pub reasons: Vec<String>,
    /// Detector ids that could not see what they look for under this tier.
    pub blind_detectors: Vec<String>,
    pub counters: Counters,
}

/// Event accounting. Invariant, per type and in sum: `seen = received + dropped + aggregated`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counters {
    /// Events that the monitor's source met (counted in the kernel for tiers A and B).
    pub seen: u64,
    /// Events that the source put into a ring.
    pub sent: u64,
    /// Events that user space took out of a ring.
    pub received: u64,
    /// Events lost because a ring was full.
    pub dropped: u64,
    /// Events with a string or list that was cut.
    pub truncated: u64,
    /// Events folded into an earlier one at the source.
    pub aggregated: u64,
    /// How often the job was held back so that a ring could drain.
    pub throttled: u64,
    /// The same by event type.
    #[serde(default)]
    pub by_type: BTreeMap<String, TypeCounters>,
}

/// Counters of one event type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TypeCounters {
    pub seen: u64,
    pub sent: u64,
    pub received: u64,
    pub dropped: u64,
    pub truncated: u64,
    pub aggregated: u64,
}

impl Counters {
    /// Whether the books balance: everything seen was received, dropped or aggregated.
    #[must_use]
    pub fn balanced(&self) -> bool {
        let sum = |c: &TypeCounters| c.received + c.dropped + c.aggregated;
        self.seen == self.received + self.dropped + self.aggregated
            && self.by_type.values().all(|c| c.seen == sum(c))
    }
}
