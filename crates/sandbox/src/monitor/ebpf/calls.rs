//! Which system calls are looked at, and how: the table the kernel side works from.
//!
//! A row says which event type a call makes, which handler builds it and which arguments carry
//! paths, descriptors, addresses or buffers. What the values mean is `decode`'s business.

use ::ebpf::abi::{
    AT_CWD, HANDLER_ACCEPT, HANDLER_CLONE, HANDLER_DUP, HANDLER_FILE_MADE, HANDLER_IOCTL,
    HANDLER_KILL, HANDLER_MMAP, HANDLER_MPROTECT, HANDLER_OPEN, HANDLER_PERSONALITY, HANDLER_PLAIN,
    HANDLER_PRCTL, HANDLER_SEND, HANDLER_TRANSFER, HANDLER_WRITE, KIND_ACCEPT, KIND_BIND,
    KIND_CHMOD, KIND_CHOWN, KIND_CONNECT, KIND_EXEC, KIND_KILL, KIND_LINK, KIND_LISTEN,
    KIND_MEMFD_CREATE, KIND_MEMORY, KIND_MKDIR, KIND_MKNOD, KIND_NONE, KIND_OPEN,
    KIND_PROCESS_MEMORY, KIND_PTRACE, KIND_RENAME, KIND_SEND, KIND_SET_IDS, KIND_SET_NAME,
    KIND_SET_TIMES, KIND_SET_XATTR, KIND_SOCKET, KIND_STDIO_SOCKET, KIND_SYSCALL, KIND_TRUNCATE,
    KIND_UNLINK, KIND_WRITE, RECIPE_FAILED_ONLY, RECIPE_MANY, RECIPE_NULL_IS_FD, RECIPE_RAW_PATH,
    RECIPE_REFUSABLE, RECIPE_SOCK_RESULT, RECIPE_VECTOR, RECIPES_LEN, Recipe,
};

use crate::seccomp::{name, number};

const fn call(kind: u8) -> Recipe {
    Recipe { kind, handler: HANDLER_PLAIN, ..Recipe::IGNORE }
}

/// One path, starting from the current folder.
const fn path(kind: u8, path0: u8) -> Recipe {
    Recipe { path0, ..call(kind) }
}

/// One path with its directory descriptor in the argument before it.
const fn path_at(kind: u8, path0: u8) -> Recipe {
    Recipe { path0, base0: path0 - 1, ..call(kind) }
}

const fn fd(kind: u8, fd: u8) -> Recipe {
    Recipe { fd, ..call(kind) }
}

const fn text(kind: u8, text: u8) -> Recipe {
    Recipe { text, ..call(kind) }
}

const fn two_paths(kind: u8) -> Recipe {
    Recipe { path1: 1, ..path(kind, 0) }
}

const fn two_paths_at(kind: u8) -> Recipe {
    Recipe { path1: 3, base1: 2, ..path_at(kind, 1) }
}

const fn handled(kind: u8, handler: u8) -> Recipe {
    Recipe { handler, ..call(kind) }
}

/// An open whose flags are argument `bytes`; `bytes_len` is 1 when that is a pointer to them.
const fn open(path0: u8, base0: u8, bytes: u8, bytes_len: u8) -> Recipe {
    Recipe { path0, base0, bytes, bytes_len, ..handled(KIND_OPEN, HANDLER_OPEN) }
}

const fn flagged(recipe: Recipe, flags: u8) -> Recipe {
    Recipe { flags: recipe.flags | flags, ..recipe }
}

/// A buffer of fixed length.
const fn with_bytes(recipe: Recipe, bytes: u8, bytes_len: u8) -> Recipe {
    Recipe { bytes, bytes_len, ..recipe }
}

const fn socket(kind: u8, handler: u8, address: u8) -> Recipe {
    Recipe { fd: 0, address, ..handled(kind, handler) }
}

const WRITE: Recipe = Recipe { fd: 0, ..handled(KIND_WRITE, HANDLER_WRITE) };
const SEND: Recipe = handled(KIND_SEND, HANDLER_SEND);
const SYSCALL: Recipe = call(KIND_SYSCALL);
const ACCEPT: Recipe = flagged(handled(KIND_ACCEPT, HANDLER_ACCEPT), RECIPE_SOCK_RESULT);
const SYMLINK: Recipe = flagged(two_paths(KIND_LINK), RECIPE_RAW_PATH);
const FILE_MADE: Recipe = handled(KIND_SYSCALL, HANDLER_FILE_MADE);
const DUP: Recipe = handled(KIND_STDIO_SOCKET, HANDLER_DUP);

