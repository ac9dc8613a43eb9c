//! Which calls the command may make: one model, from which both the kernel's filter and the
//! monitor's answer to "was this blocked?" are derived.
//!
//! An allow-list. Docker's default profile is the yardstick for what ordinary software needs; what
//! reaches for the kernel's own surface is refused on top of it. The filter language sees numbers
//! and registers only, so nothing here follows a pointer. Only x86_64 is known; another
//! architecture needs its own tables.
//!
//! Choices worth a reason:
//! - Errors are those software copes with: `EPERM` as a container would give, `ENOSYS` where a
//!   C library falls back to an older call or the kernel could lack the call anyway.
//! - Register arguments are compared on the low 32 bits where the kernel itself only takes those
//!   (`int`, `unsigned int`, the flags of clone); a wider comparison could be sidestepped with high
//!   bits that the kernel ignores (CVE-2019-10063, CVE-2023-28100).
//! - The setuid family, chown and mknod are allowed by number: the command holds no capability, so
//!   the kernel refuses what matters, and software that drops to its own uid keeps working.
//! - `personality` may be asked, and may set what Docker allows and `ADDR_NO_RANDOMIZE`, but not
//!   `READ_IMPLIES_EXEC`, which would make memory executable without a word in any later call.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::names::{known, names};
use crate::spec::Net;

/// What the policy answers to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Allow,
    /// The call returns this errno without having run.
    Refuse(i32),
}

/// A test on the low 32 bits of one argument: `args[arg] & mask` is one of `values`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Test {
    pub(super) arg: usize,
    pub(super) mask: u32,
    pub(super) values: &'static [u32],
}

/// When all tests hold, the outcome stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    pub(super) tests: &'static [Test],
    pub(super) outcome: Decision,
}

/// The rule of one call.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rule {
    Always(Decision),
    /// The first case that holds, or the last field.
    First(&'static [Case], Decision),
}

/// The rules of one run.
#[derive(Debug, Clone)]
pub struct Policy {
    /// By number, for [`known`] calls; shared, since every monitor holds one.
    rules: Arc<BTreeMap<u32, Rule>>,
}

impl Policy {
    /// The policy of every run. Without a network only what a program needs to notice that is
    /// left; with a loopback also echo sockets.
    #[must_use]
    pub fn standard(net: Net) -> Policy {
        let rules = known().map(|(nr, name)| (nr, rule_of(name, net))).collect();
        Policy { rules: Arc::new(rules) }
    }

    /// Whether the call runs. `nr` is the number in the 64-bit ABI, `args` the six registers; a
    /// call made through another ABI is refused with [`super::FOREIGN_ABI_ERRNO`].
    #[must_use]
    pub fn decide(&self, nr: u32, args: &[u64; 6]) -> Decision {
        match self.rule(nr) {
            Rule::Always(decision) => decision,
            Rule::First(cases, otherwise) => cases
                .iter()
                .find(|case| case.tests.iter().all(|test| test.holds(args)))
                .map_or(otherwise, |case| case.outcome),
        }
    }

    /// The known numbers that are refused always or for some arguments, ascending. Numbers that
    /// the table does not know are refused too and cannot be listed.
    #[must_use]
    pub fn refusable(&self) -> Vec<u32> {
        known().map(|(nr, _)| nr).filter(|&nr| self.rule(nr).refuses()).collect()
    }

    pub(super) fn rule(&self, nr: u32) -> Rule {
        self.rules.get(&nr).copied().unwrap_or(Rule::Always(Decision::Refuse(libc::ENOSYS)))
    }
}

fn rule_of(name: &str, net: Net) -> Rule {
    match name {
        "clone" => Rule::First(CLONE, Decision::Refuse(libc::EPERM)),
        "unshare" => Rule::First(UNSHARE, Decision::Refuse(libc::EPERM)),
        "personality" => Rule::First(PERSONALITY, Decision::Refuse(libc::EPERM)),
        "ioctl" => Rule::First(IOCTL, Decision::Allow),
        "socket" => {
            let cases = if net == Net::None { SOCKET } else { SOCKET_LOOPBACK };
            Rule::First(cases, Decision::Refuse(libc::EAFNOSUPPORT))
        }
        "socketpair" => Rule::First(SOCKETPAIR, Decision::Refuse(libc::EAFNOSUPPORT)),
        name if ALLOWED.contains(&name) => Rule::Always(Decision::Allow),
        name if FORBIDDEN.contains(&name) => Rule::Always(Decision::Refuse(libc::EPERM)),
        _ => Rule::Always(Decision::Refuse(libc::ENOSYS)),
    }
}

