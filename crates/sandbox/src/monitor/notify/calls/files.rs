//! Calls that open, name, remove or change files.

use types::{Access, Kind, Text};

use super::{Call, Draft};
use crate::monitor::notify::memory::Memory;
use crate::monitor::notify::paths::{Last, Resolved};

/// `XATTR_NAME_MAX`.
const XATTR_NAME_LEN_MAX: usize = 255;
/// `UTIME_NOW` and `UTIME_OMIT` in the nanoseconds of utimensat.
const UTIME_NOW: i64 = 0x3fff_ffff;
const UTIME_OMIT: i64 = 0x3fff_fffe;

/// The fact, or none for a call that belongs elsewhere or changes nothing.
pub(super) fn facts(call: &mut Call<'_>) -> Option<Draft> {
    opened(call)
        .or_else(|| renamed(call))
        .or_else(|| removed(call))
        .or_else(|| made(call))
        .or_else(|| permitted(call))
        .or_else(|| changed(call))
}

/// A draft about `path`, which was read from memory.
fn about(resolved: Resolved, kind: impl FnOnce(Text) -> Kind) -> Draft {
    let truncated = resolved.truncated;
    Draft::pointed(kind(resolved.path)).cut(truncated)
}

fn opened(call: &mut Call<'_>) -> Option<Draft> {
    let (dirfd, path, flags) = match call.nr {
        libc::SYS_open => (None, 0, call.int(1)),
        libc::SYS_creat => (None, 0, libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC),
        libc::SYS_openat => (Some(0), 1, call.int(2)),
        libc::SYS_openat2 => {
            // The first field of struct open_how; its flags have the values of openat's.
            let how = call.memory.array::<8>(call.args[2]);
            let flags = u64::from_ne_bytes(call.readable(how));
            (Some(0), 1, i32::try_from(flags & 0x7fff_ffff).unwrap_or(0))
        }
        _ => return None,
    };
    if flags & libc::O_PATH != 0 {
        return None;
    }
    let exclusive = libc::O_CREAT | libc::O_EXCL;
    let itself = flags & libc::O_NOFOLLOW != 0 || flags & exclusive == exclusive;
    let resolved = call.path(dirfd, path, if itself { Last::Itself } else { Last::Follow });
    let temporary = flags & libc::O_TMPFILE == libc::O_TMPFILE;
    let create = flags & libc::O_CREAT != 0 || temporary;
    let access = match flags & libc::O_ACCMODE {
        libc::O_RDONLY => Access::Read,
        libc::O_WRONLY => Access::Write,
        _ => Access::ReadWrite,
    };
    // The one end that can be foreseen: what is not there is not opened.
    let ret = (resolved.missing && !create).then_some(-i64::from(libc::ENOENT));
    let truncate = flags & libc::O_TRUNC != 0;
    let draft = about(resolved, |path| Kind::Open { path, access, create, truncate });
    Some(Draft { ret, ..draft })
}

fn renamed(call: &mut Call<'_>) -> Option<Draft> {
    let (from, to) = match call.nr {
        libc::SYS_rename => ((None, 0), (None, 1)),
        libc::SYS_renameat | libc::SYS_renameat2 => ((Some(0), 1), (Some(2), 3)),
        _ => return None,
    };
    let from = call.path(from.0, from.1, Last::Itself);
    let to = call.path(to.0, to.1, Last::Itself);
    let truncated = to.truncated;
    let ret = from.missing.then_some(-i64::from(libc::ENOENT));
    let draft = about(from, |from| Kind::Rename { from, to: to.path }).cut(truncated);
    Some(Draft { ret, ..draft })
}

fn removed(call: &mut Call<'_>) -> Option<Draft> {
    let (dirfd, path, directory) = match call.nr {
        libc::SYS_unlink => (None, 0, false),
        libc::SYS_rmdir => (None, 0, true),
        libc::SYS_unlinkat => (Some(0), 1, call.flag(2, libc::AT_REMOVEDIR)),
        _ => return None,
    };
    let resolved = call.path(dirfd, path, Last::Itself);
    let ret = resolved.missing.then_some(-i64::from(libc::ENOENT));
    Some(Draft { ret, ..about(resolved, |path| Kind::Unlink { path, directory }) })
}

fn made(call: &mut Call<'_>) -> Option<Draft> {
    match call.nr {
        libc::SYS_mkdir => {
            Some(about(call.path(None, 0, Last::Itself), |path| Kind::Mkdir { path }))
        }
        libc::SYS_mkdirat => {
            Some(about(call.path(Some(0), 1, Last::Itself), |path| Kind::Mkdir { path }))
        }
        libc::SYS_mknod => Some(node(call, None, 0, 1)),
        libc::SYS_mknodat => Some(node(call, Some(0), 1, 2)),
        libc::SYS_link => Some(linked(call, (None, 0, Last::Itself), (None, 1))),
        libc::SYS_linkat => {
            let last =
                if call.flag(4, libc::AT_SYMLINK_FOLLOW) { Last::Follow } else { Last::Itself };
            Some(linked(call, (Some(0), 1, last), (Some(2), 3)))
        }
        libc::SYS_symlink => Some(symlinked(call, None, 1)),
        libc::SYS_symlinkat => Some(symlinked(call, Some(1), 2)),
        _ => None,
    }
}

/// mknod of a regular file is a way to create one.
fn node(call: &mut Call<'_>, dirfd: Option<usize>, path: usize, mode: usize) -> Draft {
    let mode = call.word(mode) & 0xffff;
    let resolved = call.path(dirfd, path, Last::Itself);
    let regular = matches!(mode & libc::S_IFMT, 0 | libc::S_IFREG);
    about(resolved, |path| {
        if regular {
            Kind::Open { path, access: Access::Write, create: true, truncate: false }
        } else {
            Kind::Mknod { path, mode }
        }
    })
}

