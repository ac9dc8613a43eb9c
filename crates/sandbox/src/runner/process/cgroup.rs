//! The run's control groups, on v1, v2 and hybrid hosts.
//!
//! Every path is planned before anything is created, so that the keeper process can remove them
//! whatever happens to the supervisor. A controller that is missing or refused is reported, never
//! silently left out.

mod hierarchies;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use types::Limits;

use self::hierarchies::{hierarchies, own_group};
use crate::pause::Brake;
use crate::sys;

/// Directory names start with this; a later run sweeps what a killed keeper left.
const PREFIX: &str = "shieldx-";
/// The group inside a run's own in the v2 hierarchy.
const INNER: &str = "job";
/// A killed task leaves its group within milliseconds; this bounds the wait for it.
const REMOVE_TRIES: u32 = 400;

/// Where the groups of one run are.
#[derive(Debug, Clone, Default)]
pub struct Cgroups {
    /// The group in the v2 hierarchy: limits, pausing and killing.
    v2: Option<PathBuf>,
    /// The processes are in a group inside that one, which the monitor knows and freezes by itself:
    /// a group stands still while it or the one around it is frozen, so neither undoes the other.
    nested: bool,
    /// The v2 hierarchy has the controllers, too.
    v2_controllers: bool,
    /// v1 controller name and the run's group in it.
    v1: Vec<(String, PathBuf)>,
}

/// What the groups counted.
#[derive(Debug, Default)]
pub struct Usage {
    pub cpu_us: Option<u64>,
    pub memory_peak_bytes: Option<u64>,
    pub oom_kills: u64,
    pub pids_refused: u64,
}

impl Cgroups {
    /// Decides on the paths; creates nothing.
    pub fn plan(run_id: &str) -> Self {
        let name = format!("{PREFIX}{}-{}", std::process::id(), tail(run_id));
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mut plan = Self::default();
        for hierarchy in hierarchies() {
            if hierarchy.controllers.is_empty() {
                let available = fs::read_to_string(hierarchy.mount.join("cgroup.controllers"));
                plan.v2_controllers = available.is_ok_and(|list| list.contains("memory"));
                // At the top for root, where systemd too keeps its own; else where we are.
                let parent = if sys::effective_uid() == 0 {
                    hierarchy.mount
                } else {
                    own_group(&hierarchy, &own)
                };
                plan.v2 = Some(parent.join(&name));
                continue;
            }
            for controller in ["memory", "pids", "cpu", "cpuacct", "freezer"] {
                if hierarchy.controllers.iter().any(|c| c == controller) {
                    let parent = own_group(&hierarchy, &own);
                    plan.v1.push((controller.to_owned(), parent.join(&name)));
                }
            }
        }
        if plan.v2.is_some() {
            plan.v1.retain(|(controller, _)| controller != "freezer");
        }
        plan
    }

    /// Moves this process to where it is, beside whatever goes on: the kernel lets every processor
    /// come to rest before a process changes its group (some 10 ms), and does not again for those
    /// that follow soon after. So that wait goes by while a run is prepared.
    pub fn expect() {
        let moved = || {
            let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
            let Some(hierarchy) = hierarchies().into_iter().next() else { return };
            let members = own_group(&hierarchy, &own).join("cgroup.procs");
            let here = std::process::id().to_string();
            // Where a mount shows other groups than ours, and where it is refused, nothing is won.
            if fs::read_to_string(&members).is_ok_and(|all| all.lines().any(|pid| pid == here)) {
                let _ = write(&members, "0");
            }
        };
        let _ = std::thread::Builder::new().name("sx-groups".to_owned()).spawn(moved);
    }

