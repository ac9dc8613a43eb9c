//! The store as services use it: through its traits, on real files.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod queue;
mod support;
