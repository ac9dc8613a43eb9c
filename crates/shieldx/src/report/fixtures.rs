//! Recordings for the tests of every rendering: a hostile run, a run whose names attack the
//! reader, and the pieces to make others.

use std::collections::BTreeMap;

use types::evidence::TypeCounters;
use types::run::Wall;
use types::{
    Access, Activity, Anomaly, Assessment, Contribution, Counters, Detection, Deviation, Ending,
    Endpoint, Event, Evidence, FileChange, Isolation, Kind, Level, Limits, Recording, Run, Task,
    Technique, Text, Tier, Verdict,
};

use super::Judged;
use super::document::AssessOptions;

pub(crate) fn judged<'a>(recording: &'a Recording, assessment: &'a Assessment) -> Judged<'a> {
    Judged { recording, assessment, options: AssessOptions { require_full: false } }
}

fn run(command: &[&str]) -> Run {
    Run {
        id: "01980000-0000-7000-8000-000000000000".into(),
        started_at: "2026-01-02T03:04:05Z".into(),
        command: command.iter().map(|word| Text::from(*word)).collect(),
        program: Text::from("/usr/bin/sh"),
        cwd: Text::from("/data"),
        runner: "process".into(),
        tier: Tier::B,
        isolation: Isolation {
            walls: vec![
                Wall { name: "seccomp".into(), on: true, detail: "allow-list".into() },
                Wall {
                    name: "landlock".into(),
                    on: false,
                    detail: "off: not in this kernel".into(),
                },
            ],
        },
        limits: Limits {
            timeout_ms: 60_000,
            memory_bytes: 2 << 30,
            pids: 512,
            cpu_percent: 0,
            output_bytes: 10 << 20,
            disk_bytes: 1 << 30,
        },
        ending: Ending::Exited { code: 0 },
        duration_ns: 1_850_000_000,
        cpu_us: 12_000,
        memory_peak_bytes: Some(9 << 20),
        engine: BTreeMap::new(),
        decoys: Vec::new(),
        script: None,
    }
}

/// A recording being written down event by event.
pub(crate) struct Script {
    pub(crate) events: Vec<Event>,
}

impl Script {
    pub(crate) fn new() -> Self {
        Self { events: Vec::new() }
    }

    pub(crate) fn event(&mut self, pid: u32, ppid: u32, comm: &str, kind: Kind) -> &mut Event {
        let id = self.events.len() as u64 + 1;
        let task = Task {
            pid,
            tid: pid,
            ppid,
            start_ns: u64::from(pid) * 1000,
            uid: 1000,
            comm: Text::from(comm),
        };
        self.events.push(Event {
            id,
            time_ns: id * 1_000_000,
            task,
            kind,
            ret: Some(0),
            blocked: false,
            advisory: false,
            truncated: false,
            count: 1,
        });
        self.events.last_mut().unwrap()
    }

    pub(crate) fn process(&mut self, pid: u32, ppid: u32, argv: &[&str], code: i32) {
        if ppid != 0 {
            let child_start_ns = u64::from(pid) * 1000;
            let fork = Kind::Fork { child_pid: pid, child_tid: pid, child_start_ns, thread: false };
            self.event(ppid, 0, "parent", fork).ret = None;
        }
        let argv: Vec<Text> = argv.iter().map(|word| Text::from(*word)).collect();
        let name = argv[0].to_string();
        let exec = Kind::Exec {
            path: argv[0].clone(),
            argv,
            cwd: Text::from("/data"),
            memfd: false,
            deleted: false,
            stdio: vec![],
        };
        self.event(pid, ppid, &name, exec);
        let exit = Kind::Exit { code: Some(code), signal: None, thread: false };
        self.event(pid, ppid, &name, exit).ret = None;
    }

    pub(crate) fn recording(self, command: &[&str]) -> Recording {
        let n = self.events.len() as u64;
        let all = TypeCounters { seen: n, sent: n, received: n, ..TypeCounters::default() };
        let counters = Counters {
            seen: n,
            sent: n,
            received: n,
            by_type: BTreeMap::from([("exec".to_owned(), all)]),
            ..Counters::default()
        };
        let events = self.events;
        Recording {
            run: run(command),
            events,
            counters,
            faults: vec![],
            output: None,
            anomaly: None,
            rule_sets: Vec::new(),
            matches: Vec::new(),
            activity: Activity::default(),
        }
    }
}

