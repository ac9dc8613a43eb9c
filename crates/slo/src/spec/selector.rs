//! Which series of a metric, as in PromQL: `name{label="value",other!="value",code=~"5.."}`.

use std::fmt;
use std::str::FromStr;

use regex::{Regex, RegexBuilder};

/// Bytes of a selector, and matchers in one.
const BYTES_MAX: usize = 1024;
const MATCHERS_MAX: usize = 16;
/// Bytes of a compiled pattern.
const PATTERN_BYTES_MAX: usize = 256 * 1024;

/// A metric's name and what its labels have to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    /// As scraped, with `_total`.
    pub metric: String,
    pub matchers: Vec<Matcher>,
}

/// What a label has to be.
#[derive(Debug, Clone)]
pub struct Matcher {
    label: String,
    sign: Sign,
    value: String,
    /// The value, for the signs that take it as a pattern.
    pattern: Option<Regex>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    Equal,
    NotEqual,
    /// The whole value matches a regular expression.
    Matches,
    NotMatches,
}

/// In the order in which they are looked for.
const SIGNS: [(&str, Sign); 4] =
    [("=~", Sign::Matches), ("!~", Sign::NotMatches), ("!=", Sign::NotEqual), ("=", Sign::Equal)];

impl Matcher {
    /// # Errors
    /// With what is wrong with a pattern.
    pub fn new(label: String, sign: Sign, value: String) -> Result<Self, String> {
        let compile = |text: &str| {
            let built = RegexBuilder::new(text).size_limit(PATTERN_BYTES_MAX).build();
            built.map_err(|error| format!("{label}: {value:?} is no pattern: {error}"))
        };
        let pattern = match sign {
            Sign::Equal | Sign::NotEqual => None,
            // Anchored at both ends, as Prometheus does; alone first, so that no bracket of its own
            // opens the anchors.
            Sign::Matches | Sign::NotMatches => {
                compile(&value)?;
                Some(compile(&format!("^(?s:{value})$"))?)
            }
        };
        Ok(Self { label, sign, value, pattern })
    }

    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    fn accepts(&self, value: &str) -> bool {
        let same = self.pattern.as_ref().map_or(self.value == value, |known| known.is_match(value));
        same == matches!(self.sign, Sign::Equal | Sign::Matches)
    }
}

/// A pattern is its text.
impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.label, self.sign, &self.value) == (&other.label, other.sign, &other.value)
    }
}

impl Eq for Matcher {}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} selects no series; it looks like name{{label=\"value\"}}: {reason}")]
pub struct BadSelector {
    pub text: String,
    pub reason: String,
}

impl Selector {
    /// Whether a series with these labels is selected. A label that is absent is the empty text.
    pub fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.matchers
            .iter()
            .all(|matcher| matcher.accepts(label(&matcher.label).unwrap_or_default()))
    }
}

impl FromStr for Selector {
    type Err = BadSelector;

    fn from_str(text: &str) -> Result<Self, BadSelector> {
        let bad = |reason: String| BadSelector { text: text.to_owned(), reason };
        if text.len() > BYTES_MAX {
            return Err(bad(format!("it has more than {BYTES_MAX} bytes")));
        }
        let mut rest = Rest(text.trim());
        let metric = rest.name(true).ok_or_else(|| bad("a metric's name is missing".to_owned()))?;
        let mut matchers: Vec<Matcher> = Vec::new();
        if rest.token("{") {
            while !rest.token("}") {
                if matchers.len() == MATCHERS_MAX {
                    return Err(bad(format!("it has more than {MATCHERS_MAX} labels")));
                }
                let matcher = rest.matcher().map_err(bad)?;
                if matchers.iter().any(|known| known.label == matcher.label) {
                    return Err(bad(format!("{} is there twice", matcher.label)));
                }
                matchers.push(matcher);
                if !rest.token(",") && !rest.0.starts_with('}') {
                    return Err(bad("`,` or `}` is missing".to_owned()));
                }
            }
        }
        match rest.0 {
            "" => Ok(Self { metric, matchers }),
            left => Err(bad(format!("{left:?} follows it; functions and ranges are not read"))),
        }
    }
}

