//! The files guests are made of: what `cargo xtask guest` wrote, and a disk with the agent, which is
//! this same program without its debug information and with the libraries it needs.

use std::fs::{self, File};
use std::io::{self, BufReader, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use sandbox::{Net, RunError, Spec};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::elf;
use crate::erofs::{self, Content, Tree};
use crate::root::Busybox;

/// What to do where there is no guest.
pub(crate) const BUILD: &str = "build it with `cargo xtask guest` (it takes Debian's packages \
    linux-image-cloud-amd64 and busybox-static)";
/// The module that the sink's interface needs.
const TUNNEL: &str = "tun";
/// Disks of earlier versions of the program that are kept.
const AGENTS_KEPT: usize = 2;
/// Disks this process has begun to make.
static MADE: AtomicU32 = AtomicU32::new(0);

/// `manifest.json`, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Manifest {
    /// The kernel's release.
    pub kernel: String,
    pub package: String,
    pub vmlinuz_sha256: String,
    pub vmlinux_sha256: String,
    pub initramfs_sha256: String,
    pub busybox_sha256: String,
    /// Names that busybox answers to, with a space between two.
    pub applets: String,
    /// Names of the modules it was built to have, with a space between two; older ones do not say.
    #[serde(default)]
    pub wanted: String,
}

/// A guest's files, checked against their manifest.
#[derive(Debug, Clone)]
pub struct Guest {
    pub folder: PathBuf,
    pub manifest: Manifest,
}

/// Why there is no guest.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NoGuest {
    #[error("there is no guest in {}: {BUILD}", .0.display())]
    NotBuilt(PathBuf),
    #[error("{} of the guest cannot be used ({reason}): {BUILD}", path.display())]
    Damaged { path: PathBuf, reason: String },
}

impl Guest {
    /// Reads the manifest and hashes every file it names.
    ///
    /// # Errors
    /// When something is missing or is not what the manifest says.
    pub fn open(folder: &Path) -> Result<Self, NoGuest> {
        let path = folder.join("manifest.json");
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(NoGuest::NotBuilt(folder.to_owned()));
            }
            Err(error) => return Err(NoGuest::Damaged { path, reason: error.to_string() }),
        };
        let manifest: Manifest = serde_json::from_slice(&text)
            .map_err(|error| NoGuest::Damaged { path, reason: error.to_string() })?;
        let guest = Self { folder: folder.to_owned(), manifest };
        let parts = [
            (guest.vmlinuz(), &guest.manifest.vmlinuz_sha256),
            (guest.initramfs(), &guest.manifest.initramfs_sha256),
            (guest.busybox().file, &guest.manifest.busybox_sha256),
        ];
        for (path, expected) in parts {
            match hash(&path) {
                Ok(found) if found == *expected => {}
                Ok(_) => {
                    let reason = "its SHA-256 is not the manifest's".to_owned();
                    return Err(NoGuest::Damaged { path, reason });
                }
                Err(error) => {
                    return Err(NoGuest::Damaged { path, reason: error.to_string() });
                }
            }
        }
        Ok(guest)
    }

    /// Whether it has what a run asks for.
    ///
    /// # Errors
    /// When it was built before guests could do that.
    pub(crate) fn can(&self, spec: &Spec) -> Result<(), RunError> {
        let tunnel = self.manifest.wanted.split(' ').any(|module| module == TUNNEL);
        if spec.net == Net::Sink && !tunnel {
            let folder = self.folder.display();
            let reason = format!(
                "the guest in {folder} was built without the module {TUNNEL}, which --net sink needs: \
                 {BUILD}"
            );
            return Err(RunError::Refused { reason });
        }
        Ok(())
    }

    #[must_use]
    pub fn vmlinuz(&self) -> PathBuf {
        self.folder.join("vmlinuz")
    }

    /// The uncompressed kernel, for Firecracker.
    #[must_use]
    pub fn vmlinux(&self) -> PathBuf {
        self.folder.join("vmlinux")
    }

    #[must_use]
    pub fn initramfs(&self) -> PathBuf {
        self.folder.join("initramfs")
    }

    pub(crate) fn busybox(&self) -> Busybox {
        Busybox {
            file: self.folder.join("busybox"),
            applets: self.manifest.applets.split(' ').map(str::to_owned).collect(),
        }
    }

    /// The agent's disk, made now where this version of the program has none.
    ///
    /// # Errors
    /// When the program or a library cannot be read, or the disk cannot be written.
    pub fn agent(&self, program: &Path) -> io::Result<Agent> {
        let folder = self.folder.join("agents");
        let files = agent_files(program)?;
        let name = key(&files)?;
        let disk = folder.join(format!("{name}.erofs"));
        let about = folder.join(format!("{name}.json"));
        // Opened here: another version of the program may remove it at any time.
        if let Ok(text) = fs::read(&about)
            && let Ok(known) = serde_json::from_slice::<About>(&text)
            && let Ok(disk) = File::open(&disk)
        {
            return Ok(Agent { disk, sha256: known.sha256 });
        }
        fs::create_dir_all(&folder)?;
        let (tree, sha256) = agent_tree(&files)?;
        // Many may make the same at once, threads of one process among them.
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let new = |kind| folder.join(format!(".{name}-{kind}{number}-{}.new", std::process::id()));
        let (new_disk, new_about) = (new("d"), new("a"));
        let text = serde_json::to_vec(&About { sha256: sha256.clone() }).map_err(io::Error::other);
        let made = write_disk(&tree, &new_disk).and_then(|made| {
            fs::write(&new_about, text?)?;
            fs::rename(&new_disk, &disk)?;
            fs::rename(&new_about, &about)?;
            Ok(made)
        });
        let made = made.inspect_err(|_| {
            let _ = fs::remove_file(&new_disk);
            let _ = fs::remove_file(&new_about);
        })?;
        forget_old(&folder);
        Ok(Agent { disk: made, sha256 })
    }
}

