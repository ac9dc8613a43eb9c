//! Decides, before anything is compiled, whether a module runs and with what.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sandbox::{Artifacts, MonitorChoice, Net, Root, RunError, Spec};
use types::Text;

use crate::analysis::{Analysis, Export, Form, Import, MODULE_BYTES_MAX, analyse};
use crate::grants::{Capability, FORMS, Folder, Need, folders, need};
use crate::manifest::{self, Declared};
use crate::session::ENTRIES;

/// A run that may begin.
#[derive(Debug)]
pub(crate) struct Plan {
    pub bytes: Vec<u8>,
    pub analysis: Analysis,
    /// What is granted, and declared where there is a manifest.
    pub grants: Vec<Capability>,
    pub folders: Vec<Folder>,
    pub declared: Option<Declared>,
    pub timeout: Duration,
    pub memory_bytes: u64,
    pub fuel: Option<u64>,
}

fn refused(reason: String) -> RunError {
    RunError::Refused { reason }
}

impl Plan {
    pub(crate) fn make(spec: &Spec) -> Result<Self, RunError> {
        fits(spec)?;
        let bytes = program(spec)?;
        let analysis = analyse(&bytes).map_err(|error| refused(error.to_string()))?;
        runnable(&analysis)?;
        let granted = spec.wasm.grants.iter().map(|text| Capability::parse(text).map_err(refused));
        let mut grants = granted.collect::<Result<Vec<_>, _>>()?;
        let declared = match (&spec.wasm.manifest, &spec.wasm.trusted_key) {
            (Some(path), key) => Some(manifest::read(path, key.as_deref(), &analysis.sha256)?),
            (None, Some(_)) => {
                return Err(refused(
                    "a trusted key was given, and no manifest to check with it".to_owned(),
                ));
            }
            (None, None) => None,
        };
        if let Some(declared) = &declared {
            check_declared(&analysis.imports, declared)?;
        }
        check_granted(&analysis.imports, &grants)?;
        if let Some(declared) = &declared {
            // A module gets no more than it says it needs.
            grants = narrowed(&grants, &declared.capabilities);
        }
        let resources = declared
            .as_ref()
            .map(|declared| declared.manifest.resources.clone())
            .unwrap_or_default();
        let lower = |ours: u64, theirs: Option<u64>| theirs.map_or(ours, |theirs| theirs.min(ours));
        let folders = folders(&grants, spec)?;
        begins(&analysis)?;
        Ok(Self {
            bytes,
            folders,
            grants,
            timeout: Duration::from_millis(lower(spec.limits.timeout_ms, resources.timeout_ms)),
            memory_bytes: lower(spec.limits.memory_bytes, resources.memory_bytes),
            fuel: match (spec.wasm.fuel, resources.fuel) {
                (Some(ours), theirs) => Some(lower(ours, theirs)),
                (None, theirs) => theirs,
            },
            declared,
            analysis,
        })
    }
}

/// What of a spec a module has nothing to do with is an error where it asks for something.
fn fits(spec: &Spec) -> Result<(), RunError> {
    if spec.root != Root::Host || !spec.layers.is_empty() {
        return Err(refused(
            "a module has no root folder; grant folders with filesystem:DIR".to_owned(),
        ));
    }
    if spec.net != Net::None {
        return Err(refused(
            "a module has no network of its own; grant peers with network:HOST:PORT".to_owned(),
        ));
    }
    if spec.artifacts != Artifacts::default() {
        return Err(refused(
            "runner wasm writes no snapshot, packets or core files; keep the files that a module \
             writes with --keep"
                .to_owned(),
        ));
    }
    if spec.monitor != MonitorChoice::Auto {
        let reason = "runner wasm sees every call by itself and has no other monitor".to_owned();
        return Err(RunError::Monitor { reason });
    }
    Ok(())
}

