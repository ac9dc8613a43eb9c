//! Calls about programs, memory, identities and other processes.

use types::{Kind, StdioKind, Text};

use super::{Call, Draft};
use crate::monitor::notify::memory::Read;
use crate::monitor::notify::paths::{DELETED, Last, Resolved};
use crate::monitor::notify::procfs::{Mapping, numbered};
use crate::monitor::notify::sockets::inode_of;

/// Arguments of a program that are kept, in number and in bytes.
const ARGUMENTS_MAX: usize = 64;
const ARGUMENTS_LEN_MAX: usize = 8192;
/// `MFD_NAME_MAX_LEN`.
const MEMFD_NAME_LEN_MAX: usize = 249;
/// `TASK_COMM_LEN` without its NUL.
const COMM_LEN_MAX: usize = 15;
/// Groups of setgroups that are kept.
const GROUPS_MAX: u64 = 32;

const PROT_WRITE: u32 = 2;
const MAP_ANONYMOUS: i32 = 0x20;
const PR_SET_NAME: u32 = 15;

/// The fact; none for a call that belongs elsewhere or concerns nobody else.
pub(super) fn facts(call: &mut Call<'_>) -> Option<Draft> {
    match call.nr {
        libc::SYS_execve => {
            let raw = call.raw_path(0);
            let resolved = call.view.resolve(libc::AT_FDCWD, &raw, Last::Follow);
            Some(exec(call, resolved, None, 1))
        }
        libc::SYS_execveat => Some(exec_at(call)),
        libc::SYS_exit_group => {
            let code = Some(call.int(0) & 0xff);
            Some(Draft::plain(Kind::Exit { code, signal: None, thread: false }))
        }
        libc::SYS_memfd_create => {
            let (name, cut) = call.text(0, MEMFD_NAME_LEN_MAX);
            Some(Draft::pointed(Kind::MemfdCreate { name }).cut(cut))
        }
        libc::SYS_mmap => mapped(call).map(Draft::plain),
        libc::SYS_mprotect | libc::SYS_pkey_mprotect => protected(call).map(Draft::plain),
        libc::SYS_prctl if call.word(0) == PR_SET_NAME => {
            // A longer name is cut by the kernel as well.
            let (name, _) = call.text(1, COMM_LEN_MAX);
            Some(Draft::pointed(Kind::SetName { name }))
        }
        libc::SYS_prctl | libc::SYS_seccomp | libc::SYS_capset => {
            Some(Draft::plain(super::refused::other(call, None)))
        }
        _ => killed(call).or_else(|| identified(call)),
    }
}

fn exec_at(call: &mut Call<'_>) -> Draft {
    let raw = call.raw_path(1);
    let empty_path = call.flag(4, libc::AT_EMPTY_PATH) && raw.bytes.is_empty();
    let fd = call.int(0);
    let resolved = if empty_path {
        call.view.descriptor(fd)
    } else {
        let itself = call.flag(4, libc::AT_SYMLINK_NOFOLLOW);
        call.view.resolve(fd, &raw, if itself { Last::Itself } else { Last::Follow })
    };
    exec(call, resolved, empty_path.then_some(fd), 2)
}

fn exec(call: &mut Call<'_>, image: Resolved, fd: Option<i32>, argv: usize) -> Draft {
    let arguments = call.memory.strings(call.args[argv], ARGUMENTS_MAX, ARGUMENTS_LEN_MAX);
    let (arguments, cut) = call.readable(arguments);
    let memfd = image.path.starts_with("/memfd:");
    // A name can end like that too; only links of the kernel's own are marked.
    let marked = image.path.as_bytes().ends_with(DELETED);
    let nameless = fd.is_some_and(|fd| call.view.dir.nameless(&numbered("fd/", fd)));
    let deleted = !memfd && (nameless || (marked && !exists(call, &image)));
    let path = match image.path.as_bytes().strip_suffix(DELETED) {
        Some(name) if memfd || deleted => Text::from(name),
        _ => image.path,
    };
    let kind = Kind::Exec {
        path,
        argv: arguments.into_iter().map(Text::new).collect(),
        cwd: call.view.cwd(),
        memfd,
        deleted,
        stdio: (0..3).map(|fd| stdio(call, fd)).collect(),
    };
    let ret = image.missing.then_some(-i64::from(libc::ENOENT));
    Draft { ret, ..Draft::pointed(kind).cut(cut | image.truncated) }
}

