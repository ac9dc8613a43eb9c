//! Every file the kernel would refuse, made on the spot.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use types::machine::Machine;

use super::{Unrunnable, check, elf};
use crate::failure::Failure;
use crate::view::View;

struct Bench {
    folder: tempfile::TempDir,
    view: View,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let view = View {
            cwd: folder.path().to_path_buf(),
            path: vec![PathBuf::from("/usr/bin"), PathBuf::from("/bin"), folder.path().join("bin")],
            ..View::default()
        };
        fs::create_dir(folder.path().join("bin")).unwrap();
        Self { folder, view }
    }

    fn file(&self, name: &str, content: &[u8], mode: u32) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn refusal(&self, command: impl AsRef<Path>) -> Failure {
        let command = command.as_ref().as_os_str();
        check(command, &self.view.cwd, &self.view).expect_err("should be refused").into()
    }

    fn expect(&self, command: impl AsRef<Path>, code: u8, message: &str, hint: &str) {
        let failure = self.refusal(&command);
        let shown = format!("{failure:?}");
        assert_eq!(failure.exit.code(), code, "{shown}");
        assert!(failure.message.contains(message), "{shown}");
        assert!(failure.hint.unwrap_or_default().contains(hint), "{shown}");
    }
}

#[test]
fn ordinary_programs_pass() {
    let bench = Bench::new();
    for command in ["sh", "/bin/sh", "env", "cat"] {
        check(command.as_ref(), &bench.view.cwd, &bench.view).unwrap();
    }
    bench.file("script", b"#!/bin/sh\nexit 0\n", 0o755);
    bench.file("through-env", b"#!/usr/bin/env sh\n", 0o755);
    bench.file("outer", format!("#!{}/script -x\n", bench.view.cwd.display()).as_bytes(), 0o755);
    for script in ["./script", "./through-env", "./outer"] {
        let program = check(script.as_ref(), &bench.view.cwd, &bench.view).unwrap();
        assert!(program.mount.is_none());
    }
}

#[test]
fn names_that_do_not_exist() {
    let bench = Bench::new();
    bench.file("bin/sampler", b"#!/bin/sh\n", 0o755);
    bench.expect("samplre", 127, "samplre: command not found", "did you mean sampler");
    bench.expect("cd", 127, "command not found", "sh -c 'cd");
    bench.expect("ls -la | wc", 127, "command not found", "sh -c 'ls -la | wc'");
    bench.expect("", 127, "empty string", "");
    bench.file("sample.sh", b"#!/bin/sh\n", 0o755);
    bench.expect("./smaple.sh", 127, "no such file", "sample.sh");
    bench.expect("./sample.sh/x", 127, "no such file", "");
}

#[test]
fn files_that_cannot_be_started() {
    let bench = Bench::new();
    bench.expect(".", 127, "", "");
    bench.expect("./bin", 126, "is a folder", "--cwd");
    bench.file("plain", b"#!/usr/bin/env python3\n", 0o644);
    bench.expect("./plain", 126, "not executable", "run -- python3");
    bench.file("data", b"\x01\x02", 0o644);
    bench.expect("./data", 126, "not executable", "chmod +x");
    bench.file("empty", b"", 0o755);
    bench.expect("./empty", 126, "is empty", "");
    bench.file("text", b"echo hello\n", 0o755);
    bench.expect("./text", 126, "without an interpreter line", "run -- sh");
    bench.file("windows.exe", b"MZ\x90\0", 0o755);
    bench.expect("./windows.exe", 126, "Windows program", "");
    bench.file("noise", b"\x01\x02\x03", 0o755);
    bench.expect("./noise", 126, "neither", "");
    bench.expect("/dev/null", 126, "not a regular file", "");
}

#[test]
fn scripts_whose_interpreter_is_missing() {
    let bench = Bench::new();
    bench.file("gone", b"#!/opt/none/python\n", 0o755);
    bench.expect("./gone", 126, "interpreter /opt/none/python does not exist", "INTERPRETER");
    bench.file("blank", b"#!  \n", 0o755);
    bench.expect("./blank", 126, "names no interpreter", "sh");
    bench.file("crlf", b"#!/bin/sh\r\n", 0o755);
    bench.expect("./crlf", 126, "carriage return", "sed");
    bench.file("env", b"#!/usr/bin/env pyhton-none\n", 0o755);
    bench.expect("./env", 126, "is not in PATH", "");
    let cwd = bench.view.cwd.display().to_string();
    bench.file("second", format!("#!{cwd}/gone\n").as_bytes(), 0o755);
    bench.expect("./second", 126, "/opt/none/python does not exist", "");
    bench.file("loop", format!("#!{cwd}/loop\n").as_bytes(), 0o755);
    bench.expect("./loop", 126, "more than five scripts", "");
}

