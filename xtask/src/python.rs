//! Python environments for the tests, each in a folder of its own in the target folder: programs and
//! libraries that were not written here and say whether what was written here is right. Like a
//! missing package, not having one fails nothing: what is skipped is told.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::packages;

struct Environment {
    /// Its folder, beside the profiles of the target folder, where the tests look.
    name: &'static str,
    /// With these versions the tests were written.
    wanted: &'static [&'static str],
    /// Python that runs only where all of it is there, in these versions.
    check: &'static str,
    skipped: &'static str,
}

const ENVIRONMENTS: [Environment; 3] = [
    Environment {
        name: "schemathesis",
        // Another version generates other requests and knows other checks.
        wanted: &["schemathesis==4.32.5"],
        check: "from importlib.metadata import version; assert version('schemathesis') == '4.32.5'",
        skipped: "the APIs against their OpenAPI documents",
    },
    Environment {
        name: "otlp-receiver",
        wanted: &["opentelemetry-proto==1.45.2", "grpcio==1.85.3"],
        check: "import grpc, opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc",
        skipped: "traces against a real collector",
    },
    Environment {
        name: "report-formats",
        wanted: &["stix2-validator==3.3.2", "mitreattack-python==6.3.1"],
        check: "import stix2validator, mitreattack.navlayers",
        skipped: "STIX bundles and Navigator layers against libraries of others",
    },
];

/// One sentence for each environment that the tests have to go without.
pub(crate) fn ensure() -> Vec<String> {
    ENVIRONMENTS.iter().filter_map(one).collect()
}

fn one(environment: &Environment) -> Option<String> {
    let folder = folder(environment.name)?;
    if installed(&folder, environment) {
        return None;
    }
    eprintln!("xtask: installing {} into {}", environment.wanted.join(", "), folder.display());
    let problem = install(&folder, environment).err()?;
    Some(format!("{} is missing ({problem}): {}", environment.name, environment.skipped))
}

fn folder(name: &str) -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    Some(program.parent()?.parent()?.join(name))
}

fn installed(folder: &Path, environment: &Environment) -> bool {
    let mut python = Command::new(folder.join("bin/python"));
    let asked = python.args(["-c", environment.check]).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

fn install(folder: &Path, environment: &Environment) -> Result<(), String> {
    let venv = || run("venv", Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder));
    if venv().is_err() {
        // Debian's Python has the module, and what it needs in another package.
        packages::install(&["python3-venv"])?;
        venv()?;
    }
    let mut pip = Command::new(folder.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(environment.wanted);
    run("pip", &mut pip)
}

fn run(name: &str, command: &mut Command) -> Result<(), String> {
    match command.stdin(Stdio::null()).stdout(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{name} ended with {status}")),
        Err(error) => Err(format!("{name} did not start: {error}")),
    }
}
