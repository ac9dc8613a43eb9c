//! The second wall behind the mount namespace: should a mount or a permission be wrong, Landlock
//! still refuses writes to the kernel's own trees, device nodes, device control, TCP without a
//! network, and signals or abstract sockets that lead out (`Documentation/userspace-api/landlock`).
//!
//! The ruleset names files by descriptor, so it is built once the new root is in place, and put on
//! by one raw system call. Which folders are hidden is the mount namespace's business.
#![expect(unsafe_code, reason = "the C library has no functions for Landlock")]

use std::fs::{File, OpenOptions};
use std::io::{
    self,
    ErrorKind::{NotFound, PermissionDenied},
};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::spec::Net;

/// Below this a program could not rename a file from one folder to another at all (the right to do
/// so came with ABI 2), which ordinary software does all the time.
const ABI_MIN: u32 = 2;

// Rights on files, include/uapi/linux/landlock.h.
const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const REMOVE_DIR: u64 = 1 << 4;
const REMOVE_FILE: u64 = 1 << 5;
const MAKE_CHAR: u64 = 1 << 6;
const MAKE_DIR: u64 = 1 << 7;
const MAKE_REG: u64 = 1 << 8;
const MAKE_SOCK: u64 = 1 << 9;
const MAKE_FIFO: u64 = 1 << 10;
const MAKE_BLOCK: u64 = 1 << 11;
const MAKE_SYM: u64 = 1 << 12;
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;
const IOCTL_DEV: u64 = 1 << 15;

const READ: u64 = EXECUTE | READ_FILE | READ_DIR;
/// Everything that changes files, without device nodes.
const WRITE: u64 = WRITE_FILE
    | REMOVE_DIR
    | REMOVE_FILE
    | MAKE_DIR
    | MAKE_REG
    | MAKE_SOCK
    | MAKE_FIFO
    | MAKE_SYM
    | REFER
    | TRUNCATE;
const DEVICES: u64 = MAKE_CHAR | MAKE_BLOCK;
/// The rights that make sense on something that is not a folder; others are an error there.
const ON_FILES: u64 = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV;

const BIND_TCP: u64 = 1;
const CONNECT_TCP: u64 = 1 << 1;
const SCOPE_ABSTRACT_UNIX_SOCKET: u64 = 1;
const SCOPE_SIGNAL: u64 = 1 << 1;

const CREATE_RULESET_VERSION: u32 = 1;
const RULE_PATH_BENEATH: u32 = 1;

/// Devices whose ioctls stay allowed: terminals need them, and the others answer "not a terminal"
/// to the question every C library asks.
const BASIC_DEVICES: &[&str] = &[
    "/dev/pts",
    "/dev/ptmx",
    "/dev/tty",
    "/dev/console",
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
];

/// Trees that belong to the kernel; nothing below them may be changed.
pub(crate) const KERNEL_TREES: &[&str] = &["/proc", "/sys"];

/// The ABI version of this kernel's Landlock; none when there is none or it is switched off.
#[must_use]
pub fn abi() -> Option<u32> {
    // SAFETY: the version query takes no pointer.
    let version = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<RulesetAttr>(),
            0_usize,
            CREATE_RULESET_VERSION,
        )
    };
    u32::try_from(version).ok().filter(|&version| version > 0)
}

/// `struct landlock_ruleset_attr`; how much of it a kernel knows depends on its ABI.
#[repr(C)]
struct RulesetAttr {
    handled_access_fs: u64,
    handled_access_net: u64,
    scoped: u64,
}

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct PathBeneathAttr {
    allowed_access: u64,
    parent_fd: i32,
}

/// A finished set of rules; it binds who calls [`Ruleset::restrict`].
#[derive(Debug)]
pub struct Ruleset {
    /// Absent where the kernel has no usable Landlock; the description says why.
    fd: Option<OwnedFd>,
    description: String,
}

impl Ruleset {
    /// The rules for a process whose root is the sandbox's: everything may be read and executed,
    /// every folder directly below the root may be written except the kernel's trees. Rules only
    /// ever add rights to what lies below, so the root itself cannot be writable: new names
    /// directly in `/` are refused.
    ///
    /// # Errors
    /// When the root cannot be listed, or the kernel refuses a rule.
    pub fn new(net: Net) -> io::Result<Ruleset> {
        let mut writable = Vec::new();
        for entry in Path::new("/").read_dir()? {
            let entry = entry?;
            // A symbolic link has no rights of its own; where it leads has its own entry.
            let link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            if !link && KERNEL_TREES.iter().all(|tree| Path::new(tree) != entry.path()) {
                writable.push(entry.path());
            }
        }
        Ruleset::beneath(&[PathBuf::from("/")], &writable, net)
    }

