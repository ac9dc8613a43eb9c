//! One list of cases for all runners: whoever asks for another runner gets other walls, and the same
//! answers.
//!
//! A case asks many things of one run, because some runners boot a machine for each. What must hold
//! whatever ran (the books balance, no detection without events) is checked by the bench after every
//! run; that nothing is left behind, after every case. Modules are no shell scripts: `module` asks
//! them what of this has a meaning there.

#[cfg(feature = "sandbox-wasm")]
pub(crate) mod module;

use std::collections::BTreeSet;
use std::time::Duration;

use types::{Ending, Kind, Level, Tier};

use crate::lab::{Lab, Outcome, Shieldx};
use crate::ways::{Way, assert_nothing_left};

/// A guest on a busy machine without KVM takes its time.
const LIMIT: Duration = Duration::from_secs(900);
const BUSYBOX: &str = "/bin/busybox";

type Case = fn(&Way);

const CASES: [(&str, Case); 8] = [
    ("what it is given and what it gives", whole),
    ("ended by a signal", signal),
    ("past the deadline", deadline),
    ("a megabyte of output, and what it left running", megabyte),
    ("more output than is kept", truncated),
    ("limits of processes, disk and memory", limits),
    ("what cannot be started", unstartable),
    ("decoys of a life before", decoys),
];

/// A run in a folder of its own, on the way it shall take.
struct Trial<'a> {
    way: &'a Way,
    lab: Lab,
}

impl<'a> Trial<'a> {
    fn new(way: &'a Way) -> Self {
        Self { way, lab: Lab::new() }
    }

    fn call(&self) -> Shieldx<'_> {
        self.bare().with(self.way.shell)
    }

    /// Without what a shell script needs.
    fn bare(&self) -> Shieldx<'_> {
        let call = self.lab.shieldx().limit(LIMIT).with(self.way.options);
        let secret = call
            .variable("SECRET_OF_THE_CALLER", "1")
            .variable("TMPDIR", &Way::temporary(&self.lab));
        self.way.dress(secret)
    }

    fn run(&self, options: &[&str], script: &str, arguments: &[&str]) -> Outcome {
        self.way.give(&self.lab);
        let mut command = vec!["sh", "-c", script, self.lab.mark()];
        command.extend(arguments);
        let outcome = self.call().with(options).run(&command);
        assert_nothing_left(&self.lab, outcome.supervisor);
        outcome
    }
}

fn stream(outcome: &Outcome, name: &str) -> Vec<u8> {
    let value = outcome.document["output"][name].as_str().unwrap_or_default();
    types::Text::decode(value).expect("encoded text").as_bytes().to_vec()
}

fn text(outcome: &Outcome, name: &str) -> String {
    String::from_utf8(stream(outcome, name)).expect("UTF-8")
}

const WHOLE: &str = "env; echo ---; pwd; echo ---; cat | wc -c; echo ---; printf '%s' \"$1$2\"; \
    echo told on the other >&2; printf 'made inside' > made; mkdir folder; exit 7";
/// printf 'made inside' | sha256sum
const MADE: &str = "88b35bffc761e00b0b29c406651cb964a0622ffff5cf7054448fa5b67d83bf5d";

