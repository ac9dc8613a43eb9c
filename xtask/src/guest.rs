//! `cargo xtask guest`: the kernel and the first files of the `microvm` runner's guests.
//!
//! Takes Debian's signed cloud kernel, a static busybox and the few modules a guest needs, and
//! writes them with a manifest that names the SHA-256 of each. The same packages give the same
//! bytes. `exec` boots such a guest and runs one command in it as root, with nothing held back: for
//! tests of what a kernel can do. Knows nothing of what the runner does with a guest.

mod boot;
mod cpio;
mod kernel;
mod lz4;
mod modules;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use sha2::{Digest as _, Sha256};

/// Debian's name for the newest kernel of its cloud flavour; it depends on the real package.
const META_PACKAGE: &str = "linux-image-cloud-amd64";
const BUSYBOX_PACKAGE: &str = "busybox-static";
const BUSYBOX: &str = "/bin/busybox";
/// The first program in a guest.
const INIT: &str = include_str!("guest/init.sh");

/// What `cargo xtask guest …` was asked for.
pub(crate) fn run(arguments: &[&str]) -> anyhow::Result<()> {
    match arguments {
        [] => build(&default_folder()?),
        ["--out", folder] => build(Path::new(folder)),
        ["exec", "--", command @ ..] if !command.is_empty() => {
            let folder = default_folder()?;
            if !folder.join("manifest.json").exists() {
                build(&folder)?;
            }
            boot::exec(&folder, command)
        }
        _ => bail!("usage: cargo xtask guest [--out DIR] | guest exec -- COMMAND…"),
    }
}

/// Builds the guest where there is none, or one of an earlier version of this task. One sentence about what the tests have to skip, if they
/// have to.
pub(crate) fn ensure() -> Option<String> {
    let made = default_folder().and_then(
        |folder| {
            if is_current(&folder) { Ok(()) } else { build(&folder) }
        },
    );
    let problem = made.err()?;
    Some(format!(
        "there is no guest ({problem:#}): the microvm runner, the monitor on Debian's kernel"
    ))
}

/// Whether a guest is there that was built to load what guests load now.
fn is_current(folder: &Path) -> bool {
    let manifest = fs::read(folder.join("manifest.json")).ok();
    let manifest: Option<serde_json::Value> =
        manifest.and_then(|text| serde_json::from_slice(&text).ok());
    manifest.is_some_and(|manifest| manifest["wanted"] == modules::WANTED.join(" "))
}

/// Where `shieldx` looks, too: `SHIELDX_GUEST`, or `shieldx/guest` among this user's data.
fn default_folder() -> anyhow::Result<PathBuf> {
    let variable =
        |name| crate::variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(folder) = variable("SHIELDX_GUEST") {
        return Ok(folder);
    }
    let data = variable("XDG_DATA_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".local/share")))
        .context("no folder for the guest: HOME is not set; name one with --out DIR")?;
    Ok(data.join("shieldx/guest"))
}

/// Downloads, unpacks, packs, and puts the new files where the old ones were, the manifest last.
fn build(folder: &Path) -> anyhow::Result<()> {
    ensure!(cfg!(target_arch = "x86_64"), "guests are built for x86_64 only");
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let scratch = Scratch::new(folder)?;
    let package = download(&scratch.0)?;
    let tree = scratch.0.join("tree");
    succeed(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&tree))?;
    let release = kernel::release(&tree)?;
    let vmlinuz = fs::read(tree.join(format!("boot/vmlinuz-{release}"))).context("the kernel")?;
    let vmlinux = kernel::uncompressed(&vmlinuz, &scratch.0)?;
    let modules = modules::collect(&tree.join("lib/modules").join(&release))?;
    let busybox = busybox()?;
    let initramfs = initramfs(&modules, &busybox)?;
    let parts = [
        ("vmlinuz", vmlinuz.as_slice()),
        ("vmlinux", vmlinux.as_slice()),
        ("initramfs", initramfs.as_slice()),
        ("busybox", busybox.as_slice()),
    ];
    for (name, content) in parts {
        replace(folder, name, content)?;
    }
    let config = fs::read_to_string(tree.join(format!("boot/config-{release}")))?;
    let lsm = kernel::option(&config, "LSM").unwrap_or_default();
    let applets = output(Command::new(BUSYBOX).arg("--list"))?;
    let about = [
        ("kernel", release.as_str()),
        ("package", &package.file_stem().unwrap_or_default().to_string_lossy()),
        ("lsm", &lsm),
        ("modules", &modules.order().trim_end().replace('\n', " ")),
        ("wanted", &modules::WANTED.join(" ")),
        ("applets", &applets.trim_end().replace('\n', " ")),
    ];
    let manifest = manifest(&about, &parts);
    replace(folder, "manifest.json", manifest.as_bytes())?;
    eprintln!("xtask: guest with Linux {release} in {}", folder.display());
    Ok(())
}