/// The bytes of the program: of the file that will be copied to its place, where it is one.
fn program(spec: &Spec) -> Result<Vec<u8>, RunError> {
    let copied = spec.copies.iter().find(|copy| copy.target == spec.program);
    let path: &Path = copied.map_or(&spec.program, |copy| &copy.source);
    let step = |source| RunError::Setup { step: format!("read {}", path.display()), source };
    let file = fs::File::open(path).map_err(step)?;
    if !file.metadata().map_err(step)?.is_file() {
        return Err(refused(format!("{} is not a regular file", PathBuf::from(path).display())));
    }
    let mut bytes = Vec::new();
    // One byte more than is allowed: the analyser then says that it is too large.
    file.take(MODULE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(step)?;
    Ok(bytes)
}

fn runnable(analysis: &Analysis) -> Result<(), RunError> {
    let run = |name: &str| name.starts_with("wasi:cli/run@0.2.");
    if analysis.form == Form::Component && !analysis.exports.iter().any(|export| run(&export.name))
    {
        return Err(refused(
            "the component exports no wasi:cli/run@0.2.x: it is not a command".to_owned(),
        ));
    }
    Ok(())
}

/// Whether anything of a module would run: a verdict on what did not is worth nothing.
fn begins(analysis: &Analysis) -> Result<(), RunError> {
    let entry = |name: &str| ENTRIES.contains(&name);
    if analysis.form == Form::Module
        && !analysis.start
        && !analysis.exports.iter().any(|export| entry(&export.name))
    {
        return Err(refused(
            "the module has no start function and exports neither _start nor _initialize: nothing \
             of it would run, and nothing could be said of it"
                .to_owned(),
        ));
    }
    Ok(())
}

/// What of a library would not run, in words: only a command says by itself what is called.
pub(crate) fn uncalled(analysis: &Analysis) -> Option<String> {
    const NAMED: usize = 8;
    let is_entry = |export: &&Export| ENTRIES.contains(&export.name.as_str());
    let [command, library] = ENTRIES;
    if analysis.form == Form::Component || analysis.exports.iter().any(|e| e.name == command) {
        return None;
    }
    let functions = analysis.exports.iter().filter(|export| export.kind == "function");
    let names: Vec<&str> =
        functions.filter(|export| !is_entry(export)).map(|export| export.name.as_str()).collect();
    if names.is_empty() {
        return None;
    }
    let shown: Vec<String> =
        names.iter().take(NAMED).map(|name| Text::from(*name).to_string()).collect();
    let more = if names.len() > NAMED { ", …" } else { "" };
    Some(format!(
        "{} exported functions were not called ({}{more}): a module without {command} is a library, \
         and only its start function and {library} are run",
        names.len(),
        shown.join(", ")
    ))
}

/// The flag that would give a capability.
fn flag(name: &str) -> String {
    let form = FORMS.split(", ").find(|form| form.split(':').next() == Some(name)).unwrap_or(name);
    format!("--grant {form}")
}

fn check_granted(imports: &[Import], grants: &[Capability]) -> Result<(), RunError> {
    for import in imports {
        let name = import.full_name();
        match need(import) {
            Need::Free => {}
            Need::Unknown => {
                return Err(refused(format!(
                    "the module imports {name}, which no capability gives"
                )));
            }
            Need::Capability(wanted) if grants.iter().any(|grant| grant.name() == wanted) => {}
            Need::Capability(wanted) => {
                return Err(refused(format!(
                    "the module imports {name}, which is not granted; {} would grant it",
                    flag(wanted)
                )));
            }
        }
    }
    Ok(())
}

fn check_declared(imports: &[Import], declared: &Declared) -> Result<(), RunError> {
    for import in imports {
        if let Need::Capability(wanted) = need(import)
            && !declared.capabilities.iter().any(|capability| capability.name() == wanted)
        {
            return Err(refused(format!(
                "the module imports {}, and its manifest does not declare `{wanted}`",
                import.full_name()
            )));
        }
    }
    Ok(())
}

/// What is both granted and declared. A writable folder that is declared readable becomes readable.
fn narrowed(grants: &[Capability], declared: &[Capability]) -> Vec<Capability> {
    let mut both: Vec<Capability> = Vec::new();
    for grant in grants {
        for wanted in declared {
            let common = if wanted.covers(grant) {
                grant
            } else if grant.covers(wanted) {
                wanted
            } else {
                continue;
            };
            if !both.contains(common) {
                both.push(common.clone());
            }
        }
    }
    both
}
