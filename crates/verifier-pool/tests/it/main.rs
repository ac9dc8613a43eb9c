//! The pool through its router and its workers, on the real store; only the sandbox, the judge, the
//! anomaly source and the keys are played.
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod bad_input;
mod events;
mod faults;
mod lab;
mod pipeline;
mod played;
mod reports;
mod routes;
mod sandboxes;
mod spans;
mod tenants;
mod uploads;
