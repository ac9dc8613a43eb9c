//! Engines that evaluate one policy, as many as decide at the same time.
//!
//! A regorus engine changes while it evaluates. The first is compiled; others are its clones, which
//! share the compiled policy and are kept for the next decision.

use std::fmt;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, Rc, Value};

use crate::bundle::{Bundle, File};
use crate::error::PolicyError;
use crate::lint;

/// The query.
const DECISION: &str = "data.shieldx.decision";
/// How long a decision may take; a policy that loops is stopped and the request denied. A decision
/// costs well below a millisecond, but this is wall-clock time: on a machine with more to do than
/// cores a thread may stand still for a tenth of a second, which is not the policy's fault.
const TIME_MAX: Duration = Duration::from_secs(1);
/// Steps of the interpreter between looks at the clock.
const STEPS_PER_LOOK: NonZeroU32 = NonZeroU32::new(64).unwrap();
/// Idle engines kept. More decide at the same time than there are cores only for a moment.
const IDLE_MAX: usize = 64;

pub(crate) struct Engines {
    template: Mutex<Engine>,
    idle: Mutex<Vec<Engine>>,
}

impl fmt::Debug for Engines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engines").finish_non_exhaustive()
    }
}

/// Why there is no value.
#[derive(Debug)]
pub(crate) enum EvaluateError {
    Failed(String),
    Panicked,
}

impl Engines {
    /// Compiles a policy.
    pub(crate) fn of(bundle: &Bundle) -> Result<Self, PolicyError> {
        let mut engine = Engine::new();
        engine.set_execution_timer_config(ExecutionTimerConfig {
            limit: TIME_MAX,
            check_interval: STEPS_PER_LOOK,
        });
        // As in OPA: a builtin that cannot do what it is asked is undefined, not an error.
        engine.set_strict_builtin_errors(false);
        let mut decides = false;
        for file in &bundle.rego {
            decides |= add_rego(&mut engine, bundle, file)?;
        }
        for file in &bundle.data {
            add_data(&mut engine, bundle, file)?;
        }
        if !decides {
            return Err(PolicyError::NoDecision);
        }
        // Unsafe variables, recursion and the like are found here.
        let compiled = guarded(|| engine.compile_with_entrypoint(&Rc::from(DECISION)));
        compiled.map_err(|error| PolicyError::Rego { message: error.message() })?;
        Ok(Self { template: Mutex::new(engine), idle: Mutex::default() })
    }

    /// The decision on an input; undefined is [`Value::Undefined`].
    pub(crate) fn evaluate(&self, input: Value) -> Result<Value, EvaluateError> {
        let mut engine = self.take();
        let evaluated = guarded(|| {
            engine.set_input(input);
            engine.eval_rule(DECISION.to_owned())
        });
        // What a panic left behind is used by nobody.
        if !matches!(evaluated, Err(EvaluateError::Panicked)) {
            self.put(engine);
        }
        evaluated
    }

    fn take(&self) -> Engine {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.unwrap_or_else(|| self.template.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn put(&self, engine: Engine) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(engine);
        }
    }
}

impl EvaluateError {
    pub(crate) fn message(self) -> String {
        match self {
            Self::Failed(message) => message,
            Self::Panicked => "the engine panicked".to_owned(),
        }
    }
}

/// Runs the engine; its panics and errors come back as values. Its errors are lines with a picture
/// of the place in the file.
fn guarded<T, E: fmt::Display>(work: impl FnOnce() -> Result<T, E>) -> Result<T, EvaluateError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(EvaluateError::Failed(error.to_string())),
        Err(_) => Err(EvaluateError::Panicked),
    }
}

/// Adds a module and tells whether it defines the decision.
fn add_rego(engine: &mut Engine, bundle: &Bundle, file: &File) -> Result<bool, PolicyError> {
    lint::check(file)?;
    let (name, text) = (file.name.clone(), file.text()?.to_owned());
    let no_rego = |error: EvaluateError| PolicyError::Rego { message: error.message() };
    guarded(|| engine.add_policy(name, text)).map_err(no_rego)?;
    let packages = guarded(|| engine.get_policy_package_components()).map_err(no_rego)?;
    let Some(package) = packages.into_iter().find(|package| package.source_file == file.name)
    else {
        return Ok(false);
    };
    let package: Vec<&str> = package.components.iter().map(String::as_str).collect();
    if let Some(manifest) = &bundle.manifest {
        manifest.owns(&file.name, &package)?;
    }
    if package != ["shieldx"] {
        return Ok(false);
    }
    guarded(|| engine.has_declared_rule_rooted_at(&file.name, "decision")).map_err(no_rego)
}

/// Adds a document at the place its folders name.
fn add_data(engine: &mut Engine, bundle: &Bundle, file: &File) -> Result<(), PolicyError> {
    let bad = |message: String| PolicyError::Data { file: file.name.clone(), message };
    let text = file.text()?;
    let json = file.base() == "data.json";
    let document =
        guarded(|| if json { Value::from_json_str(text) } else { Value::from_yaml_str(text) })
            .map_err(|error| bad(error.message()))?;
    let folders: Vec<&str> = file.folders().collect();
    if let Some(manifest) = &bundle.manifest {
        let Ok(members) = document.as_object() else {
            return Err(bad("the document is no object".to_owned()));
        };
        for member in members.keys() {
            let name = member.as_string().map_err(|error| bad(error.to_string()))?;
            let mut path = folders.clone();
            path.push(name);
            manifest.owns(&file.name, &path)?;
        }
    }
    let placed = folders.into_iter().rev().fold(document, |inner, folder| {
        let mut outer = std::collections::BTreeMap::new();
        outer.insert(Value::from(folder), inner);
        Value::from(outer)
    });
    guarded(|| engine.add_data(placed)).map_err(|error| bad(error.message()))
}

#[cfg(test)]
mod tests {
    use super::{EvaluateError, guarded};

    #[test]
    fn a_panic_of_the_engine_is_a_value() {
        let panicked = guarded(|| -> Result<(), String> { panic!("as strings.count does") });
        assert!(matches!(panicked, Err(EvaluateError::Panicked)));
        let failed = guarded(|| Err::<(), _>("no"));
        assert_eq!(failed.unwrap_err().message(), "no");
    }
}
