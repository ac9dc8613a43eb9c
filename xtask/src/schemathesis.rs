//! Installs Schemathesis, a Python program that tries what an OpenAPI document promises, into the
//! target folder. Like a missing package, not having it fails nothing: what is skipped is told.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::packages;

/// Another version generates other requests and knows other checks.
const VERSION: &str = "4.32.5";

/// One sentence about what the tests have to skip, if they have to.
pub(crate) fn ensure() -> Option<String> {
    let folder = folder()?;
    if installed(&folder) {
        return None;
    }
    eprintln!("xtask: installing Schemathesis {VERSION} into {}", folder.display());
    let problem = install(&folder).err()?;
    Some(format!("schemathesis is missing ({problem}): the APIs against their OpenAPI documents"))
}

/// Beside the profiles of the target folder, where this program itself is, and where the tests look.
fn folder() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    Some(program.parent()?.parent()?.join("schemathesis"))
}

fn installed(folder: &Path) -> bool {
    let said = Command::new(folder.join("bin/schemathesis")).arg("--version").output();
    said.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).contains(VERSION))
}

fn install(folder: &Path) -> Result<(), String> {
    let venv = || run("venv", Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder));
    if venv().is_err() {
        // Debian's Python has the module, and what it needs in another package.
        packages::install(&["python3-venv"])?;
        venv()?;
    }
    let wanted = format!("schemathesis=={VERSION}");
    let mut pip = Command::new(folder.join("bin/pip"));
    run("pip", pip.args(["install", "--quiet", "--disable-pip-version-check", &wanted]))
}

fn run(name: &str, command: &mut Command) -> Result<(), String> {
    match command.stdin(Stdio::null()).stdout(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{name} ended with {status}")),
        Err(error) => Err(format!("{name} did not start: {error}")),
    }
}
