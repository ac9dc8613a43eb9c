//! What stands in archives, without unpacking them: names, folders, links, and where a file's bytes
//! are.
//!
//! The same names come to lie in the same places as when an [`super::Unpacker`] fills a tree from
//! the same archives: a name goes through the links that were there before it, whiteouts take away
//! what lower layers have. Names of archives are only compared here and never given to the kernel.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::Read;
use std::ops::Bound;

use super::tar::Kind;
use super::tar::read::{Entries, Entry};
use super::unpack::parts;
use super::{ENTRIES_MAX, Refusal, shown};

/// Links followed on one way (`path_resolution(7)`).
const LINKS_MAX: usize = 40;
/// Names looked at for all entries together. Few archives need one for each part of each name; one
/// that was made for it needs billions.
const WORK_MAX: u64 = 20_000_000;
/// Bytes of a link that cost as much as a name.
const LINK_UNIT: usize = 16;

/// What stands at a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// `opaque` hides what a tree below has in it.
    Folder {
        opaque: bool,
    },
    File {
        at: Place,
        mode: u32,
        size: u64,
    },
    Link(Vec<u8>),
    /// Hides what a tree below has here.
    Gone,
    /// Neither a file nor a way to one.
    Other,
}

/// Which entry of which archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub archive: usize,
    pub entry: u64,
}

/// A tree of names; a key is a path without a slash at either end.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// With the layer that made it.
    nodes: BTreeMap<Vec<u8>, (Node, usize)>,
    /// The top hides what lies below it.
    opaque: bool,
    layer: usize,
    entries: u64,
    work: Work,
}

/// What was done so far, so that it has an end.
#[derive(Debug, Default)]
pub(super) struct Work(Cell<u64>);

impl Work {
    /// Whether there is any left.
    fn spend(&self, steps: usize) -> bool {
        self.0.set(self.0.get().saturating_add(steps as u64));
        self.0.get() <= WORK_MAX
    }
}

impl Names {
    pub(super) fn get(&self, path: &[u8]) -> Option<Node> {
        if path.is_empty() {
            return Some(Node::Folder { opaque: self.opaque });
        }
        self.nodes.get(path).map(|(node, _)| node.clone())
    }

    /// Reads one layer, the lowest first.
    pub(super) fn layer(&mut self, archive: usize, input: impl Read) -> Result<(), Refusal> {
        self.layer = archive;
        let mut entries = Entries::new(input);
        let mut number = 0;
        while let Some(entry) = entries.next()? {
            self.entries += 1;
            if self.entries > ENTRIES_MAX {
                return Err(Refusal::new(format!("it has more than {ENTRIES_MAX} entries")));
            }
            self.take(&entry, Place { archive, entry: number })?;
            number += 1;
            if !self.work.spend(1) {
                return Err(Refusal::new("its names lead through too many others"));
            }
        }
        Ok(())
    }

    fn take(&mut self, entry: &Entry, at: Place) -> Result<(), Refusal> {
        let parts = parts(&entry.path)?;
        let Some((name, parents)) = parts.split_last() else { return Ok(()) };
        let folder = self.folder(parents)?;
        if let Some(gone) = name.strip_prefix(b".wh.") {
            self.hide(&folder, gone);
            return Ok(());
        }
        let path = join(&folder, name);
        let node = match entry.kind {
            Kind::Folder => {
                let old = self.get(&path);
                if matches!(old, Some(Node::Folder { .. })) {
                    self.nodes.entry(path).and_modify(|(_, layer)| *layer = self.layer);
                    return Ok(());
                }
                Node::Folder { opaque: old == Some(Node::Gone) }
            }
            Kind::File => Node::File { at, mode: entry.mode, size: entry.size },
            Kind::Symlink => Node::Link(entry.link.clone()),
            Kind::HardLink => self.linked(entry)?,
            Kind::Device | Kind::Fifo | Kind::Other(_) => return Ok(()),
        };
        self.remove(&path, usize::MAX);
        self.nodes.insert(path, (node, self.layer));
        Ok(())
    }

    fn follow(&self, path: &[u8]) -> Option<Vec<u8>> {
        follow(&|path| self.get(path), b"", path, &self.work)
    }

    /// The other name of a hard link.
    fn linked(&mut self, entry: &Entry) -> Result<Node, Refusal> {
        let parts = parts(&entry.link)?;
        let unknown = || {
            let (path, link) = (shown(&entry.path), shown(&entry.link));
            Refusal::new(format!("{path} is a hard link to {link}, which is no file before it"))
        };
        let (name, parents) = parts.split_last().ok_or_else(unknown)?;
        let folder = self.follow(&parents.join(&b'/'));
        let node = folder.and_then(|folder| self.get(&join(&folder, name)));
        match node {
            Some(node @ (Node::File { .. } | Node::Link(_) | Node::Other)) => Ok(node),
            _ => Err(unknown()),
        }
    }

