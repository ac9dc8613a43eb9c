//! Starts one Firecracker: its folder, its process, the exchange, the wires.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::api::{self, Description};
use crate::vmm::jail::{Jail, Walls};
use crate::vmm::{Vmm, Wires};
use crate::wire::{STDERR_PORT, STDOUT_PORT, TALK_PORT, VSOCK_WORD};

/// From start to a socket that answers.
const SOCKET_MAX: Duration = Duration::from_secs(5);
/// From `InstanceStart` to the agent's three connections.
const DIAL_MAX: Duration = Duration::from_secs(20);
const TICK: Duration = Duration::from_millis(5);
/// Folders of runs start like this; the number of the process that made one follows.
const PREFIX: &str = "fc-";
/// What Firecracker takes for itself beside the guest's memory.
const OWN_BYTES: u64 = 256 << 20;
/// As for QEMU; `pci=off` and the serial line are what Firecracker's own guides use.
const BOOT_ARGS: &str = "console=ttyS0 loglevel=4 panic=-1 reboot=k pci=off random.trust_cpu=on \
    lsm=landlock,lockdown,yama,integrity,bpf";

/// Firecracker's programs.
#[derive(Debug, Clone)]
pub struct Programs {
    pub firecracker: PathBuf,
    pub jailer: Option<PathBuf>,
    pub version: String,
}

/// What to start.
#[derive(Debug)]
pub struct Machine<'a> {
    /// Letters, digits and hyphens, 64 at most: the jailer's rule.
    pub id: &'a str,
    pub kernel: PathBuf,
    pub initramfs: PathBuf,
    pub memory_mib: u64,
    /// Read-only disks: open files, which are linked or copied into the run's folder.
    pub disks: Vec<File>,
    pub word: Option<&'a str>,
    /// Where the run's folder is made: on the file system of the guest's files.
    pub folder: &'a Path,
}

/// A started guest; its folder goes when it is dropped.
#[derive(Debug)]
pub struct Running {
    // Dropped in this order: the monitor ends before its folder goes.
    pub vmm: Vmm,
    /// Absent for a guest that does not talk.
    pub wires: Option<Wires>,
    pub folder: Folder,
}

/// The run's folder; removed when dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Machine<'_> {
    /// Starts the monitor, makes the calls and, when it `talks`, waits for the guest's wires.
    ///
    /// # Errors
    /// When a file cannot be laid out, the monitor does not start or refuses a call, or the guest
    /// does not dial.
    pub fn start(self, programs: &Programs, talks: bool) -> io::Result<(Running, Walls)> {
        let base = self.folder.join(format!("{PREFIX}{}-{}", std::process::id(), self.id));
        fs::create_dir(&base)?;
        let folder = Folder(base);
        let place = Place::of(&folder.0, programs, self.id);
        fs::create_dir_all(&place.root)?;
        lay(&self.kernel, &place.root.join("vmlinux"))?;
        lay(&self.initramfs, &place.root.join("initramfs"))?;
        let mut disks = Vec::new();
        for (index, disk) in self.disks.into_iter().enumerate() {
            let name = format!("disk{}", index + 1);
            let mut disk = disk;
            io::copy(&mut disk, &mut File::create(place.root.join(&name))?)?;
            disks.push(place.inside(&name));
        }
        let mut jail = Jail::new(&programs.firecracker, &[]);
        let user = jail.user();
        hand_over(&place.root, user)?;
        let listeners = if talks { Some(Listeners::bind(&place.root, user)?) } else { None };
        let (console, console_theirs) = UnixStream::pair()?;
        let command = command(programs, &place, self.id, user, &console_theirs)?;
        let limit = (self.memory_mib << 20) + OWN_BYTES;
        let (child, walls) = if programs.jailer.is_some() && user.is_some() {
            jail.start_bare(command)?
        } else {
            if user.is_some() {
                jail.share(&place.root, Place::SHARED);
            }
            jail.start(command, &[], limit, true)?
        };
        drop(console_theirs);
        let mut vmm = Vmm::new(child, console)?;
        let socket = place.root.join("api.sock");
        wait_for(&socket, &mut vmm)?;
        let args = self.word.map_or_else(
            || format!("{BOOT_ARGS} {VSOCK_WORD}"),
            |word| format!("{BOOT_ARGS} {word}"),
        );
        let description = Description {
            kernel: place.inside("vmlinux"),
            initramfs: place.inside("initramfs"),
            boot_args: args,
            memory_mib: self.memory_mib,
            disks,
            vsock: talks.then(|| place.inside("vsock")),
        };
        for call in api::exchange(&description) {
            api::put(&socket, &call)?;
        }
        let wires = listeners.map(|listeners| listeners.accept(&mut vmm)).transpose()?;
        Ok((Running { vmm, wires, folder }, walls))
    }
}

