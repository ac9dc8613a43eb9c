//! From what a task wrote to a path inside the sandbox: relative to what, through which symbolic
//! links, and whether there is anything.
//!
//! Looked up in the sandbox's own root by the supervisor, opening nothing (`O_PATH`); the kernel
//! looks it up again when the call continues, so the result is advisory.
#![expect(unsafe_code, reason = "openat2 has no wrapper")]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use types::Text;

use super::memory::Read;
use super::procfs::{self, ProcDir};

/// Do not follow a link in the last component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    Follow,
    Itself,
}

/// A path as far as it could be resolved.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Resolved {
    pub(super) path: Text,
    pub(super) truncated: bool,
    /// Nothing had that name when the monitor looked.
    pub(super) missing: bool,
}

/// One task's view of the file system.
pub(super) struct View<'a> {
    pub(super) dir: &'a ProcDir,
    /// The process and thread as the sandbox numbers them, for `/proc/self`.
    pub(super) pid: u32,
    pub(super) tid: u32,
    pub(super) root: Option<&'a Root>,
}

/// The sandbox's root. All its tasks share it: chroot, pivot_root and setns are refused.
#[derive(Debug)]
pub(super) struct Root {
    fd: OwnedFd,
    /// How the supervisor sees it; empty when it is a root of its own.
    prefix: Vec<u8>,
}

/// What the kernel appends to the name of a file that has none any more.
pub(super) const DELETED: &[u8] = b" (deleted)";

/// A path has no more components than this that are worth a look each.
const DEPTH_MAX: usize = 40;

impl Root {
    pub(super) fn of(dir: &ProcDir) -> io::Result<Root> {
        let fd = dir.open_at(c"root", libc::O_PATH | libc::O_DIRECTORY)?;
        let prefix = dir.link(c"root")?;
        let prefix = if prefix == b"/" { Vec::new() } else { prefix };
        Ok(Root { fd, prefix })
    }

    /// As it is called inside.
    fn strip(&self, path: Vec<u8>) -> Vec<u8> {
        match path.strip_prefix(self.prefix.as_slice()) {
            Some([]) => b"/".to_vec(),
            Some(inside) if inside.starts_with(b"/") => inside.to_vec(),
            _ => path,
        }
    }

    fn open(&self, path: &[u8], last: Last, resolve: u64) -> io::Result<OwnedFd> {
        let path = CString::new(path).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
        // SAFETY: all-zero bytes are a valid open_how.
        let mut how: libc::open_how = unsafe { std::mem::zeroed() };
        let nofollow = if last == Last::Itself { libc::O_NOFOLLOW } else { 0 };
        how.flags = u64::from((libc::O_PATH | libc::O_CLOEXEC | nofollow).cast_unsigned());
        how.resolve = resolve;
        // SAFETY: `path` is NUL-terminated and `how` is as long as said.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_openat2,
                self.fd.as_raw_fd(),
                path.as_ptr(),
                &raw const how,
                size_of::<libc::open_how>(),
            )
        };
        procfs::owned(i32::try_from(fd).unwrap_or(-1))
    }

    /// The path without links, or the errno of the look-up.
    fn canonical(&self, path: &[u8], last: Last) -> io::Result<Vec<u8>> {
        let fd = self.open(path, last, libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS)?;
        let link = procfs::numbered("/proc/self/fd/", fd.as_raw_fd());
        Ok(self.strip(procfs::read_link(libc::AT_FDCWD, &link)?))
    }

    /// Whether `name` in `folder`, a path without links, is nothing at all, not even a link that
    /// leads nowhere.
    fn absent(&self, folder: &[u8], name: &[u8]) -> bool {
        let resolve = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_SYMLINKS;
        let found = self.open(&join(folder, name), Last::Itself, resolve);
        // Inside, "self" is a link that only tasks in there can follow.
        !folder.starts_with(b"/proc")
            && found.is_err_and(|error| error.raw_os_error() == Some(libc::ENOENT))
    }
}

