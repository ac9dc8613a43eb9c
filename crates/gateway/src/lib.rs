//! The door to the applications behind ShieldX and to its own APIs: every request is decided on, and
//! what is allowed goes on.
//!
//! ```text
//! request ─▶ admit ─▶ route ─▶ authenticate ─▶ assess ─▶ decide ─┬─▶ forward ─▶ application · decoy · own API
//!            shape    whose    API key          session   policy  └─▶ refuse     step-up · tarpit · block
//!                                               risk
//! ```
//!
//! One file per phase in `pipeline/`; a phase takes what only the one before can make, so that
//! nothing is forwarded that was not decided on. A refusal is a value; a dependency that fails is an
//! error and resolves through `on_failure` (invariant 2). The path that is matched and decided on is
//! byte for byte the path that is forwarded.
//!
//! The room knows no policy, no keys and no model of risk: those are ports. It keeps nothing.

mod api;
mod config;
mod document;
mod identity;
mod meters;
mod paths;
mod pipeline;
mod readiness;
mod respond;
mod routing;
mod service;
mod session;
mod tarpit;

pub use config::{Config, ConfigError, OnFailure, OnFailures, RouteConfig};
pub use service::{Gateway, OwnApis, Parts};

/// The spans that are made here, by name: all of them, which a test compares with the sources, and each
/// is made by a server that works, which another compares with one.
pub const SPANS: &[&str] =
    &["admit", "route", "authenticate", "assess", "decide", "forward", "refuse"];
