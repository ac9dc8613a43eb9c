//! Service-level objectives as code: what an objective is, what its counts mean, when to alert and
//! whether to deploy, and every file other programs need to do the same.
//!
//! ```text
//! slo.yaml · OpenSLO ─▶ spec::Catalog ─┬─▶ generate: rules, tests, dashboards, runbooks
//!                                      │
//! counts of every ten seconds ─▶ history ─▶ evaluate ─▶ status ─┬─▶ alerts
//!                                                               └─▶ gate
//! ```
//!
//! This room does no I/O and reads no clock: bytes and times are handed in. It knows no service,
//! only their names.

pub mod alerts;
pub mod decimal;
pub mod evaluate;
pub mod gate;
pub mod generate;
pub mod history;
pub mod openslo;
pub mod spec;
pub mod status;
#[cfg(test)]
mod testing;

pub use spec::{Catalog, Slo, SloName};
pub use status::Status;
