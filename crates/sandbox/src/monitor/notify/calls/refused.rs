//! Calls the policy refused. They did not run, so their arguments are an intention.

use types::{Kind, Text};

use super::{Call, Draft, network};
use crate::monitor::notify::paths::Last;
use crate::seccomp::{self, NAMESPACE_FLAGS};

/// The fact; none when the refusal only makes the C library take an older call.
pub(in crate::monitor::notify) fn refused(call: &mut Call<'_>) -> Option<Draft> {
    let nr = u32::try_from(call.nr).unwrap_or(u32::MAX);
    if seccomp::is_fallback(nr) {
        // The first field of struct clone_args.
        let flags = call.memory.array::<8>(call.args[0]);
        let flags = u64::from_ne_bytes(call.readable(flags));
        if flags & NAMESPACE_FLAGS == 0 {
            return None;
        }
        let kind = Kind::Syscall { call: "clone3".into(), args: vec![flags], target: None };
        return Some(Draft::pointed(kind));
    }
    let draft = match call.nr {
        libc::SYS_ptrace => {
            Draft::plain(Kind::Ptrace { request: call.args[0], target_pid: call.word(1) })
        }
        libc::SYS_process_vm_readv | libc::SYS_process_vm_writev => {
            let write = call.nr == libc::SYS_process_vm_writev;
            Draft::plain(Kind::ProcessMemory { write, target_pid: call.word(0) })
        }
        libc::SYS_socket => Draft::plain(network::socket(call)),
        _ => {
            let (target, advisory) = match target(call) {
                Some(target) => (Some(target), true),
                None => (None, false),
            };
            Draft { advisory, ..Draft::plain(other(call, target)) }
        }
    };
    Some(draft)
}

/// A call made through another ABI: its number means something else there.
pub(in crate::monitor::notify) fn foreign(arch: u32, call: &Call<'_>) -> Draft {
    let name = format!("arch_{arch:08x}_{}", call.nr);
    Draft::plain(Kind::Syscall { call: name, args: call.args.to_vec(), target: None })
}

/// The call as it is.
pub(super) fn other(call: &Call<'_>, target: Option<Text>) -> Kind {
    let name = u32::try_from(call.nr).ok().and_then(seccomp::name);
    let name = name.map_or_else(|| format!("syscall_{}", call.nr), str::to_owned);
    Kind::Syscall { call: name, args: call.args.to_vec(), target }
}

/// The path that the call is about.
fn target(call: &mut Call<'_>) -> Option<Text> {
    let (dirfd, index) = match call.nr {
        libc::SYS_mount => (None, 1),
        libc::SYS_umount2
        | libc::SYS_pivot_root
        | libc::SYS_chroot
        | libc::SYS_swapon
        | libc::SYS_swapoff
        | libc::SYS_acct => (None, 0),
        libc::SYS_open_tree | libc::SYS_mount_setattr | libc::SYS_fspick => (Some(0), 1),
        libc::SYS_move_mount => (Some(2), 3),
        _ => return None,
    };
    (call.args[index] != 0).then(|| call.path(dirfd, index, Last::Follow).path)
}
