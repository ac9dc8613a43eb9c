//! Writes read-only disk images: EROFS as the kernel's `fs/erofs/erofs_fs.h` and
//! `Documentation/filesystems/erofs.rst` describe it, without compression, in the plain layout.
//!
//! The guest reads the blocks it needs and no others, no program of the host is needed to make an
//! image, and the same tree gives the same bytes. Knows nothing of what is put into one.

mod tree;

use std::io::{self, Read as _, Write};

pub use tree::{Content, Tree, TreeError};
use tree::{Folder, Kind, Meta, Node};

const BLOCK_BYTES: u64 = 4096;
const SUPER_OFFSET: usize = 1024;
const MAGIC: u32 = 0xe0f5_e1e2;
/// An extended inode, and the unit in which inodes are numbered.
const INODE_BYTES: u64 = 64;
const SLOT_BYTES: u64 = 32;
/// Inodes start in this block; slot 0 stays empty, so that no inode has the number 0.
const META_BLOCK: u64 = 1;
const DIRENT_BYTES: usize = 12;

/// Writes the image; its length in bytes, a multiple of a block.
///
/// # Errors
/// When a source cannot be read, the image cannot be written, or it has more blocks than the format
/// can number.
pub fn write(tree: &Tree, out: &mut dyn Write) -> io::Result<u64> {
    let mut plan = Plan::default();
    plan.folder(&tree.top, None);
    let inodes = u64::try_from(plan.inodes.len()).map_err(io::Error::other)?;
    let meta_blocks = ((inodes + 1) * INODE_BYTES).div_ceil(BLOCK_BYTES);
    let mut next = META_BLOCK + meta_blocks;
    for inode in &mut plan.inodes {
        inode.block = next;
        next += inode.size().div_ceil(BLOCK_BYTES);
    }
    let blocks = u32::try_from(next)
        .map_err(|_| io::Error::new(io::ErrorKind::FileTooLarge, "the image is too large"))?;
    out.write_all(&superblock(inodes, blocks))?;
    let mut meta = vec![0; usize::try_from(INODE_BYTES).map_err(io::Error::other)?];
    for (index, inode) in (1..).zip(&plan.inodes) {
        meta.extend_from_slice(&inode.record(index)?);
    }
    let whole = usize::try_from(meta_blocks * BLOCK_BYTES).map_err(io::Error::other)?;
    meta.resize(whole, 0);
    out.write_all(&meta)?;
    for inode in &plan.inodes {
        inode.write_data(out)?;
    }
    Ok(next * BLOCK_BYTES)
}

fn superblock(inodes: u64, blocks: u32) -> Vec<u8> {
    let mut block = vec![0; 4096];
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(field) = block.get_mut(SUPER_OFFSET + at..SUPER_OFFSET + at + bytes.len()) {
            field.copy_from_slice(bytes);
        }
    };
    put(0, &MAGIC.to_le_bytes());
    // log2 of a block; the root is the first inode.
    put(12, &[12]);
    put(14, &nid16(1).to_le_bytes());
    put(16, &inodes.to_le_bytes());
    put(36, &blocks.to_le_bytes());
    put(40, &1_u32.to_le_bytes());
    put(64, b"shieldx");
    block
}

fn nid(index: u64) -> u64 {
    index * INODE_BYTES / SLOT_BYTES
}

const fn nid16(index: u16) -> u16 {
    index * 2
}

/// One inode on its way to the disk.
struct Inode<'a> {
    meta: Meta,
    /// Links to it: 1, and for a folder 2 and one for each folder in it.
    links: u32,
    data: Data<'a>,
    /// Where its data begins.
    block: u64,
}

