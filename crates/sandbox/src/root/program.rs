//! The program of a run as it stands in the root that the run is given: found and opened before the
//! root is built, for whoever wants to look at its bytes.
//!
//! Nothing is unpacked and nothing of the host is followed: a folder is looked at name by name
//! through no link (`openat2(2)`), archives are read through, and links of either lead where they
//! lead inside. What is found is what was there at that moment; the runner opens the root itself.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, MemfdFlags, OFlags};
use rustix::io::Errno;

use super::names::{Names, Node, Place, Work, follow};
use super::tar::read::Entries;
use super::tree::straight;
use super::{ENTRIES_MAX, Refusal, layers, shown, sources};
use crate::spec::Root;

/// A program of an archive is held in memory up to this.
pub const HELD_BYTES_MAX: u64 = 256 << 20;
/// Links that lie in a folder are no longer than a path.
const LINK_MAX: usize = 4096;

/// A root, to be looked into.
#[derive(Debug)]
pub struct Programs {
    root: Root,
    layers: Vec<PathBuf>,
    /// What a folder of the host is the root of.
    folder: Option<OwnedFd>,
    base: Names,
    over: Names,
    work: Work,
}

/// A file of a root.
#[derive(Debug)]
pub struct Found {
    /// Where it is inside, with every link followed.
    pub path: PathBuf,
    /// Its bytes, from the first on.
    pub content: File,
    /// Of how many bytes `content` has only the first [`HELD_BYTES_MAX`], where it has not all.
    pub cut_of: Option<u64>,
    /// It is a layer's, whatever lies below.
    pub layered: bool,
}

impl Programs {
    /// Reads what stands in a root and in the layers over it. Of an archive at most `bytes_max`
    /// bytes are read.
    ///
    /// # Errors
    /// When there is nothing to look into from here, or it cannot be read.
    pub fn open(root: &Root, over: &[PathBuf], bytes_max: u64) -> Result<Self, Refusal> {
        let folder = match root {
            Root::Folder(path) => Some(path.as_path()),
            Root::Host => Some(Path::new("/")),
            Root::Image(name) => {
                return Err(Refusal::new(format!(
                    "the files of {name} are the Docker daemon's, and it was not asked for them"
                )));
            }
            Root::Tar(_) | Root::Oci(..) => None,
        };
        let open =
            |path: &Path| File::open(path).map_err(Refusal::io(format!("open {}", path.display())));
        // Names count beside content.
        let limit = bytes_max.saturating_add(ENTRIES_MAX * 2 * 1024);
        let read = |blobs: Vec<super::Blob>| -> Result<Names, Refusal> {
            let mut names = Names::default();
            for (number, blob) in blobs.into_iter().enumerate() {
                let of = blob.name.clone();
                let named = |refusal: Refusal| Refusal::new(format!("{of}: {refusal}"));
                names.layer(number, blob.stream()?.take(limit)).map_err(named)?;
            }
            Ok(names)
        };
        Ok(Self {
            root: root.clone(),
            layers: over.to_vec(),
            folder: folder.map(open).transpose()?.map(OwnedFd::from),
            base: read(sources(root)?)?,
            over: read(layers(over)?)?,
            work: Work::default(),
        })
    }

    /// The program by this name: a path, from `cwd` on, or a name that is looked up along `path`.
    ///
    /// # Errors
    /// When there is no such file, or it cannot be read.
    pub fn program(&self, name: &OsStr, cwd: &Path, path: &[PathBuf]) -> Result<Found, Refusal> {
        if name.as_bytes().contains(&b'/') {
            return self.file(Path::new(name), cwd);
        }
        let executable = |folder: &PathBuf| {
            let end = self.end(&folder.join(name), cwd)?;
            matches!(self.look(&end), Some(Node::File { mode, .. }) if mode & 0o111 != 0)
                .then_some(end)
        };
        match path.iter().find_map(executable) {
            Some(end) => self.read(end),
            None => Err(missing(Path::new(name))),
        }
    }

