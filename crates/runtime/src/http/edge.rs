//! Where a request came from: the peer of its connection, or, where the ingress stands in between,
//! what the ingress says.
//!
//! The gateway's peer is always the ingress, on a loopback address that other programs of the
//! machine reach, too. So the ingress proves itself with a secret that is drawn at the start of the
//! process and leaves it never: `X-ShieldX-Edge`. Whoever does not know it is taken for what its
//! connection is. Nothing is believed because of an address.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Request, header};

use super::Peer;
use super::admission::sole;
use super::server::Transport;

/// The ingress' proof.
pub const EDGE: HeaderName = HeaderName::from_static("x-shieldx-edge");
/// The one header with [`INTERNAL_PREFIX`] that a client says: the session it is in. The gateway reads
/// it and says it anew.
pub const SESSION: HeaderName = HeaderName::from_static("x-shieldx-session");
/// What begins so is only said inside ShieldX; from outside it is removed, but [`SESSION`].
pub const INTERNAL_PREFIX: &str = "x-shieldx-";
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Says the same as ours in other words; removed so that no application believes a caller.
const FOREIGN: [&str; 8] = [
    "forwarded",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-server",
    "x-forwarded-uri",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
];

/// Where a request came from, as a request extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The client's address.
    pub address: IpAddr,
    /// How the client reached us.
    pub transport: Transport,
    /// What the client called us.
    pub host: Option<Authority>,
}

impl Origin {
    /// Of a request: what was found out before ([`Edge::admit`]), or what its connection is.
    #[must_use]
    pub fn of<B>(request: &Request<B>) -> Self {
        request.extensions().get::<Self>().cloned().unwrap_or_else(|| Self::of_connection(request))
    }

    fn of_connection<B>(request: &Request<B>) -> Self {
        let extensions = request.extensions();
        let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
        let address = extensions.get::<Peer>().map_or(unknown, |peer| peer.0).ip().to_canonical();
        let transport = extensions.get::<Transport>().copied().unwrap_or(Transport::Plain);
        let host = request.uri().authority().cloned().or_else(|| {
            let host = request.headers().get(header::HOST)?;
            Authority::try_from(host.as_bytes()).ok()
        });
        Self { address, transport, host }
    }

    /// Says so in `X-Forwarded-For`, `-Proto` and `-Host`, in place of whatever was there.
    pub fn announce(&self, headers: &mut HeaderMap) {
        forget(headers);
        if let Ok(address) = HeaderValue::try_from(self.address.to_string()) {
            headers.insert(X_FORWARDED_FOR, address);
        }
        let scheme = match self.transport {
            Transport::Plain => "http",
            Transport::Tls => "https",
        };
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme));
        let host = self.host.as_ref().and_then(|host| HeaderValue::try_from(host.as_str()).ok());
        if let Some(host) = host {
            headers.insert(X_FORWARDED_HOST, host);
        }
    }
}

/// The secret that ingress and gateway of one process share.
#[derive(Clone, PartialEq, Eq)]
pub struct Edge {
    secret: HeaderValue,
}

impl fmt::Debug for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Edge(…)")
    }
}

/// A secret that is none.
#[derive(Debug, thiserror::Error)]
#[error(
    "the secret between ingress and gateway has at least {EDGE_SECRET_BYTES_MIN} visible ASCII characters"
)]
pub struct BadSecret;

/// 128 bits in hexadecimal.
const EDGE_SECRET_BYTES_MIN: usize = 32;

impl Edge {
    /// # Errors
    /// When the secret is too short, or no header's value.
    pub fn new(secret: &str) -> Result<Self, BadSecret> {
        if secret.len() < EDGE_SECRET_BYTES_MIN
            || !secret.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(BadSecret);
        }
        let mut secret = HeaderValue::from_str(secret).map_err(|_| BadSecret)?;
        secret.set_sensitive(true);
        Ok(Self { secret })
    }

    /// For the ingress: proves itself on a request it forwards.
    pub fn prove(&self, headers: &mut HeaderMap) {
        headers.insert(EDGE, self.secret.clone());
    }

    /// For the gateway: finds out where the request came from, keeps it as the extension
    /// [`Origin`], and removes everything from the headers that says so or that only ShieldX says.
    pub fn admit<B>(&self, request: &mut Request<B>) -> Origin {
        let told = self.proven(request.headers()).then(|| told(request)).flatten();
        let origin = told.unwrap_or_else(|| Origin::of_connection(request));
        forget(request.headers_mut());
        forget_internal(request.headers_mut());
        request.extensions_mut().insert(origin.clone());
        origin
    }

    /// Whether it is the ingress that sent this.
    #[must_use]
    pub fn proven(&self, headers: &HeaderMap) -> bool {
        let Ok(Some(value)) = sole(headers, &EDGE) else {
            return false;
        };
        let (given, secret) = (value.as_bytes(), self.secret.as_bytes());
        // In a time that does not depend on where they differ.
        let differ = given.iter().zip(secret).fold(0, |differ, (a, b)| differ | (a ^ b));
        given.len() == secret.len() && differ == 0
    }
}

/// What the ingress says; `None` when that is not what an ingress says.
fn told<B>(request: &Request<B>) -> Option<Origin> {
    let headers = request.headers();
    let address = headers.get(X_FORWARDED_FOR)?.to_str().ok()?.parse().ok()?;
    let transport = match headers.get(X_FORWARDED_PROTO)?.as_bytes() {
        b"http" => Transport::Plain,
        b"https" => Transport::Tls,
        _ => return None,
    };
    let host = headers.get(X_FORWARDED_HOST).map(|host| Authority::try_from(host.as_bytes()));
    Some(Origin { address, transport, host: host.transpose().ok()? })
}

/// Removes every header that says where a request came from.
fn forget(headers: &mut HeaderMap) {
    for name in [X_FORWARDED_FOR, X_FORWARDED_PROTO, X_FORWARDED_HOST] {
        headers.remove(name);
    }
    for name in FOREIGN {
        headers.remove(name);
    }
}

/// Removes every header that only ShieldX says.
pub fn forget_internal(headers: &mut HeaderMap) {
    let internal =
        |name: &&HeaderName| name.as_str().starts_with(INTERNAL_PREFIX) && **name != SESSION;
    let internal: Vec<HeaderName> = headers.keys().filter(internal).cloned().collect();
    for name in internal {
        headers.remove(name);
    }
}