fn write_disk(tree: &Tree, path: &Path) -> io::Result<File> {
    let mut out = io::BufWriter::with_capacity(1 << 20, File::create(path)?);
    erofs::write(tree, &mut out)?;
    out.flush()?;
    File::open(path)
}

/// A disk with the agent.
#[derive(Debug)]
pub struct Agent {
    /// Open for reading; its name may be gone.
    pub disk: File,
    /// Of the program on it.
    pub sha256: String,
}

#[derive(Serialize, Deserialize)]
struct About {
    sha256: String,
}

/// The program and what it loads.
struct AgentFiles {
    program: PathBuf,
    /// Bytes of it that are ever loaded.
    program_bytes: u64,
    loader: Option<PathBuf>,
    libraries: Vec<PathBuf>,
}

fn agent_files(program: &Path) -> io::Result<AgentFiles> {
    let program = program.canonicalize()?;
    let needs = elf::needs(&program)?.ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{} is no program", program.display()))
    })?;
    let loader = needs.interpreter.as_ref().map(PathBuf::from);
    let mut libraries: Vec<PathBuf> = Vec::new();
    let mut wanted = needs.libraries;
    while let Some(name) = wanted.pop() {
        if libraries.iter().any(|path| path.file_name().is_some_and(|own| own == name.as_str())) {
            continue;
        }
        let found = elf::FOLDERS.iter().map(|folder| Path::new(folder).join(&name));
        let path = found.into_iter().find(|path| path.is_file()).ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("library {name} of the program"))
        })?;
        if let Some(needs) = elf::needs(&path)? {
            wanted.extend(needs.libraries);
        }
        libraries.push(path);
    }
    libraries.sort();
    Ok(AgentFiles { program, program_bytes: needs.loaded_bytes, loader, libraries })
}

/// Names a set of files by where they are and when they were changed: their bytes are only read to
/// make a disk of them.
fn key(files: &AgentFiles) -> io::Result<String> {
    let mut hash = Sha256::new();
    for path in files.libraries.iter().chain(&files.loader).chain([&files.program]) {
        let meta = fs::metadata(path)?;
        let times = (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec());
        let about = (path.display(), meta.dev(), meta.ino(), meta.len(), times);
        hash.update(format!("{about:?}"));
    }
    let mut name = hex(&hash.finalize());
    name.truncate(16);
    Ok(name)
}

fn agent_tree(files: &AgentFiles) -> io::Result<(Tree, String)> {
    let mut tree = Tree::default();
    let placed = |error: erofs::TreeError| io::Error::other(error.to_string());
    let file = |path: &Path, size: u64| Content::File { file: path.to_owned(), size, mtime_s: 0 };
    let whole = |path: &Path| fs::metadata(path).map(|meta| file(path, meta.len()));
    tree.file("/shieldx", 0o755, file(&files.program, files.program_bytes)).map_err(placed)?;
    if let Some(loader) = &files.loader {
        tree.file("/loader", 0o755, whole(loader)?).map_err(placed)?;
    }
    for library in &files.libraries {
        let name = library.file_name().unwrap_or_default();
        tree.file(Path::new("/lib").join(name), 0o755, whole(library)?).map_err(placed)?;
    }
    let program = File::open(&files.program)?.take(files.program_bytes);
    Ok((tree, hash_of(program)?))
}

/// Removes disks of other versions but the newest.
fn forget_old(folder: &Path) {
    let mut disks: Vec<(std::time::SystemTime, PathBuf)> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|kind| kind == "erofs"))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    disks.sort();
    let excess = disks.len().saturating_sub(AGENTS_KEPT);
    for (_, disk) in disks.iter().take(excess) {
        let _ = fs::remove_file(disk.with_extension("json"));
        let _ = fs::remove_file(disk);
    }
}

/// Removes what a build of a disk that was killed left behind.
pub(crate) fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder.join("agents")).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| name.starts_with('.')) else { continue };
        let owner = name.strip_suffix(".new").and_then(|name| name.rsplit('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn hash(path: &Path) -> io::Result<String> {
    hash_of(File::open(path)?)
}

fn hash_of(source: impl io::Read) -> io::Result<String> {
    let mut source = BufReader::with_capacity(1 << 20, source);
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = source.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(buffer.get(..read).unwrap_or_default());
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::{Guest, NoGuest};

    #[test]
    fn a_folder_without_a_guest_says_how_to_build_one() {
        let dir = tempfile::tempdir().unwrap();
        let error = Guest::open(dir.path()).unwrap_err();
        assert!(matches!(error, NoGuest::NotBuilt(_)));
        assert!(error.to_string().contains("cargo xtask guest"));
    }

    #[test]
    fn files_that_are_not_the_manifests_are_not_booted() {
        let dir = tempfile::tempdir().unwrap();
        let zero = "0".repeat(64);
        let manifest = serde_json::json!({
            "kernel": "6.1", "package": "p", "applets": "cat ls", "vmlinuz_sha256": zero,
            "vmlinux_sha256": zero, "initramfs_sha256": zero, "busybox_sha256": zero,
        });
        std::fs::write(dir.path().join("manifest.json"), manifest.to_string()).unwrap();
        std::fs::write(dir.path().join("vmlinuz"), "x").unwrap();
        let error = Guest::open(dir.path()).unwrap_err();
        assert!(error.to_string().contains("SHA-256"), "{error}");
    }
}
