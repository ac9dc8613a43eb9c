//! Attempts to break the sandbox or to use it up, each looked at from three sides: what the
//! attempt got (inside), what became of the host (outside), and what the record says (evidence).
//!
//! The numbers are the rows of docs/abuse.md. The primitives are in `programs/abuse.c`, bounded
//! there too, so that a hole in a wall costs a failed test and not the machine.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use shieldx_types::{Ending, Level, Tier, Verdict};

use crate::lab::{Lab, Outcome, assert_belongings_vanish, belongings, have, tier};

const SIGSYS: i32 = 31;

/// What must be the same after an attempt as before it.
struct Canary {
    process: Child,
    file: PathBuf,
    hostname: String,
    belongings: BTreeSet<String>,
}

const CANARY: &str = "nobody may change this\n";

impl Canary {
    fn new(lab: &Lab) -> Self {
        let file = lab.write("canary.txt", CANARY);
        Self {
            process: Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().expect("sleep"),
            file,
            hostname: hostname(),
            belongings: belongings(0),
        }
    }

    fn check(mut self, lab: &Lab, supervisor: u32) {
        assert!(self.process.try_wait().expect("the canary").is_none(), "the canary died");
        assert_eq!(fs::read_to_string(&self.file).expect("the canary's file"), CANARY);
        assert_eq!(hostname(), self.hostname);
        let names: Vec<_> = fs::read_dir(lab.work()).expect("a folder").flatten().collect();
        for entry in names {
            let name = entry.file_name();
            assert!(name == "canary.txt" || name == "abuse", "{name:?} reached the host");
        }
        lab.assert_no_process();
        assert_belongings_vanish(supervisor, &self.belongings);
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn hostname() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").expect("a host name")
}

/// Runs one sub command of `abuse.c` between two looks at the host.
fn attempt(options: &[&str], words: &[&str]) -> Option<(Lab, Outcome)> {
    if !have(words[0], &["cc"]) {
        return None;
    }
    let lab = Lab::new();
    let mut command = lab.program("abuse.c");
    command.extend(words.iter().map(|&word| word.to_owned()));
    let canary = Canary::new(&lab);
    let outcome = lab.shieldx().with(options).run(&command);
    canary.check(&lab, outcome.supervisor);
    Some((lab, outcome))
}

/// `(value, errno)` that the program printed for `name`.
fn result(outcome: &Outcome, name: &str) -> Option<(i64, i32)> {
    let output = outcome.output();
    let line = output.lines().find_map(|line| {
        line.strip_prefix("RESULT ").and_then(|rest| rest.strip_prefix(name)?.strip_prefix(' '))
    })?;
    let (value, errno) = line.split_once(" errno=")?;
    Some((value.parse().ok()?, errno.trim().parse().ok()?))
}

fn expect(outcome: &Outcome, name: &str) -> (i64, i32) {
    result(outcome, name).unwrap_or_else(|| panic!("no result for {name}: {}", outcome.summary()))
}

/// Whoever reads the report learns that a limit was reached.
fn assert_limited(outcome: &Outcome, limit: &str) {
    assert!(outcome.reached(limit), "limit {limit} is not in the record: {}", outcome.summary());
}

#[test]
fn n01_fork_bomb() {
    let Some((_, outcome)) = attempt(&["--pids", "64"], &["fork-bomb"]) else { return };
    assert!(expect(&outcome, "children").0 < 64, "{}", outcome.summary());
    assert_eq!(expect(&outcome, "fork").1, libc::EAGAIN);
    assert_limited(&outcome, "pids");
}

#[test]
fn n02_memory_bomb() {
    let Some((_, outcome)) = attempt(&["--memory", "128M"], &["memory-bomb"]) else { return };
    let contained = match result(&outcome, "memory") {
        Some((value, errno)) => value < 0 && errno == libc::ENOMEM,
        None => outcome.run.ending == Ending::Signaled { signal: libc::SIGKILL },
    };
    assert!(contained, "{}", outcome.summary());
    assert_limited(&outcome, "memory");
}

#[test]
fn n03_disk_fill() {
    for path in ["/tmp/fill", "./fill", "/dev/shm/fill"] {
        let options = ["--disk", "16M", "--memory", "256M"];
        let Some((_, outcome)) = attempt(&options, &["fill", path]) else { return };
        let (written, _) = expect(&outcome, "bytes");
        assert!(written <= 16 << 20, "{path}: {written} bytes; {}", outcome.summary());
        assert_eq!(expect(&outcome, "fill").1, libc::ENOSPC, "{path}");
        assert_limited(&outcome, "disk");
    }
}

#[test]
fn n04_inode_fill() {
    let Some((_, outcome)) = attempt(&["--disk", "32M"], &["inode-fill"]) else { return };
    assert!(expect(&outcome, "create").0 < 0, "{}", outcome.summary());
    let errno = expect(&outcome, "create").1;
    assert!(errno == libc::ENOSPC || errno == libc::EDQUOT, "errno {errno}");
    assert_limited(&outcome, "disk");
}

#[test]
fn n05_descriptors() {
    let Some((_, outcome)) = attempt(&[], &["descriptors"]) else { return };
    assert!(expect(&outcome, "descriptors").0 <= 1 << 16, "{}", outcome.summary());
    assert_eq!(expect(&outcome, "open").1, libc::EMFILE);
}

#[test]
fn n06_output_flood() {
    let Some((_, outcome)) = attempt(&["--timeout", "60s"], &["output-flood"]) else { return };
    assert!(outcome.output().len() < 64 << 20, "the document keeps a bounded part");
    // Captured output is no evidence: a verdict does not rest on what a command says of itself.
    assert_limited(&outcome, "output");
}

#[test]
fn n07_spin_past_the_deadline() {
    let Some((_, outcome)) = attempt(&["--timeout", "2s"], &["spin"]) else { return };
    assert_eq!(outcome.run.ending, Ending::TimedOut);
    assert_eq!(outcome.assessment.evidence.level, Level::Incomplete);
    assert_eq!(outcome.assessment.verdict, Verdict::Inconclusive, "{}", outcome.summary());
    assert_limited(&outcome, "time");
}

#[test]
fn n08_thread_bomb() {
    let Some((_, outcome)) = attempt(&["--pids", "64"], &["thread-bomb"]) else { return };
    assert!(expect(&outcome, "threads").0 < 64, "{}", outcome.summary());
    assert_eq!(expect(&outcome, "thread").1, libc::EAGAIN);
    assert_limited(&outcome, "pids");
}

#[test]
fn n09_sparse_artefact() {
    let lab = Lab::new();
    if !have("n09", &["cc"]) {
        return;
    }
    let mut command = lab.program("abuse.c");
    command.push("sparse".to_owned());
    let keep = lab.side().join("kept");
    let keep_word = keep.to_str().expect("ASCII").to_owned();
    let outcome = lab.shieldx().with(&["--keep", &keep_word, "--disk", "16M"]).run(&command);
    // A terabyte of nothing is neither hashed for minutes nor copied out.
    assert!(size(&keep) <= 16 << 20, "{}", outcome.summary());
    lab.assert_no_process();
}

/// Bytes of disk below a folder; 0 when it is not there.
fn size(folder: &std::path::Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(about) if about.is_dir() => size(&entry.path()),
            Ok(about) => about.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}

#[test]
fn n10_zip_bomb() {
    if !have("n10", &["gzip"]) {
        return;
    }
    let lab = Lab::new();
    let line = "head -c 300000000 /dev/zero | gzip -9 > z.gz && gzip -dc z.gz > z";
    let outcome = lab.shieldx().with(&["--disk", "16M"]).run(&["sh", "-c", line]);
    assert_ne!(outcome.code(), 0, "{}", outcome.summary());
    assert_limited(&outcome, "disk");
    lab.assert_no_process();
}

#[test]
fn n11_n12_n16_survivors() {
    let Some((_, outcome)) = attempt(&[], &["survivor", "120"]) else { return };
    assert_eq!(expect(&outcome, "survivors").0, 4);
    assert!(outcome.run.duration_ns < 60_000_000_000, "waited for a process that had been left");
}

#[test]
fn n12_ignored_sigterm_at_the_deadline() {
    if !have("n12", &["cc"]) {
        return;
    }
    let lab = Lab::new();
    let mut command = lab.program("survivor.c");
    command.push("120".to_owned());
    let outcome = lab.shieldx().with(&["--timeout", "1s"]).run(&command);
    assert_eq!(outcome.run.ending, Ending::TimedOut, "{}", outcome.summary());
    lab.assert_no_process();
}

#[test]
fn n13_zombie_storm() {
    let Some((_, outcome)) = attempt(&["--pids", "100"], &["zombies"]) else { return };
    assert!(expect(&outcome, "zombies").0 < 100, "{}", outcome.summary());
    assert_limited(&outcome, "pids");
}

#[test]
fn n14_kill_the_supervisor() {
    let Some((_, outcome)) = attempt(&["--timeout", "30s"], &["kill-supervisor"]) else { return };
    // Whether it kills the first process of its own namespace or not, the run ends and is told.
    assert!(!matches!(outcome.run.ending, Ending::TimedOut), "{}", outcome.summary());
    if tier() == Tier::B {
        assert!(outcome.events.iter().any(|event| event.kind.name() == "kill"));
    }
}

#[test]
fn n15_kill_everything() {
    let Some((_, outcome)) = attempt(&["--timeout", "30s"], &["kill-all"]) else { return };
    assert!(!matches!(outcome.run.ending, Ending::TimedOut), "{}", outcome.summary());
    if tier() == Tier::B {
        assert!(outcome.events.iter().any(|event| event.kind.name() == "kill"));
    }
}

/// Inside: an error or death by SIGSYS. Evidence: an event of that call with `blocked`.
fn refused(attempted: &str, event: &str) {
    let Some((_, outcome)) = attempt(&[], &["surface", attempted]) else { return };
    match result(&outcome, attempted) {
        Some((value, errno)) => {
            assert!(value < 0 && errno != 0, "{attempted} gave {value}: {}", outcome.summary());
        }
        None => assert_eq!(
            outcome.run.ending,
            Ending::Signaled { signal: SIGSYS },
            "{attempted}: {}",
            outcome.summary()
        ),
    }
    assert!(
        recorded(&outcome, event),
        "{attempted}: no blocked event {event}: {:?}\n{}",
        outcome.events.iter().filter(|event| event.blocked).collect::<Vec<_>>(),
        outcome.summary()
    );
}

/// Whether the refusal of this kind or call is in the record; calls of another ABI have no name
/// that this test could know.
fn recorded(outcome: &Outcome, event: &str) -> bool {
    outcome.blocked(event) || (event == "any" && outcome.events.iter().any(|e| e.blocked))
}

/// Each row becomes a test: the attempt, and the kind or call of the event that must record it.
macro_rules! surface {
    ($all:ident; $($name:ident: $attempted:literal => $event:literal;)*) => {
        const $all: &[(&str, &str)] = &[$(($attempted, $event)),*];
        $(
            #[test]
            fn $name() {
                refused($attempted, $event);
            }
        )*
    };
}

surface! {
    SURFACE;
    n17_ptrace: "ptrace" => "ptrace";
    n18_process_vm_writev: "process_vm_writev" => "process_memory";
    n19_pidfd_getfd: "pidfd_getfd" => "pidfd_getfd";
    n20_bpf: "bpf" => "bpf";
    n21_perf_event_open: "perf_event_open" => "perf_event_open";
    n22_io_uring_setup: "io_uring_setup" => "io_uring_setup";
    n23_userfaultfd: "userfaultfd" => "userfaultfd";
    n24_keyctl: "keyctl" => "keyctl";
    n24_add_key: "add_key" => "add_key";
    n25_init_module: "init_module" => "init_module";
    n26_kexec_load: "kexec_load" => "kexec_load";
    n27_unshare_user: "unshare-user" => "unshare";
    n27_unshare_all: "unshare-all" => "unshare";
    n27_clone_user: "clone-user" => "clone";
    n28_setns: "setns" => "setns";
    n29_mount: "mount" => "mount";
    n29_umount: "umount" => "umount2";
    n29_remount: "remount" => "mount";
    n29_open_tree: "open_tree" => "open_tree";
    n29_move_mount: "move_mount" => "move_mount";
    n29_fsopen: "fsopen" => "fsopen";
    n29_mount_setattr: "mount_setattr" => "mount_setattr";
    n30_pivot_root: "pivot_root" => "pivot_root";
    n30_chroot: "chroot" => "chroot";
    n31_open_by_handle_at: "open_by_handle_at" => "open_by_handle_at";
    n32_time_namespace: "unshare-time" => "unshare";
    n32_settimeofday: "settimeofday" => "settimeofday";
    n32_clock_settime: "clock_settime" => "clock_settime";
    n34_tiocsti: "tiocsti" => "ioctl";
    n34_tiocsti_high_bits: "tiocsti-high" => "ioctl";
    n35_tioclinux: "tioclinux" => "ioctl";
    n36_clone3: "clone3" => "clone3";
    more_swapon: "swapon" => "swapon";
    more_reboot: "reboot" => "reboot";
    more_sethostname: "sethostname" => "sethostname";
    more_acct: "acct" => "acct";
    more_syslog: "syslog" => "syslog";
}

surface! {
    FOREIGN_SURFACE;
    n33_x32: "x32" => "any";
    n33_int80: "int80" => "any";
    more_iopl: "iopl" => "iopl";
}

/// The same attempts, all in one run, under the tier that an ordinary user has.
#[test]
fn every_refusal_is_recorded_in_tier_c() {
    let attempts: Vec<&str> = all().map(|(attempted, _)| attempted).collect();
    let mut words = vec!["surface"];
    words.extend(&attempts);
    let Some((_, outcome)) = attempt(&["--monitor", "notify"], &words) else { return };
    assert_eq!(outcome.assessment.evidence.tier, Tier::C);
    for (attempted, event) in all() {
        let (value, errno) = expect(&outcome, attempted);
        assert!(value < 0 && errno != 0, "{attempted} gave {value}: {}", outcome.summary());
        assert!(recorded(&outcome, event), "{attempted}: no blocked event {event}");
    }
}

fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    SURFACE.iter().chain(FOREIGN_SURFACE).copied()
}

