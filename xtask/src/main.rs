//! Developer tasks: `test`, `ebpf`, `guest`, `corpus`, `demo-health`, `bench`.
//!
//! Starts other programs and adds up how they ended. It knows nothing of what ShieldX does; no
//! crate of the workspace depends on it and it depends on none of them.

mod corpus;
mod demo;
mod ebpf;
mod guest;
mod packages;
mod python;
mod suite;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail};

const USAGE: &str = "\
usage: cargo xtask TASK

  test              install what the tests need (Debian, root), then fmt, clippy, all tests
  ebpf [--check]    build the kernel programs; with --check compare with the committed object
  guest [--out DIR] the kernel and initramfs of microvm guests, from Debian's packages
  guest exec -- CMD run a command as root of such a guest (its files and libraries go with it)
  corpus            everything under corpus/ in the sandbox, and docs/scorecard.md of it
  demo-health       a server, Prometheus, Alertmanager, some load, and `shieldx health` of all of them
  bench             run benches/run.sh (by hand, on a quiet machine)";

#[expect(
    clippy::disallowed_methods,
    reason = "xtask is a program of its own; invariant 1 is about the product"
)]
fn arguments() -> Vec<String> {
    std::env::args().skip(1).collect()
}

fn main() -> ExitCode {
    let arguments = arguments();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["test"] => suite::run(&root()),
        ["ebpf"] => ebpf::run(false),
        ["ebpf", "--check"] => ebpf::run(true),
        ["guest", rest @ ..] => guest::run(rest),
        ["corpus", rest @ ..] => corpus::run(&root(), rest),
        ["demo-health"] => demo::health(&root()),
        ["bench"] => bench(&root()),
        ["help" | "--help" | "-h"] => {
            eprintln!("{USAGE}");
            Ok(())
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "xtask is a program of its own; invariant 1 is about the product"
)]
fn variable(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name)
}

/// The workspace's folder.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn bench(root: &Path) -> anyhow::Result<()> {
    let status = Command::new("sh")
        .arg("benches/run.sh")
        .current_dir(root)
        .status()
        .context("could not start benches/run.sh")?;
    if !status.success() {
        bail!("benches/run.sh ended with {status}");
    }
    Ok(())
}