/// What has not been read yet; spaces before a token do not matter.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    fn token(&mut self, token: &str) -> bool {
        match self.0.trim_start().strip_prefix(token) {
            Some(rest) => {
                self.0 = rest.trim_start();
                true
            }
            None => false,
        }
    }

    /// `colons`: the name of a metric may have them.
    fn name(&mut self, colons: bool) -> Option<String> {
        let letter = |c: u8| c.is_ascii_alphabetic() || c == b'_' || (colons && c == b':');
        let len = self.0.bytes().take_while(|c| letter(*c) || c.is_ascii_digit()).count();
        let (name, rest) = self.0.split_at(len);
        let first = name.bytes().next()?;
        if !letter(first) {
            return None;
        }
        self.0 = rest.trim_start();
        Some(name.to_owned())
    }

    fn matcher(&mut self) -> Result<Matcher, String> {
        let label = self.name(false).ok_or("a label's name is missing")?;
        let sign = SIGNS.into_iter().find(|(text, _)| self.token(text)).map(|(_, sign)| sign);
        let sign = sign.ok_or_else(|| format!("=, !=, =~ or !~ is missing after {label}"))?;
        let value = self.quoted().map_err(|why| format!("{label}: {why}"))?;
        Matcher::new(label, sign, value)
    }

    /// With the escapes that [`Selector`] writes.
    fn quoted(&mut self) -> Result<String, &'static str> {
        let quote = self.0.chars().next().filter(|c| matches!(c, '"' | '\''));
        let quote = quote.ok_or("a quoted value is missing")?;
        let mut value = String::new();
        let mut characters = self.0.char_indices().skip(1);
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => match characters.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, escaped @ ('\\' | '"' | '\''))) => value.push(escaped),
                    _ => return Err("only \\\\, \\\" and \\n are escapes"),
                },
                end if end == quote => {
                    let rest = self.0.get(at + 1..).unwrap_or_default();
                    self.0 = rest.trim_start();
                    return Ok(value);
                }
                character => value.push(character),
            }
        }
        Err("its quote does not end")
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.metric)?;
        if self.matchers.is_empty() {
            return Ok(());
        }
        f.write_str("{")?;
        for (index, Matcher { label, sign, value, .. }) in self.matchers.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let known = SIGNS.iter().find(|(_, known)| known == sign);
            let sign = known.map_or("=", |(text, _)| text);
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            write!(f, "{comma}{label}{sign}\"{value}\"")?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::Selector;

    fn check(text: &str, written: &str) {
        let selector: Selector = text.parse().unwrap();
        assert_eq!(selector.to_string(), written);
        assert_eq!(written.parse(), Ok(selector));
    }

    #[test]
    fn selectors_are_read_as_they_are_written() {
        check("a_total", "a_total");
        check("a_total{}", "a_total");
        check(" a:b { x = 'y' , z!=\"w\", } ", "a:b{x=\"y\",z!=\"w\"}");
        check(r#"a{b=~"5..|x\\d",c!~""}"#, r#"a{b=~"5..|x\\d",c!~""}"#);
        check(r#"a{b="c\"d\\e\nf"}"#, r#"a{b="c\"d\\e\nf"}"#);
    }

    #[test]
    fn what_is_none_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "name is missing"),
            ("1a", "name is missing"),
            ("{a=\"b\"}", "name is missing"),
            ("a{b=~\"(\"}", "no pattern"),
            ("a{b!~\"(x{1000}){1000}\"}", "no pattern"),
            ("a{b=~\"a)|(b\"}", "no pattern"),
            ("a{b}", "=, !=, =~ or !~"),
            ("a{b=c}", "quoted"),
            ("a{b=\"c}", "does not end"),
            ("a{b=\"\\d\"}", "escapes"),
            ("a{b=\"c\" d=\"e\"}", "`,` or `}`"),
            ("a{b=\"c\",b=\"d\"}", "twice"),
            ("rate(a[5m])", "follows"),
            ("a[5m]", "follows"),
            ("a b", "follows"),
        ] {
            let error = text.parse::<Selector>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn absent_labels_are_empty() {
        let labels = |label: &str| (label == "verdict").then_some("failed");
        let selects = |text: &str| text.parse::<Selector>().unwrap().matches(labels);
        assert!(selects("a{verdict=\"failed\"}"));
        assert!(!selects("a{verdict!=\"failed\"}"));
        assert!(selects("a{other=\"\"}"));
        assert!(!selects("a{other!=\"\"}"));
        // Patterns are of the whole value.
        assert!(selects("a{verdict=~\"benign|fail.*\"}"));
        assert!(!selects("a{verdict=~\"fail\"}"));
        assert!(selects("a{verdict!~\"fail\"}"));
        assert!(selects("a{other=~\".*\"}") && !selects("a{other=~\".+\"}"));
    }
}
