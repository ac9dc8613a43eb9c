//! How grave it is when a detector is right, in the words that rules use, too.
//!
//! The weight of a finding says how sure it is and follows from what was seen; this says how much
//! it matters, and is only shown.

/// Somebody else is in control, or what is lost does not come back.
const CRITICAL: &[&str] = &[
    "shell-on-socket",
    "shell-behind-pipes",
    "reverse-shell-command",
    "library-preload",
    "web-shell",
    "mass-encryption",
    "mass-destruction",
    "disk-wipe",
    "memory-file-exec",
    "code-in-memory",
    "memory-implant",
    "rewritten-text",
    "process-injection",
    "namespace-escape",
    "host-interface",
    "key-logging",
    "decoy-sent",
    "decoys-taken-out",
    "shell-for-network-client",
];

/// Worth knowing, and also done by people who mean no harm.
const MEDIUM: &[&str] = &[
    "history-read",
    "credential-search",
    "shell-startup",
    "desktop-autostart",
    "installer-hook",
    "path-interception",
    "deleted-file-exec",
    "writable-code",
    "debugger-evasion",
    "privileged-file-search",
    "sudo-probe",
    "timestomp",
    "self-deletion",
    "exotic-socket",
    "raw-socket",
    "tunnel-tool",
    "anonymity-proxy",
    "obfuscated-command",
    "hidden-program",
    "misleading-name",
    "renamed-utility",
    "discovery-burst",
    "sandbox-checks",
    "security-software-search",
    "repository-hook",
    "login-spread",
    "compiled-after-delivery",
    "clipboard-read",
    "webhook-post",
    "bare-address",
    "unencrypted-login",
    "unlisted-host",
    "resource-exhaustion",
    "escaped-shell",
    "command-in-trap",
    "locked-archive",
    "archive-by-library",
    "padded-program",
    "file-shredded",
    "answers-kept",
    "hidden-folder",
    "processor-burned",
    "waiting-by-work",
    "service-started",
    "host-sweep",
];

/// `medium`, `high` or `critical`.
pub(crate) fn severity(id: &str) -> &'static str {
    if CRITICAL.contains(&id) {
        "critical"
    } else if MEDIUM.contains(&id) {
        "medium"
    } else {
        "high"
    }
}

#[cfg(test)]
mod tests {
    use super::{CRITICAL, MEDIUM};
    use crate::detectors::detectors;

    #[test]
    fn only_detectors_are_named_and_each_once() {
        let mut seen = Vec::new();
        for id in CRITICAL.iter().chain(MEDIUM) {
            assert!(detectors().iter().any(|info| info.id == *id), "{id} is no detector");
            assert!(!seen.contains(id), "{id} is there twice");
            seen.push(id);
        }
    }
}
