//! ml-service through its router and its port, on a log in memory and on the real store.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod anomaly;
mod bad_input;
mod bounds;
mod history;
mod latest;
mod model;
mod restart;
mod support;
