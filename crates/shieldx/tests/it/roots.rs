//! Roots that are given: the program in one is looked at like any other artifact, and what cannot be
//! looked at is said. Artifacts that cannot be written cost no verdict.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::Value;

use crate::cli::{Desk, text};
use crate::lab::have;

/// A root with busybox in it and three names for what has the mark: a file, a link, a script.
fn filled(desk: &Desk) -> Option<()> {
    if !have("roots of the test's own", &["busybox"]) {
        return None;
    }
    let busybox = Command::new("sh").args(["-c", "command -v busybox"]).output().unwrap();
    let busybox = text(&busybox.stdout).trim().to_owned();
    for folder in ["bin", "app", "tmp", "proc", "dev", "sys"] {
        fs::create_dir_all(desk.path("root").join(folder)).unwrap();
    }
    let root = desk.path("root");
    fs::copy(&busybox, root.join("bin/sh")).unwrap();
    fs::copy(&busybox, root.join("bin/true")).unwrap();
    let mut marked = fs::read(&busybox).unwrap();
    marked.extend(b"THE-MARK-OF-THE-TEST");
    fs::write(root.join("bin/true"), marked).unwrap();
    symlink("/bin/true", root.join("app/true")).unwrap();
    fs::write(root.join("app/script"), "echo ran # THE-MARK-OF-THE-TEST\n").unwrap();
    let rule = "rule marked { strings: $x = \"THE-MARK-OF-THE-TEST\" condition: $x }";
    fs::write(desk.path("marked.yar"), rule).unwrap();
    Some(())
}

fn report(desk: &Desk, options: &[&str], command: &[&str]) -> Value {
    let fixed = ["run", "--json", "--rules", "marked.yar"];
    let output = desk.shieldx(&[&fixed[..], options, &["--"], command].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", text(&output.stderr));
    })
}

/// Where the artifact's matches are.
fn matched(report: &Value) -> Vec<&str> {
    let events = report["events"].as_array().unwrap().iter();
    let artifact = |event: &&Value| event["place"] == "artifact";
    events.filter(artifact).filter_map(|event| event["target"].as_str()).collect()
}

#[test]
fn the_program_in_a_root_is_scanned_where_it_is() {
    let desk = Desk::new();
    let Some(()) = filled(&desk) else { return };
    let root = desk.path("root");
    let mut tar = Command::new("tar");
    tar.arg("-cf").arg(desk.path("root.tar")).arg("-C").arg(&root).arg(".");
    assert!(tar.status().unwrap().success());
    for given in ["root", "root.tar"] {
        let options = ["--rootfs", given];
        for command in [&["/bin/true"][..], &["/app/true"], &["true"]] {
            let report = report(&desk, &options, command);
            assert_eq!(matched(&report), ["/bin/true"], "{given} {command:?} {report}");
            let unseen = report["verdict"]["evidence"]["reasons"].to_string();
            assert!(!unseen.contains("artifact"), "{unseen}");
        }
        let report = report(&desk, &options, &["sh", "/app/script"]);
        assert_eq!(matched(&report), ["/app/script"], "{given}");
        assert!(report["run"]["script"].as_str().unwrap().starts_with("echo ran # THE-MARK"));
    }
    // Behind a mount is no name of the root: it runs, and was not looked at.
    symlink("/shown/sh", root.join("app/elsewhere")).unwrap();
    fs::create_dir(desk.path("shown")).unwrap();
    fs::copy(root.join("bin/sh"), desk.path("shown/sh")).unwrap();
    let mount = format!("{}:/shown", desk.path("shown").display());
    let options = ["--rootfs", "root", "--mount", &mount];
    let report = report(&desk, &options, &["/app/elsewhere", "-c", "exit 0"]);
    let reasons = report["verdict"]["evidence"]["reasons"].to_string();
    assert_eq!(report["verdict"]["evidence"]["level"], "reduced", "{reasons}");
    assert!(
        reasons.contains("in the root that was given was not scanned: /app/elsewhere"),
        "{reasons}"
    );
}

/// `--snapshot` on a full disk cost the verdict, and the file that was there before.
#[test]
fn artifacts_that_cannot_be_written_cost_no_verdict_and_no_old_file() {
    if !rustix::process::geteuid().is_root() || !have("a full disk", &["unshare"]) {
        return;
    }
    let desk = Desk::new();
    fs::create_dir(desk.path("small")).unwrap();
    let shieldx = env!("CARGO_BIN_EXE_shieldx");
    for (options, lost) in [
        ("--snapshot small/s.tar", "the snapshot was not written"),
        ("--keep small/kept", "/tmp/big and what comes after it was not kept"),
    ] {
        let script = format!(
            "mount -t tmpfs -o size=1m none small && printf old > small/s.tar && \
             {shieldx} run --json {options} -- sh -c \
             'head -c 3000000 /dev/urandom > /tmp/big; exit 3' > report.json; \
             echo code $?; cat small/s.tar; ls -A small"
        );
        let mut command = Command::new("unshare");
        let output =
            command.args(["--mount", "sh", "-c", &script]).current_dir(desk.path("")).output();
        let output = output.unwrap();
        let (said, errors) = (text(&output.stdout), text(&output.stderr));
        assert!(said.starts_with("code 125\nold"), "{said} {errors}");
        assert!(!said.contains(".tmp"), "{said}");
        assert!(errors.contains(lost), "{errors}");
        let report: Value =
            serde_json::from_slice(&fs::read(desk.path("report.json")).unwrap()).unwrap();
        assert_eq!(report["verdict"]["verdict"], "benign", "{report}");
        assert!(report["run"]["isolation"]["walls"].to_string().contains(lost), "{report}");
    }
}
