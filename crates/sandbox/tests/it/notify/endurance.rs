//! Everyday software, floods, storms, and the least privileged user.
#![expect(unsafe_code, reason = "makes namespaces between fork and exec")]

use std::os::unix::process::CommandExt;
use std::process::Command;

use sandbox::monitor::notify;
use types::{Event, Kind};

use super::{Watched, python, shell, start, watch};

#[test]
fn this_host_can_run_it() {
    println!("{:?}", notify::probe().unwrap());
    assert!(notify::watched().contains(&"execve"));
}

#[test]
fn a_flood_is_answered_and_counted() {
    let seen = shell("i=0; while [ $i -lt 3000 ]; do : > /dev/null; i=$((i+1)); done; kill -9 $$");
    let opens: u64 = seen
        .events
        .iter()
        .filter(|e| matches!(&e.kind, Kind::Open { path, .. } if *path == "/dev/null".into()))
        .map(|e| e.count)
        .sum();
    assert!(opens >= 3000, "{opens}");
    assert!(seen.summary.counters.aggregated >= 2900);
}

#[test]
fn a_storm_of_tasks_is_followed() {
    let Some(seen) = python(
        "import os, threading\n\
         gate = threading.Barrier(300)\n\
         def body(n):\n\
         \x20 gate.wait()\n\
         \x20 try: os.rmdir(f'/nowhere/{n}')\n\
         \x20 except OSError: pass\n\
         threads = [threading.Thread(target=body, args=(n,)) for n in range(300)]\n\
         [t.start() for t in threads]\n\
         [t.join() for t in threads]\n\
         for n in range(300):\n\
         \x20 if os.fork() == 0: os._exit(n % 7)\n\
         \x20 if n % 3 == 0: os.wait()\n\
         for n in range(200): os.wait()",
    ) else {
        return;
    };
    assert!(seen.output.status.success(), "{}", seen.text());
    let root = &seen.root().task;
    let removed: std::collections::BTreeSet<u32> = seen
        .events
        .iter()
        .filter(|e| matches!(e.kind, Kind::Unlink { .. }) && e.task.pid == root.pid)
        .map(|e| e.task.tid)
        .collect();
    assert_eq!(removed.len(), 300);
    let ends = seen.events.iter().filter(|e| {
        matches!(e.kind, Kind::Exit { code: Some(0..7), .. }) && e.task.ppid == root.pid
    });
    assert!(ends.count() >= 300);
}

#[test]
fn it_stops_when_told_although_tasks_live() {
    let mut command = Command::new("sh");
    command.args(["-c", "sleep 2; : > /dev/null"]);
    let Watched { running, child } = start(command);
    std::thread::sleep(std::time::Duration::from_millis(300));
    let (list, summary) = running.finish();
    assert!(!child.is_finished(), "the command still sleeps");
    assert!(list.0.iter().any(|e| matches!(e.kind, Kind::Exec { .. })));
    assert!(summary.counters.balanced() && summary.faults.is_empty(), "{summary:?}");
    child.join().unwrap();
}

