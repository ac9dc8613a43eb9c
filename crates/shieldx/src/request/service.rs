//! Requests to and around the services, after validation.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gateway::RouteConfig;
use runtime::http::forward::BadUpstream;
use types::{Role, Tenant};

use super::{ColorChoice, usage};
use crate::args::{
    ConfigArgs, GetArgs, HealthArgs, KeyArgs, KeyCommand, ListArgs, LoadArgs, ServerArgs,
    SubmitArgs, TraceArgs, UpArgs,
};
use crate::config::Config;
use crate::environment::Environment;
use crate::exit::{Exit, FailOn};
use crate::failure::Failure;
use crate::output::Destination;
use crate::place::{Outside, Place};
use crate::quantity;
use crate::runners::Surroundings;

/// A server and the key to it.
#[derive(Debug, Clone)]
pub struct Server {
    /// Base URL without a slash at its end.
    pub url: String,
    pub key: Option<String>,
    /// The local server's own listeners, by service; empty for a server that was named.
    pub internal: Vec<(String, String)>,
}

#[derive(Debug)]
pub struct SubmitRequest {
    pub server: Server,
    pub file: PathBuf,
    pub name: String,
    pub arguments: Vec<String>,
    pub interpreter: Option<String>,
    pub timeout: Option<Duration>,
    pub idempotency_key: Option<String>,
    pub wait: bool,
    pub json: bool,
    pub html: Option<Destination>,
    pub fail_on: Option<FailOn>,
    pub color: ColorChoice,
}

#[derive(Debug)]
pub struct GetRequest {
    pub server: Server,
    pub id: String,
    pub json: bool,
    pub html: Option<Destination>,
    pub color: ColorChoice,
}

#[derive(Debug)]
pub struct ListRequest {
    pub server: Server,
    pub state: Option<String>,
    pub limit: u32,
    pub before: Option<String>,
    pub json: bool,
}

#[derive(Debug)]
pub struct HealthRequest {
    pub server: Server,
    pub outside: Outside,
    pub json: bool,
}

#[derive(Debug)]
pub struct LoadRequest {
    pub server: Server,
    pub lasts: Duration,
    /// Requests a second.
    pub rate: u32,
    pub json: bool,
}

#[derive(Debug)]
pub struct TraceRequest {
    pub server: Server,
    pub id: String,
    pub json: bool,
}

/// What to serve, and where the state is.
#[derive(Debug)]
pub struct UpRequest {
    pub place: Place,
    pub config: Config,
    /// Where this program is, which the verifier pool starts again for each run, and what else
    /// runners need.
    pub around: Surroundings,
}

/// What settings to print.
#[derive(Debug)]
pub enum ConfigRequest {
    /// The defaults, commented.
    Defaults,
    /// What would be used with a file and the variables.
    Used(Box<Config>),
}

/// What to do with keys.
#[derive(Debug)]
pub enum KeyRequest {
    Create { place: Place, tenant: Tenant, role: Role, name: String, expires_in: Option<Duration> },
    List { place: Place, json: bool },
    Revoke { place: Place, id: String },
}

/// Whoever wants more than a day of synthetic traffic starts it again.
const LOAD_MAX: Duration = Duration::from_hours(24);
const SERVER_DEFAULT: &str = "http://127.0.0.1:8080";

pub(super) fn server(args: &ServerArgs, environment: &Environment) -> Result<Server, Failure> {
    let text = |name| environment.variable(name).and_then(OsStr::to_str).filter(|v| !v.is_empty());
    let given = args.server.clone().or_else(|| text("SHIELDX_SERVER").map(str::to_owned));
    let key = text("SHIELDX_API_KEY").map(str::to_owned);
    if let Some(url) = given {
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(usage(format!(
                "--server {url}: write it as http://HOST:PORT or https://…"
            )));
        }
        // The key in a data folder is for the server on that folder and is sent to no other.
        let url = url.trim_end_matches('/').to_owned();
        return Ok(Server { url, key, internal: Vec::new() });
    }
    let place = Place::find(args.data.as_deref(), environment)?;
    let endpoints = place.endpoints();
    let url = endpoints.as_ref().map_or(SERVER_DEFAULT.to_owned(), |found| found.server.clone());
    let internal = endpoints.map(|found| found.internal.into_iter().collect()).unwrap_or_default();
    Ok(Server { url, key: key.or_else(|| place.admin_key()), internal })
}

fn page(path: Option<&Path>) -> Result<Option<Destination>, Failure> {
    let [page] = super::destinations([&path.map(Path::to_path_buf)])?;
    Ok(page)
}

pub(super) fn up(args: UpArgs, environment: &Environment) -> Result<UpRequest, Failure> {
    let place = Place::find(args.data.as_deref(), environment)?;
    let mut config = Config::load(args.config.as_deref(), environment)?;
    if args.policy.is_some() {
        config.policy.folder = args.policy;
    }
    if let Some(text) = args.upstream {
        let upstream =
            text.parse().map_err(|error: BadUpstream| usage(format!("--upstream: {error}")))?;
        let decoy = args.decoy.map(|text| text.parse()).transpose();
        let mut route = RouteConfig::new("upstream", upstream);
        route.decoy = decoy.map_err(|error: BadUpstream| usage(format!("--decoy: {error}")))?;
        config.gateway.routes.push(route);
    }
    environment.program.as_ref().ok_or_else(|| {
        Failure::new(Exit::Failed, "this program's own file cannot be found (/proc/self/exe)")
    })?;
    Ok(UpRequest { place, config, around: Surroundings::of(environment) })
}

