//! The command line: options, exit codes, streams and files, as a stranger would use them.

use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A folder that is visible inside, and `shieldx` started in it.
pub(crate) struct Desk {
    pub(crate) folder: tempfile::TempDir,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("desk-").tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))
            .expect("its permissions");
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shieldx"));
        command.args(words).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env_remove("NO_COLOR").env_remove("COLUMNS");
        command
    }

    pub(crate) fn shieldx(&self, words: &[&str]) -> Output {
        self.command(words).output().expect("shieldx starts")
    }

    pub(crate) fn entries(&self) -> usize {
        fs::read_dir(self.folder.path()).expect("the folder").count()
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
pub(crate) fn expect(output: &Output, code: i32, message: &str) {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(stderr.contains(message), "no {message:?} in: {stderr}");
}

#[test]
fn a_mistyped_word_is_answered_with_the_nearest_one() {
    let desk = Desk::new();
    expect(&desk.shieldx(&["repaly", "x"]), 64, "'replay'");
    expect(&desk.shieldx(&["run", "--timout", "3", "ls"]), 64, "'--timeout'");
    expect(&desk.shieldx(&["run", "--net", "lopback", "ls"]), 64, "'loopback'");
    expect(&desk.shieldx(&["run", "--fail-on", "malicous", "ls"]), 64, "'malicious'");
    expect(&desk.shieldx(&["run"]), 64, "COMMAND");
    expect(&desk.shieldx(&[]), 64, "Usage");
}

#[test]
fn values_out_of_range_are_usage_errors() {
    let desk = Desk::new();
    for (words, message) in [
        (["--timeout", "0"], "--timeout"),
        (["--timeout", "soon"], "not a duration"),
        (["--timeout", "25h"], "at most 24h"),
        (["--memory", "1K"], "--memory"),
        (["--memory", "lots"], "not a size"),
        (["--pids", "0"], "--pids"),
        (["--pids", "-1"], "-1"),
        (["--cpu", "9999999"], "--cpu"),
        (["--output-limit", "9T"], "--output-limit"),
        (["--mount", "/usr:"], "a path is empty"),
        (["--mount", "/usr:/a:/b"], "too many parts"),
        (["--mount", "/nowhere"], "cannot use the source"),
        (["--mount", "/usr:relative"], "absolute"),
        (["--mount", "/usr:/proc/x"], "may not be"),
        (["--env", "=x"], "the name is empty"),
        (["--env", "SURELY_NOT_SET_ANYWHERE"], "not set here"),
        (["--cwd", "/nowhere"], "--cwd"),
        (["--cwd", "/etc/passwd"], "not a folder"),
        (["--keep", "/usr"], "not empty"),
    ] {
        let output = desk.shieldx(&["run", words[0], words[1], "--", "true"]);
        expect(&output, 64, message);
        assert!(output.stdout.is_empty());
    }
}

/// Each was taken and did nothing.
#[test]
fn options_that_another_one_leaves_nothing_to_do_are_refused() {
    let desk = Desk::new();
    for (options, message) in [
        (&["--cores", "c", "--no-memory-scan"][..], "--no-memory-scan"),
        (&["--cores", "c", "--monitor", "off"], "--monitor off"),
        (&["--cores", "/usr"], "--cores /usr: the folder is not empty"),
        (&["--pcap", "w"], "--net sink or allow="),
        (&["--pcap", "w", "--net", "loopback"], "--net sink or allow="),
        (&["--report", "same", "--snapshot", "same"], "two outputs"),
    ] {
        let output = desk.shieldx(&[&["run"], options, &["--", "true"]].concat());
        expect(&output, 64, message);
        assert!(!desk.path("c").exists());
    }
    expect(&desk.shieldx(&["run", "--snapshot", "no/s.tar", "true"]), 125, "cannot write to");
}

#[test]
fn packets_of_an_allow_list_are_captured() {
    if let Err(reason) = sandbox::net::available() {
        return crate::lab::skip("packets of an allow list", &reason);
    }
    let desk = Desk::new();
    let options = ["run", "--net", "allow=a.example:443", "--pcap", "w.pcapng", "--", "true"];
    expect(&desk.shieldx(&options), 0, "");
    assert!(fs::read(desk.path("w.pcapng")).unwrap().starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]));
}

