//! Continuous authentication: how likely it is that a session is no longer in the hands of its
//! subject.
//!
//! ```text
//! telemetry ─▶ check ─▶ windows ─▶ p-values ─▶ evidence ─▶ session ─▶ risk
//!             (shape)  (features)  (reference)            (store)    (pure, from memory)
//!                                      ▲  learns what passes for the subject's own
//!                                   profile
//! ```
//!
//! One file per step: [`telemetry`], `features`, `reference`, `evidence`, `surroundings`, `observe`,
//! `risk`; [`service`] joins them to the store and [`api`] to HTTP.
//!
//! **Invariants.** No value of a key is taken, and none could be kept: there is no field for one. A
//! new subject is *unknown*, neither trusted nor suspected. Behaviour alone never makes a session
//! *high*. This room decides nothing: what follows from a risk is the policy's.

pub mod api;
pub mod config;
pub mod error;
pub mod service;
pub mod telemetry;

mod cache;
mod evidence;
mod features;
mod meters;
mod observe;
mod profile;
mod reference;
mod risk;
mod session;
mod surroundings;
mod vector;

pub use config::Config;
pub use error::Error;
pub use service::{Contauth, Reported};
pub use telemetry::TELEMETRY_BODY_MAX_BYTES;

/// The spans that are made here, by name: all of them, which a test compares with the sources, and each
/// is made by a server that works, which another compares with one.
pub const SPANS: &[&str] =
    &["contauth.report", "contauth.observe", "contauth.risk", "contauth.forget", "contauth.expire"];

#[cfg(test)]
mod evaluation;
#[cfg(test)]
#[path = "../tests/it/typist.rs"]
mod typist;
