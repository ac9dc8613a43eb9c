//! `kill -9` of the service at random moments of two hundred runs on every runner there is: after
//! the next start nothing of them is left, whoever made it: no process, namespace, control group,
//! mount, container, guest, socket or folder.
#![expect(clippy::unwrap_used, reason = "what fails here should fail the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::Stack;
use crate::lab::have;

/// How long a server that was started again may take to have nothing left of the one before.
const LEFT_LIMIT: Duration = Duration::from_secs(90);
/// The kernel's names of namespaces.
const NAMESPACES: [&str; 7] = ["mnt", "pid", "net", "user", "ipc", "uts", "cgroup"];
/// Sets of pinned programs on this host at most; see `sandbox`'s `monitor/ebpf/pins.rs`.
const PINNED_MAX: usize = 4;
/// `(module (func (export "_start") (loop br 0)))`
const ENDLESS: &[u8] =
    b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x07\x0a\x01\x06_start\0\0\
      \x0a\x09\x01\x07\0\x03\x40\x0c\0\x0b\x0b";
/// Does not mind signals and leaves a child behind in a session of its own.
const STUBBORN: &str = "#!/bin/sh\ntrap '' TERM INT HUP\nsetsid sh -c 'trap \"\" TERM; sleep 600' $1 &\n\
    while :; do : > made; sleep 1; done\n";
const STUBBORN_PROGRAM: &str = "#include <signal.h>\n#include <unistd.h>\nint main(void) {\n\
    signal(SIGTERM, SIG_IGN); if (fork() == 0) setsid(); for (;;) pause(); }\n";

/// One process, for as long as the host is up.
type Incarnation = (u32, u64);

/// What a server and its runs were seen to consist of.
#[derive(Default)]
struct Seen {
    processes: BTreeSet<Incarnation>,
    /// Each with when the next server started: the kernel uses their numbers again, so only who
    /// started before that can be one of the killed server's.
    namespaces: BTreeMap<String, u64>,
    /// What the processes were called.
    names: BTreeSet<String>,
}

impl Seen {
    /// Adds everything that descends from a process now.
    fn look(&mut self, server: u32) {
        let mut tree = vec![server];
        let parents: Vec<(u32, u32, u64)> = processes().filter_map(parent).collect();
        while let Some(parent) = tree.pop() {
            for &(pid, of, started) in &parents {
                if of == parent && pid != parent {
                    tree.push(pid);
                    self.processes.insert((pid, started));
                    self.namespaces.extend(namespaces(pid).into_iter().map(|of| (of, u64::MAX)));
                    let name = fs::read_to_string(format!("/proc/{pid}/comm"));
                    self.names.extend(name.ok().map(|name| name.trim().to_owned()));
                }
            }
        }
        for own in namespaces(std::process::id()) {
            self.namespaces.remove(&own);
        }
    }

    /// A server that started now is not one of those that were looked at.
    fn end(&mut self, next: u32) {
        let (_, _, started) = parent(next).expect("the next server");
        for bound in self.namespaces.values_mut() {
            *bound = started.min(*bound);
        }
    }

    fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        for pid in processes() {
            let Some((pid, parent, started)) = parent(pid) else { continue };
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            if self.processes.contains(&(pid, started)) && state(pid) != Some('Z') {
                left.push(format!("process {pid} of {parent}: {line}"));
            }
            let theirs = |of: &String| self.namespaces.get(of).is_some_and(|next| started < *next);
            let of_theirs = namespaces(pid).into_iter().find(theirs);
            if let Some(namespace) = of_theirs {
                left.push(format!("{namespace} by process {pid}: {line}"));
            }
        }
        left
    }
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// A process, its parent and when it started.
fn parent(pid: u32) -> Option<(u32, u32, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some((pid, fields.get(1)?.parse().ok()?, fields.get(19)?.parse().ok()?))
}

fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

fn namespaces(pid: u32) -> Vec<String> {
    let link = |name: &&str| fs::read_link(format!("/proc/{pid}/ns/{name}")).ok();
    let links = NAMESPACES.iter().filter_map(link);
    links.map(|link| link.to_string_lossy().into_owned()).collect()
}

/// Folders of control groups whose name a test accepts.
fn groups(ours: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![PathBuf::from("/sys/fs/cgroup")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if ours(&entry.file_name().to_string_lossy()) {
                    found.push(entry.path());
                }
                folders.push(entry.path());
            }
        }
    }
    found
}

