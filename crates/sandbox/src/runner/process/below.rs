//! What lies below a run's writes: the root it was given, or the host's, and the layers over it.
//!
//! Whoever asks what the command changed asks it against this. Paths are absolute and inside; in
//! trees that strangers packed no link is followed.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::root::{Whiteout, look_up, resolve};

/// See the module. Descriptors stay good when the run's mounts are gone.
#[derive(Debug, Default)]
pub(crate) struct Below {
    /// The root that was given; absent for the host's.
    pub(crate) base: Option<OwnedFd>,
    /// What was laid over it; names that are deleted there do not exist below.
    pub(crate) layers: Option<OwnedFd>,
}

/// A file below a run's writes.
#[derive(Debug)]
pub(crate) struct Origin {
    pub meta: fs::Metadata,
    path: PathBuf,
    _handle: Option<OwnedFd>,
}

impl Origin {
    /// A file of the host.
    pub(crate) fn host(path: &Path) -> Option<Self> {
        let meta = fs::symlink_metadata(path).ok()?;
        Some(Self { meta, path: path.to_owned(), _handle: None })
    }

    fn handle(handle: OwnedFd) -> Option<Self> {
        let path = PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd()));
        let meta = File::from(handle.try_clone().ok()?).metadata().ok()?;
        Some(Self { meta, path, _handle: Some(handle) })
    }

    /// Opens a regular file for reading.
    pub(crate) fn open(&self) -> io::Result<File> {
        // A descriptor's path is a link of the kernel's own.
        let stay = if self._handle.is_some() { 0 } else { libc::O_NOFOLLOW };
        File::options().read(true).custom_flags(stay | libc::O_NONBLOCK).open(&self.path)
    }
}

impl Below {
    /// What `path` was before the run; `in_root` unless the place began empty but for the layers.
    pub(crate) fn find(&self, path: &Path, in_root: bool) -> Option<Origin> {
        if let Some(layers) = &self.layers {
            match look_up(layers.as_fd(), path) {
                Whiteout::Here(handle, _) => return Origin::handle(handle),
                Whiteout::Gone => return None,
                Whiteout::Silent => {}
            }
        }
        match &self.base {
            _ if !in_root => None,
            None => Origin::host(path),
            Some(base) => match look_up(base.as_fd(), path) {
                Whiteout::Here(handle, _) => Origin::handle(handle),
                Whiteout::Gone | Whiteout::Silent => None,
            },
        }
    }

    pub(crate) fn has(&self, path: &Path) -> bool {
        self.find(path, true).is_some()
    }

    /// The mode of the folder that becomes an overlay's top.
    pub(crate) fn folder_mode(&self, path: &Path) -> Option<u32> {
        let mode = |meta: fs::Metadata| meta.mode() & 0o7777;
        if path == Path::new("/") {
            let top = |fd: &OwnedFd| File::from(fd.try_clone().ok()?).metadata().ok();
            return self.base.as_ref().map_or_else(|| fs::metadata(path).ok(), top).map(mode);
        }
        match self.find(path, true) {
            Some(origin) if origin.meta.is_symlink() => fs::metadata(path).ok().map(mode),
            found => found.map(|origin| mode(origin.meta)),
        }
    }

    /// The content of a regular file, up to `max` bytes; empty when there is none.
    pub(crate) fn read(&self, path: &Path, max: u64) -> Vec<u8> {
        let mut content = Vec::new();
        let origin = self.find(path, true).filter(|origin| origin.meta.is_file());
        if let Some(Ok(file)) = origin.map(|origin| origin.open()) {
            let _ = file.take(max).read_to_end(&mut content);
        }
        content
    }

    /// The folder of the layers that shows at `path`.
    pub(crate) fn layer_of(&self, path: &Path) -> Option<PathBuf> {
        let layers = self.layers.as_ref()?;
        let top = PathBuf::from(format!("/proc/self/fd/{}", layers.as_raw_fd()));
        if path == Path::new("/") {
            return Some(top);
        }
        match look_up(layers.as_fd(), path) {
            Whiteout::Here(_, stat) if stat.st_mode & libc::S_IFMT == libc::S_IFDIR => {
                Some(top.join(path.strip_prefix("/").unwrap_or(path)))
            }
            _ => None,
        }
    }

    /// `path` with the links of a given root followed, as far as it exists there.
    pub(crate) fn real(&self, path: &Path) -> PathBuf {
        let Some(base) = &self.base else { return path.to_owned() };
        let place = |fd: &OwnedFd| fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()));
        let found = path.ancestors().find_map(|start| {
            let inside = start.strip_prefix("/").unwrap_or(start).as_os_str();
            let fd = resolve(base.as_fd(), OsStr::as_bytes(inside), OFlags::PATH).ok()?;
            let (top, here) = (place(base).ok()?, place(&fd).ok()?);
            let start_len = start.components().count();
            let rest: PathBuf = path.components().skip(start_len).collect();
            Some(Path::new("/").join(here.strip_prefix(top).ok()?).join(rest))
        });
        found.unwrap_or_else(|| path.to_owned())
    }
}
