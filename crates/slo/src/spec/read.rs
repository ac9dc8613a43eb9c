//! From `slo.yaml` to a [`Catalog`]: what is impossible is refused with the arithmetic.

use super::fields::{Fields, Problems, unknown};
use super::tree::{self, Node};
use super::{Catalog, RouteGroup, SERVICES, SloName, TenantBound, check};

mod gate;
#[cfg(test)]
pub(super) use gate::defaults as gate_defaults;
pub use gate::is_key_name;
mod objective;
pub(crate) use objective::tenths;
mod routes;

/// The objectives that come with ShieldX.
pub const SHIPPED: &str = include_str!("slo.yaml");

/// Objectives, route groups, and tenants that are counted on their own.
pub(super) const SLOS_MAX: usize = 2000;
pub(super) const ROUTE_GROUPS_MAX: usize = 64;
pub(super) const TENANTS_MAX: usize = 1000;
/// Tenants where the file says nothing.
const TENANTS_FIRST: usize = 50;
/// Bytes of a description, a URL, a tenant's name.
const TEXT_BYTES_MAX: usize = 300;

/// Everything that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", problems.join("\n"))]
pub struct Refused {
    /// Each names the place (`slos[2] gateway-latency`), what is wrong, and the way out.
    pub problems: Vec<String>,
}

/// Reads a file.
///
/// # Errors
/// With every problem that was found, not only the first.
pub fn read(text: &str) -> Result<Catalog, Refused> {
    let one = |problem: String| Refused { problems: vec![problem] };
    let mut documents = tree::documents(text).map_err(one)?.into_iter();
    let (document, more) = (documents.next(), documents.next());
    if more.is_some() {
        let way_out = "`shieldx slo import` reads OpenSLO, which has several";
        return Err(one(format!("the file has more than one document (`---`); {way_out}")));
    }
    from_node(&document.unwrap_or(Node::Map(Vec::new())))
}

/// The same of a document that is read already.
pub(crate) fn from_node(root: &Node) -> Result<Catalog, Refused> {
    let mut problems = Problems::default();
    let catalog = catalog(root, &mut problems);
    if problems.is_empty() { Ok(catalog) } else { Err(Refused { problems: problems.into_texts() }) }
}

/// What could be read; it is worth something only if there are no problems.
fn catalog(root: &Node, problems: &mut Problems) -> Catalog {
    let mut fields = Fields::new("", root, problems);
    if let Some(kind) = fields.text("apiVersion", &mut Problems::default()) {
        let way_out = "this reads slo.yaml; `shieldx slo import` reads OpenSLO v1";
        problems.note("", format_args!("apiVersion: {kind}: {way_out}"));
    }
    match fields.required("version", problems) {
        None | Some("1") => {}
        Some(other) => problems.note("version", format_args!("{other:?} is not known; it is 1")),
    }
    let mut route_groups: Vec<RouteGroup> = Vec::new();
    let nodes = fields.list("route_groups", ROUTE_GROUPS_MAX, problems).unwrap_or_default();
    for (index, node) in nodes.iter().enumerate() {
        let group = routes::group(format!("route_groups[{index}]"), node, problems);
        let Some(group) = group else { continue };
        if route_groups.iter().any(|known| known.name == group.name) {
            let place = format!("route_groups[{index}] {}", group.name);
            problems.note(&place, "another group has this name");
        }
        route_groups.push(group);
    }
    let tenants = fields.take("tenants").map(|node| tenants(node, problems));
    let gate = gate::policy(fields.take_even_empty("gate"), problems);
    let runbook_base_url =
        fields.parsed("runbook_base_url", "an http:// or https:// URL", problems, url);
    let mut slos = Vec::new();
    if fields.take("slos").is_none() {
        problems.note("", "slos is missing: there has to be an objective");
    }
    let nodes = fields.list("slos", SLOS_MAX, problems).unwrap_or_default();
    for (index, node) in nodes.iter().enumerate() {
        slos.extend(objective::slo(index, node, &route_groups, problems));
    }
    check::names(&slos, problems);
    fields.finish(problems);
    let tenants = tenants.unwrap_or(TenantBound::First(TENANTS_FIRST));
    Catalog { slos, route_groups, tenants, gate, runbook_base_url }
}

fn tenants(node: &Node, problems: &mut Problems) -> TenantBound {
    if let Node::List(_) = node {
        let entries = [("tenants".to_owned(), node.clone())];
        let wrapped = Node::Map(entries.to_vec());
        let mut fields = Fields::new("", &wrapped, problems);
        let listed = fields.texts("tenants", TENANTS_MAX, problems).unwrap_or_default();
        for tenant in listed.iter().filter(|tenant| !plain(tenant)) {
            problems.note("tenants", format_args!("{tenant:?} is no tenant's name"));
        }
        return TenantBound::Listed(listed.into_iter().map(str::to_owned).collect());
    }
    let mut fields = Fields::new("tenants", node, problems);
    let first = fields.number("first", problems);
    fields.finish(problems);
    let first = first.and_then(|first| usize::try_from(first).ok());
    match first.filter(|first| *first <= TENANTS_MAX) {
        Some(first) => TenantBound::First(first),
        None => {
            let forms = "a list of names, or `first:` and a number";
            problems.note("tenants", format_args!("has to be {forms}, at most {TENANTS_MAX}"));
            TenantBound::First(0)
        }
    }
}

/// An objective's service, or another name that looks like one.
fn service(fields: &mut Fields<'_>, counted: bool, problems: &mut Problems) -> Option<String> {
    let name = fields.required("service", problems)?;
    let known = SERVICES.contains(&name);
    if counted && !known {
        let text = format!("{}; only these count requests", unknown(name, &SERVICES));
        problems.note(&fields.at("service"), text);
        return None;
    }
    if let Err(error) = SloName::try_from(name.to_owned()) {
        problems.note(&fields.at("service"), format_args!("a service is named alike: {error}"));
        return None;
    }
    Some(name.to_owned())
}

/// A short text on one line.
fn plain(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= TEXT_BYTES_MAX && !text.chars().any(char::is_control)
}

fn url(text: &str) -> Option<String> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"))?;
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let clean = plain(text) && !text.contains([' ', '"', '\'', '<', '>', '\\', '`', '{', '}', '@']);
    (clean && !host.is_empty() && host != ":").then(|| text.to_owned())
}
