//! Runs the gate as an ordinary process: everything about it but the container.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};

use sandbox::Net;
use sandbox::seccomp::{Mode, Policy};

use super::{Launch, REPORT_LEN, Report, word};

const TOKEN: [u8; 16] = *b"0123456789abcdef";

struct Gate {
    child: Child,
    _folder: tempfile::TempDir,
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a gate that will run `script` in a shell. `kill(-1)` is what a gate does at its end, so it
/// runs in a pid namespace, where it can.
fn start(script: &str, edit: impl Fn(&mut Launch<'_>)) -> Option<Gate> {
    let filter = Policy::standard(Net::None).compile(Mode::Enforce);
    let command: Vec<OsString> = ["sh", "-c", script].map(OsString::from).to_vec();
    let env = [("GREETING".into(), "hello".into()), ("PATH".into(), "/usr/bin:/bin".into())];
    let mut launch = Launch {
        program: "/bin/sh".as_ref(),
        command: &command,
        env: &env,
        cwd: "/tmp".as_ref(),
        filter: filter.instructions(),
        deadline_ms: 60_000,
        linger_ms: 300,
        hold_ms: 0,
    };
    edit(&mut launch);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate");
    std::fs::write(&path, launch.program().unwrap()).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o555)).unwrap();
    let child = Command::new("unshare")
        .args(["--pid", "--fork", "--kill-child"])
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    Some(Gate { child, _folder: folder })
}

/// Gives the word and reads to the end: standard output, standard error before the report, the report.
fn finish(mut gate: Gate) -> (String, String, Option<Report>) {
    gate.child.stdin.take().unwrap().write_all(&word(true, &TOKEN)).unwrap();
    let (mut out, mut err) = (String::new(), Vec::new());
    gate.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    gate.child.stderr.take().unwrap().read_to_end(&mut err).unwrap();
    let at = err.len().saturating_sub(REPORT_LEN);
    let report = Report::parse(&err[at..], &TOKEN);
    (out, String::from_utf8_lossy(&err[..at]).into_owned(), report)
}

fn may_unshare() -> bool {
    let made = Command::new("unshare").args(["--pid", "--fork", "true"]).output();
    let can = made.is_ok_and(|output| output.status.success());
    if !can {
        let _ = std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/stderr")
            .map(|mut tty| writeln!(tty, "SKIP no pid namespace can be made here"));
    }
    can
}

fn check(script: &str, expect: (&str, Option<Report>)) {
    if may_unshare() {
        let (out, err, report) = finish(start(script, |_| {}).unwrap());
        assert_eq!((out.as_str(), report), expect, "{script}: {err}");
    }
}

fn ended(status: i32) -> Option<Report> {
    Some(Report { failed: None, status, survivors: false })
}

#[test]
fn it_passes_arguments_environment_and_folder_and_tells_the_exact_end() {
    check("echo $GREETING $PWD; cat; exit 9", ("hello /tmp\n", ended(9 << 8)));
    check("kill -9 $$", ("", ended(9)));
    check("exit 137", ("", ended(137 << 8)));
}

#[test]
fn the_command_is_a_session_and_process_two_behind_the_filter() {
    let wanted = "2 Seccomp: 2\nNoNewPrivs: 1\nSigBlk: 0000000000000000\n";
    let script = "echo $$ $(grep -h Seccomp: /proc/self/status | tr -d '\\t' | sed 's/:/: /'); \
                  grep -hE 'NoNewPrivs|SigBlk' /proc/self/status | tr -d '\\t' | sed 's/:/: /'";
    if may_unshare() {
        let (out, err, report) = finish(start(script, |_| {}).unwrap());
        let mut lines: Vec<&str> = out.lines().collect();
        lines.sort_unstable();
        let mut expected: Vec<&str> = wanted.lines().collect();
        expected.sort_unstable();
        assert_eq!((lines, report), (expected, ended(0)), "{err}");
    }
}

#[test]
fn it_waits_for_the_word_and_ends_without_it() {
    if !may_unshare() {
        return;
    }
    let mut gate = start("echo started", |_| {}).unwrap();
    drop(gate.child.stdin.take());
    let mut out = String::new();
    gate.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert_eq!((out.as_str(), gate.child.wait().unwrap().code()), ("", Some(125)));
}

#[test]
fn what_cannot_be_started_is_told_with_step_and_errno() {
    if !may_unshare() {
        return;
    }
    let (_, _, report) = finish(start("", |launch| launch.program = "/none".as_ref()).unwrap());
    assert_eq!(report.unwrap().failed, Some(("start the program", libc::ENOENT)));
    let (_, _, report) = finish(start("", |launch| launch.cwd = "/none".as_ref()).unwrap());
    assert_eq!(report.unwrap().failed, Some(("enter the working folder", libc::ENOENT)));
    let (_, _, report) = finish(start("", |launch| launch.filter = &[]).unwrap());
    assert_eq!(report.unwrap().failed, Some(("install seccomp", libc::EINVAL)));
}

#[test]
fn survivors_are_waited_for_and_killed() {
    check("(sleep 0.05; echo late) & exit 3", ("late\n", ended(3 << 8)));
    let survived = Some(Report { failed: None, status: 3 << 8, survivors: true });
    check("setsid sleep 1000 & exit 3", ("", survived));
}

#[test]
fn left_alone_it_ends_everything_by_itself() {
    if may_unshare() {
        let gate = start("sleep 1000", |launch| launch.deadline_ms = 200).unwrap();
        let (_, _, report) = finish(gate);
        assert_eq!(report, None);
    }
}

#[test]
fn bytes_that_are_no_text_arrive_and_a_nul_byte_is_refused() {
    use std::os::unix::ffi::OsStringExt as _;
    let command = [OsString::from("a"), OsString::from_vec(vec![0xff, 0xfe])];
    let launch = |command| Launch {
        program: "/x".as_ref(),
        command,
        env: &[],
        cwd: "/".as_ref(),
        filter: &[],
        deadline_ms: 0,
        linger_ms: 0,
        hold_ms: 0,
    };
    let bytes = launch(&command).program().unwrap();
    assert!(bytes.windows(3).any(|three| three == [0xff, 0xfe, 0]));
    assert!(launch(&[OsString::from("a\0b")]).program().is_none());
}

#[test]
fn a_report_with_another_token_is_none() {
    let mut bytes = TOKEN.to_vec();
    bytes.extend([0; 16]);
    assert_eq!(Report::parse(&bytes, &TOKEN), ended(0));
    assert_eq!(Report::parse(&bytes, &[0; 16]), None);
    assert_eq!(Report::parse(&bytes[..31], &TOKEN), None);
}
