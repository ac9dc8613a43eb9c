//! The bench every whole-run test works on: a folder, a few programs, and `shieldx run` in it.
//!
//! Starts the real binary and reads its JSON document. What a test expects stays in the test; only
//! what must hold in every single run (the books balance, every detection rests on events that
//! exist) is checked here.

mod outcome;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, lchown};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use types::Tier;

pub(crate) use self::outcome::Outcome;

/// No run of a test takes longer than this, whatever the load; reaching it is a failure.
const RUN_LIMIT: Duration = Duration::from_secs(180);
/// How long a process, mount or cgroup may take to go away.
const LEFTOVER_LIMIT: Duration = Duration::from_secs(30);

/// Nobody in particular: an id without an account, a home or a group.
pub(crate) const ORDINARY_USER: u32 = 54_321;

/// Where the sources of hostile and abusive programs are.
const PROGRAMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/programs");

/// Tells, past the harness's capture, that a test could not run here.
pub(crate) fn skip(what: &str, reason: &str) {
    let _ = writeln!(std::io::stderr(), "SKIP {what}: {reason}");
}

/// Whether all of `programs` are on the path; tells so when they are not.
pub(crate) fn have(what: &str, programs: &[&str]) -> bool {
    let missing: Vec<&str> = programs.iter().copied().filter(|program| !present(program)).collect();
    if !missing.is_empty() {
        skip(what, &format!("{} not installed", missing.join(", ")));
    }
    missing.is_empty()
}

fn present(program: &str) -> bool {
    Command::new("sh")
        .args(["-c", "command -v \"$0\"", program])
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The tier an ordinary run gets on this host, asked once.
pub(crate) fn tier() -> Tier {
    static TIER: OnceLock<Tier> = OnceLock::new();
    *TIER.get_or_init(|| Lab::new().shieldx().run(&["/bin/true"]).assessment.evidence.tier)
}

/// A folder of its own for one test.
pub(crate) struct Lab {
    root: TempDir,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let root = tempfile::Builder::new()
            .prefix("lab-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir()
            .expect("a temporary folder");
        for name in ["work", "side"] {
            fs::create_dir(root.path().join(name)).expect("a folder");
        }
        Self { root }
    }

    /// The current folder of what runs inside.
    pub(crate) fn work(&self) -> PathBuf {
        self.root.path().join("work")
    }

    /// A folder that is not the current one: captured output, reports, mounts.
    pub(crate) fn side(&self) -> PathBuf {
        self.root.path().join("side")
    }

    /// Text that is in the command line of every process this lab starts.
    pub(crate) fn mark(&self) -> &str {
        self.root.path().file_name().and_then(OsStr::to_str).expect("an ASCII name")
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.work().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(&path, content).expect("a file");
        path
    }

    /// Makes the current folder and everything in it belong to this user.
    pub(crate) fn give_to(&self, id: u32) {
        let mut paths = vec![self.work()];
        while let Some(path) = paths.pop() {
            lchown(&path, Some(id), Some(id)).expect("a new owner");
            if path.is_dir() {
                paths.extend(fs::read_dir(&path).expect("a folder").flatten().map(|e| e.path()));
            }
        }
    }

    /// Puts a program of `tests/programs` into the current folder and answers with the words that
    /// start it; C is compiled first.
    pub(crate) fn program(&self, name: &str) -> Vec<String> {
        let source = Path::new(PROGRAMS).join(name);
        let (stem, language) = name.rsplit_once('.').expect("a name with its language");
        if language == "c" {
            let built = self.work().join(stem);
            let cc = Command::new("cc")
                .args(["-O1", "-w", "-pthread", "-o"])
                .args([&built, &source])
                .output()
                .expect("cc starts");
            assert!(cc.status.success(), "{name}: {}", String::from_utf8_lossy(&cc.stderr));
            return vec![format!("./{stem}")];
        }
        fs::copy(&source, self.work().join(name)).expect("the program's source");
        let interpreter = match language {
            "sh" => "sh",
            "py" => "python3",
            "bash" => "bash",
            "pl" => "perl",
            other => panic!("no interpreter for {other}"),
        };
        vec![interpreter.to_owned(), name.to_owned()]
    }

    pub(crate) fn shieldx(&self) -> Shieldx<'_> {
        Shieldx {
            lab: self,
            binary: PathBuf::from(env!("CARGO_BIN_EXE_shieldx")),
            options: Vec::new(),
            environment: Vec::new(),
            user: None,
            limit: RUN_LIMIT,
        }
    }

    /// Waits until nothing that this lab started is alive, inside or outside.
    pub(crate) fn assert_no_process(&self) {
        let deadline = Instant::now() + LEFTOVER_LIMIT;
        loop {
            let left = processes(self.mark());
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "left behind: {left:#?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Command lines of living processes that contain `mark`, with their ids.
pub(crate) fn processes(mark: &str) -> Vec<String> {
    let own = std::process::id();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if pid != own && line.contains(mark) {
            found.push(format!("{pid}: {line}"));
        }
    }
    found
}

/// Things of the host that the run of `supervisor` makes and must take away: control groups, which
/// carry its pid in their names, and any mount or temporary folder with our name.
pub(crate) fn belongings(supervisor: u32) -> BTreeSet<String> {
    let group = format!("shieldx-{supervisor}-");
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let mut all: BTreeSet<String> = mounts
        .lines()
        .filter(|line| line.contains("shieldx"))
        .map(|line| format!("mount {line}"))
        .collect();
    let mut folders = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if entry.file_name().to_string_lossy().starts_with(&group) {
                all.insert(format!("cgroup {}", entry.path().display()));
            }
            folders.push(entry.path());
        }
    }
    for folder in ["/tmp", "/var/tmp", "/run", "/dev/shm"] {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().contains("shieldx") {
                all.insert(format!("path {}", entry.path().display()));
            }
        }
    }
    all
}

