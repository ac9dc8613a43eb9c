//! Which route a request is on: explicit hosts before ShieldX's own APIs before everything else, and
//! within each the longest prefix. Bytes are compared as they are.

use std::collections::HashMap;
use std::sync::Arc;

use runtime::http::forward::Upstream;
use types::Tenant;

use crate::config::{ConfigError, RouteConfig};
use crate::paths;
use crate::service::OwnApis;

/// Where a route leads and whom it lets in.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) name: Arc<str>,
    /// `http.route` in metrics and spans; from the configuration, never from a request.
    pub(crate) label: Arc<str>,
    pub(crate) target: Target,
    pub(crate) decoy: Option<Upstream>,
    pub(crate) anonymous: bool,
    pub(crate) tenant: Option<Tenant>,
    pub(crate) raw_paths: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Target {
    Application(Upstream),
    /// One of ShieldX's services; it checks keys and roles itself.
    Api(Upstream),
    /// What the gateway answers itself.
    Own,
}

impl Route {
    /// For the policy.
    pub(crate) fn kind(&self) -> &'static str {
        match self.target {
            Target::Application(_) => "upstream",
            Target::Api(_) | Target::Own => "api",
        }
    }
}

/// Routes by prefix, the longest first.
type Prefixes = Vec<(String, Arc<Route>)>;

/// All routes.
#[derive(Debug)]
pub(crate) struct Table {
    hosts: HashMap<String, Prefixes>,
    own: Prefixes,
    rest: Prefixes,
}

impl Table {
    pub(crate) fn new(routes: &[RouteConfig], own: &OwnApis) -> Result<Self, ConfigError> {
        let mut table =
            Self { hosts: HashMap::new(), own: own_apis(own), rest: Prefixes::default() };
        for config in routes {
            let prefix = prefix(config)?;
            let prefixes = match &config.host {
                Some(name) => table.hosts.entry(host(config, name)?).or_default(),
                None => &mut table.rest,
            };
            if let Some((_, route)) = prefixes.iter().find(|(other, _)| *other == prefix) {
                let (first, second) = (route.name.to_string(), config.name.clone());
                return Err(ConfigError::SameRoute { first, second });
            }
            let route = Arc::new(application(config, &prefix));
            prefixes.push((prefix, route));
        }
        for prefixes in table.hosts.values_mut().chain([&mut table.own, &mut table.rest]) {
            prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        }
        Ok(table)
    }

    /// `host` in lower case, without port and final dot.
    pub(crate) fn find(&self, host: &str, path: &str) -> Option<&Arc<Route>> {
        let of_host = self.hosts.get(host).and_then(|prefixes| longest(prefixes, path));
        of_host.or_else(|| longest(&self.own, path)).or_else(|| longest(&self.rest, path))
    }
}

fn longest<'a>(prefixes: &'a Prefixes, path: &str) -> Option<&'a Arc<Route>> {
    let matched = prefixes.iter().find(|(prefix, _)| {
        path.strip_prefix(prefix.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    matched.map(|(_, route)| route)
}

fn application(config: &RouteConfig, prefix: &str) -> Route {
    Route {
        name: config.name.as_str().into(),
        label: format!("{}{prefix}/{{*rest}}", config.host.as_deref().unwrap_or("")).into(),
        target: Target::Application(
            config.upstream.clone().with_in_flight_max(config.in_flight_max),
        ),
        decoy: config.decoy.clone(),
        anonymous: config.anonymous,
        tenant: config.tenant.clone(),
        raw_paths: config.raw_paths,
    }
}

fn own_apis(own: &OwnApis) -> Prefixes {
    let route = |prefix: &str, label: String, target, anonymous| {
        let name = prefix.trim_start_matches("/v1").trim_start_matches('/').into();
        let label = label.into();
        let (decoy, tenant, raw_paths) = (None, None, false);
        let route = Route { name, label, target, decoy, anonymous, tenant, raw_paths };
        (prefix.to_owned(), Arc::new(route))
    };
    let below = |prefix: &str, target| route(prefix, format!("{prefix}/{{*rest}}"), target, false);
    vec![
        below("/v1/verifications", Target::Api(own.verifier_pool.clone())),
        below("/v1/sessions", Target::Api(own.contauth.clone())),
        below("/v1/subjects", Target::Api(own.contauth.clone())),
        below("/v1/features", Target::Api(own.ml_service.clone())),
        below("/v1/slos", Target::Api(own.ledger.clone())),
        below("/v1/gate", Target::Api(own.ledger.clone())),
        below("/v1/deploys", Target::Api(own.ledger.clone())),
        below("/v1/traces", Target::Own),
        route("/openapi.json", "/openapi.json".to_owned(), Target::Own, true),
    ]
}

/// Without a final slash: `/` is the empty prefix.
fn prefix(config: &RouteConfig) -> Result<String, ConfigError> {
    let prefix = config.path_prefix.as_str();
    let bad = |reason: String| ConfigError::Prefix {
        route: config.name.clone(),
        prefix: prefix.to_owned(),
        reason,
    };
    if !prefix.starts_with('/') {
        return Err(bad("it does not begin with `/`".to_owned()));
    }
    if prefix.contains(['?', '#']) {
        return Err(bad("it is more than a path".to_owned()));
    }
    if !config.raw_paths {
        paths::check(prefix).map_err(|why| bad(why.to_string()))?;
    }
    Ok(prefix.strip_suffix('/').unwrap_or(prefix).to_owned())
}

fn host(config: &RouteConfig, name: &str) -> Result<String, ConfigError> {
    let bad = || ConfigError::Host { route: config.name.clone(), host: name.to_owned() };
    let authority: http::uri::Authority = name.parse().map_err(|_| bad())?;
    if authority.host() != name || !is_host(name) {
        return Err(bad());
    }
    Ok(canonical_host(name))
}

/// Whether it is made of what names and addresses are made of.
pub(crate) fn is_host(name: &str) -> bool {
    let letter = |c: u8| c.is_ascii_alphanumeric() || b"-._:[]".contains(&c);
    !name.trim_end_matches('.').is_empty() && name.bytes().all(letter)
}

/// As hosts are compared: case does not matter, and `example.com.` is `example.com` (an application
/// that serves several hosts says so, too).
pub(crate) fn canonical_host(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests;
