//! Loaded programs that outlive their process, so that the next run need not have them verified
//! again: that is most of what starting the monitor costs.
//!
//! A *set* is one copy of all programs and maps in a folder of the BPF filesystem. It belongs to one
//! run at a time (a lock on the folder, which ends with the process however that ends) and is given
//! back empty. Whatever is not exactly as it was left (owner, mode, numbers, tags, what the programs
//! write to, whether somebody has them attached) makes a set useless: it is removed, and the programs
//! are loaded anew. What the programs do is not known here.

use std::collections::{BTreeSet, HashMap};
use std::ffi::CString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use aya::maps::{Array, Map, MapData};
use sha2::{Digest as _, Sha256};

use super::{bpf, os};
use crate::sys;

const MOUNT: &str = "/sys/fs/bpf";
/// Sets on this host at most, over all configurations; a set holds some 9 MiB of the kernel's
/// memory. A run that finds none free and no room for another one loads its own.
const SETS_MAX: usize = 4;
/// On a host with more attachments nobody looks through them all, and nothing is reused.
const LINKS_MAX: usize = 4096;
/// Grows when what is pinned, or how, changes.
const FORMAT: &str = "1";

/// The maps that user space reads or has to empty. Others belong to the programs alone and keep
/// nothing from one record to the next.
pub(super) const MAPS: [&str; 16] = [
    "critical",
    "bulk",
    "windows",
    "samplings",
    "durations",
    "control",
    "counters",
    "heres",
    "totals",
    "traffic",
    "total_index",
    "ranges",
    "flights",
    "denied",
    "resolved",
    "resolved_paths",
];
const RINGS: usize = 2;

const SEAL: &str = "seal";
const SEAL_LEN: usize = 40;
const SEAL_LEN_U32: u32 = 40;
const KEY_LEN: u32 = 4;
const DIGEST_LEN: usize = 32;
/// What a seal says after the digest: the set is whole, empty and attached nowhere.
const IDLE: u8 = 1;
const IN_USE: u8 = 2;

/// `enum bpf_map_type`.
const HASH: u32 = 1;
const ARRAY: u32 = 2;
const PER_CPU_ARRAY: u32 = 6;

type Seal = Array<MapData, [u8; SEAL_LEN]>;

/// Programs and maps by name, as they are pinned.
pub(super) struct Set {
    pub maps: HashMap<String, MapData>,
    /// Of those that were asked for, the ones that there are.
    pub programs: HashMap<String, OwnedFd>,
}

/// Where the sets of one object on one kernel are, and which of them fit these options.
pub(super) struct Place {
    folder: File,
    /// Of the options and of whatever else is built into the programs.
    configuration: String,
}

/// The right to use a set; ends when this is dropped.
pub(super) struct Lease {
    folder: File,
    seal: Seal,
    digest: [u8; DIGEST_LEN],
}

impl Place {
    /// None where there is no BPF filesystem and none can be mounted, or where it is not ours to use.
    /// `folder` is a name below its root, `object` stands for the programs as they were built, `configuration` for what is set in them.
    pub(super) fn open(folder: &str, object: &str, configuration: &[&[u8]]) -> Option<Self> {
        if sys::effective_uid() != 0 {
            return None;
        }
        let mount = File::open(MOUNT).ok()?;
        let mount = if os::on_bpf_filesystem(mount.as_fd()) {
            mount
        } else {
            sys::mount(None, Path::new(MOUNT), Some(c"bpf"), 0, Some(c"mode=0700")).ok()?;
            File::open(MOUNT).ok()?
        };
        let ours = own_folder(&mount, folder)?;
        let kernel = |name| fs::read("/proc/sys/kernel/".to_owned() + name).ok();
        let (release, build) = (kernel("osrelease")?, kernel("version")?);
        let fixed: [&[u8]; 4] = [FORMAT.as_bytes(), object.as_bytes(), &release, &build];
        let folder = own_folder(&ours, &name_of(&fixed))?;
        Some(Self { folder, configuration: name_of(configuration) })
    }

    /// A set that is whole, empty and free. Those that turn out to be anything else and are nobody's
    /// are removed.
    pub(super) fn lease(&self, programs: &[&str]) -> Option<(Set, Lease)> {
        let mut attached = None;
        for name in names_in(&self.folder) {
            if !name.starts_with(&self.configuration) {
                continue;
            }
            let Some(folder) = existing(&self.folder, &name) else { continue };
            if folder.try_lock().is_err() {
                continue;
            }
            let attached = attached.get_or_insert_with(|| bpf::attached_programs(LINKS_MAX).ok());
            let whole = attached.as_ref().and_then(|attached| take(folder, programs, attached));
            if whole.is_some() {
                return whole;
            }
            remove(&self.folder, &name);
        }
        None
    }