/// Waits until nothing is there that was not there `before`.
pub(crate) fn assert_belongings_vanish(supervisor: u32, before: &BTreeSet<String>) {
    let deadline = Instant::now() + LEFTOVER_LIMIT;
    loop {
        let now = belongings(supervisor);
        let left: BTreeSet<&String> = now.difference(before).collect();
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "left behind: {left:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// One call of `shieldx run`, being put together.
pub(crate) struct Shieldx<'a> {
    lab: &'a Lab,
    binary: PathBuf,
    options: Vec<String>,
    environment: Vec<(String, String)>,
    user: Option<u32>,
    limit: Duration,
}

impl Shieldx<'_> {
    pub(crate) fn with(mut self, options: &[&str]) -> Self {
        self.options.extend(options.iter().map(|&word| word.to_owned()));
        self
    }

    /// How long the run may take; for those that boot a machine first.
    pub(crate) fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Sets a variable of `shieldx` itself.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs `shieldx` itself, a copy of it that this user may read, without privileges.
    pub(crate) fn by_user(mut self, id: u32, binary: &Path) -> Self {
        self.user = Some(id);
        self.binary = binary.to_owned();
        self
    }

    /// The prepared process, its output going to files in the lab's side folder.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, command: &[S]) -> Command {
        let work = self.lab.work();
        let mut process = Command::new(&self.binary);
        process.args(["run", "--json", "--cwd"]).arg(&work).args(&self.options);
        if self.user.is_none() {
            process.arg("--verdict").arg(self.lab.side().join("verdict.json"));
        }
        process.arg("--").args(command).current_dir(&work).stdin(Stdio::null());
        process.envs(self.environment.iter().map(|(name, value)| (name, value)));
        process.stdout(File::create(self.lab.side().join("stdout")).expect("a file"));
        process.stderr(File::create(self.lab.side().join("stderr")).expect("a file"));
        if let Some(id) = self.user {
            process.uid(id).gid(id);
        }
        process
    }

    /// Runs to the end and reads the document; checks what every run has to keep.
    pub(crate) fn run<S: AsRef<OsStr>>(self, command: &[S]) -> Outcome {
        let mut child = self.command(command).spawn().expect("shieldx starts");
        let supervisor = child.id();
        let status = wait(&mut child, self.limit);
        let stdout = fs::read_to_string(self.lab.side().join("stdout")).expect("UTF-8 output");
        let stderr = fs::read(self.lab.side().join("stderr")).expect("error output");
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        let document: Value = serde_json::from_str(&stdout).unwrap_or_else(|error| {
            panic!(
                "no document ({error}); {status}; stdout: {stdout:.2000}; stderr: {stderr:.4000}"
            )
        });
        let outcome = Outcome::read(document, supervisor, status, stderr);
        outcome.check_invariants();
        outcome
    }
}

/// Waits for a child under a limit; kills it and fails when it is reached.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> ExitStatus {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().expect("a child to wait for") {
            return status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            panic!("process {} did not end within {} s", child.id(), limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// An exit status as a shell tells it: 128 and the signal's number for a signal.
pub(crate) fn shell_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
