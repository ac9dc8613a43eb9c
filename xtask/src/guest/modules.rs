//! Which kernel modules a guest loads, and in which order. A package has no `modules.dep`: what
//! a module needs stands in the module itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};

/// Buses and disks, the port to the host, the file systems of its roots, the interface that the sink
/// answers on, and vsock for Firecracker.
pub(super) const WANTED: &[&str] = &[
    "virtio_mmio",
    "virtio_pci",
    "virtio_blk",
    "virtio_console",
    "virtio-rng",
    "erofs",
    "overlay",
    "tun",
    "vmw_vsock_virtio_transport",
    "vsock_loopback",
];
/// Built into some kernels; without them a guest lacks what they give and no more.
const OPTIONAL: &[&str] = &["virtio-rng", "vsock_loopback", "virtio_pci"];

#[derive(Default)]
pub(super) struct Modules {
    /// Name and content, in the order to load them.
    pub files: Vec<(String, Vec<u8>)>,
}

impl Modules {
    /// One name a line.
    pub(super) fn order(&self) -> String {
        self.files.iter().map(|(name, _)| format!("{name}\n")).collect()
    }
}

pub(super) fn collect(folder: &Path) -> anyhow::Result<Modules> {
    let mut known = BTreeMap::new();
    list(folder, &mut known).with_context(|| format!("listing {}", folder.display()))?;
    let builtin = fs::read_to_string(folder.join("modules.builtin")).unwrap_or_default();
    let mut modules = Modules::default();
    for name in WANTED {
        let there = add(name, &known, &builtin, &mut modules)?;
        ensure!(there || OPTIONAL.contains(name), "this kernel has no {name}");
    }
    Ok(modules)
}

/// Adds a module behind what it needs. Whether the kernel has it, as a module or built in.
fn add(
    name: &str,
    known: &BTreeMap<String, std::path::PathBuf>,
    builtin: &str,
    modules: &mut Modules,
) -> anyhow::Result<bool> {
    let key = name.replace('-', "_");
    if modules.files.iter().any(|(loaded, _)| *loaded == key) {
        return Ok(true);
    }
    let Some(path) = known.get(&key) else {
        return Ok(builtin.lines().any(|line| stem(line) == key));
    };
    ensure!(
        path.extension().is_some_and(|extension| extension == "ko"),
        "{} is compressed, which this task does not read",
        path.display()
    );
    let content = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    for needed in needs(&content) {
        ensure!(add(&needed, known, builtin, modules)?, "{name} needs {needed}, which is missing");
    }
    modules.files.push((key, content));
    Ok(true)
}

/// The names after `depends=` in a module's information section, which is text between NUL bytes.
fn needs(module: &[u8]) -> Vec<String> {
    let tag = b"\0depends=";
    let Some(at) = module.windows(tag.len()).position(|window| window == tag) else {
        return Vec::new();
    };
    let rest = module.get(at + tag.len()..).unwrap_or_default();
    let text = rest.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text)
        .split(',')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

fn list(folder: &Path, known: &mut BTreeMap<String, std::path::PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && !path.is_symlink() {
            list(&path, known)?;
        } else if path.file_name().is_some_and(|name| name.to_string_lossy().contains(".ko")) {
            known.insert(stem(&path.to_string_lossy()), path);
        }
    }
    Ok(())
}

/// `a/b/virtio-rng.ko` → `virtio_rng`.
fn stem(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.split(".ko").next().unwrap_or(name).replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::{needs, stem};

    #[test]
    fn what_a_module_needs_stands_in_it() {
        let module = b"\x7fELF...\0license=GPL\0depends=virtio,virtio_ring\0retpoline=Y\0";
        assert_eq!(needs(module), ["virtio", "virtio_ring"]);
        assert!(needs(b"\0depends=\0").is_empty());
        assert_eq!(stem("kernel/drivers/char/hw_random/virtio-rng.ko"), "virtio_rng");
    }
}
