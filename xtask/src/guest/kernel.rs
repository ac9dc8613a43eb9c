//! Reads Debian's kernel package: which release it is, how it was configured, and the uncompressed
//! kernel inside `vmlinuz`, which Firecracker wants.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

use super::lz4;

/// The release of the one kernel in the tree, as `uname -r` would say.
pub(super) fn release(tree: &Path) -> anyhow::Result<String> {
    fs::read_dir(tree.join("boot"))
        .context("the package has no boot folder")?
        .flatten()
        .find_map(|entry| entry.file_name().to_str()?.strip_prefix("vmlinuz-").map(str::to_owned))
        .context("the package has no kernel")
}

/// The value of `CONFIG_<name>`, without quotes.
pub(super) fn option(config: &str, name: &str) -> Option<String> {
    let start = format!("CONFIG_{name}=");
    let value = config.lines().find_map(|line| line.strip_prefix(&start))?;
    Some(value.trim_matches('"').to_owned())
}

/// The kernel's ELF file out of a `bzImage`: boot protocol 2.08 says where it lies
/// (`Documentation/arch/x86/boot.rst`: `setup_sects` at 0x1f1, `payload_offset` at 0x248,
/// `payload_length` at 0x24c).
pub(super) fn uncompressed(image: &[u8], scratch: &Path) -> anyhow::Result<Vec<u8>> {
    ensure!(image.get(0x202..0x206) == Some(b"HdrS"), "vmlinuz is no x86 kernel image");
    let word = |at: usize| -> anyhow::Result<usize> {
        let bytes = image.get(at..at + 4).context("vmlinuz is too short")?;
        Ok(usize::try_from(u32::from_le_bytes(bytes.try_into()?))?)
    };
    let sectors = match usize::from(*image.get(0x1f1).context("vmlinuz is too short")?) {
        0 => 4,
        sectors => sectors,
    };
    let start = (sectors + 1) * 512 + word(0x248)?;
    let payload = image.get(start..start + word(0x24c)?).context("vmlinuz is too short")?;
    // Only the last four bytes are not the compressor's: the length of what comes out.
    let payload = payload.get(..payload.len().saturating_sub(4)).unwrap_or_default();
    if payload.starts_with(&lz4::MAGIC) {
        let kernel = lz4::unpack(payload).context("the kernel is damaged")?;
        ensure!(kernel.starts_with(b"\x7fELF"), "what LZ4 made of the kernel is no ELF file");
        return Ok(kernel);
    }
    let program = match payload.get(..4) {
        Some([0x28, 0xb5, 0x2f, 0xfd]) => "zstd",
        Some([0xfd, b'7', b'z', b'X']) => "xz",
        Some([0x1f, 0x8b, ..]) => "gzip",
        _ => anyhow::bail!("the kernel is compressed in a way this task does not know"),
    };
    let kernel = decompress(program, payload, scratch)?;
    ensure!(kernel.starts_with(b"\x7fELF"), "what {program} made of the kernel is no ELF file");
    Ok(kernel)
}

fn decompress(program: &str, payload: &[u8], scratch: &Path) -> anyhow::Result<Vec<u8>> {
    let path = scratch.join("vmlinux");
    let mut child = Command::new(program)
        .arg("-dc")
        .stdin(Stdio::piped())
        .stdout(fs::File::create(&path)?)
        .spawn()
        .with_context(|| format!("{program} is not installed, and the kernel is packed with it"))?;
    let mut input = child.stdin.take().context("no standard input")?;
    input.write_all(payload).with_context(|| format!("writing to {program}"))?;
    drop(input);
    ensure!(child.wait()?.success(), "{program} failed on the kernel");
    Ok(fs::read(&path)?)
}

/// Whether an ELF file asks for no loader: it has no program header of type PT_INTERP (3).
pub(super) fn is_static(program: &[u8]) -> bool {
    let number = |at: usize, bytes: usize| -> Option<usize> {
        let field = program.get(at..at + bytes)?;
        field.iter().rev().try_fold(0_usize, |value, &byte| Some((value << 8) | usize::from(byte)))
    };
    if !program.starts_with(b"\x7fELF") {
        return false;
    }
    let (Some(table), Some(size), Some(count)) = (number(32, 8), number(54, 2), number(56, 2))
    else {
        return false;
    };
    (0..count).all(|index| number(table + index * size, 4).is_some_and(|kind| kind != 3))
}

#[cfg(test)]
mod tests {
    use super::{is_static, option};

    #[test]
    fn options_are_read_without_their_quotes() {
        let config = "CONFIG_LSM=\"landlock,bpf\"\nCONFIG_BPF=y\n# CONFIG_ISA_BUS is not set\n";
        assert_eq!(option(config, "LSM").unwrap(), "landlock,bpf");
        assert_eq!(option(config, "BPF").unwrap(), "y");
        assert_eq!(option(config, "ISA_BUS"), None);
    }

    #[test]
    fn what_is_no_elf_file_is_not_static() {
        assert!(!is_static(b"#!/bin/sh"));
        assert!(!is_static(b"\x7fELF"));
    }
}
