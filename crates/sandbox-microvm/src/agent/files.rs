//! Sends files to the host after the run: what the command changed, the snapshot, the packets.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use sandbox::Spec;

use crate::wire::{self, Message, Slot};

/// Folders below folders.
const DEPTH_MAX: usize = 128;

pub(super) fn send(spec: &Spec, talk: &Mutex<File>) -> io::Result<()> {
    if let Some(keep) = &spec.keep {
        folder(keep, keep, talk, 0)?;
    }
    let artifacts = &spec.artifacts;
    for (slot, path) in [(Slot::Snapshot, &artifacts.snapshot), (Slot::Packets, &artifacts.packets)]
    {
        if let Some(path) = path.as_ref().filter(|path| path.is_file()) {
            file(slot, path, Path::new("file"), talk)?;
        }
    }
    Ok(())
}

fn folder(top: &Path, path: &Path, talk: &Mutex<File>, depth: usize) -> io::Result<()> {
    if depth > DEPTH_MAX {
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let path = entry.path();
        if kind.is_dir() {
            folder(top, &path, talk, depth + 1)?;
        } else if kind.is_file() {
            file(Slot::Keep, &path, path.strip_prefix(top).unwrap_or(&path), talk)?;
        }
    }
    Ok(())
}

fn file(slot: Slot, path: &Path, name: &Path, talk: &Mutex<File>) -> io::Result<()> {
    let source = File::open(path)?;
    let meta = source.metadata()?;
    let mut out = talk.lock().unwrap_or_else(PoisonError::into_inner);
    let mode = meta.permissions().mode() & 0o7777;
    wire::send(&mut *out, &Message::File { slot, path: wire::text(name), mode, size: meta.len() })?;
    let copied = io::copy(&mut source.take(meta.len()), &mut *out)?;
    io::copy(&mut io::repeat(0).take(meta.len() - copied), &mut *out)?;
    out.flush()
}