    /// The groups a process is in already, which somebody else made and will remove.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        let own = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let mut found = Self::default();
        for hierarchy in hierarchies() {
            let group = own_group(&hierarchy, &own);
            if hierarchy.controllers.is_empty() {
                let available = fs::read_to_string(group.join("cgroup.controllers"));
                found.v2_controllers = available.is_ok_and(|list| list.contains("memory"));
                found.v2 = Some(group);
                continue;
            }
            for controller in ["memory", "pids", "cpu", "cpuacct", "freezer"] {
                if hierarchy.controllers.iter().any(|c| c == controller) {
                    found.v1.push((controller.to_owned(), group.clone()));
                }
            }
        }
        found
    }

    /// Moves a process into a v2 group of its own, for a monitor alone: for processes whose runtime
    /// puts them into none. To be removed by the caller.
    ///
    /// # Errors
    /// When there is no v2 hierarchy, or the group cannot be made or entered.
    pub fn adopt(pid: u32, run_id: &str) -> io::Result<Self> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "no cgroup v2 hierarchy");
        let group = Self::plan(run_id).v2.ok_or_else(missing)?;
        fs::create_dir(&group)?;
        let made = Self { v2: Some(group.clone()), ..Self::default() };
        if let Err(error) = fs::write(group.join("cgroup.procs"), pid.to_string()) {
            made.remove();
            return Err(error);
        }
        Ok(made)
    }

    /// The folder of the v2 group.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.v2.as_deref()
    }

    /// Creates the groups and sets the limits. Returns what could not be done, in words.
    pub fn create(&mut self, limits: &Limits) -> Vec<String> {
        let mut missing = Vec::new();
        if !self.permitted() {
            *self = Self::default();
            return vec!["no control groups: this user may not create any here".to_owned()];
        }
        if let Some(path) = self.v2.clone() {
            match fs::create_dir(&path).and_then(|()| fs::create_dir(path.join(INNER))) {
                Ok(()) => self.nested = true,
                Err(error) => {
                    let _ = fs::remove_dir(&path);
                    missing.push(format!("no cgroup v2 group: {error}"));
                    self.v2 = None;
                }
            }
        }
        self.v1.retain(|(controller, path)| match fs::create_dir(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                missing.push(format!("no {controller} group: {error}"));
                false
            }
            _ => true,
        });
        for (what, result) in self.set_limits(limits) {
            if let Err(error) = result {
                missing.push(format!("no {what} limit: {error}"));
            }
        }
        missing
    }

    /// Whether this user may create at least one of the groups.
    pub(crate) fn permitted(&self) -> bool {
        self.v2
            .iter()
            .chain(self.v1.iter().map(|(_, path)| path))
            .any(|group| group.parent().is_some_and(sys::writable))
    }

    fn set_limits(&self, limits: &Limits) -> Vec<(&'static str, io::Result<()>)> {
        let memory = limits.memory_bytes.to_string();
        let pids = limits.pids.to_string();
        let quota_us = u64::from(limits.cpu_percent) * 1000;
        let mut results = Vec::new();
        if self.v2_controllers
            && let Some(group) = &self.v2
        {
            if let Some(parent) = group.parent() {
                // Refused where it is on already or where processes live in the parent; the
                // limits themselves tell whether it worked.
                let _ = fs::write(parent.join("cgroup.subtree_control"), "+memory +pids +cpu");
            }
            results.push(("memory", write(&group.join("memory.max"), &memory)));
            let _ = write(&group.join("memory.swap.max"), "0");
            results.push(("pids", write(&group.join("pids.max"), &pids)));
            if quota_us > 0 {
                results.push(("cpu", write(&group.join("cpu.max"), &format!("{quota_us} 100000"))));
            }
            return results;
        }
        let memory_result = self.v1_write("memory", "memory.limit_in_bytes", &memory);
        // Swap accounting is a boot option; where it is off there is nothing to bound.
        let _ = self.v1_write("memory", "memory.memsw.limit_in_bytes", &memory);
        results.push(("memory", memory_result));
        results.push(("pids", self.v1_write("pids", "pids.max", &pids)));
        if quota_us > 0 {
            results.push(("cpu", self.v1_write("cpu", "cpu.cfs_quota_us", &quota_us.to_string())));
        }
        results
    }

    fn v1_path(&self, controller: &str) -> Option<&Path> {
        self.v1.iter().find(|(name, _)| name == controller).map(|(_, path)| path.as_path())
    }

    fn v1_write(&self, controller: &str, file: &str, value: &str) -> io::Result<()> {
        match self.v1_path(controller) {
            Some(path) => write(&path.join(file), value),
            None => Err(io::Error::new(io::ErrorKind::NotFound, "the host has no such controller")),
        }
    }

    /// Moves a process in; its later children are born there.
    pub fn add(&self, pid: libc::pid_t) -> io::Result<()> {
        for group in self.inner().iter().chain(self.v1.iter().map(|(_, path)| path)) {
            fs::write(group.join("cgroup.procs"), pid.to_string())?;
        }
        Ok(())
    }

    /// The kernel's id of the v2 group: its inode number.
    #[must_use]
    pub fn id(&self) -> Option<u64> {
        fs::metadata(self.inner()?).ok().map(|meta| meta.ino())
    }

    /// The folder of the v2 group that the processes are in.
    pub(crate) fn inner(&self) -> Option<PathBuf> {
        let outer = self.v2.as_deref()?;
        Some(if self.nested { outer.join(INNER) } else { outer.to_owned() })
    }

    /// What pauses the run: the v2 group around the processes, or v1's freezer.
    #[must_use]
    pub fn brake(&self) -> Option<Brake> {
        let open = |path: &Path| fs::OpenOptions::new().write(true).open(path).ok();
        if let Some(group) = self.v2.as_ref().filter(|_| self.nested) {
            let control = open(&group.join("cgroup.freeze"))?;
            let state = group.join("cgroup.events");
            return Some(Brake { control, state, words: ["0", "1"], stands: "frozen 1" });
        }
        let state = self.v1_path("freezer")?.join("freezer.state");
        let control = open(&state)?;
        Some(Brake { control, state, words: ["THAWED", "FROZEN"], stands: "FROZEN" })
    }

    /// The open folder of the v2 group.
    #[must_use]
    pub fn folder(&self) -> Option<fs::File> {
        fs::File::open(self.inner()?).ok()
    }

    /// The open freezer file of the v2 group.
    #[must_use]
    pub fn freezer(&self) -> Option<fs::File> {
        let path = self.inner()?.join("cgroup.freeze");
        fs::OpenOptions::new().write(true).open(path).ok()
    }

    /// Whether memory and pids are bounded by a controller.
    #[must_use]
    pub fn bounds(&self) -> bool {
        (self.v2.is_some() && self.v2_controllers)
            || (self.v1_path("memory").is_some() && self.v1_path("pids").is_some())
    }

    /// `v1`, `v2`, `hybrid` or `none`, for reports.
    #[must_use]
    pub fn mode(&self) -> &'static str {
        match (self.v2.is_some(), self.v1.is_empty()) {
            (true, true) => "v2",
            (true, false) => "hybrid",
            (false, false) => "v1",
            (false, true) => "none",
        }
    }

    #[must_use]
    pub fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        if self.v2_controllers
            && let Some(group) = &self.v2
        {
            usage.cpu_us = field(&group.join("cpu.stat"), "usage_usec");
            usage.memory_peak_bytes = number(&group.join("memory.peak"));
            usage.oom_kills = field(&group.join("memory.events"), "oom_kill").unwrap_or(0);
            usage.pids_refused = field(&group.join("pids.events"), "max").unwrap_or(0);
        }
        if let Some(group) = self.v1_path("cpuacct") {
            usage.cpu_us = number(&group.join("cpuacct.usage")).map(|ns| ns / 1000);
        }
        if let Some(group) = self.v1_path("memory") {
            usage.memory_peak_bytes = number(&group.join("memory.max_usage_in_bytes"));
            usage.oom_kills = field(&group.join("memory.oom_control"), "oom_kill").unwrap_or(0);
        }
        if let Some(group) = self.v1_path("pids") {
            usage.pids_refused = field(&group.join("pids.events"), "max").unwrap_or(0);
        }
        usage
    }

    /// Kills what is left inside and removes the groups. Idempotent; never waits for long.
    pub fn remove(&self) {
        if let Some(group) = &self.v2 {
            let _ = fs::write(group.join("cgroup.freeze"), "0");
            let _ = fs::write(group.join("cgroup.kill"), "1");
        }
        let _ = self.v1_write("freezer", "freezer.state", "THAWED");
        // Whoever planned the groups does not know which of them were made.
        let inner = self.v2.iter().map(|group| group.join(INNER)).collect::<Vec<_>>();
        let outer = self.v2.iter().chain(self.v1.iter().map(|(_, path)| path));
        for group in inner.iter().chain(outer) {
            for _ in 0..REMOVE_TRIES {
                match fs::remove_dir(group) {
                    Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                    _ => break,
                }
            }
        }
    }

    /// Removes empty groups of runs whose supervisor is gone (its keeper was killed with it), and
    /// tells how many.
    pub fn sweep(&self) -> usize {
        let mut removed = 0;
        for group in self.v2.iter().chain(self.v1.iter().map(|(_, path)| path)) {
            let Some(entries) = group.parent().and_then(|parent| fs::read_dir(parent).ok()) else {
                continue;
            };
            for entry in entries.flatten() {
                let name = entry.file_name();
                let owner = name
                    .to_str()
                    .and_then(|name| name.strip_prefix(PREFIX))
                    .and_then(|rest| rest.split('-').next());
                if let Some(owner) = owner
                    && !Path::new("/proc").join(owner).exists()
                {
                    // Fails, as it should, when something still runs in it.
                    let _ = fs::remove_dir(entry.path().join(INNER));
                    removed += usize::from(fs::remove_dir(entry.path()).is_ok());
                }
            }
        }
        removed
    }
}

fn tail(run_id: &str) -> &str {
    run_id.get(run_id.len().saturating_sub(12)..).unwrap_or(run_id)
}

fn write(path: &Path, value: &str) -> io::Result<()> {
    fs::write(path, value)
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The value of `name value` in a flat-keyed file.
fn field(path: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(' ')?;
        (key == name).then(|| value.trim().parse().ok())?
    })
}
