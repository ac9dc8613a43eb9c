//! What a command sees in a guest: the program it runs with everything that needs, and no more of
//! the host.
//!
//! The guest is the hostile side, so it gets no window to the host's files: what it may see is
//! packed into an image before it starts. From a host's root that is the program with its loader
//! and libraries, the library trees of known interpreters, programs of PATH that the command or its
//! script names, the working folder and what was mounted; busybox is behind every other common
//! name. A folder or tar file given as root is packed whole.

mod gather;
mod host;
mod languages;
mod script;

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sandbox::{Root, RunError, Spec, Stdin};

use crate::erofs::{Content, Tree, TreeError};
use gather::Gather;

/// Bytes of files in one image, at most.
pub(crate) const IMAGE_MAX_BYTES: u64 = 8 << 30;
/// A working folder is packed up to this; a larger one is left out and the report says so.
const CWD_MAX_BYTES: u64 = 1 << 30;
/// A tool folder with the program in it is packed whole, up to this.
const TOOL_MAX_BYTES: u64 = 4 << 30;
/// In the image: what the command's root is made of, and beside it what the agent needs.
const ROOT: &str = "/root";
pub(crate) const BESIDE: &str = "/beside";
pub(crate) const TAR: &str = "root.tar";
pub(crate) const OCI: &str = "oci";
pub(crate) const LAYERS: &str = "layers";
pub(crate) const COPIES: &str = "copies";
pub(crate) const MOUNTS: &str = "mounts";
pub(crate) const STDIN: &str = "stdin";
/// What is taken from the caller's standard input for a guest.
const STDIN_MAX_BYTES: u64 = 64 << 20;

/// An image's content, and what the report should say of it.
#[derive(Debug)]
pub(crate) struct Packed {
    pub tree: Tree,
    /// One sentence for each thing that is not as on the host.
    pub notes: Vec<String>,
    /// Those of the spec's tools that are in it.
    pub tools: Vec<PathBuf>,
}

/// Decides on everything the guest's disk holds.
///
/// # Errors
/// When what the spec asks for cannot be given to a guest, or a file of it cannot be read.
pub(crate) fn pack(spec: &Spec, busybox: &Busybox) -> Result<Packed, RunError> {
    refuse(spec)?;
    let mut gather = Gather::new(spec, ROOT);
    match &spec.root {
        Root::Host => parts_of_host(spec, &mut gather)?,
        Root::Folder(folder) => gather.whole(folder, Path::new("/"), IMAGE_MAX_BYTES)?,
        // Unpacked inside the guest, where a hostile archive meets nothing of this host.
        Root::Tar(file) => gather.beside(file, TAR)?,
        Root::Oci(folder, _) => gather.beside(folder, OCI)?,
        Root::Image(name) => {
            return Err(refused(format!("image {name} is Docker's: use --runner docker")));
        }
    }
    for (index, layer) in spec.layers.iter().enumerate() {
        gather.beside(layer, &format!("{LAYERS}/{index}"))?;
    }
    for (index, mount) in spec.mounts.iter().enumerate() {
        // Mounted inside: what each run covers anew, and a root that is unpacked there, hold nothing
        // of what lies in the image at the same place.
        gather.beside(&mount.source, &format!("{MOUNTS}/{index}"))?;
    }
    skeleton(spec, &mut gather)?;
    if spec.root == Root::Host {
        busybox.install(&mut gather)?;
    }
    for (index, copied) in spec.copies.iter().enumerate() {
        gather.beside(&copied.source, &format!("{COPIES}/{index}"))?;
    }
    if spec.stdin == Stdin::Inherit {
        gather.put_beside(STDIN, Content::Bytes(read_stdin()?))?;
    }
    let tools = spec.tools.iter().filter(|tool| gather.has(tool)).cloned().collect();
    let (tree, mut notes) = gather.finish();
    if tree.bytes() > IMAGE_MAX_BYTES {
        return Err(refused(format!(
            "the guest's disk would hold {} bytes; at most {IMAGE_MAX_BYTES} are packed",
            tree.bytes()
        )));
    }
    notes.sort();
    notes.dedup();
    Ok(Packed { tree, notes, tools })
}

/// What a guest cannot have by design.
fn refuse(spec: &Spec) -> Result<(), RunError> {
    if let Some(mount) = spec.mounts.iter().find(|mount| mount.writable) {
        return Err(refused(format!(
            "a guest shares no folder with this host, so {} cannot be writable in it: --keep DIR \
             hands out what the command writes, and --runner process shares the folder",
            mount.target.display()
        )));
    }
    if spec.artifacts.cores.is_some() {
        return Err(refused("a guest hands no core files out: --cores is for --runner process"));
    }
    if spec.net == sandbox::Net::Allow {
        return Err(refused(
            "a guest has no network device, so nothing can be allowed through: --net sink answers \
             inside the guest, and --runner process allows peers",
        ));
    }
    Ok(())
}

/// All of standard input: a guest has no line to it while it runs.
fn read_stdin() -> Result<Vec<u8>, RunError> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    io::stdin()
        .take(STDIN_MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| setup("read standard input", source))?;
    if bytes.len() as u64 > STDIN_MAX_BYTES {
        return Err(refused(format!(
            "standard input is longer than {STDIN_MAX_BYTES} bytes, the most a guest is given"
        )));
    }
    Ok(bytes)
}

