//! Groups of routes, as a file says them.

use super::super::fields::{Fields, Problems, unknown};
use super::super::tree::Node;
use super::super::{RouteGroup, RouteMatch, SERVICES, SloName};

const ROUTES_MAX: usize = 64;
const ROUTE_BYTES_MAX: usize = 256;
const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];
const FORM: &str = "`/v1/x`, `POST /v1/x*`, or a mapping of service, methods and route";

pub(super) fn group(place: String, node: &Node, problems: &mut Problems) -> Option<RouteGroup> {
    let mut fields = Fields::new(place.clone(), node, problems);
    let name = fields.required("name", problems).map(str::to_owned);
    if let Some(name) = &name {
        fields.rename(format!("{place} {name}"));
        if let Err(error) = SloName::try_from(name.clone()) {
            problems.note(fields.place(), format_args!("a route group is named alike: {error}"));
        }
    }
    let nodes = fields.list("routes", ROUTES_MAX, problems);
    if nodes.is_none_or(<[_]>::is_empty) {
        problems.note(fields.place(), format_args!("routes has to list some: {FORM}"));
    }
    let mut routes = Vec::new();
    for (index, node) in nodes.unwrap_or_default().iter().enumerate() {
        routes.extend(route(&format!("{}: routes[{index}]", fields.place()), node, problems));
    }
    fields.finish(problems);
    Some(RouteGroup { name: name?, routes })
}

fn route(place: &str, node: &Node, problems: &mut Problems) -> Option<RouteMatch> {
    let matched = match node {
        Node::Scalar(text) => short(text),
        Node::Map(_) => long(place, node, problems)?,
        Node::List(_) => {
            problems.note(place, format_args!("has to be {FORM}"));
            return None;
        }
    };
    for method in matched.methods.iter().filter(|method| !METHODS.contains(&method.as_str())) {
        problems.note(place, format_args!("method {}", unknown(method, &METHODS)));
    }
    let prefix = matched.route.strip_suffix('*').unwrap_or(&matched.route);
    // `{*rest}` is how templates name a rest; only a `*` at the end means anything here.
    let stars = prefix.replace("{*", "").contains('*');
    let graphic = matched.route.bytes().all(|byte| byte.is_ascii_graphic());
    if stars || !graphic || matched.route.is_empty() || matched.route.len() > ROUTE_BYTES_MAX {
        let route = &matched.route;
        problems.note(place, format_args!("{route:?} is no route template; it has to be {FORM}"));
        return None;
    }
    Some(matched)
}

fn short(text: &str) -> RouteMatch {
    let (methods, route) = match text.split_once(' ') {
        Some((methods, route)) => (methods.split(',').map(str::to_owned).collect(), route.trim()),
        None => (Vec::new(), text),
    };
    RouteMatch { service: None, methods, route: route.to_owned() }
}

fn long(place: &str, node: &Node, problems: &mut Problems) -> Option<RouteMatch> {
    let mut fields = Fields::new(place, node, problems);
    let service = fields.text("service", problems).map(str::to_owned);
    if let Some(name) = service.as_deref().filter(|name| !SERVICES.contains(name)) {
        problems.note(&fields.at("service"), unknown(name, &SERVICES));
    }
    let methods = fields.texts("methods", METHODS.len(), problems).unwrap_or_default();
    let methods = methods.into_iter().map(str::to_owned).collect();
    let route = fields.required("route", problems).map(str::to_owned);
    fields.finish(problems);
    Some(RouteMatch { service, methods, route: route? })
}
