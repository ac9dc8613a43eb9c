//! A program that a compiler made, where a toolchain for WebAssembly is here.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use types::Ending;

use crate::kit::{Bench, called, stdout};

/// Prints its arguments, one a line, without a C library.
const SOURCE: &str = r#"
#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name)))
struct piece { const char *at; unsigned length; };
WASI(fd_write) int fd_write(int, const struct piece *, int, unsigned *);
WASI(args_sizes_get) int args_sizes_get(unsigned *, unsigned *);
WASI(args_get) int args_get(char **, char *);
static char text[4096];
static char *arguments[64];
void _start(void) {
    unsigned count, size, written;
    if (args_sizes_get(&count, &size) || count > 64 || size > sizeof text) __builtin_trap();
    args_get(arguments, text);
    for (unsigned i = 0; i < count; i++) {
        unsigned length = 0;
        while (arguments[i][length]) length++;
        struct piece line = { arguments[i], length }, end = { "\n", 1 };
        fd_write(1, &line, 1, &written);
        fd_write(1, &end, 1, &written);
    }
}
"#;

/// The linker that comes with Rust links WebAssembly too.
fn linker() -> Option<PathBuf> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
    let root = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    let linker = root.join("lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld");
    linker.is_file().then_some(linker)
}

fn compile(dir: &Path) -> Result<PathBuf, String> {
    let linker = linker().ok_or("no rust-lld")?;
    let (source, object, module) = (dir.join("p.c"), dir.join("p.o"), dir.join("p.wasm"));
    std::fs::write(&source, SOURCE).unwrap();
    let run = |command: &mut Command| match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(error.to_string()),
    };
    run(Command::new("clang")
        .args(["--target=wasm32", "-O1", "-c", "-o"])
        .arg(&object)
        .arg(&source))?;
    run(Command::new(linker)
        .args(["-flavor", "wasm", "--no-entry", "--export=_start", "-o"])
        .arg(&module)
        .arg(&object))?;
    Ok(module)
}

#[test]
fn a_compiled_program_runs() {
    let dir = tempfile::tempdir().unwrap();
    let module = match compile(dir.path()) {
        Ok(module) => module,
        Err(reason) => {
            let _ = writeln!(std::io::stderr(), "SKIP no toolchain for WebAssembly: {reason}");
            return;
        }
    };
    let mut bench = Bench::new("(module)").grant("args");
    bench.spec.program = module;
    let recording = bench.run();
    assert_eq!(recording.run.ending, Ending::Exited { code: 0 }, "{:?}", recording.run.engine);
    assert_eq!(stdout(&recording), "sample.wasm\none\n");
    assert_eq!(called(&recording, "fd_write"), 4);
}
