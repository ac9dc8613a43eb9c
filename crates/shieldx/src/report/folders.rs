//! Many changed files in few rows: folders are summed up until everything fits.
//!
//! Works on the sorted list of paths and never recurses, because a path of a recording can have any
//! depth.

use std::collections::BTreeMap;

use types::{FileChange, Text};

use super::words;

/// More files than this lying in one folder are always told as a sum.
const FILES_PER_FOLDER_MAX: usize = 6;

/// One row of a list of changed files.
#[derive(Debug)]
pub enum Row<'a> {
    File(&'a FileChange),
    Folder(Folder<'a>),
}

/// Changes in or below one folder that are told as a sum.
#[derive(Debug)]
pub struct Folder<'a> {
    /// Ends in a slash; empty for files without any folder in common.
    pub path: Text,
    pub files: Vec<&'a FileChange>,
}

/// Rows for all files, in the order of their paths, at most `rows_max` unless the files lie in more
/// folders than that at the root.
#[must_use]
pub fn rows<'a>(files: &[&'a FileChange], rows_max: usize) -> Vec<Row<'a>> {
    if files.is_empty() {
        return Vec::new();
    }
    let mut sorted: Vec<Entry<'a>> = files.iter().map(|&file| Entry::new(file)).collect();
    sorted.sort_by(|a, b| a.key.cmp(&b.key));
    let mut parts = vec![Part::of(&sorted, 0)];
    loop {
        // The outermost folders first: they say most about where the files are.
        let mut open: Vec<usize> = (0..parts.len()).collect();
        open.sort_by_key(|&at| parts.get(at).map_or(usize::MAX, |part| part.depth()));
        let fits = |at: &usize| {
            let inner = parts.get(*at)?.split()?;
            let anywhere = parts.get(*at)?.prefix <= 1;
            (parts.len() - 1 + inner.len() <= rows_max || anywhere).then_some((*at, inner))
        };
        let Some((at, inner)) = open.iter().find_map(fits) else { break };
        parts.splice(at..=at, inner);
    }
    parts.sort_by(|a, b| a.first().cmp(b.first()));
    parts.into_iter().map(Part::row).collect()
}

impl Folder<'_> {
    /// `created`, or `changed` when not all are the same.
    #[must_use]
    pub fn change(&self) -> String {
        let first = self.files.first().map_or("", |file| file.change.as_str());
        let same = self.files.iter().all(|file| file.change == first);
        if same { words::safe(first) } else { "changed".to_owned() }
    }

    /// `12 files, 3 folders, 1.2 MiB`, or by change where not all are the same.
    #[must_use]
    pub fn sum(&self) -> String {
        let first = self.files.first().map_or("", |file| file.change.as_str());
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        let uniform = self.files.iter().all(|file| file.change == first);
        for file in &self.files {
            let name = if uniform { file.file_type.as_str() } else { file.change.as_str() };
            *counts.entry(name).or_default() += 1;
        }
        let mut counts: Vec<(&str, u64)> = counts.into_iter().collect();
        counts.sort_by_key(|&(name, count)| (std::cmp::Reverse(count), name));
        let named = |&(name, count): &(&str, u64)| match name {
            "file" => words::plural(count, "file", "files"),
            "directory" => words::plural(count, "folder", "folders"),
            "symlink" => words::plural(count, "link", "links"),
            other => format!("{} {}", words::grouped(count), words::safe(other)),
        };
        let mut parts: Vec<String> = counts.iter().take(4).map(named).collect();
        let bytes = self.files.iter().filter(|file| file.file_type == "file");
        let bytes = bytes.map(|file| file.size_bytes).fold(0, u64::saturating_add);
        if bytes > 0 {
            parts.push(words::size(bytes));
        }
        parts.join(", ")
    }
}

#[derive(Debug, Clone)]
struct Entry<'a> {
    /// The path; a folder's ends in a slash, so that it sorts to what lies in it.
    key: Vec<u8>,
    file: &'a FileChange,
}