    /// Makes a set out of what was loaded for this run, which has it first. None when there is no
    /// room, or the kernel does not want to; the run does without.
    pub(super) fn keep(
        &self,
        maps: &HashMap<String, BorrowedFd<'_>>,
        programs: &[(&str, BorrowedFd<'_>)],
    ) -> Option<Lease> {
        self.sweep();
        let (name, folder) = (0..SETS_MAX).find_map(|number| {
            let name = format!("{}-{number}", self.configuration);
            make(&self.folder, &name).ok()?;
            Some((name.clone(), existing(&self.folder, &name)?))
        })?;
        // Whoever sweeps in between may have it: then it is being removed.
        folder.try_lock().ok()?;
        let kept = fill(folder, maps, programs);
        if kept.is_err() {
            remove(&self.folder, &name);
        }
        kept.ok()
    }

    /// Removes the sets of other objects and kernels that nobody uses, and makes room.
    fn sweep(&self) {
        let Some(ours) = existing(&self.folder, "..") else { return };
        let here = self.folder.metadata().ok().map(|meta| meta.ino());
        for name in names_in(&ours) {
            let Some(other) = existing(&ours, &name) else { continue };
            if other.metadata().ok().map(|meta| meta.ino()) == here {
                continue;
            }
            for set in names_in(&other) {
                remove_free(&other, &set);
            }
            let _ = fs::remove_dir(below(&ours, &name));
        }
        let mut sets = names_in(&self.folder);
        // Other configurations go first.
        sets.sort_by_key(|name| name.starts_with(&self.configuration));
        let mut left = sets.len();
        for name in sets {
            if left < SETS_MAX {
                break;
            }
            left -= usize::from(remove_free(&self.folder, &name));
        }
    }
}

impl Lease {
    /// Empties the maps and lets others have the set. Nothing may be attached any more and the rings
    /// must have been read to their end; a set that is not given back is of no use to anyone.
    pub(super) fn give_back(mut self, totals_used: u32) {
        let cleared = MAPS.iter().skip(RINGS).try_for_each(|name| {
            let map = bpf::pinned(&path_below(&self.folder, name)?)?;
            clear(map.as_fd(), (*name == "totals").then_some(totals_used))
        });
        if cleared.is_ok() {
            let _ = set_seal(&mut self.seal, self.digest, IDLE);
        }
        // A process forked meanwhile may hold the folder open as well.
        let _ = self.folder.unlock();
    }
}

/// A folder with this name that belongs to nobody but root.
fn own_folder(parent: &File, name: &str) -> Option<File> {
    let made = make(parent, name);
    if made.is_err_and(|error| error.kind() != io::ErrorKind::AlreadyExists) {
        return None;
    }
    existing(parent, name)
}

fn make(parent: &File, name: &str) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(below(parent, name))
}

fn existing(parent: &File, name: &str) -> Option<File> {
    let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let folder =
        OpenOptions::new().read(true).custom_flags(flags).open(below(parent, name)).ok()?;
    let meta = folder.metadata().ok()?;
    let ours = meta.uid() == 0 && meta.mode() & 0o7777 == 0o700;
    (ours && os::on_bpf_filesystem(folder.as_fd())).then_some(folder)
}

/// By the open folder, so that nobody can put another one in its place.
fn below(folder: &File, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{name}", folder.as_raw_fd()))
}

fn path_below(folder: &File, name: &str) -> io::Result<CString> {
    sys::cstring(below(folder, name))
}

fn names_in(folder: &File) -> Vec<String> {
    let entries = fs::read_dir(below(folder, "")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Removes a set unless somebody has it; whether it is gone.
fn remove_free(parent: &File, name: &str) -> bool {
    let Some(folder) = existing(parent, name) else { return false };
    folder.try_lock().is_ok() && remove(parent, name)
}

fn remove(parent: &File, name: &str) -> bool {
    if let Some(folder) = existing(parent, name) {
        for pinned in names_in(&folder) {
            let _ = fs::remove_file(below(&folder, &pinned));
        }
    }
    fs::remove_dir(below(parent, name)).is_ok()
}

/// Sixteen characters that stand for these parts.
fn name_of(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_ne_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Everything of a set, when it is what its seal says and nobody has it attached.
fn take(folder: File, programs: &[&str], attached: &BTreeSet<u32>) -> Option<(Set, Lease)> {
    let seal = bpf::pinned(&path_below(&folder, SEAL).ok()?).ok()?;
    let mut seal = Seal::try_from(Map::Array(MapData::from_fd(seal).ok()?)).ok()?;
    let says = seal.get(&0, 0).ok()?;
    let mut set = Set { maps: HashMap::new(), programs: HashMap::new() };
    let mut facts = Facts::default();
    for name in MAPS {
        let map = bpf::pinned(&path_below(&folder, name).ok()?).ok()?;
        facts.map(name, map.as_fd()).ok()?;
        set.maps.insert(name.to_owned(), MapData::from_fd(map).ok()?);
    }
    for name in programs {
        let Ok(program) = bpf::pinned(&path_below(&folder, name).ok()?) else { continue };
        facts.program(name, program.as_fd()).ok()?;
        set.programs.insert((*name).to_owned(), program);
    }
    let digest = facts.digest();
    if says != sealed(digest, IDLE) || !facts.programs.is_disjoint(attached) {
        return None;
    }
    set_seal(&mut seal, digest, IN_USE).ok()?;
    Some((set, Lease { folder, seal, digest }))
}

fn fill(
    folder: File,
    maps: &HashMap<String, BorrowedFd<'_>>,
    programs: &[(&str, BorrowedFd<'_>)],
) -> io::Result<Lease> {
    let mut facts = Facts::default();
    for name in MAPS {
        let map = maps.get(name).ok_or(io::ErrorKind::NotFound)?;
        facts.map(name, *map)?;
        bpf::pin(*map, &path_below(&folder, name)?)?;
    }
    for (name, program) in programs {
        facts.program(name, *program)?;
        bpf::pin(*program, &path_below(&folder, name)?)?;
    }
    let digest = facts.digest();
    let shape = aya_obj::Map::new_from_params(ARRAY, KEY_LEN, SEAL_LEN_U32, 1, 0);
    let seal = MapData::create(shape, SEAL, None).map_err(io::Error::other)?;
    bpf::pin(seal.fd().as_fd(), &path_below(&folder, SEAL)?)?;
    let mut seal = Seal::try_from(Map::Array(seal)).map_err(io::Error::other)?;
    set_seal(&mut seal, digest, IN_USE)?;
    Ok(Lease { folder, seal, digest })
}

/// What a set consists of, as the kernel tells it.
struct Facts {
    hash: Sha256,
    programs: BTreeSet<u32>,
}

impl Default for Facts {
    fn default() -> Self {
        Self { hash: Sha256::new(), programs: BTreeSet::new() }
    }
}

impl Facts {
    fn map(&mut self, name: &str, map: BorrowedFd<'_>) -> io::Result<()> {
        let info = bpf::map_info(map)?;
        self.hash.update(format!("{name} {info:?}\n"));
        Ok(())
    }

    fn program(&mut self, name: &str, program: BorrowedFd<'_>) -> io::Result<()> {
        let info = bpf::program_info(program)?;
        self.hash.update(format!("{name} {info:?}\n"));
        self.programs.insert(info.id);
        Ok(())
    }

    fn digest(&self) -> [u8; DIGEST_LEN] {
        self.hash.clone().finalize().into()
    }
}

fn sealed(digest: [u8; DIGEST_LEN], state: u8) -> [u8; SEAL_LEN] {
    let mut says = [0; SEAL_LEN];
    says[..DIGEST_LEN].copy_from_slice(&digest);
    says[DIGEST_LEN] = state;
    says
}

fn set_seal(seal: &mut Seal, digest: [u8; DIGEST_LEN], state: u8) -> io::Result<()> {
    seal.set(0, sealed(digest, state), 0).map_err(io::Error::other)
}

/// Empties a map of either kind; `entries` where fewer than all can hold anything.
fn clear(map: BorrowedFd<'_>, entries: Option<u32>) -> io::Result<()> {
    let info = bpf::map_info(map)?;
    let len = |len: u32| usize::try_from(len).map_err(io::Error::other);
    let entries = entries.unwrap_or(info.entries).min(info.entries);
    match info.kind {
        HASH => bpf::clear_hash(map, len(info.key_len)?, info.entries),
        ARRAY => bpf::clear_array(map, entries, len(info.value_len)?),
        PER_CPU_ARRAY => {
            let cpus = aya::util::nr_cpus().map_err(|(_, error)| error)?;
            bpf::clear_array(map, entries, len(info.value_len)?.next_multiple_of(8) * cpus)
        }
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}