/// The program's file on this host, where it is copied or mounted into the guest.
fn given_program(spec: &Spec) -> Option<PathBuf> {
    let copied = spec.copies.iter().find(|copied| copied.target == spec.program);
    let mounted = || {
        let inside = |mount: &&sandbox::Mount| spec.program.starts_with(&mount.target);
        let mount =
            spec.mounts.iter().filter(inside).max_by_key(|mount| mount.target.as_os_str().len())?;
        let below = spec.program.strip_prefix(&mount.target).ok()?;
        // Joined to nothing, a path would end in a slash.
        let whole = below.as_os_str().is_empty();
        Some(if whole { mount.source.clone() } else { mount.source.join(below) })
    };
    copied.map(|copied| copied.source.clone()).or_else(mounted)
}

/// The parts of the host's root that this command needs.
fn parts_of_host(spec: &Spec, gather: &mut Gather<'_>) -> Result<(), RunError> {
    for link in ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"] {
        if let Ok(target) = std::fs::read_link(link) {
            gather.link(Path::new(link), &target)?;
        }
    }
    for file in ["/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/localtime", "/etc/mime.types"] {
        gather.optional(Path::new(file));
    }
    let given = given_program(spec);
    let program = given.as_deref().unwrap_or(&spec.program);
    if given.is_some() {
        gather.needs_of(program, 0);
    } else {
        gather.program(program, 0)?;
    }
    for shell in ["/bin/sh", "/usr/bin/env"] {
        gather.optional(Path::new(shell));
    }
    let searched = script::search_path(spec);
    for text in script::texts(spec) {
        for word in script::words(&text) {
            gather.named(&word, &searched);
        }
    }
    for tool in spec.tools.iter().filter(|tool| tool.is_file()) {
        gather.optional(tool);
    }
    if let Some(tool) = spec.tools.iter().find(|tool| tool.is_dir() && program.starts_with(tool)) {
        gather.tool(tool, TOOL_MAX_BYTES)?;
    }
    if !spec.cwd_is_new && gather.may_pack_cwd() {
        gather.working_folder(CWD_MAX_BYTES)?;
    }
    Ok(())
}

/// Folders that must be there to be mounted on, and who lives here.
fn skeleton(spec: &Spec, gather: &mut Gather<'_>) -> Result<(), RunError> {
    let folders = [
        ("/dev", 0o755),
        ("/etc", 0o755),
        ("/home", 0o755),
        ("/proc", 0o555),
        ("/root", 0o700),
        ("/run", 0o755),
        ("/sys", 0o555),
        ("/tmp", 0o1777),
        ("/var/tmp", 0o1777),
    ];
    for (folder, mode) in folders {
        gather.folder(Path::new(folder), mode);
    }
    if !spec.cwd_is_new {
        gather.folder(&spec.cwd, 0o755);
    }
    let files: [(&str, &str); 5] = [
        (
            "/etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
        ),
        ("/etc/group", "root:x:0:\nnogroup:x:65534:\n"),
        ("/etc/hostname", "localhost\n"),
        ("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
        ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
    ];
    for (path, text) in files {
        gather.bytes(Path::new(path), 0o644, text.as_bytes())?;
    }
    Ok(())
}

/// The static busybox that stands in for common programs, and the names it answers to.
#[derive(Debug, Clone)]
pub(crate) struct Busybox {
    pub file: PathBuf,
    pub applets: Vec<String>,
}

impl Busybox {
    /// Adds it behind every name of its own that nothing better has.
    fn install(&self, gather: &mut Gather<'_>) -> Result<(), RunError> {
        let content = gather::content(&self.file)
            .map_err(|source| setup(format!("read {}", self.file.display()), source))?;
        gather.put(Path::new("/usr/lib/shieldx/busybox"), 0o755, content)?;
        let target = Path::new("/usr/lib/shieldx/busybox");
        for applet in &self.applets {
            let name = Path::new(OsStr::from_bytes(applet.as_bytes()));
            if name.components().count() != 1 {
                continue;
            }
            let taken = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"]
                .iter()
                .any(|folder| gather.has(&Path::new(folder).join(name)));
            if !taken {
                gather.link(&Path::new("/usr/bin").join(name), target)?;
            }
        }
        Ok(())
    }
}

pub(crate) fn refused(reason: impl Into<String>) -> RunError {
    RunError::Refused { reason: reason.into() }
}

pub(crate) fn setup(step: impl Into<String>, source: io::Error) -> RunError {
    RunError::Setup { step: step.into(), source }
}

pub(crate) fn placed(error: &TreeError) -> RunError {
    refused(error.to_string())
}

/// Whether everybody may read a file: a guest gets nothing that the command's user could not read
/// on the host.
fn readable_by_all(meta: &std::fs::Metadata) -> bool {
    meta.permissions().mode() & 0o004 != 0
}

/// The permission bits of a file, without set-user-id.
fn mode(meta: &std::fs::Metadata) -> u16 {
    u16::try_from(meta.permissions().mode() & 0o1777).unwrap_or(0o644)
}

fn mtime(meta: &std::fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    u64::try_from(meta.mtime()).unwrap_or(0)
}

/// Needed only to read files of the host in [`gather`].
fn regular(path: &Path) -> io::Result<Content> {
    let meta = std::fs::metadata(path)?;
    if !meta.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(Content::File { file: path.to_owned(), size: meta.len(), mtime_s: mtime(&meta) })
}
