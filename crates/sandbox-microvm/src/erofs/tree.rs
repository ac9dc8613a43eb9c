//! The files of an image before it is written.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

/// What an image may hold: more is refused before anything is written.
const ENTRIES_MAX: u64 = 400_000;
/// As in Linux (`NAME_MAX`).
const NAME_MAX_BYTES: usize = 255;

/// Files, folders and links by path.
#[derive(Debug, Default)]
pub struct Tree {
    pub(super) top: Folder,
    entries: u64,
    bytes: u64,
}

/// The bytes of a regular file.
#[derive(Debug, Clone)]
pub enum Content {
    Bytes(Vec<u8>),
    /// The first `size` bytes of a file of the host, read when the image is written.
    File {
        file: PathBuf,
        size: u64,
        /// Seconds since 1970: interpreters compare it with what they compiled.
        mtime_s: u64,
    },
}

impl Content {
    #[must_use]
    pub fn size(&self) -> u64 {
        match self {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::File { size, .. } => *size,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    #[error("{} cannot be placed: something else is there, or its name is not a path", .0.display())]
    Place(PathBuf),
    #[error("more than {ENTRIES_MAX} files and folders")]
    TooMany,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Meta {
    /// Permission bits.
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    pub mtime_s: u64,
}

#[derive(Debug)]
pub(super) struct Folder {
    pub meta: Meta,
    pub entries: BTreeMap<Vec<u8>, Node>,
}

impl Default for Folder {
    fn default() -> Self {
        Self { meta: Meta { mode: 0o755, ..Meta::default() }, entries: BTreeMap::new() }
    }
}

#[derive(Debug)]
pub(super) struct Node {
    pub meta: Meta,
    pub kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Folder(Folder),
    File(Content),
    Link(Vec<u8>),
}

impl Tree {
    /// Bytes of all regular files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes a folder with its parents, or changes the mode of one that is there.
    ///
    /// # Errors
    /// When a file or a link is in the way.
    pub fn folder(&mut self, path: impl AsRef<Path>, mode: u16) -> Result<(), TreeError> {
        let path = path.as_ref();
        self.enter(path)?.meta.mode = mode & 0o7777;
        Ok(())
    }

    /// Puts a file there. One that is there already is kept: the first wins.
    ///
    /// # Errors
    /// When a folder or a link is in the way.
    pub fn file(
        &mut self,
        path: impl AsRef<Path>,
        mode: u16,
        content: Content,
    ) -> Result<(), TreeError> {
        let size = content.size();
        let mtime_s = match &content {
            Content::File { mtime_s, .. } => *mtime_s,
            Content::Bytes(_) => 0,
        };
        let meta = Meta { mode: mode & 0o7777, mtime_s, ..Meta::default() };
        let node = Node { meta, kind: Kind::File(content) };
        if self.put(path.as_ref(), node)? {
            self.bytes += size;
        }
        Ok(())
    }

    /// Puts a symbolic link there. What is there already is kept.
    ///
    /// # Errors
    /// When a folder is in the way.
    pub fn link(
        &mut self,
        path: impl AsRef<Path>,
        target: impl AsRef<Path>,
    ) -> Result<(), TreeError> {
        let target = target.as_ref().as_os_str().as_bytes().to_vec();
        let node = Node { meta: Meta { mode: 0o777, ..Meta::default() }, kind: Kind::Link(target) };
        self.put(path.as_ref(), node).map(drop)
    }

    /// Whether something has this path, links not followed.
    #[must_use]
    pub fn has(&self, path: impl AsRef<Path>) -> bool {
        let Some((parents, name)) = split(path.as_ref()) else { return true };
        let mut folder = &self.top;
        for part in parents {
            match folder.entries.get(part).map(|node| &node.kind) {
                Some(Kind::Folder(below)) => folder = below,
                _ => return false,
            }
        }
        folder.entries.contains_key(name)
    }

    fn put(&mut self, path: &Path, node: Node) -> Result<bool, TreeError> {
        let place = || TreeError::Place(path.to_owned());
        let (parents, name) = split(path).ok_or_else(place)?;
        let parents: PathBuf =
            parents.iter().map(|part| std::ffi::OsStr::from_bytes(part)).collect();
        let name = name.to_vec();
        if name.len() > NAME_MAX_BYTES {
            return Err(place());
        }
        self.entries += 1;
        if self.entries > ENTRIES_MAX {
            return Err(TreeError::TooMany);
        }
        let folder = self.enter(&parents).map_err(|_| place())?;
        match folder.entries.get(&name) {
            None => {
                folder.entries.insert(name, node);
                Ok(true)
            }
            Some(Node { kind: Kind::Folder(_), .. }) => Err(place()),
            Some(_) => Ok(false),
        }
    }

    /// The folder at a path, made where it is not there.
    fn enter(&mut self, path: &Path) -> Result<&mut Folder, TreeError> {
        let mut folder = &mut self.top;
        for part in path.components() {
            let name = match part {
                Component::Normal(name) if name.len() <= NAME_MAX_BYTES => name.as_bytes(),
                Component::RootDir | Component::CurDir => continue,
                _ => return Err(TreeError::Place(path.to_owned())),
            };
            if !folder.entries.contains_key(name) {
                self.entries += 1;
                if self.entries > ENTRIES_MAX {
                    return Err(TreeError::TooMany);
                }
            }
            let node = folder.entries.entry(name.to_vec()).or_insert_with(|| Node {
                meta: Meta::default(),
                kind: Kind::Folder(Folder::default()),
            });
            match &mut node.kind {
                Kind::Folder(below) => folder = below,
                _ => return Err(TreeError::Place(path.to_owned())),
            }
        }
        Ok(folder)
    }
}

/// Parents and name of a path; `None` for the top itself or a path with `..`.
fn split(path: &Path) -> Option<(Vec<&[u8]>, &[u8])> {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => parts.push(name.as_bytes()),
            Component::RootDir | Component::CurDir => {}
            _ => return None,
        }
    }
    let name = parts.pop()?;
    Some((parts, name))
}

#[cfg(test)]
mod tests {
    use super::{Content, Tree};

    fn empty() -> Content {
        Content::Bytes(Vec::new())
    }

    #[test]
    fn the_first_stays_and_what_is_in_the_way_is_refused() {
        let mut tree = Tree::default();
        tree.link("/bin", "usr/bin").unwrap();
        tree.link("/bin", "elsewhere").unwrap();
        assert!(tree.file("/bin/sh", 0o755, empty()).is_err());
        tree.file("/usr/bin/sh", 0o755, Content::Bytes(vec![0; 9])).unwrap();
        tree.file("/usr/bin/sh", 0o755, empty()).unwrap();
        assert_eq!(tree.bytes(), 9);
        assert!(tree.file("/usr/bin", 0o755, empty()).is_err());
        assert!(tree.file("/usr/../x", 0o755, empty()).is_err());
        assert!(tree.has("/bin") && tree.has("/usr/bin/sh") && !tree.has("/usr/bin/bash"));
    }
}
