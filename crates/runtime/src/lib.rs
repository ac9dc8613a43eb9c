//! What every service stands on: clock, shutdown, named tasks, metrics, telemetry, HTTP.
//!
//! Nothing here knows what a service is for, and nothing reads arguments, environment or files of
//! configuration (invariant 1): whoever composes a process hands everything in.

pub mod clock;
pub mod http;
pub mod metrics;
pub mod shutdown;
pub mod sli;
pub mod tasks;
pub mod telemetry;
