//! The two texts. They differ in whether exemplars may stand in them, in the name behind `# TYPE`, and
//! in the last line.

use std::fmt::{self, Display, Formatter, Write as _};

use super::{Exemplar, Family, Histogram, Kind, Number, Series, Value};

pub(in crate::metrics) fn open_metrics(families: &[Family]) -> String {
    let mut text = String::new();
    write_all(&mut text, families, true);
    text.push_str("# EOF\n");
    text
}

pub(super) fn plain(families: &[Family]) -> String {
    let mut text = String::new();
    write_all(&mut text, families, false);
    text
}

fn write_all(text: &mut String, families: &[Family], open: bool) {
    for family in families.iter().filter(|family| !family.series.is_empty()) {
        // Writing into a string does not fail.
        let _ = write_family(text, family, open);
    }
}

fn write_family(text: &mut String, family: &Family, open: bool) -> fmt::Result {
    let Family { name, help, kind, series, .. } = family;
    let ending = kind.ending();
    // In OpenMetrics the family has the name, in the older format its samples have.
    let (described, kind_name) = match (open, kind) {
        (true, kind) => ("", kind.as_str()),
        (false, Kind::Info) => (ending, "gauge"),
        (false, Kind::Unknown) => (ending, "untyped"),
        (false, kind) => (ending, kind.as_str()),
    };
    writeln!(text, "# HELP {name}{described} {}", Escaped { text: help, quotes: open })?;
    writeln!(text, "# TYPE {name}{described} {kind_name}")?;
    for Series { labels, value } in series {
        match value {
            Value::Number { number, exemplar } => {
                let exemplar = exemplar.as_ref().filter(|_| open && *kind == Kind::Counter);
                let labels = Labels { first: None, labels };
                writeln!(text, "{name}{ending}{labels} {number}{}", Behind(exemplar))?;
            }
            Value::Histogram(histogram) => {
                write_histogram(text, name, labels, histogram, open)?;
            }
        }
    }
    Ok(())
}

fn write_histogram(
    text: &mut String,
    name: &str,
    labels: &[(String, String)],
    histogram: &Histogram,
    open: bool,
) -> fmt::Result {
    for bucket in &histogram.buckets {
        let upper = Number::Float(bucket.upper).to_string();
        let exemplar = bucket.exemplar.as_ref().filter(|_| open);
        let labels = Labels { first: Some(("le", &upper)), labels };
        writeln!(text, "{name}_bucket{labels} {}{}", bucket.cumulative, Behind(exemplar))?;
    }
    let labels = Labels { first: None, labels };
    writeln!(text, "{name}_sum{labels} {}", Number::Float(histogram.sum))?;
    writeln!(text, "{name}_count{labels} {}", histogram.count)
}

struct Labels<'a> {
    first: Option<(&'a str, &'a str)>,
    labels: &'a [(String, String)],
}

impl Display for Labels<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let others = self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut before = '{';
        for (name, value) in self.first.into_iter().chain(others) {
            write!(f, "{before}{name}=\"{}\"", Escaped { text: value, quotes: true })?;
            before = ',';
        }
        if before == ',' { f.write_char('}') } else { Ok(()) }
    }
}

/// What stands behind a number.
struct Behind<'a>(Option<&'a Exemplar>);

impl Display for Behind<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(Exemplar { labels, value, at_s }) = self.0 else {
            return Ok(());
        };
        let empty = if labels.is_empty() { "{}" } else { "" };
        write!(f, " # {empty}{} {value}", Labels { first: None, labels })?;
        at_s.map_or(Ok(()), |at| write!(f, " {at:.6}"))
    }
}

/// Backslashes and newlines are escaped everywhere, quotes where a quote would end it.
struct Escaped<'a> {
    text: &'a str,
    quotes: bool,
}

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut rest = self.text;
        while let Some(at) = rest.find(['\\', '\n', '"']) {
            let (plain, from) = rest.split_at(at);
            let (special, after) = from.split_at(1);
            f.write_str(plain)?;
            f.write_str(match special {
                "\\" => "\\\\",
                "\n" => "\\n",
                "\"" if self.quotes => "\\\"",
                other => other,
            })?;
            rest = after;
        }
        f.write_str(rest)
    }
}
