//! Tier A: what the kernel's own security hooks refuse to a run, where programs may hang on them.
//!
//! Behind the other walls: a guard refuses what the walls should have kept from being tried, and tells
//! of it with what the kernel had resolved. Who is refused what is the runner's business.

use std::os::fd::OwnedFd;

use ::ebpf::GUARD;
use ::ebpf::abi::{
    DENY_BIND, DENY_BPF, DENY_CONNECT, DENY_EXEC, DENY_MODULE, DENY_MOUNT, DENY_OPEN, DENY_PTRACE,
    DENY_SET_IDS, DENY_WRITE_EXECUTE,
};

use super::bpf;
use super::loader::{Maps, load_program, sharing};
use super::object::{Globals, KernelTypes};
use crate::monitor::Unavailable;

/// A program, the hook it hangs on, and what of a guard it is for.
type Hook = (&'static str, &'static str, Guard);

const HOOKS: [Hook; 13] = [
    ("guard_exec", "bprm_check_security", Guard::EXEC),
    ("guard_open", "file_open", Guard::OPEN),
    ("guard_connect", "socket_connect", Guard::CONNECT),
    ("guard_send", "socket_sendmsg", Guard::CONNECT),
    ("guard_bind", "socket_bind", Guard::BIND),
    ("guard_mmap", "mmap_file", Guard::WRITE_EXECUTE),
    ("guard_mprotect", "file_mprotect", Guard::WRITE_EXECUTE),
    ("guard_ptrace", "ptrace_access_check", Guard::PTRACE),
    ("guard_mount", "sb_mount", Guard::MOUNT),
    ("guard_bpf", "bpf", Guard::BPF),
    ("guard_read_module", "kernel_read_file", Guard::MODULE),
    ("guard_load_module", "kernel_load_data", Guard::MODULE),
    ("guard_set_ids", "task_fix_setuid", Guard::SET_IDS),
];

/// The programs that a guard needs, and their hooks. A hook that nothing hangs on costs nobody
/// anything.
pub(super) fn hooks(guard: Guard) -> impl Iterator<Item = (&'static str, &'static str)> {
    let needed = HOOKS.iter().filter(move |(_, _, part)| guard.0 & part.0 != 0);
    needed.map(|&(program, hook, _)| (program, hook))
}

/// What the kernel's functions for hooks are called, before the hook's name.
pub(super) const PREFIX: &str = "bpf_lsm_";
/// The security modules that are active, in their order.
const ACTIVE: &str = "/sys/kernel/security/lsm";

/// What is refused to the tasks of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Guard(u32);

impl Guard {
    /// Starting programs.
    pub const EXEC: Self = Self(DENY_EXEC);
    /// Opening files of any kind.
    pub const OPEN: Self = Self(DENY_OPEN);
    /// Connecting and sending to anything but Unix sockets.
    pub const CONNECT: Self = Self(DENY_CONNECT);
    /// Taking an address, but for Unix sockets.
    pub const BIND: Self = Self(DENY_BIND);
    /// Memory that is writable and executable at once.
    pub const WRITE_EXECUTE: Self = Self(DENY_WRITE_EXECUTE);
    /// Looking into or changing other processes.
    pub const PTRACE: Self = Self(DENY_PTRACE);
    pub const MOUNT: Self = Self(DENY_MOUNT);
    pub const BPF: Self = Self(DENY_BPF);
    /// Code and firmware for the kernel.
    pub const MODULE: Self = Self(DENY_MODULE);
    /// Changing user ids.
    pub const SET_IDS: Self = Self(DENY_SET_IDS);

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both.
    #[must_use]
    pub const fn within(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) const fn bits(self) -> u32 {
        self.0
    }
}

/// Loads the programs that a guard needs, in the order of `hooks`; they use the maps of the monitor.
pub(super) fn load(
    guard: Guard,
    globals: &Globals,
    kernel: &KernelTypes,
    shared: &Maps,
) -> Result<Vec<OwnedFd>, Unavailable> {
    let active = active();
    if active == Some(false) {
        return Err(Unavailable {
            reason: format!(
                "BPF is not among the active security modules ({ACTIVE}); boot with lsm=…,bpf"
            ),
        });
    }
    let (object, types, _maps) = sharing(GUARD, globals, kernel, shared)?;
    let load = |(name, hook): (&str, &str)| {
        let function = kernel.functions.get(&format!("{PREFIX}{hook}"));
        let function = function.ok_or_else(|| Unavailable {
            reason: format!("the kernel has no security hook {hook} for BPF (CONFIG_BPF_LSM)"),
        })?;
        load_program(&object, name, &types, bpf::Kind::Hook(*function))
    };
    let programs = hooks(guard).map(load).collect::<Result<_, _>>()?;
    // The kernel takes programs also where nobody calls them.
    active.map(|_| programs).ok_or_else(|| Unavailable {
        reason: format!(
            "whether the kernel asks its guards cannot be read from {ACTIVE}; mount securityfs"
        ),
    })
}

/// Whether BPF is one of the security modules that the kernel asks; none when that cannot be read.
fn active() -> Option<bool> {
    let list = std::fs::read_to_string(ACTIVE).ok()?;
    Some(list.trim().split(',').any(|module| module == "bpf"))
}
