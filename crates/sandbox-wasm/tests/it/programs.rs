//! A program that a compiler made, where a toolchain for WebAssembly is here.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use types::{Access, Ending, Kind};

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

/// Writes a file in the first folder, reads another, and reaches out of the folder.
const FILES: &str = r#"
#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name)))
struct piece { const char *at; unsigned length; };
WASI(fd_write) int fd_write(int, const struct piece *, int, unsigned *);
WASI(fd_close) int fd_close(int);
WASI(path_open) int path_open(int, int, const char *, int, int, long long, long long, int, int *);
WASI(path_rename) int path_rename(int, const char *, int, int, const char *, int);
WASI(path_create_directory) int path_create_directory(int, const char *, int);
WASI(path_unlink_file) int path_unlink_file(int, const char *, int);
void _start(void) {
    int fd; unsigned written;
    struct piece text = { "0123456789", 10 };
    if (path_open(3, 1, "out", 3, 1, 66, 0, 0, &fd)) __builtin_trap();
    for (int i = 0; i < 3; i++) if (fd_write(fd, &text, 1, &written)) __builtin_trap();
    if (fd_close(fd)) __builtin_trap();
    if (path_rename(3, "out", 3, 3, "new", 3)) __builtin_trap();
    if (path_create_directory(3, "made", 4)) __builtin_trap();
    if (!path_open(3, 1, "../canary", 9, 0, 2, 0, 0, &fd)) __builtin_trap();
    if (!path_open(3, 1, "link", 4, 0, 2, 0, 0, &fd)) __builtin_trap();
    if (!path_unlink_file(3, "../canary", 9)) __builtin_trap();
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
fn compile(dir: &Path, code: &str, linker: &str, arguments: &[&str]) -> Result<PathBuf, String> {
    let linkers = linkers()?;
    let (source, object, module) = (dir.join("p.c"), dir.join("p.o"), dir.join("p.wasm"));
    std::fs::write(&source, code).unwrap();
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
    let module = match compile(dir.path(), SOURCE, linker, arguments) {
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
        assert!(called(&recording, "get-arguments") >= 1);
        assert!(called(&recording, "[method]output-stream.blocking-write-and-flush") >= 4);
        assert_eq!(recording.run.engine["form"], "component");
    }
}

/// What the program with files did, and its folder with a canary beside it.
fn with_files(linker: &str, arguments: &[&str]) {
    let (bench, host) = Bench::new("(module)").folder("/data", true);
    let module = match compile(bench.dir.path(), FILES, linker, arguments) {
        Ok(module) => module,
        Err(reason) => return skip(&format!("no toolchain for WebAssembly: {reason}")),
    };
    let mut bench = bench;
    bench.spec.program = module;
    let canary = bench.dir.path().join("canary");
    std::fs::write(&canary, "untouched").unwrap();
    std::os::unix::fs::symlink(&canary, host.join("link")).unwrap();
    let recording = bench.run();
    assert_eq!(recording.run.ending, Ending::Exited { code: 0 }, "{:?}", recording.run.engine);
    assert_eq!(std::fs::read_to_string(&canary).unwrap(), "untouched");
    assert_eq!(std::fs::read(host.join("new")).unwrap().len(), 30);
    let is = |kind: &Kind, blocked: bool| {
        let found = recording.events.iter().filter(|event| event.kind == *kind);
        assert_eq!(
            found.map(|event| event.blocked).collect::<Vec<_>>(),
            [blocked],
            "{kind:?}: {:#?}",
            recording.events
        );
    };
    let head = types::text::hex(b"0123456789");
    is(&Kind::Write { path: "/data/out".into(), writes: 3, bytes: 30, head }, false);
    is(&Kind::Rename { from: "/data/out".into(), to: "/data/new".into() }, false);
    is(&Kind::Mkdir { path: "/data/made".into() }, false);
    let open = |path: &str| Kind::Open {
        path: path.into(),
        access: Access::Read,
        create: false,
        truncate: false,
    };
    is(&open("/canary"), true);
    is(&open("/data/link"), true);
    is(&Kind::Unlink { path: "/canary".into(), directory: false }, true);
}

#[test]
fn files_are_the_same_events_for_a_module_and_for_a_component() {
    with_files("rust-lld", &["-flavor", "wasm"]);
    with_files("wasm-component-ld", &[]);
}
