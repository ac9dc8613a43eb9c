//! A mapping's fields by name, with the place of each; what is wrong is noted and reading goes on,
//! so that a file is told all that is wrong with it at once.

use std::fmt::{Display, Write as _};
use std::time::Duration;

use super::span;
use super::tree::Node;

/// Problems that are told; the rest is a number.
const PROBLEMS_MAX: usize = 200;

/// What is wrong with a file.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    told: Vec<String>,
    more: usize,
}

impl Problems {
    pub(crate) fn note(&mut self, place: &str, problem: impl Display) {
        if self.told.len() == PROBLEMS_MAX {
            self.more += 1;
            return;
        }
        let mut text = String::new();
        if !place.is_empty() {
            let _ = write!(text, "{place}: ");
        }
        let _ = write!(text, "{problem}");
        self.told.push(text);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    pub(crate) fn into_texts(mut self) -> Vec<String> {
        if self.more > 0 {
            self.told.push(format!("… and {} more", self.more));
        }
        self.told
    }
}

/// A mapping that is being read. Each field is taken once; `finish` says what nobody took.
pub(crate) struct Fields<'a> {
    place: String,
    entries: Vec<(&'a str, &'a Node)>,
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// Anything but a mapping is a problem, and then there are no fields; nothing at all is an empty
    /// mapping (`availability:`).
    pub(crate) fn new(place: impl Into<String>, node: &'a Node, problems: &mut Problems) -> Self {
        let place = place.into();
        let mut entries: Vec<(&str, &Node)> = Vec::new();
        match node {
            Node::Map(map) => {
                for (name, value) in map {
                    if entries.iter().any(|(known, _)| known == name) {
                        problems.note(&place, format_args!("{name} is there twice"));
                    }
                    entries.push((name, value));
                }
            }
            Node::Scalar(text) if is_nothing(text) => {}
            _ => problems.note(&place, "has to be a mapping (`name: value`)"),
        }
        Self { place, entries, known: Vec::new() }
    }

    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    pub(crate) fn at(&self, name: &str) -> String {
        if self.place.is_empty() { name.to_owned() } else { format!("{}: {name}", self.place) }
    }

    /// The place gets a better name once it is known which one it is.
    pub(crate) fn rename(&mut self, place: String) {
        self.place = place;
    }

    /// Also `None` where it is there with nothing in it.
    pub(crate) fn take(&mut self, name: &'static str) -> Option<&'a Node> {
        self.take_even_empty(name)
            .filter(|node| !matches!(node, Node::Scalar(text) if is_nothing(text)))
    }

    pub(crate) fn take_even_empty(&mut self, name: &'static str) -> Option<&'a Node> {
        self.known.push(name);
        self.entries.iter().find(|(known, _)| *known == name).map(|(_, node)| *node)
    }

    pub(crate) fn text(&mut self, name: &'static str, problems: &mut Problems) -> Option<&'a str> {
        match self.take(name)? {
            Node::Scalar(text) => Some(text),
            _ => {
                problems.note(&self.at(name), "has to be one value, not a list or mapping");
                None
            }
        }
    }

    pub(crate) fn required(
        &mut self,
        name: &'static str,
        problems: &mut Problems,
    ) -> Option<&'a str> {
        if self.take(name).is_none() {
            problems.note(&self.place, format_args!("{name} is missing"));
        }
        self.text(name, problems)
    }

    /// A value that is read from its text; `form` says what it should look like.
    pub(crate) fn parsed<T>(
        &mut self,
        name: &'static str,
        form: &str,
        problems: &mut Problems,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(name, problems)?;
        let value = parse(text);
        if value.is_none() {
            problems.note(&self.at(name), format_args!("{text:?} is not {form}"));
        }
        value
    }

    pub(crate) fn flag(&mut self, name: &'static str, problems: &mut Problems) -> Option<bool> {
        self.parsed(name, "true or false", problems, |text| text.parse().ok())
    }

    pub(crate) fn span(&mut self, name: &'static str, problems: &mut Problems) -> Option<Duration> {
        self.parsed(name, "a time with its unit, like 250ms, 5m or 30d", problems, span::parse)
    }

    pub(crate) fn number(&mut self, name: &'static str, problems: &mut Problems) -> Option<u64> {
        self.parsed(name, "a whole number from 0", problems, |text| {
            text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
        })
    }

    /// One of a closed set of words.
    pub(crate) fn word<T: Copy>(
        &mut self,
        name: &'static str,
        words: &[(&str, T)],
        problems: &mut Problems,
    ) -> Option<T> {
        let text = self.text(name, problems)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            problems.note(&self.at(name), unknown(text, &known));
        }
        found
    }

    /// A list; one value alone is a list of it.
    pub(crate) fn list(
        &mut self,
        name: &'static str,
        max: usize,
        problems: &mut Problems,
    ) -> Option<&'a [Node]> {
        let node = self.take(name)?;
        let list = match node {
            Node::List(list) => list.as_slice(),
            Node::Scalar(_) => std::slice::from_ref(node),
            Node::Map(_) => {
                problems.note(&self.at(name), "has to be a list");
                return None;
            }
        };
        if list.len() > max {
            let len = list.len();
            problems
                .note(&self.at(name), format_args!("has {len} entries, at most {max} are read"));
            return None;
        }
        Some(list)
    }

    pub(crate) fn texts(
        &mut self,
        name: &'static str,
        max: usize,
        problems: &mut Problems,
    ) -> Option<Vec<&'a str>> {
        let list = self.list(name, max, problems)?;
        let mut texts = Vec::with_capacity(list.len());
        for (index, node) in list.iter().enumerate() {
            match node {
                Node::Scalar(text) if texts.contains(&text.as_str()) => {
                    problems.note(&self.at(name), format_args!("{text:?} is there twice"));
                }
                Node::Scalar(text) => texts.push(text.as_str()),
                _ => problems.note(&format!("{}[{index}]", self.at(name)), "has to be one value"),
            }
        }
        Some(texts)
    }

    /// Names the fields that nobody knows, with the nearest that somebody does.
    pub(crate) fn finish(self, problems: &mut Problems) {
        for (name, _) in &self.entries {
            if !self.known.contains(name) {
                problems.note(&self.place, unknown(name, &self.known));
            }
        }
    }
}

fn is_nothing(text: &str) -> bool {
    matches!(text, "" | "~" | "null")
}

/// `"latancy" is not known; did you mean "latency"?`
pub(crate) fn unknown(text: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .map(|word| (strsim::damerau_levenshtein(text, word), *word))
        .min()
        .filter(|(distance, word)| *distance <= 1 + word.len() / 4);
    match near {
        Some((_, word)) => format!("{text:?} is not known; did you mean {word:?}?"),
        None if known.is_empty() => format!("{text:?} is not known, and there are none"),
        None => format!("{text:?} is not known; there are {}", known.join(", ")),
    }
}
