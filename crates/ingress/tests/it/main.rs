//! The ingress with real sockets, in front of a gateway that says what it was told.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod abuse;
mod admission;
mod harness;
mod objectives;
