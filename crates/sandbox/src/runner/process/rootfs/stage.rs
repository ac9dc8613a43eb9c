//! The bounded memory behind the root: its areas, the places that must exist, and the layer that
//! masks what the root below has and the command must not see.

use std::ffi::{CString, OsStr};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use super::super::areas::Area;
use super::super::below::Below;
use super::copies::Original;
use super::host::{accounts, home};
use super::{
    Failed, INSIDE_UID, KERNEL, Plan, STAGING, below, failed, lower_folder, open_folder,
    work_folder,
};
use crate::spec::Spec;
use crate::sys;

/// An account list of the root is read up to here.
const ACCOUNTS_BYTES_MAX: u64 = 1 << 20;
/// A list of authorities of the root is read up to here.
const BUNDLE_BYTES_MAX: u64 = 4 << 20;

impl Plan {
    /// Mounts the bounded tmpfs and creates the folders of every area.
    pub(super) fn stage(
        &self,
        spec: &Spec,
        originals: &[Original],
        given: &Below,
    ) -> Result<OwnedFd, Failed> {
        let inodes = (spec.limits.disk_bytes / 4096).clamp(4096, 1 << 20);
        let copied: u64 = originals.iter().map(Original::pages_bytes).sum();
        let size = spec.limits.disk_bytes.saturating_add(copied + self.decoys_bytes());
        let options = format!("size={size},nr_inodes={inodes},mode=0755,inode32");
        let options = CString::new(options).map_err(|e| failed("set disk options")(e.into()))?;
        let flags = libc::MS_NOSUID | libc::MS_NODEV;
        let staging = Path::new(STAGING);
        sys::mount(Some(OsStr::new("shieldx")), staging, Some(c"tmpfs"), flags, Some(&options))
            .map_err(failed("mount memory for writes"))?;
        for area in &self.areas {
            self.stage_area(area, given)?;
        }
        for folder in ["mask", "root"] {
            make(Path::new(folder), 0o755).map_err(failed("create the root folder"))?;
        }
        self.give(&staging.join("mask"), false).map_err(failed("hand the root over"))?;
        let home = home(spec);
        for place in &self.places {
            let mine = Some(place) == home.as_ref();
            let room = || failed(format!("make room for {}", place.display()));
            if self.given {
                self.place_over(place, mine || *place == self.cwd, given).map_err(room())?;
            } else {
                self.place(place, mine).map_err(room())?;
            }
        }
        for (link, to) in &self.links {
            let at = below(&staging.join("bare/root"), link);
            std::os::unix::fs::symlink(to, at).map_err(failed("copy a link of the root"))?;
        }
        open_folder(staging).map_err(failed("open the memory for writes"))
    }

    /// Creates the folders of one area.
    fn stage_area(&self, area: &Area, given: &Below) -> Result<(), Failed> {
        let shared = !area.overlay
            && [Path::new("/tmp"), Path::new("/var/tmp"), Path::new("/dev/shm")]
                .contains(&area.path.as_path());
        // An upper folder's mode is the mode of the overlay's top.
        let mode = if shared {
            0o1777
        } else if area.overlay {
            given.folder_mode(&area.path).unwrap_or(0o755)
        } else {
            0o755
        };
        let owned_by_user = area.path == self.cwd && (!self.given || !area.overlay)
            || self.tools.contains(&area.path);
        make(&area.folder, mode).map_err(failed("create a writable area"))?;
        self.give(&Path::new(STAGING).join(&area.folder), owned_by_user)
            .map_err(failed("hand a writable area over"))?;
        if area.overlay || given.layers.is_some() {
            make(&work_folder(&area.folder), 0o700).map_err(failed("create a work folder"))?;
            make(&lower_folder(&area.folder), 0o755).map_err(failed("create a layer folder"))?;
        }
        Ok(())
    }

    /// Gives a staged file to the sandbox's root, or to the command's user.
    pub(super) fn give(&self, path: &Path, to_user: bool) -> io::Result<()> {
        let Some(ids) = &self.ids else { return Ok(()) };
        let id = if to_user { ids.base + INSIDE_UID } else { ids.base };
        std::os::unix::fs::lchown(path, Some(id), Some(id))
    }

