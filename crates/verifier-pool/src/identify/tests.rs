//! What is told apart, with the bytes of real files where this machine has them.

use super::{HEAD_BYTES, Identified, Interpreter, Kind, Refused, identify};

fn told(bytes: &[u8], name: &str) -> Result<Identified, Refused> {
    let head = bytes.get(..HEAD_BYTES).unwrap_or(bytes);
    identify(head, bytes.len() as u64, name, None)
}

/// `kind interpreter`, or what it is refused as.
fn line(bytes: &[u8], name: &str) -> String {
    match told(bytes, name) {
        Ok(Identified { kind, interpreter: None }) => kind.as_str().to_owned(),
        Ok(Identified { kind, interpreter: Some(interpreter) }) => {
            format!("{} {}", kind.as_str(), interpreter.as_str())
        }
        Err(error) => error.to_string(),
    }
}

/// A 64-bit little-endian ELF header with one loaded segment.
fn elf(kind: u16, machine: u16, entry: u64) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    bytes.extend(kind.to_le_bytes());
    bytes.extend(machine.to_le_bytes());
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(entry.to_le_bytes());
    bytes.extend(64_u64.to_le_bytes());
    bytes.extend([0; 12]);
    for number in [64_u16, 56, 1, 64, 0, 0] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(5_u32.to_le_bytes());
    for number in [0_u64, 0x40_0000, 0x40_0000, 120, 120, 4096] {
        bytes.extend(number.to_le_bytes());
    }
    bytes
}

const HOST: u16 = if cfg!(target_arch = "x86_64") { 62 } else { 183 };
const OTHER: u16 = if cfg!(target_arch = "x86_64") { 183 } else { 62 };

#[test]
fn programs_of_this_host_run_themselves() {
    let itself = std::fs::read("/proc/self/exe").unwrap();
    assert_eq!(line(&itself, "anything.txt"), "elf");
    let real = std::fs::read("/bin/true").unwrap();
    assert_eq!(line(&real, "true.py"), "elf", "a name does not outweigh the content");
    assert_eq!(line(&elf(2, HOST, 0x40_0078), "static"), "elf");
}

#[test]
fn elf_files_that_this_host_does_not_start_say_why() {
    let other = line(&elf(2, OTHER, 0x40_0078), "a");
    assert!(other.contains(if OTHER == 183 { "aarch64" } else { "x86_64" }), "{other}");
    assert!(other.contains("this host runs"), "{other}");
    assert!(line(&elf(1, HOST, 0), "a.o").contains("object file"));
    assert!(line(&elf(4, HOST, 0), "core").contains("core dump"));
    assert!(line(&elf(3, HOST, 0), "lib.so").contains("shared library"));
    assert!(line(&elf(9, HOST, 0), "a").contains("type is damaged"));
    let i386 = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x03\0\x01\0\0\0";
    assert!(line(i386, "a").contains("32-bit x86"));
    let sparc = b"\x7fELF\x02\x02\x01\0\0\0\0\0\0\0\0\0\0\x02\0\x2b\0\0\0\x01";
    assert!(line(sparc, "a").contains("sparc64"));
}

#[test]
fn an_elf_file_that_was_cut_off_is_not_started() {
    let whole = std::fs::read("/bin/true").unwrap();
    for length in [5, 20, 63, 64, 200, 4096, whole.len() / 2] {
        let cut = &whole[..length];
        assert!(matches!(told(cut, "a"), Err(Refused::BadElf { .. })), "{length}");
    }
}

#[test]
fn no_header_makes_it_panic() {
    let whole = elf(3, HOST, 1);
    for at in 0..whole.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut bent = whole.clone();
            bent[at] = value;
            // Whatever it says, it says it.
            let _ = told(&bent, "a");
        }
    }
}

#[test]
fn scripts_are_read_as_the_kernel_reads_them() {
    for good in ["#!/bin/sh\n", "#!/bin/sh", "#! /usr/bin/env python3\nx", "#!/usr/bin/perl -w\n"] {
        assert_eq!(line(good.as_bytes(), "x"), "script", "{good:?}");
    }
    let mut archive = b"#!/bin/sh\nexit\n".to_vec();
    archive.extend([0x1f, 0x8b, 0, 1, 2]);
    assert_eq!(line(&archive, "x.run"), "script", "self-extracting");
    for (bad, word) in [
        ("#!/bin/sh\r\necho\r\n", "CR LF"),
        ("#!\necho", "names no interpreter"),
        ("#!   \n", "names no interpreter"),
        ("#!python3\n", "whole path"),
        ("#!/usr/bin/env\n", "env for nothing"),
        ("#!/bin/\0sh\n", "NUL"),
        ("\u{feff}#!/bin/sh\n", "byte order mark"),
    ] {
        let said = line(bad.as_bytes(), "x");
        assert!(said.contains(word), "{bad:?}: {said}");
    }
    let long = format!("#!/{}\n", "x".repeat(300));
    assert!(line(long.as_bytes(), "x").contains("longer than"));
}

