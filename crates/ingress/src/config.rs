//! What the operator says about the ingress.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;

use governor::Quota;
use runtime::http::edge::BadSecret;
use runtime::http::server::Limits;
use serde::{Deserialize, Serialize};

/// The ingress' settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where HTTP/1.1 and HTTP/2 are taken in cleartext.
    pub public: SocketAddr,
    /// Where TLS is taken; without it there is none.
    pub tls: Option<Tls>,
    /// Where `/metrics`, `/healthz` and `/readyz` are.
    pub internal: SocketAddr,
    /// Bounds of the public listeners, each for itself.
    pub limits: Limits,
    /// Bytes of a request's body; more are answered with 413. Bodies are streamed: this bounds
    /// time and traffic, not memory. Services have smaller limits of their own.
    pub body_max_bytes: u64,
    /// Requests of one client address (of one /64 with IPv6).
    pub rate_per_address: Rate,
    /// Requests with one API key, counted as well, whether the key is good or not.
    pub rate_per_key: Rate,
    /// Whose traces are continued.
    pub accept_traceparent: Traceparents,
}

/// The TLS listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    #[serde(default = "tls_address")]
    pub address: SocketAddr,
    /// PEM file: the server's certificate and then its chain.
    pub certificate: PathBuf,
    /// PEM file: the private key.
    pub key: PathBuf,
}

/// How many requests may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Requests per second in the long run; 0 for no limit.
    pub per_second: u32,
    /// Requests at once after a pause.
    pub burst: u32,
}

/// Whose `traceparent` is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Traceparents {
    /// Every well-formed one: a client's trace goes on through ShieldX.
    Always,
    /// None: every trace begins here, and no client decides what is sampled.
    Never,
}

/// Settings that cannot be.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error(
        "`{field}` lets {per_second} requests per second pass, but none at once: set `burst` to 1 or more"
    )]
    NoBurst { field: &'static str, per_second: u32 },
    #[error("the ingress cannot prove itself to the gateway")]
    Edge {
        #[source]
        source: BadSecret,
    },
}

impl Default for Config {
    fn default() -> Self {
        Self {
            public: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            tls: None,
            internal: SocketAddr::from((Ipv4Addr::LOCALHOST, 8081)),
            limits: Limits::default(),
            body_max_bytes: 2 << 30,
            rate_per_address: Rate { per_second: 2_000, burst: 4_000 },
            rate_per_key: Rate { per_second: 1_000, burst: 2_000 },
            accept_traceparent: Traceparents::Always,
        }
    }
}

fn tls_address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 8443))
}

impl Rate {
    /// `None`: no limit.
    pub(crate) fn quota(self, field: &'static str) -> Result<Option<Quota>, ConfigError> {
        let Some(per_second) = NonZeroU32::new(self.per_second) else {
            return Ok(None);
        };
        let no_burst = ConfigError::NoBurst { field, per_second: self.per_second };
        let burst = NonZeroU32::new(self.burst).ok_or(no_burst)?;
        Ok(Some(Quota::per_second(per_second).allow_burst(burst)))
    }
}