pub(crate) fn assessment(verdict: Verdict, reason: &str, recording: &Recording) -> Assessment {
    Assessment {
        verdict,
        score: 0,
        reason: reason.into(),
        contributions: vec![],
        detections: vec![],
        evidence: Evidence {
            level: Level::Full,
            tier: Tier::B,
            reasons: vec![],
            blind_detectors: vec![],
            counters: recording.counters.clone(),
        },
        attack_version: "19".into(),
        detectors_version: "1".into(),
    }
}

fn detect(assessment: &mut Assessment, id: &str, title: &str, points: u32, events: &[u64]) {
    assessment.score += points;
    assessment.detections.push(Detection {
        detector: id.into(),
        title: title.into(),
        technique: Technique {
            id: "T1059.004".into(),
            name: "Unix Shell".into(),
            tactic: "execution".into(),
        },
        summary: format!("{title}: seen at process 3"),
        events: events.to_vec(),
        event_count: events.len() as u64 + 20,
        weight_decibans: 30,
        blocked: false,
    });
    assessment.contributions.push(Contribution {
        detector: id.into(),
        technique: "T1059.004".into(),
        points,
        events: events.to_vec(),
    });
}

/// A figure against 212 runs.
pub(crate) fn anomaly(p_ppm: Option<u32>) -> Anomaly {
    let deviation = |feature: &str, value_milli, median_milli, robust_z_milli| Deviation {
        feature: feature.into(),
        value_milli,
        median_milli,
        robust_z_milli,
    };
    Anomaly {
        workload: "report.py with python3".into(),
        history_runs: 212,
        p_ppm,
        basis: "212 runs of the same workload".into(),
        deviations: vec![
            deviation("write_bytes", 52_000_000, 1_200_000, 14_200),
            deviation("exec_count", 9_000, 2_000, 4_722),
        ],
        model: "conformal/1".into(),
    }
}

/// The run that is told as unusual, worth 28 points.
pub(crate) fn unusual(recording: &mut Recording) -> Assessment {
    recording.anomaly = Some(anomaly(Some(4000)));
    let reason = "only weak signs: unusual for this workload: p = 0.004 against 212 runs; \
                  write_bytes 52000 where 1200 is usual";
    let mut assessment = assessment(Verdict::Benign, reason, recording);
    assessment.score = 28;
    assessment.contributions.push(Contribution {
        detector: "anomaly".into(),
        technique: String::new(),
        points: 28,
        events: vec![],
    });
    assessment
}

pub(crate) fn changed(path: &str, change: &str) -> Kind {
    Kind::FileChanged(FileChange {
        path: Text::from(path),
        change: change.into(),
        file_type: "file".into(),
        size_bytes: 12_345,
        mode: 0o755,
        sha256: Some("ab".repeat(32)),
        entropy_millibits: Some(7_912),
        link_target: None,
        format: None,
    })
}

fn peer() -> Endpoint {
    Endpoint::Inet { ip: "127.0.0.1".parse().unwrap(), port: 4444 }
}

pub(crate) fn reverse_shell() -> (Recording, Assessment) {
    let mut script = Script::new();
    script.process(2, 0, &["sh", "-c", "./stage one"], 0);
    script.process(3, 2, &["bash", "-i"], 1);
    script.event(3, 2, "bash", Kind::Connect { peer: peer() }).ret = Some(-115);
    script.event(3, 2, "bash", Kind::StdioSocket { stream: 0, peer: Some(peer()) });
    for _ in 0..3 {
        let event = script.event(3, 2, "bash", Kind::Ptrace { request: 16, target_pid: 2 });
        (event.ret, event.blocked) = (Some(-1), true);
    }
    for pid in 10..50 {
        script.process(pid, 3, &["grep", "-r", &format!("pattern{pid}"), "/etc"], 0);
    }
    script.process(60, 3, &["curl", "http://example.invalid/x"], 6);
    script.event(0, 0, "shieldx", changed("/data/stage", "created")).ret = None;
    script.event(0, 0, "shieldx", changed("/tmp/.x", "modified")).ret = None;
    let limit = Kind::LimitReached { limit: "pids".into(), detail: "3 refused at 512".into() };
    script.event(0, 0, "shieldx", limit).ret = None;
    let recording = script.recording(&["sh", "-c", "./stage one"]);
    let mut assessment =
        assessment(Verdict::Malicious, "Interactive shell on a socket and 1 more", &recording);
    detect(&mut assessment, "shell-on-socket", "Interactive shell on a socket", 62, &[6, 7]);
    detect(&mut assessment, "injection", "Process injection", 20, &[8, 9, 10]);
    (recording, assessment)
}

