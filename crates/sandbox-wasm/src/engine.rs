//! The engine's settings, and compiling under a bound of time.

use std::sync::mpsc;
use std::time::Duration;

use wasmtime::component::Component;
use wasmtime::{Config, Engine, Module, OptLevel, RegallocAlgorithm};

use crate::analysis::Form;

/// Compiling takes this long, at most. The analyser's bounds are what protects; this is the second
/// wall, and a compiler that was given up on still ends by itself.
pub(crate) const COMPILE_MAX: Duration = Duration::from_secs(60);
/// Stack of the module, and of the fiber it runs on with its host calls.
const WASM_STACK_BYTES: usize = 512 << 10;
const FIBER_STACK_BYTES: usize = 2 << 20;
/// Stack of the thread that compiles.
const COMPILER_STACK_BYTES: usize = 16 << 20;
/// As `Cargo.lock` has it; a test compares.
pub(crate) const WASMTIME_VERSION: &str = "48.0.8";

/// Ready to be instantiated.
pub(crate) enum Program {
    Module(Module),
    Component(Component),
}

/// Why nothing was compiled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompileError {
    #[error("the engine could not be set up")]
    Engine(#[source] wasmtime::Error),
    #[error("the module could not be compiled: {0}")]
    Compile(String),
    #[error("compiling took longer than {} s", COMPILE_MAX.as_secs())]
    TooLong,
    #[error("no thread could be started")]
    Thread(#[source] std::io::Error),
}

/// Settings. The language is what the analyser accepts ([`crate::analysis::features`]).
pub(crate) fn engine(deterministic: bool) -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(FIBER_STACK_BYTES)
        // Quick and linear rather than the best code: most of a module runs once.
        .cranelift_opt_level(OptLevel::None)
        .cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass)
        .cranelift_nan_canonicalization(deterministic)
        .relaxed_simd_deterministic(deterministic)
        .wasm_multi_memory(false)
        .wasm_memory64(false)
        .wasm_component_model(true);
    Engine::new(&config)
}

/// Compiles on a thread of its own.
pub(crate) fn compile(
    engine: &Engine,
    form: Form,
    bytes: Vec<u8>,
) -> Result<Program, CompileError> {
    let (done, wait) = mpsc::sync_channel(1);
    let engine = engine.clone();
    let work = move || {
        let compiled = match form {
            Form::Module => Module::from_binary(&engine, &bytes).map(Program::Module),
            Form::Component => Component::from_binary(&engine, &bytes).map(Program::Component),
        };
        // Nobody listens any more when it took too long.
        let _ = done.send(compiled.map_err(|error| format!("{error:#}")));
    };
    std::thread::Builder::new()
        .name("wasm-compile".to_owned())
        .stack_size(COMPILER_STACK_BYTES)
        .spawn(work)
        .map_err(CompileError::Thread)?;
    match wait.recv_timeout(COMPILE_MAX) {
        Ok(compiled) => compiled.map_err(CompileError::Compile),
        Err(mpsc::RecvTimeoutError::Timeout) => Err(CompileError::TooLong),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            Err(CompileError::Compile("the compiler panicked".to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_that_is_reported_is_the_one_that_is_built() {
        let lock = include_str!("../../../Cargo.lock");
        let entry = format!("name = \"wasmtime\"\nversion = \"{}\"", super::WASMTIME_VERSION);
        assert!(lock.contains(&entry), "WASMTIME_VERSION is not that of Cargo.lock");
    }
}