impl<'a> Entry<'a> {
    fn new(file: &'a FileChange) -> Self {
        let mut key = file.path.as_bytes().to_vec();
        if file.file_type == "directory" && !key.ends_with(b"/") {
            key.push(b'/');
        }
        Self { key, file }
    }

    /// The part of the key up to the first slash after `from`; `None` when it ends before one.
    fn folder(&self, from: usize) -> Option<&[u8]> {
        let at = self.key.get(from..)?.iter().position(|&byte| byte == b'/')?;
        self.key.get(..=from + at)
    }
}

/// A stretch of the sorted list below one folder.
#[derive(Debug)]
struct Part<'s, 'a> {
    entries: Entries<'s, 'a>,
    /// Bytes of the first key that are the folder.
    prefix: usize,
}

#[derive(Debug)]
enum Entries<'s, 'a> {
    /// Everything below the folder.
    Below(&'s [Entry<'a>]),
    /// What lies in the folder itself, when it is more than is told one by one.
    In(Vec<&'s Entry<'a>>),
}

impl<'s, 'a> Part<'s, 'a> {
    fn of(entries: &'s [Entry<'a>], from: usize) -> Self {
        let (first, last) = (entries.first(), entries.last());
        let mut prefix = from;
        // Keys are sorted, so what the first and the last have in common all have in common.
        while let (Some(first), Some(last)) = (first, last) {
            match (first.folder(prefix), last.folder(prefix)) {
                (Some(a), Some(b)) if a == b => prefix = a.len(),
                _ => break,
            }
        }
        Self { entries: Entries::Below(entries), prefix }
    }

    fn first(&self) -> &[u8] {
        let first = match &self.entries {
            Entries::Below(entries) => entries.first(),
            Entries::In(entries) => entries.first().copied(),
        };
        first.map_or(&[], |entry| &entry.key)
    }

    fn depth(&self) -> usize {
        let folder = self.first().get(..self.prefix).unwrap_or_default();
        folder.iter().filter(|&&byte| byte == b'/').count()
    }

    /// The parts it falls into one level down; `None` for what stays one row.
    fn split(&self) -> Option<Vec<Self>> {
        let Entries::Below(entries) = self.entries else { return None };
        if entries.len() < 2 {
            return None;
        }
        let mut parts = Vec::new();
        let mut direct: Vec<&'s [Entry<'a>]> = Vec::new();
        let mut rest = entries;
        while let Some(first) = rest.first() {
            let below = match first.folder(self.prefix) {
                Some(folder) => {
                    rest.iter().take_while(|entry| entry.key.starts_with(folder)).count()
                }
                None => 1,
            };
            let (part, after) = rest.split_at_checked(below.max(1)).unwrap_or((rest, &[]));
            rest = after;
            if part.len() > 1 {
                parts.push(Self::of(part, self.prefix));
            } else {
                direct.push(part);
            }
        }
        // A new folder is told by what lies in it.
        let own = |part: &&'s [Entry<'a>]| {
            part.iter().all(|entry| {
                let file = entry.file;
                entry.key.len() == self.prefix
                    && file.file_type == "directory"
                    && file.change == "created"
            })
        };
        if direct.len() > FILES_PER_FOLDER_MAX {
            let entries = direct.into_iter().flatten().collect();
            parts.insert(0, Self { entries: Entries::In(entries), prefix: self.prefix });
        } else {
            let told = direct.into_iter().filter(|part| !own(part));
            parts.extend(
                told.map(|part| Self { entries: Entries::Below(part), prefix: self.prefix }),
            );
        }
        (!parts.is_empty()).then_some(parts)
    }

    fn row(self) -> Row<'a> {
        let entries: Vec<&Entry<'a>> = match self.entries {
            Entries::Below([entry]) => return Row::File(entry.file),
            Entries::Below(entries) => entries.iter().collect(),
            Entries::In(entries) => entries,
        };
        let first = entries.first().and_then(|entry| entry.key.get(..self.prefix));
        let path = Text::from(first.unwrap_or_default());
        Row::Folder(Folder { path, files: entries.into_iter().map(|entry| entry.file).collect() })
    }
}

#[cfg(test)]
#[path = "folders/tests.rs"]
mod tests;
