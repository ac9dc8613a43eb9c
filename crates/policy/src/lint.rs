//! What a policy may not use because the engine cannot do it safely.

use std::iter::Peekable;
use std::str::CharIndices;

use crate::bundle::File;
use crate::error::PolicyError;

/// Refuses `strings.count`: regorus 0.14.1 panics when its second argument is empty, which a caller
/// may be able to arrange. A panic is caught and denies, but every request would be denied.
pub(crate) fn check(file: &File) -> Result<(), PolicyError> {
    let words = words(file.text()?);
    let counts = |at: usize| {
        let word = |offset: usize| words.get(at + offset).map(|(_, word)| *word);
        let member = at > 0 && words.get(at - 1).map(|(_, word)| *word) == Some(".");
        !member && word(0) == Some("strings") && word(1) == Some(".") && word(2) == Some("count")
    };
    match (0..words.len()).find(|&at| counts(at)) {
        None => Ok(()),
        Some(at) => Err(PolicyError::Unsupported {
            file: file.name.clone(),
            line: words.get(at).map_or(0, |(line, _)| *line),
            name: "strings.count",
            reason: "the engine panics on an empty substring; write `count(indexof_n(text, part))`",
        }),
    }
}

/// Names and dots with their lines, without comments and strings.
fn words(text: &str) -> Vec<(usize, &str)> {
    let mut words = Vec::new();
    let mut line = 1;
    let mut letters = text.char_indices().peekable();
    while let Some((start, letter)) = letters.next() {
        match letter {
            '\n' => line += 1,
            '#' => skip(&mut letters, |letter| letter == '\n', false, &mut line),
            '"' => skip(&mut letters, |letter| letter == '"', true, &mut line),
            '`' => skip(&mut letters, |letter| letter == '`', false, &mut line),
            '.' => words.push((line, ".")),
            _ if in_a_name(letter) => {
                while letters.next_if(|(_, letter)| in_a_name(*letter)).is_some() {}
                let end = letters.peek().map_or(text.len(), |(end, _)| *end);
                words.push((line, text.get(start..end).unwrap_or("")));
            }
            _ if letter.is_whitespace() => {}
            // Anything else stands between names.
            _ => words.push((line, "")),
        }
    }
    words
}

fn in_a_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Goes behind the next letter that ends it.
fn skip(
    letters: &mut Peekable<CharIndices<'_>>,
    ends: impl Fn(char) -> bool,
    escapes: bool,
    line: &mut usize,
) {
    while let Some((_, letter)) = letters.next() {
        *line += usize::from(letter == '\n');
        if escapes && letter == '\\' {
            letters.next();
        } else if ends(letter) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::bundle::File;

    fn found(text: &str) -> Option<String> {
        let file = File { name: "a/b.rego".to_owned(), content: text.into() };
        check(&file).err().map(|error| error.to_string())
    }

    #[test]
    fn strings_count_is_found_where_it_is_called_and_nowhere_else() {
        let error = found("package a\n\nx := strings.count(\"aa\", input.part)\n").unwrap();
        assert!(error.starts_with("a/b.rego:3: strings.count is not supported"), "{error}");
        assert!(found("x := `raw\n\"` y := strings .\n count(1, 2)").is_some());
        for fine in [
            "# strings.count(a, b)",
            "x := \"strings.count \\\" strings.count\"",
            "x := `strings.count`",
            "x := data.strings.count",
            "x := mystrings.count",
            "x := strings.counted",
            "x := strings; y := count(x)",
        ] {
            assert_eq!(found(fine), None, "{fine}");
        }
    }
}