#[test]
fn everyday_programs_run_and_nothing_of_theirs_is_blocked() {
    let commands = [
        ("tar", "ls -la / | sort | head -3; tar cf a.tar /etc/passwd; id"),
        ("git", "git init -q r; cd r; echo x >x; git add x; git status --short"),
        ("gcc", "echo 'int main(){return 0;}' >a.c; gcc -o a a.c; ./a"),
        (
            "python3",
            "python3 -c 'import threading, subprocess, sqlite3; \
          t = threading.Thread(target=print); t.start(); t.join(); subprocess.run([\"id\"])'",
        ),
        ("node", "node -e 'console.log(require(\"child_process\").execSync(\"id\") + \"\")'"),
        ("java", "java -version"),
        ("go", "go version"),
        ("perl", "perl -e 'if (fork) { wait } else { exit 0 }'"),
    ];
    for (needs, script) in commands {
        let known = Command::new("sh").args(["-c", &format!("command -v {needs}")]).output();
        if !known.is_ok_and(|output| output.status.success()) {
            println!("SKIP {needs} is not installed");
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.current_dir(folder.path()).args(["-ec", script]);
        let seen = watch(command);
        assert!(seen.output.status.success(), "{script}: {}", seen.text());
        // io_uring is refused to everybody; node asks for it and copes.
        let expected = |e: &Event| matches!(&e.kind, Kind::Syscall { call, .. } if call.starts_with("io_uring"));
        assert!(!seen.any(|e| e.blocked && !expected(e)), "{script}: {}", seen.text());
    }
}

/// Memory that a program hides from debuggers is still read, or the record says that it was not.
#[test]
fn hiding_from_debuggers_does_not_hide_from_the_monitor() {
    let Some(seen) = python(
        "import ctypes\n\
         ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)\n\
         try: open('/hidden-from-nobody')\n\
         except OSError: pass",
    ) else {
        return;
    };
    seen.must(
        "open",
        |e| matches!(&e.kind, Kind::Open { path, .. } if *path == "/hidden-from-nobody".into()),
    );
}

/// The whole of it as the least privileged user: namespaces of its own, a filter, and a monitor
/// that is neither root nor inside.
#[test]
fn an_ordinary_user_sees_into_namespaces_of_its_own() {
    const NOBODY: u32 = 65534;
    // SAFETY: takes nothing and cannot fail.
    if unsafe { libc::geteuid() } == 0 {
        let folder = tempfile::tempdir().unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), mode).unwrap();
        let copy = folder.path().join("it");
        std::fs::copy("/proc/self/exe", &copy).unwrap();
        let name = "notify::endurance::an_ordinary_user_sees_into_namespaces_of_its_own";
        let mut command = Command::new(copy);
        command.args(["--exact", name, "--nocapture"]).current_dir("/").uid(NOBODY).gid(NOBODY);
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        println!("{}", text.lines().find(|line| line.starts_with("SKIP")).unwrap_or(""));
        return;
    }
    let allowed = Command::new("unshare").args(["-Urp", "--fork", "true"]).status();
    if !allowed.is_ok_and(|status| status.success()) {
        println!("SKIP this host has no user namespaces for ordinary users");
        return;
    }
    let mut command = Command::new("sh");
    let hiding = "import ctypes; ctypes.CDLL(None).prctl(4, 0, 0, 0, 0); open('/etc/hostname')";
    command.args([
        "-c",
        "cat /proc/self/comm < /etc/passwd; python3 -c \"$1\"; kill -9 $$",
        "sh",
        hiding,
    ]);
    // SAFETY: the closure makes raw system calls and allocates nothing.
    unsafe {
        command.pre_exec(|| {
            let flags = libc::CLONE_NEWUSER | libc::CLONE_NEWPID | libc::CLONE_NEWNS;
            if libc::unshare(flags) != 0 {
                return Err(std::io::Error::last_os_error());
            }
            let child = libc::fork();
            if child != 0 {
                let mut status = 0;
                libc::waitpid(child, &raw mut status, 0);
                libc::_exit(0);
            }
            let kind = c"proc".as_ptr();
            match libc::mount(kind, c"/proc".as_ptr(), kind, 0, std::ptr::null()) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    let seen = watch(command);
    let shell = &seen.must("shell", |e| matches!(e.kind, Kind::Exec { .. })).task;
    assert_eq!((shell.pid, shell.ppid), (1, 0), "{}", seen.text());
    let cat =
        seen.must("cat", |e| matches!(&e.kind, Kind::Exec { path, .. } if path.ends_with("/cat")));
    // 2 was the short-lived sender of the listener.
    assert_eq!((cat.task.pid, cat.task.ppid, cat.ret), (3, 1, Some(0)));
    let comm = format!("/proc/{}/comm", cat.task.pid);
    seen.must(
        "read of its own name",
        |e| matches!(&e.kind, Kind::Open { path, .. } if *path == comm.as_str().into()),
    );
    seen.must(
        "redirection",
        |e| matches!(&e.kind, Kind::Open { path, .. } if *path == "/etc/passwd".into()),
    );
}
