//! Analyses and runs WebAssembly modules and components that nobody trusts.
//!
//! Before anything is compiled, the file is read ([`analysis`]), its manifest checked
//! ([`manifest`]), and every import held against what was granted ([`grants`]); an import that no
//! grant covers refuses the run by its name. Then the module runs in this process, in wasmtime, and
//! every call to its host is an event. docs/wasm.md says what that contains and what it does not.
//! This room knows no policy, score or verdict.

pub mod analysis;
mod changes;
mod engine;
mod errno;
pub mod grants;
mod host;
pub mod manifest;
mod output;
mod plan;
mod preview1;
mod preview2;
mod record;
mod session;
mod trace;

use std::collections::BTreeMap;
use std::io;
use std::time::Instant;

use sandbox::content::Inspector;
use sandbox::runner::process::supervise::Signals;
use sandbox::{RunError, Runner, Seen, Spec, Unsupported};
use types::Recording;

pub use crate::analysis::{Analysis, AnalysisError, analyse};
use crate::changes::Listing;
use crate::engine::CompileError;
use crate::output::{Capture, Target};
use crate::plan::Plan;
use crate::session::Session;

/// Modules and components in wasmtime.
#[derive(Debug, Default)]
pub struct Wasm;

impl Runner for Wasm {
    fn name(&self) -> &'static str {
        "wasm"
    }

    fn capability(&self) -> Result<BTreeMap<String, String>, Unsupported> {
        engine::engine(false)
            .map(|_| BTreeMap::from([("wasmtime".to_owned(), engine::WASMTIME_VERSION.to_owned())]))
            .map_err(|error| Unsupported { runner: "wasm", reason: format!("{error:#}") })
    }

    fn run(&self, spec: &Spec) -> Result<Recording, RunError> {
        let mut phases = Phases::new(spec);
        phases.begin("build");
        let plan = Plan::make(spec)?;
        if let Some(pause) = &spec.pause {
            pause.unavailable();
        }
        let refused = |error: CompileError| match error {
            CompileError::Engine(source) => {
                setup("set up the engine")(io::Error::other(format!("{source:#}")))
            }
            CompileError::Thread(source) => setup("start the compiler's thread")(source),
            error => RunError::Refused { reason: error.to_string() },
        };
        let engine = engine::engine(spec.wasm.deterministic)
            .map_err(CompileError::Engine)
            .map_err(refused)?;
        let program =
            engine::compile(&engine, plan.analysis.form, plan.bytes.clone()).map_err(refused)?;
        let pass = |target| spec.pass_output.then_some(target);
        let capture = |target| {
            Capture::new(spec.limits.output_bytes, pass(target)).map_err(setup("pass output on"))
        };
        // From here on; what comes before ends with the process.
        let signals = Signals::catch().map_err(setup("catch signals"))?;
        let session = Session {
            spec,
            signals: &signals,
            analysis: &plan.analysis,
            grants: &plan.grants,
            folders: &plan.folders,
            timeout: plan.timeout,
            memory_bytes: plan.memory_bytes,
            fuel: plan.fuel,
            stdout: capture(Target::Stdout)?,
            stderr: capture(Target::Stderr)?,
        };
        let before = Listing::take(&plan.folders);
        phases.begin("run");
        let ran = session.run(&engine, &program).map_err(|(step, source)| setup(step)(source))?;
        phases.begin("collect");
        let Session { stdout, stderr, .. } = session;
        let output = record::output(stdout.finish(), stderr.finish());
        let after = Listing::take(&plan.folders);
        let inspector = Inspector::new(spec.scanner.clone());
        let changes = before.compare(&after, spec.keep.as_deref(), inspector);
        let mut recording = record::recording(spec, &plan, ran, output, changes);
        recording.activity.phases_us = phases.end();
        Ok(recording)
    }
}

fn setup(step: impl Into<String>) -> impl FnOnce(io::Error) -> RunError {
    let step = step.into();
    move |source| RunError::Setup { step, source }
}

/// Tells of the parts of a run and measures them.
struct Phases<'a> {
    spec: &'a Spec,
    begun: Option<(&'static str, Instant)>,
    lengths_us: BTreeMap<String, u64>,
}

impl<'a> Phases<'a> {
    fn new(spec: &'a Spec) -> Self {
        Self { spec, begun: None, lengths_us: BTreeMap::new() }
    }

    fn begin(&mut self, name: &'static str) {
        self.measure();
        self.begun = Some((name, Instant::now()));
        if let Some(observer) = &self.spec.observer {
            observer.tell(Seen::Phase(name));
        }
    }

    fn measure(&mut self) {
        if let Some((name, began)) = self.begun.take() {
            let length_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.lengths_us.insert(name.to_owned(), length_us);
        }
    }

    fn end(mut self) -> BTreeMap<String, u64> {
        self.measure();
        self.lengths_us
    }
}
