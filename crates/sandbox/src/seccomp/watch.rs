//! Which allowed calls a filter with a listener tells the monitor about (tier C). Refused calls are
//! told always. What is made of a notification is the monitor's business.

use super::policy::{Case, Decision, Test};

const PROT_WRITE: u32 = 0x2;
const PROT_EXEC: u32 = 0x4;
const MAP_ANONYMOUS: u32 = 0x20;
/// `MAP_SHARED` is 1 in it and `MAP_SHARED_VALIDATE` 3.
const MAP_TYPE: u32 = 0xf;

const fn told(tests: &'static [Test]) -> Case {
    Case { tests, outcome: Decision::Allow }
}

const fn bits(arg: usize, mask: u32) -> Test {
    // Both bits of a two-bit mask must be set, so the only value is the mask itself; written as a
    // match because constants cannot borrow a computed array.
    let values: &'static [u32] = match mask {
        PROT_EXEC => &[PROT_EXEC],
        MAP_ANONYMOUS => &[MAP_ANONYMOUS],
        _ => &[PROT_WRITE | PROT_EXEC],
    };
    Test { arg, mask, values }
}

/// Write and execute at once, executable memory without a file, or shared executable memory (which
/// another mapping may write to). The dynamic linker's private mapping of a library is none of
/// these, so that a plain start is not slowed down.
const MMAP: &[Case] = &[
    told(&[bits(2, PROT_WRITE | PROT_EXEC)]),
    told(&[bits(2, PROT_EXEC), bits(3, MAP_ANONYMOUS)]),
    told(&[bits(2, PROT_EXEC), Test { arg: 3, mask: MAP_TYPE, values: &[1, 3] }]),
];
const MPROTECT: &[Case] = &[told(&[bits(2, PROT_EXEC)])];
/// Onto a standard stream; a socket that is put there is a shell's wiring.
const DUP: &[Case] = &[told(&[Test { arg: 1, mask: u32::MAX, values: &[0, 1, 2] }])];
/// `PR_SET_NAME`, and `PR_SET_SECCOMP`, whose filter could hide later attempts.
const PRCTL: &[Case] = &[told(&[Test { arg: 0, mask: u32::MAX, values: &[15, 22] }])];
/// Setting a mode or filter; asking what is supported is not told.
const SECCOMP: &[Case] = &[told(&[Test { arg: 0, mask: u32::MAX, values: &[0, 1] }])];

/// The watched calls with the arguments that make them worth a notification; an empty list stands
/// for any argument.
const WATCHED: &[(&str, &[Case])] = &[
    ("accept", &[]),
    ("accept4", &[]),
    ("bind", &[]),
    ("capset", &[]),
    ("chmod", &[]),
    ("chown", &[]),
    ("connect", &[]),
    ("creat", &[]),
    ("dup2", DUP),
    ("dup3", DUP),
    ("execve", &[]),
    ("execveat", &[]),
    ("exit", &[]),
    ("exit_group", &[]),
    ("fchmod", &[]),
    ("fchmodat", &[]),
    ("fchmodat2", &[]),
    ("fchown", &[]),
    ("fchownat", &[]),
    ("fsetxattr", &[]),
    ("ftruncate", &[]),
    ("futimesat", &[]),
    ("kill", &[]),
    ("lchown", &[]),
    ("link", &[]),
    ("linkat", &[]),
    ("listen", &[]),
    ("lsetxattr", &[]),
    ("memfd_create", &[]),
    ("mkdir", &[]),
    ("mkdirat", &[]),
    ("mknod", &[]),
    ("mknodat", &[]),
    ("mmap", MMAP),
    ("mprotect", MPROTECT),
    ("open", &[]),
    ("openat", &[]),
    ("openat2", &[]),
    ("pidfd_send_signal", &[]),
    ("pkey_mprotect", MPROTECT),
    ("prctl", PRCTL),
    ("rename", &[]),
    ("renameat", &[]),
    ("renameat2", &[]),
    ("rmdir", &[]),
    ("rt_sigqueueinfo", &[]),
    ("rt_tgsigqueueinfo", &[]),
    ("seccomp", SECCOMP),
    ("sendmmsg", &[]),
    ("sendmsg", &[]),
    ("sendto", &[]),
    ("setfsgid", &[]),
    ("setfsuid", &[]),
    ("setgid", &[]),
    ("setgroups", &[]),
    ("setregid", &[]),
    ("setresgid", &[]),
    ("setresuid", &[]),
    ("setreuid", &[]),
    ("setuid", &[]),
    ("setxattr", &[]),
    ("setxattrat", &[]),
    ("socket", &[]),
    ("symlink", &[]),
    ("symlinkat", &[]),
    ("tgkill", &[]),
    ("tkill", &[]),
    ("truncate", &[]),
    ("unlink", &[]),
    ("unlinkat", &[]),
    ("utime", &[]),
    ("utimensat", &[]),
    ("utimes", &[]),
];

/// The calls that take a process' memory away.
pub(crate) const HELD: &[&str] = &["execve", "execveat", "exit", "exit_group"];

/// When the call is told: none for never, an empty list for always.
pub(super) fn watched_when(name: &str) -> Option<&'static [Case]> {
    let at = WATCHED.binary_search_by_key(&name, |&(watched, _)| watched).ok()?;
    WATCHED.get(at).map(|&(_, cases)| cases)
}

/// The names of the watched calls, ascending.
pub(crate) fn watched() -> impl Iterator<Item = &'static str> {
    WATCHED.iter().map(|&(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::{WATCHED, watched_when};

    #[test]
    fn the_list_is_sorted_and_names_calls() {
        assert!(WATCHED.is_sorted_by_key(|&(name, _)| name));
        for (name, _) in WATCHED {
            assert!(crate::seccomp::number(name).is_some(), "{name}");
        }
        assert!(watched_when("read").is_none());
        assert!(watched_when("openat").is_some_and(<[_]>::is_empty));
    }
}
