//! What the operator says about the gateway, and what of it cannot be.

use std::net::{Ipv4Addr, SocketAddr};

use http::HeaderName;
use runtime::http::edge::{BadSecret, INTERNAL_PREFIX, SESSION};
use runtime::http::forward::{self, IN_FLIGHT_MAX, Upstream};
use serde::{Deserialize, Serialize};
use types::Tenant;

/// Longest tarpit: longer than that the ingress in front gives up.
pub(crate) const TARPIT_MS_MAX: u64 = 60_000;
/// Most requests in the tarpit at the same time, about 10 KB each.
const TARPIT_REQUESTS_MAX: usize = 65_536;
/// Routes; each is a label.
const ROUTES_MAX: usize = 256;
const ROUTE_NAME_MAX: usize = 63;

/// The gateway's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where requests are taken, from the ingress.
    pub address: SocketAddr,
    /// Where `/metrics`, `/healthz` and `/readyz` are.
    pub internal: SocketAddr,
    /// Applications behind the gateway. ShieldX's own APIs need no route.
    pub routes: Vec<RouteConfig>,
    /// Header in which a client says its session.
    pub session_header: String,
    /// Cookie in which it says so where there is no such header.
    pub session_cookie: String,
    /// Milliseconds contauth has to tell a session's risk; then it has failed.
    pub risk_timeout_ms: u64,
    /// What to do when a dependency fails.
    pub on_failure: OnFailures,
    /// Milliseconds a request is kept in the tarpit before it is refused; at most 60000.
    pub tarpit_ms: u64,
    /// Requests in the tarpit at the same time; more are refused at once, and counted.
    pub tarpit_requests_max: usize,
    /// Connections to applications and to ShieldX's own APIs.
    pub upstreams: forward::Config,
}

/// An application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    /// Names the route in metrics, logs and policies: 1 to 63 of a-z, 0-9 and -.
    pub name: String,
    /// The host it is for, without port; absent for every host. A host's route goes before ShieldX's
    /// own APIs, other routes behind them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Paths that begin with these segments; the longest prefix wins.
    #[serde(default = "root")]
    pub path_prefix: String,
    /// `http://host:port`. The path is forwarded as it is, with the prefix.
    pub upstream: Upstream,
    /// Where diverted requests go, `http://host:port`; without one they are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoy: Option<Upstream>,
    /// Whether callers without an API key are let in. A bad key is refused all the same.
    #[serde(default)]
    pub anonymous: bool,
    /// Whose application it is: only this tenant's keys are let in, and the sessions of callers
    /// without a key are looked up there. Without it every tenant's keys are let in, and callers
    /// without a key have no session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Tenant>,
    /// Whether paths are taken that two readers may read in two ways (`%2f`, `//`, `;`, `..` and the
    /// like). Only for an application that reads them as they are.
    #[serde(default)]
    pub raw_paths: bool,
    /// Requests the application is given at the same time; more are answered with 503.
    #[serde(default = "in_flight_max")]
    pub in_flight_max: usize,
}

/// What to do when a dependency fails, by dependency. Keys that cannot be checked always deny: there
/// would be nobody to allow something to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OnFailures {
    /// contauth does not tell a session's risk. `allow`: the policy is asked as if there were no
    /// session.
    pub risk: OnFailure,
    /// The policy cannot be evaluated, or says what is no decision.
    pub policy: OnFailure,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// Answer 503.
    #[default]
    Deny,
    Allow,
}

/// Settings that cannot be.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("a route is named with 1 to {ROUTE_NAME_MAX} of a-z, 0-9 and -: {name:?} is not")]
    Name { name: String },
    #[error("two routes are named {name}")]
    SameName { name: String },
    #[error("the routes {first} and {second} are for the same host and path")]
    SameRoute { first: String, second: String },
    #[error("there are {count} routes, and at most {ROUTES_MAX} are taken")]
    Routes { count: usize },
    #[error("route {route}: a host is a name or an address without port, and {host:?} is not")]
    Host { route: String, host: String },
    #[error("route {route}: the path prefix {prefix:?} is none: {reason}")]
    Prefix { route: String, prefix: String, reason: String },
    #[error(
        "session_header: {name:?} is no header a client may send; {INTERNAL_PREFIX}… but {SESSION} is \
         removed at the door"
    )]
    SessionHeader { name: String },
    #[error("session_cookie: {name:?} is no cookie's name")]
    SessionCookie { name: String },
    #[error("{setting} is at most {max}, and {value} is not")]
    TooMuch { setting: &'static str, value: u64, max: u64 },
    #[error("the ingress cannot prove itself to the gateway")]
    Edge {
        #[source]
        source: BadSecret,
    },
    #[error("the description of an API is no JSON")]
    Document {
        #[source]
        source: serde_json::Error,
    },
    #[error("two services describe {path}")]
    SamePath { path: String },
}

fn root() -> String {
    "/".to_owned()
}

fn in_flight_max() -> usize {
    IN_FLIGHT_MAX
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 8082)),
            internal: SocketAddr::from((Ipv4Addr::LOCALHOST, 8083)),
            routes: Vec::new(),
            session_header: SESSION.as_str().to_owned(),
            session_cookie: "shieldx_session".to_owned(),
            risk_timeout_ms: 350,
            on_failure: OnFailures::default(),
            tarpit_ms: 10_000,
            tarpit_requests_max: 1_024,
            upstreams: forward::Config::default(),
        }
    }
}

