//! /proc, /sys and /dev of the sandbox: fresh instances of its own namespaces, without what
//! reaches the host.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;

use super::{Failed, Notes, Plan, STAGING, bind, failed};
use crate::sys;

impl Plan {
    /// /proc, /sys and /dev of the sandbox.
    pub(super) fn mount_kernel_folders(
        &self,
        root: &Path,
        notes: &mut Notes,
    ) -> Result<(), Failed> {
        let safe = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
        let proc = root.join("proc");
        sys::mount(Some(OsStr::new("proc")), &proc, Some(c"proc"), safe, None)
            .map_err(failed("mount /proc of the new pid namespace"))?;
        for name in ["sys", "irq", "bus", "fs", "sysrq-trigger", "acpi", "scsi", "asound"] {
            read_only(&proc.join(name), notes);
        }
        for name in [
            "kcore",
            "keys",
            "key-users",
            "timer_list",
            "sched_debug",
            "latency_stats",
            "kmsg",
            "kallsyms",
            "kpagecount",
            "kpageflags",
            "kpagecgroup",
            "interrupts",
        ] {
            cover_file(&proc.join(name), notes);
        }
        let sysfs = root.join("sys");
        let flags = safe | libc::MS_RDONLY;
        match sys::mount(Some(OsStr::new("sysfs")), &sysfs, Some(c"sysfs"), flags, None) {
            Ok(()) => {
                for name in ["firmware", "kernel", "fs", "module", "power"] {
                    cover_folder(&sysfs.join(name), notes);
                }
            }
            Err(error) => notes.push(format!("/sys is empty: {error}")),
        }
        let shm = self.areas.iter().find(|area| area.path == Path::new("/dev/shm"));
        let shm = shm.map(|area| Path::new(STAGING).join(&area.folder));
        mount_dev(&root.join("dev"), shm.as_deref()).map_err(failed("build /dev"))
    }
}

fn read_only(path: &Path, notes: &mut Notes) {
    if fs::symlink_metadata(path).is_err() {
        return;
    }
    let flags = libc::MS_BIND
        | libc::MS_REMOUNT
        | libc::MS_RDONLY
        | libc::MS_NOSUID
        | libc::MS_NODEV
        | libc::MS_NOEXEC;
    let result = bind(path, path).and_then(|()| sys::mount(None, path, None, flags, None));
    if let Err(error) = result {
        notes.push(format!("{} is not read-only: {error}", path.display()));
    }
}

fn cover_file(path: &Path, notes: &mut Notes) {
    if fs::symlink_metadata(path).is_ok()
        && let Err(error) = bind(Path::new("/dev/null"), path)
    {
        notes.push(format!("{} is not covered: {error}", path.display()));
    }
}

fn cover_folder(path: &Path, notes: &mut Notes) {
    let flags = libc::MS_RDONLY | libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    let options = Some(c"size=4k,nr_inodes=2,mode=0755");
    if path.is_dir()
        && let Err(error) = sys::mount(None, path, Some(c"tmpfs"), flags, options)
    {
        notes.push(format!("{} is not covered: {error}", path.display()));
    }
}

/// A small /dev: the harmless devices of the host, own pseudo-terminals, own shared memory.
fn mount_dev(dev: &Path, shm: Option<&Path>) -> io::Result<()> {
    let flags = libc::MS_NOSUID | libc::MS_NOEXEC;
    let options = Some(c"size=64k,nr_inodes=64,mode=0755");
    sys::mount(Some(OsStr::new("tmpfs")), dev, Some(c"tmpfs"), flags, options)?;
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        let target = dev.join(name);
        fs::File::create_new(&target)?;
        bind(&Path::new("/dev").join(name), &target)?;
    }
    for (name, to) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ] {
        std::os::unix::fs::symlink(to, dev.join(name))?;
    }
    fs::create_dir(dev.join("pts"))?;
    let pts = Some(c"newinstance,ptmxmode=0666,mode=0620,max=64");
    let flags = libc::MS_NOSUID | libc::MS_NOEXEC;
    sys::mount(Some(OsStr::new("devpts")), &dev.join("pts"), Some(c"devpts"), flags, pts)?;
    fs::create_dir(dev.join("shm"))?;
    shm.map_or(Ok(()), |shm| bind(shm, &dev.join("shm")))
}
