//! Reads OpenMetrics text, as far as it is written by our own services: a line that is no sample is
//! passed over.

use std::borrow::Cow;

/// A sample.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row<'a> {
    pub(super) name: &'a str,
    pub(super) labels: Vec<(&'a str, Cow<'a, str>)>,
    pub(super) value: f64,
    pub(super) exemplar: Option<Named<'a>>,
}

/// An exemplar.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Named<'a> {
    pub(super) labels: Vec<(&'a str, Cow<'a, str>)>,
    pub(super) value: f64,
    pub(super) at_us: Option<i64>,
}

impl Row<'_> {
    /// Empty where there is none.
    pub(super) fn label(&self, name: &str) -> Cow<'_, str> {
        let found = self.labels.iter().find(|(known, _)| *known == name);
        found.map_or(Cow::Borrowed(""), |(_, value)| Cow::Borrowed(value.as_ref()))
    }
}

pub(super) fn rows(text: &str) -> impl Iterator<Item = Row<'_>> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(row)
}

fn row(line: &str) -> Option<Row<'_>> {
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let (sample, exemplar) = match rest.split_once(" # {") {
        Some((sample, rest)) => (sample, named(rest)),
        None => (rest, None),
    };
    let value = sample.split_ascii_whitespace().next()?.parse().ok()?;
    Some(Row { name, labels, value, exemplar })
}

fn named(text: &str) -> Option<Named<'_>> {
    let (labels, rest) = labels(text)?;
    let mut words = rest.split_ascii_whitespace();
    let value = words.next()?.parse().ok()?;
    let at_us = words.next().and_then(|seconds| seconds.parse::<f64>().ok()).map(micros);
    Some(Named { labels, value, at_us })
}

/// `a="b",c="d"}` and what comes after it.
#[expect(clippy::type_complexity, reason = "pairs and the rest, used twice right here")]
fn labels(mut text: &str) -> Option<(Vec<(&str, Cow<'_, str>)>, &str)> {
    let mut labels = Vec::new();
    loop {
        text = text.trim_start_matches(',');
        if let Some(rest) = text.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, rest) = text.split_once("=\"")?;
        let end = closing(rest)?;
        labels.push((name, unescaped(&rest[..end])));
        text = &rest[end + 1..];
    }
}

/// Where the first quote is that no backslash stands before.
fn closing(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => plain.push('\n'),
                Some(other) => plain.push(other),
                None => {}
            },
            c => plain.push(c),
        }
    }
    Cow::Owned(plain)
}

#[expect(clippy::cast_possible_truncation, reason = "`as` saturates")]
fn micros(seconds: f64) -> i64 {
    (seconds * 1e6) as i64
}