/// A file with valid headers for this host and nothing else.
fn tiny_elf(machine: u16, kind: u16, interpreter: &[u8]) -> Vec<u8> {
    let mut file = vec![0_u8; 64 + 56];
    file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    file[16..18].copy_from_slice(&kind.to_le_bytes());
    file[18..20].copy_from_slice(&machine.to_le_bytes());
    file[24..32].copy_from_slice(&0x40_0000_u64.to_le_bytes());
    file[32..40].copy_from_slice(&64_u64.to_le_bytes());
    file[54..56].copy_from_slice(&56_u16.to_le_bytes());
    file[56..58].copy_from_slice(&1_u16.to_le_bytes());
    file[64..68].copy_from_slice(&3_u32.to_le_bytes());
    file[72..80].copy_from_slice(&120_u64.to_le_bytes());
    file[96..104].copy_from_slice(&(interpreter.len() as u64).to_le_bytes());
    file.extend_from_slice(interpreter);
    file
}

#[test]
fn elf_files_of_other_machines_and_damaged_ones() {
    let bench = Bench::new();
    let host = Machine::HOST;
    let other: u16 = if host.number == 183 { 62 } else { 183 };
    bench.file("arm", &tiny_elf(other, 2, b"/lib/x\0"), 0o755);
    let built_for = Machine { number: other, ..host };
    bench.expect("./arm", 126, &format!("built for {built_for}; this host is {host}"), "");
    bench.file("loader", &tiny_elf(host.number, 3, b"/lib/ld-none.so.9\0"), 0o755);
    bench.expect("./loader", 126, "needs the loader /lib/ld-none.so.9", "");
    bench.file("object.o", &tiny_elf(host.number, 1, b"/x\0"), 0o755);
    bench.expect("./object.o", 126, "never linked", "");
    bench.file("type", &tiny_elf(host.number, 77, b"/x\0"), 0o755);
    bench.expect("./type", 126, "type is invalid", "");
    bench.file("no-nul", &tiny_elf(host.number, 2, b"/x"), 0o755);
    bench.expect("./no-nul", 126, "loader path is invalid", "");
    let whole = tiny_elf(host.number, 2, b"/lib/x\0");
    for len in [4, 5, 15, 16, 63, 64, 100, 120, whole.len() - 1] {
        bench.file("cut", &whole[..len], 0o755);
        bench.expect("./cut", 126, "damaged ELF", "cut off");
    }
}

/// Headers are bytes from outside: whatever is in them, reading ends with an answer.
#[test]
fn no_header_makes_the_reader_panic() {
    let bench = Bench::new();
    let whole = tiny_elf(Machine::HOST.number, 2, b"/lib/x\0");
    for at in 4..whole.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            let path = bench.file("mutant", &bytes, 0o755);
            let _ = elf::read(&fs::File::open(&path).unwrap(), bytes.len() as u64);
        }
    }
}

#[test]
fn a_named_program_in_a_hidden_folder_is_shown_alone() {
    let mut bench = Bench::new();
    let path = bench.file("sample", b"#!/bin/sh\n", 0o755);
    bench.view.hidden = vec![bench.folder.path().to_path_buf()];
    bench.view.cwd = PathBuf::from("/usr");
    let program = check(path.as_os_str(), &bench.view.cwd, &bench.view).unwrap();
    let mount = program.mount.unwrap();
    assert_eq!((mount.source.as_path(), mount.writable), (path.as_path(), false));
    let inner = bench.file("inner", b"#!/bin/sh\n", 0o755);
    let outer = bench.file("outer", format!("#!{}\n", inner.display()).as_bytes(), 0o755);
    let error = check(outer.as_os_str(), &bench.view.cwd, &bench.view).unwrap_err();
    assert!(matches!(&error, Unrunnable::NoInterpreter { why, .. } if why.contains("hidden")));
}
