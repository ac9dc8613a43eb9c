//! Installs what a collector can be made of in Python, OpenTelemetry's messages and gRPC, into the
//! target folder, so that traces are sent to something that was not written here. Not having it fails
//! nothing: what is skipped is told.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::packages;

/// With these the tests were written; another version understands the same.
const WANTED: [&str; 2] = ["opentelemetry-proto==1.45.2", "grpcio==1.85.3"];

/// One sentence about what the tests have to skip, if they have to.
pub(crate) fn ensure() -> Option<String> {
    let folder = folder()?;
    if installed(&folder) {
        return None;
    }
    eprintln!("xtask: installing an OTLP receiver into {}", folder.display());
    let problem = install(&folder).err()?;
    Some(format!("an OTLP receiver is missing ({problem}): traces against a real collector"))
}

/// Beside the profiles of the target folder, where this program itself is, and where the tests look.
fn folder() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    Some(program.parent()?.parent()?.join("otlp-receiver"))
}

fn installed(folder: &Path) -> bool {
    let imports = "import grpc, opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc";
    let mut python = Command::new(folder.join("bin/python"));
    let asked = python.args(["-c", imports]).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

fn install(folder: &Path) -> Result<(), String> {
    let venv = || run("venv", Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder));
    if venv().is_err() {
        // Debian's Python has the module, and what it needs in another package.
        packages::install(&["python3-venv"])?;
        venv()?;
    }
    let mut pip = Command::new(folder.join("bin/pip"));
    run("pip", pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(WANTED))
}

fn run(name: &str, command: &mut Command) -> Result<(), String> {
    match command.stdin(Stdio::null()).stdout(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{name} ended with {status}")),
        Err(error) => Err(format!("{name} did not start: {error}")),
    }
}
