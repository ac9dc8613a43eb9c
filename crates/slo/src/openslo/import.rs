//! OpenSLO v1 documents as `slo.yaml`.
//!
//! Documents become the same tree that a file is read into, and are then read as one: what a file may
//! not say, an import may not either.

use super::Carried;
use crate::spec::read::from_node;
use crate::spec::tree::{self, Node};
use crate::spec::{Refused, write};

mod alerts;
mod indicator;
mod objective;

const KINDS: [&str; 7] = [
    "SLO",
    "SLI",
    "Service",
    "DataSource",
    "AlertPolicy",
    "AlertCondition",
    "AlertNotificationTarget",
];
/// The catalog's own fields, and the annotations of a data source that hold them.
const SHARED: [(&str, &str); 4] = [
    ("route_groups", super::ROUTE_GROUPS),
    ("tenants", super::TENANTS),
    ("gate", super::GATE_POLICY),
    ("runbook_base_url", super::RUNBOOK_BASE_URL),
];

/// # Errors
/// When the text is no OpenSLO v1, or nothing of it can be carried.
pub fn import(text: &str) -> Result<Carried, Refused> {
    let nodes = tree::documents(text).map_err(|problem| Refused { problems: vec![problem] })?;
    let mut left_out = Vec::new();
    let documents = Documents::new(&nodes, &mut left_out);
    let shared = documents.shared(&mut left_out);
    let mut slos = Vec::new();
    for document in documents.of_kind("SLO") {
        for slo in objective::slos(document, &documents, &mut left_out) {
            // Each on its own, so that one that is impossible does not take the others with it.
            match from_node(&file(&shared, vec![slo.clone()])) {
                Ok(_) => slos.push(slo),
                Err(Refused { problems }) => {
                    // It was the first of a file of its own.
                    let said = problems.iter().map(|problem| problem.replacen("slos[0]", "SLO", 1));
                    left_out.extend(said.map(|problem| format!("left out: {problem}")));
                }
            }
        }
    }
    if slos.is_empty() {
        left_out
            .push("there is no SLO of OpenSLO v1 (apiVersion: openslo/v1) in it to carry".into());
        return Err(Refused { problems: left_out });
    }
    let catalog = from_node(&file(&shared, slos))?;
    Ok(Carried { text: write(&catalog), left_out })
}

fn file(shared: &[(String, Node)], slos: Vec<Node>) -> Node {
    let mut entries = vec![("version".to_owned(), Node::Scalar("1".to_owned()))];
    entries.extend_from_slice(shared);
    entries.push(("slos".to_owned(), Node::List(slos)));
    Node::Map(entries)
}

/// What there is, by kind and name.
struct Documents<'a>(Vec<&'a Node>);

impl<'a> Documents<'a> {
    fn new(nodes: &'a [Node], said: &mut Vec<String>) -> Self {
        let mut known = Vec::new();
        // Some tools write one list of all documents.
        let all = nodes.iter().flat_map(|node| match node {
            Node::List(list) => list.as_slice(),
            node => std::slice::from_ref(node),
        });
        for (index, node) in all.enumerate() {
            if matches!(node, Node::Scalar(text) if text.is_empty()) {
                continue;
            }
            let version = node.text("apiVersion").unwrap_or("none");
            let kind = node.text("kind").unwrap_or("none");
            let called = name(node);
            if version != "openslo/v1" {
                let why = format!("its apiVersion is {version}, and only openslo/v1 is read");
                said.push(format!("document {} ({kind} {called}): left out: {why}", index + 1));
            } else if KINDS.contains(&kind) {
                known.push(node);
            } else {
                let why = format!("kind {kind} is none of OpenSLO v1");
                said.push(format!("document {} ({called}): left out: {why}", index + 1));
            }
        }
        Self(known)
    }

    fn of_kind(&self, kind: &'static str) -> impl Iterator<Item = &'a Node> {
        self.0.iter().copied().filter(move |node| node.text("kind") == Some(kind))
    }

    fn find(&self, kind: &'static str, called: &str) -> Option<&'a Node> {
        self.of_kind(kind).find(|node| name(node) == called)
    }

    /// What our own export says of the whole catalog.
    fn shared(&self, said: &mut Vec<String>) -> Vec<(String, Node)> {
        let mut shared: Vec<(String, Node)> = Vec::new();
        for source in self.of_kind("DataSource") {
            for (field, key) in SHARED {
                let Some(text) = annotation(source, key) else { continue };
                if shared.iter().any(|(known, _)| known == field) {
                    said.push(format!("{}: {key} was given by another document", name(source)));
                } else if let Some(node) = value(text, key, said) {
                    shared.push((field.to_owned(), node));
                }
            }
        }
        shared
    }
}

fn name(document: &Node) -> &str {
    document.get("metadata").and_then(|metadata| metadata.text("name")).unwrap_or("without a name")
}

fn annotation<'a>(document: &'a Node, key: &str) -> Option<&'a str> {
    document.get("metadata")?.get("annotations")?.text(key)
}

/// Texts may hold what means something in YAML, so they are not read as such.
fn value(text: &str, key: &str, said: &mut Vec<String>) -> Option<Node> {
    match key {
        super::TEAM | super::RUNBOOK_BASE_URL => Some(scalar(text)),
        _ => fragment(text, key, said),
    }
}

/// A part of `slo.yaml` in an annotation.
fn fragment(text: &str, key: &str, said: &mut Vec<String>) -> Option<Node> {
    match tree::documents(text) {
        Ok(mut nodes) if nodes.len() == 1 => nodes.pop(),
        Ok(_) => {
            said.push(format!("annotation {key}: left out: it is not one value"));
            None
        }
        Err(error) => {
            said.push(format!("annotation {key}: left out: {error}"));
            None
        }
    }
}

/// Names what nobody will look at.
fn unread(node: Option<&Node>, known: &[&str], place: &str, said: &mut Vec<String>) {
    for (field, _) in node.map(Node::entries).unwrap_or_default() {
        if !known.contains(&field.as_str()) {
            said.push(format!("{place}: {field} is not carried"));
        }
    }
}

fn scalar(text: impl Into<String>) -> Node {
    Node::Scalar(text.into())
}
