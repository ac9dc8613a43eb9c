//! The runners of this build, by name: opens one, and tells which can be had here.
//!
//! Which of them are compiled in is decided by the features `sandbox-docker`, `sandbox-wasm` and
//! `sandbox-microvm`; one that is not says so like one that the host lacks.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use sandbox::runner::process::Process;
use sandbox::runner::process::cgroup::Cgroups;
use sandbox::{Runner, Unsupported};
use serde::{Deserialize, Serialize};

use crate::environment::Environment;

/// A runner by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum RunnerName {
    /// Namespaces, seccomp, Landlock, cgroups.
    Process,
    /// A container of a Docker daemon.
    Docker,
    /// A WebAssembly module or component, deny by default.
    Wasm,
    /// A guest kernel of its own.
    Microvm,
}

impl RunnerName {
    pub const ALL: [Self; 4] = [Self::Process, Self::Docker, Self::Wasm, Self::Microvm];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Docker => "docker",
            Self::Wasm => "wasm",
            Self::Microvm => "microvm",
        }
    }

    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|runner| runner.as_str() == name)
    }
}

/// Where the things are that runners need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surroundings {
    /// The Docker daemon's socket.
    pub docker_socket: PathBuf,
    /// The folder `cargo xtask guest` filled.
    pub guest: PathBuf,
    /// This program's file, which is also the agent in a guest.
    pub program: PathBuf,
}

impl Surroundings {
    /// `DOCKER_HOST` (only `unix://`), `SHIELDX_GUEST`, and where they are when nobody says.
    #[must_use]
    pub fn of(environment: &Environment) -> Self {
        let socket = environment.variable("DOCKER_HOST").and_then(|host| {
            let path = host.as_bytes().strip_prefix(b"unix://")?;
            Some(PathBuf::from(OsStr::from_bytes(path)))
        });
        let named = |name: &str| environment.variable(name).filter(|value| !value.is_empty());
        let data = named("XDG_DATA_HOME")
            .map(PathBuf::from)
            .or_else(|| named("HOME").map(|home| Path::new(home).join(".local/share")));
        let guest = named("SHIELDX_GUEST")
            .map(PathBuf::from)
            .or_else(|| Some(data?.join("shieldx/guest")).filter(|folder| folder.is_dir()));
        Self {
            docker_socket: socket.unwrap_or_else(|| PathBuf::from("/var/run/docker.sock")),
            guest: guest.unwrap_or_else(|| PathBuf::from("/usr/share/shieldx/guest")),
            program: environment.program.clone().unwrap_or_else(|| "/proc/self/exe".into()),
        }
    }
}

/// What carries the runs of a runner here, or why none can be carried.
pub type Found = Result<BTreeMap<String, String>, Unsupported>;

/// A runner, ready to be asked what it can do.
///
/// # Errors
/// When this program was built without it.
pub fn open(name: RunnerName, around: &Surroundings) -> Result<Box<dyn Runner>, Unsupported> {
    // Each is used by one feature.
    let _ = around;
    match name {
        RunnerName::Process => Ok(Box::new(Process::new())),
        #[cfg(feature = "sandbox-docker")]
        RunnerName::Docker => Ok(Box::new(sandbox_docker::Docker::new(&around.docker_socket))),
        #[cfg(feature = "sandbox-wasm")]
        RunnerName::Wasm => Ok(Box::new(sandbox_wasm::Wasm)),
        #[cfg(feature = "sandbox-microvm")]
        RunnerName::Microvm => {
            let (guest, program) = (around.guest.clone(), around.program.clone());
            let config = sandbox_microvm::Config::new(guest, program);
            Ok(Box::new(sandbox_microvm::Microvm::new(config)))
        }
        #[cfg(not(all(
            feature = "sandbox-docker",
            feature = "sandbox-wasm",
            feature = "sandbox-microvm"
        )))]
        absent => Err(Unsupported {
            runner: absent.as_str(),
            reason: format!(
                "this shieldx was built without the feature sandbox-{}",
                absent.as_str()
            ),
        }),
    }
}

/// What each runner says of this host. Tries them one after the other; may take seconds.
#[must_use]
pub fn all(around: &Surroundings) -> Vec<(RunnerName, Found)> {
    let ask = |name| (name, open(name, around).and_then(|runner| runner.capability()));
    RunnerName::ALL.into_iter().map(ask).collect()
}

/// Removes what runs of processes that were killed left behind, and tells what that was, one part of
/// a sentence each. A run cleans up after itself and its keeper after both; this is for those whose
/// keeper was killed with them, or is a daemon's. May wait for a daemon: not for a thread that serves.
#[must_use]
pub fn sweep(around: &Surroundings) -> Vec<String> {
    let mut removed = Vec::new();
    let groups = Cgroups::plan("sweep").sweep();
    if groups > 0 {
        removed.push(format!("{groups} control groups"));
    }
    #[cfg(feature = "sandbox-docker")]
    match sandbox_docker::Docker::new(&around.docker_socket).sweep() {
        Ok(0) | Err(sandbox::RunError::Unsupported(_)) => {}
        Ok(things) => removed.push(format!("{things} containers, images or volumes")),
        Err(error) => removed.push(format!("not all of the daemon's: {error}")),
    }
    #[cfg(feature = "sandbox-microvm")]
    {
        let config = sandbox_microvm::Config::new(around.guest.clone(), around.program.clone());
        sandbox_microvm::Microvm::new(config).sweep();
    }
    // Each is used by one feature.
    let _ = around;
    removed
}

#[cfg(test)]
mod tests {
    use super::{RunnerName, Surroundings};
    use crate::environment::Environment;

    #[test]
    fn names_go_both_ways() {
        for runner in RunnerName::ALL {
            assert_eq!(RunnerName::named(runner.as_str()), Some(runner));
        }
        assert_eq!(RunnerName::named("Process"), None);
    }

    #[test]
    fn a_daemon_over_the_network_is_not_taken_for_a_socket() {
        let with = |host: &str| {
            let variables = vec![("DOCKER_HOST".into(), host.into())];
            Surroundings::of(&Environment { variables, ..Environment::default() }).docker_socket
        };
        assert_eq!(with("unix:///tmp/d.sock").to_str(), Some("/tmp/d.sock"));
        assert_eq!(with("tcp://10.0.0.1:2375").to_str(), Some("/var/run/docker.sock"));
    }
}
