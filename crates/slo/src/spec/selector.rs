//! Which series of a metric, as in PromQL: `name{label="value",other!="value"}`.

use std::fmt;

/// A metric's name and what its labels have to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    /// As scraped, with `_total`.
    pub metric: String,
    pub matchers: Vec<Matcher>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matcher {
    pub label: String,
    /// `=`, else `!=`.
    pub equal: bool,
    pub value: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} selects no series; it looks like name{{label=\"value\"}}: {reason}")]
pub struct BadSelector {
    pub text: String,
    pub reason: String,
}

impl Selector {
    /// Whether a series with these labels is selected. A label that is absent is the empty text.
    pub fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.matchers.iter().all(|matcher| {
            (label(&matcher.label).unwrap_or_default() == matcher.value) == matcher.equal
        })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.metric)?;
        if self.matchers.is_empty() {
            return Ok(());
        }
        f.write_str("{")?;
        for (index, Matcher { label, equal, value }) in self.matchers.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let sign = if *equal { "=" } else { "!=" };
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            write!(f, "{comma}{label}{sign}\"{value}\"")?;
        }
        f.write_str("}")
    }
}
