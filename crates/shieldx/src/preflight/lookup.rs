//! Finds a command in PATH the way `execvp(3)` does, and the nearest names when there is none.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use types::Text;

use super::Unrunnable;
use crate::view::View;

/// How many names are compared before giving up on finding a near one.
const NAMES_MAX: usize = 50_000;
/// How many near names are shown.
const SIMILAR_MAX: usize = 3;

const BUILTINS: [&str; 14] = [
    "alias", "bg", "cd", "command", "eval", "exec", "export", "fg", "history", "set", "source",
    "ulimit", "umask", "unset",
];

/// The first executable file of this name in PATH.
pub(super) fn find(name: &OsStr, view: &View) -> Result<PathBuf, Unrunnable> {
    let mut refused: Option<Unrunnable> = None;
    for folder in &view.path {
        let path = folder.join(name);
        let Ok(meta) = fs::metadata(&path) else { continue };
        let shown = Text::from(path.as_os_str().as_bytes());
        let reason = if meta.is_dir() {
            Unrunnable::Directory { path: shown }
        } else if meta.permissions().mode() & 0o111 == 0 {
            Unrunnable::NotExecutable { path: shown, script: None }
        } else {
            return Ok(path);
        };
        // A folder of that name is only worth telling when no file was found either.
        if refused.is_none() && !meta.is_dir() {
            refused = Some(reason);
        }
    }
    Err(refused.unwrap_or_else(|| Unrunnable::NotFound {
        name: Text::from(name.as_bytes()),
        similar: similar_in(&view.path, name),
        shell: shell_line(name),
    }))
}

/// Near names in the folder of a path that does not exist.
pub(super) fn similar_beside(path: &Path) -> Vec<String> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return vec![] };
    let folder_text = Text::from(folder.as_os_str().as_bytes()).to_string();
    similar_in(&[folder.to_path_buf()], name)
        .into_iter()
        .map(|near| format!("{}/{near}", folder_text.trim_end_matches('/')))
        .collect()
}

/// A command that only a shell understands, and how to ask one.
fn shell_line(name: &OsStr) -> Option<String> {
    let word = name.to_str()?;
    if BUILTINS.contains(&word) {
        return Some(format!("{word} is part of the shell: shieldx run -- sh -c '{word} …'"));
    }
    let line = word.contains([' ', '|', '>', ';', '&']);
    line.then(|| format!("for a whole shell line: shieldx run -- sh -c '{}'", Text::from(word)))
}

fn similar_in(folders: &[PathBuf], name: &OsStr) -> Vec<String> {
    let wanted = name.as_bytes();
    let far = match wanted.len() {
        0..=1 => return vec![],
        2..=4 => 1,
        _ => 2,
    };
    let mut near: Vec<(usize, String)> = Vec::new();
    let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    for entry in entries.take(NAMES_MAX).flatten() {
        let candidate = entry.file_name();
        let bytes = candidate.as_bytes();
        if bytes.len().abs_diff(wanted.len()) > far || bytes == wanted {
            continue;
        }
        let distance = distance(wanted, bytes);
        let shown = Text::from(bytes).to_string();
        if distance <= far && !near.iter().any(|(_, name)| *name == shown) {
            near.push((distance, shown));
        }
    }
    near.sort();
    near.into_iter().take(SIMILAR_MAX).map(|(_, name)| name).collect()
}

/// Edit distance with swapped neighbours counting once (optimal string alignment).
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, &x) in a.iter().enumerate() {
        let mut row = vec![i + 1; b.len() + 1];
        for (j, &y) in b.iter().enumerate() {
            let change = last[j] + usize::from(x != y);
            row[j + 1] = change.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && x == b[j - 1] && a[i - 1] == y {
                row[j + 1] = row[j + 1].min(before[j - 1] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn distances() {
        for (a, b, want) in [
            ("ls", "ls", 0),
            ("sl", "ls", 1),
            ("pyhton3", "python3", 1),
            ("gti", "git", 1),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a.as_bytes(), b.as_bytes()), want, "{a} {b}");
        }
    }
}