    /// Reading and executing below `readable`, also writing below `writable`, nothing elsewhere.
    /// Paths that are not there are left out.
    ///
    /// # Errors
    /// When the kernel refuses a rule.
    pub fn beneath(readable: &[PathBuf], writable: &[PathBuf], net: Net) -> io::Result<Ruleset> {
        let off = |why: String| Ok(Ruleset { fd: None, description: format!("off: {why}") });
        let abi = match abi() {
            None => return off("this kernel has no Landlock, or it is switched off".into()),
            Some(abi) if abi < ABI_MIN => {
                return off(format!("this kernel's ABI {abi} cannot rename between folders"));
            }
            Some(abi) => abi,
        };
        let attr = attributes(abi, net);
        let fd = create(&attr, abi)?;
        let handled = attr.handled_access_fs;
        for path in readable {
            allow(&fd, path, READ & handled)?;
        }
        for path in writable {
            allow(&fd, path, (READ | WRITE) & handled)?;
        }
        if handled & IOCTL_DEV != 0 {
            for device in BASIC_DEVICES {
                allow(&fd, Path::new(device), IOCTL_DEV)?;
            }
        }
        Ok(Ruleset { fd: Some(fd), description: describe(abi, &attr, writable.len()) })
    }

    /// Binds the calling thread and everything it starts; without Landlock it does nothing, and
    /// [`Ruleset::describe`] says so. Async-signal-safe.
    ///
    /// # Errors
    /// The kernel's errno; `EPERM` when `no_new_privs` is not set.
    pub fn restrict(&self) -> io::Result<()> {
        let Some(fd) = &self.fd else { return Ok(()) };
        // SAFETY: the call takes a descriptor and flags.
        let result =
            unsafe { libc::syscall(libc::SYS_landlock_restrict_self, fd.as_raw_fd(), 0_u32) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// What the rules do, for the report's list of walls; starts with `off: ` when there are none.
    #[must_use]
    pub fn describe(&self) -> &str {
        &self.description
    }
}

/// What the kernel of this ABI shall watch over. A right that is handled and never allowed is
/// refused everywhere.
fn attributes(abi: u32, net: Net) -> RulesetAttr {
    let mut handled_access_fs = (READ | WRITE | DEVICES) & !TRUNCATE;
    if abi >= 3 {
        handled_access_fs |= TRUNCATE;
    }
    if abi >= 5 {
        handled_access_fs |= IOCTL_DEV;
    }
    let tcp = if abi >= 4 && net == Net::None { BIND_TCP | CONNECT_TCP } else { 0 };
    let scoped = if abi >= 6 { SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL } else { 0 };
    RulesetAttr { handled_access_fs, handled_access_net: tcp, scoped }
}

fn describe(abi: u32, attr: &RulesetAttr, writable: usize) -> String {
    let mut words = format!(
        "ABI {abi}: writes below {writable} top-level entries only (not /proc, /sys), no device nodes"
    );
    if attr.handled_access_fs & IOCTL_DEV != 0 {
        words.push_str(", ioctl on basic devices only");
    }
    if attr.handled_access_net != 0 {
        words.push_str(", no TCP");
    }
    if attr.scoped != 0 {
        words.push_str(", signals and abstract sockets stay inside");
    }
    words
}

fn create(attr: &RulesetAttr, abi: u32) -> io::Result<OwnedFd> {
    // Older kernels refuse a structure that is longer than the one they know.
    let size = match abi {
        ..=3 => 8,
        4 | 5 => 16,
        _ => size_of::<RulesetAttr>(),
    };
    // SAFETY: `attr` is readable for `size` bytes, at most its own length.
    let fd = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::from_ref(attr), size, 0_u32)
    };
    let fd = RawFd::try_from(fd).ok().filter(|&fd| fd >= 0);
    let fd = fd.ok_or_else(io::Error::last_os_error)?;
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Adds rights below `path`; a path that is not there needs none.
fn allow(ruleset: &OwnedFd, path: &Path, rights: u64) -> io::Result<()> {
    let file = match open(path) {
        Ok(file) => file,
        // Also what lies where this user may not look: nobody in the sandbox reaches it either.
        Err(error) if matches!(error.kind(), NotFound | PermissionDenied) => return Ok(()),
        Err(error) => return Err(error),
    };
    let folder = file.metadata()?.is_dir();
    let allowed_access = if folder { rights } else { rights & ON_FILES };
    let attr = PathBeneathAttr { allowed_access, parent_fd: file.as_raw_fd() };
    // SAFETY: `attr` is a complete rule and `file` stays open during the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_landlock_add_rule,
            ruleset.as_raw_fd(),
            RULE_PATH_BENEATH,
            &raw const attr,
            0_u32,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Names the file without opening it: no device or pipe notices.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_CLOEXEC).open(path)
}

#[cfg(test)]
mod tests {
    use super::{BIND_TCP, CONNECT_TCP, IOCTL_DEV, TRUNCATE, attributes, describe};
    use crate::spec::Net;

    #[test]
    fn each_abi_is_asked_for_what_it_knows() {
        let old = attributes(2, Net::None);
        assert_eq!(old.handled_access_fs, 0x3fff);
        assert_eq!((old.handled_access_net, old.scoped), (0, 0));
        assert_eq!(attributes(3, Net::None).handled_access_fs, 0x3fff | TRUNCATE);
        assert_eq!(attributes(4, Net::None).handled_access_net, BIND_TCP | CONNECT_TCP);
        assert_eq!(attributes(4, Net::Loopback).handled_access_net, 0);
        assert_eq!(attributes(5, Net::None).handled_access_fs, 0x7fff | IOCTL_DEV);
        let new = attributes(7, Net::None);
        assert_eq!(new.scoped, 3);
        let words = describe(7, &new, 9);
        assert!(words.contains("ABI 7") && words.contains("no TCP") && words.contains("signals"));
    }
}
