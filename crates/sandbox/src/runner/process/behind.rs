//! What the walls around files refuse, by what was tried and the errno it got: read-only mounts,
//! Landlock's rules, and the bound of what may be written. What plain permissions refuse is the
//! program's own affair and not known here.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use types::{Access, Event, Kind, Recording, Text};

use crate::landlock;
use crate::monitor::Wall;
use crate::spec::Spec;

const S_IFMT: u32 = 0o170_000;
const S_IFCHR: u32 = 0o020_000;
const S_IFBLK: u32 = 0o060_000;
/// Entries of /proc/PID that lead out of /proc, and folders of such.
const LEAD_AWAY: [&[u8]; 6] = [b"fd", b"cwd", b"root", b"exe", b"map_files", b"ns"];

/// The walls around files of one run.
#[derive(Debug, Clone)]
struct Walls {
    /// Landlock's rules are in force.
    landlock: bool,
    /// Of the caller's; what they refuse is not the sandbox's doing.
    writable: Vec<PathBuf>,
}

/// The walls of a run whose root is built; `notes` says whether Landlock's rules are in force.
pub(super) fn wall(spec: &Spec, notes: &str) -> Wall {
    let landlock = notes.lines().find_map(|line| line.strip_prefix("landlock="));
    let landlock = landlock.is_some_and(|state| !state.starts_with("off"));
    let mounts = spec.mounts.iter().filter(|mount| mount.writable);
    let writable = mounts.map(|mount| mount.target.clone()).collect();
    let walls = Walls { landlock, writable };
    Box::new(move |kind, errno| walls.refuse(kind, errno))
}

/// Whether the run found the bound of what it may write, even if there is room again by now: writes
/// are counted where they go to memory (`no_room`), everything that needs a name has an event.
pub(super) fn was_full(spec: &Spec, recording: &Recording, no_room: u64) -> bool {
    let mounts = spec.mounts.iter().filter(|mount| mount.writable);
    let writable: Vec<_> = mounts.map(|mount| mount.target.clone()).collect();
    // A folder of the caller's can lie on such a filesystem, too.
    let counted = no_room > 0 && writable.is_empty();
    let walls = Walls { landlock: false, writable };
    counted || recording.events.iter().any(|event| walls.had_no_room(event))
}

impl Walls {
    fn had_no_room(&self, event: &Event) -> bool {
        const FULL: [i32; 2] = [libc::ENOSPC, libc::EDQUOT];
        let full = event.ret.is_some_and(|ret| FULL.iter().any(|errno| ret == -i64::from(*errno)));
        // What a device or a number of attributes has no room for is something else.
        let named = !matches!(event.kind, Kind::SetXattr { .. } | Kind::SetTimes { .. });
        let is_device = |path: &Text| {
            path.as_bytes().starts_with(b"/dev/") && !path.as_bytes().starts_with(b"/dev/shm/")
        };
        full && named
            && changed(&event.kind).is_some_and(|paths| {
                paths.iter().all(|path| !self.is_callers(path) && !is_device(path))
            })
    }

    fn refuse(&self, kind: &Kind, errno: i32) -> bool {
        match errno {
            // Nothing that the command can do makes anything read-only.
            libc::EROFS => changed(kind).is_some_and(|paths| {
                paths.iter().any(|path| !path.as_bytes().is_empty() && !self.is_callers(path))
            }),
            libc::EACCES if self.landlock => {
                is_device(kind)
                    || changed(kind).is_some_and(|paths| {
                        let mut ruled = paths.iter().filter(|_| is_ruled(kind));
                        ruled.any(|path| belongs_to_kernel(path.as_bytes()))
                    })
            }
            _ => false,
        }
    }

    fn is_callers(&self, path: &Text) -> bool {
        let path = Path::new(OsStr::from_bytes(path.as_bytes()));
        self.writable.iter().any(|target| path.starts_with(target))
    }
}

/// The paths that were to be changed; none where nothing was.
fn changed(kind: &Kind) -> Option<Vec<&Text>> {
    Some(match kind {
        Kind::Open { access: Access::Read, create: false, truncate: false, .. } => return None,
        Kind::Open { path, .. }
        | Kind::Unlink { path, .. }
        | Kind::Mkdir { path }
        | Kind::Mknod { path, .. }
        | Kind::Chmod { path, .. }
        | Kind::Chown { path, .. }
        | Kind::Truncate { path, .. }
        | Kind::SetXattr { path, .. }
        | Kind::SetTimes { path, .. } => vec![path],
        Kind::Rename { from, to } => vec![from, to],
        Kind::Link { to, .. } => vec![to],
        _ => return None,
    })
}

