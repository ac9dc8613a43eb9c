//! Roots that are not the host's, and layers: planned without looking at them, unpacked in memory
//! that is gone with the run.
//!
//! What is unpacked lies on a second tmpfs of the run's own mount namespace, owned by the run's
//! ids. A process of its own writes it, which has no rights outside the run's user namespace.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, XattrFlags};

use super::super::areas::{Area, plantable};
use super::super::below::Below;
use super::host::home;
use super::{Failed, Ids, KERNEL, Notes, Plan, STAGING, failed, open_folder};
use crate::root::{
    self, Blob, ENTRIES_MAX, OPAQUE, Owners, Refusal, Report, Unpacker, Whiteouts, resolve,
};
use crate::spec::{Root, Spec};
use crate::sys::{self, Fork};

/// What covers parts of every root and starts empty.
const PRIVATE: [&str; 4] = ["/tmp", "/var/tmp", "/run", "/dev/shm"];
/// What the process that unpacks says at the end, at most: a mark for every folder.
const ANSWER_MAX: u64 = 64 << 20;

/// Everything a root is made from, open.
pub(super) struct Blobs {
    folder: Option<OwnedFd>,
    root: Vec<Blob>,
    layers: Vec<Blob>,
}

impl Blobs {
    pub(super) fn open(spec: &Spec) -> Result<Self, Failed> {
        let folder = match &spec.root {
            Root::Folder(path) => {
                Some(open_folder(path).map_err(failed(format!("open {}", path.display())))?)
            }
            _ => None,
        };
        let (root, layers) = (root::sources(&spec.root)?, root::layers(&spec.layers)?);
        Ok(Self { folder, root, layers })
    }
}

/// Whether something is unpacked before a run with this spec.
pub(crate) fn unpacks(spec: &Spec) -> bool {
    matches!(spec.root, Root::Tar(_) | Root::Oci(..)) || !spec.layers.is_empty()
}

impl Plan {
    /// As [`Plan::new`], for a root that is not the host's: one overlay over all of it.
    pub(super) fn over_given(spec: &Spec, ids: Option<Ids>) -> Self {
        let mut areas = vec![Area { folder: "upper/root".into(), path: "/".into(), overlay: true }];
        let mut hidden = spec.hidden.clone();
        if let Root::Folder(folder) = &spec.root {
            let inside = spec.hidden.iter().filter_map(|path| path.strip_prefix(folder).ok());
            hidden.extend(inside.map(|path| Path::new("/").join(path)).collect::<Vec<_>>());
        }
        let mut bare: Vec<PathBuf> = PRIVATE.map(PathBuf::from).to_vec();
        bare.extend(hidden.iter().filter(|path| path.is_absolute()).cloned());
        bare.sort();
        for path in bare {
            let covered = areas.iter().any(|area| !area.overlay && path.starts_with(&area.path));
            if !covered && path != Path::new("/") {
                let folder = PathBuf::from(format!("bare/{}", areas.len()));
                areas.push(Area { folder, path, overlay: false });
            }
        }
        if spec.cwd_is_new && !areas.iter().any(|area| area.path == spec.cwd) {
            areas.push(Area { folder: "bare/cwd".into(), path: spec.cwd.clone(), overlay: false });
        }
        areas.sort_by_key(|area| area.path.components().count());
        let mut places: Vec<PathBuf> = KERNEL.map(PathBuf::from).to_vec();
        places.extend(PRIVATE.iter().filter(|path| !path.starts_with("/dev")).map(PathBuf::from));
        places.push(spec.cwd.clone());
        places.extend(spec.mounts.iter().map(|mount| mount.target.clone()));
        places.extend(home(spec));
        // A hidden folder of the host's is not made in a root that has none, unless it is needed:
        // its name may tell who lives there.
        let needed = |path: &&PathBuf| places.iter().any(|place| place.starts_with(path));
        let hidden: Vec<PathBuf> = hidden.iter().filter(needed).cloned().collect();
        places.splice(0..0, hidden);
        let is_file = |path: &Path| std::fs::metadata(path).is_ok_and(|meta| !meta.is_dir());
        let files = spec.mounts.iter().filter(|mount| is_file(&mount.source));
        Self {
            decoys: plantable(&areas, spec),
            areas,
            ids,
            cwd: spec.cwd.clone(),
            tools: Vec::new(),
            places,
            files: files.map(|mount| mount.target.clone()).collect(),
            copies: spec.copies.clone(),
            links: Vec::new(),
            given: true,
            network: None,
        }
    }

