//! What each kind of behaviour becomes.

use types::{Access, Endpoint, Event, Kind, StdioKind};

use super::{python, shell};

#[test]
fn programs_their_families_and_ends() {
    let seen = shell("cd /usr; /bin/true one 'two three'; no-such-program; sh -c 'exit 7'; exit 3");
    assert_eq!(seen.output.status.code(), Some(3), "{}", seen.text());
    let exec = seen.must("exec of true", |e| {
        matches!(&e.kind, Kind::Exec { argv, cwd, stdio, memfd: false, deleted: false, path }
            if argv.len() == 3 && argv[2] == "two three".into() && *cwd == "/usr".into()
                && path.ends_with("/true")
                && stdio == &[StdioKind::Other, StdioKind::Pipe, StdioKind::Pipe])
    });
    assert_eq!((exec.ret, exec.advisory), (Some(0), true));
    let root = &seen.root().task;
    assert_eq!(exec.task.ppid, root.pid, "{}", seen.text());
    seen.must("exit 7", |e| matches!(e.kind, Kind::Exit { code: Some(7), .. }));
    let end = seen.must("exit 3", |e| matches!(e.kind, Kind::Exit { code: Some(3), .. }));
    assert_eq!(end.task.pid, root.pid);
    let born =
        |pid| move |e: &Event| matches!(e.kind, Kind::Fork { child_pid, .. } if child_pid == pid);
    assert_eq!(seen.must("birth of true", born(exec.task.pid)).task.pid, root.pid);
    assert!(!seen.any(|e| matches!(e.kind, Kind::Syscall { .. })), "{}", seen.text());
}

#[test]
fn a_search_along_path_does_not_look_like_programs() {
    let Some(seen) = python(
        "import os\n\
         os.environ['PATH'] = '/nonexistent:/usr/lib:/usr/bin:/bin'\n\
         os.execvp('true', ['true'])",
    ) else {
        return;
    };
    let tries: Vec<&Event> = seen
        .events
        .iter()
        .filter(|e| matches!(&e.kind, Kind::Exec { path, .. } if path.ends_with("/true")))
        .collect();
    let ends: Vec<Option<i64>> = tries.iter().map(|e| e.ret).collect();
    let missing = Some(-i64::from(libc::ENOENT));
    assert_eq!(ends, [missing, missing, Some(0)], "{}", seen.text());
}

#[test]
fn files_are_told_with_their_real_names() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().canonicalize().unwrap();
    let path = |name: &str| at.join(name).to_str().unwrap().into();
    std::fs::create_dir(at.join("real")).unwrap();
    std::os::unix::fs::symlink("real", at.join("link")).unwrap();
    let seen = shell(&format!(
        "cd {}; echo x > link/a; cat link/a; cat none; mv link/a b; chmod 4755 b; ln -s b c; \
         ln b d; mkdir e; rmdir e; touch -d 2001-01-01 b; truncate -s 5 b; mkfifo p; rm b",
        at.display()
    ));
    assert!(seen.output.status.success(), "{}", seen.text());
    let open = |name: &str, access, create| {
        let wanted = path(name);
        move |e: &Event| {
            matches!(&e.kind, Kind::Open { path, access: a, create: c, .. }
                if *path == wanted && *a == access && *c == create)
        }
    };
    seen.must("creation", open("real/a", Access::Write, true));
    assert_eq!(seen.must("read", open("real/a", Access::Read, false)).ret, None);
    let missing = seen.must("failed read", open("none", Access::Read, false));
    assert_eq!(missing.ret, Some(-2));
    let (from, to) = (path("real/a"), path("b"));
    seen.must("rename", |e| e.kind == Kind::Rename { from: from.clone(), to: to.clone() });
    let b = path("b");
    seen.must("chmod", |e| e.kind == Kind::Chmod { path: b.clone(), mode: 0o4755 });
    seen.must(
        "symlink",
        |e| matches!(&e.kind, Kind::Link { from, symbolic: true, .. } if *from == "b".into()),
    );
    seen.must(
        "link",
        |e| matches!(&e.kind, Kind::Link { from, symbolic: false, .. } if *from == b),
    );
    seen.must("mkdir", |e| e.kind == Kind::Mkdir { path: path("e") });
    seen.must("rmdir", |e| e.kind == Kind::Unlink { path: path("e"), directory: true });
    seen.must("forged time", |e| {
        matches!(&e.kind, Kind::SetTimes { path, seconds } if *path == b && (970_000_000..990_000_000).contains(seconds))
    });
    seen.must("truncate", |e| e.kind == Kind::Truncate { path: b.clone(), length: 5 });
    seen.must("mkfifo", |e| matches!(&e.kind, Kind::Mknod { path: p, .. } if *p == path("p")));
    seen.must("unlink", |e| e.kind == Kind::Unlink { path: b.clone(), directory: false });
}

