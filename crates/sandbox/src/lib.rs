//! Runs one untrusted command and tells what it did.
//!
//! A [`Runner`] states its capability, runs a [`Spec`] and returns a [`Recording`]. This room knows
//! isolation and kernel events; it knows no policy, score or verdict (invariant 3), and reads no
//! arguments, environment or configuration (invariant 1).

pub mod beside;
pub mod content;
pub mod landlock;
pub mod memory;
pub mod monitor;
pub mod net;
pub mod pause;
pub mod probe;
pub mod root;
pub mod runner;
pub mod seccomp;
pub mod spec;
mod sys;

pub use runner::{RunError, Runner, Unsupported};
pub use spec::{
    Allowed, Artifacts, Copied, Decoy, EVENTS_MAX, Memory, MonitorChoice, Mount, Net, Observer,
    Root, Seen, Spec, Stdin, Wasm,
};

/// CLOCK_MONOTONIC in nanoseconds: what the monitors' times are relative to.
#[must_use]
pub fn monotonic_ns() -> u64 {
    sys::monotonic_ns()
}