#[test]
fn n37_to_n44_kernel_files() {
    let Some((_, outcome)) = attempt(&[], &["proc-writes"]) else { return };
    let output = outcome.output();
    let opened: Vec<&str> = output
        .lines()
        .filter(|line| line.starts_with("RESULT /") && !line.contains("RESULT /proc/1/oom"))
        .filter(|line| !line.contains(" -1 errno="))
        .collect();
    assert!(opened.is_empty(), "{opened:?}");
    assert!(output.lines().count() > 10, "{}", outcome.summary());
}

#[test]
fn n42_n43_n49_own_program_and_inherited_descriptors() {
    let Some((_, outcome)) = attempt(&[], &["self-exe"]) else { return };
    assert!(expect(&outcome, "/proc/self/exe").0 < 0);
    assert!(expect(&outcome, "/proc/1/exe").0 < 0);
    assert!(expect(&outcome, "/proc/1/cwd/../../../../etc/shadow").0 < 0);
    let inherited: Vec<String> = outcome
        .output()
        .lines()
        .filter_map(|line| line.strip_prefix("FD "))
        .filter(|line| !matches!(line.split(' ').next(), Some("0" | "1" | "2")))
        .map(str::to_owned)
        .collect();
    assert!(inherited.is_empty(), "descriptors came in: {inherited:?}");
}

