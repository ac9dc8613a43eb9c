//! A page, read as a browser does.

use html5ever::tendril::TendrilSink as _;
use html5ever::{ParseOpts, parse_document};
use markup5ever_rcdom::{Handle, NodeData, RcDom};

/// An element.
#[derive(Debug)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) attributes: Vec<(String, String)>,
    /// Of itself and all within.
    pub(crate) text: String,
}

impl Element {
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// All elements in order, and what a parser complains about.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) elements: Vec<Element>,
    pub(crate) errors: Vec<String>,
}

impl Document {
    pub(crate) fn read(page: &str) -> Self {
        let dom = parse_document(RcDom::default(), ParseOpts::default()).one(page);
        let mut elements = Vec::new();
        walk(&dom.document, &mut elements);
        let errors = dom.errors.borrow().iter().map(ToString::to_string).collect();
        Self { elements, errors }
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.elements.iter().filter(move |element| element.name == name)
    }

    /// Everything a reader without script reads.
    pub(crate) fn text(&self) -> String {
        self.all("body").map(|body| body.text.clone()).collect()
    }
}

fn walk(node: &Handle, elements: &mut Vec<Element>) -> String {
    let place = match &node.data {
        NodeData::Element { name, attrs, .. } => {
            let attributes = attrs.borrow();
            let attributes =
                attributes.iter().map(|a| (a.name.local.to_string(), a.value.to_string()));
            elements.push(Element {
                name: name.local.to_string(),
                attributes: attributes.collect(),
                text: String::new(),
            });
            Some(elements.len() - 1)
        }
        _ => None,
    };
    let mut text = match &node.data {
        NodeData::Text { contents } => contents.borrow().to_string(),
        _ => String::new(),
    };
    for child in node.children.borrow().iter() {
        let inner = walk(child, elements);
        // What a script says is not read.
        let script = matches!(&child.data, NodeData::Element { name, .. } if &*name.local == "script" || &*name.local == "style");
        if !script {
            text.push_str(&inner);
        }
    }
    if let Some(place) = place {
        elements[place].text.clone_from(&text);
    }
    text
}