#[test]
fn help_goes_to_standard_output_and_documents_the_codes() {
    let desk = Desk::new();
    for words in [&["--help"][..], &["run", "--help"], &["replay", "--help"], &["run", "-h"]] {
        let output = desk.shieldx(words);
        expect(&output, 0, "");
        assert!(output.stderr.is_empty());
    }
    let help = text(&desk.shieldx(&["run", "--help"]).stdout);
    for part in ["Examples:", "--fail-on", "124", "125", "126", "127", "10/20/30"] {
        assert!(help.contains(part), "{part}");
    }
    assert!(text(&desk.shieldx(&["--version"]).stdout).starts_with("shieldx "));
}

#[test]
fn the_commands_own_code_is_ours() {
    let desk = Desk::new();
    for (line, code) in [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143), ("kill -9 $$", 137)]
    {
        let output = desk.shieldx(&["run", "--quiet", "--", "sh", "-c", line]);
        assert_eq!(output.status.code(), Some(code), "{line}: {}", text(&output.stderr));
    }
    let output = desk.shieldx(&["run", "-q", "--timeout", "300ms", "sleep", "60"]);
    assert_eq!(output.status.code(), Some(124));
}

/// Bounded, since it once waited for ever: control groups take no such process.
#[test]
fn a_caller_in_a_real_time_class_does_not_pass_it_on() {
    let desk = Desk::new();
    let chrt = |words: &[&str]| {
        let bounded = ["-k", "5", "60", "chrt", "--fifo", "5"];
        Command::new("timeout").args(bounded).args(words).current_dir(desk.folder.path()).output()
    };
    if !chrt(&["true"]).is_ok_and(|done| done.status.success()) {
        crate::lab::skip("real-time class", "chrt is not permitted");
        return;
    }
    let run = [env!("CARGO_BIN_EXE_shieldx"), "run", "--", "sh", "-c", "chrt -p $$"];
    let done = chrt(&run).expect("chrt starts");
    let told = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(told.contains("SCHED_OTHER"), "{told}{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn output_passes_through_and_the_report_goes_to_standard_error() {
    let desk = Desk::new();
    let output = desk.shieldx(&["run", "--", "sh", "-c", "echo out; echo err >&2"]);
    assert_eq!(text(&output.stdout), "out\n");
    let stderr = text(&output.stderr);
    assert!(stderr.starts_with("err\n"), "{stderr}");
    let verdict = stderr.lines().nth(1).unwrap();
    assert!(verdict.starts_with("BENIGN"), "{stderr}");
    assert!(verdict.contains("score 0/100") && verdict.contains("exit 0"), "{stderr}");
    assert!(stderr.lines().count() <= 13, "a plain run is told in a few lines: {stderr}");
    assert!(!stderr.contains('\u{1b}'), "no colour in a pipe");
    let output = desk.shieldx(&["run", "--quiet", "--", "sh", "-c", "echo out; echo err >&2"]);
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("out\n".into(), "err\n".into()));
    let output = desk.shieldx(&["run", "--color", "always", "--", "true"]);
    assert!(text(&output.stderr).contains("\u{1b}[1;32mBENIGN\u{1b}[0m"));
}

#[test]
fn json_is_all_there_is_on_standard_output() {
    let desk = Desk::new();
    let output =
        desk.shieldx(&["run", "--json", "--", "sh", "-c", "echo out; echo err >&2; exit 3"]);
    expect(&output, 3, "");
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["schema"], "shieldx.report/1");
    assert_eq!(report["output"]["stdout"], "out\n");
    assert_eq!(report["output"]["stderr"], "err\n");
    assert_eq!(report["run"]["ending"]["code"], 3);
}