#[test]
fn n45_artefacts_are_extracted_safely() {
    if !have("n45", &["cc"]) {
        return;
    }
    let lab = Lab::new();
    let mut command = lab.program("abuse.c");
    command.push("artefacts".to_owned());
    let keep = lab.side().join("kept");
    let keep_word = keep.to_str().expect("ASCII").to_owned();
    let outcome = lab.shieldx().with(&["--keep", &keep_word]).run(&command);
    let mut folders = vec![keep.clone()];
    let mut plain = false;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the kept folder").flatten() {
            let kind = fs::symlink_metadata(entry.path()).expect("metadata").file_type();
            assert!(kind.is_file() || kind.is_dir(), "{:?} is {kind:?}", entry.path());
            if kind.is_dir() {
                folders.push(entry.path());
            }
            if entry.file_name() == "plain" {
                plain = true;
                assert_eq!(fs::read(entry.path()).expect("the kept file"), b"plain\n");
            }
        }
    }
    assert!(plain, "the regular file was not kept: {}", outcome.summary());
    lab.assert_no_process();
}

#[test]
fn n46_n47_no_new_privileges_and_no_capabilities() {
    let Some((_, outcome)) = attempt(&[], &["no-new-privileges"]) else { return };
    assert_eq!(expect(&outcome, "no_new_privs").0, 1);
    assert_ne!(expect(&outcome, "euid").0, 0);
    let output = outcome.output();
    let sets: Vec<&str> = output.lines().filter(|line| line.starts_with("STATUS Cap")).collect();
    assert_eq!(sets.len(), 5, "{output}");
    for set in sets {
        assert!(set.ends_with("\t0000000000000000"), "{set}");
    }
    assert!(output.contains("Seccomp:\t2"), "{output}");
}