/// Transfers between descriptors; `fd` is the argument that is written to.
const fn transfer(fd: u8) -> Recipe {
    Recipe { fd, ..handled(KIND_WRITE, HANDLER_TRANSFER) }
}

#[rustfmt::skip]
const TABLE: &[(&str, Recipe)] = &[
    // Programs. A successful exec is told by sched_process_exec.
    ("execve", flagged(path(KIND_EXEC, 0), RECIPE_FAILED_ONLY)),
    ("execveat", flagged(path_at(KIND_EXEC, 1), RECIPE_FAILED_ONLY)),
    ("clone", handled(KIND_SYSCALL, HANDLER_CLONE)),
    ("clone3", handled(KIND_SYSCALL, HANDLER_CLONE)),
    // Files.
    ("open", open(0, AT_CWD, 1, 0)),
    ("creat", Recipe { path0: 0, ..handled(KIND_OPEN, HANDLER_OPEN) }),
    ("openat", open(1, 0, 2, 0)),
    ("openat2", open(1, 0, 2, 1)),
    ("write", WRITE),
    ("pwrite64", WRITE),
    ("writev", flagged(WRITE, RECIPE_VECTOR)),
    ("pwritev", flagged(WRITE, RECIPE_VECTOR)),
    ("pwritev2", flagged(WRITE, RECIPE_VECTOR)),
    ("vmsplice", transfer(0)),
    ("sendfile", transfer(0)),
    ("splice", transfer(2)),
    ("copy_file_range", transfer(2)),
    ("unlink", path(KIND_UNLINK, 0)),
    ("unlinkat", path_at(KIND_UNLINK, 1)),
    ("rmdir", path(KIND_UNLINK, 0)),
    ("rename", two_paths(KIND_RENAME)),
    ("renameat", two_paths_at(KIND_RENAME)),
    ("renameat2", two_paths_at(KIND_RENAME)),
    ("mkdir", path(KIND_MKDIR, 0)),
    ("mkdirat", path_at(KIND_MKDIR, 1)),
    ("chmod", path(KIND_CHMOD, 0)),
    ("fchmod", fd(KIND_CHMOD, 0)),
    ("fchmodat", path_at(KIND_CHMOD, 1)),
    ("fchmodat2", path_at(KIND_CHMOD, 1)),
    ("chown", path(KIND_CHOWN, 0)),
    ("lchown", path(KIND_CHOWN, 0)),
    ("fchown", fd(KIND_CHOWN, 0)),
    ("fchownat", path_at(KIND_CHOWN, 1)),
    ("link", two_paths(KIND_LINK)),
    ("linkat", two_paths_at(KIND_LINK)),
    ("symlink", SYMLINK),
    ("symlinkat", Recipe { path1: 2, base1: 1, ..SYMLINK }),
    ("mknod", path(KIND_MKNOD, 0)),
    ("mknodat", path_at(KIND_MKNOD, 1)),
    ("truncate", path(KIND_TRUNCATE, 0)),
    ("ftruncate", fd(KIND_TRUNCATE, 0)),
    ("setxattr", Recipe { text: 1, ..path(KIND_SET_XATTR, 0) }),
    ("lsetxattr", Recipe { text: 1, ..path(KIND_SET_XATTR, 0) }),
    ("fsetxattr", Recipe { text: 1, ..fd(KIND_SET_XATTR, 0) }),
    ("setxattrat", Recipe { text: 3, ..path_at(KIND_SET_XATTR, 1) }),
    ("utime", with_bytes(path(KIND_SET_TIMES, 0), 1, 16)),
    ("utimes", with_bytes(path(KIND_SET_TIMES, 0), 1, 32)),
    ("futimesat", flagged(with_bytes(path_at(KIND_SET_TIMES, 1), 2, 32), RECIPE_NULL_IS_FD)),
    ("utimensat", flagged(with_bytes(path_at(KIND_SET_TIMES, 1), 2, 32), RECIPE_NULL_IS_FD)),
    // Network.
    ("socket", call(KIND_SOCKET)),
    ("connect", socket(KIND_CONNECT, HANDLER_PLAIN, 1)),
    ("bind", socket(KIND_BIND, HANDLER_PLAIN, 1)),
    ("listen", fd(KIND_LISTEN, 0)),
    ("accept", ACCEPT),
    ("accept4", ACCEPT),
    ("sendto", SEND),
    ("sendmsg", flagged(SEND, RECIPE_VECTOR)),
    ("sendmmsg", flagged(SEND, RECIPE_VECTOR | RECIPE_MANY)),
    ("dup", DUP),
    ("dup2", DUP),
    ("dup3", DUP),
    ("fcntl", DUP),
    // Memory and other processes.
    ("mmap", handled(KIND_MEMORY, HANDLER_MMAP)),
    ("mprotect", handled(KIND_MEMORY, HANDLER_MPROTECT)),
    ("pkey_mprotect", handled(KIND_MEMORY, HANDLER_MPROTECT)),
    ("memfd_create", text(KIND_MEMFD_CREATE, 0)),
    ("ptrace", call(KIND_PTRACE)),
    ("process_vm_readv", call(KIND_PROCESS_MEMORY)),
    ("process_vm_writev", call(KIND_PROCESS_MEMORY)),
    ("kill", Recipe { text: 0, ..handled(KIND_KILL, HANDLER_KILL) }),
    ("tkill", Recipe { text: 0, ..handled(KIND_KILL, HANDLER_KILL) }),
    ("tgkill", Recipe { text: 0, ..handled(KIND_KILL, HANDLER_KILL) }),
    ("rt_sigqueueinfo", Recipe { text: 0, ..handled(KIND_KILL, HANDLER_KILL) }),
    ("rt_tgsigqueueinfo", Recipe { text: 0, ..handled(KIND_KILL, HANDLER_KILL) }),
    ("pidfd_send_signal", Recipe { fd: 0, ..handled(KIND_KILL, HANDLER_KILL) }),
    // Identity.
    ("setuid", call(KIND_SET_IDS)),
    ("setgid", call(KIND_SET_IDS)),
    ("setreuid", call(KIND_SET_IDS)),
    ("setregid", call(KIND_SET_IDS)),
    ("setresuid", call(KIND_SET_IDS)),
    ("setresgid", call(KIND_SET_IDS)),
    ("setfsuid", call(KIND_SET_IDS)),
    ("setfsgid", call(KIND_SET_IDS)),
    ("setgroups", with_bytes(call(KIND_SET_IDS), 1, 64)),
    ("prctl", handled(KIND_SET_NAME, HANDLER_PRCTL)),
    ("capset", with_bytes(SYSCALL, 1, 24)),
    ("personality", handled(KIND_SYSCALL, HANDLER_PERSONALITY)),
    // Descriptors that a write can go to without being a file's or a socket's: no events, but what
    // is known about an address may be over.
    ("pipe", FILE_MADE),
    ("pipe2", FILE_MADE),
    ("socketpair", FILE_MADE),
    ("eventfd", FILE_MADE),
    ("eventfd2", FILE_MADE),
    ("timerfd_create", FILE_MADE),
    ("inotify_init", FILE_MADE),
    ("inotify_init1", FILE_MADE),
    ("epoll_create", FILE_MADE),
    ("epoll_create1", FILE_MADE),
    ("mq_open", FILE_MADE),
    // The kernel's own surface.
    ("ioctl", handled(KIND_SYSCALL, HANDLER_IOCTL)),
    ("mount", flagged(two_paths(KIND_SYSCALL), RECIPE_RAW_PATH)),
    ("umount2", path(KIND_SYSCALL, 0)),
    ("pivot_root", two_paths(KIND_SYSCALL)),
    ("chroot", path(KIND_SYSCALL, 0)),
    ("move_mount", two_paths_at(KIND_SYSCALL)),
    ("open_tree", path_at(KIND_SYSCALL, 1)),
    ("open_tree_attr", path_at(KIND_SYSCALL, 1)),
    ("fspick", path_at(KIND_SYSCALL, 1)),
    ("mount_setattr", path_at(KIND_SYSCALL, 1)),
    ("fsopen", text(KIND_SYSCALL, 0)),
    ("fsconfig", text(KIND_SYSCALL, 2)),
    ("fsmount", SYSCALL),
    ("unshare", SYSCALL),
    ("setns", SYSCALL),
    ("bpf", SYSCALL),
    ("perf_event_open", SYSCALL),
    ("io_uring_setup", SYSCALL),
    ("io_uring_enter", SYSCALL),
    ("io_uring_register", SYSCALL),
    ("userfaultfd", SYSCALL),
    ("fanotify_init", SYSCALL),
    ("keyctl", SYSCALL),
    ("add_key", text(KIND_SYSCALL, 1)),
    ("request_key", text(KIND_SYSCALL, 1)),
    ("init_module", SYSCALL),
    ("finit_module", fd(KIND_SYSCALL, 0)),
    ("delete_module", text(KIND_SYSCALL, 0)),
    ("kexec_load", SYSCALL),
    ("kexec_file_load", fd(KIND_SYSCALL, 0)),
    ("pidfd_getfd", SYSCALL),
    ("process_madvise", SYSCALL),
    ("kcmp", SYSCALL),
    ("name_to_handle_at", path_at(KIND_SYSCALL, 1)),
    ("open_by_handle_at", SYSCALL),
    ("quotactl", path(KIND_SYSCALL, 1)),
    ("quotactl_fd", SYSCALL),
    ("swapon", path(KIND_SYSCALL, 0)),
    ("swapoff", path(KIND_SYSCALL, 0)),
    ("acct", path(KIND_SYSCALL, 0)),
    ("reboot", SYSCALL),
    ("sethostname", SYSCALL),
    ("setdomainname", SYSCALL),
    ("settimeofday", SYSCALL),
    ("clock_settime", SYSCALL),
    ("adjtimex", SYSCALL),
    ("clock_adjtime", SYSCALL),
    ("syslog", SYSCALL),
    ("iopl", SYSCALL),
    ("ioperm", SYSCALL),
    ("modify_ldt", SYSCALL),
    ("vhangup", SYSCALL),
];

