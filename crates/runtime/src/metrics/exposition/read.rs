//! Reads the text that prometheus-client writes. It is our own program's text, well formed by the
//! library's tests; whatever a line is that it should not be, is left out.

use super::{Bucket, Exemplar, Family, Histogram, Kind, Number, Series, Value};

type Labels = Vec<(String, String)>;

/// All families of an OpenMetrics text, in its order.
pub(in crate::metrics) fn read(text: &str) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    for line in text.lines() {
        if let Some(described) = line.strip_prefix("# ") {
            describe(&mut families, described);
        } else if let Some(family) = families.last_mut() {
            sample(family, line);
        }
    }
    families
}

/// `HELP name text`, `TYPE name kind`. HELP comes first.
fn describe(families: &mut Vec<Family>, line: &str) -> Option<()> {
    let (what, rest) = line.split_once(' ')?;
    let (name, text) = rest.split_once(' ')?;
    match what {
        "HELP" => families.push(Family {
            name: name.to_owned(),
            help: unescaped(text),
            kind: Kind::Unknown,
            series: Vec::new(),
            labels: Vec::new(),
        }),
        "TYPE" => families.last_mut()?.kind = kind(text),
        _ => {}
    }
    Some(())
}

fn kind(text: &str) -> Kind {
    let kinds = [Kind::Counter, Kind::Gauge, Kind::Histogram, Kind::Info];
    kinds.into_iter().find(|kind| kind.as_str() == text).unwrap_or(Kind::Unknown)
}

fn sample(family: &mut Family, line: &str) -> Option<()> {
    let rest = line.strip_prefix(family.name.as_str())?;
    let end = rest.find(['{', ' '])?;
    let (ending, rest) = rest.split_at_checked(end)?;
    let (mut labels, rest) = labels(rest)?;
    let mut fields = rest.trim_start().splitn(2, " # ");
    let number = number(fields.next()?)?;
    let exemplar = fields.next().and_then(exemplar);
    if family.kind != Kind::Histogram {
        family.series.push(Series { labels, value: Value::Number { number, exemplar } });
        return Some(());
    }
    let upper = match ending {
        "_bucket" => {
            let le = labels.iter().position(|(name, _)| name == "le")?;
            Some(labels.remove(le).1.parse().ok()?)
        }
        _ => None,
    };
    let histogram = histogram(family, labels)?;
    match (ending, number, upper) {
        ("_sum", number, _) => histogram.sum = number.as_f64(),
        ("_count", Number::Count(count), _) => histogram.count = count,
        ("_bucket", Number::Count(cumulative), Some(upper)) => {
            histogram.buckets.push(Bucket { upper, cumulative, exemplar });
        }
        _ => {}
    }
    Some(())
}

/// The one these lines are of: the last, or a new one.
fn histogram(family: &mut Family, labels: Labels) -> Option<&mut Histogram> {
    if family.series.last().is_none_or(|last| last.labels != labels) {
        let empty = Histogram { sum: 0.0, count: 0, buckets: Vec::new(), native: None };
        family.series.push(Series { labels, value: Value::Histogram(Box::new(empty)) });
    }
    match &mut family.series.last_mut()?.value {
        Value::Histogram(histogram) => Some(histogram),
        Value::Number { .. } => None,
    }
}

/// `{name="value",…}` or nothing, and what follows.
fn labels(text: &str) -> Option<(Labels, &str)> {
    let mut labels = Vec::new();
    let Some(mut rest) = text.strip_prefix('{') else {
        return Some((labels, text));
    };
    loop {
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, value) = rest.split_once("=\"")?;
        let end = closing(value)?;
        let (value, after) = value.split_at_checked(end)?;
        labels.push((name.to_owned(), unescaped(value)));
        rest = after.strip_prefix('"')?;
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

/// Where the quote is that ends a value.
fn closing(value: &str) -> Option<usize> {
    let mut escaped = false;
    value.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

fn unescaped(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('n') => plain.push('\n'),
                Some(other) => plain.push(other),
                None => plain.push('\\'),
            },
            other => plain.push(other),
        }
    }
    plain
}

fn number(text: &str) -> Option<Number> {
    let text = text.trim();
    if let Ok(count) = text.parse() {
        return Some(Number::Count(count));
    }
    if let Ok(signed) = text.parse() {
        return Some(Number::Signed(signed));
    }
    text.parse().ok().map(Number::Float)
}

/// `{labels} value time`
fn exemplar(text: &str) -> Option<Exemplar> {
    let (labels, rest) = labels(text)?;
    let mut fields = rest.split_whitespace();
    let value = number(fields.next()?)?;
    Some(Exemplar { labels, value, at_s: fields.next().and_then(|at| at.parse().ok()) })
}
