//! The runners of this host that start programs, ready for the suites that are the same for all.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use types::Tier;

#[cfg(feature = "sandbox-docker")]
use crate::daemon::{BUSYBOX, Daemon};
use crate::lab::{Lab, ORDINARY_USER, Shieldx, belongings, have, tier};

/// One runner, ready.
pub(crate) struct Way {
    /// The head of its column.
    pub(crate) column: &'static str,
    pub(crate) options: &'static [&'static str],
    /// What a shell script needs beside them.
    pub(crate) shell: &'static [&'static str],
    /// Whom `shieldx` runs as, where not as root.
    pub(crate) user: Option<PathBuf>,
    /// Whether the page's column is of such a host.
    pub(crate) page: bool,
    /// The monitor hears neither of limits the kernel keeps by itself nor how calls end.
    pub(crate) reduced: bool,
    built: TempDir,
    #[cfg(feature = "sandbox-docker")]
    daemon: Option<Daemon>,
}

impl Way {
    fn new(column: &'static str, options: &'static [&'static str]) -> Option<Self> {
        if !have(column, &["cc"]) {
            return None;
        }
        let built = tempfile::tempdir().expect("a folder");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/programs/attempts.c");
        let cc = Command::new("cc")
            .args(["-O1", "-w", "-static", "-pthread", "-o"])
            .args([built.path().join("attempts"), PathBuf::from(source)])
            .output()
            .expect("cc starts");
        assert!(cc.status.success(), "{}", String::from_utf8_lossy(&cc.stderr));
        Some(Self {
            column,
            options,
            shell: &[],
            user: None,
            page: true,
            reduced: false,
            built,
            #[cfg(feature = "sandbox-docker")]
            daemon: None,
        })
    }

    pub(crate) fn process() -> Option<Self> {
        let mut way = Self::new("process", &[])?;
        // The page shows a host where only tier B loads; elsewhere the same holds, in other words.
        way.page = tier() == Tier::B;
        way.reduced = tier() == Tier::C;
        Some(way)
    }

    pub(crate) fn ordinary() -> Option<Self> {
        let mut way = Self::new("process, ordinary user", &[])?;
        let binary = crate::ordinary_user::binary("escapes", way.built.path())?;
        fs::set_permissions(way.built.path(), fs::Permissions::from_mode(0o755))
            .expect("permissions");
        way.user = Some(binary);
        way.reduced = true;
        Some(way)
    }

    #[cfg(feature = "sandbox-docker")]
    pub(crate) fn docker() -> Option<Self> {
        let daemon = Daemon::start()?;
        let mut way = Self::new("docker", &["--runner", "docker"])?;
        way.page = tier() == Tier::B;
        way.shell = &["--image", BUSYBOX];
        way.daemon = Some(daemon);
        Some(way)
    }

    #[cfg(feature = "sandbox-microvm")]
    pub(crate) fn microvm() -> Option<Self> {
        if !crate::microvm::guests("escapes from a guest") {
            return None;
        }
        Self::new("microvm", &["--runner", "microvm"])
    }

    /// Puts the program into the folder the command will be in.
    pub(crate) fn program(&self, lab: &Lab) -> String {
        let to = lab.work().join("attempts");
        fs::copy(self.built.path().join("attempts"), &to).expect("a copy");
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).expect("permissions");
        "./attempts".to_owned()
    }

    pub(crate) fn give(&self, lab: &Lab) {
        if self.user.is_some() {
            lab.give_to(ORDINARY_USER);
        }
    }

    pub(crate) fn dress<'a>(&self, call: Shieldx<'a>) -> Shieldx<'a> {
        #[cfg(feature = "sandbox-docker")]
        if let Some(daemon) = &self.daemon {
            let socket = format!("unix://{}", daemon.socket().display());
            return call.variable("DOCKER_HOST", &socket);
        }
        match &self.user {
            Some(binary) => call.by_user(ORDINARY_USER, binary),
            None => call,
        }
    }

    /// A folder for temporary files of this call alone: what stays in it was left behind.
    pub(crate) fn temporary(lab: &Lab) -> String {
        let folder = lab.side().join("tmp");
        fs::create_dir_all(&folder).expect("a folder");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o1777)).expect("permissions");
        folder.to_str().expect("ASCII").to_owned()
    }

    #[cfg(feature = "sandbox-docker")]
    pub(crate) fn leftovers(&self) -> Vec<String> {
        self.daemon.as_ref().map(Daemon::leftovers).unwrap_or_default()
    }
}

/// Waits until nothing is left of what `supervisor` made for this lab: processes, control groups,
/// mounts, temporary files. Others work on the same machine, so only what names either counts.
pub(crate) fn assert_nothing_left(lab: &Lab, supervisor: u32) {
    lab.assert_no_process();
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let mut left: Vec<String> = belongings(supervisor)
            .into_iter()
            .filter(|item| item.starts_with("cgroup") || item.contains(lab.mark()))
            .collect();
        let temporary = fs::read_dir(lab.side().join("tmp")).into_iter().flatten().flatten();
        left.extend(temporary.map(|entry| entry.path().display().to_string()));
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "left behind: {left:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
