//! What cannot run is said before anything starts; the details of each file are unit tests.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::cli::{Desk, expect, text};

fn program(desk: &Desk, name: &str, content: &[u8]) {
    fs::write(desk.path(name), content).expect("a file");
    fs::set_permissions(desk.path(name), fs::Permissions::from_mode(0o755))
        .expect("its permissions");
}

#[test]
fn commands_that_cannot_start_are_named_with_a_way_out() {
    let desk = Desk::new();
    program(&desk, "gone", b"#!/opt/none/python\n");
    program(&desk, "text", b"echo hello\n");
    program(&desk, "broken", b"\x7fELF\x02\x01");
    fs::write(desk.path("plain"), b"#!/bin/sh\n").unwrap();
    fs::create_dir(desk.path("folder")).unwrap();
    for (command, code, message, hint) in [
        ("pyhton3-none-such", 127, "command not found", ""),
        ("pyhton", 127, "pyhton: command not found", "did you mean python"),
        ("./none", 127, "no such file", ""),
        ("./gone", 126, "interpreter /opt/none/python does not exist", "hint: install it"),
        ("./text", 126, "without an interpreter line", "sh "),
        ("./broken", 126, "damaged ELF", "cut off"),
        ("./plain", 126, "not executable", "run -- sh"),
        ("./folder", 126, "is a folder", ""),
        ("cd", 127, "command not found", "part of the shell"),
    ] {
        let output = desk.shieldx(&["run", "--", command]);
        expect(&output, code, message);
        expect(&output, code, hint);
        assert!(output.stdout.is_empty());
        assert!(text(&output.stderr).lines().count() <= 2, "one line and a hint");
    }
}

#[test]
fn nothing_is_left_when_nothing_ran() {
    let desk = Desk::new();
    let words = ["run", "--keep", "kept", "--html", "page.html", "--", "no-such-command-here"];
    expect(&desk.shieldx(&words), 127, "not found");
    assert_eq!(desk.entries(), 0);
}

#[test]
fn a_named_program_of_a_private_folder_runs() {
    let desk = Desk::new();
    program(&desk, "sample", b"#!/bin/sh\necho it runs\n");
    let path = desk.path("sample");
    let output =
        desk.command(&["run", "-q", "--"]).arg(&path).current_dir("/usr").output().unwrap();
    expect(&output, 0, "");
    assert_eq!(text(&output.stdout), "it runs\n");
}

#[test]
fn an_argument_that_is_hidden_is_noted_and_stays_hidden() {
    let desk = Desk::new();
    fs::write(desk.path("data"), "secret").unwrap();
    let path = desk.path("data");
    let output =
        desk.command(&["run", "--", "cat"]).arg(&path).current_dir("/usr").output().unwrap();
    expect(&output, 1, "is not visible to the command; --mount");
    assert!(output.stdout.is_empty());
    let output = desk
        .command(&["run", "--mount"])
        .arg(&path)
        .args(["--", "cat"])
        .arg(&path)
        .current_dir("/usr")
        .output()
        .unwrap();
    assert_eq!(text(&output.stdout), "secret");
}
