//! Reads the text that our own registries write (OpenMetrics), as far as it is wanted.

use std::collections::BTreeSet;

/// One series.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line<'a> {
    pub(super) service: &'a str,
    pub(super) name: &'a str,
    labels: Vec<(&'a str, String)>,
    pub(super) value: f64,
}

impl Line<'_> {
    /// A label, or `job` as a scraper would add it.
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        let own = self.labels.iter().find(|(known, _)| *known == name);
        own.map(|(_, value)| value.as_str()).or((name == "job").then_some(self.service))
    }
}

/// The series with one of these names.
pub(super) fn lines<'a>(
    service: &'a str,
    text: &'a str,
    wanted: &'a BTreeSet<&str>,
) -> impl Iterator<Item = Line<'a>> {
    text.lines().filter_map(move |line| {
        let end = line.find(['{', ' '])?;
        let (name, rest) = line.split_at_checked(end)?;
        wanted.contains(name).then_some(())?;
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => labels(rest)?,
            None => (Vec::new(), rest),
        };
        let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
        Some(Line { service, name, labels, value })
    })
}

/// Up to the closing brace, and what comes after it.
fn labels(mut rest: &str) -> Option<(Vec<(&str, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut chars = quoted.char_indices();
        let end = loop {
            match chars.next()? {
                (at, '"') => break at,
                (_, '\\') => match chars.next()?.1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, other) => value.push(other),
            }
        };
        labels.push((name, value));
        rest = quoted.get(end + 1..)?;
    }
}
