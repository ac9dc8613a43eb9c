//! What a guest can be given instead of parts of this host: roots, layers, networks, mounts; and what
//! it is refused, with the way out.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use types::{Ending, Kind};

use super::{engine, guest_folder, guests, microvm};
use crate::lab::{Lab, have, skip, wait};

const BUSYBOX: &str = "/bin/busybox";

/// A root with a shell and a mark, as a folder and as a packed tar file.
fn root(lab: &Lab) -> (String, String) {
    let root = lab.side().join("root");
    for folder in ["bin", "etc", "srv"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::copy(BUSYBOX, root.join("bin/busybox")).unwrap();
    for name in ["sh", "cat", "ls", "mkdir"] {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).unwrap();
    }
    fs::write(root.join("etc/mark"), "of the root\n").unwrap();
    // The command's user is nobody special in it.
    fs::set_permissions(root.join("srv"), fs::Permissions::from_mode(0o777)).unwrap();
    let tar = lab.side().join("root.tar.gz");
    let packed = Command::new("tar").arg("-C").arg(&root).arg("-czf").arg(&tar).arg(".").status();
    assert!(packed.unwrap().success());
    (root.to_str().unwrap().to_owned(), tar.to_str().unwrap().to_owned())
}

fn side(lab: &Lab, name: &str) -> String {
    lab.side().join(name).to_str().unwrap().to_owned()
}

#[test]
fn a_folder_and_a_tar_file_are_roots_and_one_run_goes_on_where_another_ended() {
    if !guests("roots of a guest") || !have("roots of a guest", &["tar"]) {
        return;
    }
    if !Path::new(BUSYBOX).exists() {
        return skip("roots of a guest", "busybox-static is not installed");
    }
    let lab = Lab::new();
    let (folder, tar) = root(&lab);
    let snapshot = side(&lab, "first.tar");
    let line = "cat /etc/mark; ls /; ls /usr; mkdir /srv/new; echo first > /srv/new/file";
    let first = microvm(&lab)
        .with(&["--rootfs", &folder, "--snapshot", &snapshot])
        .run(&["/bin/sh", "-c", line]);
    let said = first.output();
    assert!(said.contains("of the root\n") && said.contains("bin\n"), "{said}");
    assert!(!said.contains("boot\n") && said.contains("/usr: No such"), "the host's: {said}");
    assert!(!Path::new(&folder).join("srv/new").exists(), "a guest has a copy");
    let listed = Command::new("tar").arg("-tf").arg(&snapshot).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.lines().any(|name| name.ends_with("srv/new/file")), "{listed}");

    let line = "cat /etc/mark /srv/new/file && echo second > /srv/new/file; exit 4";
    let second =
        microvm(&lab).with(&["--rootfs", &tar, "--layer", &snapshot]).run(&["sh", "-c", line]);
    let said = second.output();
    assert!(said.contains("of the root\nfirst\n"), "{said}");
    assert_eq!(second.run.ending, Ending::Exited { code: 4 });
    let changed: Vec<_> = second
        .events
        .iter()
        .filter_map(|event| match &event.kind {
            Kind::FileChanged(change) => Some((change.path.to_string(), change.change.clone())),
            _ => None,
        })
        .collect();
    let expected = ("/srv/new/file".to_owned(), "modified".to_owned());
    assert!(changed.contains(&expected), "{changed:?}");
    lab.assert_no_process();
}

#[test]
fn a_guests_sink_answers_and_its_packets_come_out() {
    if !guests("a sink in a guest") {
        return;
    }
    let lab = Lab::new();
    let pcap = side(&lab, "wire.pcapng");
    let line =
        "/usr/lib/shieldx/busybox wget -q -O - http://collector.example/a?b=c && echo answered";
    let outcome = microvm(&lab).with(&["--net", "sink", "--pcap", &pcap]).run(&["sh", "-c", line]);
    let said = outcome.output();
    assert!(said.contains("answered"), "{said} {}", outcome.summary());
    let asked = outcome.events.iter().any(|event| match &event.kind {
        Kind::Request { protocol, host, line, .. } => {
            protocol == "http"
                && host.as_ref().is_some_and(|host| host.as_bytes() == b"collector.example")
                && line.to_string().contains("/a?b=c")
        }
        _ => false,
    });
    assert!(asked, "{}", outcome.summary());
    let packets = fs::read(&pcap).unwrap();
    // The block type of a section header (pcapng, 4.1).
    assert_eq!(packets[..4], [0x0a, 0x0d, 0x0d, 0x0a]);
    let text = b"collector.example";
    assert!(packets.windows(text.len()).any(|window| window == text));
    lab.assert_no_process();
}

