//! The file system a command sees: the host's root, read-only below, memory above.
//!
//! Runs in the sandbox's init, in its own mount namespace, before anything untrusted exists. Each
//! writable place is an *area*: a folder on one bounded tmpfs, shown either as the upper layer of
//! an overlay or by itself. After the run the supervisor lists the areas through a descriptor of
//! that tmpfs; nothing of it ever has a name on the host.

mod copies;
mod host;
mod kernel;

use std::ffi::{CString, OsStr};
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use self::copies::Original;
use self::host::{accounts, home, submounts, top_level};
use super::areas::{Area, Made, add_bare, system_folder};
use crate::spec::{Copied, Spec};
use crate::sys::{self, MountAttr};

/// Where the tmpfs with all areas is mounted while the root is built.
const STAGING: &str = "/tmp";
/// Ids inside: the command's user, and how many are mapped.
pub(crate) const INSIDE_UID: u32 = 1000;
pub(crate) const INSIDE_IDS: u32 = 65_536;

/// Everything the build needs that was made outside.
#[derive(Debug)]
pub(crate) struct Plan {
    pub areas: Vec<Area>,
    /// User namespaces for id-mapped mounts; absent for an ordinary user.
    pub ids: Option<Ids>,
    pub cwd: PathBuf,
    /// Tool folders, each with its own overlay.
    tools: Vec<PathBuf>,
    /// Paths whose parents must exist inside although the host's root lacks or hides them.
    places: Vec<PathBuf>,
    /// Those of `places` that are files. Asked of the source, and before anything is mounted: the
    /// target may be elsewhere, and the host's /tmp is out of sight once the staging area is there.
    files: Vec<PathBuf>,
    copies: Vec<Copied>,
    /// Symbolic links at the top of the root, with where they point.
    links: Vec<(PathBuf, PathBuf)>,
    passwd: String,
    group: String,
}

/// Root only: how the host's ids look inside.
#[derive(Debug)]
pub(crate) struct Ids {
    /// First host id of the run's range.
    pub base: u32,
    /// Maps host id N to base + N.
    pub shifted: OwnedFd,
    /// One for each owner of the working folder and of the tools.
    pub owners: Vec<Owner>,
}

/// Maps like [`Ids::shifted`], but this owner becomes the command's user.
#[derive(Debug)]
pub(crate) struct Owner {
    pub uid: u32,
    pub gid: u32,
    pub map: OwnedFd,
}

impl Ids {
    /// The map that gives what lies at `path` to the command's user.
    fn handed_over(&self, path: &Path) -> &OwnedFd {
        let meta = fs::metadata(path).ok();
        let same = |owner: &&Owner| {
            meta.as_ref().is_some_and(|meta| (meta.uid(), meta.gid()) == (owner.uid, owner.gid))
        };
        self.owners.iter().find(same).map_or(&self.shifted, |owner| &owner.map)
    }
}

/// What the build could not do as designed, in words.
pub(crate) type Notes = Vec<String>;

/// A step of the build that failed.
#[derive(Debug)]
pub(crate) struct Failed {
    pub step: String,
    pub source: io::Error,
}

fn failed(step: impl Into<String>) -> impl FnOnce(io::Error) -> Failed {
    let step = step.into();
    move |source| Failed { step, source }
}

impl Plan {
    /// Decides on areas and mounts; only reads the host.
    pub(crate) fn new(spec: &Spec, ids: Option<Ids>) -> Self {
        let mut areas = Vec::new();
        let mut links = Vec::new();
        if ids.is_some() {
            areas.push(Area { folder: "upper/root".into(), path: "/".into(), overlay: true });
        } else {
            // overlayfs refuses a lower folder below which the host has mounts that this user
            // may not uncover, and "/" always has: each folder of the top gets its own.
            areas.push(Area { folder: "bare/root".into(), path: "/".into(), overlay: false });
        }
        add_bare(&mut areas, spec);
        let submounts = submounts(&areas);
        if ids.is_none() {
            links = top_level(&mut areas);
        }
        for path in &submounts {
            let folder = PathBuf::from(format!("upper/{}", areas.len()));
            areas.push(Area { folder, path: path.clone(), overlay: true });
        }
        if !system_folder(&spec.cwd) && !areas.iter().any(|area| area.path == spec.cwd) {
            let folder = "upper/cwd".into();
            areas.push(Area { folder, path: spec.cwd.clone(), overlay: true });
        }
        let tools: Vec<PathBuf> = spec.tools.iter().filter(|tool| tool.is_dir()).cloned().collect();
        for path in &tools {
            if !areas.iter().any(|area| area.path == *path) {
                let folder = PathBuf::from(format!("upper/{}", areas.len()));
                areas.push(Area { folder, path: path.clone(), overlay: true });
            }
        }
        // Parents before children, whichever kind they are.
        areas.sort_by_key(|area| area.path.components().count());
        let mut places: Vec<PathBuf> = vec![spec.cwd.clone()];
        places.extend(spec.tools.iter().cloned());
        places.extend(spec.mounts.iter().map(|mount| mount.target.clone()));
        places.extend(home(spec));
        let is_file = |path: &Path| fs::metadata(path).is_ok_and(|meta| !meta.is_dir());
        let shown = spec.tools.iter().map(|tool| (tool, tool));
        let mounts = spec.mounts.iter().map(|mount| (&mount.source, &mount.target));
        let files = shown
            .chain(mounts)
            .filter(|(source, _)| is_file(source))
            .map(|(_, target)| target.clone())
            .collect();
        if ids.is_none() {
            places.extend(["/proc", "/sys", "/dev"].map(PathBuf::from));
            places.extend(areas.iter().map(|area| area.path.clone()));
        }
        Self {
            areas,
            ids,
            cwd: spec.cwd.clone(),
            tools,
            places,
            files,
            copies: spec.copies.clone(),
            links,
            passwd: accounts("/etc/passwd", "sandbox:x:1000:1000:sandbox:", spec),
            group: accounts("/etc/group", "sandbox:x:1000:", spec),
        }
    }

