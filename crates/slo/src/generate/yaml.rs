//! The little of YAML that the generated files need, written such that people like to read it:
//! expressions stand in blocks, texts in double quotes. It knows nothing of what is written.

use std::fmt::Write as _;

/// A text in double quotes. JSON's escapes are YAML's, too.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A text of several lines after `key: `, as a block that ends without a line break.
pub(super) fn block(text: &str, indent: usize) -> String {
    let mut block = String::from("|-");
    for line in text.lines() {
        block.push('\n');
        if !line.is_empty() {
            let _ = write!(block, "{:indent$}{line}", "");
        }
    }
    block
}

/// `{a: "x", b: "y"}` on one line.
pub(super) fn inline_map(pairs: &[(String, String)]) -> String {
    let pairs: Vec<_> =
        pairs.iter().map(|(key, value)| format!("{key}: {}", quoted(value))).collect();
    format!("{{{}}}", pairs.join(", "))
}

/// `key: "value"` lines.
pub(super) fn map(pairs: &[(String, String)], indent: usize) -> String {
    pairs.iter().fold(String::new(), |mut text, (key, value)| {
        let _ = writeln!(text, "{:indent$}{key}: {}", "", quoted(value));
        text
    })
}

#[cfg(test)]
mod tests {
    use super::{block, quoted};

    #[test]
    fn what_is_quoted_is_read_back() {
        for text in ["", "a: b # c", "\"\\\n\t\u{7}\u{2028}", "99.9% {{ x }} 'y'", "null", "é×≥"]
        {
            let read: String = yaml_serde::from_str(&quoted(text)).unwrap();
            assert_eq!(read, text);
        }
    }

    #[test]
    fn a_block_is_read_back() {
        let text = "sum(\n  rate(x{a=\"b\"}[5m])\n)\n\n/ 2";
        let document = format!("expr: {}\n", block(text, 4));
        let read: std::collections::BTreeMap<String, String> =
            yaml_serde::from_str(&document).unwrap();
        assert_eq!(read["expr"], text);
    }
}
