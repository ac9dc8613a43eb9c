//! The mounts that become the root: the host's folders or a given root below, memory above.

use std::ffi::{CString, OsStr};
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use super::super::areas::{Area, system_folder};
use super::super::below::Below;
use super::{
    Failed, Notes, Plan, STAGING, below, bind, failed, lower_folder, open_folder, work_folder,
};
use crate::spec::{Root, Spec};
use crate::sys::{self, MountAttr};

pub(super) struct Sources {
    /// One for each area; `None` for those that start empty or are unpacked.
    layers: Vec<Option<Layer>>,
    extras: Vec<Extra>,
}

pub(super) enum Layer {
    /// A detached, id-mapped mount.
    Tree(OwnedFd),
    Folder(OwnedFd),
}

pub(super) struct Extra {
    source: OwnedFd,
    target: PathBuf,
    writable: bool,
}

impl Plan {
    /// Detached copies (or descriptors) of every host folder that will be shown.
    pub(super) fn sources(&self, spec: &Spec, notes: &mut Notes) -> Result<Sources, Failed> {
        let mut layers = Vec::new();
        for area in &self.areas {
            let layer = match &spec.root {
                Root::Host if area.overlay => Some(self.layer(&area.path, notes)?),
                Root::Folder(folder) if area.overlay => Some(self.layer(folder, notes)?),
                _ => None,
            };
            layers.push(layer);
        }
        let mut extras = Vec::new();
        let tools = spec.tools.iter().filter(|tool| !self.given && !self.tools.contains(tool));
        for tool in tools {
            if let Ok(source) = self.bind_source(tool, false) {
                extras.push(Extra { source, target: tool.clone(), writable: false });
            }
        }
        for mount in &spec.mounts {
            let source = self
                .bind_source(&mount.source, true)
                .map_err(failed(format!("open the mount source {}", mount.source.display())))?;
            extras.push(Extra { source, target: mount.target.clone(), writable: mount.writable });
        }
        Ok(Sources { layers, extras })
    }

    /// The lower layer for the host folder at `path`.
    fn layer(&self, path: &Path, notes: &mut Notes) -> Result<Layer, Failed> {
        let what = || format!("open {}", path.display());
        if let Some(ids) = &self.ids {
            let own = (path == self.cwd || self.tools.iter().any(|tool| tool == path))
                && !system_folder(path);
            let map = if own { ids.handed_over(path) } else { &ids.shifted };
            let tree = sys::clone_mount(path, false).map_err(failed(what()))?;
            let attr = MountAttr {
                set: sys::MOUNT_ATTR_IDMAP,
                userns_fd: u64::try_from(map.as_raw_fd()).unwrap_or(u64::MAX),
                ..MountAttr::default()
            };
            match sys::mount_setattr(tree.as_fd(), false, &attr) {
                Ok(()) => return Ok(Layer::Tree(tree)),
                Err(error) => notes.push(format!(
                    "{}: this file system cannot map ids ({error}); its files belong to nobody inside",
                    path.display()
                )),
            }
        }
        let folder = open_folder(path).map_err(failed(what()))?;
        Ok(Layer::Folder(folder))
    }

    fn bind_source(&self, path: &Path, own: bool) -> io::Result<OwnedFd> {
        let tree = sys::clone_mount(path, self.ids.is_none())?;
        if let Some(ids) = &self.ids {
            let map = if own { ids.handed_over(path) } else { &ids.shifted };
            let attr = MountAttr {
                set: sys::MOUNT_ATTR_IDMAP,
                userns_fd: u64::try_from(map.as_raw_fd()).unwrap_or(u64::MAX),
                ..MountAttr::default()
            };
            // Without it the files belong to nobody inside, which only narrows access.
            let _ = sys::mount_setattr(tree.as_fd(), false, &attr);
        }
        Ok(tree)
    }

