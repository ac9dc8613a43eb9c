//! Runs one untrusted command in a container of a Docker daemon, behind the same monitor as `process`.

mod gate;

use std::collections::BTreeMap;

use sandbox::{RunError, Runner, Spec, Unsupported};
use types::Recording;

/// Containers through the Docker Engine API.
#[derive(Debug, Default)]
pub struct Docker;

impl Runner for Docker {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn capability(&self) -> Result<BTreeMap<String, String>, Unsupported> {
        Err(Unsupported { runner: "docker", reason: "not built yet".to_owned() })
    }

    fn run(&self, _spec: &Spec) -> Result<Recording, RunError> {
        self.capability()?;
        Err(RunError::Refused { reason: "not built yet".to_owned() })
    }
}