/// Whether there is a file of exactly this name.
fn exists(call: &Call<'_>, image: &Resolved) -> bool {
    let raw = Read { bytes: image.path.as_bytes().to_vec(), truncated: false };
    let again = call.view.resolve(libc::AT_FDCWD, &raw, Last::Itself);
    !again.missing && again.path == image.path
}

fn stdio(call: &mut Call<'_>, fd: i32) -> StdioKind {
    let Ok(link) = call.view.dir.fd_link(fd) else { return StdioKind::Closed };
    if let Some(inode) = inode_of(&link) {
        return StdioKind::Socket { peer: call.sockets.peer(call.view.dir, inode) };
    }
    let text = Text::new(link);
    if text.starts_with("pipe:[") {
        StdioKind::Pipe
    } else if ["/dev/pts/", "/dev/tty", "/dev/console"].iter().any(|tty| text.starts_with(tty)) {
        StdioKind::Tty
    } else if text.starts_with("/") && !text.starts_with("/dev/") {
        StdioKind::File
    } else {
        StdioKind::Other
    }
}

/// None for a plain mapping of a file's own code.
fn mapped(call: &Call<'_>) -> Option<Kind> {
    let anonymous = call.flag(3, MAP_ANONYMOUS);
    let file = (!anonymous).then(|| call.view.descriptor(call.int(4)).path);
    memory(call, "mmap", anonymous, file)
}

/// None when a file's own code is made executable again, as after a relocation.
fn protected(call: &Call<'_>) -> Option<Kind> {
    let mapping = call.view.dir.mapping(call.args[0]);
    let anonymous = mapping.as_ref().is_some_and(Mapping::anonymous);
    let file = mapping.filter(|_| !anonymous).map(|mapping| Text::new(mapping.name));
    memory(call, crate::seccomp::name(u32::try_from(call.nr).ok()?)?, anonymous, file)
}

fn memory(call: &Call<'_>, name: &str, anonymous: bool, file: Option<Text>) -> Option<Kind> {
    let protection = call.word(2);
    let write_execute = protection & PROT_WRITE != 0;
    let memfd = file.as_ref().is_some_and(|file| file.starts_with("/memfd:"));
    (write_execute || anonymous || memfd).then(|| Kind::Memory {
        call: name.to_owned(),
        address: call.args[0],
        length: call.args[1],
        protection,
        write_execute,
        anonymous,
        file,
    })
}

/// A signal to another process; none when it stays in the own one.
fn killed(call: &Call<'_>) -> Option<Draft> {
    let own = i64::from(call.known.task.pid);
    let (target_pid, signal) = match call.nr {
        libc::SYS_kill
        | libc::SYS_tgkill
        | libc::SYS_rt_tgsigqueueinfo
        | libc::SYS_rt_sigqueueinfo => {
            let signal = match call.nr {
                libc::SYS_kill | libc::SYS_rt_sigqueueinfo => call.int(1),
                _ => call.int(2),
            };
            (i64::from(call.int(0)), signal)
        }
        libc::SYS_tkill => {
            if call.tasks.same_process(call.known.process, call.word(0)) {
                return None;
            }
            (i64::from(call.int(0)), call.int(1))
        }
        libc::SYS_pidfd_send_signal => {
            (call.view.dir.pidfd_target(call.int(0)).unwrap_or(0), call.int(1))
        }
        _ => return None,
    };
    (target_pid != own).then(|| Draft::plain(Kind::Kill { target_pid, signal }))
}

fn identified(call: &mut Call<'_>) -> Option<Draft> {
    let count = match call.nr {
        libc::SYS_setuid | libc::SYS_setgid | libc::SYS_setfsuid | libc::SYS_setfsgid => 1,
        libc::SYS_setreuid | libc::SYS_setregid => 2,
        libc::SYS_setresuid | libc::SYS_setresgid => 3,
        libc::SYS_setgroups => 0,
        _ => return None,
    };
    let name: String = crate::seccomp::name(u32::try_from(call.nr).ok()?)?.into();
    if count > 0 {
        let ids = (0..count).map(|index| call.word(index)).collect();
        return Some(Draft::plain(Kind::SetIds { call: name, ids }));
    }
    let bytes = call.memory.bytes(call.args[1], call.args[0].min(GROUPS_MAX) * 4, 4 * 32);
    let ids = call
        .readable(bytes)
        .chunks_exact(4)
        .map(|b| u32::from_ne_bytes([b[0], b[1], b[2], b[3]]))
        .collect();
    Some(Draft::pointed(Kind::SetIds { call: name, ids }).cut(call.args[0] > GROUPS_MAX))
}
