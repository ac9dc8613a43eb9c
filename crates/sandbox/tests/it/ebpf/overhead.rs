//! Figures, not tests: run by hand with `--ignored --nocapture` on a quiet machine.

use std::process::Command;
use std::time::{Duration, Instant};

use sandbox::monitor::ebpf::probe;

use super::job::{Events, folder, run};

#[test]
#[ignore = "prints figures"]
fn load_attach_detach() {
    for _ in 0..10 {
        let start = Instant::now();
        match probe() {
            Ok(probe) => eprintln!("{probe}; in all {:?}", start.elapsed()),
            Err(error) => eprintln!("SKIP eBPF: {error}"),
        }
    }
}

/// Bare and monitored runs in turn; the shortest of each counts.
fn compare(what: &str, command: impl Fn() -> Command) {
    let mut best = [Duration::MAX; 2];
    for _ in 0..15 {
        let start = Instant::now();
        assert!(command().output().unwrap().status.success());
        best[0] = best[0].min(start.elapsed());
        let Some(record) = run(&mut command()) else { return };
        best[1] = best[1].min(record.elapsed);
    }
    let ratio = best[1].as_secs_f64() / best[0].as_secs_f64();
    eprintln!("{what}: bare {:?}, monitored {:?}, {ratio:.2} times", best[0], best[1]);
}

#[test]
#[ignore = "prints figures"]
fn four_hundred_thousand_calls() {
    let dd = |to: String| {
        let mut dd = Command::new("dd");
        dd.args(["if=/dev/zero", &format!("of={to}"), "bs=1", "count=200k", "status=none"]);
        dd
    };
    compare("dd to /dev/null", || dd("/dev/null".to_owned()));
    let folder = folder("overhead");
    let file = folder.join("out");
    compare("dd to a file", || dd(file.display().to_string()));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
#[ignore = "prints figures"]
fn a_compile() {
    let folder = folder("compile");
    let source = folder.join("program.c");
    let body: String =
        (0..3000).map(|n| format!("int f{n}(int x) {{ return x * {n} + (x >> 3); }}\n")).collect();
    std::fs::write(&source, format!("#include <stdio.h>\n{body}int main(void) {{ return 0; }}"))
        .unwrap();
    compare("cc", || {
        let mut cc = Command::new("cc");
        cc.arg("-O1").arg("-o").arg(folder.join("program")).arg(&source);
        cc
    });
    compare("sh with 200 short programs", || {
        let mut sh = Command::new("sh");
        sh.args(["-c", "i=0; while [ $i -lt 200 ]; do /bin/true; i=$((i+1)); done"]);
        sh
    });
    std::fs::remove_dir_all(folder).unwrap();
}

/// What the rest of the machine pays while a run is being watched.
#[test]
#[ignore = "prints figures"]
fn somebody_else() {
    use sandbox::monitor::ebpf::{Options, Target, load};
    let dd = || {
        let mut dd = Command::new("dd");
        dd.args(["if=/dev/zero", "of=/dev/null", "bs=1", "count=200k", "status=none"]);
        let start = Instant::now();
        assert!(dd.status().unwrap().success());
        start.elapsed()
    };
    let mut best = [Duration::MAX; 2];
    for _ in 0..15 {
        best[0] = best[0].min(dd());
        let Ok(loaded) = load(&Options::default()) else { return };
        let target = Target {
            cgroup_id: u64::MAX,
            start_ns: 0,
            freezer: None,
            refusal: Box::new(|_, _| None),
            uid_map: Vec::new(),
        };
        let running = loaded.attach(target, Events::default()).unwrap();
        best[1] = best[1].min(dd());
        drop(running.finish());
    }
    eprintln!("dd outside: bare {:?}, beside a monitored run {:?}", best[0], best[1]);
}