    /// Builds the root, enters it and returns a descriptor of the staging tmpfs.
    pub(crate) fn build(&self, spec: &Spec, notes: &mut Notes) -> Result<OwnedFd, Failed> {
        let private = libc::MS_REC | libc::MS_PRIVATE;
        sys::mount(None, Path::new("/"), None, private, None)
            .map_err(failed("make mounts private"))?;
        // Opened before anything covers them.
        let sources = self.sources(spec, notes)?;
        let originals = self.originals()?;
        let staging = self.stage(spec, &originals)?;
        self.copy(originals)?;
        self.mask().map_err(failed("prepare the hidden files"))?;
        let root = Path::new(STAGING).join("root");
        self.mount_areas(&sources, &root, notes)?;
        self.mount_extras(&sources, &root, notes)?;
        self.mount_kernel_folders(&root, notes)?;
        std::env::set_current_dir(&root).map_err(failed("enter the new root"))?;
        sys::pivot_here().map_err(failed("pivot into the new root"))?;
        Ok(staging)
    }

    /// Detached copies (or descriptors) of every host folder that will be shown.
    fn sources(&self, spec: &Spec, notes: &mut Notes) -> Result<Sources, Failed> {
        let mut layers = Vec::new();
        for area in &self.areas {
            let layer = if area.overlay { Some(self.layer(&area.path, notes)?) } else { None };
            layers.push(layer);
        }
        let mut extras = Vec::new();
        for tool in spec.tools.iter().filter(|tool| !self.tools.contains(tool)) {
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

    /// Mounts the bounded tmpfs and creates the folders of every area.
    fn stage(&self, spec: &Spec, originals: &[Original]) -> Result<OwnedFd, Failed> {
        let inodes = (spec.limits.disk_bytes / 4096).clamp(4096, 1 << 20);
        let copied: u64 = originals.iter().map(Original::pages_bytes).sum();
        let size = spec.limits.disk_bytes.saturating_add(copied);
        let options = format!("size={size},nr_inodes={inodes},mode=0755,inode32");
        let options = CString::new(options).map_err(|e| failed("set disk options")(e.into()))?;
        let flags = libc::MS_NOSUID | libc::MS_NODEV;
        let staging = Path::new(STAGING);
        sys::mount(Some(OsStr::new("shieldx")), staging, Some(c"tmpfs"), flags, Some(&options))
            .map_err(failed("mount memory for writes"))?;
        let make = |folder: &Path, mode: u32| -> io::Result<()> {
            fs::DirBuilder::new().recursive(true).mode(0o755).create(staging.join(folder))?;
            fs::set_permissions(staging.join(folder), fs::Permissions::from_mode(mode))
        };
        for area in &self.areas {
            let shared = !area.overlay
                && [Path::new("/tmp"), Path::new("/var/tmp"), Path::new("/dev/shm")]
                    .contains(&area.path.as_path());
            // An upper folder's mode is the mode of the overlay's top.
            let mode = if shared {
                0o1777
            } else if area.overlay {
                fs::metadata(&area.path).map_or(0o755, |meta| meta.mode() & 0o7777)
            } else {
                0o755
            };
            let owned_by_user = area.path == self.cwd || self.tools.contains(&area.path);
            make(&area.folder, mode).map_err(failed("create a writable area"))?;
            self.give(&staging.join(&area.folder), owned_by_user)
                .map_err(failed("hand a writable area over"))?;
            if area.overlay {
                make(&work_folder(&area.folder), 0o700).map_err(failed("create a work folder"))?;
                make(&lower_folder(&area.folder), 0o755)
                    .map_err(failed("create a layer folder"))?;
            }
        }
        for folder in ["mask", "root"] {
            make(Path::new(folder), 0o755).map_err(failed("create the root folder"))?;
        }
        self.give(&staging.join("mask"), false).map_err(failed("hand the root over"))?;
        let home = home(spec);
        for place in &self.places {
            let mine = Some(place) == home.as_ref();
            self.place(place, mine)
                .map_err(failed(format!("make room for {}", place.display())))?;
        }
        for (link, to) in &self.links {
            let at = below(&staging.join("bare/root"), link);
            std::os::unix::fs::symlink(to, at).map_err(failed("copy a link of the root"))?;
        }
        open_folder(staging).map_err(failed("open the memory for writes"))
    }

    /// Gives a staged file to the sandbox's root, or to the command's user.
    fn give(&self, path: &Path, to_user: bool) -> io::Result<()> {
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
        let is_file = self.files.iter().any(|file| file == path);
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

    /// Fills the mask layer: an account list that knows the command's user, and whiteouts (overlay
    /// documentation: a character device 0/0 hides the name below) for secrets.
    fn mask(&self) -> io::Result<()> {
        let etc = Path::new(STAGING).join("mask/etc");
        fs::DirBuilder::new().recursive(true).mode(0o755).create(&etc)?;
        self.give(&etc, false)?;
        for (name, text) in [("passwd", &self.passwd), ("group", &self.group)] {
            let path = etc.join(name);
            fs::write(&path, text)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
            self.give(&path, false)?;
        }
        for name in ["shadow", "shadow-", "gshadow", "gshadow-", "sudoers", "sudoers.d"] {
            if fs::symlink_metadata(Path::new("/etc").join(name)).is_ok() {
                sys::mknod(&etc.join(name), libc::S_IFCHR, 0)?;
            }
        }
        Ok(())
    }

    fn mount_areas(&self, from: &Sources, root: &Path, notes: &mut Notes) -> Result<(), Failed> {
        for (area, layer) in self.areas.iter().zip(&from.layers) {
            let target = below(root, &area.path);
            let folder = Path::new(STAGING).join(&area.folder);
            let Some(layer) = layer else {
                if area.path != Path::new("/dev/shm") && target.is_dir() {
                    // "/" is the first: it becomes the mount that is pivoted into.
                    bind(&folder, &target)
                        .map_err(failed(format!("cover {}", area.path.display())))?;
                }
                continue;
            };
            let is_root = area.path == Path::new("/");
            match self.overlay(layer, area, &target) {
                Ok(()) => {}
                Err(error) if is_root || area.path == self.cwd => {
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

    fn overlay(&self, layer: &Layer, area: &Area, target: &Path) -> io::Result<()> {
        let staging = Path::new(STAGING);
        let lower = match layer {
            Layer::Folder(fd) => PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd())),
            Layer::Tree(tree) => {
                let at = staging.join(lower_folder(&area.folder));
                sys::move_mount(tree.as_fd(), &at)?;
                at
            }
        };
        let mask = match area.path.to_str() {
            Some("/") => format!("{STAGING}/mask:"),
            Some("/etc") if self.ids.is_none() => format!("{STAGING}/mask/etc:"),
            _ => String::new(),
        };
        // An ordinary user's overlay keeps its notes in user.* attributes.
        let attributes = if self.ids.is_some() { ",xino=on" } else { ",userxattr,xino=on" };
        let options = format!(
            "lowerdir={mask}{},upperdir={},workdir={}{attributes}",
            lower.display(),
            staging.join(&area.folder).display(),
            staging.join(work_folder(&area.folder)).display(),
        );
        let options = CString::new(options)?;
        let flags = libc::MS_NOSUID | libc::MS_NODEV;
        sys::mount(Some(OsStr::new("shieldx")), target, Some(c"overlay"), flags, Some(&options))
    }

    fn mount_extras(&self, from: &Sources, root: &Path, notes: &mut Notes) -> Result<(), Failed> {
        for extra in &from.extras {
            let target = below(root, &extra.target);
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

    /// What the build puts into the areas.
    pub(crate) fn made(&self) -> Made {
        let links = self.links.iter().map(|(link, _)| link.clone()).collect();
        Made { places: self.places.clone(), links, copies: self.copies.clone() }
    }
}

struct Sources {
    /// One for each area; `None` for those that start empty.
    layers: Vec<Option<Layer>>,
    extras: Vec<Extra>,
}

enum Layer {
    /// A detached, id-mapped mount.
    Tree(OwnedFd),
    Folder(OwnedFd),
}

struct Extra {
    source: OwnedFd,
    target: PathBuf,
    writable: bool,
}

fn work_folder(folder: &Path) -> PathBuf {
    Path::new("work").join(folder)
}

fn lower_folder(folder: &Path) -> PathBuf {
    Path::new("lower").join(folder)
}

/// `path` (absolute, inside) as seen from outside through `root`.
fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECTORY | libc::O_CLOEXEC)
        .open(path)?;
    Ok(file.into())
}

fn bind(source: &Path, target: &Path) -> io::Result<()> {
    sys::mount(Some(source.as_os_str()), target, None, libc::MS_BIND, None)
}