impl View<'_> {
    /// A path argument: relative to the descriptor `dirfd` or the working folder.
    pub(super) fn resolve(&self, dirfd: i32, raw: &Read, last: Last) -> Resolved {
        let written = raw.bytes.as_slice();
        let absolute = if written.starts_with(b"/") {
            written.to_vec()
        } else {
            match self.base(dirfd) {
                Some(base) if written.is_empty() => base,
                Some(base) => join(&base, written),
                // The call fails by itself when the descriptor is none.
                None => written.to_vec(),
            }
        };
        let mut resolved = self.look_up(&self.unself(&absolute), last);
        resolved.truncated = raw.truncated;
        resolved
    }

    /// What a descriptor of the task names.
    pub(super) fn descriptor(&self, fd: i32) -> Resolved {
        let mut path = self.dir.fd_link(fd).map(|link| self.strip(link)).unwrap_or_default();
        // Memory files never had a name to delete.
        if path.starts_with(b"/memfd:") && path.ends_with(DELETED) {
            path.truncate(path.len() - DELETED.len());
        }
        Resolved { path: Text::new(path), ..Resolved::default() }
    }

    pub(super) fn cwd(&self) -> Text {
        Text::new(self.base(libc::AT_FDCWD).unwrap_or_default())
    }

    fn base(&self, dirfd: i32) -> Option<Vec<u8>> {
        let link =
            if dirfd == libc::AT_FDCWD { self.dir.link(c"cwd") } else { self.dir.fd_link(dirfd) };
        link.ok().map(|link| self.strip(link))
    }

    fn strip(&self, link: Vec<u8>) -> Vec<u8> {
        match self.root {
            Some(root) => root.strip(link),
            None => link,
        }
    }

    /// Writes `/proc/self` and its kin with the task's own numbers: looked up by the supervisor
    /// they would lead to the supervisor.
    fn unself(&self, path: &[u8]) -> Vec<u8> {
        let path = squeeze(path);
        let own = |rest: &[u8]| [format!("/proc/{}", self.pid).as_bytes(), rest].concat();
        if let Some(rest) = beneath(&path, b"/proc/self") {
            return own(rest);
        }
        if let Some(rest) = beneath(&path, b"/proc/thread-self") {
            return own(&[format!("/task/{}", self.tid).as_bytes(), rest].concat());
        }
        if let Some(rest) = beneath(&path, b"/dev/fd") {
            return own(&[b"/fd", rest].concat());
        }
        match path.as_slice() {
            b"/dev/stdin" => own(b"/fd/0"),
            b"/dev/stdout" => own(b"/fd/1"),
            b"/dev/stderr" => own(b"/fd/2"),
            _ => path,
        }
    }

    fn look_up(&self, path: &[u8], last: Last) -> Resolved {
        let plain =
            |path: Vec<u8>, missing| Resolved { path: Text::new(path), missing, truncated: false };
        if last == Last::Follow
            && let Some(target) = self.magic(path)
        {
            return plain(target, false);
        }
        let Some(root) = self.root else { return plain(path.to_vec(), false) };
        match root.canonical(path, last) {
            Ok(canonical) => plain(canonical, false),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                let (path, missing) = nearest(root, path);
                plain(path, missing)
            }
            Err(_) => plain(path.to_vec(), false),
        }
    }

    /// Where the kernel's own links of this very task lead: `fd/N`, `exe`, `cwd`, `root`.
    fn magic(&self, path: &[u8]) -> Option<Vec<u8>> {
        let own = format!("/proc/{}/", self.pid);
        let rest = path.strip_prefix(own.as_bytes())?;
        let parts = if rest.starts_with(b"fd/") { 2 } else { 1 };
        let mut words = rest.splitn(parts + 1, |&b| b == b'/');
        let head: Vec<&[u8]> = words.by_ref().take(parts).collect();
        let name = head.join(&b'/');
        if parts == 1 && !matches!(name.as_slice(), b"exe" | b"cwd" | b"root") {
            return None;
        }
        let link = self.strip(self.dir.link(&CString::new(name).ok()?).ok()?);
        Some(words.next().map_or(link.clone(), |rest| join(&link, rest)))
    }
}

