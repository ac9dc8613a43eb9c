//! ml-service: the feature store, and how unusual a run is against its tenant's own history.
//!
//! One append-only log of encoded batches is the truth; latest values and the anomaly's reference
//! are kept in memory and made again from it at every start. There is no snapshot of them yet: a
//! start reads the whole log.
//!
//! This room knows no verdict, no sandbox and no database: it answers with values and with numbers
//! that say what they rest on.

pub mod anomaly;
pub mod api;
pub mod batch;
pub mod codec;
pub mod config;
pub mod error;
pub mod history;
pub mod index;
mod intake;
pub mod metrics;
pub mod pipeline;
mod rebuild;
pub mod service;
#[cfg(test)]
mod testing;
pub mod time;
pub mod value;

pub use api::INGEST_BODY_MAX_BYTES;
pub use config::Config;
pub use error::MlError;
pub use pipeline::Accepted;
pub use pipeline::validate::{Row, Values};
pub use service::MlService;

/// The spans that are made here, by name: all of them, which a test compares with the sources, and each
/// is made by a server that works, which another compares with one.
pub const SPANS: &[&str] =
    &["ingest", "validate", "admit", "encode", "append", "index", "observe", "score", "rebuild"];