fn whole(way: &Way) {
    let trial = Trial::new(way);
    let kept = trial.lab.side().join("kept");
    let keep = ["--keep", kept.to_str().expect("ASCII")];
    // An ordinary user may not write there; what is kept is asked where it can be.
    let keep: &[&str] = if way.user.is_none() { &keep } else { &[] };
    let strange = ["ä→🦀\n\"quoted\" \\", " $(id) 'x'"];
    let trial_call = |options: &[&str]| {
        let mut all = vec!["--env", "GIVEN=a b", "--no-decoys"];
        all.extend(options);
        trial.run(&all, WHOLE, &strange)
    };
    let outcome = trial_call(keep);
    assert_eq!(outcome.run.ending, Ending::Exited { code: 7 }, "{}", outcome.summary());
    assert_eq!(outcome.code(), 7);
    let said = text(&outcome, "stdout");
    let parts: Vec<&str> = said.split("---\n").collect();
    let [environment, folder, input, arguments] = parts[..] else {
        panic!("{said}");
    };
    let names: BTreeSet<&str> =
        environment.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    assert!(environment.lines().any(|line| line == "GIVEN=a b"), "{environment}");
    // The shell's own, what README.md says passes, and where tools are that PATH names.
    let known = [
        "GIVEN",
        "PATH",
        "HOME",
        "PWD",
        "SHLVL",
        "_",
        "LANG",
        "LC_ALL",
        "TZ",
        "TERM",
        "USER",
        "LOGNAME",
        "SHELL",
        "LSAN_OPTIONS",
        "RUSTUP_HOME",
        "PYENV_ROOT",
        "RBENV_ROOT",
        "NODENV_ROOT",
        "NVM_DIR",
        "VOLTA_HOME",
        "GOROOT",
        "JAVA_HOME",
        "CONDA_PREFIX",
        "VIRTUAL_ENV",
    ];
    let unknown: Vec<_> = names.iter().filter(|name| !known.contains(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?} came in");
    assert_eq!(folder.trim_end(), trial.lab.work().to_str().expect("ASCII"));
    assert_eq!(input.trim(), "0", "standard input is empty");
    assert_eq!(arguments, strange.concat());
    assert_eq!(text(&outcome, "stderr"), "told on the other\n");
    changes(way, &trial, &outcome, &kept);
    record(way, &outcome);
    assert_eq!(std::fs::read_dir(trial.lab.work()).expect("a folder").count(), 0);
}

/// What it wrote is listed with its hash, kept where that was asked, and nowhere else.
fn changes(way: &Way, trial: &Trial<'_>, outcome: &Outcome, kept: &std::path::Path) {
    let listed: Vec<_> = outcome
        .events
        .iter()
        .filter_map(|event| match &event.kind {
            Kind::FileChanged(change) => Some(change),
            _ => None,
        })
        .collect();
    let work = trial.lab.work();
    let of = |name: &str| {
        let path = work.join(name).display().to_string();
        let found = listed.iter().find(|change| change.path.to_string() == path);
        *found.unwrap_or_else(|| panic!("{path} is not among {listed:?}"))
    };
    let made = of("made");
    assert_eq!((made.change.as_str(), made.file_type.as_str()), ("created", "file"));
    assert_eq!(made.size_bytes, 11);
    assert_eq!(made.sha256.as_deref(), Some(MADE));
    assert_eq!(of("folder").file_type, "directory");
    if way.user.is_none() {
        let copy = kept.join(work.strip_prefix("/").expect("absolute")).join("made");
        assert_eq!(std::fs::read(copy).expect("the kept file"), b"made inside");
    }
}

/// Events are in order and whole, and the recording says on what it rests.
fn record(way: &Way, outcome: &Outcome) {
    let ids: Vec<u64> = outcome.events.iter().map(|event| event.id).collect();
    let counted: Vec<u64> = (1..).take(ids.len()).collect();
    assert_eq!(ids, counted, "ids count from one");
    assert!(outcome.events.is_sorted_by_key(|event| event.time_ns), "events are in order");
    let evidence = &outcome.assessment.evidence;
    // The program in an image is the daemon's, and not scanned.
    let unscanned = way.shell.contains(&"--image");
    let wanted = if way.reduced || unscanned { Level::Reduced } else { Level::Full };
    assert_eq!(evidence.level, wanted, "{}", outcome.summary());
    assert_eq!(evidence.tier == Tier::C, way.reduced, "{}", outcome.summary());
    let named = way.options.iter().skip_while(|word| **word != "--runner").nth(1);
    assert_eq!(outcome.run.runner, *named.unwrap_or(&"process"));
    let first = outcome.events.iter().find_map(|event| match &event.kind {
        Kind::Exec { argv, .. } => Some(argv.iter().map(ToString::to_string).collect::<Vec<_>>()),
        _ => None,
    });
    assert_eq!(first.expect("an exec")[..2], ["sh", "-c"]);
    assert!(!outcome.run.isolation.walls.is_empty());
}

fn signal(way: &Way) {
    let trial = Trial::new(way);
    let outcome = trial.run(&[], "kill -SEGV $$", &[]);
    assert_eq!(outcome.run.ending, Ending::Signaled { signal: 11 }, "{}", outcome.summary());
    assert_eq!(outcome.code(), 128 + 11);
}

fn deadline(way: &Way) {
    let trial = Trial::new(way);
    // Long enough for a translated processor that others want, too, to come to the first word.
    let limit = if way.column == "microvm" { "20s" } else { "3s" };
    let outcome = trial.run(&["--timeout", limit], "trap '' TERM; echo before; sleep 600", &[]);
    assert_eq!(outcome.run.ending, Ending::TimedOut, "{}", outcome.summary());
    assert!(outcome.reached("time"), "{}", outcome.summary());
    assert_eq!(outcome.assessment.evidence.level, Level::Incomplete);
    assert_eq!(text(&outcome, "stdout"), "before\n", "what it said before is there");
}

fn megabyte(way: &Way) {
    let trial = Trial::new(way);
    let line =
        "head -c 1048576 /dev/zero | tr '\\0' x; (setsid sleep 600 >/dev/null 2>&1 &); sleep 1";
    let outcome = trial.run(&[], line, &[]);
    assert_eq!(outcome.run.ending, Ending::Exited { code: 0 }, "{}", outcome.summary());
    let said = stream(&outcome, "stdout");
    assert_eq!(said.len(), 1 << 20);
    assert!(said.iter().all(|&byte| byte == b'x'));
    assert_eq!(outcome.document["output"]["truncated"], false);
    assert!(outcome.reached("survivors"), "{}", outcome.summary());
}

fn truncated(way: &Way) {
    let trial = Trial::new(way);
    let line = "head -c 3000000 /dev/zero; head -c 2000000 /dev/zero >&2; exit 3";
    let outcome = trial.run(&["--output-limit", "1M"], line, &[]);
    assert_eq!(outcome.run.ending, Ending::Exited { code: 3 }, "{}", outcome.summary());
    assert!(outcome.reached("output"), "{}", outcome.summary());
    let output = &outcome.document["output"];
    assert_eq!(output["truncated"], true);
    assert_eq!(
        (&output["stdout_bytes"], &output["stderr_bytes"]),
        (&3_000_000.into(), &2_000_000.into())
    );
    for name in ["stdout", "stderr"] {
        assert!(stream(&outcome, name).len() <= 1 << 20, "{name}");
    }
}

fn limits(way: &Way) {
    let trial = Trial::new(way);
    // The processes last: a shell that cannot fork gives up.
    let line = "(x=$(head -c 300000000 /dev/zero | tr '\\0' y); echo ${#x}); \
        head -c 40000000 /dev/zero > big; echo on; \
        i=0; while [ $i -lt 60 ]; do i=$((i+1)); sleep 3 & done";
    let options = ["--pids", "32", "--disk", "8M", "--memory", "128M", "--timeout", "300s"];
    let outcome = trial.run(&options, line, &[]);
    let said = text(&outcome, "stdout");
    assert!(said.contains("on") && !said.contains("300000000"), "{}", outcome.summary());
    for name in ["pids", "disk", "memory"] {
        // What the kernel keeps by itself for an ordinary user is heard of by nobody.
        let silent = way.user.is_some() && name != "disk";
        assert!(silent || outcome.reached(name), "{name}: {}", outcome.summary());
    }
}

/// All of one moment, and that a moment ago, tells a sample what they are.
fn decoys(way: &Way) {
    let trial = Trial::new(way);
    let line = "date +%s; cd \"$HOME\" && for f in .bashrc .profile Documents/notes.txt \
        .ssh/id_ed25519 .bash_history Documents .ssh .; do stat -c '%Y' \"$f\"; done";
    let outcome = trial.run(&[], line, &[]);
    let said = text(&outcome, "stdout");
    let times: Vec<u64> = said.lines().filter_map(|line| line.parse().ok()).collect();
    let [now, dates @ ..] = times.as_slice() else { panic!("{said} {}", outcome.summary()) };
    assert_eq!(dates.len(), 8, "{said} {}", outcome.summary());
    // A guest's clock may be off by seconds.
    assert!(dates.iter().all(|date| date + 3000 < *now), "{said}");
    let (files, days) = (&dates[..5], 24 * 3600);
    assert!(files[0] < files[4] && files[0] + 300 * days < *now, "{said}");
    let different: BTreeSet<_> = files.iter().map(|date| date / 60).collect();
    assert!(different.len() >= 4, "{said}");
}

fn unstartable(way: &Way) {
    let trial = Trial::new(way);
    way.give(&trial.lab);
    // The second is a file in every root, and no program in any.
    for (command, code) in [("./missing", 127), ("/etc/passwd", 126)] {
        refuses(&trial, trial.call(), command, code);
    }
    if !std::path::Path::new(BUSYBOX).exists() {
        crate::lab::skip("programs that a root lacks", "busybox-static is not installed");
        return;
    }
    let root = root(&trial.lab);
    let given = ["--rootfs", root.to_str().expect("ASCII")];
    for (command, code) in
        [("none-such", 127), ("/bin/none-such", 127), ("/bin/closed", 126), ("/bin/orphan", 126)]
    {
        refuses(&trial, trial.bare().with(&given), command, code);
    }
}

/// A root with a shell, a file that is not executable and a script whose interpreter is not there.
fn root(lab: &Lab) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let root = lab.side().join("root");
    std::fs::create_dir_all(root.join("bin")).expect("a folder");
    std::fs::copy(BUSYBOX, root.join("bin/sh")).expect("busybox");
    for (name, mode) in [("closed", 0o644), ("orphan", 0o755)] {
        let file = root.join("bin").join(name);
        std::fs::write(&file, "#!/opt/none/python\n").expect("a file");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("mode");
    }
    root
}

