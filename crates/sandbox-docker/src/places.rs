//! The folders of a container that can be written, all in memory: planned, opened from outside,
//! filled before the command starts, and listed after its end.
//!
//! They are reached through the root folder of the container's first process, by descriptors that
//! keep them alive when the container is gone. Whatever an image's links say, resolution stays
//! below that root, and a folder that is not the memory that was asked for is refused.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{PermissionsExt as _, fchown};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use sandbox::runner::process::areas::{Area, COPY_MODE, Made};
use sandbox::runner::process::changes::{self, Listing};
use sandbox::spec::date;
use sandbox::{Copied, Decoy, Root, RunError, Spec};
use types::ports::Scanner;

/// The command's user and group: of Debian's reserved range, so nobody's on a host without user
/// namespaces, and below 65536 so that it exists in a daemon's remapped range.
pub(crate) const RUN_UID: u32 = 65_432;
/// Shared memory is mounted by the daemon itself.
const SHM: &str = "/dev/shm";
const SHM_BYTES: u64 = 64 << 20;
/// Names in one place, at most.
const INODES: u64 = 65_536;
const PAGE_BYTES: u64 = 4096;
/// `TMPFS_MAGIC` of linux/magic.h.
const TMPFS: i64 = 0x0102_1994;

/// Where the command can write, before there is a container.
#[derive(Debug)]
pub(crate) struct Places {
    /// Mounted in memory, and whether everybody may write there.
    pub mounts: BTreeMap<PathBuf, bool>,
    /// Folders in them that must be there.
    pub folders: Vec<PathBuf>,
    /// Where something of the host is shown: the daemon makes these.
    mounted: Vec<PathBuf>,
    /// Bytes of each, and of shared memory.
    each_bytes: u64,
    pub shm_bytes: u64,
}

impl Places {
    pub(crate) fn plan(spec: &Spec) -> Self {
        let mut wanted: BTreeMap<PathBuf, bool> =
            ["/tmp", "/var/tmp", "/run"].map(|path| (PathBuf::from(path), true)).into();
        let home = spec.env.iter().find(|(name, _)| name == "HOME").map(|(_, home)| home.into());
        // Over an image, hiding what only this host has would hide the image's own.
        let needed = |folder: &&PathBuf| {
            let given = spec.copies.iter().map(|copy| &copy.target);
            let mut all = given.chain(spec.decoys.iter().map(|decoy| &decoy.path));
            is_scratch(spec) || all.any(|path| path.starts_with(folder))
        };
        let own = home.into_iter().chain(spec.hidden.iter().filter(needed).cloned());
        for path in own.chain([spec.cwd.clone()]) {
            if mountable(&path) {
                wanted.entry(path).or_insert(false);
            }
        }
        // In a mount of the host there is something else.
        wanted.retain(|path, _| !spec.mounts.iter().any(|mount| path.starts_with(&mount.target)));
        let (mut mounts, mut folders) = (BTreeMap::new(), Vec::new());
        for (path, shared) in wanted {
            // In order, so that what covers comes first.
            if mounts.keys().any(|outer: &PathBuf| path.starts_with(outer)) {
                folders.push(path);
            } else {
                mounts.insert(path, shared);
            }
        }
        let shm_bytes = SHM_BYTES.min(spec.limits.disk_bytes / 8);
        let shm_bytes = (shm_bytes - shm_bytes % PAGE_BYTES).max(PAGE_BYTES);
        let count = u64::try_from(mounts.len()).unwrap_or(1).max(1);
        // Rounded down: a tmpfs rounds up.
        let share = spec.limits.disk_bytes.saturating_sub(shm_bytes) / count;
        let each_bytes = (share - share % PAGE_BYTES).max(PAGE_BYTES);
        let mounted = spec.mounts.iter().map(|mount| mount.target.clone()).collect();
        Self { mounts, folders, mounted, each_bytes, shm_bytes }
    }

    /// What bounds the bytes that can be written, in words: each place is memory of its own, so each
    /// has its own part of the whole.
    pub(crate) fn bound(&self) -> String {
        let (count, each, shm) = (self.mounts.len(), self.each_bytes, self.shm_bytes);
        format!("{each} bytes in each of {count} folders and {shm} bytes in {SHM}")
    }

    /// Whether a file is in one of them.
    pub(crate) fn holds(&self, path: &Path) -> bool {
        self.mounts.keys().any(|mount| path.starts_with(mount) && path != mount)
    }