/// The path of something that is not there: the deepest folder that is, and the rest as written.
/// True when the first name below that folder is certainly absent.
fn nearest(root: &Root, path: &[u8]) -> (Vec<u8>, bool) {
    let mut cut = path.len();
    for _ in 0..DEPTH_MAX {
        let Some(slash) = path[..cut].iter().rposition(|&b| b == b'/') else { break };
        let folder = if slash == 0 { &b"/"[..] } else { &path[..slash] };
        if let Ok(canonical) = root.canonical(folder, Last::Follow) {
            let rest = &path[slash + 1..];
            let name = rest.split(|&b| b == b'/').next().unwrap_or_default();
            let missing = name != b".." && root.absent(&canonical, name);
            return (join(&canonical, rest), missing);
        }
        cut = slash;
    }
    (path.to_vec(), false)
}

fn join(base: &[u8], rest: &[u8]) -> Vec<u8> {
    let slash: &[u8] = if base.ends_with(b"/") { b"" } else { b"/" };
    [base, slash, rest].concat()
}

fn beneath<'a>(path: &'a [u8], folder: &[u8]) -> Option<&'a [u8]> {
    path.strip_prefix(folder).filter(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// Without empty and `.` components. `..` stays: what it leads to depends on links.
fn squeeze(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let absolute = path.starts_with(b"/");
    for part in path.split(|&b| b == b'/').filter(|part| !part.is_empty() && *part != b".") {
        if absolute || !out.is_empty() {
            out.push(b'/');
        }
        out.extend_from_slice(part);
    }
    if out.is_empty() && absolute {
        out.push(b'/');
    }
    out
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::os::unix::ffi::OsStrExt;

    use super::super::memory::Read;
    use super::{Last, ProcDir, Root, View, squeeze};

    fn check(written: &[u8], last: Last, expect: (&[u8], bool)) {
        let dir = ProcDir::open(std::process::id()).unwrap();
        let root = Root::of(&dir).unwrap();
        let pid = std::process::id();
        let view = View { dir: &dir, pid, tid: pid, root: Some(&root) };
        let raw = Read { bytes: written.to_vec(), truncated: false };
        let got = view.resolve(libc::AT_FDCWD, &raw, last);
        let path = String::from_utf8_lossy(got.path.as_bytes());
        let wanted = String::from_utf8_lossy(expect.0);
        assert_eq!((path, got.missing), (wanted, expect.1), "{}", String::from_utf8_lossy(written));
    }

    #[test]
    fn links_are_followed_and_absence_is_noticed() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().canonicalize().unwrap();
        std::fs::write(folder.join("file"), "").unwrap();
        std::fs::create_dir(folder.join("real")).unwrap();
        std::os::unix::fs::symlink("file", folder.join("link")).unwrap();
        std::os::unix::fs::symlink("/proc/self/status", folder.join("self")).unwrap();
        std::os::unix::fs::symlink("real", folder.join("folder")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.join("dangling")).unwrap();
        let at = |name: &str| folder.join(name).as_os_str().as_bytes().to_vec();
        check(&at("link"), Last::Follow, (&at("file"), false));
        check(&at("link"), Last::Itself, (&at("link"), false));
        check(&at(".//folder/../file"), Last::Follow, (&at("file"), false));
        check(&at("folder/new"), Last::Follow, (&at("real/new"), true));
        check(&at("folder/a/b"), Last::Itself, (&at("real/a/b"), true));
        check(&at("none/../file"), Last::Follow, (&at("none/../file"), true));
        check(&at("dangling"), Last::Follow, (&at("dangling"), false));
    }

    #[test]
    fn the_kernels_links_lead_to_the_task_and_not_to_the_monitor() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().canonicalize().unwrap();
        let fd = file.as_file().as_raw_fd();
        let expect = path.as_os_str().as_bytes();
        check(format!("/proc/self/fd/{fd}").as_bytes(), Last::Follow, (expect, false));
        check(format!("/dev/fd/{fd}").as_bytes(), Last::Follow, (expect, false));
        let own = format!("/proc/{}/status", std::process::id());
        check(b"/proc/self/status", Last::Follow, (own.as_bytes(), false));
        check(b"/proc/self/root/etc/passwd", Last::Follow, (b"/etc/passwd", false));
    }

    #[test]
    fn squeezing_keeps_the_way_up() {
        for (path, expect) in
            [("//a/./b//", "/a/b"), ("/", "/"), ("/../x", "/../x"), ("./a", "a"), ("", "")]
        {
            assert_eq!(squeeze(path.as_bytes()), expect.as_bytes());
        }
    }
}
