//! Runs one untrusted command on a guest kernel of its own: Firecracker where KVM boots a guest, QEMU
//! otherwise.
//!
//! The host packs what the command may see onto a read-only disk, boots a guest with it, and listens.
//! Inside, the same program in another role ([`agent`]) runs the command with the `process` runner,
//! so that its walls stand there as well, and the kernel monitor watches the guest's own kernel. The
//! guest is the hostile side: it has no network device and no window to the host's files, its monitor
//! runs behind walls of its own, and what it says is bounded and never acted on. Knows no verdict and
//! reads no arguments, environment or configuration.

pub mod agent;
pub mod canary;
mod elf;
pub mod erofs;
pub mod firecracker;
pub mod guest;
mod ready;
mod root;
mod session;
pub mod vmm;
pub mod wire;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use sandbox::{RunError, Runner, Spec, Unsupported};
use types::Recording;

use ready::Ready;

/// What a caller decides.
#[derive(Debug, Clone)]
pub struct Config {
    /// The folder `cargo xtask guest` wrote.
    pub guest_dir: PathBuf,
    /// The program that is the agent in a guest: the caller's own file.
    pub agent: PathBuf,
    /// Programs, where they are not to be looked for along `path`.
    pub qemu: Option<PathBuf>,
    pub firecracker: Option<PathBuf>,
    pub jailer: Option<PathBuf>,
    /// Folders in which programs are looked for.
    pub path: Vec<PathBuf>,
}

impl Config {
    /// The usual folders for programs.
    #[must_use]
    pub fn new(guest_dir: PathBuf, agent: PathBuf) -> Self {
        let path = ["/usr/local/bin", "/usr/bin", "/usr/libexec"].map(PathBuf::from).to_vec();
        Self { guest_dir, agent, qemu: None, firecracker: None, jailer: None, path }
    }
}

/// Guests of Firecracker or QEMU. What the host can do is tried once and kept.
#[derive(Debug)]
pub struct Microvm {
    config: Config,
    ready: OnceLock<Result<Ready, Unsupported>>,
}

impl Microvm {
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, ready: OnceLock::new() }
    }

    fn ready(&self) -> Result<&Ready, Unsupported> {
        let find = || {
            Ready::find(&self.config).map_err(|reason| Unsupported { runner: "microvm", reason })
        };
        self.ready.get_or_init(find).as_ref().map_err(Clone::clone)
    }

    /// Removes what earlier processes that were killed left behind: folders of Firecracker's, parts
    /// of an agent's disk. Guests themselves need no sweeping: each ends with the process that started
    /// it, and QEMU's disks have no names.
    pub fn sweep(&self) {
        guest::sweep(&self.config.guest_dir);
        firecracker::machine::sweep(&self.config.guest_dir);
    }
}

impl Runner for Microvm {
    fn name(&self) -> &'static str {
        "microvm"
    }

    fn capability(&self) -> Result<BTreeMap<String, String>, Unsupported> {
        self.ready().map(Ready::engine)
    }

    fn run(&self, spec: &Spec) -> Result<Recording, RunError> {
        session::run(spec, self.ready()?)
    }
}
