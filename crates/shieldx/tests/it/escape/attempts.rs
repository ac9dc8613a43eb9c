//! The sixty-two attempts, and what must come of each wherever it is tried.

/// One row of docs/escape-suite.md.
pub(super) struct Attempt {
    pub(super) number: u8,
    /// What it tries, in words.
    pub(super) words: &'static str,
    /// Primitives that may succeed, because what they give stays inside.
    pub(super) free: &'static [&'static str],
    /// Primitives that answer with a count, and the most it may be.
    pub(super) most: &'static [(&'static str, i64)],
    pub(super) seen: Seen,
}

/// What the record must say of it.
pub(super) enum Seen {
    /// The policy refused every one of these calls (or kinds).
    Blocked(&'static [&'static str]),
    /// Any calls of another ABI were refused, whatever the monitor can call them.
    BlockedAny(u64),
    /// One of these is there and is not known to have succeeded.
    Tried(&'static [&'static str]),
    /// One of these is there.
    Happened(&'static [&'static str]),
    Limit(&'static str),
    /// The file it left is listed.
    Left(&'static str),
    /// There is no event, and why.
    Nothing(&'static str),
}

use Seen::{Blocked, BlockedAny, Happened, Left, Limit, Nothing, Tried};

const fn row(number: u8, words: &'static str, seen: Seen) -> Attempt {
    Attempt { number, words, free: &[], most: &[], seen }
}

impl Attempt {
    const fn free(mut self, names: &'static [&'static str]) -> Self {
        self.free = names;
        self
    }

    const fn most(mut self, bounds: &'static [(&'static str, i64)]) -> Self {
        self.most = bounds;
        self
    }
}

/// Processes and threads under `--pids 64`.
const PIDS: i64 = 64;

pub(super) const ATTEMPTS: [Attempt; 62] = [
    row(1, "fork bomb", Limit("pids")).most(&[("children", PIDS)]),
    row(2, "memory bomb", Limit("memory")),
    row(3, "fill /tmp, the working folder, /dev/shm", Limit("disk")),
    row(4, "use up inodes", Limit("disk")),
    row(5, "use up descriptors", Nothing("descriptors are counted by process")),
    row(6, "flood of output", Limit("output")).free(&["output"]),
    row(7, "spin past the deadline", Limit("time")).free(&["spin"]),
    row(8, "thread bomb", Limit("pids")).most(&[("threads", PIDS)]),
    row(9, "file of a terabyte of nothing", Tried(&["truncate"])),
    row(10, "gzip bomb left behind", Left("bomb.gz")).free(&["bomb"]),
    row(11, "double fork and setsid", Limit("survivors")).free(&["double-fork"]),
    row(12, "ignore all signals", Limit("survivors")).free(&["ignore"]),
    row(13, "zombies", Limit("pids")).most(&[("zombies", PIDS)]),
    // The first process of a namespace of its own may be signalled, and the kernel drops the signal.
    row(14, "kill who started it, and everybody by number", Tried(&["kill"])).free(&[
        "alive",
        "kill-parent",
        "kill-1",
    ]),
    row(15, "kill −1", Tried(&["kill"])),
    row(16, "clear the signal of the parent's death", Limit("survivors")).free(&["cleared"]),
    row(17, "ptrace a process of the host", Blocked(&["ptrace"])),
    row(18, "process_vm_writev to the host", Blocked(&["process_memory"])),
    row(19, "pidfd_getfd", Blocked(&["pidfd_getfd"])),
    row(20, "bpf", Blocked(&["bpf"])),
    row(21, "perf_event_open", Blocked(&["perf_event_open"])),
    row(22, "io_uring_setup", Blocked(&["io_uring_setup"])),
    row(23, "userfaultfd", Blocked(&["userfaultfd"])),
    row(24, "keyctl, add_key, request_key", Blocked(&["keyctl", "add_key", "request_key"])),
    row(25, "load and unload modules", Blocked(&["init_module", "finit_module", "delete_module"])),
    row(26, "kexec, reboot", Blocked(&["kexec_load", "kexec_file_load", "reboot"])),
    row(27, "nested user namespace", Blocked(&["unshare", "clone"])),
    row(28, "setns", Blocked(&["setns"])),
    row(
        29,
        "mount, old calls and new",
        Blocked(&["mount", "umount2", "open_tree", "move_mount", "fsopen", "mount_setattr"]),
    ),
    row(30, "pivot_root, chroot and out", Blocked(&["pivot_root", "chroot"])),
    row(31, "open_by_handle_at", Blocked(&["open_by_handle_at"])),
    row(
        32,
        "time namespace, set the clock",
        Blocked(&["unshare", "settimeofday", "clock_settime"]),
    ),
    row(33, "x32 and `int 0x80` past the filter", BlockedAny(2)),
    row(34, "TIOCSTI, also with high bits", Blocked(&["ioctl"])),
    row(35, "TIOCLINUX", Blocked(&["ioctl"])),
    row(36, "clone3 with namespace and cgroup flags", Blocked(&["clone3"])),
    row(37, "core_pattern", Tried(&["open"])),
    row(38, "release_agent, notify_on_release, a new cgroup", Tried(&["open"])),
    row(39, "sysrq-trigger", Tried(&["open"])),
    row(40, "modprobe path, uevent helper, binfmt_misc", Tried(&["open"])),
    row(41, "kcore, /dev/mem, /dev/kmsg, the disk", Tried(&["open"])),
    row(42, "overwrite /proc/self/exe and the first process", Tried(&["open"])),
    row(43, "folder descriptors and /proc/PID/cwd of outside", Tried(&["open"])),
    row(44, "race against masked paths", Tried(&["unlink"])),
    row(45, "artefacts that are links, pipes, devices, odd names", Left("drop/link"))
        .free(&["symlink", "folder", "up", "fifo", "plain"]),
    row(46, "setuid program", Tried(&["setuid"])),
    row(47, "file capabilities", Tried(&["set_xattr"])),
    row(48, "device nodes", Tried(&["mknod"])),
    row(49, "inherited descriptors", Nothing("none came in")),
    row(50, "sockets of Docker, D-Bus and the host by path", Tried(&["connect"])),
    row(51, "raw, packet and XDP sockets", Blocked(&["socket"])),
    row(52, "netlink: audit, netfilter, uevents, a new link", Blocked(&["socket"])),
    row(53, "AF_VSOCK to the host", Blocked(&["socket"])),
    row(54, "AF_ALG, Bluetooth", Blocked(&["socket"])),
    row(55, "abstract socket of the host", Tried(&["connect"])),
    row(56, "metadata addresses", Tried(&["connect"])),
    row(57, "loopback and gateways of the host", Tried(&["connect"])),
    // A datagram to a loopback of one's own succeeds and reaches nobody.
    row(58, "DNS tunnel", Tried(&["dns", "send"])).free(&["host", "stub"]),
    row(59, "SCM_RIGHTS to the host", Tried(&["connect"])),
    row(60, "flood of events before one that matters", Blocked(&["ptrace"])),
    row(61, "spoofed name and arguments", Happened(&["set_name"])).free(&["named"]),
    row(62, "tell the sandbox apart", Happened(&["open"])).free(&["machine-id"]),
];

pub(super) fn attempt(number: u8) -> &'static Attempt {
    ATTEMPTS.iter().find(|attempt| attempt.number == number).expect("a number of the list")
}