enum Data<'a> {
    /// A folder's blocks, filled once all numbers are known.
    Folder(Vec<u8>),
    Content(&'a Content),
    Link(&'a [u8]),
}

impl Inode<'_> {
    fn size(&self) -> u64 {
        match &self.data {
            Data::Folder(blocks) => blocks.len() as u64,
            Data::Content(content) => content.size(),
            Data::Link(target) => target.len() as u64,
        }
    }

    fn record(&self, index: u64) -> io::Result<[u8; 64]> {
        let file_type: u16 = match &self.data {
            Data::Folder(_) => 0o040_000,
            Data::Content(_) => 0o100_000,
            Data::Link(_) => 0o120_000,
        };
        let block = u32::try_from(self.block).map_err(io::Error::other)?;
        let number = u32::try_from(index).map_err(io::Error::other)?;
        let mut record = [0; 64];
        let mut put = |at: usize, bytes: &[u8]| {
            if let Some(field) = record.get_mut(at..at + bytes.len()) {
                field.copy_from_slice(bytes);
            }
        };
        // Bit 0: the extended form; bits 1 to 3: plain data.
        put(0, &1_u16.to_le_bytes());
        put(4, &(file_type | self.meta.mode).to_le_bytes());
        put(8, &self.size().to_le_bytes());
        put(16, &block.to_le_bytes());
        put(20, &number.to_le_bytes());
        put(24, &self.meta.uid.to_le_bytes());
        put(28, &self.meta.gid.to_le_bytes());
        put(32, &self.meta.mtime_s.to_le_bytes());
        put(44, &self.links.to_le_bytes());
        Ok(record)
    }

    fn write_data(&self, out: &mut dyn Write) -> io::Result<()> {
        match &self.data {
            Data::Folder(blocks) => out.write_all(blocks)?,
            Data::Link(target) => out.write_all(target)?,
            Data::Content(Content::Bytes(bytes)) => out.write_all(bytes)?,
            Data::Content(Content::File { file, size, .. }) => copy(file, *size, out)?,
        }
        zeros(self.size().next_multiple_of(BLOCK_BYTES) - self.size(), out)
    }
}

/// Copies exactly `size` bytes: a file that shrinks meanwhile ends in zeros, one that grows is cut.
fn copy(path: &std::path::Path, size: u64, out: &mut dyn Write) -> io::Result<()> {
    let what =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let file = std::fs::File::open(path).map_err(what)?;
    let copied = io::copy(&mut file.take(size), out).map_err(what)?;
    zeros(size - copied, out)
}

fn zeros(count: u64, out: &mut dyn Write) -> io::Result<()> {
    io::copy(&mut io::repeat(0).take(count), out).map(drop)
}

/// All inodes in their order: a folder before what is in it.
#[derive(Default)]
struct Plan<'a> {
    inodes: Vec<Inode<'a>>,
}

impl<'a> Plan<'a> {
    /// Adds a folder and everything below; its index, from 1.
    fn folder(&mut self, folder: &'a Folder, parent: Option<u64>) -> u64 {
        let folders = folder.entries.values().filter(|node| matches!(node.kind, Kind::Folder(_)));
        let links = u32::try_from(folders.count() + 2).unwrap_or(u32::MAX);
        let index =
            self.add(Inode { meta: folder.meta, links, data: Data::Folder(Vec::new()), block: 0 });
        let own = Entry { name: b".", index, file_type: 2 };
        let above = Entry { name: b"..", index: parent.unwrap_or(index), file_type: 2 };
        let mut entries = vec![own, above];
        for (name, node) in &folder.entries {
            let (index, file_type) = self.node(node, index);
            entries.push(Entry { name, index, file_type });
        }
        entries.sort_by_key(|entry| entry.name);
        let blocks = directory(&entries);
        if let Some(inode) = usize::try_from(index - 1).ok().and_then(|at| self.inodes.get_mut(at))
        {
            inode.data = Data::Folder(blocks);
        }
        index
    }

    fn node(&mut self, node: &'a Node, parent: u64) -> (u64, u8) {
        let leaf = |data| Inode { meta: node.meta, links: 1, data, block: 0 };
        match &node.kind {
            Kind::Folder(folder) => (self.folder(folder, Some(parent)), 2),
            Kind::File(content) => (self.add(leaf(Data::Content(content))), 1),
            Kind::Link(target) => (self.add(leaf(Data::Link(target))), 7),
        }
    }

    fn add(&mut self, inode: Inode<'a>) -> u64 {
        self.inodes.push(inode);
        self.inodes.len() as u64
    }
}

struct Entry<'a> {
    name: &'a [u8],
    index: u64,
    /// As in `fs_types.h`: 1 a file, 2 a folder, 7 a symbolic link.
    file_type: u8,
}

