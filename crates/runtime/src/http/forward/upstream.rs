//! Where requests are forwarded to.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Requests an upstream is given at the same time unless said otherwise.
pub const IN_FLIGHT_MAX: usize = 4096;

/// An application's base URL: `http://host:port`. Clones share the count of requests.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Upstream {
    authority: Authority,
    free: Arc<Semaphore>,
}

/// Why a text is no upstream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an upstream is `http://host:port` without a path, and {text:?} is not: {reason}")]
pub struct BadUpstream {
    pub text: String,
    pub reason: &'static str,
}

impl Upstream {
    /// The same upstream, with another bound on requests at the same time and a count of its own.
    #[must_use]
    pub fn with_in_flight_max(self, max: usize) -> Self {
        let free = Arc::new(Semaphore::new(max.clamp(1, Semaphore::MAX_PERMITS)));
        Self { free, ..self }
    }

    /// `host:port` or `host`.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The port, 80 where none is named.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(80)
    }

    pub(super) fn enter(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).try_acquire_owned().ok()
    }

    /// This upstream's URL for a target, which is kept byte for byte.
    pub(super) fn url(&self, target: Option<PathAndQuery>) -> Result<Uri, http::Error> {
        let target = target.unwrap_or_else(|| PathAndQuery::from_static("/"));
        let url = Uri::builder().scheme(Scheme::HTTP).authority(self.authority.clone());
        url.path_and_query(target).build()
    }
}

impl FromStr for Upstream {
    type Err = BadUpstream;

    fn from_str(text: &str) -> Result<Self, BadUpstream> {
        let bad = |reason| BadUpstream { text: text.to_owned(), reason };
        let url: Uri = text.parse().map_err(|_| bad("it is no URL"))?;
        if url.scheme() != Some(&Scheme::HTTP) {
            return Err(bad("the scheme is not http"));
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || text.contains('#') {
            return Err(bad("it has a path, a query or a fragment"));
        }
        let authority = url.authority().cloned().ok_or_else(|| bad("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(bad("it has a user"));
        }
        if authority.host().is_empty() {
            return Err(bad("it has no host"));
        }
        if authority.as_str().len() > authority.host().len() && authority.port_u16().is_none() {
            return Err(bad("the port is no number from 0 to 65535"));
        }
        Ok(Self { authority, free: Arc::new(Semaphore::new(IN_FLIGHT_MAX)) })
    }
}

impl TryFrom<String> for Upstream {
    type Error = BadUpstream;

    fn try_from(text: String) -> Result<Self, BadUpstream> {
        text.parse()
    }
}

impl From<Upstream> for String {
    fn from(upstream: Upstream) -> Self {
        upstream.to_string()
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upstream({self})")
    }
}

impl PartialEq for Upstream {
    fn eq(&self, other: &Self) -> bool {
        self.authority == other.authority
    }
}

impl Eq for Upstream {}
