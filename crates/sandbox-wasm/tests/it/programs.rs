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

/// Where Rust keeps the linkers that it brings along; they link WebAssembly too.
fn linkers() -> Result<PathBuf, String> {
    let output = Command::new("rustc")
        .args(["--print", "sysroot"])
        .output()
        .map_err(|error| error.to_string())?;
    let root = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    Ok(root.join("lib/rustlib/x86_64-unknown-linux-gnu/bin"))
}

/// Compiles and links; `linker` is named with its first arguments.
fn compile(dir: &Path, linker: &str, arguments: &[&str]) -> Result<PathBuf, String> {
    let linkers = linkers()?;
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
    let mut link = Command::new(linkers.join(linker));
    link.args(arguments).args(["--no-entry", "--export=_start", "-o"]).arg(&module).arg(&object);
    if linker == "wasm-component-ld" {
        link.arg("--wasm-ld-path").arg(linkers.join("gcc-ld/wasm-ld"));
    }
    run(&mut link)?;
    Ok(module)
}

/// Runs the program, where it can be made, with its arguments granted.
fn run(linker: &str, arguments: &[&str]) -> Option<types::Recording> {
    let dir = tempfile::tempdir().unwrap();
    let module = match compile(dir.path(), linker, arguments) {
        Ok(module) => module,
        Err(reason) => {
            skip(&format!("no toolchain for WebAssembly: {reason}"));
            return None;
        }
    };
    let mut bench = Bench::new("(module)").grant("args");
    bench.spec.program = module;
    let recording = bench.run();
    assert_eq!(recording.run.ending, Ending::Exited { code: 0 }, "{:?}", recording.run.engine);
    assert_eq!(stdout(&recording), "sample.wasm\none\n");
    Some(recording)
}

/// Around the test harness, which keeps what a passing test prints.
fn skip(reason: &str) {
    if let Ok(mut stderr) = std::fs::OpenOptions::new().append(true).open("/dev/stderr") {
        let _ = writeln!(stderr, "SKIP {reason}");
    }
}

#[test]
fn a_compiled_program_runs() {
    if let Some(recording) = run("rust-lld", &["-flavor", "wasm"]) {
        assert_eq!(called(&recording, "fd_write"), 4);
        assert_eq!(recording.run.engine["form"], "module");
    }
}

#[test]
fn a_compiled_component_runs() {
    // The same program; the linker wraps it into a component that speaks WASI 0.2.
    if let Some(recording) = run("wasm-component-ld", &[]) {
        assert_eq!(called(&recording, "get-arguments"), 1);
        assert!(called(&recording, "[method]output-stream.blocking-write-and-flush") >= 4);
        assert_eq!(recording.run.engine["form"], "component");
    }
}