    /// Where the folder that `parts` name really is, made where it is missing.
    fn folder(&mut self, parts: &[&[u8]]) -> Result<Vec<u8>, Refusal> {
        let mut at = Vec::new();
        self.work.spend(parts.len());
        for part in parts {
            let path = join(&at, part);
            at = match self.get(&path) {
                Some(Node::Folder { .. }) => path,
                Some(Node::Link(_)) => {
                    let end = self.follow(&path);
                    let is_folder =
                        |end: &Vec<u8>| matches!(self.get(end), Some(Node::Folder { .. }));
                    end.filter(is_folder).ok_or_else(|| {
                        Refusal::new(format!("{} leads to no folder", shown(&path)))
                    })?
                }
                old @ (None | Some(Node::Gone)) => {
                    let node = Node::Folder { opaque: old.is_some() };
                    self.nodes.insert(path.clone(), (node, self.layer));
                    path
                }
                Some(Node::File { .. } | Node::Other) => {
                    return Err(Refusal::new(format!("{} is no folder", shown(&path))));
                }
            };
        }
        Ok(at)
    }

    /// A whiteout: `gone` is the rest of its name after `.wh.`.
    fn hide(&mut self, folder: &[u8], gone: &[u8]) {
        if gone == b".wh..opq" {
            self.empty(folder, self.layer);
            self.opaque |= folder.is_empty();
            if let Some((Node::Folder { opaque }, _)) = self.nodes.get_mut(folder) {
                *opaque = true;
            }
        } else if !gone.starts_with(b".wh.") && !gone.is_empty() && gone != b"." && gone != b".." {
            let path = join(folder, gone);
            self.remove(&path, self.layer);
            self.nodes.entry(path).or_insert((Node::Gone, self.layer));
        }
    }

    /// Takes away what is at a path and below it, but for what `layer` made and the folders that is
    /// in.
    fn remove(&mut self, path: &[u8], layer: usize) {
        self.empty(path, layer);
        let stays = self.nodes.get(path).is_some_and(|(_, made)| *made == layer)
            || self.below(path).next().is_some();
        if !stays {
            self.nodes.remove(path);
        }
    }

    fn empty(&mut self, folder: &[u8], layer: usize) {
        // Most often there is nothing to take away.
        let (count, none) = self
            .below(folder)
            .fold((0, true), |(count, none), (_, (_, made))| (count + 1, none && *made == layer));
        if !self.work.spend(count) || none {
            return;
        }
        self.work.spend(4 * count);
        let (mut stay, mut all) = (BTreeSet::new(), Vec::new());
        for (path, (_, made)) in self.below(folder) {
            all.push(path.clone());
            if *made == layer {
                let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
                stay.extend(ends.filter_map(|(end, _)| path.get(..end)).map(<[u8]>::to_vec));
                stay.insert(path.clone());
            }
        }
        for path in all.iter().filter(|path| !stay.contains(*path)) {
            self.nodes.remove(path);
        }
    }

    fn below(&self, folder: &[u8]) -> impl Iterator<Item = (&Vec<u8>, &(Node, usize))> {
        // The byte after a slash ends what begins with the folder and a slash.
        let (from, to) = match folder {
            b"" => (Bound::Unbounded, Bound::Unbounded),
            _ => {
                let (from, to) = ([folder, b"/"].concat(), [folder, b"0"].concat());
                (Bound::Included(from), Bound::Excluded(to))
            }
        };
        self.nodes.range::<Vec<u8>, _>((from, to))
    }
}

/// A name in a folder.
pub(super) fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() { name.to_vec() } else { [folder, b"/", name].concat() }
}

/// Where `path` leads from the folder `from`: through every link and, whatever they say, never above
/// the tree's top.
pub(super) fn follow(
    look: &dyn Fn(&[u8]) -> Option<Node>,
    from: &[u8],
    path: &[u8],
    work: &Work,
) -> Option<Vec<u8>> {
    let split = |path: &[u8]| -> Vec<Vec<u8>> {
        path.split(|&byte| byte == b'/').map(<[u8]>::to_vec).collect()
    };
    let mut at = if path.starts_with(b"/") { Vec::new() } else { from.to_vec() };
    let mut rest: VecDeque<Vec<u8>> = split(path).into();
    let mut links = 0;
    while let Some(part) = rest.pop_front() {
        if !work.spend(1) {
            return None;
        }
        if part.is_empty() || part == b"." {
            continue;
        }
        if part == b".." {
            let end = at.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
            at.truncate(end);
            continue;
        }
        let next = join(&at, &part);
        match look(&next)? {
            Node::Folder { .. } => at = next,
            Node::Link(target) => {
                links += 1;
                if links > LINKS_MAX || !work.spend(target.len() / LINK_UNIT) {
                    return None;
                }
                if target.starts_with(b"/") {
                    at.clear();
                }
                for part in split(&target).into_iter().rev() {
                    rest.push_front(part);
                }
            }
            // A name behind a file leads nowhere.
            Node::File { .. } | Node::Other if rest.iter().all(Vec::is_empty) => at = next,
            Node::File { .. } | Node::Other | Node::Gone => return None,
        }
    }
    Some(at)
}
