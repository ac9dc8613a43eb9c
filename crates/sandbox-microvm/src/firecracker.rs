//! Firecracker, where the canary boots under KVM.

use crate::Config;
use crate::ready::program;

/// Whether Firecracker is used, in words.
pub(crate) fn state(config: &Config, kvm_refused: Option<&str>) -> String {
    let found = program(config.firecracker.as_deref(), "firecracker", &config.path);
    match (found, kvm_refused) {
        (None, _) => "not used: not installed".to_owned(),
        (Some(_), Some(reason)) => format!("not used: it needs KVM, and {reason}"),
        (Some(path), None) => path.display().to_string(),
    }
}