#[test]
fn the_command_gets_a_clean_environment() {
    let desk = Desk::new();
    let output = desk
        .command(&["run", "-q", "--env", "GIVEN=a=b", "--env", "PASSED", "--", "env"])
        .env("SECRET_TOKEN", "hunter2")
        .env("PASSED", "from outside")
        .env("LC_TIME", "C")
        .env("LD_PRELOAD", "")
        .output()
        .unwrap();
    let env = text(&output.stdout);
    for line in
        ["GIVEN=a=b", "PASSED=from outside", "LC_TIME=C", "USER=sandbox", "HOME=/home/sandbox"]
    {
        assert!(env.lines().any(|found| found == line), "{line} in {env}");
    }
    for absent in ["SECRET_TOKEN", "hunter2", "LD_PRELOAD", "CARGO"] {
        assert!(!env.contains(absent), "{absent} in {env}");
    }
}

#[test]
fn standard_input_is_empty_unless_it_is_asked_for() {
    let desk = Desk::new();
    let feed = |words: &[&str]| {
        let mut child = desk
            .command(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("shieldx starts");
        let _ = child.stdin.take().unwrap().write_all(b"from outside\n");
        text(&child.wait_with_output().unwrap().stdout)
    };
    assert_eq!(feed(&["run", "-q", "--", "cat"]), "");
    assert_eq!(feed(&["run", "-q", "-i", "--", "cat"]), "from outside\n");
}

#[test]
fn arguments_that_are_not_utf_8_pass_through() {
    let desk = Desk::new();
    let odd = std::ffi::OsStr::from_bytes(b"a\xff\xfe\x1b[2Jb");
    let output = desk.command(&["run", "--", "printf", "%s"]).arg(odd).output().unwrap();
    assert_eq!(output.stdout, odd.as_bytes());
    let stderr = text(&output.stderr);
    assert!(stderr.contains("a\\xff\\xfe\\u{1b}[2Jb"), "{stderr}");
    assert!(!stderr.contains('\u{1b}'));
}

#[test]
fn a_place_that_cannot_be_written_is_told_before_the_run() {
    let desk = Desk::new();
    fs::create_dir(desk.path("folder")).unwrap();
    fs::write(desk.path("file"), "x").unwrap();
    for option in ["--html", "--events", "--report", "--verdict"] {
        for place in ["missing/x", "folder", "file/x", "/proc/x"] {
            let output = desk.shieldx(&["run", option, place, "--", "echo", "ran"]);
            expect(&output, 125, "cannot write to");
            assert!(output.stdout.is_empty(), "nothing ran");
        }
    }
    let output = desk.shieldx(&["run", "--html", "same", "--events", "./same", "--", "true"]);
    expect(&output, 64, "named for two outputs");
    assert_eq!(desk.entries(), 2, "nothing was left behind");
}

/// A small file system of its own, filled up: the report must not appear half.
#[test]
fn a_full_disk_leaves_no_partial_report() {
    let desk = Desk::new();
    fs::create_dir(desk.path("small")).unwrap();
    let place = desk.path("small");
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=8k", "tmpfs"])
        .arg(&place)
        .stderr(Stdio::null())
        .status();
    if !mount.is_ok_and(|status| status.success()) {
        super::lab::skip("a full disk", "no right to mount a file system");
        return;
    }
    let report = place.join("r.json");
    let words =
        ["run", "--report", report.to_str().unwrap(), "--", "sh", "-c", "seq 9999; echo ran"];
    let output = desk.shieldx(&words);
    let left = fs::read_dir(&place).unwrap().count();
    let unmounted = Command::new("umount").arg(&place).status().unwrap();
    assert!(unmounted.success());
    expect(&output, 125, "was not written: No space left");
    assert!(text(&output.stdout).ends_with("ran\n"));
    assert_eq!(left, 0, "half a report stayed");
}

/// `echo x >/dev/full` fails in a shell; under `shieldx` it must not look like an empty output.
#[test]
fn output_that_cannot_be_passed_on_is_told() {
    let desk = Desk::new();
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for words in [&["run", "--", "echo", "x"][..], &["run", "--quiet", "--", "echo", "x"]] {
        let output = desk.command(words).stdout(full()).output().unwrap();
        expect(&output, 125, "standard output could not be written: No space left on device");
    }
    let quiet = ["run", "-q", "--", "sh", "-c", "echo x >&2; exit 3"];
    let output = desk.command(&quiet).stderr(full()).output().unwrap();
    assert_eq!(output.status.code(), Some(125), "standard error counts as well");
    let output = desk.command(&["run", "--", "true"]).stdout(full()).output().unwrap();
    expect(&output, 0, "exit 0");
    let output = desk.command(&["run", "--json", "--", "true"]).stdout(full()).output().unwrap();
    expect(&output, 125, "standard output was not written: No space left on device");
}

#[test]
fn a_reader_that_goes_away_is_no_crash() {
    let desk = Desk::new();
    for words in [
        &["run", "--json", "--", "seq", "20000"][..],
        &["run", "--", "seq", "200000"],
        &["run", "--help"],
        &["doctor"],
        &["detectors", "--json"],
    ] {
        let mut child = desk
            .command(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("shieldx starts");
        drop(child.stdout.take());
        let stderr = text(&child.wait_with_output().unwrap().stderr);
        assert!(!stderr.contains("panicked"), "{words:?}: {stderr}");
        assert!(!stderr.contains("Broken pipe"), "{words:?}: {stderr}");
    }
}

/// `script` gives the program a terminal: the status line shows, goes away before the output, and
/// the output is whole.
#[test]
fn on_a_terminal_a_silent_run_shows_that_it_is_alive() {
    let desk = Desk::new();
    if !super::lab::have("a terminal", &["script"]) {
        return;
    }
    let typescript = |options: &str, line: &str| {
        let shieldx = env!("CARGO_BIN_EXE_shieldx");
        let line = format!("{shieldx} run {options} --color never -- sh -c '{line}'");
        let output = Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .current_dir(desk.folder.path())
            .env("TERM", "xterm")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        text(&output.stdout)
    };
    let shown = typescript("", "sleep 1.5; echo out; echo err >&2; sleep 1; echo last");
    let line = shown.find("sh  ").expect("a status line");
    let erased = shown.rfind("\r\u{1b}[K").expect("it is erased");
    assert!(line < erased, "{shown:?}");
    let after = shown.get(erased..).unwrap_or_default();
    assert!(after.starts_with("\r\u{1b}[Kout\r\nerr\r\nlast\r\n\r\nBENIGN"), "{shown:?}");
    let quiet = typescript("--quiet", "sleep 1; echo out");
    assert_eq!(quiet, "out\r\n");
}

#[test]
fn verdicts_decide_the_code_only_when_asked() {
    let desk = Desk::new();
    let reader = "cat /etc/passwd >/dev/null";
    for threshold in ["suspicious", "malicious"] {
        let words = ["run", "-q", "--fail-on", threshold, "--", "sh", "-c", reader];
        assert_eq!(desk.shieldx(&words).status.code(), Some(0), "{threshold}");
    }
    let words = ["run", "-q", "--fail-on", "malicious", "--monitor", "off", "--", "true"];
    assert_eq!(desk.shieldx(&words).status.code(), Some(30), "no monitor is inconclusive");
    let words = ["run", "-q", "--monitor", "off", "--", "true"];
    assert_eq!(desk.shieldx(&words).status.code(), Some(0));
}

#[test]
fn written_files_are_kept_where_asked() {
    let desk = Desk::new();
    let keep = desk.path("kept");
    let line = "echo content > made.txt; ln -s /etc/passwd link";
    let words = ["run", "-q", "--keep", keep.to_str().unwrap(), "--", "sh", "-c", line];
    expect(&desk.shieldx(&words), 0, "");
    assert!(!desk.path("made.txt").exists(), "the host is unchanged");
    let found = Command::new("find").arg(&keep).args(["-name", "made.txt"]).output().unwrap();
    let path = text(&found.stdout);
    assert_eq!(fs::read_to_string(Path::new(path.trim())).unwrap(), "content\n");
    let links = Command::new("find").arg(&keep).args(["-type", "l"]).output().unwrap();
    assert!(links.stdout.is_empty(), "only regular files are kept");
    expect(&desk.shieldx(&words), 64, "not empty");
}

#[test]
fn the_lists_print() {
    let desk = Desk::new();
    let output = desk.shieldx(&["doctor"]);
    expect(&output, 0, "");
    let lines = text(&output.stdout);
    assert!(lines.lines().count() > 5);
    assert!(lines.contains("runner docker") && !lines.contains("not in this version"), "{lines}");
    let output = desk.shieldx(&["detectors", "--json"]);
    let detectors: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(detectors.as_array().unwrap().len() >= 15);
    assert!(text(&desk.shieldx(&["detectors"]).stdout).contains("ATT&CK v19"));
    assert!(text(&desk.shieldx(&["completions", "bash"]).stdout).contains("--require-evidence"));
}

#[cfg(feature = "sandbox-wasm")]
#[test]
fn what_a_module_would_not_get_is_refused_by_the_grant_that_gives_it() {
    let desk = Desk::new();
    let module = wat::parse_str(r#"(module (func (export "_start")))"#).unwrap();
    fs::write(desk.path("m.wasm"), module).unwrap();
    let wasm = |options: &[&str], rest: &[&str]| {
        let words = [&["run", "--runner", "wasm"], options, &["m.wasm"], rest].concat();
        desk.shieldx(&words)
    };
    expect(&wasm(&[], &[]), 0, "BENIGN");
    expect(&wasm(&[], &["word"]), 64, "--grant args");
    expect(&wasm(&["--env", "A=b"], &[]), 64, "--grant env");
    expect(&wasm(&["-i"], &[]), 64, "--grant stdin");
    expect(&wasm(&["--mount", "/usr"], &[]), 64, "--grant filesystem:DIR");
    expect(&wasm(&["--cpu", "10"], &[]), 64, "--fuel");
    expect(&wasm(&["--pids", "10"], &[]), 64, "no processes or threads");
    expect(&wasm(&["--net", "loopback"], &[]), 126, "network:HOST:PORT");
    expect(&wasm(&["--monitor", "off"], &[]), 125, "no other monitor");
    expect(&wasm(&["--snapshot", "s.tar"], &[]), 64, "process or microvm");
    expect(&wasm(&["--grant", "args", "--grant", "env", "-e", "A=b"], &["word"]), 0, "BENIGN");
}

#[cfg(feature = "sandbox-wasm")]
#[test]
fn a_signal_ends_a_module_with_a_report() {
    use std::io::{BufRead as _, BufReader, Read as _};

    let desk = Desk::new();
    let text = r#"(module
        (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1) (data (i32.const 0) "\08\00\00\00\03\00\00\00up\n")
        (func (export "_start")
         (drop (call $w (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 20))) (loop (br 0))))"#;
    fs::write(desk.path("m.wasm"), wat::parse_str(text).unwrap()).unwrap();
    let mut command = desk.command(&["run", "--runner", "wasm", "m.wasm"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "up\n");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143), "{said}");
    assert!(said.contains("interrupted by SIGTERM") && said.contains("INCONCLUSIVE"), "{said}");
}
