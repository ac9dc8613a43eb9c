//! Installs what the tests need from Debian's packages, when it may.
//!
//! Only missing programs are asked for. A machine that is not Debian, or a user who is not root,
//! is told what will be skipped instead; nothing here fails the run.

use std::path::Path;
use std::process::{Command, Stdio};

/// A program that tests start, the package that has it, and what is skipped without it.
struct Need {
    program: &'static str,
    package: &'static str,
    skipped: &'static str,
}

const NEEDS: &[Need] = &[
    need("cc", "gcc", "hostile and abuse programs in C"),
    need("clang", "clang", "rebuilding the kernel programs to compare them"),
    need("llvm-strip", "llvm", "rebuilding the kernel programs to compare them"),
    need("python3", "python3", "samples in Python"),
    need("busybox", "busybox-static", "samples that use nc"),
    need("insmod", "kmod", "a sample that loads a module"),
    need("iptables", "iptables", "a sample that opens the firewall"),
    need("setpriv", "util-linux", "runs as an ordinary user"),
    need("curl", "curl", "download samples"),
    need("make", "make", "everyday command make"),
    need("cmake", "cmake", "everyday command cmake"),
    need("git", "git", "everyday commands of git"),
    need("zip", "zip", "everyday command zip"),
    need("unzip", "unzip", "everyday command unzip"),
    need("xz", "xz-utils", "everyday command xz"),
    need("sqlite3", "sqlite3", "everyday command sqlite3"),
    need("openssl", "openssl", "everyday command openssl"),
    need("ssh-keygen", "openssh-client", "everyday command ssh-keygen"),
    need("perl", "perl", "everyday command perl"),
    need("jq", "jq", "everyday command jq"),
    need("bc", "bc", "everyday command bc"),
    need("file", "file", "everyday command file"),
    need("ip", "iproute2", "everyday command ip"),
    need("ps", "procps", "everyday command ps"),
    need("mount", "mount", "full and read-only disks"),
    need("mkfs.ext4", "e2fsprogs", "disks that fail"),
    need("nginx", "nginx-light", "an application behind the gateway"),
    need("prometheus", "prometheus", "Prometheus beside a server, and as oracle of the history"),
    need("promtool", "prometheus", "checks and unit tests of generated rules"),
    need("prometheus-alertmanager", "prometheus-alertmanager", "alerts to Alertmanager"),
    need("amtool", "prometheus-alertmanager", "the check of Alertmanager's configuration"),
    need("chromium", "chromium", "the console's pages in a browser"),
    need("qemu-system-x86_64", "qemu-system-x86", "guests of the microvm runner, other kernels"),
    need("dockerd", "docker.io", "the docker runner"),
    need("node", "nodejs", "everyday JavaScript, compiled while it runs"),
    need("java", "default-jre-headless", "everyday Java, compiled while it runs"),
    need("luajit", "luajit", "everyday Lua, compiled while it runs"),
];

const fn need(program: &'static str, package: &'static str, skipped: &'static str) -> Need {
    Need { program, package, skipped }
}

/// Installs missing packages where that is possible; returns one sentence for each thing that
/// the tests will have to skip.
pub(crate) fn ensure() -> Vec<String> {
    let mut missing: Vec<&Need> = NEEDS.iter().filter(|need| !present(need.program)).collect();
    if missing.is_empty() {
        return Vec::new();
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    if let Err(problem) = install(&packages) {
        eprintln!("xtask: {problem}");
    }
    missing.retain(|need| !present(need.program));
    missing
        .iter()
        .map(|need| format!("{} is missing ({}): {}", need.program, need.package, need.skipped))
        .collect()
}

fn present(program: &str) -> bool {
    quiet(Command::new("sh").args(["-c", "command -v \"$0\"", program]))
}

fn may_install() -> bool {
    let root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
    root && Path::new("/etc/debian_version").exists() && present("apt-get")
}

/// Installs packages, where that is possible.
pub(crate) fn install(packages: &[&str]) -> Result<(), String> {
    if !may_install() {
        return Err("not root on a Debian machine, so no package is installed".to_owned());
    }
    let mut packages = packages.to_vec();
    packages.sort_unstable();
    packages.dedup();
    eprintln!("xtask: installing {}", packages.join(" "));
    apt(&["update", "-qq"])?;
    let mut arguments = vec!["install", "-y", "-qq", "--no-install-recommends"];
    arguments.extend(&packages);
    apt(&arguments)
}

fn apt(arguments: &[&str]) -> Result<(), String> {
    let status = Command::new("apt-get")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("apt-get {} ended with {status}", arguments[0])),
        Err(error) => Err(format!("apt-get did not start: {error}")),
    }
}

fn quiet(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
