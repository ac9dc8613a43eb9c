//! Tests of the runtime with real sockets.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod http;
mod telemetry;