    /// A file by its path, from `cwd` on.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn file(&self, path: &Path, cwd: &Path) -> Result<Found, Refusal> {
        self.read(self.end(path, cwd).ok_or_else(|| missing(path))?)
    }

    fn end(&self, path: &Path, cwd: &Path) -> Option<Vec<u8>> {
        let look = |path: &[u8]| self.look(path);
        let cwd = if path.is_absolute() {
            Vec::new()
        } else {
            follow(&look, b"", cwd.as_os_str().as_bytes(), &self.work)?
        };
        follow(&look, &cwd, path.as_os_str().as_bytes(), &self.work)
    }

    /// What stands at a path in which no part is a link.
    fn look(&self, path: &[u8]) -> Option<Node> {
        match self.over.get(path) {
            // The top, or a folder over one.
            Some(Node::Gone) => return None,
            Some(node) if !path.is_empty() => return Some(node),
            _ => {}
        }
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        for end in std::iter::once(0).chain(slashes.map(|(end, _)| end)) {
            match path.get(..end).and_then(|above| self.over.get(above)) {
                None | Some(Node::Folder { opaque: false }) => {}
                Some(_) => return None,
            }
        }
        match &self.folder {
            Some(folder) => in_folder(folder, path),
            None => self.base.get(path).filter(|node| *node != Node::Gone),
        }
    }

    fn read(&self, path: Vec<u8>) -> Result<Found, Refusal> {
        let inside = Path::new("/").join(std::ffi::OsString::from_vec(path.clone()));
        let Some(Node::File { size, at, .. }) = self.look(&path) else {
            return Err(Refusal::new(format!("{} is no regular file in it", shown(&path))));
        };
        let failed = || Refusal::io(format!("read {} in it", shown(&path)));
        let from_layer = matches!(self.over.get(&path), Some(Node::File { .. }));
        let mut cut_of = None;
        let content = match &self.folder {
            Some(folder) if !from_layer => {
                let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW;
                let file = File::from(straight(folder.as_fd(), &path, flags).map_err(failed())?);
                if !file.metadata().is_ok_and(|meta| meta.is_file()) {
                    return Err(Refusal::new(format!(
                        "{} changed while it was opened",
                        shown(&path)
                    )));
                }
                file
            }
            _ => {
                let blobs = if from_layer { layers(&self.layers) } else { sources(&self.root) }?;
                let blob = blobs.into_iter().nth(at.archive).ok_or_else(|| missing(&inside))?;
                cut_of = (size > HELD_BYTES_MAX).then_some(size);
                content(blob.stream()?, at, size)?
            }
        };
        Ok(Found { path: inside, content, cut_of, layered: from_layer })
    }
}

fn missing(path: &Path) -> Refusal {
    Refusal::new(format!("{} was not found in it", shown(path.as_os_str().as_bytes())))
}

/// What stands in a folder of the host at a path without links.
fn in_folder(folder: &OwnedFd, path: &[u8]) -> Option<Node> {
    let handle = straight(folder.as_fd(), path, OFlags::PATH | OFlags::NOFOLLOW).ok()?;
    let stat = rustix::fs::fstat(&handle).ok()?;
    Some(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Node::Folder { opaque: false },
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(&handle, c"", Vec::with_capacity(LINK_MAX)).ok()?;
            Node::Link(target.into_bytes())
        }
        FileType::RegularFile => Node::File {
            at: Place { archive: 0, entry: 0 },
            mode: stat.st_mode,
            size: u64::try_from(stat.st_size).unwrap_or(0),
        },
        _ => Node::Other,
    })
}

/// The bytes of one entry, in memory.
fn content(input: impl Read, at: Place, size: u64) -> Result<File, Refusal> {
    let mut entries = Entries::new(input);
    for _ in 0..=at.entry {
        entries.next()?.ok_or_else(|| Refusal::new("it became shorter while it was read"))?;
    }
    let failed = || Refusal::io("hold a program in memory");
    let file = rustix::fs::memfd_create("program", MemfdFlags::CLOEXEC)
        .map_err(|error: Errno| failed()(error.into()))?;
    let mut file = File::from(file);
    let mut copy = || -> io::Result<()> {
        let mut left = usize::try_from(size.min(HELD_BYTES_MAX)).unwrap_or(0);
        let mut buffer = vec![0; 64 << 10];
        while left > 0 {
            let want = left.min(buffer.len());
            let count = entries.read(buffer.get_mut(..want).unwrap_or_default())?;
            if count == 0 {
                break;
            }
            file.write_all(buffer.get(..count).unwrap_or_default())?;
            left -= count;
        }
        file.rewind()
    };
    copy().map_err(failed())?;
    Ok(file)
}

#[cfg(test)]
mod tests;