#[test]
fn a_shell_wired_to_a_socket_is_seen_with_its_far_end() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let Some(seen) = python(&format!(
        "import socket, os, subprocess\n\
         s = socket.create_connection(('127.0.0.1', {port}))\n\
         [os.dup2(s.fileno(), fd) for fd in (0, 1, 2)]\n\
         s.send(b'hello')\n\
         subprocess.call(['sh', '-c', 'true'])"
    )) else {
        return;
    };
    let peer = Endpoint::Inet { ip: "127.0.0.1".parse().unwrap(), port };
    seen.must("socket", |e| matches!(e.kind, Kind::Socket { family: 2, socket_type: 1, .. }));
    seen.must("connect", |e| e.kind == Kind::Connect { peer: peer.clone() } && e.advisory);
    for stream in 0..3 {
        let wired = Kind::StdioSocket { stream, peer: Some(peer.clone()) };
        seen.must("standard stream", |e| e.kind == wired);
    }
    seen.must("send", |e| e.kind == Kind::Send { peer: Some(peer.clone()), bytes: 5 });
    let socket = StdioKind::Socket { peer: Some(peer.clone()) };
    seen.must(
        "shell on the socket",
        |e| matches!(&e.kind, Kind::Exec { stdio, .. } if stdio.iter().all(|s| *s == socket)),
    );
}

#[test]
fn questions_to_name_servers_are_read() {
    let Some(seen) = python(
        "import socket\n\
         q = lambda n: b'\\x12\\x34\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0' + n + b'\\0\\0\\x10\\0\\1'\n\
         s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
         s.sendto(q(b'\\3one\\4test'), ('127.0.0.1', 53))\n\
         s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)\n\
         s.connect(('::1', 53))\n\
         s.send(q(b'\\3two\\4test'))\n\
         try: s.sendmsg([q(b'\\5three'), b''])\n\
         except OSError: pass\n",
    ) else {
        return;
    };
    for name in ["one.test", "two.test", "three"] {
        seen.must(name, |e| {
            matches!(&e.kind, Kind::Dns { question, record: 16, server: Some(_) } if *question == name.into())
        });
    }
}

#[test]
fn memory_that_runs_is_told() {
    let Some(seen) = python(
        // mov eax, 2 (open); lea rdi, path; xor esi, esi; syscall; ret
        "import mmap, ctypes, os\n\
         code = bytes.fromhex('b802000000 488d3d05000000 31f6 0f05 c3') + b'/etc/passwd\\0'\n\
         libc = ctypes.CDLL(None)\n\
         def run(m):\n\
         \x20 m.write(code)\n\
         \x20 a = ctypes.addressof(ctypes.c_char.from_buffer(m))\n\
         \x20 libc.mprotect(ctypes.c_void_p(a), 4096, 5)\n\
         \x20 ctypes.CFUNCTYPE(ctypes.c_int)(a)()\n\
         keep = mmap.mmap(-1, 4096, prot=7)\n\
         run(mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))\n\
         run(mmap.mmap(-1, 4096))\n\
         f = os.memfd_create('twice', 0)\n\
         os.truncate(f, 4096)\n\
         os.write(f, code)\n\
         m = mmap.mmap(f, 4096, prot=5)\n\
         last = mmap.mmap(f, 4096)\n\
         run(last)\n\
         a = ctypes.addressof(ctypes.c_char.from_buffer(last))\n\
         call = ctypes.CFUNCTYPE(ctypes.c_int)(a)\n\
         if os.fork() == 0: call()",
    ) else {
        return;
    };
    seen.must("W+X mapping", |e| {
        matches!(&e.kind, Kind::Memory { call, write_execute: true, anonymous: _, .. } if call == "mmap")
    });
    seen.must("executable memory file", |e| {
        matches!(&e.kind, Kind::Memory { call, file: Some(file), write_execute: false, .. }
            if call == "mmap" && file.starts_with("/memfd:twice"))
    });
    let ran = |start: u64, length: u64| {
        seen.any(|e| {
            matches!(&e.kind, Kind::MemoryExecuted { address, call }
                if call == "open" && (start..start + length).contains(address))
        })
    };
    let protected: Vec<bool> = seen
        .events
        .iter()
        .filter_map(|e| match &e.kind {
            Kind::Memory { call, address, length, protection: 5, .. } if call == "mprotect" => {
                Some(ran(*address, *length))
            }
            _ => None,
        })
        .collect();
    assert_eq!(protected, [true; 3], "{}", seen.text());
    let root = seen.root().task.pid;
    seen.must("call of the child", |e| {
        matches!(e.kind, Kind::MemoryExecuted { .. }) && e.task.ppid == root
    });
}

