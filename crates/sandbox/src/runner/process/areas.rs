//! The places of a sandbox that can be written: which there are, and what was in them before the
//! command. Plans only; mounts and lists nothing.

use std::fs;
use std::path::{Path, PathBuf};

use crate::spec::{Copied, Decoy, Mount, Spec};

/// The permissions of a file that is given to the command.
pub const COPY_MODE: u32 = 0o755;

/// One writable place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Area {
    /// Folder on the staging tmpfs, relative to its top.
    pub folder: PathBuf,
    /// Where it shows inside.
    pub path: PathBuf,
    /// It is the upper layer over the host's folder of the same path (else it started empty).
    pub overlay: bool,
}

/// What the sandbox put into the areas before the command started.
#[derive(Debug, Clone, Default)]
pub struct Made {
    /// Folders, with their parents.
    pub places: Vec<PathBuf>,
    /// Symbolic links.
    pub links: Vec<PathBuf>,
    pub copies: Vec<Copied>,
    pub decoys: Vec<Decoy>,
}

/// The decoys that can be planted: those in a folder that begins empty and is the command's alone.
pub(super) fn plantable(areas: &[Area], spec: &Spec) -> Vec<Decoy> {
    let private = |path: &Path| {
        let holds = |area: &&Area| path.starts_with(&area.path) && area.path != path;
        let area = areas.iter().filter(holds).max_by_key(|area| area.path.components().count());
        area.is_some_and(|area| !area.overlay && area.path != Path::new("/"))
    };
    let mounted = |path: &Path| {
        let over = |mount: &Mount| path.starts_with(&mount.target);
        spec.mounts.iter().any(over) || spec.copies.iter().any(|copy| copy.target == path)
    };
    let good = |decoy: &&Decoy| private(&decoy.path) && !mounted(&decoy.path);
    spec.decoys.iter().filter(good).cloned().collect()
}

/// Adds what starts empty: shared temporary folders, sockets of services, hidden folders.
pub(super) fn add_bare(areas: &mut Vec<Area>, spec: &Spec) {
    let private = ["/tmp", "/var/tmp", "/run", "/dev/shm"].map(PathBuf::from);
    let mut bare: Vec<PathBuf> = private.to_vec();
    bare.extend(spec.hidden.iter().cloned());
    bare.sort();
    for path in bare {
        let covers = |area: &Area| area.path != Path::new("/") && path.starts_with(&area.path);
        let nested = areas.iter().any(|area| !area.overlay && covers(area));
        if nested || !path.is_absolute() || path == Path::new("/") {
            continue;
        }
        let is_folder = fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir());
        if is_folder || path == Path::new("/dev/shm") {
            let folder = PathBuf::from(format!("bare/{}", areas.len()));
            areas.push(Area { folder, path, overlay: false });
        }
    }
    if spec.cwd_is_new && !areas.iter().any(|area| area.path == spec.cwd) {
        areas.push(Area { folder: "bare/cwd".into(), path: spec.cwd.clone(), overlay: false });
    }
}

/// Folders that are never somebody's work: as a working folder they are shown like everywhere
/// else, not handed to the command's user with whatever only root may read.
pub(super) fn system_folder(path: &Path) -> bool {
    const TREES: [&str; 15] = [
        "/proc",
        "/sys",
        "/dev",
        "/etc",
        "/usr",
        "/boot",
        "/bin",
        "/sbin",
        "/lib",
        "/lib32",
        "/lib64",
        "/var/lib",
        "/var/log",
        "/var/cache",
        "/var/spool",
    ];
    path == Path::new("/")
        || path == Path::new("/var")
        || TREES.iter().any(|tree| path.starts_with(tree))
}
