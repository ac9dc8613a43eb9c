//! The walls around a virtual machine monitor: if a guest breaks out of its machine, it is an
//! unprivileged user of nobody's, in a root with the monitor's own files, without a network, without
//! a way to start anything, that ends when we do.
//!
//! What needs root is left out for an ordinary user, and said.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use rustix::fs::{Mode, OFlags, mkdir, open, symlink};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive,
    mount_change, mount_remount, unmount,
};
use rustix::process::{
    DumpableBehavior, Gid, Pid, Resource, Rlimit, Signal, Uid, chdir, geteuid, getpid, getppid,
    pivot_root, set_dumpable_behavior, set_parent_process_death_signal, setrlimit,
};
use rustix::thread::{
    UnshareFlags, set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
    unshare_unsafe,
};

/// Descriptors handed over get the numbers from here on.
const FIRST_NUMBER: RawFd = 100;
/// User ids of monitors: as far from people and services as those of runs are, and elsewhere.
const UID_FIRST: u32 = 0x7000_0000;
const UIDS: u32 = 0x0040_0000;
const FILES_MAX: u64 = 1024;
/// The new root is built over this folder.
const STAGE: &CStr = c"/tmp";

/// The walls that stand, in words, and those that do not.
#[derive(Debug, Clone, Default)]
pub struct Walls {
    pub standing: Vec<String>,
    pub missing: Vec<String>,
}

/// One step in building the root, with everything it needs made before the fork.
#[derive(Debug)]
enum Step {
    Folder(CString),
    Link(CString, CString),
    /// A file of the host, on an empty file.
    File(CString, CString),
    Tree(CString, CString),
    /// A folder that the monitor may write to.
    Shared(CString, CString),
}

#[derive(Debug)]
pub struct Jail {
    root: bool,
    steps: Vec<Step>,
}

fn c(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap_or_default()
}

impl Jail {
    /// Decides on a root with the monitor's program and these files under other names.
    #[must_use]
    pub fn new(program: &Path, files: &[(&Path, &str)]) -> Self {
        let root = geteuid().is_root();
        let inside = |path: &str| c(Path::new(&format!("/tmp/{}", path.trim_start_matches('/'))));
        let mut steps = Vec::new();
        for folder in ["usr", "dev", "guest", "tmp"] {
            steps.push(Step::Folder(inside(folder)));
        }
        steps.push(Step::Tree(c"/usr".to_owned(), inside("usr")));
        for name in ["bin", "sbin", "lib", "lib32", "lib64"] {
            let path = PathBuf::from(format!("/{name}"));
            if let Ok(target) = std::fs::read_link(&path) {
                steps.push(Step::Link(c(&target), inside(name)));
            } else if path.is_dir() {
                steps.push(Step::Folder(inside(name)));
                steps.push(Step::Tree(c(&path), inside(name)));
            }
        }
        let own = program.canonicalize().unwrap_or_else(|_| program.to_owned());
        if !own.starts_with("/usr") && !own.starts_with("/bin") {
            // A monitor in a folder of its own; its parents are made, its folder is shown.
            let folder = own.parent().unwrap_or(Path::new("/")).to_owned();
            let mut at = PathBuf::from("/tmp");
            for part in folder.components().skip(1) {
                at.push(part);
                steps.push(Step::Folder(c(&at)));
            }
            steps.push(Step::Tree(c(&folder), c(&at)));
        }
        for device in ["null", "zero", "urandom", "random", "kvm"] {
            let path = Path::new("/dev").join(device);
            if path.exists() {
                steps.push(Step::File(c(&path), inside(&format!("dev/{device}"))));
            }
        }
        for (file, name) in files {
            steps.push(Step::File(c(file), inside(name)));
        }
        Self { root, steps }
    }

    /// The user the monitor will be, for files it must own; absent where it stays this user.
    #[must_use]
    pub fn user(&self) -> Option<u32> {
        self.root.then(|| UID_FIRST + std::process::id() % UIDS)
    }

