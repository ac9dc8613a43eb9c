//! Runs one untrusted command on a guest kernel of its own: Firecracker where KVM boots a guest, QEMU
//! otherwise.

use std::collections::BTreeMap;

use sandbox::{RunError, Runner, Spec, Unsupported};
use types::Recording;

/// Guests of Firecracker or QEMU.
#[derive(Debug, Default)]
pub struct Microvm;

impl Runner for Microvm {
    fn name(&self) -> &'static str {
        "microvm"
    }

    fn capability(&self) -> Result<BTreeMap<String, String>, Unsupported> {
        Err(Unsupported { runner: "microvm", reason: "not built yet".to_owned() })
    }

    fn run(&self, _spec: &Spec) -> Result<Recording, RunError> {
        self.capability()?;
        Err(RunError::Refused { reason: "not built yet".to_owned() })
    }
}