pub(super) fn config(
    args: ConfigArgs,
    environment: &Environment,
) -> Result<ConfigRequest, Failure> {
    match args.config {
        None => Ok(ConfigRequest::Defaults),
        Some(file) => Ok(ConfigRequest::Used(Box::new(Config::load(Some(&file), environment)?))),
    }
}

pub(super) fn submit(
    args: SubmitArgs,
    environment: &Environment,
) -> Result<SubmitRequest, Failure> {
    let named = |path: &Path| path.file_name().and_then(OsStr::to_str).map(str::to_owned);
    let name = args.name.or_else(|| named(&args.file)).ok_or_else(|| {
        usage(format!("{} has a name that is no UTF-8", super::show(&args.file)))
            .hint("give it one with --name")
    })?;
    let timeout = args.timeout.as_deref().map(quantity::duration).transpose();
    Ok(SubmitRequest {
        server: server(&args.server, environment)?,
        file: args.file,
        name,
        arguments: args.arguments,
        interpreter: args.interpreter,
        timeout: timeout.map_err(|error| usage(format!("--timeout: {error}")))?,
        idempotency_key: args.idempotency_key,
        wait: !args.no_wait,
        json: args.json,
        html: page(args.html.as_deref())?,
        fail_on: args.fail_on,
        color: args.color,
    })
}

pub(super) fn get(args: GetArgs, environment: &Environment) -> Result<GetRequest, Failure> {
    Ok(GetRequest {
        server: server(&args.server, environment)?,
        id: segment(args.id)?,
        json: args.json,
        html: page(args.html.as_deref())?,
        color: args.color,
    })
}

pub(super) fn list(args: ListArgs, environment: &Environment) -> Result<ListRequest, Failure> {
    let server = server(&args.server, environment)?;
    let ListArgs { state, limit, before, json, .. } = args;
    Ok(ListRequest { server, state, limit, before, json })
}

pub(super) fn health(
    args: &HealthArgs,
    environment: &Environment,
) -> Result<HealthRequest, Failure> {
    let server = server(&args.server, environment)?;
    let mut outside = Outside::default();
    if !server.internal.is_empty()
        && let Some(endpoints) = Place::find(args.server.data.as_deref(), environment)?.endpoints()
    {
        outside = endpoints.outside;
    }
    let base = |option: &str, url: &String| super::slo::url(option, url.clone());
    if let Some(url) = &args.prometheus {
        outside.prometheus = Some(base("--prometheus", url)?);
    }
    if !args.alertmanagers.is_empty() {
        let urls = args.alertmanagers.iter().map(|url| base("--alertmanager", url));
        outside.alertmanagers = urls.collect::<Result<_, _>>()?;
    }
    Ok(HealthRequest { server, outside, json: args.json })
}

pub(super) fn load(args: &LoadArgs, environment: &Environment) -> Result<LoadRequest, Failure> {
    let lasts =
        quantity::duration(&args.lasts).map_err(|error| usage(format!("--for: {error}")))?;
    if lasts.is_zero() || lasts > LOAD_MAX {
        return Err(usage("--for: at least a second and at most a day"));
    }
    let server = server(&args.server, environment)?;
    Ok(LoadRequest { server, lasts, rate: args.rate, json: args.json })
}

pub(super) fn trace(args: TraceArgs, environment: &Environment) -> Result<TraceRequest, Failure> {
    let server = server(&args.server, environment)?;
    Ok(TraceRequest { server, id: segment(args.id)?, json: args.json })
}

pub(super) fn key(args: KeyArgs, environment: &Environment) -> Result<KeyRequest, Failure> {
    match args.command {
        KeyCommand::Create { data, tenant, role, name, expires_in } => {
            let expires_in = expires_in.as_deref().map(quantity::duration).transpose();
            Ok(KeyRequest::Create {
                place: Place::find(data.as_deref(), environment)?,
                tenant: tenant.parse().map_err(|error| usage(format!("--tenant: {error}")))?,
                role: role.parse().map_err(|error| usage(format!("--role: {error}")))?,
                name,
                expires_in: expires_in.map_err(|error| usage(format!("--expires-in: {error}")))?,
            })
        }
        KeyCommand::List { data, json } => {
            Ok(KeyRequest::List { place: Place::find(data.as_deref(), environment)?, json })
        }
        KeyCommand::Revoke { data, id } => {
            Ok(KeyRequest::Revoke { place: Place::find(data.as_deref(), environment)?, id })
        }
    }
}

/// An id goes into a path: letters, digits and dashes only.
fn segment(id: String) -> Result<String, Failure> {
    if !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Ok(id);
    }
    Err(usage(format!("{id:?} is no id: one has letters, digits and dashes")))
}
