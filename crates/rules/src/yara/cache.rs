//! Compiled rules by the hash of their sources: in memory, and in a folder where one is named.
//!
//! The folder must be its owner's alone: a cached file is checked against damage, but it holds machine
//! code, and whoever can write to it can also choose what is done.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};
use types::text::hex;

use super::compile::{Compiled, LeftOut, compile};
use crate::folder::Source;

/// Sets kept in memory, and in the folder; the oldest goes first.
const KEPT_MAX: usize = 8;
/// A cached file's size, at most.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// What a cached file begins with; the version is part of every name, too.
const MAGIC: &[u8] = b"shieldx yara 2\n";
/// What ends the names of files, and of those that are being written.
const WHOLE: &str = "yarac";
const PART: &str = "part";

/// Compiled YARA rules by hash. Cheap to share, one for a process.
#[derive(Debug, Default)]
pub struct Cache {
    folder: Option<PathBuf>,
    kept: Mutex<Vec<Kept>>,
}

struct Kept {
    key: String,
    compiled: Arc<Compiled>,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.key)
    }
}

impl Cache {
    /// In memory only.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Also in a folder, which must exist and belong to the caller.
    #[must_use]
    pub fn in_folder(folder: PathBuf) -> Self {
        Self { folder: Some(folder), kept: Mutex::default() }
    }

    /// The rules of these sources. A cache that cannot be read or written costs time and nothing
    /// else.
    pub(crate) fn get(&self, sources: &[Source]) -> Result<Arc<Compiled>, String> {
        let key = key(sources);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = kept.iter().find(|known| known.key == key) {
            return Ok(Arc::clone(&known.compiled));
        }
        let path = self.folder.as_ref().map(|folder| folder.join(format!("{key}.{WHOLE}")));
        let compiled = match path.as_deref().and_then(read) {
            Some(compiled) => compiled,
            None => {
                let fresh = std::panic::catch_unwind(|| compile(sources));
                let fresh = fresh.map_err(|_| "the compiler of rules panicked".to_owned())??;
                if let Some(path) = &path {
                    let _ = write(path, &fresh);
                }
                fresh
            }
        };
        let compiled = Arc::new(compiled);
        if kept.len() >= KEPT_MAX {
            kept.remove(0);
        }
        kept.push(Kept { key, compiled: Arc::clone(&compiled) });
        Ok(compiled)
    }
}

/// Everything that decides what comes out of the compiler.
fn key(sources: &[Source]) -> String {
    let mut hash = Sha256::new();
    hash.update(yara_x::VERSION);
    for source in sources {
        for part in [source.name.as_bytes(), source.text.as_bytes()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    hex(&hash.finalize())
}

/// `None` when there is none, or none that is whole.
pub(super) fn read(path: &Path) -> Option<Compiled> {
    let meta = fs::symlink_metadata(path).ok()?;
    if !meta.is_file() || meta.len() > FILE_BYTES_MAX {
        return None;
    }
    let bytes = fs::read(path).ok()?;
    let (digest, body) = bytes.strip_prefix(MAGIC)?.split_at_checked(32)?;
    if Sha256::digest(body)[..] != *digest {
        return None;
    }
    let (length, rest) = body.split_at_checked(8)?;
    let length = usize::try_from(u64::from_le_bytes(length.try_into().ok()?)).ok()?;
    let (list, rules) = rest.split_at_checked(length)?;
    let left_out: Vec<LeftOut> = serde_json::from_slice(list).ok()?;
    let rules = yara_x::Rules::deserialize(rules).ok()?;
    Some(Compiled::new(rules, left_out))
}

fn write(path: &Path, compiled: &Compiled) -> Result<(), Box<dyn std::error::Error>> {
    let list = serde_json::to_vec(&compiled.left_out)?;
    let mut body = (list.len() as u64).to_le_bytes().to_vec();
    body.extend_from_slice(&list);
    body.extend_from_slice(&compiled.rules.serialize()?);
    if let Some(folder) = path.parent() {
        tidy(folder);
    }
    let temporary = path.with_extension(format!("{}.{PART}", std::process::id()));
    let written = fs::File::create_new(&temporary).and_then(|mut file| {
        file.write_all(MAGIC)?;
        file.write_all(&Sha256::digest(&body))?;
        file.write_all(&body)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    Ok(written?)
}

/// Makes room for one more file, and removes what processes that were killed left half written.
fn tidy(folder: &Path) {
    let mut whole = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.extension().and_then(|kind| kind.to_str()) {
            Some(PART) => {
                let owner = path.file_stem().map(Path::new).and_then(Path::extension);
                if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
                    let _ = fs::remove_file(&path);
                }
            }
            Some(WHOLE) => {
                let modified = entry.metadata().and_then(|meta| meta.modified());
                whole.extend(modified.ok().map(|modified| (modified, path)));
            }
            _ => {}
        }
    }
    whole.sort();
    let excess = (whole.len() + 1).saturating_sub(KEPT_MAX);
    for (_, path) in whole.iter().take(excess) {
        let _ = fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{KEPT_MAX, tidy};

    #[test]
    fn what_a_killed_process_was_writing_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str| fs::write(folder.path().join(name), "").unwrap();
        let own = format!("aa.{}.part", std::process::id());
        make("aa.4194305.part");
        make(&own);
        make("of somebody else");
        for number in 0..KEPT_MAX + 3 {
            make(&format!("{number}.yarac"));
        }
        tidy(folder.path());
        let names = fs::read_dir(folder.path()).unwrap().flatten();
        let names: Vec<_> = names.map(|entry| entry.file_name().into_string().unwrap()).collect();
        assert!(names.contains(&own) && names.contains(&"of somebody else".to_owned()));
        assert!(!names.contains(&"aa.4194305.part".to_owned()));
        let whole = names.iter().filter(|name| name.ends_with(".yarac")).count();
        assert_eq!(whole, KEPT_MAX - 1, "there is room for one more");
    }
}