#[test]
fn n48_device_nodes() {
    let Some((_, outcome)) = attempt(&[], &["surface", "mknod"]) else { return };
    let (value, errno) = expect(&outcome, "mknod");
    // Not the filter's refusal: no capability, and Landlock allows no device nodes.
    let refused = errno == libc::EPERM || errno == libc::EACCES;
    assert!(value < 0 && refused, "{}", outcome.summary());
    assert!(outcome.events.iter().any(|event| event.kind.name() == "mknod" && !event.happened()));
}

#[test]
fn n50_sockets_of_the_host_are_not_there() {
    let sockets = ["/run/docker.sock", "/var/run/docker.sock", "/run/dbus/system_bus_socket"];
    let mut words = vec!["unix"];
    words.extend(sockets);
    let Some((_, outcome)) = attempt(&[], &words) else { return };
    for socket in sockets {
        assert!(expect(&outcome, socket).0 < 0, "{}", outcome.summary());
    }
}

#[test]
fn n51_to_n54_socket_families() {
    let Some((_, outcome)) = attempt(&["--net", "loopback"], &["sockets"]) else { return };
    for family in ["packet", "raw", "vsock", "alg", "netlink-audit", "bluetooth", "xdp"] {
        assert!(expect(&outcome, family).0 < 0, "{family}: {}", outcome.summary());
    }
    assert!(outcome.blocked("socket"), "{}", outcome.summary());
}