#[test]
fn programs_without_a_file_are_marked() {
    let Some(seen) = python(
        "import os\n\
         for how in range(3):\n\
         \x20 if os.fork() == 0:\n\
         \x20  if how < 2:\n\
         \x20   f = os.memfd_create('hidden', 0)\n\
         \x20  else:\n\
         \x20   f = os.open('/tmp', os.O_TMPFILE | os.O_RDWR, 0o700)\n\
         \x20  os.write(f, open('/bin/true', 'rb').read())\n\
         \x20  name = f'/proc/self/fd/{f}'\n\
         \x20  if how > 0: f = os.open(name, os.O_RDONLY)\n\
         \x20  if how == 0: os.execve(name, ['a'], {})\n\
         \x20  else: os.execve(f, ['b'], {})\n\
         \x20 os.wait()",
    ) else {
        return;
    };
    seen.must("memfd_create", |e| e.kind == Kind::MemfdCreate { name: "hidden".into() });
    let memfds = seen.events.iter().filter(|e| {
        matches!(&e.kind, Kind::Exec { memfd: true, path, .. } if *path == "/memfd:hidden".into())
    });
    assert_eq!(memfds.count(), 2, "{}", seen.text());
    seen.must("deleted", |e| matches!(&e.kind, Kind::Exec { deleted: true, memfd: false, .. }));
}

#[test]
fn refused_calls_are_told_with_their_errno() {
    let Some(seen) = python(
        "import ctypes, socket, os\n\
         libc = ctypes.CDLL(None, use_errno=True)\n\
         libc.ptrace(16, 1, 0, 0)\n\
         libc.mount(b'none', b'/mnt/../mnt', b'tmpfs', 0, 0)\n\
         libc.unshare(0x10000000)\n\
         buf = (ctypes.c_uint64 * 11)(0x10000000)\n\
         libc.syscall(435, buf, 88)\n\
         libc.syscall(310, 1, 0, 0, 0, 0, 0)\n\
         libc.syscall(0x40000065, 0)\n\
         libc.ioctl(0, ctypes.c_ulong(0x5412 | 1 << 40), b'x')\n\
         for family, kind in ((17, 3), (2, 3)):\n\
         \x20 try: socket.socket(family, kind)\n\
         \x20 except OSError as e: print(e.errno)\n\
         os.kill(1, 0)",
    ) else {
        return;
    };
    let blocked = |what: &str, errno: i32, pick: &dyn Fn(&Kind) -> bool| {
        let event = seen.must(what, |e| e.blocked && pick(&e.kind));
        assert_eq!(event.ret, Some(-i64::from(errno)), "{what}");
    };
    let call = |name: &'static str| move |kind: &Kind| matches!(kind, Kind::Syscall { call, .. } if call == name);
    blocked("ptrace", libc::EPERM, &|k| matches!(k, Kind::Ptrace { request: 16, target_pid: 1 }));
    blocked(
        "mount",
        libc::EPERM,
        &|k| matches!(k, Kind::Syscall { call, target: Some(at), .. } if call == "mount" && *at == "/mnt".into()),
    );
    blocked("unshare", libc::EPERM, &call("unshare"));
    blocked("clone3", libc::ENOSYS, &call("clone3"));
    blocked("ioctl", libc::EPERM, &call("ioctl"));
    blocked("x32", libc::ENOSYS, &call("syscall_1073741925"));
    blocked("process_vm_readv", libc::EPERM, &|k| {
        matches!(k, Kind::ProcessMemory { write: false, target_pid: 1 })
    });
    blocked("packet socket", libc::EPERM, &|k| matches!(k, Kind::Socket { family: 17, .. }));
    blocked("raw socket", libc::EPERM, &|k| {
        matches!(k, Kind::Socket { family: 2, socket_type: 3, .. })
    });
    seen.must("kill", |e| e.kind == Kind::Kill { target_pid: 1, signal: 0 } && !e.blocked);
}
