//! Firecracker, where it is installed and a canary of its own boots under KVM.
//!
//! A guest is described call by call over the monitor's API socket, started, and talks over vsock,
//! which Firecracker shows the host as Unix sockets in the run's folder. With Firecracker's own
//! jailer that one builds the walls, else the walls are ours.

pub mod api;
pub mod machine;

use std::time::Duration;

use crate::Config;
use crate::canary::{KVM_MAX, UP, WORD};
use crate::guest::Guest;
use crate::ready::program;
use machine::{Machine, Programs};

/// A canary has no disk and nothing to say but that it is there.
const CANARY_MIB: u64 = 256;

/// Finds Firecracker and tries it.
///
/// # Errors
/// Why it is not used, in words.
pub(crate) fn find(
    config: &Config,
    guest: &Guest,
    kvm_refused: Option<&str>,
) -> Result<Programs, String> {
    let path = program(config.firecracker.as_deref(), "firecracker", &config.path)
        .ok_or_else(|| "not installed".to_owned())?;
    if let Some(reason) = kvm_refused {
        return Err(format!("it needs KVM, and {reason}"));
    }
    let version =
        api::version(&path).map_err(|error| format!("{} does not run: {error}", path.display()))?;
    let jailer = program(config.jailer.as_deref(), "jailer", &config.path);
    let programs = Programs { firecracker: path, jailer, version };
    canary(&programs, guest, KVM_MAX)?;
    Ok(programs)
}

/// Boots a guest that only says that it is there; how long that took.
///
/// # Errors
/// Why it did not.
pub fn canary(programs: &Programs, guest: &Guest, within: Duration) -> Result<Duration, String> {
    let machine = Machine {
        id: &format!("canary-{}", std::process::id()),
        kernel: guest.vmlinux(),
        initramfs: guest.initramfs(),
        memory_mib: CANARY_MIB,
        disks: Vec::new(),
        word: Some(WORD),
        folder: &guest.folder,
    };
    let (mut running, _) = machine
        .start(programs, false)
        .map_err(|error| format!("its canary did not start: {error}"))?;
    running.vmm.says(UP, within).map_err(|reason| format!("its canary did not come up: {reason}"))
}
