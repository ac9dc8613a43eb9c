//! What unpacking a root came to, for the run's report.

use serde::{Deserialize, Serialize};

/// What was unpacked and what was left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub entries: u64,
    pub bytes: u64,
    /// Folders that must hide what lies below the tree; their mark needs rights this room lacks.
    pub opaque: Vec<Vec<u8>>,
    pub(super) devices: u64,
    pub(super) attributes: u64,
    pub(super) capabilities: u64,
    pub(super) nobody: u64,
    pub(super) unknown: u64,
    pub(super) flattened: bool,
}

impl Report {
    /// What a reader of the run's report should know.
    pub(crate) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let mut note = |count: u64, what: &str| {
            if count > 0 {
                notes.push(format!("{count} {what}"));
            }
        };
        note(self.devices, "device nodes and FIFOs were not unpacked");
        note(self.capabilities, "file capabilities (security.capability) were not unpacked");
        note(self.attributes, "other extended attributes were not unpacked");
        note(self.nobody, "owners or groups above 65535 became nobody");
        note(self.unknown, "entries of unknown kinds were not unpacked");
        if self.flattened {
            notes.push("everything unpacked belongs to the command's user: an ordinary user cannot keep owners".to_owned());
        }
        notes
    }
}