#[test]
fn what_is_mounted_is_there_wherever_it_was_asked_for() {
    if !guests("mounts of a guest") {
        return;
    }
    let lab = Lab::new();
    let shown = lab.side().join("shown");
    fs::create_dir_all(shown.join("below")).unwrap();
    fs::write(shown.join("below/file"), "shown\n").unwrap();
    let targets = ["/data", "/tmp/shown", "/run/shown", "/var/tmp/shown", "/home/sandbox/shown"];
    let mounts: Vec<String> =
        targets.iter().map(|target| format!("{}:{target}", shown.display())).collect();
    let options: Vec<&str> = mounts.iter().flat_map(|mount| ["--mount", mount]).collect();
    let files = targets.map(|target| format!("{target}/below/file")).join(" ");
    let line = format!("cat {files}; echo x > /data/below/file");
    let outcome = microvm(&lab).with(&options).run(&["sh", "-c", &line]);
    let expected = "shown\n".repeat(targets.len());
    assert!(outcome.output().contains("Read-only"), "{}", outcome.output());
    assert!(outcome.output().starts_with(&expected), "{}", outcome.output());
    assert_eq!(fs::read_to_string(shown.join("below/file")).unwrap(), "shown\n");
    // Also a program that lies in such a place, named or found, and in a root that is unpacked there.
    if !Path::new(BUSYBOX).exists() {
        return skip("a mounted program of a guest", "busybox-static is not installed");
    }
    fs::copy(BUSYBOX, shown.join("below/echo")).unwrap();
    let found = shown.join("below/echo");
    let outcome = microvm(&lab).run(&[found.to_str().unwrap(), "found"]);
    assert_eq!(outcome.output(), "found\n", "{}", outcome.summary());
    let (_, tar) = root(&lab);
    let outcome = microvm(&lab)
        .with(&["--rootfs", &tar, "--mount", &mounts[1]])
        .run(&["/tmp/shown/below/echo", "mounted"]);
    assert_eq!(outcome.output(), "mounted\n", "{}", outcome.summary());
}

#[test]
fn what_a_guest_cannot_have_is_refused_with_the_way_out() {
    if !guests("refusals of a guest") {
        return;
    }
    let lab = Lab::new();
    let shown = side(&lab, "shown");
    fs::create_dir(&shown).unwrap();
    let (mount, cores) = (format!("{shown}:/data:rw"), side(&lab, "cores"));
    for (options, words) in [
        (["--mount", mount.as_str()], ["/data", "--keep", "--runner process"]),
        (
            ["--net", "allow=example.org:443"],
            ["no network device", "--net sink", "--runner process"],
        ),
        (["--cores", cores.as_str()], ["core", "--cores", "--runner process"]),
    ] {
        let mut child = microvm(&lab).with(&options).command(&["true"]).spawn().expect("shieldx");
        let status = wait(&mut child, super::LIMIT);
        let said = fs::read_to_string(lab.side().join("stderr")).unwrap();
        assert!(!status.success(), "{options:?}: {said}");
        for word in words {
            assert!(said.contains(word), "{options:?} without {word}: {said}");
        }
    }
}

/// A canary that came up is no promise: KVM that is believed in and carries no guest is given up, the
/// run goes on without it, and later runs know.
#[test]
fn kvm_that_boots_no_guest_after_all_is_given_up_and_the_run_goes_on() {
    if !guests("KVM that is believed in") {
        return;
    }
    let Some(real) = guest_folder() else { return };
    let lab = Lab::new();
    let answer = |folder: &Path| -> Option<serde_json::Value> {
        serde_json::from_slice(&fs::read(folder.join("acceleration.json")).ok()?).ok()
    };
    if answer(&real).is_none() {
        microvm(&lab).run(&["true"]);
    }
    let mut believed = answer(&real).expect("what was found out of KVM");
    believed["refused"] = serde_json::Value::Null;
    let folder = lab.side().join("guest");
    fs::create_dir(&folder).unwrap();
    for name in ["manifest.json", "vmlinuz", "vmlinux", "initramfs", "busybox", "agents"] {
        std::os::unix::fs::symlink(real.join(name), folder.join(name)).unwrap();
    }
    fs::write(folder.join("acceleration.json"), believed.to_string()).unwrap();
    let outcome = microvm(&lab).variable("SHIELDX_GUEST", folder.to_str().unwrap()).run(&[
        "sh",
        "-c",
        "echo carried; exit 3",
    ]);
    assert_eq!(outcome.run.ending, Ending::Exited { code: 3 }, "{}", outcome.summary());
    assert!(outcome.output().contains("carried"), "{}", outcome.output());
    if engine(&outcome, "acceleration") == "kvm" {
        return skip("KVM that boots no guest", "here it boots them");
    }
    let told = engine(&outcome, "kvm");
    assert!(told.contains("canary came up") && told.contains("the guest of a run"), "{told}");
    let kept = answer(&folder).unwrap();
    assert!(kept["refused"].to_string().contains("canary came up"), "{kept}");
    lab.assert_no_process();
}

/// The guest is done long before its reader is: its end used to take along what was on its way.
#[test]
fn a_slow_reader_gets_all_of_the_output() {
    if !guests("a slow reader of a guest's output") {
        return;
    }
    let lab = Lab::new();
    let line = format!(
        "{} run -q --runner microvm -- seq 1 300000 | (sleep 25; sha256sum)",
        env!("CARGO_BIN_EXE_shieldx")
    );
    let digest = |line: &str| {
        let done = Command::new("sh").args(["-c", line]).current_dir(lab.side()).output().unwrap();
        String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned()
    };
    assert_eq!(digest(&line), digest("seq 1 300000 | sha256sum"));
}
