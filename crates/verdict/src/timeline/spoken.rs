//! A shell's program text, split into the commands that it states.
//!
//! It is a reader of text, not a shell: quotes, comments, redirections, here documents,
//! substitutions and plain assignments are understood, nothing is expanded that is not written
//! there, and every bound ends the reading quietly. Whether a command was run is not its business.

use std::collections::{BTreeMap, BTreeSet};

/// Longer texts are programs of their own; what they say first is enough.
const TEXT_BYTES_MAX: usize = 64 * 1024;
const COMMANDS_MAX: usize = 512;
/// What values add to a text in all: one that is made of itself doubles with every line.
const PUT_IN_BYTES_MAX: usize = TEXT_BYTES_MAX;
/// Substitutions within substitutions.
const DEPTH_MAX: usize = 8;

/// One simple command as written, without redirections and leading assignments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) words: Vec<String>,
    /// Files that redirections write to.
    pub(crate) writes: Vec<String>,
}

/// The commands of a text in their order; those inside of substitutions come before the one that
/// uses them.
pub(crate) fn commands(text: &str) -> Vec<Command> {
    let end = (0..=TEXT_BYTES_MAX.min(text.len())).rev().find(|&at| text.is_char_boundary(at));
    let text = &text[..end.unwrap_or(0)];
    let chars: Vec<char> = text.chars().collect();
    let mut reader = Reader {
        chars: &chars,
        at: 0,
        ticks: false,
        counted: text.match_indices("=$((").map(|(at, _)| last_word(&text[..at])).collect(),
        said: BTreeMap::new(),
        left: PUT_IN_BYTES_MAX,
        all: Vec::new(),
    };
    reader.list(None, 0);
    reader.all
}

fn last_word(text: &str) -> &str {
    text.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or("")
}

struct Reader<'c> {
    chars: &'c [char],
    at: usize,
    /// Within backticks, where the next one ends.
    ticks: bool,
    /// Names that the text counts with: they have no one value.
    counted: BTreeSet<&'c str>,
    /// Plain assignments so far.
    said: BTreeMap<String, String>,
    /// Of [`PUT_IN_BYTES_MAX`].
    left: usize,
    all: Vec<Command>,
}

/// Words after which a command starts.
const OPENING: &[&str] =
    &["if", "then", "else", "elif", "do", "while", "until", "!", "{", "time", "in"];