impl RouteConfig {
    /// A route with a name and an upstream, and defaults for the rest.
    #[must_use]
    pub fn new(name: impl Into<String>, upstream: Upstream) -> Self {
        Self {
            name: name.into(),
            host: None,
            path_prefix: root(),
            upstream,
            decoy: None,
            anonymous: false,
            tenant: None,
            raw_paths: false,
            in_flight_max: IN_FLIGHT_MAX,
        }
    }
}

impl Config {
    /// Checks what is not checked where it is used: names, bounds. Gives the session's header.
    pub(crate) fn check(&self) -> Result<HeaderName, ConfigError> {
        if self.routes.len() > ROUTES_MAX {
            return Err(ConfigError::Routes { count: self.routes.len() });
        }
        let mut names: Vec<&str> = Vec::new();
        for RouteConfig { name, .. } in &self.routes {
            let letter = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
            if !(1..=ROUTE_NAME_MAX).contains(&name.len()) || !name.bytes().all(letter) {
                return Err(ConfigError::Name { name: name.clone() });
            }
            if names.contains(&name.as_str()) {
                return Err(ConfigError::SameName { name: name.clone() });
            }
            names.push(name);
        }
        at_most("tarpit_ms", self.tarpit_ms, TARPIT_MS_MAX)?;
        let requests = u64::try_from(self.tarpit_requests_max).unwrap_or(u64::MAX);
        let max = u64::try_from(TARPIT_REQUESTS_MAX).unwrap_or(u64::MAX);
        at_most("tarpit_requests_max", requests, max)?;
        let cookie = self.session_cookie.as_str();
        // Names of cookies are tokens (RFC 6265 §4.1.1), and so are names of headers.
        if cookie.parse::<HeaderName>().is_err() {
            return Err(ConfigError::SessionCookie { name: cookie.to_owned() });
        }
        let bad = || ConfigError::SessionHeader { name: self.session_header.clone() };
        let header: HeaderName = self.session_header.parse().map_err(|_| bad())?;
        if header.as_str().starts_with(INTERNAL_PREFIX) && header != SESSION {
            return Err(bad());
        }
        Ok(header)
    }
}

fn at_most(setting: &'static str, value: u64, max: u64) -> Result<(), ConfigError> {
    if value > max { Err(ConfigError::TooMuch { setting, value, max }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::{Config, ConfigError, RouteConfig};

    fn route(json: &str) -> Result<RouteConfig, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn a_route_is_a_name_and_an_upstream() {
        let route = route(r#"{"name": "shop", "upstream": "http://127.0.0.1:3000"}"#).unwrap();
        assert_eq!(route, RouteConfig::new("shop", "http://127.0.0.1:3000".parse().unwrap()));
        assert_eq!(route.path_prefix, "/");
    }

    #[test]
    fn routes_that_cannot_be_read_say_why() {
        for (json, says) in [
            (r#"{"name": "a", "upstream": "http://h/path"}"#, "without a path"),
            (r#"{"name": "a", "upstream": "https://h"}"#, "not http"),
            (r#"{"name": "a", "upstream": "http://h", "hots": "x"}"#, "hots"),
            (r#"{"name": "a", "upstream": "http://h", "tenant": "A B"}"#, "tenant"),
            (r#"{"name": "a"}"#, "upstream"),
        ] {
            let error = route(json).unwrap_err().to_string();
            assert!(error.contains(says), "{error:?} does not say {says:?}");
        }
    }

    #[test]
    fn settings_out_of_bounds_are_refused() {
        let check = |change: fn(&mut Config)| {
            let mut config = Config::default();
            config.routes.push(RouteConfig::new("a", "http://h".parse().unwrap()));
            change(&mut config);
            config.check().unwrap_err()
        };
        let named = |name: &str| RouteConfig::new(name, "http://h".parse().unwrap());
        assert!(Config { routes: vec![named("a-1")], ..Config::default() }.check().is_ok());
        for name in ["", "A", "a b", &"a".repeat(64)] {
            let config = Config { routes: vec![named(name)], ..Config::default() };
            assert!(matches!(config.check(), Err(ConfigError::Name { .. })), "{name:?}");
        }
        let same = check(|config| config.routes.push(config.routes[0].clone()));
        assert!(matches!(same, ConfigError::SameName { .. }));
        let long = check(|config| config.tarpit_ms = 60_001);
        assert!(matches!(long, ConfigError::TooMuch { setting: "tarpit_ms", .. }));
        let many = check(|config| config.tarpit_requests_max = usize::MAX);
        assert!(matches!(many, ConfigError::TooMuch { setting: "tarpit_requests_max", .. }));
        let header = check(|config| config.session_header = "x-shieldx-tenant".to_owned());
        assert!(matches!(header, ConfigError::SessionHeader { .. }));
        let cookie = check(|config| config.session_cookie = "a=b".to_owned());
        assert!(matches!(cookie, ConfigError::SessionCookie { .. }));
    }
}
