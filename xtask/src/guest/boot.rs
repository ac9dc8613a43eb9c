//! `cargo xtask guest exec -- COMMAND…`: boots a guest and runs one command as its root.
//!
//! For tests of what the guest's kernel can do. The command and every file it names go in with it,
//! with the libraries they need; busybox is the rest. Nothing is held back from it but the host.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use super::output;

const QEMU: &str = "qemu-system-x86_64";
/// What the guest says last.
const STATUS: &str = "shieldx exec status ";
/// The kernel's list of security modules with BPF among them, so that its programs may refuse.
const LSM: &str = "lsm=landlock,lockdown,yama,integrity,bpf";

/// Runs the command; its output is this process' own. An error when it fails in the guest.
pub(super) fn exec(folder: &Path, command: &[&str]) -> anyhow::Result<()> {
    let scratch = super::Scratch::new(folder)?;
    let tree = scratch.0.join("root");
    fs::create_dir_all(&tree)?;
    let mut words = Vec::new();
    for word in command {
        words.push(quote(&bring(word, words.is_empty(), &tree)?));
    }
    fs::write(tree.join("exec.sh"), script(&words.join(" ")))?;
    let disk = scratch.0.join("disk.tar");
    super::succeed(Command::new("tar").arg("-cf").arg(&disk).arg("-C").arg(&tree).arg("."))?;
    // Whole sectors, or the guest does not see the end.
    let file = fs::OpenOptions::new().write(true).open(&disk)?;
    file.set_len(file.metadata()?.len().next_multiple_of(4096))?;
    boot(folder, &disk)
}

fn boot(folder: &Path, disk: &Path) -> anyhow::Result<()> {
    let append =
        format!("console=ttyS0 quiet panic=-1 reboot=t random.trust_cpu=on {LSM} shieldx.exec");
    let mut qemu = Command::new(QEMU)
        .args(["-M", "pc", "-accel", "tcg", "-cpu", "max", "-m", "1024"])
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
        .args(["-serial", "stdio"])
        .args(["-append", &append])
        .arg("-kernel")
        .arg(folder.join("vmlinuz"))
        .arg("-initrd")
        .arg(folder.join("initramfs"))
        .arg("-drive")
        .arg(format!("id=disk,if=none,format=raw,readonly=on,file={}", disk.display()))
        .args(["-device", "virtio-blk-pci,drive=disk"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{QEMU} (Debian: apt-get install qemu-system-x86)"))?;
    let lines = BufReader::new(qemu.stdout.take().context("no output of QEMU")?);
    let mut status = None;
    for line in lines.lines() {
        let line = line?;
        let line = line.trim_end_matches('\r');
        match line.find(STATUS) {
            Some(at) => status = line.get(at + STATUS.len()..).map(|text| text.trim().to_owned()),
            None => writeln!(std::io::stdout().lock(), "{line}")?,
        }
    }
    qemu.wait()?;
    match status.as_deref() {
        Some("0") => Ok(()),
        Some(status) => bail!("the command ended with {status} in the guest"),
        None => bail!("the guest ended before its command did"),
    }
}

/// What runs in the guest: mounts what tests look at, enters the root that came with it.
fn script(command: &str) -> String {
    format!(
        "b=/bin/busybox
cd /image
for folder in proc sys dev tmp run bin lib lib64; do $b mkdir -p $folder; done
$b cp /bin/busybox bin/busybox
$b chroot /image /bin/busybox --install -s /bin 2>/dev/null
$b mount -t proc proc proc
$b mount -t sysfs sys sys
$b mount -t devtmpfs dev dev
$b mount -t cgroup2 cgroup sys/fs/cgroup
$b mount -t bpf bpf sys/fs/bpf
$b mount -t tracefs tracefs sys/kernel/tracing
$b mount -t securityfs securityfs sys/kernel/security
$b mount -t tmpfs tmp tmp
$b mkdir -p dev/shm
export HOME=/ PATH=/bin:/usr/bin:/sbin:/usr/sbin TERM=dumb RUST_BACKTRACE=1
exec $b chroot /image {command}
"
    )
}

/// Copies a file of the host that a word names, with its libraries, to the same path; the word as
/// the guest knows it.
fn bring(word: &str, program: bool, tree: &Path) -> anyhow::Result<String> {
    let path = Path::new(word);
    let file = if path.components().count() > 1 { path.canonicalize().ok() } else { None };
    let found = || {
        ["/usr/bin", "/usr/sbin", "/bin", "/sbin"]
            .iter()
            .map(|folder| Path::new(folder).join(word))
            .find(|path| path.is_file())
    };
    let Some(file) = file.or_else(|| found().filter(|_| program && !busybox_has(word))) else {
        return Ok(word.to_owned());
    };
    if !file.is_file() {
        return Ok(word.to_owned());
    }
    copy(&file, tree)?;
    for library in libraries(&file) {
        copy(&library, tree)?;
    }
    Ok(file.display().to_string())
}

fn busybox_has(word: &str) -> bool {
    output(Command::new(super::BUSYBOX).arg("--list"))
        .is_ok_and(|list| list.lines().any(|line| line == word))
}

/// What ldd(1) says of a file; nothing for a static one.
fn libraries(file: &Path) -> Vec<PathBuf> {
    let told = output(Command::new("ldd").arg(file)).unwrap_or_default();
    told.lines()
        .filter_map(|line| {
            let path = line.split("=>").last()?.split_whitespace().next()?;
            path.starts_with('/').then(|| PathBuf::from(path))
        })
        .collect()
}

fn copy(file: &Path, tree: &Path) -> anyhow::Result<()> {
    let to = tree.join(file.strip_prefix("/").unwrap_or(file));
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::copy(file, &to).with_context(|| format!("copying {}", file.display()))?;
    Ok(())
}

/// One word of the shell.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn words_stay_one_word() {
        assert_eq!(super::quote("it's $HOME"), "'it'\\''s $HOME'");
    }
}
