//! The attempts that mean something to a WebAssembly module, and why the others do not.
//!
//! A module has no system calls: what it may do is what its host gives it. So half of the list is one
//! question, whether a host function that nobody granted can be had by importing it.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;

use types::{Ending, Kind, Recording};

use super::judge::Judged;

#[expect(dead_code, reason = "the wasm runner's own tests use more of it")]
#[path = "../../../../sandbox-wasm/tests/it/kit.rs"]
mod kit;

use kit::{Bench, limit, open, preview1};

const CONNECT: &str = include_str!("../../../../sandbox-wasm/tests/it/wat/connect.wat");
const CANARY: &str = "nobody may change this\n";
const CREATE: u32 = 1;

/// Host functions that would be a way out, by the number of the attempt.
const IMPORTS: &[(u8, &str, &str)] = &[
    (1, "env", "fork"),
    (8, "wasi", "thread-spawn"),
    (14, "env", "kill"),
    (15, "env", "killpg"),
    (17, "env", "ptrace"),
    (18, "env", "process_vm_writev"),
    (19, "env", "pidfd_getfd"),
    (20, "env", "bpf"),
    (21, "env", "perf_event_open"),
    (22, "env", "io_uring_setup"),
    (23, "env", "userfaultfd"),
    (24, "env", "keyctl"),
    (25, "env", "init_module"),
    (26, "env", "kexec_load"),
    (27, "env", "unshare"),
    (28, "env", "setns"),
    (29, "env", "mount"),
    (30, "env", "chroot"),
    (31, "env", "open_by_handle_at"),
    (32, "env", "clock_settime"),
    (33, "env", "syscall"),
    (34, "env", "ioctl"),
    (36, "env", "clone3"),
    (48, "env", "mknod"),
    (50, "env", "connect"),
    (51, "wasi_snapshot_preview1", "sock_open"),
    (52, "env", "netlink_socket"),
    (53, "env", "vsock_connect"),
    (54, "env", "alg_socket"),
    (55, "wasi_snapshot_preview1", "sock_connect"),
    (59, "env", "sendmsg"),
];

/// Files of the host and the name of the attempt on them, for a module that has one folder.
const FILES: &[(u8, &str)] = &[
    (37, "/proc/sys/kernel/core_pattern"),
    (38, "/sys/fs/cgroup/release_agent"),
    (39, "/proc/sysrq-trigger"),
    (40, "/proc/sys/kernel/modprobe"),
    (41, "/proc/kcore"),
    (42, "/proc/self/exe"),
    (43, "../../../../../../etc/shadow"),
];

/// What has no meaning here.
const NOTHING: &[(u8, &str)] = &[
    (10, "a module leaves files only in folders of the caller that were granted"),
    (11, "a module starts no processes"),
    (12, "a module gets no signals"),
    (13, "a module starts no processes"),
    (16, "a module starts no processes"),
    (35, "a module has no terminal"),
    (44, "a module has no threads, and no path is masked"),
    (46, "WASI knows no modes of files"),
    (47, "WASI knows no attributes of files"),
    (61, "a module has no name it could change"),
];

pub(super) fn all() -> Vec<Judged> {
    let mut judged: Vec<Judged> = NOTHING
        .iter()
        .map(|(number, why)| Judged {
            number: *number,
            cell: format!("no meaning: {why}"),
            faults: Vec::new(),
        })
        .collect();
    judged.extend(IMPORTS.iter().map(|(number, module, name)| import(*number, module, name)));
    judged.extend(FILES.iter().map(|(number, path)| file(*number, path)));
    judged.extend([
        memory(),
        disk(),
        names(),
        descriptors(),
        output(),
        spin(),
        sparse(),
        links(),
        inherited(),
        connect(56),
        connect(57),
        resolve(),
        flood(),
        fingerprint(),
    ]);
    judged.sort_by_key(|one| one.number);
    judged
}

/// A judgement being made.
struct Case {
    number: u8,
    faults: Vec<String>,
}

impl Case {
    fn new(number: u8) -> Self {
        Self { number, faults: Vec::new() }
    }

    fn hold(&mut self, true_of_it: bool, words: &str, recording: &Recording) {
        if !true_of_it {
            let events: Vec<_> =
                recording.events.iter().map(|event| event.kind.name()).take(12).collect();
            self.faults.push(format!("{words}: {:?} {events:?}", recording.run.ending));
        }
    }