    /// tmpfs options by path, with room for what is planted.
    pub(crate) fn options(&self, planted: &[Planted]) -> Vec<(String, String)> {
        let options = |(path, shared): (&PathBuf, &bool)| {
            let here = planted.iter().filter(|file| file.target.starts_with(path));
            let extra: u64 = here.map(|file| file.bytes.next_multiple_of(PAGE_BYTES)).sum();
            let owner = match shared {
                true => "mode=1777".to_owned(),
                false => format!("mode=0755,uid={RUN_UID},gid={RUN_UID}"),
            };
            let size = self.each_bytes + extra;
            let text = format!("rw,exec,nosuid,nodev,size={size},nr_inodes={INODES},{owner}");
            (path.to_string_lossy().into_owned(), text)
        };
        self.mounts.iter().map(options).collect()
    }
}

/// A folder that may be covered: an absolute name without dots, in UTF-8, and none of the system's.
fn mountable(path: &Path) -> bool {
    const TREES: [&str; 13] = [
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
        "/.shieldx",
        "/var/lib",
    ];
    let plain = path.components().skip(1).all(|part| matches!(part, Component::Normal(_)));
    let above =
        ["/", "/var", "/home", "/opt", "/srv", "/mnt"].iter().any(|top| path == Path::new(top));
    let text = path.to_str().is_some_and(|text| !text.contains([',', ':', '\n']));
    path.is_absolute()
        && plain
        && text
        && !above
        && !TREES.iter().any(|tree| path.starts_with(tree))
}

/// A file that is put into a place.
#[derive(Debug)]
pub(crate) struct Planted {
    pub target: PathBuf,
    content: Content,
    bytes: u64,
    mode: u32,
}

#[derive(Debug)]
enum Content {
    /// Opened before anything else happens: its name may mean something else later.
    File(File, PathBuf),
    Decoy(Decoy),
}

