//! The artifact door: takes artifacts in, queues them, has each run in a sandbox and judged, and
//! gives the report out.
//!
//! This room knows neither how a sandbox is built nor what makes a recording suspicious: it is
//! handed an `Executor` and a `Judge` and never asks who answers. What it answers for is that
//! accepted work is durable, runs, and comes to exactly one result.

mod api;
mod config;
mod error;
mod hub;
pub mod identify;
mod metrics;
mod order;
mod pipeline;
mod places;
mod pool;
mod readiness;

pub use api::router;
pub use config::{Config, SPARE_WORKERS_MAX};
pub use error::PoolError;
pub use pool::{Parts, Pool};
pub use readiness::{dependencies, extras};

/// The spans that are made here, by name: all of them, which a test compares with the sources, and each
/// is made by a server that works, which another compares with one.
pub const SPANS: &[&str] = &[
    "submit",
    "verify",
    "fetch",
    "run",
    "sandbox.build",
    "sandbox.run",
    "sandbox.collect",
    "features",
    "anomaly",
    "assess",
    "finish",
];
