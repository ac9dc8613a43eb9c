//! Programs that judge generated files, where they are installed.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use slo::generate::File;

/// Whether a program is there. Where it is not, this says so, for the test that then skips.
pub(crate) fn has(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok();
    if !there {
        eprintln!("SKIP {program} is not installed");
    }
    there
}

/// Writes files below a folder.
pub(crate) fn write(folder: &Path, files: &[File]) {
    for file in files {
        let path = folder.join(&file.path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        fs::write(path, &file.text).expect("a file");
    }
}

pub(crate) fn run(folder: &Path, program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).current_dir(folder).output().expect("it starts")
}

/// Runs a program, which has to be content.
pub(crate) fn accepts(folder: &Path, program: &str, arguments: &[&str]) -> String {
    let output = run(folder, program, arguments);
    let said = text(&output);
    assert!(output.status.success(), "{program} {arguments:?}:\n{said}");
    said
}

/// What a program said, on both streams.
pub(crate) fn text(output: &Output) -> String {
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    said
}