/// The bytes of the table for the kernel side. Calls named in `refusable` make an event whenever
/// they are refused, whatever else is recorded of them.
pub(super) fn recipes(refusable: &[u32]) -> Vec<u8> {
    let mut recipes = vec![Recipe::IGNORE; RECIPES_LEN];
    for (name, recipe) in TABLE {
        if let Some(slot) = slot(&mut recipes, number(name)) {
            *slot = *recipe;
        }
    }
    for &nr in refusable {
        if let Some(recipe) = slot(&mut recipes, Some(nr)) {
            recipe.flags |= RECIPE_REFUSABLE;
            if recipe.kind == KIND_NONE {
                recipe.kind = KIND_SYSCALL;
            }
        }
    }
    recipes.into_iter().flat_map(Recipe::to_bytes).collect()
}

/// Whether the call is an event also when the policy did not refuse it.
pub(super) fn by_itself(nr: u32) -> bool {
    name(nr).is_some_and(|name| {
        TABLE.iter().any(|(row, recipe)| {
            *row == name && recipe.kind == KIND_SYSCALL && recipe.handler != HANDLER_FILE_MADE
        })
    })
}

fn slot(recipes: &mut [Recipe], nr: Option<u32>) -> Option<&mut Recipe> {
    recipes.get_mut(usize::try_from(nr?).ok()?)
}

#[cfg(test)]
mod tests {
    use ::ebpf::abi::{HANDLER_IGNORE, KIND_SYSCALL, RECIPE_REFUSABLE, RECIPES_LEN};

    use super::{TABLE, recipes};
    use crate::seccomp::number;

    #[test]
    fn every_row_is_a_known_call_and_stands_once() {
        let mut seen = std::collections::BTreeSet::new();
        for (name, _) in TABLE {
            let nr = number(name).unwrap_or_else(|| panic!("{name} has no number"));
            assert!(usize::try_from(nr).unwrap() < RECIPES_LEN);
            assert!(seen.insert(nr), "{name} stands twice");
        }
    }

    #[test]
    fn a_refusable_call_makes_an_event_of_some_type() {
        let getpid = number("getpid").unwrap();
        let bytes = recipes(&[getpid, 9999]);
        let row = &bytes[usize::try_from(getpid).unwrap() * 16..][..16];
        assert_eq!(row[..3], [KIND_SYSCALL, HANDLER_IGNORE, RECIPE_REFUSABLE]);
        assert_eq!(bytes.len(), RECIPES_LEN * 16);
    }
}