    fn refused(&mut self, recording: &Recording) {
        let refused = matches!(recording.run.ending, Ending::Exited { code } if code != 0);
        self.hold(refused, "inside: not refused", recording);
    }

    fn limited(&mut self, name: &str, recording: &Recording) {
        self.hold(limit(recording, name), &format!("record: limit {name} is not told"), recording);
    }

    fn blocked(&mut self, kind: &str, recording: &Recording) {
        let seen = recording.events.iter().any(|event| event.blocked && event.kind.name() == kind);
        self.hold(seen, &format!("record: no blocked {kind}"), recording);
    }

    fn done(self, cell: &str) -> Judged {
        Judged { number: self.number, cell: cell.to_owned(), faults: self.faults }
    }
}

/// Refused before anything of it runs, so the answer is no event but the runner's own.
fn import(number: u8, module: &str, name: &str) -> Judged {
    let text = format!(
        "(module (import \"{module}\" \"{name}\" (func)) (memory (export \"memory\") 1)
          (func (export \"_start\")))"
    );
    let reason = Bench::new(&text).refusal();
    let named = reason.contains(&format!("{module}.{name}"));
    let faults = if named { Vec::new() } else { vec![format!("not named: {reason}")] };
    Judged { number, cell: format!("refused to start; import `{name}` named"), faults }
}

fn file(number: u8, path: &str) -> Judged {
    let mut case = Case::new(number);
    for writes in [false, true] {
        let data = format!("(data (i32.const 1000) \"{path}\")");
        let body = format!("(call $proc_exit {})", open(1000, path.len(), 0, writes));
        let text = preview1("path_open proc_exit", &data, &body);
        let recording = Bench::new(&text).folder("/data", true).0.run();
        case.refused(&recording);
        case.blocked("open", &recording);
    }
    case.done("refused; `open` blocked")
}

fn memory() -> Judged {
    let mut case = Case::new(2);
    let grow = "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
                (call $proc_exit (i32.const 7))";
    let table = "(module (table 4294967295 funcref) (func (export \"_start\")))";
    let recording = Bench::new(&preview1("proc_exit", "", grow)).run();
    case.refused(&recording);
    case.limited("memory", &recording);
    let recording = Bench::new(table).run();
    case.hold(
        recording.run.ending == Ending::Signaled { signal: 6 },
        "inside: a table of four billion",
        &recording,
    );
    case.limited("memory", &recording);
    case.done("refused; limit `memory`")
}

/// Writes 64 KiB again and again to a file of its folder and exits with the errno that ends it.
fn disk() -> Judged {
    let mut case = Case::new(3);
    let data = r#"(data (i32.const 0) "\10\00\00\00\00\00\01\00") (data (i32.const 70000) "fill")"#;
    let body = format!(
        "(local $e i32) (local $fd i32) (drop {}) (local.set $fd (i32.load (i32.const 8)))
         (loop $again
          (local.set $e (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 12)))
          (br_if $again (i32.eqz (local.get $e))))
         (call $proc_exit (local.get $e))",
        open(70_000, 4, CREATE, true)
    );
    let text = preview1("path_open fd_write proc_exit", data, &body);
    let (bench, host) = Bench::new(&text).folder("/data", true);
    let recording = bench.run();
    case.refused(&recording);
    case.limited("disk", &recording);
    let size = fs::metadata(host.join("fill")).map_or(0, |about| about.len());
    case.hold(size <= 1 << 20, &format!("outside: {size} bytes"), &recording);
    case.done("refused; limit `disk`")
}

/// Makes files under ever new names; two hundred thousand would be too many for anybody.
fn names() -> Judged {
    let mut case = Case::new(4);
    let data = r#"(data (i32.const 1000) "aaaaaa")"#;
    // The name is the count in letters, sixteen of them.
    let body = format!(
        "(local $e i32) (local $i i32) (local $n i32) (local $d i32)
         (loop $again
          (local.set $n (local.get $i)) (local.set $d (i32.const 0))
          (loop $digit
           (i32.store8 (i32.add (i32.const 1000) (local.get $d))
             (i32.add (i32.const 97) (i32.and (local.get $n) (i32.const 15))))
           (local.set $n (i32.shr_u (local.get $n) (i32.const 4)))
           (local.set $d (i32.add (local.get $d) (i32.const 1)))
           (br_if $digit (i32.lt_u (local.get $d) (i32.const 6))))
          (local.set $e {})
          (drop (call $fd_close (i32.load (i32.const 8))))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $again (i32.and (i32.eqz (local.get $e)) (i32.lt_u (local.get $i) (i32.const 200000)))))
         (call $proc_exit (local.get $e))",
        open(1_000, 6, CREATE, true)
    );
    let text = preview1("path_open fd_close proc_exit", data, &body);
    let (bench, _host) = Bench::new(&text).folder("/data", true);
    let recording = bench.run();
    case.refused(&recording);
    case.limited("disk", &recording);
    case.done("refused; limit `disk`")
}

