//! Which programs a command line or a script talks about, guessed from its words: a guess that is
//! wrong costs a few packed files, or leaves busybox's program of that name.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use sandbox::Spec;

/// Of one script.
const SCRIPT_MAX_BYTES: u64 = 1 << 20;
const WORDS_MAX: usize = 4096;

/// The folders of the command's PATH.
pub(super) fn search_path(spec: &Spec) -> Vec<PathBuf> {
    let path = spec.env.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_os_str());
    let path = path.unwrap_or(OsStr::new("/usr/local/bin:/usr/bin:/bin"));
    path.as_bytes()
        .split(|&byte| byte == b':')
        .filter(|part| part.starts_with(b"/"))
        .map(|part| PathBuf::from(OsStr::from_bytes(part)))
        .collect()
}

/// Everything that may name a program: the arguments, and the scripts among them.
pub(super) fn texts(spec: &Spec) -> Vec<Vec<u8>> {
    let mut texts: Vec<Vec<u8>> =
        spec.command.iter().map(|word| word.as_bytes().to_vec()).collect();
    let inside = |path: &Path| {
        let copied = spec.copies.iter().find(|copied| copied.target == path);
        copied.map_or_else(|| path.to_owned(), |copied| copied.source.clone())
    };
    let mut files: BTreeSet<PathBuf> = BTreeSet::new();
    files.insert(inside(&spec.program));
    for word in spec.command.iter().take(WORDS_MAX) {
        files.insert(inside(&spec.cwd.join(word)));
    }
    texts.extend(files.iter().filter_map(|file| text(file)));
    texts
}

/// A file's beginning, where it is text.
fn text(path: &Path) -> Option<Vec<u8>> {
    if !std::fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(SCRIPT_MAX_BYTES).read_to_end(&mut bytes).ok()?;
    let start = bytes.get(..bytes.len().min(512)).unwrap_or_default();
    (!start.contains(&0)).then_some(bytes)
}

/// Distinct words that could be a program's name or path.
pub(super) fn words(text: &[u8]) -> Vec<String> {
    let part_of_word = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+/@".contains(&byte);
    let mut seen = BTreeSet::new();
    for word in text.split(|&byte| !part_of_word(byte)) {
        let word = word.strip_suffix(b".").unwrap_or(word);
        if (1..=255).contains(&word.len())
            && let Ok(word) = std::str::from_utf8(word)
        {
            seen.insert(word.to_owned());
            if seen.len() >= WORDS_MAX {
                break;
            }
        }
    }
    seen.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn programs_are_found_in_pipes_quotes_and_substitutions() {
        let found = words(b"x=$(curl -s http://h/a|python3 -c 'import os');/usr/bin/perl a.pl\n");
        for name in ["curl", "python3", "/usr/bin/perl"] {
            assert!(found.iter().any(|word| word == name), "{name}: {found:?}");
        }
    }
}
