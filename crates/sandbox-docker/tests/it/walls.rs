//! What a command cannot do, and that the attempt is in the recording.

use types::{Ending, Event, Kind, Recording};

use crate::daemon::Daemon;
use crate::lab::{of, run, shell, stdout};

/// Refused calls by name, from everything that was blocked.
fn blocked(recording: &Recording) -> Vec<&Event> {
    recording.events.iter().filter(|event| event.blocked).collect()
}

fn calls(recording: &Recording) -> Vec<String> {
    let refused = recording.activity.calls.iter().filter(|(_, calls)| calls.blocked > 0);
    refused.map(|(name, _)| name.clone()).collect()
}

#[test]
fn a_mount_is_refused_and_seen() {
    let Some(daemon) = Daemon::start() else { return };
    let recording = run(&daemon, &shell("mount -t tmpfs none /tmp; echo $?"));
    assert_eq!(stdout(&recording), "1\n");
    assert!(calls(&recording).contains(&"mount".to_owned()), "{:?}", calls(&recording));
    let mount =
        |event: &&Event| matches!(&event.kind, Kind::Syscall { call, .. } if call == "mount");
    assert!(blocked(&recording).iter().any(mount), "{:?}", blocked(&recording));
}

/// A static program that makes raw calls and prints what each returned.
fn raw_calls(daemon: &Daemon, calls: &[(u64, [u64; 3])], foreign: bool) -> Option<sandbox::Spec> {
    let mut text = String::from(".intel_syntax noprefix\n.globl _start\n_start:\n");
    for (nr, args) in calls {
        text.push_str(&format!(
            "mov rax,{nr}\nmov rdi,{}\nmov rsi,{}\nmov rdx,{}\nxor r10,r10\nsyscall\n",
            args[0], args[1], args[2]
        ));
        text.push_str(
            "neg rax\npush rax\nmov rdi,1\nmov rsi,rsp\nmov rdx,1\nmov rax,1\nsyscall\npop rax\n",
        );
    }
    if foreign {
        // getpid of the 32-bit ABI.
        text.push_str("mov eax,20\nint 0x80\nneg eax\npush rax\nmov rdi,1\nmov rsi,rsp\n");
        text.push_str("mov rdx,1\nmov rax,1\nsyscall\npop rax\n");
    }
    text.push_str("xor edi,edi\nmov eax,231\nsyscall\n");
    let folder = daemon.socket().with_file_name("raw");
    std::fs::create_dir_all(&folder).unwrap();
    let (source, program) = (folder.join("raw.s"), folder.join("raw"));
    std::fs::write(&source, text).unwrap();
    let built = std::process::Command::new("cc")
        .args(["-nostdlib", "-static", "-o"])
        .arg(&program)
        .arg(&source)
        .status();
    if !built.is_ok_and(|status| status.success()) {
        crate::daemon::skip("no C compiler to assemble with");
        return None;
    }
    let mut spec = crate::lab::spec(&["/opt/raw"]);
    spec.mounts.push(sandbox::Mount {
        source: program,
        target: "/opt/raw".into(),
        writable: false,
    });
    Some(spec)
}

#[test]
fn the_kernels_own_surface_is_refused_with_the_policys_errnos_and_seen() {
    let Some(daemon) = Daemon::start() else { return };
    // ptrace(TRACEME), bpf, io_uring_setup, userfaultfd, keyctl, clone(NEWUSER), x32's getpid,
    // an unknown number, socket(AF_ALG), TIOCSTI with a high bit set.
    let made = [
        (101, [0, 0, 0]),
        (321, [0, 0, 0]),
        (425, [8, 0, 0]),
        (323, [0, 0, 0]),
        (250, [0, 0, 0]),
        (272, [0x1000_0000, 0, 0]),
        (0x4000_0000 + 39, [0, 0, 0]),
        (999, [0, 0, 0]),
        (41, [38, 5, 0]),
        (16, [0, 0x1_0000_5412, 0]),
    ];
    let Some(spec) = raw_calls(&daemon, &made, true) else { return };
    let recording = run(&daemon, &spec);
    assert_eq!(recording.run.ending, Ending::Exited { code: 0 });
    let (eperm, enosys, eafnosupport) = (1, 38, 97);
    let wanted =
        [eperm, eperm, eperm, eperm, eperm, eperm, enosys, enosys, eafnosupport, eperm, enosys];
    let got = recording.output.as_ref().unwrap().stdout.as_bytes().to_vec();
    assert_eq!(got, wanted, "{:?}", calls(&recording));
    for call in
        ["ptrace", "bpf", "io_uring_setup", "userfaultfd", "keyctl", "unshare", "socket", "ioctl"]
    {
        assert!(
            calls(&recording).iter().any(|name| name == call),
            "{call}: {:?}",
            calls(&recording)
        );
    }
    assert!(blocked(&recording).len() >= 8, "{:?}", blocked(&recording));
    assert!(of(&recording, "ptrace").iter().any(|event| event.blocked));
}

#[test]
fn the_root_is_read_only_and_nobody_is_root() {
    let Some(daemon) = Daemon::start() else { return };
    let script = "for f in /new /bin/new /etc/passwd /.shieldx/gate /proc/sys/kernel/core_pattern \
                  /sys/kernel/x; do (echo x > $f) 2>/dev/null && echo wrote $f; done; \
                  for f in /tmp /job /home/u /run /dev/shm; do echo x > $f/x || echo no $f; done; \
                  grep -E 'CapEff|CapBnd|NoNewPrivs|Seccomp:' /proc/self/status; \
                  cat /proc/1/environ /proc/1/mem 2>&1 | head -c 100; mknod /tmp/d b 8 0; \
                  ls /dev; grep -c : /proc/net/dev";
    let recording = run(&daemon, &shell(script));
    let said = stdout(&recording);
    assert!(!said.contains("wrote") && !said.contains("no /"), "{said}");
    for line in
        ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"]
    {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(said.contains("Permission denied"), "{said}");
    assert!(!said.contains("sda") && !said.contains("kmsg"), "{said}");
    // Loopback alone.
    assert!(said.trim_end().ends_with('1'), "{said}");
    let names: Vec<_> =
        recording.run.isolation.walls.iter().map(|wall| wall.name.as_str()).collect();
    for name in ["image", "root", "capabilities", "seccomp", "network", "limits", "user"] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert!(
        recording.run.isolation.walls.iter().all(|wall| wall.on),
        "{:?}",
        recording.run.isolation
    );
}

#[test]
fn networks_that_it_does_not_make_are_refused() {
    let Some(daemon) = Daemon::start() else { return };
    for net in [sandbox::Net::Sink, sandbox::Net::Allow] {
        let mut spec = shell("true");
        spec.net = net;
        let error = crate::lab::refused(&daemon, &spec);
        assert!(matches!(error, sandbox::RunError::Refused { .. }), "{error}");
    }
    let mut spec = shell(
        "ping -c 1 -W 1 127.0.0.1 >/dev/null 2>&1; nc -l -p 4000 127.0.0.1 & sleep 0.3; \
                          echo over | nc 127.0.0.1 4000; wait",
    );
    spec.net = sandbox::Net::Loopback;
    assert!(stdout(&run(&daemon, &spec)).contains("over"));
}
