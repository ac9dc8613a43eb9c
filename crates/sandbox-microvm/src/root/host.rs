//! Looks things up on the host; takes and changes nothing.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// Folders below folders.
pub(super) const TREE_DEPTH_MAX: usize = 64;
/// Files of `ld.so.conf` that include others.
const INCLUDE_DEPTH_MAX: usize = 4;

/// Counts the bytes of regular files down from `left`; `None` when they are more.
pub(super) fn measure(path: &Path, left: &mut u64, depth: usize) -> Option<()> {
    let meta = fs::symlink_metadata(path).ok()?;
    if meta.is_file() {
        *left = left.checked_sub(meta.len().max(4096))?;
    } else if meta.is_dir() && depth <= TREE_DEPTH_MAX {
        *left = left.checked_sub(4096)?;
        for entry in fs::read_dir(path).ok()?.flatten() {
            measure(&entry.path(), left, depth + 1)?;
        }
    }
    Some(())
}

/// The names of a path, `..` among them.
pub(super) fn parts(path: &Path) -> Vec<std::ffi::OsString> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            _ => None,
        })
        .collect()
}

/// The words after `#!`.
pub(super) fn shebang(file: &Path) -> Option<Vec<String>> {
    use std::io::Read as _;
    let mut start = [0; 256];
    let read = fs::File::open(file).ok()?.read(&mut start).ok()?;
    let line = start.get(..read)?.strip_prefix(b"#!")?;
    let line = line.split(|&byte| byte == b'\n').next()?;
    let words: Vec<String> =
        String::from_utf8_lossy(line).split_whitespace().map(str::to_owned).collect();
    (!words.is_empty()).then_some(words)
}

/// The folders of `ld.so.conf` with what it includes.
pub(super) fn configured_folders(file: &Path, depth: usize) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for line in fs::read_to_string(file).unwrap_or_default().lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(pattern) = line.strip_prefix("include ") {
            let folder = Path::new(pattern.trim()).parent().unwrap_or(Path::new("/"));
            let mut files: Vec<PathBuf> =
                fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
            files.sort();
            if depth < INCLUDE_DEPTH_MAX {
                folders.extend(files.iter().flat_map(|file| configured_folders(file, depth + 1)));
            }
        } else if line.starts_with('/') {
            folders.push(PathBuf::from(line));
        }
    }
    folders
}