/// Words that are no command.
const CLOSING: &[&str] = &["fi", "done", "esac", "}", "for", "case", "select", "function"];

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next_is(&self, ahead: usize, c: char) -> bool {
        self.chars.get(self.at + ahead) == Some(&c)
    }

    /// Reads commands up to `until` or the end; where they begin in `all` is the caller's to know.
    fn list(&mut self, until: Option<char>, depth: usize) {
        let mut command = Command::default();
        let mut here: Vec<String> = Vec::new();
        let mut groups = 0_usize;
        while let Some(c) = self.peek() {
            if self.all.len() >= COMMANDS_MAX {
                self.at = self.chars.len();
                break;
            }
            if Some(c) == until {
                self.at += 1;
                break;
            }
            match c {
                ' ' | '\t' | '\r' => self.at += 1,
                '\\' if self.next_is(1, '\n') => self.at += 2,
                '#' => self.skip_line(),
                '\n' | ';' | '|' | '(' | ')' => {
                    self.at += 1;
                    let pattern = c == ')' && groups == 0;
                    let function = c == '(' && self.next_is(0, ')');
                    // A pattern of `case` and the name of a function are no commands.
                    if pattern || function {
                        command = Command::default();
                    }
                    groups = match c {
                        '(' => groups + 1,
                        ')' => groups.saturating_sub(1),
                        _ => groups,
                    };
                    self.keep(&mut command);
                    if c == '\n' {
                        here.drain(..).for_each(|end| self.skip_here(&end));
                    }
                }
                '&' if self.next_is(1, '>') => {
                    self.at += 1;
                    self.redirection(&mut command, &mut here, depth);
                }
                '&' => {
                    self.at += 1;
                    self.keep(&mut command);
                }
                '<' | '>' => self.redirection(&mut command, &mut here, depth),
                _ => self.take_word(&mut command, depth),
            }
        }
        self.keep(&mut command);
    }

    fn skip_line(&mut self) {
        while self.peek().is_some_and(|c| c != '\n') {
            self.at += 1;
        }
    }

    /// Past the lines of a here document.
    fn skip_here(&mut self, end: &str) {
        while self.at < self.chars.len() {
            let from = self.at;
            self.skip_line();
            let line: String = self.chars[from..self.at].iter().collect();
            self.at += 1;
            if line.trim_start_matches('\t') == end {
                break;
            }
        }
    }

    fn take_word(&mut self, command: &mut Command, depth: usize) {
        let word = self.word(depth);
        // `2>` names a stream.
        let stream = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
        if stream && matches!(self.peek(), Some('<' | '>')) {
            return;
        }
        if command.words.is_empty() && OPENING.contains(&word.as_str()) {
            return;
        }
        if command.words.is_empty()
            && let Some((name, value)) = assignment(&word)
        {
            self.said.insert(name.to_owned(), value.to_owned());
            return;
        }
        command.words.push(word);
    }

    fn keep(&mut self, command: &mut Command) {
        let command = std::mem::take(command);
        let first = command.words.first().map(String::as_str);
        match first {
            Some("for") => {
                // One value is what the name stands for.
                if let [_, name, _, value] = command.words.as_slice()
                    && !value.contains(['$', '`', '*'])
                {
                    self.said.insert(name.clone(), value.clone());
                }
            }
            Some("export" | "local" | "readonly" | "declare") => {
                let said: Vec<(String, String)> = command.words[1..]
                    .iter()
                    .filter_map(|word| assignment(word))
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect();
                self.said.extend(said);
                self.all.push(command);
            }
            Some(word) if CLOSING.contains(&word) => {}
            None if command.writes.is_empty() => {}
            _ => self.all.push(command),
        }
    }

    fn redirection(&mut self, command: &mut Command, here: &mut Vec<String>, depth: usize) {
        let out = self.peek() == Some('>');
        self.at += 1;
        if self.next_is(0, '(') {
            self.at += 1;
            self.substituted(')', depth);
            command.words.push("<()".to_owned());
            return;
        }
        let document = !out && self.next_is(0, '<');
        let text = document && self.next_is(1, '<');
        let joined = self.next_is(0, '&');
        while matches!(self.peek(), Some('<' | '>' | '&' | '|' | '-')) {
            self.at += 1;
        }
        while matches!(self.peek(), Some(' ' | '\t')) {
            self.at += 1;
        }
        let word = self.word(depth);
        if document && !text {
            here.push(word);
        } else if out && !joined && !word.is_empty() {
            command.writes.push(word);
        }
    }

    /// The commands of a substitution that was just opened; its first one is returned.
    fn substituted(&mut self, until: char, depth: usize) -> Option<Command> {
        if depth >= DEPTH_MAX {
            self.at = self.chars.len();
            return None;
        }
        let before = self.all.len();
        let ticks = std::mem::replace(&mut self.ticks, until == '`');
        self.list(Some(until), depth + 1);
        self.ticks = ticks;
        self.all.get(before).cloned()
    }

    fn word(&mut self, depth: usize) -> String {
        let mut word = String::new();
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' | '\r' | '\n' | ';' | '|' | '&' | '(' | ')' | '<' | '>' => break,
                '\'' => {
                    self.at += 1;
                    while let Some(c) = self.peek().filter(|c| *c != '\'') {
                        word.push(c);
                        self.at += 1;
                    }
                    self.at += 1;
                }
                '"' => self.quoted(&mut word, depth),
                '\\' => {
                    word.extend(self.chars.get(self.at + 1).filter(|c| **c != '\n'));
                    self.at += 2;
                }
                '`' if self.ticks => break,
                '$' | '`' => self.expansion(&mut word, depth),
                c => {
                    word.push(c);
                    self.at += 1;
                }
            }
        }
        word
    }

    fn quoted(&mut self, word: &mut String, depth: usize) {
        self.at += 1;
        while let Some(c) = self.peek() {
            match c {
                '"' => {
                    self.at += 1;
                    return;
                }
                '\\' => {
                    let next = self.chars.get(self.at + 1).copied();
                    if let Some(c) = next {
                        if !matches!(c, '"' | '\\' | '$' | '`' | '\n') {
                            word.push('\\');
                        }
                        word.push(c);
                    }
                    self.at += 2;
                }
                '`' if self.ticks => return,
                '$' | '`' => self.expansion(word, depth),
                c => {
                    word.push(c);
                    self.at += 1;
                }
            }
        }
    }

    /// What `$` or a backtick starts. A value is put in where the text itself says it, otherwise
    /// the text stays as it is.
    fn expansion(&mut self, word: &mut String, depth: usize) {
        let from = self.at;
        self.at += 1;
        let command = match (self.chars[from], self.peek()) {
            ('`', _) => Some(self.substituted('`', depth)),
            (_, Some('(')) if self.next_is(1, '(') => {
                self.skip_arithmetic();
                None
            }
            (_, Some('(')) => {
                self.at += 1;
                Some(self.substituted(')', depth))
            }
            (_, Some('{')) => {
                while self.peek().is_some_and(|c| c != '}') {
                    self.at += 1;
                }
                self.at += 1;
                None
            }
            (_, Some('\'')) => None,
            _ => {
                while self.peek().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
                    self.at += 1;
                }
                None
            }
        };
        let end = self.at.min(self.chars.len());
        let written: String = self.chars[from..end].iter().collect();
        let found = command.flatten().and_then(|command| located(&command));
        let name = written.trim_start_matches('$').trim_matches(['{', '}']);
        let known = || self.said.get(name).filter(|_| !self.counted.contains(name)).cloned();
        match found.or_else(known).filter(|value| value.len() <= self.left) {
            Some(value) => {
                self.left -= value.len();
                word.push_str(&value);
            }
            None => word.push_str(&written),
        }
    }

    fn skip_arithmetic(&mut self) {
        let mut open = 0_usize;
        while let Some(c) = self.peek() {
            self.at += 1;
            match c {
                '(' => open += 1,
                ')' if open <= 1 => break,
                ')' => open -= 1,
                _ => {}
            }
        }
    }
}

