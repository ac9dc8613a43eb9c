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
