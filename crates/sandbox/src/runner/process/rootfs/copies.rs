//! Files that a caller gives to the command, decoys among them: copied into its private folders before it starts.
//!
//! A copy and not a mount, so that the original keeps its owner and mode, is out of the command's
//! reach whatever it does, and nothing has to be taken away afterwards.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::super::areas::COPY_MODE;
use super::{Failed, Plan, STAGING, failed};
use crate::spec::{Copied, Decoy, date};

/// The unit in which a tmpfs counts what is written to it.
const PAGE_BYTES: u64 = 4096;

/// The source of a copy, opened before anything covers it.
pub(super) struct Original {
    file: File,
    bytes: u64,
    target: PathBuf,
}

impl Original {
    /// What the copy takes from the memory for writes.
    pub(super) fn pages_bytes(&self) -> u64 {
        self.bytes.next_multiple_of(PAGE_BYTES)
    }
}

impl Plan {
    pub(super) fn originals(&self) -> Result<Vec<Original>, Failed> {
        let open = |source: &Path| -> io::Result<(File, u64)> {
            let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
            let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(source)?;
            let meta = file.metadata()?;
            if !meta.is_file() {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
            }
            Ok((file, meta.len()))
        };
        let original = |copy: &Copied| {
            let what = format!("open {}", copy.source.display());
            let (file, bytes) = open(&copy.source).map_err(failed(what))?;
            Ok(Original { file, bytes, target: copy.target.clone() })
        };
        self.copies.iter().map(original).collect()
    }

    /// Fills the staged areas; they belong to nobody untrusted yet.
    pub(super) fn copy(&self, originals: Vec<Original>) -> Result<(), Failed> {
        for original in originals {
            let what = format!("copy a file to {}", original.target.display());
            self.copy_one(original).map_err(failed(what))?;
        }
        Ok(())
    }

    /// What the decoys take from the memory for writes.
    pub(super) fn decoys_bytes(&self) -> u64 {
        let pages = |decoy: &Decoy| (decoy.content.len() as u64).next_multiple_of(PAGE_BYTES);
        self.decoys.iter().map(pages).sum()
    }

    /// Writes the decoys, with their folders, as files of the command's user.
    pub(super) fn plant(&self) -> Result<(), Failed> {
        for decoy in &self.decoys {
            let what = format!("plant {}", decoy.path.display());
            self.plant_one(decoy).map_err(failed(what))?;
        }
        for (folder, modified) in Decoy::folders(&self.decoys) {
            // Those above the private folder are the root's own.
            if let Ok((mut at, below)) = self.staged(&folder.join("it")) {
                at.push(below.parent().unwrap_or(Path::new("")));
                File::open(&at)
                    .and_then(|folder| date(&folder, modified))
                    .map_err(failed(format!("date {}", folder.display())))?;
            }
        }
        Ok(())
    }

    fn plant_one(&self, decoy: &Decoy) -> io::Result<()> {
        let (mut at, below) = self.staged(&decoy.path)?;
        let folder = below.parent().unwrap_or(Path::new(""));
        for part in folder.components() {
            at.push(part);
            match fs::create_dir(&at) {
                Ok(()) => self.give(&at, true)?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        at.push(below.file_name().unwrap_or_default());
        let mut file = File::create_new(&at)?;
        file.write_all(&decoy.content)?;
        file.set_permissions(fs::Permissions::from_mode(decoy.mode & 0o777))?;
        self.give(&at, true)?;
        date(&file, decoy.modified)
    }

    /// Where the private area that holds `target` is staged, and the rest of the path.
    fn staged<'p>(&self, target: &'p Path) -> io::Result<(PathBuf, &'p Path)> {
        let area = self
            .areas
            .iter()
            .filter(|area| target.starts_with(&area.path) && area.path != target)
            .max_by_key(|area| area.path.components().count())
            .filter(|area| !area.overlay)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not a private folder"))?;
        let below = target.strip_prefix(&area.path).unwrap_or(target);
        Ok((Path::new(STAGING).join(&area.folder), below))
    }

    fn copy_one(&self, mut original: Original) -> io::Result<()> {
        let (top, below) = self.staged(&original.target)?;
        let at = top.join(below);
        let mut copy = File::create_new(&at)?;
        io::copy(&mut original.file, &mut copy)?;
        copy.set_permissions(fs::Permissions::from_mode(COPY_MODE))?;
        self.give(&at, true)
    }
}
