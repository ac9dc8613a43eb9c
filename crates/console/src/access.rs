//! Who may look: the right host name always, and a token wherever others can reach the address; and the
//! headers every answer has.
//!
//! A page of somebody else can point its own name at this address and then read what it serves (DNS
//! rebinding): the `Host` of such a request is the other name, so only addresses, `localhost` and the
//! names of the configuration are answered. The token is not guessed: it has at least sixteen characters.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use maud::html;
use runtime::http::Problem;
use sha2::{Digest as _, Sha256};

use crate::counts::Refusal;
use crate::pages::frame;
use crate::{Config, Shared};

mod login;

pub(crate) use login::{login, login_page};

/// Below this a token could be guessed.
const TOKEN_CHARS_MIN: usize = 16;
const COOKIE: &str = "shieldx_console";

/// Why the console cannot be opened to others.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    #[error(
        "the console would listen on {address}, where others can reach it, and has no token: set \
         console.token_file, or let it listen on 127.0.0.1"
    )]
    NoToken { address: SocketAddr },
    #[error("the console's token has {chars} characters; it takes at least {TOKEN_CHARS_MIN}")]
    ShortToken { chars: usize },
    #[error(
        "console.names has {name:?}, which is no host name: give it without scheme, port and path"
    )]
    BadName { name: String },
    #[error("the system has no random numbers for sessions")]
    Random {
        #[source]
        source: getrandom::Error,
    },
}

/// Decides who may look.
pub(crate) struct Access {
    names: BTreeSet<String>,
    secrets: Option<Secrets>,
    policy: HeaderValue,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("names", &self.names).finish_non_exhaustive()
    }
}

/// Hashes: comparing them tells nothing of the token, however long it takes.
struct Secrets {
    token: [u8; 32],
    /// What a logged-in browser has instead of the token.
    session: String,
}

impl Access {
    pub(crate) fn new(config: &Config, token: Option<&str>) -> Result<Self, AccessError> {
        let mut names = BTreeSet::new();
        for name in &config.names {
            let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
            if name.is_empty() || !name.chars().all(good) {
                return Err(AccessError::BadName { name: name.clone() });
            }
            names.insert(name.trim_end_matches('.').to_ascii_lowercase());
        }
        if token.is_none() && !config.address.ip().is_loopback() {
            return Err(AccessError::NoToken { address: config.address });
        }
        if let Some(chars) = token.map(|token| token.chars().count())
            && chars < TOKEN_CHARS_MIN
        {
            return Err(AccessError::ShortToken { chars });
        }
        let policy = frame::policy();
        Ok(Self { names, policy, secrets: token.map(Secrets::new).transpose()? })
    }

    /// Whether a `Host` (or `:authority`) is one of ours.
    fn knows(&self, host: &str) -> bool {
        let name = host_name(host);
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        name == "localhost"
            || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
            || self.names.contains(&name)
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(secrets) = &self.secrets else { return true };
        let offered = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        offered.and_then(authorization).is_some_and(|token| secrets.is_token(&token))
            || cookie(headers).is_some_and(|session| secrets.is_session(session))
    }
}

impl Secrets {
    fn new(token: &str) -> Result<Self, AccessError> {
        // Sessions are of one process: what is made of the token is another for each.
        let mut salt = [0; 32];
        getrandom::fill(&mut salt).map_err(|source| AccessError::Random { source })?;
        let session = Sha256::new()
            .chain_update(b"shieldx console session\0")
            .chain_update(salt)
            .chain_update(token.as_bytes())
            .finalize();
        Ok(Self { token: hash(token), session: types::text::hex(&session) })
    }

    fn is_token(&self, offered: &str) -> bool {
        same(&self.token, &hash(offered))
    }

    fn is_session(&self, offered: &str) -> bool {
        same(&hash(&self.session), &hash(offered))
    }
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Compares all bytes, wherever the first difference is.
fn same(left: &[u8; 32], right: &[u8; 32]) -> bool {
    let differing = left.iter().zip(right).fold(0, |all, (a, b)| all | (a ^ b));
    std::hint::black_box(differing) == 0
}

/// The token of `Bearer` or, as password, of `Basic`.
fn authorization(value: &str) -> Option<String> {
    let (scheme, rest) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    decoded.split_once(':').map(|(_, password)| password.to_owned())
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == COOKIE).then_some(value))
}

/// A host without its port.
fn host_name(host: &str) -> &str {
    match host.rfind(']') {
        Some(end) => host.get(..=end).unwrap_or(host),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    }
}