#[test]
fn n55_abstract_sockets_of_the_host() {
    let name = format!("shieldx-canary-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("an abstract name");
    let server = UnixListener::bind_addr(&address).expect("a listener");
    server.set_nonblocking(true).expect("nonblocking");
    let Some((_, outcome)) = attempt(&["--net", "loopback"], &["abstract", &name]) else { return };
    assert!(expect(&outcome, "abstract").0 < 0, "{}", outcome.summary());
    assert!(server.accept().is_err(), "somebody inside reached the host's socket");
}

#[test]
fn n56_n57_metadata_address_and_loopback_of_the_host() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    server.set_nonblocking(true).expect("nonblocking");
    let port = server.local_addr().expect("an address").port().to_string();
    for net in ["none", "loopback"] {
        let options = ["--net", net];
        let Some((_, outcome)) = attempt(&options, &["reach", "169.254.169.254"]) else { return };
        // Landlock forbids TCP where there is no network; else there is no route.
        let errno = expect(&outcome, "connect").1;
        assert!(errno == libc::ENETUNREACH || errno == libc::EACCES, "{net}: {errno}");
        let Some((_, outcome)) = attempt(&options, &["reach", "127.0.0.1", &port]) else { return };
        assert!(expect(&outcome, "connect").0 < 0, "{net}");
    }
    assert!(server.accept().is_err(), "somebody inside reached the host's loopback");
}

#[test]
fn n60_event_flood_loses_nothing_or_says_so() {
    let Some((_, outcome)) = attempt(&["--timeout", "120s"], &["event-flood"]) else { return };
    assert_eq!(expect(&outcome, "flood").0, 440_000);
    let evidence = &outcome.assessment.evidence;
    if evidence.counters.dropped > 0 {
        assert_eq!(evidence.level, Level::Incomplete, "{}", outcome.summary());
        assert_eq!(outcome.assessment.verdict, Verdict::Inconclusive);
    } else if tier() == Tier::B {
        assert_eq!(evidence.level, Level::Full, "{}", outcome.summary());
        let unlinks = outcome.events.iter().filter(|event| event.kind.name() == "unlink");
        assert_eq!(unlinks.count(), 20_000, "{:?}", evidence.counters);
    }
    assert!(outcome.blocked("ptrace"), "what matters was lost in the flood");
}

#[test]
fn n61_spoofed_names_cannot_drive_the_terminal() {
    if !have("n61", &["cc"]) {
        return;
    }
    let lab = Lab::new();
    let command = lab.program("abuse.c");
    let mut child = Command::new(env!("CARGO_BIN_EXE_shieldx"))
        .args(["run", "--cwd"])
        .arg(lab.work())
        .args(["--", &command[0], "spoof"])
        .current_dir(lab.work())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("shieldx starts");
    let mut report = Vec::new();
    child.stderr.take().expect("stderr").read_to_end(&mut report).expect("the report");
    child.wait().expect("shieldx ends");
    let bad: Vec<u8> = report
        .iter()
        .copied()
        .filter(|&byte| byte < 0x20 && byte != b'\n' && byte != b'\t')
        .collect();
    assert!(bad.is_empty(), "control bytes {bad:?} in {:?}", String::from_utf8_lossy(&report));
}
