//! `cargo xtask ebpf`: builds the kernel programs and records what they were built from.
//!
//! The objects are committed so that `cargo build` needs no clang. Beside them stands the SHA-256 of
//! their sources; `check` compares it, and where clang exists rebuilds and compares the bytes.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use sha2::{Digest as _, Sha256};

/// Each is built from the C file of its name.
const OBJECTS: [&str; 3] = ["monitor", "guard", "capture"];
const HASHES: &str = "object/monitor.sha256";
/// The compiler whose output is committed; another one makes other bytes out of the same source.
const CLANG_MAJOR: &str = "14";

/// Builds the objects and their hashes, or with `check` compares them with what is committed.
pub(crate) fn run(check: bool) -> anyhow::Result<()> {
    let folder = folder();
    let sources = hash_of_sources(&folder)?;
    if !check {
        let clang = clang()?;
        fs::create_dir_all(folder.join("object"))?;
        let mut hashes = format!("{sources}  sources\n");
        for name in OBJECTS {
            let object = object(&folder, name);
            build(&clang, &folder, name, &object)?;
            hashes += &format!("{}  {name}.bpf.o\n", hash_of(&object)?);
        }
        return fs::write(folder.join(HASHES), hashes).context("writing the hashes");
    }
    let recorded = fs::read_to_string(folder.join(HASHES)).context("reading the hashes")?;
    let again = "run `cargo xtask ebpf` and commit the result";
    ensure!(
        recorded.contains(&format!("{sources}  sources\n")),
        "the eBPF sources are not the ones the committed objects were built from: {again}"
    );
    for name in OBJECTS {
        let object = hash_of(&object(&folder, name))?;
        ensure!(
            recorded.contains(&format!("{object}  {name}.bpf.o\n")),
            "the committed eBPF object {name} is not the one its hash names: {again}"
        );
    }
    let clang = match clang() {
        Ok(clang) => clang,
        Err(reason) => {
            eprintln!("SKIP rebuilding the eBPF objects: {reason:#}");
            return Ok(());
        }
    };
    for name in OBJECTS {
        let scratch =
            std::env::temp_dir().join(format!("shieldx-ebpf-{name}-{}.o", std::process::id()));
        let rebuilt = build(&clang, &folder, name, &scratch).and_then(|()| hash_of(&scratch));
        let _ = fs::remove_file(&scratch);
        let committed = hash_of(&object(&folder, name))?;
        ensure!(
            rebuilt? == committed,
            "rebuilding the eBPF object {name} gave other bytes: {again}"
        );
    }
    Ok(())
}

fn object(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("object/{name}.bpf.o"))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/ebpf")
}

/// The clang and llvm-strip to build with.
struct Clang {
    compiler: String,
    strip: String,
}

/// Finds the compiler the committed object was made with, by its versioned or its plain name.
fn clang() -> anyhow::Result<Clang> {
    for suffix in [format!("-{CLANG_MAJOR}"), String::new()] {
        let compiler = format!("clang{suffix}");
        let Ok(output) = Command::new(&compiler).arg("--version").output() else { continue };
        let version = String::from_utf8_lossy(&output.stdout).into_owned();
        if version.contains(&format!("version {CLANG_MAJOR}.")) {
            let strip = format!("llvm-strip{suffix}");
            Command::new(&strip).arg("--version").output().with_context(|| {
                format!("{strip} is not installed (Debian: apt-get install llvm-{CLANG_MAJOR})")
            })?;
            return Ok(Clang { compiler, strip });
        }
    }
    bail!(
        "clang {CLANG_MAJOR} is not installed (Debian 12: apt-get install clang-{CLANG_MAJOR} llvm-{CLANG_MAJOR})"
    )
}

/// Compiles from inside the source folder and says so, so that no absolute path gets into the
/// object: it must come out the same in every clone.
fn build(clang: &Clang, folder: &Path, name: &str, object: &Path) -> anyhow::Result<()> {
    let mut compile = Command::new(&clang.compiler);
    compile
        .current_dir(folder.join("c"))
        .args([
            "-fdebug-compilation-dir=.",
            "-target",
            "bpf",
            "-mcpu=v3",
            "-O2",
            "-g",
            "-fno-addrsig",
            "-std=gnu11",
        ])
        .args(["-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter"])
        .args(["-c", &format!("{name}.bpf.c"), "-o"])
        .arg(object);
    succeed(&mut compile)?;
    // DWARF goes; .BTF and .BTF.ext, which the loader needs, stay.
    succeed(Command::new(&clang.strip).arg("-g").arg(object))
}

fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("starting {command:?}"))?;
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(())
}

/// SHA-256 over name and content of every C source and header, in the order of their names.
fn hash_of_sources(folder: &Path) -> anyhow::Result<String> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder.join("c")).context("listing the eBPF sources")? {
        let path = entry?.path();
        if matches!(path.extension().and_then(OsStr::to_str), Some("c" | "h")) {
            paths.push(path);
        }
    }
    paths.sort();
    let mut hash = Sha256::new();
    for path in &paths {
        let content = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        hash.update(path.file_name().unwrap_or_default().as_encoded_bytes());
        hash.update([0]);
        hash.update(content.len().to_le_bytes());
        hash.update(content);
    }
    Ok(hex(&hash.finalize()))
}

fn hash_of(path: &Path) -> anyhow::Result<String> {
    let content = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(hex(&Sha256::digest(content)))
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
    fn the_committed_objects_are_built_from_the_committed_sources() {
        super::run(true).unwrap();
    }
}