/// Whether a refusal of this call says nothing by itself: clone3 keeps its flags in memory, out of
/// the filter's sight, and is refused so that the C library falls back to clone. A monitor reads
/// the flags before it calls the attempt blocked.
#[must_use]
pub fn is_fallback(nr: u32) -> bool {
    i64::from(nr) == libc::SYS_clone3
}

/// Every flag that asks for a new namespace, as clone3 takes them (clone cannot ask for a time
/// namespace: there the bit is part of the exit signal).
pub const NAMESPACE_FLAGS: u64 = NEW_NAMESPACES as u64 | NEW_TIME as u64;

impl Test {
    fn holds(&self, args: &[u64; 6]) -> bool {
        self.values.contains(&(low(args[self.arg]) & self.mask))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the kernel takes the low 32 bits as well")]
fn low(value: u64) -> u32 {
    value as u32
}

impl Rule {
    fn refuses(&self) -> bool {
        let refuse = |decision: &Decision| matches!(decision, Decision::Refuse(_));
        match self {
            Rule::Always(decision) => refuse(decision),
            Rule::First(cases, otherwise) => {
                refuse(otherwise) || cases.iter().any(|case| refuse(&case.outcome))
            }
        }
    }
}

const ALL: u32 = u32::MAX;

const fn is(arg: usize, values: &'static [u32]) -> Test {
    Test { arg, mask: ALL, values }
}

const fn allow(tests: &'static [Test]) -> Case {
    Case { tests, outcome: Decision::Allow }
}

const fn refuse(errno: i32, tests: &'static [Test]) -> Case {
    Case { tests, outcome: Decision::Refuse(errno) }
}

/// `CLONE_NEWNS`, `NEWCGROUP`, `NEWUTS`, `NEWIPC`, `NEWUSER`, `NEWPID`, `NEWNET`.
const NEW_NAMESPACES: u32 = 0x7e02_0000;
/// `CLONE_NEWTIME`.
const NEW_TIME: u32 = 0x80;

const CLONE: &[Case] = &[allow(&[Test { arg: 0, mask: NEW_NAMESPACES, values: &[0] }])];

/// Without a new namespace it undoes sharing that clone set up, which is a program's own business.
const UNSHARE: &[Case] =
    &[allow(&[Test { arg: 0, mask: NEW_NAMESPACES | NEW_TIME, values: &[0] }])];

/// Linux, 32-bit Linux, `UNAME26` with both, `ADDR_NO_RANDOMIZE`, and the query.
const PERSONALITY: &[Case] = &[allow(&[is(0, &[0, 0x8, 0x2_0000, 0x2_0008, 0x4_0000, ALL])])];

/// Typing into the caller's terminal (`TIOCSTI`, `TIOCLINUX`) and line disciplines (`TIOCSETD`),
/// which load kernel modules on request.
const IOCTL: &[Case] = &[refuse(libc::EPERM, &[is(1, &[0x5412, 0x541c, 0x5423])])];

const UNIX: u32 = 1;
const INET: u32 = 2;
const INET6: u32 = 10;
const NETLINK: u32 = 16;
const PACKET: u32 = 17;
const STREAM: u32 = 1;
const DGRAM: u32 = 2;
const RAW: u32 = 3;
/// The flags `SOCK_CLOEXEC` and `SOCK_NONBLOCK` are set aside.
const TYPE_MASK: u32 = 0xf;
/// Default, TCP, UDP and Multipath TCP, which Go asks for by itself.
const TRANSPORTS: &[u32] = &[0, 6, 17, 262];
/// The same with ICMP and ICMPv6 echo.
const TRANSPORTS_AND_ECHO: &[u32] = &[0, 1, 6, 17, 58, 262];

const fn kind(values: &'static [u32]) -> Test {
    Test { arg: 1, mask: TYPE_MASK, values }
}

macro_rules! socket_cases {
    ($transports:expr) => {
        &[
            allow(&[is(0, &[UNIX])]),
            allow(&[is(0, &[INET, INET6]), kind(&[STREAM, DGRAM]), is(2, $transports)]),
            // NETLINK_ROUTE only: name resolution lists addresses with it. For the others the
            // audit library takes this errno as "not in this kernel".
            allow(&[is(0, &[NETLINK]), is(2, &[0])]),
            refuse(libc::EPROTONOSUPPORT, &[is(0, &[NETLINK])]),
            refuse(libc::EPERM, &[is(0, &[INET, INET6]), kind(&[RAW])]),
            refuse(libc::EPROTONOSUPPORT, &[is(0, &[INET, INET6])]),
            refuse(libc::EPERM, &[is(0, &[PACKET])]),
        ]
    };
}

const SOCKET: &[Case] = socket_cases!(TRANSPORTS);
const SOCKET_LOOPBACK: &[Case] = socket_cases!(TRANSPORTS_AND_ECHO);

/// Another family would only load its kernel module before it answers that it cannot.
const SOCKETPAIR: &[Case] = &[allow(&[is(0, &[UNIX])])];

/// Allowed with any argument.
const ALLOWED: &[&str] = names! {
    accept accept4 access alarm arch_prctl bind brk cachestat capget capset chdir chmod chown
    clock_getres clock_gettime clock_nanosleep close close_range connect copy_file_range creat dup
    dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd
    eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fallocate fchdir fchmod
    fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr file_getattr file_setattr
    flistxattr flock fork fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex futex_requeue
    futex_wait futex_waitv futex_wake futimesat get_mempolicy get_robust_list get_thread_area
    getcpu getcwd getdents getdents64 getegid geteuid getgid getgroups getitimer getpeername
    getpgid getpgrp getpid getppid getpriority getrandom getresgid getresuid getrlimit getrusage
    getsid getsockname getsockopt gettid gettimeofday getuid getxattr getxattrat inotify_add_watch
    inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents
    io_setup io_submit ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset
    landlock_restrict_self lchown lgetxattr link linkat listen listxattr listxattrat llistxattr
    lremovexattr lseek lsetxattr lstat madvise map_shadow_stack mbind membarrier memfd_create
    mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mprotect mq_getsetattr mq_notify
    mq_open mq_timedreceive mq_timedsend mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync
    munlock munlockall munmap name_to_handle_at nanosleep newfstatat open openat openat2 pause
    pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll prctl
    pread64 preadv preadv2 prlimit64 process_mrelease pselect6 pwrite64 pwritev pwritev2 read
    readahead readlink readlinkat readv recvfrom recvmmsg recvmsg remap_file_pages removexattr
    removexattrat rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending
    rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo
    sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam
    sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam
    sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop sendfile sendmmsg
    sendmsg sendto set_mempolicy set_mempolicy_home_node set_robust_list set_thread_area
    set_tid_address setfsgid setfsuid setgid setgroups setitimer setpgid setpriority setregid
    setresgid setresuid setreuid setrlimit setsid setsockopt setuid setxattr setxattrat shmat
    shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 splice stat statfs statx symlink
    symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete
    timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime
    times tkill truncate umask uname unlink unlinkat uprobe uretprobe utime utimensat utimes vfork
    vmsplice wait4 waitid write writev
};

/// Refused with `EPERM`: calls that reach for other processes, the kernel or the machine. All other
/// known calls that are not allowed answer `ENOSYS`.
const FORBIDDEN: &[&str] = names! {
    acct add_key adjtimex bpf chroot clock_adjtime clock_settime delete_module fanotify_init
    fanotify_mark finit_module fsconfig fsmount fsopen fspick init_module io_uring_enter
    io_uring_register io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load keyctl
    lookup_dcookie migrate_pages modify_ldt mount mount_setattr move_mount move_pages
    open_by_handle_at open_tree open_tree_attr perf_event_open pidfd_getfd pivot_root
    process_madvise process_vm_readv process_vm_writev ptrace quotactl quotactl_fd reboot
    request_key setdomainname sethostname setns settimeofday swapoff swapon syslog umount2
    userfaultfd vhangup
};

#[cfg(test)]
mod tests {
    use super::{ALLOWED, Decision, FORBIDDEN, Policy};
    use crate::seccomp::number;
    use crate::spec::Net;

    fn decide(call: &str, args: &[u64]) -> Decision {
        let mut six = [0; 6];
        six[..args.len()].copy_from_slice(args);
        Policy::standard(Net::None).decide(number(call).unwrap(), &six)
    }

    #[test]
    fn every_listed_name_is_a_call_and_listed_once() {
        let mut seen = std::collections::BTreeSet::new();
        for call in ALLOWED.iter().chain(FORBIDDEN) {
            assert!(number(call).is_some(), "{call}");
            assert!(seen.insert(call), "{call} twice");
        }
    }

    #[test]
    fn high_bits_do_not_pass_by() {
        const HIGH: u64 = 1 << 32;
        let eperm = Decision::Refuse(libc::EPERM);
        assert_eq!(decide("ioctl", &[0, 0x5412 | HIGH]), eperm);
        assert_eq!(decide("ioctl", &[0, 0x541c | HIGH]), eperm);
        assert_eq!(decide("clone", &[0x1000_0011 | HIGH]), eperm);
        assert_eq!(decide("unshare", &[0x80]), eperm);
        assert_eq!(decide("personality", &[0x40_0000]), eperm);
        assert_eq!(decide("personality", &[u64::from(u32::MAX)]), Decision::Allow);
        assert_eq!(decide("clone", &[0x0120_0011]), Decision::Allow);
    }

    #[test]
    fn sockets_are_the_four_families_and_no_raw_ones() {
        let eafnosupport = Decision::Refuse(libc::EAFNOSUPPORT);
        assert_eq!(decide("socket", &[1, 1 | 0o2_000_000, 0]), Decision::Allow);
        assert_eq!(decide("socket", &[2, 1, 262]), Decision::Allow);
        assert_eq!(decide("socket", &[10, 2, 17]), Decision::Allow);
        assert_eq!(decide("socket", &[16, 3, 0]), Decision::Allow);
        assert_eq!(decide("socket", &[16, 3, 9]), Decision::Refuse(libc::EPROTONOSUPPORT));
        assert_eq!(decide("socket", &[2, 3, 1]), Decision::Refuse(libc::EPERM));
        assert_eq!(decide("socket", &[2, 2, 1]), Decision::Refuse(libc::EPROTONOSUPPORT));
        assert_eq!(decide("socket", &[17, 3, 0]), Decision::Refuse(libc::EPERM));
        assert_eq!(decide("socket", &[40, 1, 0]), eafnosupport);
        assert_eq!(decide("socket", &[38, 5, 0]), eafnosupport);
        assert_eq!(decide("socketpair", &[30, 1, 0]), eafnosupport);
        let echo = Policy::standard(Net::Loopback);
        let nr = number("socket").unwrap();
        assert_eq!(echo.decide(nr, &[2, 2, 1, 0, 0, 0]), Decision::Allow);
    }

    #[test]
    fn other_abis_and_unknown_numbers_are_refused() {
        let policy = Policy::standard(Net::None);
        for nr in [400, 470, 999, 0x4000_0000, 0x4000_0001, u32::MAX] {
            assert_eq!(policy.decide(nr, &[0; 6]), Decision::Refuse(libc::ENOSYS), "{nr}");
        }
    }

    #[test]
    fn refusable_names_what_can_be_refused_and_nothing_else() {
        let refusable = Policy::standard(Net::None).refusable();
        for call in ["ptrace", "clone", "socket", "ioctl", "clone3", "vserver"] {
            assert!(refusable.contains(&number(call).unwrap()), "{call}");
        }
        for call in ["read", "mmap", "execve", "setuid"] {
            assert!(!refusable.contains(&number(call).unwrap()), "{call}");
        }
    }
}