/// Stands before everything on the console's listener: is the host one of ours?
pub(crate) async fn known_host(
    State(shared): State<Arc<Shared>>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let host = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    let host = host.or_else(|| request.uri().authority().map(http::uri::Authority::as_str));
    if host.is_some_and(|host| shared.access.knows(host)) {
        return next.run(request).await;
    }
    shared.counts.refuse(Refusal::Host);
    with_headers(misdirected(host.unwrap_or_default()), &shared.access.policy)
}

/// Stands before the console's routes: may this visitor look?
pub(crate) async fn guard(
    State(shared): State<Arc<Shared>>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let headers = request.headers();
    let response = if is_open(request.uri().path()) || shared.access.admits(headers) {
        next.run(request).await
    } else {
        shared.counts.refuse(Refusal::Token);
        unauthorized(&request)
    };
    with_headers(response, &shared.access.policy)
}

/// What needs no token: the way in, and what every internal listener tells whoever reaches it.
fn is_open(path: &str) -> bool {
    matches!(path, "/login" | "/favicon.svg" | "/healthz" | "/readyz" | "/metrics")
}

fn misdirected(host: &str) -> Response {
    let name = crate::show::clip(host_name(host), 100);
    Problem::new(
        StatusCode::MISDIRECTED_REQUEST,
        "unknown-host",
        "The console is not known by this name",
        format!(
            "{name:?} is none of the console's names: use its IP address or localhost, or add the \
             name to console.names"
        ),
    )
    .into_response()
}

fn unauthorized(request: &Request<Body>) -> Response {
    let header =
        |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let page = request.method() == Method::GET
        && header(header::ACCEPT).is_some_and(|accept| accept.contains("text/html"))
        && header(header::AUTHORIZATION).is_none();
    if !page {
        let challenge = "Bearer realm=\"shieldx console\", Basic realm=\"shieldx console\"";
        return Problem::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "The console needs its token",
            "send `Authorization: Bearer TOKEN`, or the token as the password of Basic",
        )
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
        .into_response();
    }
    let here = request.uri().path_and_query().map_or("/", |path| path.as_str());
    // Someone who follows a link from elsewhere (an alert, a dashboard) sends no cookie with it, as
    // that is SameSite=Strict; a step from a page of ours does.
    if header("sec-fetch-site".parse().unwrap_or(header::ACCEPT)) == Some("cross-site") {
        return frame::bare(
            "Opening…",
            None,
            Some(here),
            &html! {
                p { a href=(here) { "Continue to the console" } }
            },
        )
        .into_response();
    }
    Redirect::to(&format!("/login?next={}", crate::show::encoded(here))).into_response()
}

fn with_headers(mut response: Response, policy: &HeaderValue) -> Response {
    let headers = response.headers_mut();
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (
            header::HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=(), payment=()",
        ),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, policy.clone());
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::{Access, AccessError, Config, authorization};

    fn access(names: &[&str]) -> Access {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        Access::new(&Config { names, ..Config::default() }, None).unwrap()
    }

    #[test]
    fn only_addresses_localhost_and_configured_names_are_hosts() {
        let access = access(&["Slo.example.com"]);
        for host in [
            "localhost",
            "LOCALHOST:8088",
            "127.0.0.1:8088",
            "10.0.0.7",
            "[::1]:8088",
            "[::1]",
            "slo.example.com",
            "slo.example.com.:443",
        ] {
            assert!(access.knows(host), "{host}");
        }
        for host in [
            "",
            ":8088",
            "evil.example",
            "evil.example:8088",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "slo.example.com.evil.example",
            "example.com",
            "[::1",
            "a b",
        ] {
            assert!(!access.knows(host), "{host}");
        }
    }

    #[test]
    fn others_need_a_token_that_cannot_be_guessed() {
        let open = Config { address: "0.0.0.0:8088".parse().unwrap(), ..Config::default() };
        assert!(matches!(Access::new(&open, None), Err(AccessError::NoToken { .. })));
        let short = Access::new(&open, Some("hunter2"));
        assert!(matches!(short, Err(AccessError::ShortToken { chars: 7 })));
        assert!(Access::new(&open, Some("0123456789abcdef")).is_ok());
        let bad = Config { names: vec!["http://a".to_owned()], ..Config::default() };
        assert!(matches!(Access::new(&bad, None), Err(AccessError::BadName { .. })));
    }

    #[test]
    fn a_token_comes_as_bearer_or_as_a_password() {
        assert_eq!(authorization("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(authorization("basic YTpiOmM=").as_deref(), Some("b:c"));
        for wrong in ["abc", "Basic !!", "Basic YQ==", "Digest abc"] {
            assert_eq!(authorization(wrong), None, "{wrong}");
        }
    }
}
