//! Turns files into a tar stream for the daemon, on a thread, a chunk at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::mpsc;

use crate::places::RUN_UID;

/// Bytes handed on at once, and chunks that may wait.
const CHUNK: usize = 256 << 10;
const WAITING: usize = 4;
/// Entries of a root folder, at most, and how deep it may be.
const ENTRIES_MAX: usize = 1_000_000;
const DEPTH_MAX: usize = 256;

/// What a root is packed from.
#[derive(Debug)]
pub(super) enum Content {
    /// Source on the host by the path inside.
    Files(BTreeMap<PathBuf, PathBuf>),
    Folder(PathBuf),
    /// Already packed; compressed or not, the daemon finds out.
    Tar(PathBuf),
}

/// The chunks, and the thread that makes them.
pub(super) fn stream(
    content: Content,
) -> (impl Stream<Item = io::Result<Bytes>> + Send + 'static, JoinHandle<io::Result<()>>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let thread = std::thread::spawn(move || {
        let mut chunks = Chunks { sender, buffer: Vec::with_capacity(CHUNK) };
        let result = pack(content, &mut chunks).and_then(|()| chunks.flush());
        if let Err(error) = &result {
            // A body that simply ended would be taken for a whole one.
            let broken = io::Error::new(error.kind(), error.to_string());
            let _ = chunks.sender.blocking_send(Err(broken));
        }
        result
    });
    let chunks = futures_util::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    });
    (chunks, thread)
}

/// A writer that sends what is written.
struct Chunks {
    sender: mpsc::Sender<io::Result<Bytes>>,
    buffer: Vec<u8>,
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = Bytes::from(std::mem::take(&mut self.buffer));
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.sender.blocking_send(Ok(chunk)).map_err(gone)
    }
}

fn pack(content: Content, to: &mut Chunks) -> io::Result<()> {
    match content {
        Content::Tar(path) => {
            let mut file = File::open(&path).map_err(|error| named(&path, &error))?;
            io::copy(&mut file, to).map(drop)
        }
        Content::Files(files) => {
            let mut tar = tar::Builder::new(to);
            pack_files(&files, &mut tar)?;
            tar.finish()
        }
        Content::Folder(folder) => {
            let mut tar = tar::Builder::new(to);
            tar.follow_symlinks(false);
            let mut count = 0;
            pack_folder(&folder, Path::new(""), 0, &mut count, &mut tar)?;
            tar.finish()
        }
    }
}

fn pack_files(
    files: &BTreeMap<PathBuf, PathBuf>,
    tar: &mut tar::Builder<&mut Chunks>,
) -> io::Result<()> {
    let mut folders = BTreeSet::from([PathBuf::from("etc"), PathBuf::from("tmp")]);
    for inside in files.keys() {
        let below = inside.strip_prefix("/").unwrap_or(inside);
        folders.extend(
            below.ancestors().skip(1).filter(|f| !f.as_os_str().is_empty()).map(PathBuf::from),
        );
    }
    for folder in &folders {
        entry(tar, folder, tar::EntryType::Directory, 0o755, &[])?;
    }
    let passwd = format!("root:x:0:0::/:/bin/sh\nsandbox:x:{RUN_UID}:{RUN_UID}::/tmp:/bin/sh\n");
    let group = format!("root:x:0:\nsandbox:x:{RUN_UID}:\n");
    for (name, text) in [("etc/passwd", &passwd), ("etc/group", &group)] {
        entry(tar, Path::new(name), tar::EntryType::Regular, 0o644, text.as_bytes())?;
    }
    for (inside, source) in files {
        let file = File::open(source).map_err(|error| named(source, &error))?;
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(named(source, &io::Error::other("not a regular file")));
        }
        let mut header = tar::Header::new_gnu();
        header.set_size(meta.len());
        header.set_mode(meta.permissions().mode() & 0o777 | 0o444);
        let below = inside.strip_prefix("/").unwrap_or(inside);
        // A file that grows or shrinks meanwhile must not shift what follows.
        let exact = file.take(meta.len()).chain(io::repeat(0)).take(meta.len());
        tar.append_data(&mut header, below, exact)?;
    }
    Ok(())
}

fn entry(
    tar: &mut tar::Builder<&mut Chunks>,
    path: &Path,
    kind: tar::EntryType,
    mode: u32,
    content: &[u8],
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(content.len() as u64);
    tar.append_data(&mut header, path, content)
}

/// Everything below a folder but devices and sockets, which a root has no use for.
fn pack_folder(
    folder: &Path,
    below: &Path,
    depth: usize,
    count: &mut usize,
    tar: &mut tar::Builder<&mut Chunks>,
) -> io::Result<()> {
    let here = folder.join(below);
    let mut names: Vec<_> = fs::read_dir(&here)
        .and_then(Iterator::collect::<io::Result<Vec<_>>>)
        .map_err(|error| named(&here, &error))?;
    names.sort_by_key(fs::DirEntry::file_name);
    for found in names {
        *count += 1;
        if *count > ENTRIES_MAX || depth > DEPTH_MAX {
            return Err(named(folder, &io::Error::other("too many files, or too deep")));
        }
        let inside = below.join(found.file_name());
        let path = folder.join(&inside);
        let meta = fs::symlink_metadata(&path).map_err(|error| named(&path, &error))?;
        let kind = meta.file_type();
        if kind.is_socket() || kind.is_block_device() || kind.is_char_device() || kind.is_fifo() {
            continue;
        }
        let mut header = tar::Header::new_gnu();
        header.set_metadata(&meta);
        header.set_mode(meta.mode() & 0o7777);
        if kind.is_symlink() {
            header.set_size(0);
            tar.append_link(&mut header, &inside, fs::read_link(&path)?)?;
        } else if kind.is_dir() {
            header.set_size(0);
            tar.append_data(&mut header, &inside, io::empty())?;
            pack_folder(folder, &inside, depth + 1, count, tar)?;
        } else {
            let file = File::open(&path).map_err(|error| named(&path, &error))?;
            let exact = file.take(meta.len()).chain(io::repeat(0)).take(meta.len());
            tar.append_data(&mut header, &inside, exact)?;
        }
    }
    Ok(())
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