type Named = (Option<usize>, usize, Last);

fn linked(call: &mut Call<'_>, from: Named, to: (Option<usize>, usize)) -> Draft {
    let from = call.path(from.0, from.1, from.2);
    let to = call.path(to.0, to.1, Last::Itself);
    let truncated = to.truncated;
    about(from, |from| Kind::Link { from, to: to.path, symbolic: false }).cut(truncated)
}

/// A symbolic link holds its target as written.
fn symlinked(call: &mut Call<'_>, dirfd: Option<usize>, path: usize) -> Draft {
    let from = call.raw_path(0);
    let to = call.path(dirfd, path, Last::Itself);
    about(to, |to| Kind::Link { from: Text::new(from.bytes), to, symbolic: true })
        .cut(from.truncated)
}

fn permitted(call: &mut Call<'_>) -> Option<Draft> {
    let last_of = |call: &Call<'_>, flags: usize| {
        if call.flag(flags, libc::AT_SYMLINK_NOFOLLOW) { Last::Itself } else { Last::Follow }
    };
    let (resolved, mode) = match call.nr {
        libc::SYS_chmod => (call.path(None, 0, Last::Follow), 1),
        libc::SYS_fchmod => (call.view.descriptor(call.int(0)), 1),
        libc::SYS_fchmodat => (call.path(Some(0), 1, Last::Follow), 2),
        libc::SYS_fchmodat2 => (call.path(Some(0), 1, last_of(call, 3)), 2),
        libc::SYS_chown => (call.path(None, 0, Last::Follow), 1),
        libc::SYS_lchown => (call.path(None, 0, Last::Itself), 1),
        libc::SYS_fchown => (call.view.descriptor(call.int(0)), 1),
        libc::SYS_fchownat => (call.path(Some(0), 1, last_of(call, 4)), 2),
        _ => return None,
    };
    let by_descriptor = matches!(call.nr, libc::SYS_fchmod | libc::SYS_fchown);
    let owner = matches!(
        call.nr,
        libc::SYS_chown | libc::SYS_lchown | libc::SYS_fchown | libc::SYS_fchownat
    );
    let draft = about(resolved, |path| {
        if owner {
            Kind::Chown { path, uid: call.word(mode), gid: call.word(mode + 1) }
        } else {
            Kind::Chmod { path, mode: call.word(mode) & 0o7777 }
        }
    });
    Some(Draft { advisory: !by_descriptor, ..draft })
}

fn changed(call: &mut Call<'_>) -> Option<Draft> {
    match call.nr {
        libc::SYS_truncate => {
            let length = call.args[1];
            Some(about(call.path(None, 0, Last::Follow), |path| Kind::Truncate { path, length }))
        }
        libc::SYS_ftruncate => {
            let path = call.view.descriptor(call.int(0)).path;
            Some(Draft::plain(Kind::Truncate { path, length: call.args[1] }))
        }
        libc::SYS_setxattr => Some(attribute(call, (None, 0, Last::Follow), 1)),
        libc::SYS_lsetxattr => Some(attribute(call, (None, 0, Last::Itself), 1)),
        libc::SYS_fsetxattr => {
            let path = call.view.descriptor(call.int(0)).path;
            let (name, cut) = call.text(1, XATTR_NAME_LEN_MAX);
            Some(Draft::pointed(Kind::SetXattr { path, name }).cut(cut))
        }
        nr if Some(nr) == number("setxattrat") => {
            Some(attribute(call, (Some(0), 1, Last::Follow), 3))
        }
        libc::SYS_utime | libc::SYS_utimes => times(call, (None, 0, Last::Follow), 1),
        libc::SYS_futimesat => times(call, (Some(0), 1, Last::Follow), 2),
        libc::SYS_utimensat => {
            let itself = call.flag(3, libc::AT_SYMLINK_NOFOLLOW);
            times(call, (Some(0), 1, if itself { Last::Itself } else { Last::Follow }), 2)
        }
        _ => None,
    }
}

fn number(name: &str) -> Option<i64> {
    crate::seccomp::number(name).map(i64::from)
}

fn attribute(call: &mut Call<'_>, path: Named, name: usize) -> Draft {
    let resolved = call.path(path.0, path.1, path.2);
    let (name, cut) = call.text(name, XATTR_NAME_LEN_MAX);
    about(resolved, |path| Kind::SetXattr { path, name }).cut(cut)
}

/// None when the times become "now": that forges nothing.
fn times(call: &mut Call<'_>, path: Named, times: usize) -> Option<Draft> {
    let seconds = modified(call.memory, call.nr, call.args[times])?;
    let resolved = if call.args[path.1] == 0 {
        // futimens: no path, the descriptor itself.
        call.view.descriptor(call.int(0))
    } else {
        call.path(path.0, path.1, path.2)
    };
    Some(about(resolved, |path| Kind::SetTimes { path, seconds }))
}

/// The explicit time of modification, or of access where only that is set.
fn modified(memory: Memory, nr: i64, address: u64) -> Option<i64> {
    if address == 0 {
        return None;
    }
    let long =
        |at: u64| memory.array::<8>(address.wrapping_add(at * 8)).ok().map(i64::from_ne_bytes);
    match nr {
        libc::SYS_utime => long(1),
        libc::SYS_utimes | libc::SYS_futimesat => long(2),
        _ => [2, 0].into_iter().find_map(|at| {
            let nanoseconds = long(at + 1)?;
            (!matches!(nanoseconds, UTIME_NOW | UTIME_OMIT)).then(|| long(at))?
        }),
    }
}
