//! Artifacts by SHA-256, a folder per tenant: the same bytes of two tenants are two files, so that
//! nothing about one tenant can be learned from another's upload (docs/adr/0008). It knows no
//! database; who still needs an artifact is asked of [`Verifications`].
//!
//! ```text
//! artifacts/<tenant>/<first two digits>/<sha256>
//! artifacts/.incoming/<number>                     while it is being received
//! ```
//!
//! # Submitting and deleting at the same time
//!
//! Two verifications of a tenant may name the same artifact: one may be submitted while the other,
//! until now its last use, is deleted. So that accepted work never loses its bytes, both sides hold
//! the artifact ([`Hold`]) around what they do with file *and* database, and [`Artifacts::remove`]
//! cannot be called without one:
//!
//! ```text
//! submit:  stored = upload.finish().await?          the file is in place and held
//!          answer = verifications.submit(..).await
//!          accepted (New, Same)? drop(stored)       else: stored.discard().await
//!
//! delete:  sha256 = verifications.verification(tenant, id).await?.order.sha256
//!          hold = artifacts.hold(tenant, &sha256).await?
//!          answer = verifications.delete(tenant, id).await?
//!          Gone { last_use: true, .. }? artifacts.remove(hold).await  else: drop(hold)
//! ```
//!
//! A hold is of this process: of a folder there is one server
//! ([`crate::sqlite::Store::open_exclusive`]). What a killed process left unnamed is cleared by
//! [`Artifacts::remove_unused`] at the next start. Hold one artifact at a time.

mod hold;
mod upload;

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use types::Tenant;

pub use self::hold::Hold;
pub use self::upload::{Stored, Upload};
use crate::domain::{StoreError, Verifications};
use crate::sqlite::{from_io, probe};

/// Where uploads are received; no tenant's name begins with a dot.
const INCOMING: &str = ".incoming";

/// The folder of artifacts.
#[derive(Debug)]
pub struct Artifacts {
    folder: PathBuf,
    holds: hold::Holds,
    /// Names the next upload.
    uploads: AtomicU64,
}

impl Artifacts {
    /// Opens `folder`, making it where it is not there, and removes uploads that a process before
    /// this one left behind: one process may have a folder open. Blocks shortly.
    ///
    /// # Errors
    /// A folder that cannot be written, or a full disk.
    pub fn open(folder: &Path) -> Result<Arc<Self>, StoreError> {
        let incoming = folder.join(INCOMING);
        let opened = make_folder(&incoming).and_then(|()| {
            sync_parent(&incoming)?;
            sync_parent(folder)?;
            for entry in std::fs::read_dir(&incoming)? {
                std::fs::remove_file(entry?.path())?;
            }
            Ok(())
        });
        opened.map_err(|error| from_io(folder, &error))?;
        let folder = folder.to_owned();
        Ok(Arc::new(Self { folder, holds: hold::Holds::default(), uploads: AtomicU64::new(0) }))
    }

    /// Begins to receive an artifact. Nothing is seen of it before [`Upload::finish`].
    ///
    /// # Errors
    /// A folder that cannot be written, or a full disk.
    pub async fn begin(self: &Arc<Self>, tenant: &Tenant) -> Result<Upload, StoreError> {
        let number = self.uploads.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(INCOMING).join(number.to_string());
        Upload::begin(Arc::clone(self), tenant.clone(), path).await
    }

    /// Where the tenant's artifact is; `None` when there is none. The file stays as long as a
    /// verification names it.
    #[must_use]
    pub fn path(&self, tenant: &Tenant, sha256: &str) -> Option<PathBuf> {
        let path = self.place(tenant, sha256)?;
        path.is_file().then_some(path)
    }

    /// Waits until nobody else holds the artifact, whether or not there is one; `None` when `sha256`
    /// is none: 64 lowercase hexadecimal digits.
    pub async fn hold(&self, tenant: &Tenant, sha256: &str) -> Option<Hold> {
        let place = self.place(tenant, sha256)?;
        Some(self.holds.take(place).await)
    }

    /// Removes the artifact that is held; whether there was one.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub async fn remove(&self, hold: Hold) -> Result<bool, StoreError> {
        // The hold goes along: it must last as long as the work does, even when nobody waits for
        // it any more.
        blocking(&self.folder, move || match std::fs::remove_file(hold.place()) {
            Ok(()) => sync_parent(hold.place()).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        })
        .await
    }

    /// Removes artifacts that no verification names: a process that was killed between storing one
    /// and submitting its verification, or between deleting and removing, left them. Their number.
    /// Uploads may go on meanwhile.
    ///
    /// # Errors
    /// When the folder or the verifications cannot be read.
    pub async fn remove_unused(&self, of: &dyn Verifications) -> Result<u64, StoreError> {
        let folder = self.folder.clone();
        let all = blocking(&self.folder, move || list(&folder)).await?;
        let mut removed = 0;
        for (tenant, sha256) in all {
            let Some(hold) = self.hold(&tenant, &sha256).await else { continue };
            if !of.artifact_used(&tenant, &sha256).await? && self.remove(hold).await? {
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Whether an artifact could be received now; the reason when not. Writes 64 KiB.
    ///
    /// # Errors
    /// A folder that cannot be written, or a full disk.
    pub async fn check(&self) -> Result<(), StoreError> {
        let incoming = self.folder.join(INCOMING);
        let probing = tokio::task::spawn_blocking(move || probe(&incoming)).await;
        probing.map_err(|error| StoreError::Unavailable { reason: error.to_string() })?
    }

    fn place(&self, tenant: &Tenant, sha256: &str) -> Option<PathBuf> {
        let digit = |c: u8| matches!(c, b'0'..=b'9' | b'a'..=b'f');
        let good = sha256.len() == 64 && sha256.bytes().all(digit);
        good.then(|| self.folder.join(tenant.as_str()).join(&sha256[..2]).join(sha256))
    }
}

/// Does work of the file system where waiting for the disk holds nothing else up.
async fn blocking<T, F>(place: &Path, work: F) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: FnOnce() -> io::Result<T> + Send + 'static,
{
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|error| StoreError::Unavailable { reason: error.to_string() })?;
    done.map_err(|error| from_io(place, &error))
}

fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Makes the names in the folder of `path` durable (fsync(2): syncing a file does not).
fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

/// Every artifact there is. Names that are not ours are passed over.
fn list(folder: &Path) -> io::Result<Vec<(Tenant, String)>> {
    let mut all = Vec::new();
    for tenant in std::fs::read_dir(folder)? {
        let tenant = tenant?;
        let Some(name) = tenant.file_name().to_str().and_then(|name| name.parse::<Tenant>().ok())
        else {
            continue;
        };
        for prefix in std::fs::read_dir(tenant.path())? {
            for artifact in std::fs::read_dir(prefix?.path())? {
                if let Ok(sha256) = artifact?.file_name().into_string() {
                    all.push((name.clone(), sha256));
                }
            }
        }
    }
    Ok(all)
}
