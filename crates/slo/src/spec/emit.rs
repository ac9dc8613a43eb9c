//! YAML that reads back as what was meant, and looks as if somebody had written it.

use std::fmt::Write as _;

/// A value to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Yaml {
    /// As it stands: a number, `true`, `30d`.
    Plain(String),
    /// A text, in quotes where it has to be.
    Text(String),
    /// A list on one line.
    Short(Vec<Yaml>),
    List(Vec<Yaml>),
    Map(Vec<(&'static str, Yaml)>),
    /// A mapping on one line.
    Inline(Vec<(&'static str, Yaml)>),
}

impl Yaml {
    pub(crate) fn plain(value: impl ToString) -> Self {
        Self::Plain(value.to_string())
    }

    pub(crate) fn text(value: impl Into<String>) -> Self {
        Self::Text(value.into())
    }

    pub(crate) fn texts(values: &[String]) -> Self {
        Self::Short(values.iter().map(Self::text).collect())
    }

    /// A document, with its last line ended.
    pub(crate) fn document(&self) -> String {
        let mut text = String::new();
        self.block(0, &mut text);
        text
    }

    /// All of it on one line.
    pub(crate) fn inline(&self) -> String {
        let mut text = String::new();
        self.flow(&mut text);
        text
    }

    fn block(&self, indent: usize, out: &mut String) {
        match self {
            Self::Map(entries) if !entries.is_empty() => {
                for (index, (name, value)) in entries.iter().enumerate() {
                    if index > 0 {
                        pad(indent, out);
                    }
                    let _ = write!(out, "{name}:");
                    value.after_name(indent, out);
                }
            }
            Self::List(values) if !values.is_empty() => {
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        pad(indent, out);
                    }
                    out.push_str("- ");
                    value.block(indent + 2, out);
                }
            }
            _ => {
                self.flow(out);
                out.push('\n');
            }
        }
    }

    fn after_name(&self, indent: usize, out: &mut String) {
        let nested = match self {
            Self::Map(entries) => !entries.is_empty(),
            Self::List(values) => !values.is_empty(),
            _ => false,
        };
        if nested {
            out.push('\n');
            pad(indent + 2, out);
            self.block(indent + 2, out);
        } else {
            out.push(' ');
            self.flow(out);
            out.push('\n');
        }
    }

    fn flow(&self, out: &mut String) {
        match self {
            Self::Plain(text) => out.push_str(text),
            Self::Text(text) => quoted(text, out),
            Self::Short(values) | Self::List(values) => {
                out.push('[');
                for (index, value) in values.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { ", " });
                    value.flow(out);
                }
                out.push(']');
            }
            Self::Map(entries) | Self::Inline(entries) => {
                out.push('{');
                for (index, (name, value)) in entries.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    let _ = write!(out, "{comma}{name}: ");
                    value.flow(out);
                }
                out.push('}');
            }
        }
    }
}

fn pad(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// Words need no quotes where no reader of YAML, of any version, takes them for something else; a
/// text in JSON's quotes is the same text in YAML's.
fn quoted(text: &str, out: &mut String) {
    let inner = |c: char| c.is_ascii_alphanumeric() || "_./- ".contains(c);
    let word = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(inner)
        && !text.ends_with(' ');
    let special = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
        .contains(&&*text.to_lowercase());
    if word && !special {
        out.push_str(text);
        return;
    }
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            control
                if control.is_control()
                    || matches!(control, '\u{2028}' | '\u{2029}' | '\u{feff}') =>
            {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::super::tree::{Node, documents};
    use super::Yaml;

    #[test]
    fn texts_read_back() {
        for text in [
            "",
            "a",
            "a b",
            "true",
            "No",
            "~",
            "1.5",
            "0x1",
            "- a",
            "a: b",
            "a #b",
            "\"",
            "\\",
            "'",
            "a\nb\t\u{7}\u{85}",
            "{x}",
            "[x",
            "*",
            "&a",
            "!t",
            "%",
            "@",
            "`",
            "é ",
            "2024-01-01",
            " a",
            "\u{feff}x",
        ] {
            let value =
                Yaml::List(vec![Yaml::Inline(vec![("k", Yaml::text(text))]), Yaml::text(text)]);
            for written in [value.document(), value.inline()] {
                let scalar = Node::Scalar(text.to_owned());
                let map = Node::Map(vec![("k".to_owned(), scalar.clone())]);
                let expected = Node::List(vec![map, scalar]);
                assert_eq!(documents(&written).unwrap(), [expected], "{written}");
            }
        }
    }
}