    pub(super) fn mount_areas(
        &self,
        from: &Sources,
        given: &Below,
        root: &Path,
        notes: &mut Notes,
    ) -> Result<(), Failed> {
        for (area, layer) in self.areas.iter().zip(&from.layers) {
            let target = below(root, &area.path);
            let folder = Path::new(STAGING).join(&area.folder);
            let lower = self
                .lower(layer.as_ref(), area, given)
                .map_err(failed(format!("find the layers of {}", area.path.display())))?;
            if lower.is_empty() {
                // A stranger's root may have a link where a folder is covered.
                let is_folder = fs::symlink_metadata(&target).is_ok_and(|meta| meta.is_dir());
                if area.path != Path::new("/dev/shm") && is_folder {
                    // "/" is the first: it becomes the mount that is pivoted into.
                    bind(&folder, &target)
                        .map_err(failed(format!("cover {}", area.path.display())))?;
                }
                continue;
            }
            let is_root = area.path == Path::new("/");
            match self.overlay(&lower, area, &target) {
                Ok(()) => {}
                Err(error) if is_root || area.path == self.cwd || self.given || !area.overlay => {
                    return Err(failed(format!("lay memory over {}", area.path.display()))(error));
                }
                Err(error) => {
                    let shown = sys::clone_mount(&area.path, true).and_then(|tree| {
                        let set =
                            sys::MOUNT_ATTR_RDONLY | sys::MOUNT_ATTR_NOSUID | sys::MOUNT_ATTR_NODEV;
                        let attr = MountAttr { set, ..MountAttr::default() };
                        sys::mount_setattr(tree.as_fd(), true, &attr)?;
                        sys::move_mount(tree.as_fd(), &target)
                    });
                    let how = if shown.is_ok() { "read-only" } else { "not shown" };
                    notes.push(format!("{} is {how}: {error}", area.path.display()));
                }
            }
        }
        Ok(())
    }

    /// The folders below an area's memory, the topmost first; none where it starts empty.
    fn lower(&self, layer: Option<&Layer>, area: &Area, given: &Below) -> io::Result<Vec<PathBuf>> {
        let staging = Path::new(STAGING);
        let mut lower: Vec<PathBuf> = Vec::new();
        match area.path.to_str() {
            Some("/") if area.overlay => lower.push(staging.join("mask")),
            Some("/etc") if self.ids.is_none() && !self.given => {
                lower.push(staging.join("mask/etc"))
            }
            _ => {}
        }
        lower.extend(given.layer_of(&area.path));
        match layer {
            Some(Layer::Folder(fd)) => lower.push(by_descriptor(fd)),
            Some(Layer::Tree(tree)) => {
                let at = staging.join(lower_folder(&area.folder));
                sys::move_mount(tree.as_fd(), &at)?;
                lower.push(at);
            }
            None if area.overlay => lower.extend(given.base.as_ref().map(by_descriptor)),
            None => {}
        }
        Ok(lower)
    }

    fn overlay(&self, lower: &[PathBuf], area: &Area, target: &Path) -> io::Result<()> {
        let staging = Path::new(STAGING);
        // An ordinary user's overlay keeps its notes in user.* attributes, and has no renamed
        // folders or files without content, whose upper layer would tell only half.
        let attributes = if self.ids.is_some() {
            ",redirect_dir=nofollow,metacopy=off,xino=on"
        } else {
            ",userxattr,xino=on"
        };
        let lower: Vec<String> = lower.iter().map(|path| path.display().to_string()).collect();
        let options = format!(
            "lowerdir={},upperdir={},workdir={}{attributes}",
            lower.join(":"),
            staging.join(&area.folder).display(),
            staging.join(work_folder(&area.folder)).display(),
        );
        let options = CString::new(options)?;
        let flags = libc::MS_NOSUID | libc::MS_NODEV;
        sys::mount(Some(OsStr::new("shieldx")), target, Some(c"overlay"), flags, Some(&options))
    }

    pub(super) fn mount_extras(
        &self,
        from: &Sources,
        given: &Below,
        root: &Path,
        notes: &mut Notes,
    ) -> Result<(), Failed> {
        for extra in &from.extras {
            let target = below(root, &given.real(&extra.target));
            let mut set = sys::MOUNT_ATTR_NOSUID | sys::MOUNT_ATTR_NODEV;
            if !extra.writable {
                set |= sys::MOUNT_ATTR_RDONLY;
            }
            let attr = MountAttr { set, ..MountAttr::default() };
            let recursive = self.ids.is_none();
            let result = sys::mount_setattr(extra.source.as_fd(), recursive, &attr)
                .and_then(|()| sys::move_mount(extra.source.as_fd(), &target));
            match result {
                Ok(()) => {}
                Err(error) if extra.writable => {
                    return Err(failed(format!("mount {}", extra.target.display()))(error));
                }
                Err(error) => {
                    notes.push(format!("{} is not shown: {error}", extra.target.display()))
                }
            }
        }
        Ok(())
    }
}

/// A path that leads to an open folder, whatever covers its own.
fn by_descriptor(fd: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}