fn descriptors() -> Judged {
    let mut case = Case::new(5);
    let body = format!(
        "(local $e i32) (local $i i32) (loop $again (local.set $e {})
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $again (i32.and (i32.eqz (local.get $e)) (i32.lt_u (local.get $i) (i32.const 70000)))))
         (call $proc_exit (local.get $e))",
        open(1_000, 1, 0, false)
    );
    let text = preview1("path_open proc_exit", r#"(data (i32.const 1000) "f")"#, &body);
    let (bench, host) = Bench::new(&text).folder("/data", false);
    fs::write(host.join("f"), "").expect("a file");
    let recording = bench.run();
    case.refused(&recording);
    case.limited("files", &recording);
    case.done("refused; limit `files`")
}

fn output() -> Judged {
    let mut case = Case::new(6);
    let data = r#"(data (i32.const 0) "\10\00\00\00\00\80\00\00")"#;
    let body = "(local $i i32) (loop $again
        (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $i) (i32.const 2000))))";
    let recording = Bench::new(&preview1("fd_write", data, body)).run();
    case.limited("output", &recording);
    let kept = recording.output.as_ref().map_or(0, |output| output.stdout.as_bytes().len());
    case.hold(kept <= 1 << 20, &format!("record: {kept} bytes kept"), &recording);
    case.done("stays inside; limit `output`")
}

