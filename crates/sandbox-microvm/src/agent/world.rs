//! The guest's own world: kernel folders, the command's root, standard streams, the end.

use std::ffi::CStr;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::mount::{MountFlags, mount, mount_bind, mount_move};
use rustix::process::{WaitOptions, chdir, chroot, waitpid};
use rustix::system::{RebootCommand, reboot};

use super::{AgentError, world};

/// Where init has mounted the run's disk.
const IMAGE: &str = "/image";
/// Where the agent's files are in the command's world: below a folder that each run covers.
pub(super) const BESIDE: &str = "/run/shieldx";

/// Mounts everything and makes the image's root the root.
pub(super) fn build() -> Result<(), AgentError> {
    let root = Path::new(IMAGE).join("root");
    let root = root.as_path();
    mount_bind(root, root).map_err(|error| world("show the image's root")(error.into()))?;
    let none = MountFlags::empty();
    let safe = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    // Not /tmp: a working folder may be packed there, and each run covers it anyway.
    let kernel: [(&str, &str, MountFlags, Option<&CStr>); 4] = [
        ("proc", "proc", safe, None),
        ("sysfs", "sys", safe, None),
        ("devtmpfs", "dev", MountFlags::NOSUID, None),
        ("tmpfs", "run", MountFlags::NOSUID | MountFlags::NODEV, Some(c"mode=0755")),
    ];
    for (kind, folder, flags, data) in kernel {
        put(kind, &root.join(folder), flags, data)?;
    }
    for folder in ["dev/pts", "dev/shm"] {
        let _ = fs::create_dir(root.join(folder));
    }
    put("devpts", &root.join("dev/pts"), MountFlags::NOSUID, Some(c"ptmxmode=0666,mode=0620"))?;
    put(
        "tmpfs",
        &root.join("dev/shm"),
        MountFlags::NOSUID | MountFlags::NODEV,
        Some(c"mode=1777"),
    )?;
    put("cgroup2", &root.join("sys/fs/cgroup"), safe, None)?;
    // What only some kernels have, and only monitors look at.
    for (kind, folder) in [
        ("bpf", "sys/fs/bpf"),
        ("tracefs", "sys/kernel/tracing"),
        ("securityfs", "sys/kernel/security"),
    ] {
        let _ = put(kind, &root.join(folder), none, None);
    }
    let beside = root.join("run/shieldx");
    fs::create_dir(&beside).map_err(world("make room for the run's files"))?;
    let from = Path::new(IMAGE).join("beside");
    if from.exists() {
        mount_bind(&from, &beside).map_err(|error| world("show the run's files")(error.into()))?;
    }
    chdir(root)
        .and_then(|()| mount_move(root, "/"))
        .and_then(|()| chroot("."))
        .and_then(|()| chdir("/"))
        .map_err(|error| world("enter the image's root")(error.into()))
}

fn put(
    kind: &str,
    folder: &Path,
    flags: MountFlags,
    data: Option<&CStr>,
) -> Result<(), AgentError> {
    mount(kind, folder, kind, flags, data)
        .map_err(|error| world(format!("mount {kind} on {}", folder.display()))(error.into()))
}

/// Lays one of this process' standard streams on a file.
pub(super) fn redirect(file: &File, stream: u32) -> io::Result<()> {
    match stream {
        0 => rustix::stdio::dup2_stdin(file)?,
        1 => rustix::stdio::dup2_stdout(file)?,
        _ => rustix::stdio::dup2_stderr(file)?,
    }
    Ok(())
}

/// The kernel's release.
pub(super) fn release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// Waits for whatever became this process' child and has ended.
pub(super) fn reap() {
    while let Ok(Some(_)) = waitpid(None, WaitOptions::NOHANG) {}
}

/// Ends the machine at once: the host does not turn a guest on again.
pub fn power_off() {
    rustix::fs::sync();
    let _ = reboot(RebootCommand::Restart);
}
