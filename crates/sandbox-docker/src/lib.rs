//! Runs one untrusted command in a container of a Docker daemon, behind the same monitor as `process`.
//!
//! ```text
//! image ─▶ create ─▶ gate uploaded ─▶ start ─▶ monitor attached ─▶ the word ─▶ command ─▶ report ─▶ removed
//! ```
//!
//! The daemon builds namespaces, mounts and control groups; the *gate* (see `gate.rs`) keeps the
//! command back until the monitor watches its control group, and tells how it ended. Everything made
//! is labelled with its owner, and what a killed owner left is removed at the next start.
//!
//! This room knows the Engine API and no verdict; it never pulls an image.

mod container;
mod engine;
mod follow;
mod gate;
mod image;
mod output;
mod owner;
mod places;
mod profile;
mod record;
mod session;
mod sweep;
mod watch;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::path::PathBuf;

use sandbox::{RunError, Runner, Spec, Unsupported};
use types::Recording;

const NAME: &str = "docker";
/// Where a daemon listens when nobody says otherwise.
const SOCKET: &str = "/var/run/docker.sock";

/// Containers through the Docker Engine API.
#[derive(Debug, Clone)]
pub struct Docker {
    socket: PathBuf,
    own_group: bool,
}

impl Default for Docker {
    fn default() -> Self {
        Self::new(SOCKET)
    }
}

impl Docker {
    /// A runner of the daemon that listens at this unix socket.
    #[must_use]
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into(), own_group: false }
    }

    /// Watches containers in a control group made for the monitor alone, as is done by itself where
    /// a container runtime puts them into no cgroup v2 group.
    #[must_use]
    pub fn with_own_group(self) -> Self {
        Self { own_group: true, ..self }
    }

    /// Removes containers, images and volumes of runs whose process is gone, and tells how many.
    /// Every run does so first, too.
    ///
    /// # Errors
    /// When there is no daemon, or it does not list or remove them.
    pub fn sweep(&self) -> Result<usize, RunError> {
        in_runtime(async {
            let engine = self.engine().await?;
            sweep::sweep(&engine).await.map_err(engine::failed("remove what earlier runs left"))
        })
    }

    async fn engine(&self) -> Result<engine::Engine, Unsupported> {
        if cfg!(not(target_arch = "x86_64")) {
            return Err(Unsupported { runner: NAME, reason: "it knows x86_64 only".to_owned() });
        }
        let unsupported = |reason| Unsupported { runner: NAME, reason };
        engine::connect(&self.socket).await.map_err(unsupported)
    }
}

impl Runner for Docker {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capability(&self) -> Result<BTreeMap<String, String>, Unsupported> {
        let asked = in_runtime(async { Ok(self.engine().await?.facts) });
        asked.map_err(|error| match error {
            RunError::Unsupported(reason) => reason,
            other => Unsupported { runner: NAME, reason: other.to_string() },
        })
    }

    fn run(&self, spec: &Spec) -> Result<Recording, RunError> {
        in_runtime(session::run(self, spec))
    }
}

/// Runs a future to its end on a runtime and thread of its own: the caller may be on one already.
fn in_runtime<T: Send>(
    future: impl Future<Output = Result<T, RunError>> + Send,
) -> Result<T, RunError> {
    let setup = |source| RunError::Setup { step: "start the docker runner".to_owned(), source };
    std::thread::scope(|scope| {
        let thread =
            std::thread::Builder::new().name("docker".to_owned()).spawn_scoped(scope, || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.map_err(setup)?.block_on(future)
            });
        let crashed = |_| Err(setup(io::Error::other("it crashed")));
        thread.map_err(setup)?.join().unwrap_or_else(crashed)
    })
}
