//! The file system a command sees: the host's root, read-only below, memory above.
//!
//! Runs in the sandbox's init, in its own mount namespace, before anything untrusted exists. Each
//! writable place is an *area*: a folder on one bounded tmpfs, shown either as the upper layer of
//! an overlay or by itself. After the run the supervisor lists the areas through a descriptor of
//! that tmpfs; nothing of it ever has a name on the host.

mod copies;
mod given;
mod host;
mod kernel;
mod layers;
mod stage;

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use self::given::Blobs;
pub(crate) use self::given::unpacks;
use self::host::{home, submounts, top_level};
use super::areas::{Area, Made, add_bare, plantable, system_folder};
use super::below::Below;
use crate::net::Files;
use crate::root::Refusal;
use crate::spec::{Copied, Decoy, Root, Spec};
use crate::sys;

/// Where the tmpfs with all areas is mounted while the root is built.
const STAGING: &str = "/tmp";
/// Folders whose content the kernel makes.
const KERNEL: [&str; 3] = ["/proc", "/sys", "/dev"];
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
    decoys: Vec<Decoy>,
    /// Symbolic links at the top of the root, with where they point.
    links: Vec<(PathBuf, PathBuf)>,
    /// The root is not the host's.
    given: bool,
    /// Files that the sandbox's network needs below /etc.
    pub network: Option<Files>,
}

/// A finished root, by descriptors that stay good when nobody is inside any more.
#[derive(Debug)]
pub(crate) struct Stood {
    /// The memory behind every writable place.
    pub staging: OwnedFd,
    pub below: Below,
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

/// Why there is no sandbox.
#[derive(Debug)]
pub(crate) enum Failed {
    /// A step of the build failed.
    Step { step: String, source: io::Error },
    /// What was asked for is not done, whoever asks again.
    Refused(String),
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal.to_string())
    }
}

pub(crate) fn failed(step: impl Into<String>) -> impl FnOnce(io::Error) -> Failed {
    let step = step.into();
    move |source| Failed::Step { step, source }
}

impl Plan {
    /// Decides on areas and mounts; only reads the host.
    pub(crate) fn new(spec: &Spec, ids: Option<Ids>) -> Self {
        if spec.root != Root::Host {
            return Self::over_given(spec, ids);
        }
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
            places.extend(KERNEL.map(PathBuf::from));
            places.extend(areas.iter().map(|area| area.path.clone()));
        }
        Self {
            decoys: plantable(&areas, spec),
            areas,
            ids,
            cwd: spec.cwd.clone(),
            tools,
            places,
            files,
            copies: spec.copies.clone(),
            links,
            given: false,
            network: None,
        }
    }

    /// Builds the root, enters it and returns what the supervisor looks at afterwards. `unpacked`
    /// is called once everything is there that the command is not charged for.
    pub(crate) fn build(
        &self,
        spec: &Spec,
        notes: &mut Notes,
        unpacked: impl FnOnce(),
    ) -> Result<Stood, Failed> {
        let private = libc::MS_REC | libc::MS_PRIVATE;
        sys::mount(None, Path::new("/"), None, private, None)
            .map_err(failed("make mounts private"))?;
        // Opened before anything covers them.
        let sources = self.sources(spec, notes)?;
        let originals = self.originals()?;
        let blobs = Blobs::open(spec)?;
        let given = self.give_root(spec, blobs, notes)?;
        unpacked();
        let staging = self.stage(spec, &originals, &given)?;
        self.copy(originals)?;
        self.plant()?;
        self.mask(spec, &given).map_err(failed("prepare the hidden files"))?;
        let root = Path::new(STAGING).join("root");
        self.mount_areas(&sources, &given, &root, notes)?;
        self.mount_extras(&sources, &given, &root, notes)?;
        self.mount_kernel_folders(&root, notes)?;
        std::env::set_current_dir(&root).map_err(failed("enter the new root"))?;
        sys::pivot_here().map_err(failed("pivot into the new root"))?;
        Ok(Stood { staging, below: given })
    }

    /// What the build puts into the areas.
    pub(crate) fn made(&self) -> Made {
        let links = self.links.iter().map(|(link, _)| link.clone()).collect();
        let folders = self.decoys.iter().filter_map(|decoy| decoy.path.parent());
        let places = self.places.iter().cloned().chain(folders.map(Path::to_path_buf)).collect();
        Made { places, links, copies: self.copies.clone(), decoys: self.decoys.clone() }
    }
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
