//! Whether a request is one that everybody on its way reads in the same manner (RFC 9110, RFC 9112).
//!
//! hyper already refuses what it cannot parse: two different or signed `Content-Length`s,
//! `Transfer-Encoding` in HTTP/1.0, a final coding other than `chunked`, folded lines, spaces
//! before a colon, control characters; of `Transfer-Encoding` with `Content-Length` it takes the
//! first, drops the second and closes the connection behind the request (RFC 9112 §6.3). What it
//! lets pass and a second reader could read otherwise is refused here.

use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version, header};

use crate::http::Problem;

/// What may be forwarded, for `Allow`; which of them a resource has is its own to say.
const TAKEN: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Why a request is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("the request names no host: send one Host header")]
    NoHost,
    #[error("the request has more than one Host header: send one")]
    ManyHosts,
    #[error("the Host header is not `host` or `host:port`")]
    BadHost,
    #[error("the target names another host than the Host header")]
    OtherHost,
    #[error("the request's target is not a path that begins with `/`")]
    Target,
    #[error("the path contains an encoded control character")]
    ControlCharacter,
    #[error(
        "the length of the body is said in more than one way, or in one that is not known here"
    )]
    Framing,
    #[error("an upgrade comes as GET, without a body and with HTTP/1.1")]
    Upgrade,
    #[error("CONNECT and TRACE are not taken here")]
    Method,
    #[error("nothing but `100-continue` can be expected")]
    Expectation,
}

impl Malformed {
    /// All of them, for closed sets of labels.
    pub const ALL: [Self; 10] = [
        Self::NoHost,
        Self::ManyHosts,
        Self::BadHost,
        Self::OtherHost,
        Self::Target,
        Self::ControlCharacter,
        Self::Framing,
        Self::Upgrade,
        Self::Method,
        Self::Expectation,
    ];

    /// For metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoHost => "no_host",
            Self::ManyHosts => "many_hosts",
            Self::BadHost => "bad_host",
            Self::OtherHost => "other_host",
            Self::Target => "target",
            Self::ControlCharacter => "control_character",
            Self::Framing => "framing",
            Self::Upgrade => "upgrade",
            Self::Method => "method",
            Self::Expectation => "expectation",
        }
    }
}

impl From<Malformed> for Problem {
    /// The connection ends behind it: what follows may be a part of what was not understood.
    fn from(malformed: Malformed) -> Self {
        let (status, kind, title) = match malformed {
            // The client's doing: as 501 it would count, and be logged, as a failure of ours.
            Malformed::Method => {
                let title = "The method is not supported";
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", title)
            }
            Malformed::Expectation => {
                (StatusCode::EXPECTATION_FAILED, "expectation", "The expectation cannot be met")
            }
            _ => (StatusCode::BAD_REQUEST, "malformed-request", "The request is malformed"),
        };
        let problem = Problem::new(status, kind, title, malformed.to_string())
            .header(header::CONNECTION, HeaderValue::from_static("close"));
        if matches!(malformed, Malformed::Method) {
            return problem.header(header::ALLOW, HeaderValue::from_static(TAKEN));
        }
        problem
    }
}

/// Checks a request as it came, before any header was taken from it or added, and tells its host.
///
/// # Errors
/// When two readers could understand the request differently.
pub fn admit<B: http_body::Body>(request: &Request<B>) -> Result<Authority, Malformed> {
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        return Err(Malformed::Method);
    }
    let host = host(request.uri(), request.headers())?;
    target(request.method(), request.uri())?;
    framing(request.headers())?;
    if let Some(expectation) = request.headers().get(header::EXPECT)
        && !expectation.as_bytes().eq_ignore_ascii_case(b"100-continue")
    {
        return Err(Malformed::Expectation);
    }
    if upgrades(request.headers()) && !may_upgrade(request) {
        return Err(Malformed::Upgrade);
    }
    Ok(host)
}

/// Whether the request asks for WebSocket (RFC 6455 §4.1). Other protocols are not offered: through
/// `h2c` further requests would pass that nobody decided on.
#[must_use]
pub fn upgrades(headers: &HeaderMap) -> bool {
    let websocket = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"websocket");
    sole(headers, &header::UPGRADE).is_ok_and(|value| value.is_some_and(websocket))
        && connection_says(headers, b"upgrade")
}

fn connection_says(headers: &HeaderMap, option: &[u8]) -> bool {
    let values = headers.get_all(header::CONNECTION).iter();
    let mut options = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    options.any(|said| said.trim_ascii().eq_ignore_ascii_case(option))
}

/// A header that comes once or not at all.
pub(super) fn sole<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a HeaderValue>, Repeated> {
    let mut values = headers.get_all(name).iter();
    let value = values.next();
    if values.next().is_some() { Err(Repeated) } else { Ok(value) }
}

/// A header came more than once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Repeated;

fn may_upgrade<B: http_body::Body>(request: &Request<B>) -> bool {
    request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && request.body().is_end_stream()
        && !request.headers().contains_key(header::TRANSFER_ENCODING)
}

fn host(uri: &Uri, headers: &HeaderMap) -> Result<Authority, Malformed> {
    let value = sole(headers, &header::HOST).map_err(|Repeated| Malformed::ManyHosts)?;
    let named = match value {
        Some(value) if value.is_empty() => return Err(Malformed::NoHost),
        Some(value) => {
            let authority = Authority::try_from(value.as_bytes());
            Some(authority.map_err(|_| Malformed::BadHost)?)
        }
        None => None,
    };
    let host = match (uri.authority(), named) {
        (None, None) => return Err(Malformed::NoHost),
        (None, Some(host)) => host,
        (Some(host), None) => host.clone(),
        (Some(target), Some(host)) if *target == host => host,
        (Some(_), Some(_)) => return Err(Malformed::OtherHost),
    };
    // A port that is none, a name before an `@`: nothing a client needs, much a reader can misread.
    let port = host.as_str().len() > host.host().len();
    let bad = host.as_str().contains('@')
        || host.host().is_empty()
        || (port && host.port_u16().is_none());
    if bad { Err(Malformed::BadHost) } else { Ok(host) }
}

fn target(method: &Method, uri: &Uri) -> Result<(), Malformed> {
    if let Some(scheme) = uri.scheme_str()
        && !matches!(scheme, "http" | "https")
    {
        return Err(Malformed::Target);
    }
    let path = uri.path();
    let of_the_server = path == "*" && method == Method::OPTIONS;
    if !path.starts_with('/') && !of_the_server {
        return Err(Malformed::Target);
    }
    let control = |code: &[u8]| match code {
        [b'%', high, low] => {
            matches!(high, b'0' | b'1') || (*high == b'7' && low.eq_ignore_ascii_case(&b'f'))
        }
        _ => false,
    };
    if path.as_bytes().windows(3).any(control) {
        return Err(Malformed::ControlCharacter);
    }
    Ok(())
}

fn framing(headers: &HeaderMap) -> Result<(), Malformed> {
    let framing = |Repeated| Malformed::Framing;
    let length = sole(headers, &header::CONTENT_LENGTH).map_err(framing)?;
    let digits = length
        .is_none_or(|value| !value.is_empty() && value.as_bytes().iter().all(u8::is_ascii_digit));
    // Other codings would be taken off by nobody and then be lost from the header.
    let coding = sole(headers, &header::TRANSFER_ENCODING).map_err(framing)?;
    let chunked = coding.is_none_or(|value| value.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if !digits || !chunked || (coding.is_some() && length.is_some()) {
        return Err(Malformed::Framing);
    }
    Ok(())
}
