//! Bytes a sample controls: paths, arguments, names.
//!
//! Linux names are byte strings without an encoding. `Text` keeps every byte, so that a report can
//! be replayed bit for bit, and gives two views of them: a reversible one for JSON and an escaped
//! one for people. Nothing here decides what is dangerous; the escape covers all of it.

use std::fmt::{self, Write as _};

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A byte string that came from outside.
///
/// As JSON: valid UTF-8 as it is, with `\` doubled; every byte that is not UTF-8 as `\xNN`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Text(Vec<u8>);

impl Text {
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text for matching: invalid UTF-8 becomes U+FFFD.
    #[must_use]
    pub fn to_lossy(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// The last path component.
    #[must_use]
    pub fn file_name(&self) -> Text {
        let name = self.0.rsplit(|&b| b == b'/').next().unwrap_or(&[]);
        Text(name.to_vec())
    }

    #[must_use]
    pub fn starts_with(&self, prefix: &str) -> bool {
        self.0.starts_with(prefix.as_bytes())
    }

    #[must_use]
    pub fn ends_with(&self, suffix: &str) -> bool {
        self.0.ends_with(suffix.as_bytes())
    }

    /// The reversible form used in JSON.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = String::with_capacity(self.0.len());
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if c == '\\' {
                    out.push_str("\\\\");
                } else {
                    out.push(c);
                }
            }
            for byte in chunk.invalid() {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
        out
    }

    /// Reverses [`Text::encode`].
    ///
    /// # Errors
    /// When a backslash starts neither `\\` nor `\xNN`.
    pub fn decode(encoded: &str) -> Result<Self, BadEscape> {
        let mut bytes = Vec::with_capacity(encoded.len());
        let mut rest = encoded.as_bytes();
        while let Some((&first, tail)) = rest.split_first() {
            if first != b'\\' {
                bytes.push(first);
                rest = tail;
                continue;
            }
            match tail {
                [b'\\', after @ ..] => {
                    bytes.push(b'\\');
                    rest = after;
                }
                [b'x', high, low, after @ ..] => {
                    let (Some(high), Some(low)) = (nibble(*high), nibble(*low)) else {
                        return Err(BadEscape { text: encoded.to_owned() });
                    };
                    bytes.push(high << 4 | low);
                    rest = after;
                }
                _ => return Err(BadEscape { text: encoded.to_owned() }),
            }
        }
        Ok(Self(bytes))
    }
}

/// A JSON string that is not an encoded [`Text`].
#[derive(Debug, thiserror::Error)]
#[error("bad escape in {text:?}: a backslash is written \\\\ and any other byte \\xNN")]
pub struct BadEscape {
    text: String,
}

/// Lower-case hexadecimal, as digests and random numbers are written.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from(half + if half < 10 { b'0' } else { b'a' - 10 });
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Safe on any terminal and in any log line: control characters, bidirectional overrides, other
/// invisible characters, backslashes and invalid bytes are escaped.
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\n' => f.write_str("\\n")?,
                    '\t' => f.write_str("\\t")?,
                    '\r' => f.write_str("\\r")?,
                    '\\' => f.write_str("\\\\")?,
                    ' '..='~' => f.write_char(c)?,
                    c if c.is_control() || invisible(c) => write!(f, "\\u{{{:x}}}", c as u32)?,
                    c => f.write_char(c)?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// Format and separator characters that change how a line is shown without being seen
/// (Unicode categories Cf, Zl, Zp, variation selectors, tags, private use).
fn invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e000}'..='\u{f8ff}'
        | '\u{e0000}'..='\u{10ffff}')
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.encode())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Encoded;
        impl Visitor<'_> for Encoded {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string with \\\\ and \\xNN escapes")
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Text, E> {
                Text::decode(value).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Encoded)
    }
}

impl schemars::JsonSchema for Text {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Text".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "Bytes from outside: UTF-8 with `\\` doubled, other bytes as \\xNN.",
            "pattern": "^([^\\\\]|\\\\\\\\|\\\\x[0-9a-f]{2})*$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Text, hex};

    #[test]
    fn every_byte_has_two_digits() {
        assert_eq!(hex(&[0x00, 0x09, 0x0a, 0x9f, 0xa0, 0xff]), "00090a9fa0ff");
    }

    #[test]
    fn every_byte_string_survives_json() {
        for bytes in [&b"plain"[..], b"back\\slash", b"\xff\xfe", b"\\x41", b"\x1b[31m", b""] {
            let text = Text::from(bytes);
            assert_eq!(Text::decode(&text.encode()).unwrap(), text);
        }
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(Text::decode(&Text::new(all.clone()).encode()).unwrap().as_bytes(), all);
    }

    #[test]
    fn bad_escapes_are_refused() {
        for bad in ["\\", "\\x4", "\\xzz", "\\n"] {
            assert!(Text::decode(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn display_cannot_drive_a_terminal() {
        let shown = Text::from(&b"\x1b]0;x\x07\n\x9b31m\xe2\x80\xae"[..]).to_string();
        assert_eq!(shown, "\\u{1b}]0;x\\u{7}\\n\\x9b31m\\u{202e}");
    }
}
