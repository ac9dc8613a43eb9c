//! The front door: takes requests from anybody, refuses what is malformed, too much or too fast, and
//! hands the rest to the gateway with a request id, a trace and the word of where it came from.
//!
//! It knows no keys, tenants or policies: it believes nobody and decides nothing about anybody.

mod config;
mod counts;
mod limit;
mod pipeline;
mod request_id;
mod service;
mod trace;

pub use config::{Config, ConfigError, Rate, Tls, Traceparents};
pub use service::Ingress;

/// The spans that are made here, by name: all of them, which a test compares with the sources, and each
/// is made by a server that works, which another compares with one.
pub const SPANS: &[&str] = &["admit", "forward"];