/// Everything a run plants: copies, decoys, and the program's own files.
///
/// # Errors
/// When a file cannot be read or its target is in no place that can be written.
pub(crate) fn planted(
    spec: &Spec,
    places: &Places,
    own: &BTreeMap<PathBuf, PathBuf>,
) -> Result<Vec<Planted>, RunError> {
    let given = spec.copies.iter().map(|copy| (&copy.target, &copy.source));
    let mut list = Vec::new();
    for (target, source) in given.chain(own) {
        let setup = |source_error| RunError::Setup {
            step: format!("open {}", source.display()),
            source: source_error,
        };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let real = fs::canonicalize(source).map_err(setup)?;
        let file = File::from(
            rustix::fs::open(&real, flags, Mode::empty()).map_err(|errno| setup(errno.into()))?,
        );
        let meta = file.metadata().map_err(setup)?;
        if !meta.is_file() {
            return Err(setup(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
        }
        let content = Content::File(file, real);
        list.push(Planted { target: target.clone(), content, bytes: meta.len(), mode: COPY_MODE });
    }
    list.extend(spec.decoys.iter().map(|decoy| Planted {
        target: decoy.path.clone(),
        bytes: decoy.content.len() as u64,
        content: Content::Decoy(decoy.clone()),
        mode: decoy.mode,
    }));
    match list.iter().find(|file| !places.holds(&file.target)) {
        Some(file) => Err(RunError::Refused {
            reason: format!(
                "{} cannot be given to the command: it is in no folder that is private to it",
                file.target.display()
            ),
        }),
        None => Ok(list),
    }
}

/// The places of a container that runs.
#[derive(Debug)]
pub(crate) struct Opened {
    places: Vec<(PathBuf, OwnedFd)>,
    made: Made,
}

impl Opened {
    /// Opens them through the container's first process, and makes the folders in them.
    ///
    /// # Errors
    /// When a place is not reached, or is not the memory that was asked for.
    pub(crate) fn open(pid: u32, plan: &Places) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(format!("/proc/{pid}/root"), flags, Mode::empty())?;
        let mut places = Vec::new();
        let mounts = plan.mounts.iter().map(|(path, shared)| (path.as_path(), *shared));
        for (path, shared) in mounts.chain([(Path::new(SHM), true)]) {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let below = path.strip_prefix("/").unwrap_or(path);
            let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
            let folder = rustix::fs::openat2(&root, below, flags, Mode::empty(), resolve)?;
            if rustix::fs::fstatfs(&folder)?.f_type != TMPFS {
                let what = format!("{} is not in memory in the container", path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
            // A runtime gives a mount the mode of the image's folder below it.
            let (mode, owner) = if shared { (0o1777, 0) } else { (0o755, RUN_UID) };
            fchown(&folder, Some(owner), Some(owner))?;
            rustix::fs::fchmod(&folder, Mode::from_raw_mode(mode))?;
            places.push((path.to_owned(), folder));
        }
        let made = Made { places: plan.mounted.clone(), ..Made::default() };
        let mut opened = Self { places, made };
        for folder in &plan.folders {
            let (place, below) = opened.within(folder)?;
            let made = folders(place, &below)?;
            fchown(&made, Some(RUN_UID), Some(RUN_UID))?;
            opened.made.places.push(folder.clone());
        }
        Ok(opened)
    }

    /// Puts the files where they belong. Nothing of the command runs yet.
    ///
    /// # Errors
    /// When one cannot be written.
    pub(crate) fn plant(&mut self, files: Vec<Planted>) -> io::Result<()> {
        for file in files {
            let target = file.target;
            let what = |error: io::Error| {
                io::Error::new(error.kind(), format!("{}: {error}", target.display()))
            };
            let (place, below) = self.within(&target)?;
            let parent = below.parent().unwrap_or(Path::new(""));
            let folder = folders(place, parent).map_err(what)?;
            let name = below.file_name().unwrap_or_default();
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let mut copy = rustix::fs::openat(&folder, name, flags, Mode::RUSR | Mode::WUSR)
                .map(File::from)
                .map_err(|errno| what(errno.into()))?;
            match file.content {
                Content::File(mut source, origin) => {
                    io::copy(&mut source, &mut copy).map_err(what)?;
                    self.made.copies.push(Copied { source: origin, target: target.clone() });
                }
                Content::Decoy(decoy) => {
                    copy.write_all(&decoy.content).map_err(what)?;
                    date(&copy, decoy.modified).map_err(what)?;
                    self.made.decoys.push(decoy);
                }
            }
            copy.set_permissions(fs::Permissions::from_mode(file.mode & 0o777)).map_err(what)?;
            fchown(&copy, Some(RUN_UID), Some(RUN_UID)).map_err(what)?;
            if let Some(parent) = target.parent() {
                self.made.places.push(parent.to_owned());
            }
        }
        for (folder, modified) in Decoy::folders(&self.made.decoys) {
            // Those above a place are the root's own.
            if let Ok((place, below)) = self.within(&folder.join("it")) {
                let folder = folders(place, below.parent().unwrap_or(Path::new("")))?;
                date(&File::from(folder), modified)?;
            }
        }
        Ok(())
    }

    /// What the command left in them; the container may be gone. Regular files are copied below
    /// `keep`.
    ///
    /// # Errors
    /// When a file that is there could not be read on.
    pub(crate) fn list(
        &self,
        keep: Option<&Path>,
        scanner: Option<&Arc<dyn Scanner>>,
    ) -> io::Result<Listing> {
        let mut all = Listing::default();
        for (path, folder) in &self.places {
            let area = Area { folder: ".".into(), path: path.clone(), overlay: false };
            let listing = changes::list(folder.as_fd(), &[area], &self.made, keep, scanner)?;
            let before = all.changes.len();
            all.found.extend(listing.found.into_iter().map(|(file, kind)| (before + file, kind)));
            all.changes.extend(listing.changes);
            all.notes.extend(listing.notes);
            all.faults.extend(listing.faults);
            all.unseen.extend(listing.unseen);
            all.unkept = all.unkept.or(listing.unkept);
        }
        Ok(all)
    }

    /// Those of which all bytes or names are used, with their own bounds, in words.
    pub(crate) fn full(&self) -> Option<String> {
        let full = |(path, folder): &(PathBuf, OwnedFd)| {
            let stat = rustix::fs::fstatfs(folder).ok()?;
            let bytes = stat.f_blocks.saturating_mul(u64::try_from(stat.f_bsize).unwrap_or(0));
            let used = stat.f_bavail == 0 || stat.f_ffree == 0;
            used.then(|| format!("all of {bytes} bytes (or of the names) in {}", path.display()))
        };
        let all: Vec<String> = self.places.iter().filter_map(full).collect();
        (!all.is_empty()).then(|| format!("{} were used", all.join(", ")))
    }

    fn within(&self, path: &Path) -> io::Result<(&OwnedFd, PathBuf)> {
        let inside = self.places.iter().find(|(place, _)| path.starts_with(place));
        let (place, folder) = inside.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{}: no such place", path.display()),
            )
        })?;
        Ok((folder, path.strip_prefix(place).unwrap_or(path).to_owned()))
    }
}

/// Makes a folder and those above it, the command's own, one component at a time.
fn folders(place: &OwnedFd, below: &Path) -> io::Result<OwnedFd> {
    let mut here = place.try_clone()?;
    for part in below.components() {
        let Component::Normal(name) = part else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a plain name"));
        };
        let new = match rustix::fs::mkdirat(&here, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => true,
            Err(rustix::io::Errno::EXIST) => false,
            Err(errno) => return Err(errno.into()),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        here = rustix::fs::openat(&here, name, flags, Mode::empty())?;
        if new {
            fchown(&here, Some(RUN_UID), Some(RUN_UID))?;
        }
    }
    Ok(here)
}

/// Whether a root is the program alone.
pub(crate) fn is_scratch(spec: &Spec) -> bool {
    spec.root == Root::Host
}
