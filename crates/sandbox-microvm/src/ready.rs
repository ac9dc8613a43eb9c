//! What this host has for guests, found out once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::canary;
use crate::firecracker::machine::Programs;
use crate::guest::{Agent, Guest};
use crate::vmm::{Acceleration, qemu};
use crate::{Config, firecracker};

const QEMU: &str = "qemu-system-x86_64";

/// Everything a run needs but its own disk.
#[derive(Debug, Clone)]
pub(crate) struct Ready {
    pub guest: Guest,
    /// Made here and not in the first run: it takes as long as a boot, and may fail.
    pub agent: Arc<Agent>,
    pub qemu: PathBuf,
    pub version: String,
    pub acceleration: Acceleration,
    pub kvm_refused: Option<String>,
    /// Firecracker, where it carries guests; else why it does not.
    pub firecracker: Result<Programs, String>,
}

impl Ready {
    /// Tries everything. The sentence says what is missing and how to get it.
    pub(crate) fn find(config: &Config) -> Result<Self, String> {
        let guest = Guest::open(&config.guest_dir).map_err(|error| error.to_string())?;
        crate::guest::sweep(&guest.folder);
        firecracker::machine::sweep(&guest.folder);
        let qemu = program(config.qemu.as_deref(), QEMU, &config.path).ok_or_else(|| {
            format!("{QEMU} is not installed (Debian: apt-get install qemu-system-x86)")
        })?;
        let version = qemu::version(&qemu)
            .map_err(|error| format!("{} does not run: {error}", qemu.display()))?;
        let agent = guest.agent(&config.agent).map_err(|error| {
            format!("the agent's disk in {} cannot be made: {error}", guest.folder.display())
        })?;
        let (acceleration, kvm_refused) = canary::acceleration(&qemu, &guest);
        let firecracker = firecracker::find(config, &guest, kvm_refused.as_deref());
        let agent = Arc::new(agent);
        Ok(Self { guest, agent, qemu, version, acceleration, kvm_refused, firecracker })
    }

    /// The same without KVM, which booted a canary and did not boot a run's guest; later runs hear
    /// of it.
    pub(crate) fn without_kvm(&self, reason: &str) -> Self {
        let refused = format!("a canary came up, and then the guest of a run did not: {reason}");
        canary::disbelieve(&self.qemu, &self.guest, &refused);
        Self {
            acceleration: Acceleration::Tcg,
            firecracker: Err(format!("it needs KVM, and {refused}")),
            kvm_refused: Some(refused),
            ..self.clone()
        }
    }

    /// For reports and `doctor`.
    pub(crate) fn engine(&self) -> BTreeMap<String, String> {
        let manifest = &self.guest.manifest;
        let mut engine = BTreeMap::new();
        let mut put = |name: &str, value: &str| engine.insert(name.to_owned(), value.to_owned());
        match &self.firecracker {
            Ok(programs) => {
                put("vmm", &format!("firecracker {}", programs.version));
                put("jailer", if programs.jailer.is_some() { "yes" } else { "no" });
                put("kernel_sha256", &manifest.vmlinux_sha256);
            }
            Err(reason) => {
                put("vmm", &format!("qemu {}", self.version));
                put("machine", qemu::machine_name(self.acceleration));
                put("kernel_sha256", &manifest.vmlinuz_sha256);
                put("firecracker", &format!("not used: {reason}"));
            }
        }
        put("acceleration", self.acceleration.as_str());
        put("kernel", &manifest.kernel);
        put("kernel_package", &manifest.package);
        put("initramfs_sha256", &manifest.initramfs_sha256);
        if let Some(reason) = &self.kvm_refused {
            put("kvm", &format!("not used: {reason}"));
        }
        engine
    }
}

/// A program by its given path, or by its name along a search path.
pub(crate) fn program(given: Option<&Path>, name: &str, path: &[PathBuf]) -> Option<PathBuf> {
    match given {
        Some(given) => given.is_file().then(|| given.to_owned()),
        None => path.iter().map(|folder| folder.join(name)).find(|path| path.is_file()),
    }
}
