//! What this host offers a sandbox, and what each missing thing costs.
//!
//! Every line is tried, not guessed from a version: a namespace is created, a filter is compiled in
//! the kernel, a program is loaded. Nothing here decides what to do about it.

use std::fs;
use std::io;

use crate::monitor::{ebpf, notify};
use crate::runner::process;
use crate::sys::{self, Fork};

/// One thing a host may have.
#[derive(Debug, Clone)]
pub struct Capability {
    pub name: String,
    /// What was found, in words.
    pub state: String,
    pub available: bool,
    /// What is lost without it; empty when it is there.
    pub costs: String,
}

fn capability(name: &str, found: Result<String, String>, costs: &str) -> Capability {
    let available = found.is_ok();
    let (Ok(state) | Err(state)) = found;
    let costs = if available { String::new() } else { costs.to_owned() };
    Capability { name: name.to_owned(), state, available, costs }
}

/// Everything that the process runner and its monitors need, in the order a person asks. What other
/// runners need they tell themselves.
#[must_use]
pub fn all() -> Vec<Capability> {
    vec![
        capability(
            "BPF LSM (tier A)",
            ebpf::probe_guard()
                .map(|hooks| format!("refuses at {}", hooks.join(", ")))
                .map_err(|error| error.reason),
            "what gets past the filter for system calls is seen but not refused once more",
        ),
        capability(
            "eBPF at the end of kernel functions (tier A)",
            ebpf::probe_capture()
                .map(|functions| format!("takes what was resolved at {}", functions.join(", ")))
                .map_err(|error| error.reason),
            "paths of calls that open nothing are the task's word and marked advisory",
        ),
        capability(
            "eBPF (tier B)",
            ebpf::probe().map(|probe| probe.to_string()).map_err(|error| error.reason),
            "runs are watched by tier C: evidence is at most reduced",
        ),
        capability(
            "seccomp notification (tier C)",
            notify::probe()
                .map(|ability| {
                    let late = "; a signal may make it tell a call twice (before Linux 5.19)";
                    format!("works{}", if ability.uninterrupted { "" } else { late })
                })
                .map_err(|error| error.reason),
            "an ordinary user's runs cannot be watched: every verdict is inconclusive",
        ),
        capability("cgroups", cgroups(), "memory and processes are bounded by rlimits only"),
        capability(
            "user namespaces",
            user_namespaces(),
            "an ordinary user cannot run anything: run as root",
        ),
        capability("overlayfs", overlay(), "the process runner cannot build a root"),
        capability(
            "Landlock",
            crate::landlock::abi()
                .map(|abi| format!("ABI {abi}"))
                .ok_or_else(|| "not in this kernel, or not enabled (lsm= boot option)".to_owned()),
            "the second wall behind the mount namespace is missing",
        ),
    ]
}

/// Whether the process runner can build a sandbox and watch it here.
///
/// # Errors
/// What is missing, in words.
pub fn process_runner() -> Result<(), String> {
    overlay().map_err(|reason| format!("overlayfs is {reason}"))?;
    if sys::effective_uid() != 0 {
        user_namespaces().map_err(|reason| format!("user namespaces {reason}"))?;
    }
    match (notify::probe(), ebpf::probe()) {
        (Err(notify), Err(ebpf)) => {
            Err(format!("no monitor works: {}; {}", notify.reason, ebpf.reason))
        }
        _ => Ok(()),
    }
}

fn cgroups() -> Result<String, String> {
    let (mode, bounds) = process::cgroup_mode();
    if bounds {
        Ok(format!("{mode}: memory and pids controllers"))
    } else {
        Err(format!("{mode}: this user has no memory and pids controllers"))
    }
}

fn user_namespaces() -> Result<String, String> {
    match in_child(|| sys::unshare(libc::CLONE_NEWUSER)) {
        Ok(()) => Ok("can be created".to_owned()),
        Err(error) => Err(format!(
            "cannot be created: {error} (kernel.unprivileged_userns_clone, user.max_user_namespaces, AppArmor)"
        )),
    }
}

fn overlay() -> Result<String, String> {
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if known.lines().any(|line| line.trim_start_matches("nodev").trim() == "overlay") {
        Ok("in this kernel".to_owned())
    } else {
        Err("not in this kernel (module overlay?)".to_owned())
    }
}

/// Tries something in a process of its own, so that it leaves no trace in this one.
fn in_child(attempt: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    match sys::fork()? {
        Fork::Child => {
            let errno = attempt().err().and_then(|error| error.raw_os_error()).unwrap_or(0);
            sys::exit_now(errno & 0x7f)
        }
        Fork::Parent(pid) => match sys::wait(pid, 0) {
            Some((_, status)) if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0 => {
                Ok(())
            }
            Some((_, status)) if libc::WIFEXITED(status) => {
                Err(io::Error::from_raw_os_error(libc::WEXITSTATUS(status)))
            }
            _ => Err(io::Error::from_raw_os_error(libc::ECHILD)),
        },
    }
}
