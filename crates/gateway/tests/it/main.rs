//! The gateway on a real port, between raw clients and raw upstreams that keep what they were sent.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod actions;
mod decisions;
mod failures;
mod identity;
mod objectives;
mod own;
mod paths;
mod streams;
mod support;