fn refuses(trial: &Trial<'_>, call: Shieldx<'_>, command: &str, code: i32) {
    let mut child = call.command(&[command]).spawn().expect("shieldx starts");
    let supervisor = child.id();
    let status = crate::lab::wait(&mut child, LIMIT);
    let said = std::fs::read_to_string(trial.lab.side().join("stderr")).expect("error output");
    assert_eq!(status.code(), Some(code), "{command}: {said}");
    assert!(said.contains("shieldx: error: "), "{command}: {said}");
    assert_nothing_left(&trial.lab, supervisor);
}

/// Every case, and all that failed.
fn conform(way: &Way) {
    let failed: Vec<&str> = CASES
        .iter()
        .filter(|(name, case)| {
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case(way)));
            if ended.is_err() {
                eprintln!("{}: {name}", way.column);
            }
            ended.is_err()
        })
        .map(|(name, _)| *name)
        .collect();
    assert!(failed.is_empty(), "{}: {failed:?}", way.column);
}

#[test]
fn a_process_conforms() {
    if let Some(way) = Way::process() {
        conform(&way);
    }
}

#[test]
fn a_process_of_an_ordinary_user_conforms() {
    if let Some(way) = Way::ordinary() {
        conform(&way);
    }
}

#[cfg(feature = "sandbox-docker")]
#[test]
fn a_container_conforms() {
    if let Some(way) = Way::docker() {
        conform(&way);
        let left = way.leftovers();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[cfg(feature = "sandbox-microvm")]
#[test]
fn a_guest_conforms() {
    if let Some(way) = Way::microvm() {
        conform(&way);
    }
}