    /// Creates `path` where the host's root does not show it: in the bare area that covers it, or
    /// in a layer above the host's.
    fn place(&self, path: &Path, to_user: bool) -> io::Result<()> {
        let area = self
            .areas
            .iter()
            .filter(|area| path.starts_with(&area.path) && area.path != path)
            .max_by_key(|area| area.path.components().count());
        let (top, rest) = match area {
            Some(area) if !area.overlay => {
                (area.folder.clone(), path.strip_prefix(&area.path).unwrap_or(path).to_owned())
            }
            _ if fs::symlink_metadata(path).is_ok() => return Ok(()),
            Some(area) if self.ids.is_none() => {
                (area.folder.clone(), path.strip_prefix(&area.path).unwrap_or(path).to_owned())
            }
            _ => (PathBuf::from("mask"), path.strip_prefix("/").unwrap_or(path).to_owned()),
        };
        self.create(&top, &rest, self.files.iter().any(|file| file == path), to_user)
    }

    /// Creates the folders of `rest` below the staged folder `top`; the last may be a file.
    fn create(&self, top: &Path, rest: &Path, is_file: bool, to_user: bool) -> io::Result<()> {
        let mut at = Path::new(STAGING).join(top);
        let count = rest.components().count();
        for (index, part) in rest.components().enumerate() {
            let Component::Normal(name) = part else { continue };
            at.push(name);
            let last = index + 1 == count;
            let made = if last && is_file {
                fs::File::create_new(&at).map(drop)
            } else {
                fs::create_dir(&at)
            };
            match made {
                Ok(()) => self.give(&at, last && to_user)?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Creates `path` in the layer above a given root, where that does not have it. What is mounted
    /// over stands there in any case: a given root may have a link in its place.
    fn place_over(&self, path: &Path, to_user: bool, given: &Below) -> io::Result<()> {
        let is_file = self.files.iter().any(|file| file == path);
        let covered = KERNEL.iter().any(|kernel| path == Path::new(kernel))
            || self.areas.iter().any(|area| !area.overlay && area.path == path);
        let real = if covered { path.to_owned() } else { given.real(path) };
        let area = self
            .areas
            .iter()
            .filter(|area| !area.overlay && real.starts_with(&area.path) && area.path != real)
            .max_by_key(|area| area.path.components().count());
        if let Some(area) = area {
            let rest = real.strip_prefix(&area.path).unwrap_or(&real);
            return self.create(&area.folder, rest, is_file, to_user);
        }
        if !covered && given.has(&real) {
            return Ok(());
        }
        let rest = real.strip_prefix("/").unwrap_or(&real);
        self.create(Path::new("mask"), rest, is_file, to_user || path == self.cwd)
    }

    /// Fills the mask layer: an account list that knows the command's user, and whiteouts (overlay
    /// documentation: a character device 0/0 hides the name below) for secrets.
    pub(super) fn mask(&self, spec: &Spec, given: &Below) -> io::Result<()> {
        let etc = Path::new(STAGING).join("mask/etc");
        fs::DirBuilder::new().recursive(true).mode(0o755).create(&etc)?;
        self.give(&etc, false)?;
        for (name, line) in
            [("passwd", "sandbox:x:1000:1000:sandbox:"), ("group", "sandbox:x:1000:")]
        {
            let path = etc.join(name);
            let known = given.read(&Path::new("/etc").join(name), ACCOUNTS_BYTES_MAX);
            fs::write(&path, accounts(name, &known, line, spec))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
            self.give(&path, false)?;
        }
        let read = |path: &Path| given.read(path, BUNDLE_BYTES_MAX);
        for (path, bytes) in self.network.iter().flat_map(|files| files.list(read)) {
            self.mask_file(&path, &bytes)?;
        }
        for name in ["shadow", "shadow-", "gshadow", "gshadow-", "sudoers", "sudoers.d"] {
            if given.has(&Path::new("/etc").join(name)) {
                sys::mknod(&etc.join(name), libc::S_IFCHR, 0)?;
            }
        }
        Ok(())
    }

    /// Puts a file and its folders into the mask layer.
    fn mask_file(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut at = Path::new(STAGING).join("mask");
        let rest = path.strip_prefix("/").unwrap_or(path);
        for folder in rest.parent().into_iter().flat_map(Path::components) {
            at.push(folder);
            match fs::create_dir(&at) {
                Ok(()) => {
                    fs::set_permissions(&at, fs::Permissions::from_mode(0o755))?;
                    self.give(&at, false)?;
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        at.push(rest.file_name().unwrap_or_default());
        fs::write(&at, bytes)?;
        fs::set_permissions(&at, fs::Permissions::from_mode(0o644))?;
        self.give(&at, false)
    }
}

fn make(folder: &Path, mode: u32) -> io::Result<()> {
    let path = Path::new(STAGING).join(folder);
    fs::DirBuilder::new().recursive(true).mode(0o755).create(&path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}