/// A refused clone3 with these flags.
pub(crate) fn clone3(script: &mut Script, pid: u32, flags: Vec<u64>) {
    let kind = Kind::Syscall { call: "clone3".into(), args: flags, target: None };
    let event = script.event(pid, 0, "node", kind);
    (event.ret, event.blocked) = (Some(-38), true);
}

/// Two processes that do something among many that do not.
pub(crate) fn busy_tree() -> (Recording, Assessment) {
    let mut script = Script::new();
    script.process(2, 0, &["make", "-j4"], 0);
    script.process(3, 2, &["sh", "./configure"], 0);
    for pid in 10..30 {
        script.process(pid, if pid % 2 == 0 { 3 } else { pid - 1 }, &["bash", "./probe"], 0);
    }
    for pid in 30..40 {
        script.process(pid, 2, &["/usr/bin/cc", "-c", &format!("{pid}.c")], 0);
        script.process(pid + 10, pid, &["as"], 0);
    }
    script.process(50, 3, &["sh", "-c", "cat /etc/shadow"], 1);
    script.process(51, 50, &["cat", "/etc/shadow"], 1);
    for n in 1..=50 {
        let ip = std::net::IpAddr::from([10, 0, 0, n]);
        let peer = Endpoint::Inet { ip, port: 80 };
        script.event(51, 50, "cat", Kind::Connect { peer }).ret = Some(-111);
    }
    let open = |path: &str, access| Kind::Open {
        path: Text::from(path),
        access,
        create: access == Access::Write,
        truncate: false,
    };
    let read = script.event(51, 50, "cat", open("/etc/shadow", Access::Read)).id;
    let dropped = "/root/.local/share/a/rather/deep/place/below/the/home/of/someone/payload.bin";
    let written = script.event(3, 2, "sh", open(dropped, Access::Write)).id;
    clone3(&mut script, 3, vec![0x3d_0f00]);
    clone3(&mut script, 3, vec![0x1000_0000]);
    for n in 0..40 {
        script.event(0, 0, "shieldx", changed(&format!("/data/build/{n}.o"), "created"));
    }
    script.event(0, 0, "shieldx", changed(dropped, "created"));
    let recording = script.recording(&["make", "-j4"]);
    let mut assessment = assessment(Verdict::Suspicious, "Password hashes read", &recording);
    detect(&mut assessment, "shadow-read", "Password hashes read", 40, &[read, written]);
    (recording, assessment)
}

pub(crate) fn hostile_names() -> (Recording, Assessment) {
    let evil = "<script>alert(1)</script>\"' onerror=\"x\u{202e}\u{1b}[2J\0\n<img src=x>";
    let mut script = Script::new();
    script.process(2, 0, &[evil, evil], 0);
    script.event(2, 0, evil, Kind::Unlink { path: Text::from(evil), directory: false });
    script.event(2, 0, evil, Kind::MemfdCreate { name: Text::from(evil) }).blocked = true;
    let question = Kind::Dns { question: Text::from(evil), record: 16, server: None };
    script.event(2, 0, evil, question);
    let syscall = Kind::Syscall { call: evil.into(), args: vec![], target: Some(Text::from(evil)) };
    script.event(2, 0, evil, syscall).blocked = true;
    script.event(0, 0, evil, changed(evil, evil));
    let limit = Kind::LimitReached { limit: evil.into(), detail: evil.into() };
    script.event(0, 0, evil, limit);
    let mut recording = script.recording(&[evil]);
    recording.run.isolation.walls.push(Wall { name: evil.into(), on: false, detail: evil.into() });
    recording.run.id = evil.into();
    recording.run.started_at = evil.into();
    recording.faults.push(evil.into());
    let mut strange = anomaly(Some(1));
    (strange.workload, strange.basis, strange.model) = (evil.into(), evil.into(), evil.into());
    strange.deviations[0].feature = evil.into();
    recording.anomaly = Some(strange);
    recording.output = Some(types::run::Output {
        stdout: Text::from(evil),
        stderr: Text::from(evil),
        ..Default::default()
    });
    let mut assessment = assessment(Verdict::Inconclusive, evil, &recording);
    assessment.evidence.level = Level::Incomplete;
    assessment.evidence.reasons.push(evil.into());
    assessment.evidence.blind_detectors.push(evil.into());
    assessment.attack_version = evil.into();
    detect(&mut assessment, evil, evil, 5, &[4]);
    assessment.detections[0].technique.id = evil.into();
    assessment.detections[0].technique.name = evil.into();
    (recording, assessment)
}