fn spin() -> Judged {
    let mut case = Case::new(7);
    let mut bench = Bench::new(r#"(module (func (export "_start") (loop (br 0))))"#);
    bench.spec.limits.timeout_ms = 300;
    let recording = bench.run();
    case.hold(recording.run.ending == Ending::TimedOut, "inside: not ended", &recording);
    case.limited("time", &recording);
    case.done("killed; limit `time`")
}

fn sparse() -> Judged {
    let mut case = Case::new(9);
    let body = format!(
        "(drop {}) (call $proc_exit (call $fd_filestat_set_size (i32.load (i32.const 8)) (i64.const 1099511627776)))",
        open(1_000, 4, CREATE, true)
    );
    let text = preview1(
        "path_open fd_filestat_set_size proc_exit",
        r#"(data (i32.const 1000) "huge")"#,
        &body,
    );
    let (bench, host) = Bench::new(&text).folder("/data", true);
    let recording = bench.run();
    case.refused(&recording);
    let size = fs::metadata(host.join("huge")).map_or(0, |about| about.len());
    case.hold(size == 0, &format!("outside: {size} bytes"), &recording);
    case.limited("disk", &recording);
    case.done("refused; limit `disk`")
}

/// Links that the caller's folder holds, and one the module makes itself.
fn links() -> Judged {
    let mut case = Case::new(45);
    for target in ["../canary", "/etc/passwd"] {
        let data = r#"(data (i32.const 1000) "link")"#;
        let body = format!("(call $proc_exit {})", open(1_000, 4, CREATE, true));
        let text = preview1("path_open proc_exit", data, &body);
        let (bench, host) = Bench::new(&text).folder("/data", true);
        let canary = bench.dir.path().join("canary");
        fs::write(&canary, CANARY).expect("the canary");
        symlink(target, host.join("link")).expect("a link");
        let recording = bench.run();
        case.refused(&recording);
        case.blocked("open", &recording);
        let kept = fs::read_to_string(&canary).is_ok_and(|text| text == CANARY);
        case.hold(kept, "outside: the canary changed", &recording);
    }
    let data = r#"(data (i32.const 1000) "../canary") (data (i32.const 1100) "link")"#;
    let body = format!(
        "(drop (call $path_symlink (i32.const 1000) (i32.const 9) (i32.const 3) (i32.const 1100) (i32.const 4)))
         (call $proc_exit {})",
        open(1_100, 4, 0, true)
    );
    let text = preview1("path_symlink path_open proc_exit", data, &body);
    let (bench, _host) = Bench::new(&text).folder("/data", true);
    let canary = bench.dir.path().join("canary");
    fs::write(&canary, CANARY).expect("the canary");
    let recording = bench.run();
    case.refused(&recording);
    let kept = fs::read_to_string(&canary).is_ok_and(|text| text == CANARY);
    case.hold(kept, "outside: the canary changed", &recording);
    case.done("refused; `open` blocked")
}

/// Without a grant there is nothing behind the standard streams.
fn inherited() -> Judged {
    let mut case = Case::new(49);
    let text = "(module
        (import \"wasi_snapshot_preview1\" \"fd_prestat_get\" (func $get (param i32 i32) (result i32)))
        (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $proc_exit (param i32)))
        (memory (export \"memory\") 1)
        (func (export \"_start\") (local $fd i32) (local.set $fd (i32.const 3))
         (loop $again
          (if (i32.eqz (call $get (local.get $fd) (i32.const 0))) (then (call $proc_exit (i32.const 0))))
          (local.set $fd (i32.add (local.get $fd) (i32.const 1)))
          (br_if $again (i32.lt_u (local.get $fd) (i32.const 1024))))
         (call $proc_exit (i32.const 8))))";
    let recording = Bench::new(text).run();
    case.refused(&recording);
    case.done("refused; none came in")
}

/// A component that connects to a server of the host, with a network granted but not that.
fn connect(number: u8) -> Judged {
    let mut case = Case::new(number);
    let server = TcpListener::bind("127.0.0.1:0").expect("a listener");
    server.set_nonblocking(true).expect("nonblocking");
    let port = server.local_addr().expect("an address").port();
    let mut text = CONNECT.replace("PORT", &port.to_string());
    if number == 56 {
        // 169.254.169.254 in the place of 127.0.0.1, in the order the call takes them.
        let (mine, its) = (
            "(i32.const 127) (i32.const 0) (i32.const 0) (i32.const 1)",
            "(i32.const 169) (i32.const 254) (i32.const 169) (i32.const 254)",
        );
        assert!(text.contains(mine), "the module's address");
        text = text.replace(mine, its);
    }
    let recording = Bench::new(&text).grant(&format!("network:127.0.0.1:{}", port ^ 1)).run();
    case.refused(&recording);
    case.blocked("connect", &recording);
    case.hold(server.accept().is_err(), "outside: the server was reached", &recording);
    case.done("refused; `connect` blocked")
}

/// Names are resolved for those who were granted a network, and for nobody else.
fn resolve() -> Judged {
    let text = r#"(component
        (import "wasi:sockets/ip-name-lookup@0.2.3" (instance (export "resolve-addresses" (func))))
        (instance $x) (export "wasi:cli/run@0.2.3" (instance $x)))"#;
    let reason = Bench::new(text).refusal();
    let named = reason.contains("ip-name-lookup");
    let faults = if named { Vec::new() } else { vec![format!("not named: {reason}")] };
    let cell = "refused to start; import `ip-name-lookup` named".to_owned();
    Judged { number: 58, cell, faults }
}

fn flood() -> Judged {
    let mut case = Case::new(60);
    let body = "(local $i i32) (loop $again
        (drop (call $fd_close (i32.add (local.get $i) (i32.const 100))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $i) (i32.const 200000))))";
    let recording = Bench::new(&preview1("fd_close", "", body)).run();
    let seen = recording.counters.seen;
    case.hold(seen >= 200_000, &format!("record: {seen} seen"), &recording);
    let honest = recording.counters.dropped == 0 || !recording.faults.is_empty();
    case.hold(honest, "record: events were lost and nobody says so", &recording);
    let told = recording.events.iter().any(
        |event| matches!(&event.kind, Kind::HostCall { function, .. } if function == "fd_close"),
    );
    case.hold(told, "record: no fd_close", &recording);
    case.done("stays inside; every call counted")
}

/// No arguments, no environment, no clock and no chance unless they are granted.
fn fingerprint() -> Judged {
    let mut case = Case::new(62);
    for name in ["args_sizes_get", "environ_sizes_get"] {
        let body = format!(
            "(drop (call ${name} (i32.const 0) (i32.const 4))) (call $proc_exit (i32.load (i32.const 0)))"
        );
        let text = preview1(&format!("{name} proc_exit"), "", &body);
        match std::panic::catch_unwind(|| Bench::new(&text).run()) {
            Ok(recording) => case.hold(
                recording.run.ending == Ending::Exited { code: 0 },
                &format!("inside: {name} tells something"),
                &recording,
            ),
            Err(_) => case.faults.push(format!("{name}: it did not run")),
        }
    }
    case.done("refused; nothing is told that was not granted")
}