#[test]
fn languages_are_told_by_content() {
    let python = "import os\n\ndef main():\n    print(os.getcwd())\n\nmain()\n";
    let node = "const fs = require('fs');\nfs.readdir('.', (e, f) => {\n  console.log(f);\n});\n";
    let module = "import fs from 'fs';\nconsole.log(fs.readdirSync('.'));\n";
    let shell = "set -e\nfor f in *; do\n  echo \"$f\"\ndone\n";
    let fetch = "cd /tmp && curl -s http://x/y -o z\nchmod +x z\n./z\n";
    assert_eq!(line(python.as_bytes(), "tool"), "python python3");
    assert_eq!(line(node.as_bytes(), "tool"), "node node");
    assert_eq!(line(module.as_bytes(), "tool"), "node node");
    assert_eq!(line(shell.as_bytes(), "tool"), "shell sh");
    assert_eq!(line(fetch.as_bytes(), "tool"), "shell sh");
    assert_eq!(line(python.as_bytes(), "tool.txt"), "python python3");
}

#[test]
fn a_name_decides_for_text_only() {
    for (name, told) in [
        ("a.py", "python python3"),
        ("a.MJS", "node node"),
        ("a.cjs", "node node"),
        ("a.sh", "shell sh"),
        ("a.bash", "shell bash"),
    ] {
        assert_eq!(line(b"x = 1\n", name), told);
        assert!(line(b"x\0\x01\x02", name).contains("binary data"), "{name}");
    }
    assert_eq!(line("# caf\u{e9}\nx = 1\n".as_bytes(), "a.py"), "python python3");
    assert_eq!(
        line(b"# -*- coding: latin-1 -*-\nname = 'caf\xe9'\nprint(name)\n", "a"),
        "python python3"
    );
}

#[test]
fn the_rest_is_refused_as_what_it_is() {
    let mut tar = vec![b'a'; 512];
    tar[257..262].copy_from_slice(b"ustar");
    let wheel = b"PK\x03\x04\x14\0\0\0\0\0pkg-1.0.dist-info/METADATA";
    let jar = b"PK\x03\x04\x14\0\0\0\0\0META-INF/MANIFEST.MF";
    for (bytes, name, word) in [
        (&b"MZ\x90\0\x03\0\0\0"[..], "a.exe", "Windows program"),
        (b"\xcf\xfa\xed\xfe\x07\0\0\x01", "a", "macOS program"),
        (b"\xca\xfe\xba\xbe\0\0\0\x02", "a", "macOS program"),
        (b"\xca\xfe\xba\xbe\0\0\0\x41", "A.class", "Java class"),
        (wheel, "a.zip", "Python wheel"),
        (jar, "a.zip", "JAR"),
        (b"PK\x03\x04\x14\0\0\0\0\0x", "a.py", "ZIP archive"),
        (b"\x1f\x8b\x08\0", "a.tgz", "gzip"),
        (b"%PDF-1.7\n", "a.pdf", "PDF"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a.png", "PNG"),
        (b"!<arch>\ndebian-binary", "a.deb", "Debian package"),
        (b"\xff\xfeh\0i\0", "a.sh", "UTF-16"),
        (b"\xcb\x0d\r\n\0\0\0\0\x90", "a.pyc", "compiled Python"),
        (&tar, "a.tar", "tar archive"),
        (b"Dear Sir or Madam,\nplease find attached.\n", "letter.txt", "text"),
        (b"<!DOCTYPE html><script>console.log(1)</script>", "a", "HTML"),
        (b"{\n  \"import\": \"x\"\n}", "a", "JSON"),
        (b"<?php echo 1; ?>", "a", "PHP"),
        (b"\0\0\0\0", "a", "binary data"),
    ] {
        let said = line(bytes, name);
        assert!(said.contains(word), "{name}: {said}");
        assert!(told(bytes, name).is_err(), "{name}");
    }
    assert_eq!(told(b"", "a"), Err(Refused::Empty));
}

#[test]
fn an_interpreter_overrides_text_and_only_text() {
    let with =
        |bytes: &[u8], interpreter| identify(bytes, bytes.len() as u64, "a", Some(interpreter));
    let python = Identified { kind: Kind::Python, interpreter: Some(Interpreter::Python3) };
    assert_eq!(with(b"Dear Sir", Interpreter::Python3), Ok(python));
    assert_eq!(with(b"#!/bin/sh\r\n", Interpreter::Python3), Ok(python));
    let bash = Identified { kind: Kind::Shell, interpreter: Some(Interpreter::Bash) };
    assert_eq!(with(b"#!/bin/sh\n", Interpreter::Bash), Ok(bash));
    let elf = std::fs::read("/bin/true").unwrap();
    for bytes in [&elf[..64], b"PK\x03\x04", b"\0\0\0"] {
        let refused = with(bytes, Interpreter::Sh);
        assert!(matches!(refused, Err(Refused::InterpreterForBinary { .. })), "{refused:?}");
    }
}

#[test]
fn names_of_interpreters_are_exact() {
    for interpreter in Interpreter::ALL {
        assert_eq!(Interpreter::named(interpreter.as_str()), Some(interpreter));
    }
    assert_eq!(Interpreter::named("Python3"), None);
    assert_eq!(Kind::Shell, Interpreter::Bash.kind());
}
