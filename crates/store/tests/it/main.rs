//! The store as services use it: through its traits, on real files.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod artifacts;
mod crash;
mod disk;
mod features;
mod journal;
mod keys;
mod model;
mod queue;
mod sessions;
mod support;
mod tenants;
mod traces;
