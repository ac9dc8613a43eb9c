//! Who a container, image or volume belongs to, written on it as labels, and whether that process is
//! still there.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

/// The run's id.
pub(crate) const RUN: &str = "com.shieldx.run";
/// Boot, pid namespace, pid and start time of the process that made it.
pub(crate) const OWNER: &str = "com.shieldx.owner";

/// What identifies a process of this host: a pid alone is used again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    boot: String,
    namespace: u64,
    pid: u32,
    /// In clock ticks since boot, field 22 of proc_pid_stat(5).
    started: u64,
}

impl Owner {
    /// This process.
    pub(crate) fn own() -> Self {
        let pid = std::process::id();
        Self { boot: boot(), namespace: namespace(), pid, started: started(pid).unwrap_or(0) }
    }

    /// Whether the process is gone for certain. One in another pid namespace of this boot cannot be
    /// seen from here, and is taken to be alive.
    pub(crate) fn is_gone(&self) -> bool {
        self.boot != boot()
            || (self.namespace == namespace() && started(self.pid) != Some(self.started))
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let (boot, namespace) = (parts.next()?.to_owned(), parts.next()?.parse().ok()?);
        let (pid, started) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        parts.next().is_none().then_some(Self { boot, namespace, pid, started })
    }

    /// The labels of something made for a run.
    pub(crate) fn labels(&self, run_id: &str) -> HashMap<String, String> {
        HashMap::from([(RUN.to_owned(), run_id.to_owned()), (OWNER.to_owned(), self.to_string())])
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}/{}", self.boot, self.namespace, self.pid, self.started)
    }
}

fn boot() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

fn namespace() -> u64 {
    fs::metadata("/proc/self/ns/pid").map_or(0, |meta| meta.ino())
}

fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; the fields after it do not.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::Owner;

    #[test]
    fn the_dead_are_told_from_the_living() {
        let own = Owner::own();
        assert!(!own.is_gone());
        assert_eq!(Owner::parse(&own.to_string()), Some(own.clone()));
        assert!(Owner { boot: "an earlier one".to_owned(), ..own.clone() }.is_gone());
        assert!(Owner { started: own.started + 1, ..own.clone() }.is_gone());
        assert!(Owner { pid: u32::MAX, ..own.clone() }.is_gone());
        assert!(!Owner { namespace: 1, pid: u32::MAX, ..own }.is_gone());
    }

    #[test]
    fn labels_of_others_are_not_ours() {
        for text in ["", "a/b/c/d", "boot/1/2", "boot/1/2/3/4"] {
            assert_eq!(Owner::parse(text), None, "{text}");
        }
    }
}
