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
pub use config::Config;
pub use error::PoolError;
pub use pool::{Parts, Pool};
pub use readiness::dependencies;