    /// Also shows a folder, writable, as `name`.
    pub fn share(&mut self, folder: &Path, name: &str) {
        let inside = c(Path::new(&format!("/tmp/{}", name.trim_start_matches('/'))));
        self.steps.push(Step::Folder(inside.clone()));
        self.steps.push(Step::Shared(c(folder), inside));
    }

    /// Whether files go by the names they were given.
    #[must_use]
    pub fn names(&self) -> bool {
        self.root
    }

    /// The number that inherited descriptor `index` has in the monitor.
    #[must_use]
    pub fn number(index: usize) -> RawFd {
        FIRST_NUMBER + RawFd::try_from(index).unwrap_or(0)
    }

    /// Starts the monitor behind the walls, with `memory_bytes` of address space at most.
    ///
    /// # Errors
    /// When a wall that this user can build fails, or the program cannot be started.
    pub fn start(
        self,
        mut command: Command,
        inherited: &[OwnedFd],
        memory_bytes: u64,
        kvm: bool,
    ) -> io::Result<(Child, Walls)> {
        let walls = self.walls();
        let user = self.user();
        let numbers: Vec<RawFd> = inherited.iter().map(OwnedFd::as_raw_fd).collect();
        let group = kvm.then(|| gid_of("/dev/kvm")).flatten();
        let parent = getpid();
        let enter = move || {
            if self.root {
                self.build()?;
            }
            limits(memory_bytes)?;
            hand_over(&numbers)?;
            if let Some(uid) = user {
                drop_user(uid, group)?;
            }
            set_no_new_privs(true)?;
            stay_with(parent)
        };
        // SAFETY: `enter` runs in the child between fork and exec. It allocates nothing and takes no
        // lock: every path was made before, every call is a plain system call through rustix, and
        // its errors are numbers.
        #[expect(unsafe_code, reason = "only the child itself can build its walls")]
        let command = unsafe { command.pre_exec(enter) };
        Ok((command.spawn()?, walls))
    }

    /// Starts a monitor whose own jailer builds the walls: it needs this user's rights for that, and
    /// only ends with its parent.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start_bare(self, mut command: Command) -> io::Result<(Child, Walls)> {
        let parent = getpid();
        let enter = move || stay_with(parent);
        // SAFETY: `enter` runs in the child between fork and exec; it is two system calls and
        // allocates nothing.
        #[expect(unsafe_code, reason = "only the child itself can tie its life to its parent's")]
        let command = unsafe { command.pre_exec(enter) };
        let standing = vec!["Firecracker's jailer and seccomp filter".to_owned()];
        Ok((command.spawn()?, Walls { standing, missing: Vec::new() }))
    }

    fn walls(&self) -> Walls {
        let mut walls = Walls::default();
        let rest =
            "QEMU's own seccomp filter without spawning, no new privileges, ends with its parent";
        if self.root {
            walls
                .standing
                .push(format!("a user of its own, a root with its own files, no network, {rest}"));
        } else {
            walls.standing.push(rest.to_owned());
            walls.missing.push(
                "it runs as this user in this user's root: only root can give it one of its own"
                    .to_owned(),
            );
        }
        walls
    }

    /// In the child: namespaces and the new root.
    fn build(&self) -> io::Result<()> {
        let flags = UnshareFlags::NEWNS
            | UnshareFlags::NEWNET
            | UnshareFlags::NEWIPC
            | UnshareFlags::NEWUTS;
        // SAFETY: the child has one thread, so nothing shares what is unshared; the file descriptor
        // table is not among the flags.
        #[expect(unsafe_code, reason = "rustix marks unshare(2) unsafe for CLONE_FILES")]
        unsafe { unshare_unsafe(flags) }?;
        mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        // Bound into place before the stage covers /tmp, where the guest's files may be.
        let mut held: [Option<OwnedFd>; 16] = [const { None }; 16];
        let sources = self.steps.iter().filter_map(|step| match step {
            Step::File(from, _) | Step::Shared(from, _) => Some(from),
            _ => None,
        });
        for (slot, from) in held.iter_mut().zip(sources) {
            *slot = Some(open(from, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?);
        }
        mount(c"jail", STAGE, c"tmpfs", flags, Some(c"size=1m,mode=0755"))?;
        let mut files = held.iter();
        for step in &self.steps {
            step.take(&mut files)?;
        }
        chdir(STAGE)?;
        pivot_root(c".", c".")?;
        unmount(c".", UnmountFlags::DETACH)?;
        mount_remount(c"/", flags | MountFlags::RDONLY, c"")?;
        chdir(c"/")?;
        Ok(())
    }
}