/// Whether Landlock has a right for it: it knows nothing of modes, owners, attributes and times.
fn is_ruled(kind: &Kind) -> bool {
    !matches!(
        kind,
        Kind::Chmod { .. } | Kind::Chown { .. } | Kind::SetXattr { .. } | Kind::SetTimes { .. }
    )
}

/// No rule gives the right to make these anywhere.
fn is_device(kind: &Kind) -> bool {
    matches!(kind, Kind::Mknod { mode, .. } if matches!(mode & S_IFMT, S_IFCHR | S_IFBLK))
}

/// Below a tree of the kernel's, where no rule gives the right to change anything.
fn belongs_to_kernel(path: &[u8]) -> bool {
    let below =
        |tree: &&str| path.strip_prefix(tree.as_bytes()).is_some_and(|rest| rest.starts_with(b"/"));
    let leads_away = |name: &[u8]| LEAD_AWAY.contains(&name);
    landlock::KERNEL_TREES.iter().any(below) && !path.split(|&byte| byte == b'/').any(leads_away)
}

#[cfg(test)]
mod tests {
    use libc::{EACCES, EPERM, EROFS};
    use types::{Access, Event, Kind, Task};

    use super::Walls;

    fn check(kind: &Kind, errno: i32, expect: bool) {
        let walls = Walls { landlock: true, writable: vec!["/data".into()] };
        assert_eq!(walls.refuse(kind, errno), expect, "{kind:?} {errno}");
        let open = Walls { landlock: false, ..walls };
        assert_eq!(open.refuse(kind, errno), expect && errno == EROFS, "{kind:?} {errno}");
    }

    fn open(path: &str, access: Access) -> Kind {
        Kind::Open { path: path.into(), access, create: false, truncate: false }
    }

    #[test]
    fn what_finds_no_room_is_told_from_what_has_no_room_of_its_own() {
        let walls = Walls { landlock: true, writable: vec!["/data".into()] };
        let check = |kind: Kind, ret: i64, expect: bool| {
            let task = Task { pid: 2, tid: 2, ppid: 1, start_ns: 0, uid: 0, comm: "x".into() };
            let event = Event {
                id: 1,
                time_ns: 0,
                task,
                kind,
                ret: Some(ret),
                blocked: false,
                advisory: false,
                truncated: false,
                count: 1,
            };
            assert_eq!(walls.had_no_room(&event), expect, "{event:?}");
        };
        check(Kind::Mkdir { path: "/tmp/x".into() }, -28, true);
        check(Kind::Mkdir { path: "/dev/shm/x".into() }, -122, true);
        check(Kind::Mkdir { path: "/tmp/x".into() }, -13, false);
        check(Kind::Mkdir { path: "/data/x".into() }, -28, false);
        check(open("/dev/ptmx", Access::ReadWrite), -28, false);
        check(open("/tmp/x", Access::Read), -28, false);
        check(Kind::Rename { from: "/tmp/x".into(), to: "/tmp/y".into() }, -28, true);
    }

    #[test]
    fn what_the_walls_refuse_is_told_from_what_permissions_refuse() {
        let mkdir = |path: &str| Kind::Mkdir { path: path.into() };
        check(&open("/proc/sysrq-trigger", Access::Write), EACCES, true);
        check(&open("/proc/sysrq-trigger", Access::Write), EROFS, true);
        check(&open("/proc/sysrq-trigger", Access::Write), EPERM, false);
        check(&open("/proc/kcore", Access::Read), EACCES, false);
        check(&open("/sys/power/state", Access::ReadWrite), EACCES, true);
        check(&open("/proc/self/fd/3", Access::Write), EACCES, false);
        check(&open("/proc/1/root/etc/passwd", Access::Write), EACCES, false);
        check(&open("/processes", Access::Write), EACCES, false);
        check(&open("/etc/shadow", Access::Write), EACCES, false);
        check(&mkdir("/usr/x"), EROFS, true);
        check(&mkdir("/data/x"), EROFS, false);
        check(&mkdir("/usr/x"), EACCES, false);
        let device = |mode| Kind::Mknod { path: "/tmp/x".into(), mode };
        check(&device(0o060_600), EACCES, true);
        check(&device(0o010_600), EACCES, false);
        let mode = Kind::Chmod { path: "/proc/1/mem".into(), mode: 0o777 };
        check(&mode, EACCES, false);
        check(&mode, EROFS, true);
    }
}