/// `name=value` at the start of a word.
fn assignment(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let starts = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    let letters = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    (starts && letters).then_some((name, value))
}

/// The program that `which NAME` and its kind look for.
fn located(command: &Command) -> Option<String> {
    let words: Vec<&str> = command.words.iter().map(String::as_str).collect();
    match words[..] {
        ["which", name] | ["command", "-v", name] | ["type", "-p", name] => Some(name.to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::commands;

    /// The words of every command, joined.
    fn words(text: &str) -> Vec<String> {
        commands(text)
            .into_iter()
            .filter(|command| !command.words.is_empty())
            .map(|command| command.words.join(" "))
            .collect()
    }

    #[test]
    fn commands_are_split_where_a_shell_splits_them() {
        for (text, expect) in [
            ("id; ls -l | wc", vec!["id", "ls -l", "wc"]),
            ("a 'b; c' \"d | e\" f\\ g", vec!["a b; c d | e f g"]),
            ("if [ -f x ]; then rm x; fi", vec!["[ -f x ]", "rm x"]),
            ("for i in 1 2; do echo $i; done", vec!["echo $i"]),
            ("# no; command\nyes", vec!["yes"]),
            ("n=1; p 1.$n; n=$((n+1))", vec!["p 1.$n"]),
            ("f=/etc/x; cat $f \"${f}\"", vec!["cat /etc/x /etc/x"]),
            ("p=$(which gpg); $p -c y", vec!["which gpg", "gpg -c y"]),
            ("echo $((1+2)) `id -u`", vec!["id -u", "echo $((1+2)) `id -u`"]),
            ("cat <<E > /o\nrm -rf /\nE\nid", vec!["cat", "id"]),
            ("case $1 in a) one;; b) two;; esac", vec!["one", "two"]),
            ("f() { x 1; }; f", vec!["x 1", "f"]),
            ("A=1 B=2 run me 2>/dev/null >&2", vec!["run me"]),
            ("(sleep 1 && x) & y", vec!["sleep 1", "x", "y"]),
            ("cat <<< word; z", vec!["cat", "z"]),
        ] {
            assert_eq!(words(text), expect, "{text}");
        }
    }

    #[test]
    fn files_behind_redirections_are_kept_apart() {
        let all = commands("echo a >> /etc/profile 2>/dev/null; x < /in | tee b >| c");
        assert_eq!(all[0].writes, ["/etc/profile", "/dev/null"]);
        assert_eq!(all[1].writes, [""; 0]);
        assert_eq!(all[2].writes, ["c"]);
    }

    #[test]
    fn unfinished_text_ends() {
        for text in ["a 'b", "\"", "$(", "`", "${", "$((", "<<", "x \\", ">", "((((((((((", "a | "]
        {
            commands(text);
        }
        commands(&"$(".repeat(5000));
        assert!(commands(&"x;".repeat(5000)).len() <= super::COMMANDS_MAX);
    }
}
