//! Receives one artifact: written aside and hashed on the way, then put in its place in one step.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;
use types::Tenant;
use types::text::hex;

use super::{Artifacts, Hold, blocking, make_folder, sync_parent};
use crate::domain::StoreError;
use crate::sqlite::from_io;

/// An artifact on its way. Dropped before [`Upload::finish`], nothing of it stays.
#[derive(Debug)]
pub struct Upload {
    artifacts: Arc<Artifacts>,
    tenant: Tenant,
    file: tokio::fs::File,
    incoming: Incoming,
    hash: Sha256,
    size_bytes: u64,
    /// What a write met. The file tells it once and takes more afterwards, without what was lost.
    broken: Option<StoreError>,
}

/// An artifact that is in its place, durable, and held: nobody deletes it before this is dropped.
#[derive(Debug)]
pub struct Stored {
    /// Lowercase hexadecimal.
    pub sha256: String,
    pub size_bytes: u64,
    artifacts: Arc<Artifacts>,
    hold: Hold,
    /// The tenant did not have it before.
    new: bool,
}

impl Upload {
    pub(super) async fn begin(
        artifacts: Arc<Artifacts>,
        tenant: Tenant,
        path: PathBuf,
    ) -> Result<Self, StoreError> {
        let incoming = Incoming(path.clone());
        let opening =
            move || OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = blocking(&artifacts.folder, opening).await?;
        let file = tokio::fs::File::from_std(file);
        let hash = Sha256::new();
        Ok(Self { artifacts, tenant, file, incoming, hash, size_bytes: 0, broken: None })
    }

    /// Bytes received so far.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Takes the next bytes. How many in all may come is the caller's to decide.
    ///
    /// # Errors
    /// A full disk, of this or of an earlier call; the upload is of no use then.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.whole()?;
        if let Err(error) = self.file.write_all(bytes).await {
            return Err(self.failed(&error));
        }
        self.hash.update(bytes);
        self.size_bytes += bytes.len() as u64;
        Ok(())
    }

    /// Puts the artifact in its place; durable when it returns, and nothing of it is kept on an
    /// error. Waits while somebody else holds the same artifact.
    ///
    /// # Errors
    /// A full disk, or a folder that cannot be written.
    pub async fn finish(mut self) -> Result<Stored, StoreError> {
        self.whole()?;
        let synced = match self.file.flush().await {
            Ok(()) => self.file.sync_all().await,
            Err(error) => Err(error),
        };
        if let Err(error) = synced {
            return Err(self.failed(&error));
        }
        let sha256 = hex(&self.hash.finalize());
        let Some(hold) = self.artifacts.hold(&self.tenant, &sha256).await else {
            return Err(StoreError::Unavailable { reason: "SHA-256 is not 32 bytes".to_owned() });
        };
        let Self { artifacts, incoming, size_bytes, .. } = self;
        // Both go along: they must last as long as the work does, even when nobody waits for it.
        let putting = move || put(&incoming.0, hold.place()).map(|new| (new, hold));
        let (new, hold) = blocking(&artifacts.folder, putting).await?;
        Ok(Stored { sha256, size_bytes, artifacts, hold, new })
    }

    fn whole(&self) -> Result<(), StoreError> {
        self.broken.clone().map_or(Ok(()), Err)
    }

    fn failed(&mut self, error: &std::io::Error) -> StoreError {
        let error = from_io(&self.artifacts.folder, error);
        self.broken = Some(error.clone());
        error
    }
}

impl Stored {
    /// The verification was not accepted after all: removes the artifact, unless the tenant had it
    /// before.
    ///
    /// # Errors
    /// A folder that cannot be written; [`Artifacts::remove_unused`] will find it.
    pub async fn discard(self) -> Result<(), StoreError> {
        if self.new {
            self.artifacts.remove(self.hold).await?;
        }
        Ok(())
    }
}

/// What is received; removed when it is not renamed meanwhile.
#[derive(Debug)]
struct Incoming(PathBuf);

impl Drop for Incoming {
    fn drop(&mut self) {
        // Usually it has moved to its place and there is nothing to remove; what cannot be removed
        // is removed at the next start.
        drop(std::fs::remove_file(&self.0));
    }
}

/// Whether there was none before. What was there is replaced by the bytes just hashed, so that a
/// damaged artifact is healed by sending it again.
fn put(from: &Path, to: &Path) -> std::io::Result<bool> {
    let new = !to.exists();
    if let Some(folder) = to.parent() {
        make_folder(folder)?;
    }
    std::fs::rename(from, to)?;
    // The names of the file, of its folder and of its tenant's: another upload may have made the
    // folders a moment ago, and not have synced them yet.
    let synced = to.ancestors().take(3).try_for_each(sync_parent);
    if synced.is_err() && new {
        drop(std::fs::remove_file(to));
    }
    synced.map(|()| new)
}
