//! Analyses and runs WebAssembly modules and components that nobody trusts.

use std::collections::BTreeMap;

use sandbox::{RunError, Runner, Spec, Unsupported};
use types::Recording;

/// Modules and components in wasmtime.
#[derive(Debug, Default)]
pub struct Wasm;

impl Runner for Wasm {
    fn name(&self) -> &'static str {
        "wasm"
    }

    fn capability(&self) -> Result<BTreeMap<String, String>, Unsupported> {
        Err(Unsupported { runner: "wasm", reason: "not built yet".to_owned() })
    }

    fn run(&self, _spec: &Spec) -> Result<Recording, RunError> {
        self.capability()?;
        Err(RunError::Refused { reason: "not built yet".to_owned() })
    }
}
