//! `shieldx slo` without a server: files that are none, and keys that are not their owner's alone.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::cli::{Desk, expect, text};

#[test]
fn a_file_that_never_ends_is_refused() {
    let desk = Desk::new();
    for arguments in [
        ["slo", "check", "--file", "/dev/zero"].as_slice(),
        &["slo", "import", "/dev/zero"],
        &["slo", "override", "--key", "/dev/zero", "--who", "a", "--for", "1h", "--reason", "x"],
    ] {
        expect(&desk.shieldx(arguments), 64, "/dev/zero: ");
    }
    expect(&desk.shieldx(&["slo", "check", "--file", "/dev/zero"]), 64, "more than 4194304 bytes");
}

#[test]
fn what_is_no_address_is_not_written_into_configurations() {
    let desk = Desk::new();
    for (option, value) in [
        ("--target", "gateway=nohost:"),
        ("--target", "gateway=:80"),
        ("--target", "gateway=a:65536"),
        ("--target", "gateway=a b:80"),
        ("--console", "http://x\"y"),
        ("--console", "http://"),
    ] {
        expect(&desk.shieldx(&["slo", "generate", "--out", "o", option, value]), 64, option);
    }
    let good = ["slo", "generate", "--out", "o", "--target", "gateway=[::1]:80"];
    expect(&desk.shieldx(&good), 0, "");
}

#[test]
fn a_key_is_named_and_kept_so_that_it_can_be_used() {
    let desk = Desk::new();
    let made = desk.shieldx(&["slo", "override-key", "--out", "k", "--name", "alice: {x"]);
    expect(&made, 0, "");
    let example = text(&desk.shieldx(&["slo", "example"]).stdout);
    let rest = example.split_once("\ngate:\n").expect("a policy").0;
    fs::write(desk.path("slo.yaml"), format!("{rest}\n{}", text(&made.stdout))).expect("written");
    expect(&desk.shieldx(&["slo", "check", "--file", "slo.yaml"]), 0, "");
    expect(&desk.shieldx(&["slo", "override-key", "--out", "l", "--name", "a\nb"]), 64, "--name");
    expect(&desk.shieldx(&["slo", "override-key", "--out", "l", "--name", ""]), 64, "--name");
    assert!(!desk.path("l").exists());

    let sign = ["slo", "override", "--key", "k", "--who", "alice: {x", "--reason", "x", "--for"];
    let sign = |lasts| desk.shieldx(&[sign.as_slice(), &[lasts]].concat());
    expect(&sign("1h"), 0, "its id, to revoke it by, is ");
    expect(&sign("8d"), 64, "--for 8d: more than 0 and at most 7d");
    expect(&sign("0s"), 64, "--for");
    fs::set_permissions(desk.path("k"), fs::Permissions::from_mode(0o640)).expect("set");
    expect(&sign("1h"), 64, "others may read it (mode 640)");
}