/// Names of abstract sockets.
fn abstract_sockets() -> BTreeSet<String> {
    let table = fs::read_to_string("/proc/net/unix").unwrap();
    let names = table.lines().filter_map(|line| line.split_whitespace().nth(7));
    names.filter(|name| name.starts_with('@')).map(str::to_owned).collect()
}

/// A server that is killed and started again, and everything it made.
struct Trial {
    stack: Stack,
    seen: Seen,
    /// The ids of all runs; their ends are in the names of their groups.
    ids: BTreeSet<String>,
    sockets: BTreeSet<String>,
    temporary: PathBuf,
    /// A small deterministic disorder (xorshift) for the moments of the kills.
    state: u64,
}

impl Trial {
    fn new(workers: usize, variables: &[(&str, &str)]) -> Self {
        let sockets = abstract_sockets();
        let temporary = tempfile::Builder::new().prefix("kills-").tempdir().unwrap().keep();
        // What was running is not begun again: every kill meets new runs.
        let settings = format!(
            "[verifier-pool]\naddress = \"127.0.0.1:0\"\nworkers = {workers}\nclaims_max = 1\n\
             memory_total_bytes = 17179869184\ntimeout_default_ms = 600000\n"
        );
        let folder = temporary.to_str().unwrap();
        let all = [variables, &[("TMPDIR", folder)]].concat();
        let stack = Stack::with(&settings, &all);
        let (seen, ids) = (Seen::default(), BTreeSet::new());
        Self { stack, seen, ids, sockets, temporary, state: 0x9e37_79b9_7f4a_7c15 }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % below
    }

    fn submit(&mut self, runner: &str, name: &str, artifact: &[u8]) {
        let mark = self.temporary.file_name().unwrap().to_str().unwrap().to_owned();
        let argument = if runner == "wasm" { String::new() } else { format!("&argument={mark}") };
        let path = format!("/v1/verifications?file_name={name}&runner={runner}{argument}");
        let answer = self.stack.post(&self.stack.key, &path, &[], artifact);
        assert_eq!(answer.status, 202, "{runner}: {}", answer.text());
        let id = answer.json()["id"].as_str().unwrap().to_owned();
        self.ids.insert(id);
    }

    /// Kills the server within so many milliseconds, and starts it again.
    fn kill(&mut self, within_ms: u64) {
        let deadline = Instant::now() + Duration::from_millis(self.random(within_ms));
        let server = self.stack.pid();
        self.seen.look(server);
        while Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
            self.seen.look(server);
        }
        self.stack.kill();
        self.stack.begin();
        self.seen.end(self.stack.pid());
    }

    /// Kills until no run is under way: one that had not begun when its server was killed is begun by
    /// the next, as it should be.
    fn settle(&mut self) {
        let over = |trial: &Self| {
            let mut open = trial.ids.iter().filter(|id| {
                let answer = trial.stack.get(&trial.stack.key, &format!("/v1/verifications/{id}"));
                matches!(answer.json()["state"].as_str().unwrap(), "queued" | "running")
            });
            open.next().is_none()
        };
        for _ in 0..20 {
            if over(self) {
                return;
            }
            self.kill(3_000);
        }
        panic!("runs are begun again and again");
    }

    /// Everything that should not be there.
    fn left(&self) -> Vec<String> {
        let mut left = self.seen.left();
        let mark = self.temporary.file_name().unwrap().to_str().unwrap();
        left.extend(crate::lab::processes(mark));
        let ours = |name: &str| {
            name.starts_with("shieldx-")
                && self.ids.iter().any(|id| name.ends_with(&id[id.len() - 12..]))
        };
        left.extend(groups(ours).iter().map(|path| format!("group {}", path.display())));
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let of_theirs = |line: &&str| line.contains(mark) || line.contains("shieldx");
        left.extend(mounts.lines().filter(of_theirs).map(|line| format!("mount {line}")));
        for folder in [self.temporary.clone(), self.stack.data().join("artifacts/.incoming")] {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            left.extend(entries.map(|entry| format!("path {}", entry.path().display())));
        }
        let sockets = abstract_sockets();
        let new = sockets.difference(&self.sockets).filter(|name| name.contains("shieldx"));
        left.extend(new.map(|name| format!("socket {name}")));
        for object in fs::read_dir("/sys/fs/bpf/shieldx").into_iter().flatten().flatten() {
            let sets = fs::read_dir(object.path()).into_iter().flatten().count();
            if sets > PINNED_MAX {
                left.push(format!("{sets} sets of programs in {}", object.path().display()));
            }
        }
        left
    }

    fn until_nothing_is_left(&self, more: impl Fn() -> Vec<String>) {
        let deadline = Instant::now() + LEFT_LIMIT;
        loop {
            let mut left = self.left();
            left.extend(more());
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "left behind: {left:#?}\n{}", self.stack.log());
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.temporary);
    }
}