    /// Unpacks what is to be unpacked.
    pub(super) fn give_root(
        &self,
        spec: &Spec,
        blobs: Blobs,
        notes: &mut Notes,
    ) -> Result<Below, Failed> {
        let mut below = Below { base: blobs.folder, layers: None };
        if !unpacks(spec) {
            return Ok(below);
        }
        let trees = self.trees(spec)?;
        let mut left = spec.limits.disk_bytes;
        for (name, blobs, whiteouts) in
            [("base", blobs.root, Whiteouts::Applied), ("layers", blobs.layers, Whiteouts::Kept)]
        {
            if blobs.is_empty() {
                continue;
            }
            let tree = open_folder(&trees.join(name)).map_err(failed("open an unpacked tree"))?;
            let report = self.unpack(tree.as_fd(), blobs, whiteouts, left)?;
            left = left.saturating_sub(report.bytes);
            notes.extend(report.notes());
            notes.push(format!(
                "{} entries with {} bytes were unpacked ({name})",
                report.entries, report.bytes
            ));
            self.mark(tree.as_fd(), &report).map_err(failed("mark folders as opaque"))?;
            if whiteouts == Whiteouts::Applied {
                below.base = Some(tree);
            } else {
                below.layers = Some(tree);
            }
        }
        Ok(below)
    }

    /// The memory that is unpacked into. It is not the command's: what the command may write is
    /// bounded apart from it.
    fn trees(&self, spec: &Spec) -> Result<PathBuf, Failed> {
        let trees = Path::new(STAGING);
        let options = format!(
            "size={},nr_inodes={},mode=0755,inode32",
            spec.limits.disk_bytes,
            ENTRIES_MAX + 16
        );
        let options = CString::new(options).map_err(|e| failed("set disk options")(e.into()))?;
        let flags = libc::MS_NOSUID | libc::MS_NODEV;
        sys::mount(Some(OsStr::new("shieldx")), trees, Some(c"tmpfs"), flags, Some(&options))
            .map_err(failed("mount memory for the root"))?;
        for name in ["base", "layers"] {
            let path = trees.join(name);
            std::fs::create_dir(&path)
                .and_then(|()| self.give(&path, false))
                .map_err(failed("make room for the root"))?;
        }
        Ok(trees.to_owned())
    }

    /// Unpacks in a process of its own, with the rights of the run's user namespace.
    fn unpack(
        &self,
        tree: BorrowedFd<'_>,
        blobs: Vec<Blob>,
        whiteouts: Whiteouts,
        bytes_max: u64,
    ) -> Result<Report, Failed> {
        let (read, write) = sys::pipe().map_err(failed("create a pipe"))?;
        let owners = if self.ids.is_some() { Owners::Kept } else { Owners::Flattened };
        let child = match sys::fork().map_err(failed("start to unpack"))? {
            Fork::Child => {
                drop(read);
                let result =
                    self.lower_rights().map_err(Refusal::io("give up rights")).and_then(|()| {
                        let mut unpacker = Unpacker::new(tree, owners, whiteouts, bytes_max);
                        blobs.into_iter().try_for_each(|blob| blob.unpack(&mut unpacker))?;
                        Ok(unpacker.finish())
                    });
                let answer = result.map_err(|refusal| refusal.to_string());
                let told = serde_json::to_vec(&answer).map_err(io::Error::from);
                let told = told.and_then(|answer| sys::write_all(write.as_fd(), &answer));
                sys::exit_now(i32::from(told.is_err()))
            }
            Fork::Parent(pid) => pid,
        };
        drop((write, blobs));
        let mut answer = Vec::new();
        let heard = File::from(read).take(ANSWER_MAX).read_to_end(&mut answer);
        let _ = sys::wait(child, 0);
        heard.map_err(failed("hear from the process that unpacks"))?;
        let answer: Result<Report, String> = serde_json::from_slice(&answer).map_err(|error| {
            failed("unpack (the process that did it ended early)")(error.into())
        })?;
        answer.map_err(Failed::Refused)
    }

    fn lower_rights(&self) -> io::Result<()> {
        if let Some(ids) = &self.ids {
            sys::setns(ids.shifted.as_fd(), libc::CLONE_NEWUSER)?;
            sys::become_user(0, 0, true)?;
        }
        sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1)
    }

    /// Marks folders that hide what lies below the tree. Only the sandbox's init may.
    fn mark(&self, tree: BorrowedFd<'_>, report: &Report) -> io::Result<()> {
        let [by_root, by_others] = OPAQUE;
        let name = if self.ids.is_some() { by_root } else { by_others };
        for path in &report.opaque {
            // A later entry may have taken it away again.
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            if let Ok(folder) = resolve(tree, path, flags) {
                rustix::fs::fsetxattr(&folder, name, b"y", XattrFlags::empty())?;
            }
        }
        Ok(())
    }
}
