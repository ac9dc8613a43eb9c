//! Whether this host's processor carries guests. A device file that opens proves nothing: there are
//! hosts where it opens, makes a machine, and never boots an ordinary kernel. So one guest is booted,
//! under a deadline, before KVM is believed; the answer holds until the host boots again.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::guest::Guest;
use crate::vmm::Acceleration;
use crate::vmm::qemu::Qemu;

/// A guest under KVM is up within a second; one that is not by now never will be.
pub const KVM_MAX: Duration = Duration::from_secs(10);
/// What init says in a canary, and the word that makes it one.
pub const UP: &str = "shieldx guest is up";
pub const WORD: &str = "shieldx.canary";
const MEMORY_MIB: u64 = 256;
const ANSWER: &str = "acceleration.json";

/// What was found out, and for what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Answer {
    boot_id: String,
    /// The monitor's file and the kernel that was booted.
    what: String,
    /// Why KVM is not used; absent where it is.
    refused: Option<String>,
}

/// The acceleration to use, and why it is not KVM where it is not.
#[must_use]
pub fn acceleration(qemu: &Path, guest: &Guest) -> (Acceleration, Option<String>) {
    let boot_id = boot_id();
    let what = identity(qemu, guest);
    let path = guest.folder.join(ANSWER);
    let known = fs::read(&path).ok().and_then(|text| serde_json::from_slice::<Answer>(&text).ok());
    let refused = match known {
        Some(known) if known.boot_id == boot_id && known.what == what => known.refused,
        _ => {
            let refused = try_kvm(qemu, guest).err();
            keep(&path, &Answer { boot_id, what, refused: refused.clone() });
            refused
        }
    };
    let acceleration = if refused.is_none() { Acceleration::Kvm } else { Acceleration::Tcg };
    (acceleration, refused)
}

/// Keeps that KVM does not carry guests here after all.
pub(crate) fn disbelieve(qemu: &Path, guest: &Guest, reason: &str) {
    let refused = Some(reason.to_owned());
    let answer = Answer { boot_id: boot_id(), what: identity(qemu, guest), refused };
    keep(&guest.folder.join(ANSWER), &answer);
}

fn boot_id() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

fn identity(qemu: &Path, guest: &Guest) -> String {
    let file = fs::metadata(qemu).map(|meta| (meta.dev(), meta.ino(), meta.len(), meta.mtime()));
    format!("{} {:?} {}", qemu.display(), file.ok(), guest.manifest.vmlinuz_sha256)
}

fn try_kvm(qemu: &Path, guest: &Guest) -> Result<(), String> {
    fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .map_err(|error| format!("/dev/kvm: {error}"))?;
    boot(qemu, guest, Acceleration::Kvm, KVM_MAX).map(drop).map_err(|reason| {
        format!("/dev/kvm opens, but a guest that was tried did not come up: {reason}")
    })
}

/// Boots a guest that only says that it is there; how long that took.
///
/// # Errors
/// Why it did not.
pub fn boot(
    qemu: &Path,
    guest: &Guest,
    acceleration: Acceleration,
    within: Duration,
) -> Result<Duration, String> {
    let canary = Qemu {
        program: qemu,
        acceleration,
        kernel: guest.vmlinuz(),
        initramfs: guest.initramfs(),
        memory_mib: MEMORY_MIB,
        disks: Vec::new(),
        word: Some(WORD),
    };
    let (mut vmm, _wires, _walls) =
        canary.start().map_err(|error| format!("{} did not start: {error}", qemu.display()))?;
    vmm.says(UP, within)
}

/// Kept beside the guest; where that cannot be written it is found out again next time.
fn keep(path: &Path, answer: &Answer) {
    if let Ok(text) = serde_json::to_vec(answer) {
        let new = path.with_extension(format!("new-{}", std::process::id()));
        if fs::write(&new, text).and_then(|()| fs::rename(&new, path)).is_err() {
            let _ = fs::remove_file(&new);
        }
    }
}