/// A static program, which also runs where there is no library.
fn program(folder: &Path) -> Vec<u8> {
    fs::write(folder.join("stubborn.c"), STUBBORN_PROGRAM).unwrap();
    let cc = Command::new("cc")
        .args(["-static", "-o", "stubborn", "stubborn.c"])
        .current_dir(folder)
        .status();
    assert!(cc.unwrap().success());
    fs::read(folder.join("stubborn")).unwrap()
}

/// Waits until a runner that is tried beside the start is known to be there.
#[cfg(any(feature = "sandbox-docker", feature = "sandbox-microvm"))]
fn offered(stack: &Stack, runner: &str, artifact: &[u8]) {
    super::until(runner, || {
        let path = format!("/v1/verifications?file_name=a&runner={runner}&timeout_ms=1");
        let answer = stack.post(&stack.key, &path, &[], artifact);
        answer.status == 202
    });
}

/// Twenty-five kills with eight runs under way at each.
#[test]
fn killed_in_the_middle_of_two_hundred_runs_the_next_start_leaves_nothing() {
    if !have("kills of the service", &["cc"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path());
    #[cfg(feature = "sandbox-docker")]
    let daemon = crate::daemon::Daemon::start();
    #[cfg(feature = "sandbox-docker")]
    let host = daemon.as_ref().map(|daemon| format!("unix://{}", daemon.socket().display()));
    #[cfg(not(feature = "sandbox-docker"))]
    let host: Option<String> = None;
    let variables: Vec<(&str, &str)> =
        host.iter().map(|host| ("DOCKER_HOST", host.as_str())).collect();
    let mut trial = Trial::new(8, &variables);
    let mut wanted = vec!["process"; 5];
    wanted.push(if cfg!(feature = "sandbox-wasm") { "wasm" } else { "process" });
    wanted.extend([if host.is_some() { "docker" } else { "process" }; 2]);
    for _ in 0..25 {
        #[cfg(feature = "sandbox-docker")]
        if host.is_some() {
            offered(&trial.stack, "docker", &program);
        }
        for (number, runner) in wanted.iter().enumerate() {
            let name = format!("stubborn{number}");
            match *runner {
                "wasm" => trial.submit(runner, &name, ENDLESS),
                "docker" => trial.submit(runner, &name, &program),
                _ => trial.submit(runner, &name, STUBBORN.as_bytes()),
            }
        }
        trial.kill(1_500);
    }
    let daemons = || {
        #[cfg(feature = "sandbox-docker")]
        return daemon.as_ref().map(crate::daemon::Daemon::leftovers).unwrap_or_default();
        #[cfg(not(feature = "sandbox-docker"))]
        Vec::new()
    };
    trial.settle();
    trial.until_nothing_is_left(daemons);
    println!("200 runs on {wanted:?}, {} processes seen and gone", trial.seen.processes.len());
    assert!(trial.seen.processes.len() > 100, "runs were under way");
}

/// A guest boots for seconds: few kills, anywhere from before it is built to when it runs.
#[cfg(feature = "sandbox-microvm")]
#[test]
fn killed_while_guests_boot_and_run_the_next_start_leaves_none() {
    if !crate::microvm::guests("kills of the service") {
        return;
    }
    let mut trial = Trial::new(2, &[]);
    let met = |trial: &Trial| trial.seen.names.iter().any(|name| name.starts_with("qemu"));
    // On a busy machine the first four may all come before there is a guest.
    for within_ms in [15_000; 4].into_iter().chain([60_000; 8]) {
        if within_ms > 15_000 && met(&trial) {
            break;
        }
        offered(&trial.stack, "microvm", STUBBORN.as_bytes());
        trial.submit("microvm", "first", STUBBORN.as_bytes());
        trial.submit("microvm", "second", STUBBORN.as_bytes());
        trial.kill(within_ms);
    }
    trial.settle();
    trial.until_nothing_is_left(Vec::new);
    assert!(met(&trial), "no guest was met: {:?}", trial.seen.names);
}