/// Everything unpacked; gone when this is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(format!(".build-{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(Self(path.canonicalize()?))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Has apt fetch the kernel package it would install; it checks the archive's signature.
fn download(scratch: &Path) -> anyhow::Result<PathBuf> {
    let shown = output(Command::new("apt-cache").args(["show", "--no-all-versions", META_PACKAGE]))
        .with_context(|| {
            format!("apt does not know {META_PACKAGE}: `apt-get update` first (Debian only)")
        })?;
    let package = depends(&shown)
        .with_context(|| format!("{META_PACKAGE} names no kernel package it depends on"))?;
    let mut command = Command::new("apt-get");
    // As root apt gives up its rights for a download and then could not write here.
    command
        .args(["-qq", "-o", "APT::Sandbox::User=root", "download", &package])
        .current_dir(scratch);
    succeed(&mut command)?;
    let found = fs::read_dir(scratch)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"));
    found.with_context(|| format!("apt-get downloaded nothing for {package}"))
}

/// The first `linux-image-…` of a `Depends` line, without its version.
fn depends(shown: &str) -> Option<String> {
    let line = shown.lines().find_map(|line| line.strip_prefix("Depends:"))?;
    line.split(',')
        .filter_map(|part| part.split_whitespace().next())
        .find(|name| name.starts_with("linux-image-"))
        .map(str::to_owned)
}

/// The static busybox of this host.
fn busybox() -> anyhow::Result<Vec<u8>> {
    let busybox = fs::read(BUSYBOX)
        .with_context(|| format!("{BUSYBOX} (Debian: apt-get install {BUSYBOX_PACKAGE})"))?;
    ensure!(kernel::is_static(&busybox), "{BUSYBOX} is not static: install {BUSYBOX_PACKAGE}");
    Ok(busybox)
}

/// The files of every guest's memory at start: busybox, the modules, `init`.
fn initramfs(modules: &modules::Modules, busybox: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut archive = cpio::Archive::default();
    for folder in ["agent", "bin", "dev", "image", "modules", "proc", "sys"] {
        archive.folder(folder);
    }
    // The kernel opens it for init before anything is mounted.
    archive.device("dev/console", 5, 1);
    archive.file("bin/busybox", 0o755, busybox);
    archive.file("init", 0o755, INIT.as_bytes());
    for (name, content) in &modules.files {
        archive.file(&format!("modules/{name}.ko"), 0o644, content);
    }
    archive.file("modules/order", 0o644, modules.order().as_bytes());
    Ok(archive.finish())
}

/// The values are names of Debian's and hashes: nothing in them needs escaping.
fn manifest(about: &[(&str, &str)], parts: &[(&str, &[u8])]) -> String {
    let mut lines: Vec<String> =
        about.iter().map(|(name, value)| format!("  \"{name}\": \"{value}\"")).collect();
    for (name, content) in parts {
        lines.push(format!("  \"{name}_sha256\": \"{}\"", hex(&Sha256::digest(content))));
    }
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

/// Replaces a file whole: a run that has the old one open goes on with it.
fn replace(folder: &Path, name: &str, content: &[u8]) -> anyhow::Result<()> {
    let new = folder.join(format!(".{name}.new"));
    fs::write(&new, content)
        .and_then(|()| fs::rename(&new, folder.join(name)))
        .with_context(|| format!("writing {}", folder.join(name).display()))
}

fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("starting {command:?}"))?;
    ensure!(output.status.success(), "{command:?} failed: {}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("starting {command:?}"))?;
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_kernel_package_is_the_one_the_meta_package_depends_on() {
        let shown = "Package: linux-image-cloud-amd64\nDepends: linux-image-6.1.0-56-cloud-amd64 (= 6.1.192-2)\n";
        assert_eq!(super::depends(shown).unwrap(), "linux-image-6.1.0-56-cloud-amd64");
        assert_eq!(super::depends("Package: x\n"), None);
    }
}