impl Step {
    fn take<'a>(&self, files: &mut impl Iterator<Item = &'a Option<OwnedFd>>) -> io::Result<()> {
        match self {
            Step::Folder(path) => match mkdir(path, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            },
            Step::Link(target, path) => symlink(target, path)?,
            Step::Tree(from, to) => {
                mount_bind_recursive(from, to)?;
                let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID;
                mount_remount(to, flags | MountFlags::NODEV, c"")?;
            }
            Step::Shared(_, to) => {
                let Some(Some(folder)) = files.next() else { return Ok(()) };
                let mut buffer = [0; 32];
                mount_bind(descriptor_path(folder.as_raw_fd(), &mut buffer), to)?;
            }
            Step::File(_, to) => {
                let Some(Some(file)) = files.next() else { return Ok(()) };
                let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
                drop(open(to, flags, Mode::from_raw_mode(0o644))?);
                let mut buffer = [0; 32];
                mount_bind(descriptor_path(file.as_raw_fd(), &mut buffer), to)?;
            }
        }
        Ok(())
    }
}

/// `/proc/self/fd/N`, without allocating.
fn descriptor_path(number: RawFd, buffer: &mut [u8; 32]) -> &CStr {
    use std::io::Write as _;
    let mut rest = buffer.as_mut_slice();
    let _ = write!(rest, "/proc/self/fd/{number}\0");
    CStr::from_bytes_until_nul(buffer).unwrap_or_default()
}

/// Gives each descriptor its number and lets it pass the exec.
fn hand_over(numbers: &[RawFd]) -> io::Result<()> {
    for (index, &number) in numbers.iter().enumerate() {
        // Above all of ours first, so that no number is taken while it is still needed.
        duplicate(number, Jail::number(index))?;
    }
    Ok(())
}

fn duplicate(from: RawFd, to: RawFd) -> io::Result<()> {
    // SAFETY: dup2(2) takes two numbers and no memory. `from` is open: its owner outlives the spawn.
    // `to` is no descriptor that Rust owns in this child, which only goes on to exec.
    #[expect(unsafe_code, reason = "rustix cannot name a descriptor that is not open yet")]
    let result = unsafe { libc::dup2(from, to) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn limits(memory_bytes: u64) -> io::Result<()> {
    let limit = |value| Rlimit { current: Some(value), maximum: Some(value) };
    setrlimit(Resource::Core, limit(0))?;
    setrlimit(Resource::Nofile, limit(FILES_MAX))?;
    setrlimit(Resource::Fsize, limit(0))?;
    // Translated code takes address space beside the guest's memory.
    setrlimit(Resource::As, limit(memory_bytes.saturating_add(2 << 30)))?;
    Ok(())
}

fn drop_user(uid: u32, group: Option<u32>) -> io::Result<()> {
    let (user, own) = (Uid::from_raw(uid), Gid::from_raw(uid));
    match group {
        Some(group) => set_thread_groups(&[Gid::from_raw(group)])?,
        None => set_thread_groups(&[])?,
    }
    set_thread_res_gid(own, own, own)?;
    set_thread_res_uid(user, user, user)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Ends when the thread that started it does; at once when that has happened already. Last of all:
/// a change of user takes the wish back (`prctl(2)`).
fn stay_with(parent: Pid) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() == Some(parent) { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::ESRCH)) }
}

fn gid_of(path: &str) -> Option<u32> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(path).ok().map(|meta| meta.gid())
}