/// Where a run's files are, for us and for the monitor.
struct Place {
    root: PathBuf,
    /// What `root` is called by the monitor.
    prefix: String,
    /// `--chroot-base-dir`, with a jailer.
    base: PathBuf,
}

impl Place {
    const SHARED: &'static str = "/vm";

    fn of(folder: &Path, programs: &Programs, id: &str) -> Self {
        let root_user = rustix::process::geteuid().is_root();
        let name = programs.firecracker.file_name().unwrap_or_default();
        let base = folder.to_owned();
        match (&programs.jailer, root_user) {
            // The jailer's rule: <base>/<program>/<id>/root.
            (Some(_), true) => {
                Self { root: folder.join(name).join(id).join("root"), prefix: String::new(), base }
            }
            (None, true) => Self { root: folder.join("vm"), prefix: Self::SHARED.to_owned(), base },
            (_, false) => {
                let root = folder.join("vm");
                Self { prefix: root.display().to_string(), root, base }
            }
        }
    }

    fn inside(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }
}

/// The monitor's command line, by itself or through its jailer.
fn command(
    programs: &Programs,
    place: &Place,
    id: &str,
    user: Option<u32>,
    console: &UnixStream,
) -> io::Result<Command> {
    let mut command = match (&programs.jailer, user) {
        (Some(jailer), Some(user)) => {
            let mut command = Command::new(jailer);
            let user = user.to_string();
            command.args(["--id", id, "--uid", &user, "--gid", &user, "--exec-file"]);
            command.arg(&programs.firecracker);
            command.arg("--chroot-base-dir").arg(&place.base);
            command.args(["--resource-limit", "fsize=0", "--resource-limit", "no-file=256", "--"]);
            command
        }
        _ => Command::new(&programs.firecracker),
    };
    command.args(["--id", id, "--api-sock", &place.inside("api.sock"), "--level", "Error"]);
    command.env_clear().stdin(Stdio::null());
    command.stdout(OwnedFd::from(console.try_clone()?));
    command.stderr(OwnedFd::from(console.try_clone()?));
    Ok(command)
}

/// The same file under another name where that is possible, else a copy.
fn lay(file: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(file, to).or_else(|_| fs::copy(file, to).map(drop))
}

/// The folder belongs to the monitor: it makes its sockets there. Files stay ours, and readable.
fn hand_over(folder: &Path, user: Option<u32>) -> io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    match user {
        Some(user) => std::os::unix::fs::chown(folder, Some(user), Some(user)),
        None => Ok(()),
    }
}

fn wait_for(socket: &Path, vmm: &mut Vmm) -> io::Result<()> {
    let start = Instant::now();
    loop {
        if UnixStream::connect(socket).is_ok() {
            return Ok(());
        }
        if vmm.ended() || start.elapsed() > SOCKET_MAX {
            let said = vmm.last_line();
            let text = format!("its API socket does not answer; it said: {said}");
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        std::thread::sleep(TICK);
    }
}

/// Firecracker connects to `<uds_path>_<port>` when the guest dials that port of the host.
struct Listeners([UnixListener; 3]);

impl Listeners {
    fn bind(folder: &Path, user: Option<u32>) -> io::Result<Self> {
        let bind = |port: u32| {
            let path = folder.join(format!("vsock_{port}"));
            let listener = UnixListener::bind(&path)?;
            listener.set_nonblocking(true)?;
            if let Some(user) = user {
                std::os::unix::fs::chown(&path, Some(user), Some(user))?;
            }
            Ok::<_, io::Error>(listener)
        };
        Ok(Self([bind(TALK_PORT)?, bind(STDOUT_PORT)?, bind(STDERR_PORT)?]))
    }

    fn accept(self, vmm: &mut Vmm) -> io::Result<Wires> {
        let start = Instant::now();
        let mut one = |listener: &UnixListener| loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false)?;
                    return Ok(stream);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            if vmm.ended() || start.elapsed() > DIAL_MAX {
                let said = vmm.last_line();
                let text = format!("the guest did not dial; its console: {said}");
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            std::thread::sleep(TICK);
        };
        let [talk, stdout, stderr] = &self.0;
        Ok(Wires { talk: one(talk)?, stdout: one(stdout)?, stderr: one(stderr)? })
    }
}

/// Removes folders of runs whose process is gone.
pub(crate) fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX))
            .and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