/// A folder's blocks: in each, as many entries as fit, then their names. Names are sorted over all
/// blocks; the last block ends where its last name does.
fn directory(entries: &[Entry<'_>]) -> Vec<u8> {
    let block_bytes = 4096;
    let mut blocks = Vec::new();
    let mut rest = entries;
    while !rest.is_empty() {
        let mut used = 0;
        let count = rest
            .iter()
            .take_while(|entry| {
                used += DIRENT_BYTES + entry.name.len();
                used <= block_bytes
            })
            .count();
        let (here, after) = rest.split_at(count);
        let mut names = Vec::new();
        for entry in here {
            let offset = u16::try_from(count * DIRENT_BYTES + names.len()).unwrap_or(u16::MAX);
            blocks.extend_from_slice(&nid(entry.index).to_le_bytes());
            blocks.extend_from_slice(&offset.to_le_bytes());
            blocks.extend_from_slice(&[entry.file_type, 0]);
            names.extend_from_slice(entry.name);
        }
        blocks.extend_from_slice(&names);
        if !after.is_empty() {
            blocks.resize(blocks.len().next_multiple_of(block_bytes), 0);
        }
        rest = after;
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::{BLOCK_BYTES, Content, Tree, write};

    fn u16_at(image: &[u8], at: usize) -> u16 {
        u16::from_le_bytes(image[at..at + 2].try_into().unwrap())
    }

    fn u32_at(image: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(image[at..at + 4].try_into().unwrap())
    }

    /// Names in the folder whose inode has this number, with their numbers.
    fn list(image: &[u8], nid: u64) -> Vec<(String, u64)> {
        let inode = 4096 + usize::try_from(nid).unwrap() * 32;
        let size = usize::try_from(u32_at(image, inode + 8)).unwrap();
        let start = usize::try_from(u32_at(image, inode + 16)).unwrap() * 4096;
        let mut names = Vec::new();
        for block in image[start..start + size].chunks(4096) {
            let count = usize::from(u16_at(block, 8)) / 12;
            for index in 0..count {
                let number =
                    u64::from_le_bytes(block[index * 12..index * 12 + 8].try_into().unwrap());
                let from = usize::from(u16_at(block, index * 12 + 8));
                let to = if index + 1 < count {
                    usize::from(u16_at(block, index * 12 + 20))
                } else {
                    block[from..].iter().position(|&b| b == 0).map_or(block.len(), |n| from + n)
                };
                names.push((String::from_utf8(block[from..to].to_vec()).unwrap(), number));
            }
        }
        names
    }

    #[test]
    fn what_is_put_in_is_found_again_and_names_are_sorted_over_blocks() {
        let mut tree = Tree::default();
        tree.file("/etc/motd", 0o644, Content::Bytes(b"hello".to_vec())).unwrap();
        tree.link("/bin", "usr/bin").unwrap();
        for n in 0..500 {
            tree.file(format!("/many/{n:04}"), 0o644, Content::Bytes(Vec::new())).unwrap();
        }
        let mut image = Vec::new();
        let bytes = write(&tree, &mut image).unwrap();
        assert_eq!(bytes, image.len() as u64);
        assert_eq!(bytes % BLOCK_BYTES, 0);
        assert_eq!(u32_at(&image, 1024), super::MAGIC);
        let root = u64::from(u16_at(&image, 1024 + 14));
        let top = list(&image, root);
        let names: Vec<&str> = top.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, [".", "..", "bin", "etc", "many"]);
        let many = list(&image, top[4].1);
        assert_eq!(many.len(), 502);
        assert!(many.is_sorted());
        let etc = list(&image, top[3].1);
        let inode = 4096 + usize::try_from(etc[2].1).unwrap() * 32;
        assert_eq!(u16_at(&image, inode + 4), 0o100_644);
        let start = usize::try_from(u32_at(&image, inode + 16)).unwrap() * 4096;
        assert_eq!(&image[start..start + 5], b"hello");
    }

    #[test]
    fn the_same_tree_gives_the_same_bytes() {
        let image = || {
            let mut tree = Tree::default();
            tree.file("/b", 0o755, Content::Bytes(b"1".to_vec())).unwrap();
            tree.file("/a", 0o755, Content::Bytes(b"2".to_vec())).unwrap();
            let mut image = Vec::new();
            write(&tree, &mut image).unwrap();
            image
        };
        assert_eq!(image(), image());
    }
}
